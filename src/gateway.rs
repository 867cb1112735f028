//! PayBy's side of the wire: its envelopes, orders, codes and signatures. Used by the proxy and the simulator, by a page never.
//!
//! PayBy's field names stay PayBy's here and appear nowhere else. Sign and verify the exact bytes of a body
//! ([`signature`]); parse only what has been verified ([`wire`]).

pub mod signature;
pub mod wire;
