//! The merchant's backend proxy: holds the signing keys, talks to PayBy, keeps the truth about every order.
//!
//! A request's way: [`router`] → a function in [`handlers`] → the intent is written down in the [`store`] → a [`worker`]
//! in a task of its own does what the core's [`hop`](payby_checkout::hop) says through the [`gateway`] client → what PayBy says is merged in the
//! store → those who wait ([`waiting`]) are woken. Notifications enter at [`handlers::notifications`] and are merged
//! the same way.
//!
//! | to find | look in |
//! |---|---|
//! | what is sent to the gateway next, and why | [`hop`](payby_checkout::hop), in the core |
//! | what is believed of an answer | [`gateway`] |
//! | what is written down, and when | [`store`], [`worker`] |
//! | how money goes back | [`refunds`] |
//! | who may ask | [`auth`] |
//! | how much may be asked | [`limits`] |
//! | the API's description | [`openapi`] |
//! | what a person has to look at | [`alerts`] |
//! | what is counted | [`metrics`] |
//! | the settings | [`config`] |

pub mod alerts;
pub mod app;
pub mod auth;
pub mod body;
pub mod config;
pub mod gateway;
pub mod handlers;
pub mod instances;
pub mod limits;
pub mod metrics;
pub mod openapi;
pub mod problem;
pub mod random;
pub mod refunds;
pub mod router;
pub mod server;
pub mod store;
#[cfg(feature = "otel")]
pub mod traces;
pub mod waiting;
pub mod worker;

pub use self::config::Config;
pub use self::server::{Running, StartError, start};
