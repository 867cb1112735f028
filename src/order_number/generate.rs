//! Making order numbers. The clock and the random source are parameters, so every behaviour can be tested.

use super::check::{ALPHABET, Check};
use super::{Format, GenerateError, OrderNumber, Prefix, calendar};
use crate::time::{Millis, UnixMillis};

/// Where the time in a number comes from.
pub trait Clock {
    /// The time now.
    fn now(&mut self) -> UnixMillis;
}

impl<F: FnMut() -> UnixMillis> Clock for F {
    fn now(&mut self) -> UnixMillis {
        self()
    }
}

/// Where the random bits in a number come from: the platform's cryptographic source, and no other.
pub trait RandomSource {
    /// Why the source can fail.
    type Error;

    /// Fills the whole of `bytes`.
    ///
    /// # Errors
    /// The source failed; what `bytes` holds then is not used.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error>;
}

/// Where the `short` format's time begins: 2024-01-01T00:00Z.
pub(super) const SHORT_EPOCH: UnixMillis = UnixMillis(1_704_067_200_000);

/// What the `short` format's time counts.
pub(super) const SHORT_TICK: Millis = Millis::from_secs(30);

/// How many random bytes are fetched at a time.
const BLOCK: usize = 640;

/// Makes order numbers.
///
/// | the clock | the number |
/// |---|---|
/// | goes on | sorts after the ones made at earlier readings of the clock (`short`: in earlier half minutes) |
/// | stands still, or is coarse (100 ms in some browsers) | differs by its fresh random bits; no order within one reading |
/// | steps back | is made from the earlier time: unique by its random bits, sorts where the clock says |
/// | is out of the format's range | is not made: [`GenerateError::ClockOutOfRange`] |
///
/// | format | its clock begins | and ends |
/// |---|---|---|
/// | `standard` | 1970 | 3084 |
/// | `short` | 2024 | 3044 |
/// | `dated` | 1970 | 9999 |
/// | `uuid` | 1970 | 10889 |
///
/// The random bits are fresh for each number: no counter runs in it, so numbers do not tell how many orders a shop has.
/// They are fetched in blocks and wiped as they are used.
///
/// ```
/// use payby_checkout::order_number::{Format, Generator, RandomSource};
/// use payby_checkout::time::UnixMillis;
///
/// struct Os;
/// impl RandomSource for Os {
///     type Error = getrandom::Error;
///     fn fill(&mut self, bytes: &mut [u8]) -> Result<(), getrandom::Error> {
///         getrandom::fill(bytes)
///     }
/// }
///
/// let mut generator = Generator::new(|| UnixMillis(1_763_812_800_000), Os);
/// assert_eq!(generator.generate(Format::Standard, None)?.len(), 25);
/// let dated = generator.generate(Format::Dated, Some(&"SHOP".parse()?))?;
/// assert!(dated.starts_with("SHOP-20251122120000000"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Generator<C, R> {
    clock: C,
    random: R,
    block: [u8; BLOCK],
    /// How many bytes of the block, from its end, have not been used.
    left: usize,
}

impl<C: Clock, R: RandomSource> Generator<C, R> {
    /// A generator over this clock and this random source. Asks neither before the first number.
    pub const fn new(clock: C, random: R) -> Self {
        Self { clock, random, block: [0; BLOCK], left: 0 }
    }

    /// Makes a number.
    ///
    /// # Errors
    /// The random source failed, or the clock is out of the format's range. Both can be tried again.
    pub fn generate(
        &mut self,
        format: Format,
        prefix: Option<&Prefix>,
    ) -> Result<OrderNumber, GenerateError<R::Error>> {
        let mut text = String::with_capacity(format.length());
        let now = self.clock.now();
        self.write(now, format, prefix, &mut text)?;
        Ok(OrderNumber(text.into()))
    }

    /// Makes a number at the time `now` and writes it behind `text`, which it leaves as it was if it fails.
    ///
    /// # Errors
    /// As [`Generator::generate`].
    pub fn write(
        &mut self,
        now: UnixMillis,
        format: Format,
        prefix: Option<&Prefix>,
        text: &mut String,
    ) -> Result<(), GenerateError<R::Error>> {
        match format {
            Format::Standard => self.symbols(text, prefix, standard_time(now), [7, 8]),
            Format::Short => self.symbols(text, prefix, short_time(now), [1, 8]),
            Format::Dated => self.symbols(text, prefix, dated_time(now), [4, 8]),
            Format::Uuid => self.uuid(text, prefix, now),
        }
    }

    /// A checked format: the symbols of the time, as many random ones as `random` says, and the check symbol.
    fn symbols<const TIME: usize>(
        &mut self,
        text: &mut String,
        prefix: Option<&Prefix>,
        time: Option<[u8; TIME]>,
        random: [usize; 2],
    ) -> Result<(), GenerateError<R::Error>> {
        let time = time.ok_or(GenerateError::ClockOutOfRange)?;
        let bits = [self.take::<5>()?, self.take::<5>()?];
        write_prefix(text, prefix);
        let mut check = Check::default();
        let mut push = |value: u8| {
            check.take_in(value);
            text.push(char::from(ALPHABET[usize::from(value)]));
        };
        for value in time {
            push(value);
        }
        for (bits, symbols) in bits.into_iter().zip(random) {
            for place in (0..symbols).rev() {
                push(low_five(bits >> (5 * place)));
            }
        }
        let last = check.symbol();
        text.push(char::from(ALPHABET[usize::from(last)]));
        Ok(())
    }

