//! Order numbers under any input: what they promise, checked against a second, slower way to work it out. Never against the
//! core's own help, which could be wrong in the same way.
//!
//! ```sh
//! cargo install cargo-fuzz
//! cargo fuzz run --fuzz-dir tests/fuzz --sanitizer none order_number -- -max_total_time=600
//! ```
//!
//! (Stable Rust will do: without a sanitizer nothing unstable is asked of it. The core has no unsafe code.)
#![no_main]

use std::convert::Infallible;

use libfuzzer_sys::fuzz_target;
use payby_checkout::order_number::{
    CheckResult, Format, Generator, OrderNumber, OrderNumberError, Prefix, RandomSource,
};
use payby_checkout::time::UnixMillis;

const ALPHABET: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// 2024-01-01, where the suggestions begin.
const FIRST: u64 = 1_704_067_200_000;

/// 2026-11-22, the reader's clock.
const NOW: UnixMillis = UnixMillis(1_795_305_600_000);

const DAY: u64 = 86_400_000;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    takes_exactly_what_paybys_rule_allows(&text);
    prefixes_are_a_letter_and_then_letters_or_digits(&text);
    reads_what_is_typed(&text);
    suggests_what_differs_in_one_symbol(&text);
    if let Some(made) = Made::from_bytes(bytes) {
        made.is_read_back_however_it_is_typed();
        made.survives_no_wrong_symbol();
    }
});

fn takes_exactly_what_paybys_rule_allows(text: &str) {
    let allowed = |symbol: char| matches!(symbol, 'A'..='Z' | 'a'..='z' | '0'..='9' | '-' | '_');
    let symbols = text.chars().count();
    match text.parse::<OrderNumber>() {
        Ok(number) => {
            assert!((1..=64).contains(&symbols) && text.chars().all(allowed));
            assert_eq!(number.to_string(), text);
            if let Some(inspection) = number.inspect() {
                let holds = holds(split(&number).1);
                match inspection.check {
                    CheckResult::Valid => assert!(holds && inspection.made_at.is_some()),
                    CheckResult::Invalid => assert!(!holds),
                    CheckResult::None => assert_eq!(inspection.format, Format::Uuid),
                }
                if inspection.check != CheckResult::Invalid {
                    assert_eq!(OrderNumber::read_typed(text), Ok(number));
                }
            }
        }
        Err(error) => match error.code() {
            "order_number_empty" => assert!(text.is_empty()),
            "order_number_bad_symbol" => {
                assert_eq!(error.position(), text.chars().position(|symbol| !allowed(symbol)));
            }
            "order_number_too_long" => assert!(symbols > 64 && text.chars().all(allowed)),
            code => panic!("{code} is no refusal of PayBy's rule"),
        },
    }
}

fn prefixes_are_a_letter_and_then_letters_or_digits(text: &str) {
    match text.parse::<Prefix>() {
        Ok(prefix) => {
            assert!(is_prefix(text));
            assert_eq!(prefix.to_string(), text);
        }
        Err(error) => {
            assert!(!is_prefix(text));
            assert_eq!(error.code(), "order_number_bad_prefix");
            assert!(error.position().is_some_and(|place| place <= 15 && place <= text.chars().count()));
        }
    }
}

fn reads_what_is_typed(text: &str) {
    match OrderNumber::read_typed(text) {
        Ok(number) => {
            let check = number.inspect().map(|inspection| inspection.check);
            assert!(matches!(check, Some(CheckResult::Valid | CheckResult::None)), "{number}");
            assert_eq!(number.parse().as_ref(), Ok(&number));
            assert_eq!(OrderNumber::read_typed(&number).as_ref(), Ok(&number));
            let (prefix, symbols) = reading(text);
            let (own_prefix, own) = split(&number);
            assert_eq!((own_prefix, own.replace('-', "").to_ascii_uppercase()), (prefix, symbols));
        }
        Err(error) => refuses_with_a_place(text, &error),
    }
}

