//! Making order numbers. The clock and the random source are parameters, so every behaviour can be tested.

use super::check::{self, spell};
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

/// The random bytes that a number takes.
const RANDOM: usize = 10;

/// For how many numbers random bytes are fetched at a time. A fetch takes 1.5 µs in Node, however little it fetches: 24 ns a
/// number if it is for 64 of them, 7 ns if it is for 256.
const POOL: usize = 256;

/// The symbols of four words, and the check symbol.
const LINE: usize = 33;

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
/// They are fetched for many numbers at a time, and wiped as they are used.
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
    pool: [[u8; RANDOM]; POOL],
    /// How many of the pool, from its beginning, have not been used.
    left: usize,
}

impl<C: Clock, R: RandomSource> Generator<C, R> {
    /// A generator over this clock and this random source. Asks neither before the first number.
    pub const fn new(clock: C, random: R) -> Self {
        Self { clock, random, pool: [[0; RANDOM]; POOL], left: 0 }
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
        let now = self.clock.now();
        Ok(OrderNumber(self.generate_many(now, format, prefix, 1)?.into()))
    }

    /// Makes `count` numbers at the time `now`, and answers them one behind the other; they are of one length.
    ///
    /// # Errors
    /// As [`Generator::generate`].
    pub fn generate_many(
        &mut self,
        now: UnixMillis,
        format: Format,
        prefix: Option<&Prefix>,
        count: usize,
    ) -> Result<String, GenerateError<R::Error>> {
        let (time, random_in_third) = match format {
            Format::Standard => (standard_time(now), 0x7_FFFF_FFFF),
            Format::Short => (short_time(now), 0x1F),
            Format::Dated => (dated_time(now), 0xF_FFFF),
            // It has no symbols.
            Format::Uuid => ((now.0 >> 48 == 0).then_some([0; 3]), 0),
        };
        let [first, second, third] = time.ok_or(GenerateError::ClockOutOfRange)?;
        // Every number is written over the one before it, a word at a time, and copied once: with a copy for each word it took
        // 64 ns in Node, of 50 now.
        let mut line = [spell(first), spell(second), [0; 8], [0; 8], [0; 8]];
        let own = (LINE - format.length().min(LINE))..LINE;
        let before = check::sixteen_on(check::sum(first, second));
        let length = prefix.map_or(0, |prefix| prefix.as_str().len() + 1) + format.length();
        let mut text = Vec::with_capacity(count * length);
        for _ in 0..count {
            let [high, low] = self.take()?;
            if let Some(prefix) = prefix {
                text.extend_from_slice(prefix.as_str().as_bytes());
                text.push(b'-');
            }
            if format == Format::Uuid {
                write_uuid(&mut text, now, [high, low]);
                continue;
            }
            let third = third | high & random_in_third;
            line[2] = spell(third);
            line[3] = spell(low);
            line[4][0] = check::symbol(before ^ check::sum(third, low));
            text.extend_from_slice(&line.as_flattened()[own.clone()]);
        }
        // It is ASCII. (An `expect` would bring the error's formatting into the page.)
        Ok(String::from_utf8(text).unwrap_or_default())
    }

    /// The next 80 random bits, as two words of 40; they are wiped from the pool.
    fn take(&mut self) -> Result<[u64; 2], GenerateError<R::Error>> {
        if self.left == 0 {
            self.random.fill(self.pool.as_flattened_mut()).map_err(GenerateError::Random)?;
            self.left = POOL;
        }
        self.left -= 1;
        let [eight @ .., ninth, tenth] = core::mem::take(&mut self.pool[self.left]);
        let (eight, two) = (u64::from_be_bytes(eight), u16::from_be_bytes([ninth, tenth]));
        Ok([eight >> 24, (eight & 0xFF_FFFF) << 16 | u64::from(two)])
    }
}

/// Writes a UUID of version 7.
fn write_uuid(text: &mut Vec<u8>, UnixMillis(now): UnixMillis, random: [u64; 2]) {
    let mut bytes = [0; RANDOM];
    for (bytes, bits) in bytes.chunks_mut(5).zip(random) {
        bytes.copy_from_slice(&bits.to_be_bytes()[3..]);
    }
    let uuid = uuid::Builder::from_unix_timestamp_millis(now, &bytes).into_uuid();
    text.extend_from_slice(uuid.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()).as_bytes());
}

/// The time in the three words before the last, with as much room at its end as there are random bits above the last 40.
type Time = Option<[u64; 3]>;

fn standard_time(UnixMillis(now): UnixMillis) -> Time {
    (now >> 45 == 0).then_some([0, now >> 5, (now & 31) << 35])
}

fn short_time(now: UnixMillis) -> Time {
    let ticks = now.0.checked_sub(SHORT_EPOCH.0)? / SHORT_TICK.0;
    (ticks >> 30 == 0).then_some([0, 0, ticks << 5])
}

fn dated_time(now: UnixMillis) -> Time {
    let word = |digits: &[u8]| digits.iter().fold(0, |word, digit| word << 5 | u64::from(*digit));
    let digits = calendar::to_digits(now)?;
    Some([word(&digits[..5]), word(&digits[5..13]), word(&digits[13..]) << 20])
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
            let (unused, used) = generator.pool.split_at(POOL - made - 1);
            assert!(used.iter().all(|bytes| *bytes == [0; RANDOM]), "{format:?}");
            assert!(unused.iter().all(|bytes| *bytes != [0; RANDOM]), "{format:?}");
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
        let made = (0..2 * POOL).take_while(|_| generator.generate(Format::Standard, None).is_ok()).count();
        assert_eq!(made, POOL);
    }

    #[test]
    fn numbers_made_together_are_those_made_one_by_one() {
        let prefix = "SHOP".parse().unwrap();
        for (format, prefix) in Format::ALL.into_iter().flat_map(|format| [(format, None), (format, Some(&prefix))]) {
            let mut generator = Generator::new(|| SHORT_EPOCH, Counting(0));
            let one_by_one: String =
                (0..600).map(|_| generator.generate(format, prefix).unwrap().to_string()).collect();
            let together = Generator::new(|| SHORT_EPOCH, Counting(0)).generate_many(SHORT_EPOCH, format, prefix, 600);
            assert_eq!(together.unwrap(), one_by_one, "{format:?}");
        }
    }

    #[test]
    fn numbers_made_together_are_all_made_or_none() {
        let mut generator = Generator::new(|| SHORT_EPOCH, Failing(1));
        assert!(generator.generate_many(SHORT_EPOCH, Format::Standard, None, POOL + 1).is_err());
    }
}
