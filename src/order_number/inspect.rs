//! What an order number of ours tells of itself.

use core::fmt;

use super::check::{ALPHABET, syndrome};
use super::generate::{SHORT_EPOCH, SHORT_TICK};
use super::{Format, OrderNumber, calendar};
use crate::time::UnixMillis;

/// What an order number of ours tells of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspection<'a> {
    /// Its layout.
    pub format: Format,
    /// What stands before it.
    pub prefix: Option<&'a str>,
    /// When it was made, by the clock of its maker: to the millisecond, or for [`Format::Short`] the beginning of that half
    /// minute. `None` where a number with a typing error names no moment.
    pub made_at: Option<UnixMillis>,
    /// Whether it is as it was made.
    pub check: CheckResult,
}

/// Whether the check symbol holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CheckResult {
    /// It holds: no single symbol is wrong, and no two are swapped.
    Valid,
    /// It does not hold: the number was mistyped.
    Invalid,
    /// The format has none.
    None,
}

impl fmt::Display for CheckResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl CheckResult {
    /// Its name, for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::None => "none",
        }
    }
}

impl OrderNumber {
    /// What the number tells of itself, if it has one of our formats, in its canonical spelling.
    ///
    /// ```
    /// use payby_checkout::order_number::{CheckResult, Format, OrderNumber};
    /// use payby_checkout::time::UnixMillis;
    ///
    /// let number: OrderNumber = "SHOP-1KANPYXG085GR38E1W8124GKK".parse()?;
    /// let inspection = number.inspect().unwrap();
    /// assert_eq!(inspection.format, Format::Standard);
    /// assert_eq!(inspection.prefix, Some("SHOP"));
    /// assert_eq!(inspection.made_at, Some(UnixMillis(1_763_812_800_000)));
    /// assert_eq!(inspection.check, CheckResult::Valid);
    /// assert_eq!("ORDER-7".parse::<OrderNumber>()?.inspect(), None);
    /// # Ok::<(), payby_checkout::order_number::OrderNumberError>(())
    /// ```
    #[must_use]
    pub fn inspect(&self) -> Option<Inspection<'_>> {
        let text = self.as_str();
        own(None, text).or_else(|| {
            let (prefix, rest) = text.split_once('-')?;
            prefix.parse::<super::Prefix>().ok()?;
            own(Some(prefix), rest)
        })
    }
}

/// What a number without its prefix tells.
fn own<'a>(prefix: Option<&'a str>, text: &str) -> Option<Inspection<'a>> {
    if let Some(made_at) = uuid_time(text) {
        return Some(Inspection { format: Format::Uuid, prefix, made_at: Some(made_at), check: CheckResult::None });
    }
    let format = Format::checked_of_length(text.len())?;
    let mut values = [0; Format::Dated.length()];
    let values = values.get_mut(..text.len())?;
    for (value, symbol) in values.iter_mut().zip(text.bytes()) {
        *value = value_of(symbol)?;
    }
    let check = if syndrome(values) == 0 { CheckResult::Valid } else { CheckResult::Invalid };
    let made_at = time_of(format, values);
    // A number whose check symbol holds by chance, and that names no moment, is none of ours.
    (made_at.is_some() || check == CheckResult::Invalid).then_some(Inspection { format, prefix, made_at, check })
}

/// The value of a canonical symbol.
pub(super) fn value_of(symbol: u8) -> Option<u8> {
    ALPHABET.iter().position(|own| *own == symbol).and_then(|value| u8::try_from(value).ok())
}

/// When a number of a checked format was made.
pub(super) fn time_of(format: Format, values: &[u8]) -> Option<UnixMillis> {
    let number = |symbols: usize| values.iter().take(symbols).fold(0_u64, |time, value| time << 5 | u64::from(*value));
    match format {
        Format::Standard => Some(UnixMillis(number(9))),
        Format::Short => Some(UnixMillis(SHORT_EPOCH.0 + number(6) * SHORT_TICK.0)),
        Format::Dated => calendar::from_digits(values.get(..calendar::DIGITS)?),
        Format::Uuid => None,
    }
}

/// When a UUID of version 7 in its canonical spelling was made: its first 48 bits. (RFC 9562 §5.7. Read here: a page that
/// reads numbers would otherwise carry the `uuid` crate's parser, with all the spellings that we do not take.)
fn uuid_time(text: &str) -> Option<UnixMillis> {
    let mut time = 0;
    for (place, symbol) in text.bytes().enumerate() {
        let digit = match symbol {
            b'0'..=b'9' => Some(symbol - b'0'),
            b'a'..=b'f' => Some(symbol - b'a' + 10),
            _ => None,
        };
        let fits = match place {
            8 | 13 | 18 | 23 => symbol == b'-',
            14 => symbol == b'7',
            19 => matches!(symbol, b'8' | b'9' | b'a' | b'b'),
            _ => digit.is_some(),
        };
        if !fits {
            return None;
        }
        if let (0..13, Some(digit)) = (place, digit) {
            time = time << 4 | u64::from(digit);
        }
    }
    (text.len() == Format::Uuid.length()).then_some(UnixMillis(time))
}
