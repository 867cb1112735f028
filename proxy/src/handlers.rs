//! One function per endpoint: parse, decide, store, answer.

pub mod health;
pub mod notifications;
pub mod orders;
pub mod purchases;
pub mod refunds;
