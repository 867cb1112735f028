//! Order numbers as a whole: golden vectors, round trips, what the check symbol promises, and what people type.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::convert::Infallible;

use payby_checkout::order_number::{
    CheckResult, Format, Generator, OrderNumber, OrderNumberError, Prefix, RandomSource,
};
use payby_checkout::time::UnixMillis;
use proptest::prelude::*;

const ALPHABET: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const NOW: UnixMillis = UnixMillis(1_763_812_800_000);

/// The same ten bytes over and over: one number's random bits.
struct Fixed([u8; 10]);

impl RandomSource for Fixed {
    type Error = Infallible;

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.chunks_mut(10).for_each(|chunk| chunk.copy_from_slice(&self.0[..chunk.len()]));
        Ok(())
    }
}

fn made(format: Format, prefix: Option<&Prefix>, at: UnixMillis, random: [u8; 10]) -> OrderNumber {
    Generator::new(|| at, Fixed(random)).generate(format, prefix).unwrap()
}

#[test]
fn golden_vectors() {
    let file: serde_json::Value = serde_json::from_str(include_str!("vectors/order-numbers.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert!(vectors.len() > 30);
    for vector in vectors {
        let text = |name: &str| vector[name].as_str().unwrap();
        let format = Format::from_name(text("format")).unwrap();
        let prefix: Option<Prefix> = vector["prefix"].as_str().map(|prefix| prefix.parse().unwrap());
        let at = UnixMillis(vector["unixMs"].as_u64().unwrap());
        let random = u128::from_str_radix(text("random"), 16).unwrap().to_be_bytes();
        let number = made(format, prefix.as_ref(), at, random[6..].try_into().unwrap());
        assert_eq!(number.as_str(), text("orderNumber"), "{vector}");
    }
}

fn any_format() -> impl Strategy<Value = Format> {
    proptest::sample::select(&Format::ALL[..])
}

/// A time that every format can hold.
fn any_time() -> impl Strategy<Value = UnixMillis> {
    (1_704_067_200_000_u64..33_000_000_000_000).prop_map(UnixMillis)
}

fn any_prefix() -> impl Strategy<Value = Option<Prefix>> {
    proptest::option::of("[A-Za-z][A-Za-z0-9]{0,14}".prop_map(|text| text.parse().unwrap()))
}

proptest! {
    #[test]
    fn a_number_tells_how_it_was_made(format in any_format(), prefix in any_prefix(), at in any_time(), random: [u8; 10]) {
        let number = made(format, prefix.as_ref(), at, random);
        let inspection = number.inspect().unwrap();
        prop_assert_eq!(inspection.format, format);
        prop_assert_eq!(inspection.prefix, prefix.as_ref().map(Prefix::as_str));
        let resolution = if format == Format::Short { 30_000 } else { 1 };
        prop_assert_eq!(inspection.made_at.unwrap().0 / resolution, at.0 / resolution);
        prop_assert_eq!(inspection.check, if format == Format::Uuid { CheckResult::None } else { CheckResult::Valid });
        prop_assert_eq!(number.parse::<OrderNumber>().unwrap(), number);
    }

    #[test]
    fn numbers_of_one_format_sort_by_time(format in any_format(), a in any_time(), b in any_time(), x: [u8; 10], y: [u8; 10]) {
        let resolution = if format == Format::Short { 30_000 } else { 1 };
        let times = (a.0 / resolution).cmp(&(b.0 / resolution));
        prop_assume!(times.is_ne());
        prop_assert_eq!(made(format, None, a, x).cmp(&made(format, None, b, y)), times);
    }

    #[test]
    fn typed_input_is_read_as_it_was_meant(format in any_format(), prefix in any_prefix(), at in any_time(), random: [u8; 10], style: u64) {
        let number = made(format, prefix.as_ref(), at, random);
        let (before, symbols) = match &prefix {
            Some(prefix) => number.split_at(prefix.as_str().len() + 1),
            None => ("", number.as_str()),
        };
        let mut typed = before.to_owned();
        for (place, symbol) in symbols.chars().enumerate() {
            let bits = style.rotate_right(u32::try_from(place).unwrap());
            typed.push(match symbol {
                '0' if bits & 1 == 1 => 'o',
                '1' if bits & 0b11 == 0b11 => 'I',
                '1' if bits & 1 == 1 => 'l',
                _ if bits & 1 == 1 => symbol.to_ascii_lowercase(),
                _ => symbol,
            });
            // A hyphen behind a letter that nobody meant as a prefix can make it one.
            let hyphens = prefix.is_some() || typed.starts_with(|first: char| first.is_ascii_digit());
            if bits & 0b1100 == 0b1100 {
                typed.push([' ', '-', '\u{2013}'][if hyphens { usize::try_from(bits % 3).unwrap() } else { 0 }]);
            }
        }
        prop_assert_eq!(OrderNumber::read_typed(&typed).unwrap(), number, "{}", typed);
    }

    #[test]
    fn a_wrong_symbol_is_among_the_suggestions(at in 1_704_067_200_000_u64..NOW.0, random: [u8; 10], place in 0_usize..16, add in 1_usize..32) {
        for format in [Format::Standard, Format::Short, Format::Dated] {
            let number = made(format, None, UnixMillis(at), random);
            let mut symbols: Vec<char> = number.chars().collect();
            let value = ALPHABET.find(symbols[place]).unwrap();
            symbols[place] = ALPHABET.chars().nth((value + add) % 32).unwrap();
            let typed: String = symbols.into_iter().collect();
            prop_assert_eq!(OrderNumber::read_typed(&typed).unwrap_err().code(), "order_number_check_failed");
            let suggestions = OrderNumber::suggest(&typed, NOW);
            prop_assert!(suggestions.contains(&number), "{} {:?}", number, suggestions);
            prop_assert!(suggestions.len() <= format.length());
        }
    }

    #[test]
    fn nothing_that_is_typed_breaks_the_reading(text in ".{0,80}|[0-9A-Za-z -]{0,80}") {
        if let Ok(number) = OrderNumber::read_typed(&text) {
            prop_assert_eq!(OrderNumber::read_typed(&number).unwrap(), number);
        }
        for suggestion in OrderNumber::suggest(&text, NOW) {
            prop_assert_eq!(suggestion.inspect().unwrap().check, CheckResult::Valid);
        }
    }
}

/// The promise of the check symbol, kept to the last case; how many were tried is printed with `--nocapture`.
#[test]
fn every_single_substitution_and_every_swap_is_caught() {
    for format in [Format::Standard, Format::Short, Format::Dated] {
        let (mut tried, mut missed) = (0_u64, 0_u64);
        for seed in 0..200_u64 {
            let mut random = [0; 10];
            random[..8].copy_from_slice(&seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
            let number = made(format, None, UnixMillis(NOW.0 + seed * 86_399_123), random);
            let symbols = number.as_bytes();
            let mut count = |wrong: &[u8]| {
                let wrong: OrderNumber = std::str::from_utf8(wrong).unwrap().parse().unwrap();
                tried += 1;
                missed += u64::from(wrong.inspect().is_some_and(|inspection| inspection.check == CheckResult::Valid));
            };
            for place in 0..symbols.len() {
                for symbol in ALPHABET.bytes().filter(|symbol| *symbol != symbols[place]) {
                    let mut wrong = symbols.to_vec();
                    wrong[place] = symbol;
                    count(&wrong);
                }
                for other in (0..place).filter(|other| symbols[*other] != symbols[place]) {
                    let mut wrong = symbols.to_vec();
                    wrong.swap(place, other);
                    count(&wrong);
                }
            }
        }
        println!("{}: {tried} substitutions and swaps of 200 numbers tried, {missed} missed", format.as_str());
        assert_eq!(missed, 0, "{format:?}");
    }
}

#[test]
fn a_clock_out_of_a_formats_range_makes_no_number() {
    for (format, first, last) in [
        (Format::Standard, 0, (1 << 45) - 1),
        (Format::Short, 1_704_067_200_000, 1_704_067_200_000 + (1 << 30) * 30_000 - 1),
        (Format::Dated, 0, 253_402_300_799_999),
        (Format::Uuid, 0, (1 << 48) - 1),
    ] {
        let try_at = |at: u64| Generator::new(|| UnixMillis(at), Fixed([7; 10])).generate(format, None);
        assert!(try_at(first).is_ok() && try_at(last).is_ok(), "{format:?}");
        assert_eq!(try_at(last + 1).unwrap_err().code(), "clock_out_of_range", "{format:?}");
        if first > 0 {
            assert_eq!(try_at(first - 1).unwrap_err().code(), "clock_out_of_range", "{format:?}");
        }
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    for (typed, code, position) in [
        ("", "order_number_empty", None),
        (" - ", "order_number_empty", None),
        ("1KANPYXG085GR38E1W8124GK", "order_number_unknown_format", None),
        ("1KANPYXG085GR38E1W8124GKKK", "order_number_unknown_format", None),
        ("1KANPYXG085GR38E1W8124GKU", "order_number_bad_symbol", Some(24)),
        ("1KANPYXG085GR38E1W8124GK?", "order_number_bad_symbol", Some(24)),
        ("SHOP-1KANPYXG085GR38E1W8124G\u{1F600}K", "order_number_bad_symbol", Some(28)),
        ("1KANPYXG085GR38E1W8124GKA", "order_number_check_failed", None),
        ("SHOP-1KANPYXG085GR38E1W8124GKA", "order_number_check_failed", None),
        // A number of the right length whose check symbol holds, and that names 31 November.
        ("202511311200000000000000000006", "order_number_unknown_format", None),
        ("019aab6f-7600-4001-8203-040506070809", "order_number_unknown_format", None),
        (&"1".repeat(200), "order_number_too_long", Some(64)),
    ] {
        let error = OrderNumber::read_typed(typed).unwrap_err();
        assert_eq!((error.code(), error.position()), (code, position), "{typed:?}: {error}");
    }
}

/// 9 symbols and the 16 of a short number are as many as a standard number has.
#[test]
fn a_prefix_gives_the_check_symbol_no_second_chance() {
    for (typed, read) in [
        ("JVR0T4HMW-07BB03S71C5CPA18", Err("order_number_check_failed")),
        ("JVR0T4HMW07BB03S71C5CPA18", Ok("JVR0T4HMW07BB03S71C5CPA18")),
        ("JVR0-T4HMW07BB03S71C5CPA18", Ok("JVR0T4HMW07BB03S71C5CPA18")),
        ("MARKETING-01wrv0-40m30e209r", Ok("MARKETING-01WRV040M30E209R")),
        ("abcdefab-7600-7001-8203-040506070809", Ok("abcdefab-7600-7001-8203-040506070809")),
        ("SHOP-1KANPYXG085GR38E1W8124GK", Err("order_number_unknown_format")),
    ] {
        let number = OrderNumber::read_typed(typed);
        assert_eq!(number.as_deref().map_err(OrderNumberError::code), read, "{typed}");
    }
    // Right as it is; all 25 symbols without the hyphen would be a typing error.
    assert_eq!(OrderNumber::suggest("LKANPYXG0-01WRV040M30E209R", NOW), []);
    let error = OrderNumber::read_typed("SHOP-1KANPYXG085GR38E1W8124GK").unwrap_err();
    assert!(error.to_string().contains("without its prefix it has 24 symbols"), "{error}");
}

#[test]
fn suggestions_come_with_the_likeliest_mistake_first() {
    let number = made(Format::Short, None, NOW, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let typed = number.replacen('V', "W", 1);
    let suggestions = OrderNumber::suggest(&typed, NOW);
    assert_eq!(suggestions.first(), Some(&number), "{typed}: {suggestions:?}");
    assert_eq!(OrderNumber::suggest(&number, NOW), []);
}

/// Two digits, as a person writes them.
fn two_digits(value: f64) -> String {
    let written = format!("{value:.1e}");
    let rounded: f64 = written.parse().unwrap();
    if (0.001..1e6).contains(&rounded) { rounded.to_string() } else { written }
}

/// Colliding pairs of a day: in each hour as many ticks as fit, and in each tick a Poisson number n of orders, of which C(n,2)
/// is expected to be half the square of the mean. One hour of the day has ten times the mean rate.
fn colliding_pairs(orders: f64, bits: i32, tick_ms: f64) -> f64 {
    let ticks = 3_600_000.0 / tick_ms;
    let mean = orders / 24.0 / ticks;
    let peak = 10.0 * mean;
    let other = (24.0 - 10.0) / 23.0 * mean;
    ticks * (peak.powi(2) + 23.0 * other.powi(2)) / 2.0 / 2_f64.powi(bits)
}

#[test]
fn the_documented_collisions_are_what_the_formula_gives() {
    let page = include_str!("../docs/order-numbers.md");
    for (format, bits, tick_ms, tick) in [
        (Format::Standard, 75, 1.0, "1 ms"),
        (Format::Short, 45, 30_000.0, "30 s"),
        (Format::Dated, 60, 1.0, "1 ms"),
        (Format::Uuid, 74, 1.0, "1 ms"),
    ] {
        let cells = [1e4, 1e6, 1e8].map(|orders| {
            let pairs = colliding_pairs(orders, bits, tick_ms);
            let years = std::f64::consts::LN_2 / pairs / 365.25;
            let within_ten_years = -(-pairs * 3_652.5).exp_m1();
            format!("{} years, {}", two_digits(years), two_digits(within_ten_years))
        });
        let row = format!("| `{}` | {bits}, {tick} | {} |", format.as_str(), cells.join(" | "));
        assert!(page.contains(&row), "{row}");
    }
}
