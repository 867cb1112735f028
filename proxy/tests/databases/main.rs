//! The stores themselves, both by the same rules; and several instances of the proxy over one of them.
#![allow(clippy::unwrap_used, reason = "these are tests, and so is what helps them")]

mod postgres;
mod store;