fn refuses_with_a_place(text: &str, error: &OrderNumberError) {
    let symbols = text.chars().count();
    match (error.code(), error.position()) {
        ("order_number_empty", None) => assert!(text.chars().all(is_separator)),
        ("order_number_unknown_format" | "order_number_check_failed", None) => {}
        ("order_number_bad_symbol", Some(place)) => {
            let symbol = text.chars().nth(place).expect("the place is within the text");
            assert!(!is_separator(symbol) && value(meant(symbol)).is_none());
        }
        ("order_number_too_long", Some(place)) => assert!(place < symbols),
        other => panic!("{other:?} is not documented"),
    }
}

fn suggests_what_differs_in_one_symbol(text: &str) {
    let suggestions = OrderNumber::suggest(text, NOW);
    if OrderNumber::read_typed(text).is_ok() {
        assert_eq!(suggestions, [], "what is right needs no suggestion");
    }
    let (prefix, symbols) = reading(text);
    assert!(suggestions.len() <= symbols.len());
    for (at, suggestion) in suggestions.iter().enumerate() {
        let inspection = suggestion.inspect().expect("one of ours");
        assert_eq!(inspection.check, CheckResult::Valid);
        let made = inspection.made_at.expect("a moment").0;
        assert!((FIRST..=NOW.0 + DAY).contains(&made));
        assert!(!suggestions[..at].contains(suggestion));
        let (own_prefix, own) = split(suggestion);
        assert_eq!((own_prefix, own.len()), (prefix, symbols.len()));
        assert_eq!(own.chars().zip(symbols.chars()).filter(|(a, b)| a != b).count(), 1);
    }
}

/// A number that was made from the fuzzer's bytes, and how somebody types it.
struct Made {
    number: OrderNumber,
    format: Format,
    at: UnixMillis,
    prefix: Option<Prefix>,
    style: u64,
}

/// Random bytes from the fuzzer.
struct Given([u8; 10]);

impl RandomSource for Given {
    type Error = Infallible;

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.chunks_mut(10).for_each(|chunk| chunk.copy_from_slice(&self.0[..chunk.len()]));
        Ok(())
    }
}

impl Made {
    /// One byte for the format, 6 for the time, 8 for the style, 10 random ones, and a prefix.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[format], bytes) = bytes.split_first_chunk::<1>()?;
        let (time, bytes) = bytes.split_first_chunk::<6>()?;
        let (style, bytes) = bytes.split_first_chunk::<8>()?;
        let (random, bytes) = bytes.split_first_chunk::<10>()?;
        let format = Format::ALL[usize::from(format) % Format::ALL.len()];
        let at = UnixMillis(time.iter().fold(0, |time, byte| time << 8 | u64::from(*byte)));
        let prefix = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<Prefix>().ok());
        let made = Generator::new(|| at, Given(*random)).generate(format, prefix.as_ref());
        let fits = match format {
            Format::Standard => at.0 < 1 << 45,
            Format::Short => (FIRST..FIRST + (30_000 << 30)).contains(&at.0),
            Format::Dated => at.0 < 253_402_300_800_000,
            Format::Uuid => true,
        };
        assert_eq!(made.is_ok(), fits);
        let number = made.ok()?;
        let style = u64::from_le_bytes(*style);
        Some(Self { number, format, at, prefix, style })
    }

    fn is_read_back_however_it_is_typed(&self) {
        let inspection = self.number.inspect().expect("one of ours");
        assert_eq!(inspection.format, self.format);
        assert_eq!(inspection.prefix, self.prefix.as_ref().map(Prefix::as_str));
        let resolution = if self.format == Format::Short { 30_000 } else { 1 };
        assert_eq!(inspection.made_at.expect("a moment").0 / resolution, self.at.0 / resolution);
        let typed = self.typed();
        assert_eq!(OrderNumber::read_typed(&typed).as_ref(), Ok(&self.number), "{typed}");
    }

    fn typed(&self) -> String {
        let (before, symbols) = self.number.split_at(self.start());
        let mut typed = before.to_owned();
        for (place, symbol) in symbols.chars().enumerate() {
            let bits = self.style.rotate_right(5 * place as u32);
            typed.push(match symbol {
                '0' if bits & 1 == 1 => ['o', 'O'][(bits >> 1 & 1) as usize],
                '1' if bits & 1 == 1 => ['i', 'I', 'l', 'L'][(bits >> 1 & 3) as usize],
                _ if bits & 2 == 2 => symbol.to_ascii_lowercase(),
                _ => symbol,
            });
            if bits & 0b1_1000 == 0b1_1000 {
                // A hyphen behind a letter that nobody meant as a prefix can make it one.
                let hyphens = self.prefix.is_some() || typed.starts_with(|first: char| first.is_ascii_digit());
                let separators = if hyphens { [' ', '-', '\u{2013}', '\u{A0}'] } else { [' ', '\u{A0}', '\t', '\n'] };
                typed.push(separators[(bits >> 1 & 3) as usize]);
            }
        }
        typed
    }

    fn survives_no_wrong_symbol(&self) {
        if self.format == Format::Uuid {
            return;
        }
        let place = self.start() + (self.style >> 32) as usize % self.format.length();
        let mut typed = self.number.to_string();
        let wrong = (self.style >> 40) as usize % 32;
        typed.replace_range(place..=place, &ALPHABET[wrong..=wrong]);
        if typed == *self.number {
            return;
        }
        let error = OrderNumber::read_typed(&typed).expect_err("the check symbol catches it");
        assert_eq!(error.code(), "order_number_check_failed", "{typed}");
        if self.at.0 >= FIRST {
            let suggestions = OrderNumber::suggest(&typed, self.at);
            assert!(suggestions.contains(&self.number), "{typed}: {suggestions:?}");
        }
    }

    /// Where the number begins behind its prefix.
    fn start(&self) -> usize {
        self.prefix.as_ref().map_or(0, |prefix| prefix.as_str().len() + 1)
    }
}

