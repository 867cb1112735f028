//! The module `order-number`: making, checking and reading order numbers.

use std::cell::RefCell;

use js_sys::{Array, JsString};
use wasm_bindgen::prelude::*;

use super::plain::{Plain, thrown, to_js};
use super::platform::SecureRandom;
use crate::order_number::{Format, Generator, OrderNumber, OrderNumberError, Prefix};
use crate::time::UnixMillis;

/// The clock is the caller's: every call says what time it is.
type Numbers = Generator<fn() -> UnixMillis, SecureRandom>;

thread_local! {
    static GENERATOR: RefCell<Numbers> = const { RefCell::new(Generator::new(|| UnixMillis(0), SecureRandom)) };
}

/// Makes `count` numbers at the time `now`, one behind the other in one string: all have the same length. An empty
/// `format` is the standard one, an empty `prefix` is none.
#[wasm_bindgen]
pub fn make(format: &str, prefix: &str, now: f64, count: usize) -> Result<String, JsValue> {
    let format = match Format::from_name(format) {
        None if format.is_empty() => Format::Standard,
        None => return Err(thrown("invalid_argument", "format is standard, short, dated or uuid", None)),
        Some(format) => format,
    };
    let prefix = if prefix.is_empty() { None } else { Some(prefix.parse::<Prefix>().map_err(|error| named(&error))?) };
    GENERATOR
        .with_borrow_mut(|generator| generator.generate_many(moment(now), format, prefix.as_ref(), count))
        .map_err(|error| thrown(error.code(), error.message(), None))
}

/// Throws what is wrong with an order number by PayBy's rule.
#[wasm_bindgen]
pub fn check(text: &str) -> Result<(), JsValue> {
    text.parse::<OrderNumber>().map(drop).map_err(|error| named(&error))
}

/// `[format, prefix, madeAt, check]` of a number of ours; else `undefined`. Throws what is wrong by PayBy's rule.
#[wasm_bindgen]
pub fn inspect(text: &str) -> Result<JsValue, JsValue> {
    let number: OrderNumber = text.parse().map_err(|error| named(&error))?;
    Ok(number.inspect().map_or(JsValue::UNDEFINED, |inspection| {
        to_js(&[
            Plain::Text(inspection.format.as_str()),
            Plain::text(inspection.prefix),
            Plain::number(inspection.made_at.map(|at| at.0)),
            Plain::Text(inspection.check.as_str()),
        ])
    }))
}

/// The canonical spelling of a number that a person typed, or throws what is wrong with it.
#[wasm_bindgen(js_name = readTyped)]
pub fn read_typed(text: &str) -> Result<String, JsValue> {
    OrderNumber::read_typed(text).map(|number| number.as_str().to_owned()).map_err(|error| named(&error))
}

/// What a person may have meant.
#[wasm_bindgen]
pub fn suggest(text: &str, now: f64) -> Array {
    OrderNumber::suggest(text, moment(now)).iter().map(|number| JsString::from(number.as_str())).collect()
}

/// Whole milliseconds; what is no time, or one before 1970, reads as 0.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a saturating cast is what is meant")]
fn moment(now: f64) -> UnixMillis {
    UnixMillis(now as u64)
}

fn named(error: &OrderNumberError) -> JsValue {
    thrown(error.code(), &error.message(), error.position())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

    use super::*;

    wasm_bindgen_test_configure!(run_in_browser);

    const NOW: f64 = 1_763_812_800_000.0;

    fn list(value: &JsValue) -> Vec<JsValue> {
        Array::from(value).to_vec()
    }

    #[wasm_bindgen_test]
    fn numbers_are_made_from_the_platforms_random_source() {
        let text = make("", "", NOW, 1000).unwrap();
        let numbers: HashSet<&str> = (0..1000).map(|place| &text[place * 25..][..25]).collect();
        assert_eq!(numbers.len(), 1000);
        assert!(numbers.iter().all(|number| number.starts_with("1KANPYXG0") && check(number).is_ok()));
    }

    #[wasm_bindgen_test]
    fn every_format_is_made_and_inspected() {
        for format in Format::ALL {
            let number = make(format.as_str(), "SHOP", NOW, 1).unwrap();
            let told = list(&inspect(&number).unwrap());
            assert_eq!(
                (told[0].as_string().as_deref(), told[1].as_string().as_deref()),
                (Some(format.as_str()), Some("SHOP"))
            );
            assert_eq!(told[2], NOW);
            assert_eq!(read_typed(&number.to_ascii_lowercase().replacen("shop", "SHOP", 1)).unwrap(), number);
        }
        assert!(inspect("ORDER-7").unwrap().is_undefined());
    }

    #[wasm_bindgen_test]
    fn what_is_wrong_is_thrown_with_its_place() {
        for (thrown, code, place) in [
            (check("A B").unwrap_err(), "order_number_bad_symbol", Some(1.0)),
            (check("").unwrap_err(), "order_number_empty", None),
            (make("", "9", NOW, 1).unwrap_err(), "order_number_bad_prefix", Some(0.0)),
            (make("long", "", NOW, 1).unwrap_err(), "invalid_argument", None),
            (make("short", "", 0.0, 1).unwrap_err(), "clock_out_of_range", None),
            (read_typed("1KANPYXG085GR38E1W8124GKA").unwrap_err(), "order_number_check_failed", None),
        ] {
            let thrown = list(&thrown);
            assert_eq!((thrown[0].as_string().as_deref(), thrown[2].as_f64()), (Some(code), place));
        }
    }

    #[wasm_bindgen_test]
    fn a_typing_error_has_suggestions() {
        let meant: Vec<JsValue> = suggest("1KANPYXG085GR38E1W8124GKA", NOW).to_vec();
        assert!(meant.contains(&"1KANPYXG085GR38E1W8124GKK".into()));
    }
}