    fn uuid(
        &mut self,
        text: &mut String,
        prefix: Option<&Prefix>,
        UnixMillis(now): UnixMillis,
    ) -> Result<(), GenerateError<R::Error>> {
        if now >> 48 != 0 {
            return Err(GenerateError::ClockOutOfRange);
        }
        let bits = [self.take::<5>()?, self.take::<5>()?];
        let mut random = [0; 10];
        for (bytes, bits) in random.chunks_mut(5).zip(bits) {
            bytes.copy_from_slice(&bits.to_be_bytes()[3..]);
        }
        write_prefix(text, prefix);
        let uuid = uuid::Builder::from_unix_timestamp_millis(now, &random).into_uuid();
        text.push_str(uuid.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()));
        Ok(())
    }

    /// The next `N` random bytes as an integer; they are wiped from the block.
    fn take<const N: usize>(&mut self) -> Result<u64, GenerateError<R::Error>> {
        if self.left < N {
            self.random.fill(&mut self.block).map_err(GenerateError::Random)?;
            self.left = BLOCK;
        }
        let from = BLOCK - self.left;
        let bytes = &mut self.block[from..from + N];
        let random = bytes.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        bytes.fill(0);
        self.left -= N;
        Ok(random)
    }
}

fn write_prefix(text: &mut String, prefix: Option<&Prefix>) {
    if let Some(prefix) = prefix {
        text.push_str(prefix.as_str());
        text.push('-');
    }
}

fn standard_time(UnixMillis(now): UnixMillis) -> Option<[u8; 9]> {
    (now >> 45 == 0).then(|| core::array::from_fn(|place| low_five(now >> (5 * (8 - place)))))
}

fn short_time(now: UnixMillis) -> Option<[u8; 6]> {
    let ticks = now.0.checked_sub(SHORT_EPOCH.0)? / SHORT_TICK.0;
    (ticks >> 30 == 0).then(|| core::array::from_fn(|place| low_five(ticks >> (5 * (5 - place)))))
}

fn dated_time(now: UnixMillis) -> Option<[u8; calendar::DIGITS]> {
    calendar::to_digits(now)
}

#[allow(clippy::cast_possible_truncation, reason = "the mask leaves five bits")]
const fn low_five(bits: u64) -> u8 {
    (bits & 31) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// Bytes 1, 2, 3, … over and over.
    struct Counting(u8);

    impl RandomSource for Counting {
        type Error = &'static str;

        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), &'static str> {
            for byte in bytes {
                self.0 = self.0.wrapping_add(1);
                *byte = self.0;
            }
            Ok(())
        }
    }

    /// A source that works so many times.
    struct Failing(u32);

    impl RandomSource for Failing {
        type Error = &'static str;

        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), &'static str> {
            bytes.fill(0xA5);
            self.0 = self.0.checked_sub(1).ok_or("unplugged")?;
            Ok(())
        }
    }

    #[test]
    fn numbers_of_one_reading_of_the_clock_differ() {
        for format in Format::ALL {
            let mut generator = Generator::new(|| SHORT_EPOCH, Counting(0));
            let numbers: HashSet<OrderNumber> = (0..64).map(|_| generator.generate(format, None).unwrap()).collect();
            assert_eq!(numbers.len(), 64, "{format:?}");
        }
    }

    #[test]
    fn a_clock_that_steps_back_is_followed() {
        let mut times = [5_000, 4_000].into_iter();
        let mut generator = Generator::new(|| UnixMillis(times.next().unwrap()), Counting(0));
        let first = generator.generate(Format::Standard, None).unwrap();
        let second = generator.generate(Format::Standard, None).unwrap();
        assert!(second < first);
    }

    #[test]
    fn used_random_bytes_are_wiped() {
        let mut generator = Generator::new(|| SHORT_EPOCH, Counting(0));
        for (made, format) in Format::ALL.into_iter().enumerate() {
            generator.generate(format, None).unwrap();
            let used = (made + 1) * 10;
            assert!(generator.block[..used].iter().all(|byte| *byte == 0), "{format:?}");
            assert_ne!(generator.block[used], 0, "{format:?}");
        }
    }

    #[test]
    fn without_a_random_source_no_number_is_made() {
        let mut generator = Generator::new(|| SHORT_EPOCH, Failing(0));
        for _ in 0..2 {
            let error = generator.generate(Format::Standard, None).unwrap_err();
            assert_eq!(error, GenerateError::Random("unplugged"));
            assert_eq!(error.code(), "no_secure_random");
        }
    }

    #[test]
    fn what_a_failing_source_left_behind_is_never_used() {
        let mut generator = Generator::new(|| SHORT_EPOCH, Failing(1));
        let made = (0..100).take_while(|_| generator.generate(Format::Standard, None).is_ok()).count();
        assert_eq!(made, BLOCK / 10);
    }

    #[test]
    fn a_number_that_cannot_be_made_leaves_the_text_as_it_was() {
        let mut text = String::from("before");
        let prefix = "SHOP".parse().unwrap();
        let mut generator = Generator::new(|| SHORT_EPOCH, Failing(0));
        assert!(generator.write(SHORT_EPOCH, Format::Dated, Some(&prefix), &mut text).is_err());
        assert_eq!(text, "before");
    }
}
