//! The shapes that our own order numbers have.

use core::fmt;
use core::str::FromStr;

use super::error::{ErrorKind, OrderNumberError};

/// The layout of an order number of ours. [`OrderNumber`](super::OrderNumber) has the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// 25 symbols: 45-bit Unix milliseconds, 75 random bits, check symbol. For everything.
    #[default]
    Standard,
    /// 16 symbols: 30-bit count of half minutes since 2024-01-01T00:00Z, 45 random bits, check symbol. To be read aloud or
    /// printed; for up to 10,000 orders a day.
    Short,
    /// 30 symbols: UTC `YYYYMMDDhhmmssSSS`, 60 random bits, check symbol. For people who read dates.
    Dated,
    /// 36 symbols: a UUID of version 7, hyphenated, in lower case. For systems that want a UUID. It has no check symbol.
    Uuid,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Standard, Self::Short, Self::Dated, Self::Uuid];

    /// Its name, for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Short => "short",
            Self::Dated => "dated",
            Self::Uuid => "uuid",
        }
    }

    /// The format of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }

    /// How many symbols a number has, without its prefix.
    #[must_use]
    pub const fn length(self) -> usize {
        match self {
            Self::Standard => 25,
            Self::Short => 16,
            Self::Dated => 30,
            Self::Uuid => 36,
        }
    }

    /// The checked format of that length.
    pub(super) fn checked_of_length(length: usize) -> Option<Self> {
        [Self::Standard, Self::Short, Self::Dated].into_iter().find(|format| format.length() == length)
    }
}

/// What may stand before a number of ours, joined to it with `-`: a letter, then at most 14 letters or digits. It tells
/// shops or channels apart; it is not under the check symbol.
///
/// ```
/// use payby_checkout::order_number::Prefix;
///
/// let prefix: Prefix = "SHOP2".parse()?;
/// assert_eq!(prefix.as_str(), "SHOP2");
/// assert_eq!("2SHOP".parse::<Prefix>().unwrap_err().position(), Some(0));
/// # Ok::<(), payby_checkout::order_number::OrderNumberError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Prefix(Box<str>);

/// The longest prefix, in symbols.
const MAX_LENGTH: usize = 15;

impl Prefix {
    /// The prefix without its hyphen.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Prefix {
    type Err = OrderNumberError;

    fn from_str(text: &str) -> Result<Self, OrderNumberError> {
        for (position, symbol) in text.chars().enumerate() {
            let fits = if position == 0 { symbol.is_ascii_alphabetic() } else { symbol.is_ascii_alphanumeric() };
            if !fits || position == MAX_LENGTH {
                return Err(ErrorKind::BadPrefix { position }.into());
            }
        }
        if text.is_empty() { Err(ErrorKind::BadPrefix { position: 0 }.into()) } else { Ok(Self(text.into())) }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_letter_and_at_most_14_letters_or_digits() {
        for good in ["A", "z9", "SHOP", "A23456789012345"] {
            assert_eq!(good.parse::<Prefix>().unwrap().as_str(), good);
        }
        for (bad, position) in
            [("", 0), ("9A", 0), ("-", 0), ("A-", 1), ("AB C", 2), ("É", 0), ("A234567890123456", 15)]
        {
            let error = bad.parse::<Prefix>().unwrap_err();
            assert_eq!((error.code(), error.position()), ("order_number_bad_prefix", Some(position)), "{bad:?}");
        }
    }

    #[test]
    fn formats_are_found_by_their_names() {
        for format in Format::ALL {
            assert_eq!(Format::from_name(format.as_str()), Some(format));
        }
        assert_eq!(Format::from_name("Standard"), None);
    }
}
