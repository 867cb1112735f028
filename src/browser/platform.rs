//! What the platform lends: clocks, secure randomness, storage. Works in pages, workers and Node.

use wasm_bindgen::prelude::*;

use super::concat;
use crate::checkout::{Now, Saved};
use crate::order_number::{Clock, RandomSource};
use crate::protocol::Scene;
use crate::time::{Millis, UnixMillis};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = Date, js_name = now)]
    fn date_now() -> f64;

    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;

    // Where there is none, or it is denied or full, these throw, and that is caught.
    #[wasm_bindgen(catch, js_namespace = localStorage, js_name = getItem)]
    fn get_item(key: &str) -> Result<Option<String>, JsValue>;

    #[wasm_bindgen(catch, js_namespace = localStorage, js_name = setItem)]
    fn set_item(key: &str, value: &str) -> Result<(), JsValue>;
}

/// Whole milliseconds; a clock before 1970 reads as 0.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a saturating cast is what is meant")]
fn whole(milliseconds: f64) -> u64 {
    milliseconds as u64
}

/// The moment of an input to the machine.
pub(super) fn now() -> Now {
    // Without a random source jitter falls away; order numbers, which need one, are refused elsewhere.
    Now { at: Millis(whole(performance_now())), random: getrandom::u32().unwrap_or(u32::MAX / 2) }
}

/// `Date.now()`.
pub(super) struct WallClock;

impl Clock for WallClock {
    fn now(&mut self) -> UnixMillis {
        UnixMillis(whole(date_now()))
    }
}

/// `crypto.getRandomValues`, and nothing else.
pub(super) struct SecureRandom;

impl RandomSource for SecureRandom {
    type Error = getrandom::Error;

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), getrandom::Error> {
        getrandom::fill(bytes)
    }
}

/// Where one purchase's number is kept through a reload: under a key made from its token, which itself is never stored.
pub(super) struct Shelf {
    key: String,
}

impl Shelf {
    pub(super) fn for_token(token: &str) -> Self {
        // FNV-1a: tells purchases apart; 64 bits say nothing useful about a token of 128 or more.
        let hash = token
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self { key: concat(&["payby-checkout:", &hash.to_string()]) }
    }

    /// Keeps the number. Where storage is denied or full the page goes on from memory, and a reload asks the proxy.
    pub(super) fn save(&self, saved: &Saved) {
        let scene = saved.scene.map_or("-", Scene::as_str);
        let _ = set_item(&self.key, &concat(&["1 ", saved.order_number.as_str(), " ", scene]));
    }

    /// What was kept, if it can be read.
    pub(super) fn load(&self) -> Option<Saved> {
        let text = get_item(&self.key).ok()??;
        let (number, scene) = text.strip_prefix("1 ")?.split_once(' ')?;
        Some(Saved { order_number: number.parse().ok()?, scene: Scene::from_name(scene) })
    }
}
