//! What can be wrong with an order number, in words that a support agent understands.

use core::fmt;

use crate::decimal;

/// Why a string is not an order number by PayBy's rule, not one of ours, or not a prefix of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderNumberError {
    kind: ErrorKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    Empty,
    TooLong { length: usize },
    BadSymbol { position: usize, symbol: char },
    BadPrefix { position: usize },
    UnknownFormat { length: usize },
    CheckFailed,
}

impl OrderNumberError {
    /// A stable name for programs: `order_number_` and one of `empty`, `too_long`, `bad_symbol`, `bad_prefix`,
    /// `unknown_format`, `check_failed`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self.kind {
            ErrorKind::Empty => "order_number_empty",
            ErrorKind::TooLong { .. } => "order_number_too_long",
            ErrorKind::BadSymbol { .. } => "order_number_bad_symbol",
            ErrorKind::BadPrefix { .. } => "order_number_bad_prefix",
            ErrorKind::UnknownFormat { .. } => "order_number_unknown_format",
            ErrorKind::CheckFailed => "order_number_check_failed",
        }
    }

    /// The first offending symbol, counted in characters from 0.
    #[must_use]
    pub const fn position(&self) -> Option<usize> {
        match self.kind {
            ErrorKind::Empty | ErrorKind::UnknownFormat { .. } | ErrorKind::CheckFailed => None,
            ErrorKind::TooLong { .. } => Some(super::MAX_LENGTH),
            ErrorKind::BadSymbol { position, .. } | ErrorKind::BadPrefix { position } => Some(position),
        }
    }
}

impl From<ErrorKind> for OrderNumberError {
    fn from(kind: ErrorKind) -> Self {
        Self { kind }
    }
}

impl OrderNumberError {
    /// What `Display` shows. (Put together by hand: formatting machinery is the larger part of what it would cost a page.)
    pub(crate) fn message(&self) -> String {
        let push = |text: &mut String, count: usize| decimal::push(text, count as u64);
        let mut message = String::from("an order number ");
        match &self.kind {
            ErrorKind::Empty => message.push_str("is empty: it needs 1 to 64 symbols"),
            ErrorKind::TooLong { length } => {
                message.push_str("has ");
                push(&mut message, *length);
                message.push_str(" symbols: at most 64 are allowed");
            }
            ErrorKind::BadSymbol { position, symbol } => {
                message.push_str("has '");
                // Control characters are escaped, letters of any script are shown as they are.
                if symbol.is_control() {
                    message.extend(symbol.escape_default());
                } else {
                    message.push(*symbol);
                }
                message.push_str("' at position ");
                push(&mut message, *position);
                message.push_str(": only A-Z, a-z, 0-9, - and _ are allowed");
            }
            ErrorKind::BadPrefix { position } => {
                message.push_str("has a prefix that is wrong at position ");
                push(&mut message, *position);
                message.push_str(": it is a letter and then at most 14 letters or digits");
            }
            ErrorKind::UnknownFormat { length } => {
                message.push_str("of no known format: without its prefix it has ");
                push(&mut message, *length);
                message.push_str(" symbols, and ours have 25, 16 or 30, or are UUIDs of version 7");
            }
            ErrorKind::CheckFailed => message.push_str("has a typing error: its check symbol does not hold"),
        }
        message
    }
}

impl fmt::Display for OrderNumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl core::error::Error for OrderNumberError {}

/// Why no order number could be made. Nothing weaker is ever made in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GenerateError<E> {
    /// The platform's secure random source failed.
    Random(E),
    /// The clock is outside the years that the format can hold.
    ClockOutOfRange,
}

impl<E> GenerateError<E> {
    /// A stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Random(_) => "no_secure_random",
            Self::ClockOutOfRange => "clock_out_of_range",
        }
    }
}

impl<E> GenerateError<E> {
    /// What `Display` shows, up to the platform's own words.
    pub(crate) const fn message(&self) -> &'static str {
        match self {
            Self::Random(_) => "there is no secure random source for an order number",
            Self::ClockOutOfRange => "the clock is outside the years that this format of order numbers can hold",
        }
    }
}

impl<E: fmt::Display> fmt::Display for GenerateError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())?;
        if let Self::Random(error) = self { write!(f, ": {error}") } else { Ok(()) }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for GenerateError<E> {}
