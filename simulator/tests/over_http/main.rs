//! The simulator over real HTTP on the loopback, each test with a simulator of its own. Nothing waits for time to pass:
//! tests wait for conditions, with a bound.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod calls;
mod cashier;
mod certify;
mod control;
mod faults;
mod keys;
mod notifications;
mod program;
mod sdks;
mod support;
