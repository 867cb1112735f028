//! What crosses to JavaScript: lists of plain values, and what is thrown.

use serde::Serialize;
use wasm_bindgen::JsValue;

/// One thing given to JavaScript. What belongs together crosses as a list of these, and the TypeScript side names its
/// places: an object's keys, or a serialiser for each tuple, would cost a page more than all the rest of this boundary.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Plain<'a> {
    Nothing,
    Text(&'a str),
    Number(f64),
    #[cfg(feature = "wasm-checkout")]
    Flag(bool),
}

impl<'a> Plain<'a> {
    pub(super) fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Nothing, Self::Text)
    }

    /// A count, a position, a time: far below 2⁵³.
    #[allow(clippy::cast_precision_loss, reason = "far below 2⁵³")]
    pub(super) fn number(number: Option<u64>) -> Self {
        number.map_or(Self::Nothing, |number| Self::Number(number as f64))
    }
}

/// Gives a list to JavaScript.
pub(super) fn to_js(list: &[Plain<'_>]) -> JsValue {
    // Plain data always converts. (An `expect` would bring the error's formatting into the page.)
    serde_wasm_bindgen::to_value(list).unwrap_or_default()
}

/// What is thrown, `[code, message, position]`; the TypeScript side makes the package's error class of it.
pub(super) fn thrown(code: &str, message: &str, position: Option<usize>) -> JsValue {
    let position = position.and_then(|position| u64::try_from(position).ok());
    to_js(&[Plain::Text(code), Plain::Text(message), Plain::number(position)])
}

/// The parts in one string.
#[cfg(feature = "wasm-checkout")]
pub(super) fn concat(parts: &[&str]) -> String {
    let mut whole = String::new();
    for part in parts {
        whole.push_str(part);
    }
    whole
}
