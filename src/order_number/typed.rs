//! Reading what a person typed. Forgiving where nothing is lost by it; what is returned is canonical.
//!
//! Taken as they are meant: lower case, O for 0, I and L for 1, and spaces and hyphens between symbols. A prefix ends at the
//! first hyphen and keeps its spelling, which its reader may have to fold.
//!
//! A text is read in one way, which its lengths alone decide: a second way to read it that counted when the first has a typing
//! error would be a second chance for the check symbol to hold.

use super::check::{ALPHABET, correction, syndrome};
use super::error::{ErrorKind, OrderNumberError};
use super::inspect::{time_of, value_of};
use super::{CheckResult, Format, OrderNumber, Prefix};
use crate::time::{Millis, UnixMillis};

/// Numbers from before this moment are not suggested: none was made.
const FIRST: UnixMillis = super::generate::SHORT_EPOCH;

/// How far ahead of the reader's clock a maker's may have been.
const AHEAD: Millis = Millis::from_secs(24 * 60 * 60);

/// Symbols that people mistake for each other, by look, by sound or on a keyboard; each string is a group.
const ALIKE: [&[u8]; 11] = [b"0DQ", b"8B3", b"5S6", b"2Z7", b"17T", b"6G", b"VWY", b"MN", b"CGE", b"PRBDTE", b"4A9"];

impl OrderNumber {
    /// The number of ours that a person typed, in its canonical spelling.
    ///
    /// ```
    /// use payby_checkout::order_number::OrderNumber;
    ///
    /// let number = OrderNumber::read_typed("ikanp yxgo8 5gr38 e1w81 24gkk")?;
    /// assert_eq!(number.as_str(), "1KANPYXG085GR38E1W8124GKK");
    /// # Ok::<(), payby_checkout::order_number::OrderNumberError>(())
    /// ```
    ///
    /// # Errors
    /// `order_number_empty`; `order_number_bad_symbol` for a symbol that none of ours has; `order_number_unknown_format`
    /// for a wrong number of symbols; `order_number_check_failed` for a typing error: [`OrderNumber::suggest`] may help.
    pub fn read_typed(text: &str) -> Result<Self, OrderNumberError> {
        let reading = reading(text)?;
        let number = reading.number();
        match number.inspect().map(|inspection| inspection.check) {
            Some(CheckResult::Valid | CheckResult::None) => Ok(number),
            Some(CheckResult::Invalid) => Err(ErrorKind::CheckFailed.into()),
            None => Err(ErrorKind::UnknownFormat { length: reading.symbols.len() }.into()),
        }
    }

    /// What a person may have meant who typed a number with one wrong symbol: every number of ours that differs in one
    /// symbol, whose check symbol holds, and that was made from 2024 to a day after `now`. The likeliest mistakes come
    /// first. To be asked about, never to be taken without asking.
    ///
    /// Empty if the text is right as it is, or is wrong in another way.
    #[must_use]
    pub fn suggest(text: &str, now: UnixMillis) -> Vec<Self> {
        let Ok(Reading { prefix, symbols }) = reading(text) else { return Vec::new() };
        let Some(format) = Format::checked_of_length(symbols.len()) else { return Vec::new() };
        let mut values: Vec<u8> = symbols.bytes().filter_map(value_of).collect();
        let syndrome = syndrome(&values);
        if syndrome == 0 || values.len() != symbols.len() {
            return Vec::new();
        }
        let (mut likely, mut others) = (Vec::new(), Vec::new());
        for place in 0..values.len() {
            let typed = values[place];
            values[place] ^= correction(syndrome, values.len() - 1 - place);
            if time_of(format, &values).is_some_and(|made| FIRST <= made && made <= now.plus(AHEAD)) {
                let symbols = values.iter().map(|value| char::from(ALPHABET[usize::from(*value)])).collect();
                let number = Reading { prefix: prefix.clone(), symbols }.number();
                if are_alike(typed, values[place]) { &mut likely } else { &mut others }.push(number);
            }
            values[place] = typed;
        }
        likely.append(&mut others);
        likely
    }
}

/// The symbols of a UUID, without its hyphens.
const UUID_SYMBOLS: usize = 32;

/// A text as it is read: with the part before its first hyphen as a prefix, or without a prefix.
struct Reading {
    prefix: Option<Prefix>,
    /// Canonical symbols.
    symbols: String,
}

impl Reading {
    /// Whether it has as many symbols as numbers of one of our formats.
    fn is_as_long_as_ours(&self) -> bool {
        let length = self.symbols.len();
        length == UUID_SYMBOLS || Format::checked_of_length(length).is_some()
    }

    fn number(&self) -> OrderNumber {
        let mut text = String::new();
        if let Some(prefix) = &self.prefix {
            text.push_str(prefix.as_str());
            text.push('-');
        }
        // A UUID is the one format with hyphens, and in lower case.
        if self.symbols.len() == UUID_SYMBOLS {
            for (place, symbol) in self.symbols.bytes().enumerate() {
                if matches!(place, 8 | 12 | 16 | 20) {
                    text.push('-');
                }
                text.push(char::from(symbol.to_ascii_lowercase()));
            }
        } else {
            text.push_str(&self.symbols);
        }
        OrderNumber(text.into())
    }
}

/// The way in which a text is read: what stands before its first hyphen is a prefix if it can be one, unless only the whole is
/// as long as a number of ours.
fn reading(text: &str) -> Result<Reading, OrderNumberError> {
    if text.chars().all(is_separator) {
        return Err(ErrorKind::Empty.into());
    }
    let whole = || symbols(text, 0).map(|symbols| Reading { prefix: None, symbols });
    let Some((before, after)) = text.split_once(is_hyphen) else { return whole() };
    let Ok(prefix) = before.trim().parse() else { return whole() };
    let prefixed = Reading { prefix: Some(prefix), symbols: symbols(after, before.chars().count() + 1)? };
    match whole() {
        Ok(whole) if whole.is_as_long_as_ours() && !prefixed.is_as_long_as_ours() => Ok(whole),
        _ => Ok(prefixed),
    }
}

/// The canonical symbols of a text; `offset` is where it begins in what was typed.
fn symbols(text: &str, offset: usize) -> Result<String, OrderNumberError> {
    let mut symbols = String::new();
    for (position, symbol) in text.chars().enumerate() {
        if is_separator(symbol) {
            continue;
        }
        let meant = match symbol.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            upper => upper,
        };
        if u8::try_from(meant).ok().and_then(value_of).is_none() {
            return Err(ErrorKind::BadSymbol { position: position + offset, symbol }.into());
        }
        symbols.push(meant);
        // Longer than any format: the rest cannot make it one.
        if symbols.len() > super::MAX_LENGTH {
            return Err(ErrorKind::TooLong { length: text.chars().count() }.into());
        }
    }
    Ok(symbols)
}

fn is_separator(symbol: char) -> bool {
    symbol.is_whitespace() || is_hyphen(symbol)
}

/// A hyphen, or one of the dashes that programs make of it.
const fn is_hyphen(symbol: char) -> bool {
    matches!(symbol, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

fn are_alike(a: u8, b: u8) -> bool {
    let [a, b] = [a, b].map(|value| ALPHABET[usize::from(value)]);
    ALIKE.iter().any(|group| group.contains(&a) && group.contains(&b))
}
