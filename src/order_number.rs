//! Order numbers: what PayBy accepts (its `merchantOrderNo`), and the ones that we make.
//!
//! PayBy's rule is 1 to 64 of `A–Z a–z 0–9 - _`, unique for the merchant; it recommends the current time and a random
//! sequence. Any such string is an [`OrderNumber`]. Ours, made by a [`Generator`], have a shape on top:
//!
//! ```text
//! standard   1KANPYXG085GR38E1W8124GKK
//!            ╰───────╯╰─────────────╯╰ check symbol
//!            45 bits: 75 random bits
//!            Unix ms
//!
//! short      01WRV040M30E209R
//!            ╰────╯╰───────╯╰ check symbol
//!            30 bits: 45 random bits
//!            half minutes since 2024
//!
//! dated      2025112212000000040R40M30E209J
//!            ╰───────────────╯╰──────────╯╰ check symbol
//!            YYYYMMDDhhmmssSSS, UTC
//!                             60 random bits
//!
//! uuid       019aab6f-7600-7001-8203-040506070809: version 7, no check symbol
//! ```
//!
//! The symbols are Crockford's base 32, most significant first, so numbers of one format sort by time as plain strings. A
//! [`Prefix`] may stand before them.
//!
//! | to | use |
//! |---|---|
//! | take any order number by PayBy's rule | `text.parse::<OrderNumber>()` |
//! | make one | [`Generator::generate`] |
//! | see what one of ours tells | [`OrderNumber::inspect`] |
//! | read what a person typed | [`OrderNumber::read_typed`], [`OrderNumber::suggest`] |

mod calendar;
mod check;
mod error;
mod format;
mod generate;
mod inspect;
mod typed;

use core::fmt;
use core::ops::Deref;
use core::str::FromStr;

use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

use self::error::ErrorKind;
pub use self::error::{GenerateError, OrderNumberError};
pub use self::format::{Format, Prefix};
pub use self::generate::{Clock, Generator, RandomSource};
pub use self::inspect::{CheckResult, Inspection};

/// The longest order number that PayBy accepts, in symbols.
pub const MAX_LENGTH: usize = 64;

/// The name of one order: any string by PayBy's rule.
///
/// ```
/// use payby_checkout::order_number::OrderNumber;
///
/// let number: OrderNumber = "ORDER-2026_11".parse()?;
/// assert_eq!(number.as_str(), "ORDER-2026_11");
///
/// let error = "ORDER 7".parse::<OrderNumber>().unwrap_err();
/// assert_eq!(error.code(), "order_number_bad_symbol");
/// assert_eq!(error.position(), Some(5));
/// # Ok::<(), payby_checkout::order_number::OrderNumberError>(())
/// ```
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, example = "1KANPYXG085GR38E1W8124GKK"))]
#[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]+$"))]
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderNumber(Box<str>);

impl OrderNumber {
    /// The number as PayBy reads it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OrderNumber {
    type Err = OrderNumberError;

    /// Takes the string as it is: nothing is trimmed, folded or repaired.
    fn from_str(text: &str) -> Result<Self, OrderNumberError> {
        if text.is_empty() {
            return Err(ErrorKind::Empty.into());
        }
        for (position, symbol) in text.chars().enumerate() {
            if !(symbol.is_ascii_alphanumeric() || symbol == '-' || symbol == '_') {
                return Err(ErrorKind::BadSymbol { position, symbol }.into());
            }
        }
        // Every symbol is one byte from here on.
        if text.len() > MAX_LENGTH {
            return Err(ErrorKind::TooLong { length: text.len() }.into());
        }
        Ok(Self(text.into()))
    }
}

impl Deref for OrderNumber {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OrderNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for OrderNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OrderNumber({})", &self.0)
    }
}

impl Serialize for OrderNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for OrderNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_symbol_of_paybys_alphabet_is_accepted() {
        let alphabet: String = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_']).collect::<String>();
        assert_eq!(alphabet.len(), 64);
        assert_eq!(alphabet.parse::<OrderNumber>().unwrap().as_str(), alphabet);
    }

    #[test]
    fn each_mistake_is_named_with_its_place() {
        for (text, code, position, message) in [
            ("", "order_number_empty", None, "an order number is empty: it needs 1 to 64 symbols"),
            (
                &"A".repeat(65),
                "order_number_too_long",
                Some(64),
                "an order number has 65 symbols: at most 64 are allowed",
            ),
            (
                "A B",
                "order_number_bad_symbol",
                Some(1),
                "an order number has ' ' at position 1: only A-Z, a-z, 0-9, - and _ are allowed",
            ),
            (
                "İ",
                "order_number_bad_symbol",
                Some(0),
                "an order number has 'İ' at position 0: only A-Z, a-z, 0-9, - and _ are allowed",
            ),
            (
                "AB\n",
                "order_number_bad_symbol",
                Some(2),
                "an order number has '\\n' at position 2: only A-Z, a-z, 0-9, - and _ are allowed",
            ),
        ] {
            let error = text.parse::<OrderNumber>().unwrap_err();
            assert_eq!((error.code(), error.position()), (code, position), "{text:?}");
            assert_eq!(error.to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn a_string_is_accepted_exactly_if_paybys_rule_holds(text in "\\PC{0,70}|[A-Za-z0-9_-]{0,70}") {
            let by_the_rule = (1..=64).contains(&text.chars().count())
                && text.chars().all(|c| matches!(c, 'A'..='Z' | 'a'..='z' | '0'..='9' | '-' | '_'));
            prop_assert_eq!(text.parse::<OrderNumber>().is_ok(), by_the_rule);
        }
    }
}