/// How a text is read, canonical: a prefix and symbols.
fn reading(text: &str) -> (Option<&str>, String) {
    let is_as_long_as_ours = |symbols: &str| [16, 25, 30, 32].contains(&symbols.chars().count());
    let whole = canonical(text);
    match text.split_once(is_hyphen) {
        Some((before, after)) if is_prefix(before.trim()) => {
            let behind = canonical(after);
            let is_prefixed = is_as_long_as_ours(&behind) || !is_as_long_as_ours(&whole);
            if is_prefixed { (Some(before.trim()), behind) } else { (None, whole) }
        }
        _ => (None, whole),
    }
}

/// The prefix of a number of ours, and what stands behind it.
fn split(number: &OrderNumber) -> (Option<&str>, &str) {
    let prefix = number.inspect().expect("one of ours").prefix;
    (prefix, &number[prefix.map_or(0, |prefix| prefix.len() + 1)..])
}

fn is_prefix(text: &str) -> bool {
    text.len() <= 15
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
}

/// What is left of a text without its separators.
fn canonical(text: &str) -> String {
    text.chars().filter(|symbol| !is_separator(*symbol)).map(meant).collect()
}

fn meant(symbol: char) -> char {
    match symbol {
        'o' | 'O' => '0',
        'i' | 'I' | 'l' | 'L' => '1',
        other => other.to_ascii_uppercase(),
    }
}

fn is_separator(symbol: char) -> bool {
    symbol.is_whitespace() || is_hyphen(symbol)
}

fn is_hyphen(symbol: char) -> bool {
    "-\u{2010}\u{2011}\u{2012}\u{2013}\u{2014}\u{2015}\u{2212}".contains(symbol)
}

fn value(symbol: char) -> Option<usize> {
    ALPHABET.find(symbol)
}

/// Whether the sum of each symbol times xⁿ, n symbols from the end, is zero: by multiplying out polynomials, bit by bit.
fn holds(symbols: &str) -> bool {
    let mut sum = 0;
    for (behind, symbol) in symbols.chars().rev().enumerate() {
        let Some(value) = value(symbol) else { return false };
        let mut product = (value as u64) << (behind % 31);
        for bit in (5..36).rev() {
            if product >> bit & 1 == 1 {
                product ^= 0b10_0101 << (bit - 5);
            }
        }
        sum ^= product;
    }
    sum == 0
}
