//! The part of a PayBy checkout that must not be wrong.
//!
//! Two crates in one. On every target: order numbers, order status and its merge, amounts, the checkout state
//! machine and its schedule, and the types that the browser and the merchant's proxy exchange. None of it reads a
//! clock, a random source, a socket or a file; whoever uses it passes those in. On `wasm32` also the
//! `browser` shell, which runs the machine over `fetch` and is what the npm package wraps.
//!
//! | to find | look in |
//! |---|---|
//! | what an order number is, how one is made | [`order_number`] |
//! | what the gateway says of an order, and how reports merge | [`order`] |
//! | what may be sent about an order, on either hop | [`hop`] |
//! | a page's checkout | [`checkout`] |
//! | when to ask | [`schedule`] |
//! | money | [`money`] |
//! | the proxy's HTTP API | [`protocol`] |
//! | PayBy's wire format and signatures (feature `gateway`) | `gateway` |

pub mod checkout;
mod decimal;
#[cfg(feature = "gateway")]
pub mod gateway;
pub mod hop;
pub mod money;
pub mod order;
pub mod order_number;
pub mod protocol;
pub mod schedule;
pub mod time;

#[cfg(target_arch = "wasm32")]
mod browser;
