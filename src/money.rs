//! Money as integers. An [`Amount`] counts fils (1 AED = 100 fils) and never passes through a float.

use core::fmt;
use core::str::FromStr;

use crate::decimal;
use serde::de::{self, Deserialize, Deserializer};
use serde::{Deserialize as DeriveDeserialize, Serialize, Serializer};

/// A positive amount of money in the currency's minor unit, at most 12 digits before the point (PayBy's bound).
///
/// In JSON it is a decimal string with two digits after the point.
///
/// ```
/// use payby_checkout::money::Amount;
///
/// let amount: Amount = "12.5".parse()?;
/// assert_eq!(amount.fils(), 1250);
/// assert_eq!(amount.to_string(), "12.50");
/// # Ok::<(), payby_checkout::money::AmountError>(())
/// ```
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, example = "12.50", max_length = 15))]
#[cfg_attr(feature = "openapi", schema(pattern = r"^(?!0+(\.0+)?$)[0-9]{1,12}(\.[0-9]{1,2})?$"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(u64);

impl Amount {
    /// The largest amount that PayBy's format can carry: 999,999,999,999.99.
    pub const MAX: Self = Self(99_999_999_999_999);

    /// That many fils.
    ///
    /// # Errors
    /// Zero, or more than [`Amount::MAX`].
    pub const fn from_fils(fils: u64) -> Result<Self, AmountError> {
        match fils {
            0 => Err(AmountError { kind: ErrorKind::Zero }),
            1..=99_999_999_999_999 => Ok(Self(fils)),
            _ => Err(AmountError { kind: ErrorKind::TooLarge }),
        }
    }

    /// The amount in fils.
    #[must_use]
    pub const fn fils(self) -> u64 {
        self.0
    }

    /// What `Display` shows.
    pub(crate) fn text(self) -> String {
        let mut text = decimal::text(self.0 / 100);
        text.push('.');
        decimal::push(&mut text, self.0 / 10 % 10);
        decimal::push(&mut text, self.0 % 10);
        text
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    /// Reads `12`, `12.5` or `12.50`: digits, then at most two more after a point. No sign, exponent, space or comma.
    fn from_str(text: &str) -> Result<Self, AmountError> {
        let error = |kind| Err(AmountError { kind });
        let (mut fils, mut whole, mut fraction) = (0_u64, 0, None);
        for symbol in text.bytes() {
            match (symbol, &mut fraction) {
                (b'.', None) => fraction = Some(0),
                (b'0'..=b'9', None) => whole += 1,
                (b'0'..=b'9', Some(digits)) => *digits += 1,
                _ => return error(ErrorKind::NotDecimal),
            }
            if symbol != b'.' {
                // Longer numbers are refused below, so what wraps is never used.
                fils = fils.wrapping_mul(10).wrapping_add(u64::from(symbol - b'0'));
            }
        }
        match (whole, fraction) {
            (0, _) | (_, Some(0)) => error(ErrorKind::NotDecimal),
            (_, Some(3..)) => error(ErrorKind::TooPrecise),
            (13.., _) => error(ErrorKind::TooLarge),
            (_, Some(2)) => Self::from_fils(fils),
            (_, Some(_)) => Self::from_fils(fils * 10),
            (_, None) => Self::from_fils(fils * 100),
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Why a text is not an [`Amount`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AmountError {
    kind: ErrorKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ErrorKind {
    NotDecimal,
    TooPrecise,
    TooLarge,
    Zero,
}

impl fmt::Display for AmountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ErrorKind::NotDecimal => "an amount is digits with at most two more after a point, like 12.50",
            ErrorKind::TooPrecise => "an amount has at most two digits after the point",
            ErrorKind::TooLarge => "an amount has at most twelve digits before the point",
            ErrorKind::Zero => "an amount is more than zero",
        })
    }
}

impl core::error::Error for AmountError {}

/// The currencies that PayBy takes.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, DeriveDeserialize)]
pub enum Currency {
    /// The dirham of the United Arab Emirates.
    #[serde(rename = "AED")]
    Aed,
}

impl Currency {
    /// Its ISO 4217 code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aed => "AED",
        }
    }
}

/// An amount and its currency.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, DeriveDeserialize)]
pub struct Money {
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.currency.as_str(), self.amount)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_people_and_payby_write() {
        for (text, fils) in [("1", 100), ("12.5", 1250), ("12.50", 1250), ("0.01", 1), ("007.10", 710)] {
            assert_eq!(text.parse::<Amount>().map(Amount::fils), Ok(fils), "{text}");
        }
        assert_eq!("999999999999.99".parse(), Ok(Amount::MAX));
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, kind) in [
            ("", ErrorKind::NotDecimal),
            ("12.", ErrorKind::NotDecimal),
            (".5", ErrorKind::NotDecimal),
            ("-1", ErrorKind::NotDecimal),
            ("+1", ErrorKind::NotDecimal),
            ("1e2", ErrorKind::NotDecimal),
            ("1,50", ErrorKind::NotDecimal),
            (" 1", ErrorKind::NotDecimal),
            ("١٢", ErrorKind::NotDecimal),
            ("1.234", ErrorKind::TooPrecise),
            ("1000000000000", ErrorKind::TooLarge),
            ("0", ErrorKind::Zero),
            ("0.00", ErrorKind::Zero),
        ] {
            assert_eq!(text.parse::<Amount>(), Err(AmountError { kind }), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(fils in 1..=Amount::MAX.fils()) {
            let amount = Amount::from_fils(fils)?;
            prop_assert_eq!(amount.to_string().parse(), Ok(amount));
            prop_assert_eq!(serde_json::from_str::<Amount>(&serde_json::to_string(&amount).unwrap()).unwrap(), amount);
        }
    }
}
