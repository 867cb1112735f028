//! What the platform lends: secure randomness and, for the checkout, clocks. Works in pages, workers and Node.

use crate::order_number::RandomSource;

/// `crypto.getRandomValues`, and nothing else.
pub(super) struct SecureRandom;

impl RandomSource for SecureRandom {
    type Error = getrandom::Error;

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), getrandom::Error> {
        getrandom::fill(bytes)
    }
}

#[cfg(feature = "wasm-checkout")]
pub(super) use self::clocks::{WallClock, now};

#[cfg(feature = "wasm-checkout")]
mod clocks {
    use wasm_bindgen::prelude::*;

    use crate::checkout::Now;
    use crate::order_number::Clock;
    use crate::time::{Millis, UnixMillis};

    #[wasm_bindgen]
    extern "C" {
        #[wasm_bindgen(js_namespace = Date, js_name = now)]
        fn date_now() -> f64;

        #[wasm_bindgen(js_namespace = performance, js_name = now)]
        fn performance_now() -> f64;
    }

    /// Whole milliseconds; a clock before 1970 reads as 0.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a saturating cast is what is meant")]
    fn whole(milliseconds: f64) -> u64 {
        milliseconds as u64
    }

    /// The moment of an input to the machine.
    pub(crate) fn now() -> Now {
        // Without a random source jitter falls away; order numbers, which need one, are refused elsewhere.
        Now { at: Millis(whole(performance_now())), random: getrandom::u32().unwrap_or(u32::MAX / 2) }
    }

    /// `Date.now()`.
    pub(crate) struct WallClock;

    impl Clock for WallClock {
        fn now(&mut self) -> UnixMillis {
            UnixMillis(whole(date_now()))
        }
    }
}
