//! The proxy over real HTTP on loopback, against a small PayBy that says what a test wants it to say.
#![allow(clippy::unwrap_used, reason = "these are tests, and so is what helps them")]

mod alerts;
mod fake_payby;
mod limits;
mod metrics;
mod notifications;
mod openapi;
mod orders;
mod protocol;
mod proxy;
mod purchases;
mod refunds;
mod waiting;
