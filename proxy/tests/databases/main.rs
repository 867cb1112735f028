//! The stores themselves, both by the same rules; and several instances of the proxy over one of them.
//!
//! With `PAYBY_TESTS=full` in the environment the instances are tried at full size; `cargo xtask instances` does so and shows
//! the figures.
#![allow(clippy::unwrap_used, reason = "these are tests, and so is what helps them")]
#![allow(clippy::print_stdout, reason = "figures are printed for those who ask for them")]

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../http/fake_payby.rs"]
mod fake_payby;
mod instance;
mod instances;
mod killed;
mod locks;
mod nul;
mod postgres;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../http/proxy.rs"]
mod proxy;
mod settings;
mod store;
mod tls;

/// Whether to try it at full size.
fn is_full() -> bool {
    std::env::var("PAYBY_TESTS").is_ok_and(|size| size == "full")
}
