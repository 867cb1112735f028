//! Where a purchase's order number is kept through a reload.

use wasm_bindgen::prelude::*;

use super::plain::concat;
use crate::checkout::Saved;
use crate::decimal;

#[wasm_bindgen]
extern "C" {
    // Where there is none, or it is denied or full, these throw, and that is caught.
    #[wasm_bindgen(catch, js_namespace = localStorage, js_name = getItem)]
    fn get_item(key: &str) -> Result<Option<String>, JsValue>;

    #[wasm_bindgen(catch, js_namespace = localStorage, js_name = setItem)]
    fn set_item(key: &str, value: &str) -> Result<(), JsValue>;
}

/// One purchase's place in `localStorage`: under a key made from its token, which itself is never stored.
pub(super) struct Shelf {
    key: String,
}

impl Shelf {
    pub(super) fn for_token(token: &str) -> Self {
        // FNV-1a: tells purchases apart; 64 bits say nothing useful about a token of 128 or more.
        let hash = token
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self { key: concat(&["payby-checkout:", &decimal::text(hash)]) }
    }

    /// Keeps the number. Where storage is denied or full the page goes on from memory, and a reload asks the proxy.
    pub(super) fn save(&self, saved: &Saved) {
        let _ = set_item(&self.key, &saved.to_text());
    }

    /// What was kept, if it can be read.
    pub(super) fn load(&self) -> Option<Saved> {
        Saved::from_text(&get_item(&self.key).ok()??)
    }
}
