//! Making order numbers. The clock and the random source are parameters, so every behaviour can be tested.

use super::check::{ALPHABET, check_value};
use super::{GenerateError, OrderNumber};
use crate::time::UnixMillis;

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

/// How many random bytes are fetched at a time.
const BLOCK: usize = 640;

/// Random bytes that one standard number takes: 75 of their 80 bits.
const TAKE: usize = 10;

/// Makes order numbers in the `standard` format.
///
/// | the clock | the number |
/// |---|---|
/// | goes on | sorts after the ones made in earlier milliseconds |
/// | stands still, or is coarse (100 ms in some browsers) | differs by its 75 fresh random bits; no order within the same reading |
/// | steps back | is made from the earlier time: unique by its random bits, sorts where the clock says |
/// | is past the year 3084 | is not made: [`GenerateError::ClockOutOfRange`] |
///
/// The random bits are fresh for each number: no counter runs in it, so numbers do not tell how many orders a shop has.
/// They are fetched in blocks and wiped as they are used.
///
/// ```
/// use payby_checkout::order_number::{Generator, RandomSource};
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
/// let number = generator.generate()?;
/// assert_eq!(number.len(), 25);
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
    /// The random source failed, or the clock is out of range. Both can be tried again.
    pub fn generate(&mut self) -> Result<OrderNumber, GenerateError<R::Error>> {
        let UnixMillis(now) = self.clock.now();
        if now >> 45 != 0 {
            return Err(GenerateError::ClockOutOfRange);
        }
        let random = self.take()?;
        let mut values = [0_u8; 25];
        write_base32(&mut values[..9], u128::from(now));
        write_base32(&mut values[9..24], random);
        values[24] = check_value(&values[..24]);
        Ok(OrderNumber(values.iter().map(|value| char::from(ALPHABET[usize::from(*value)])).collect()))
    }

    /// The next [`TAKE`] random bytes as one integer; they are wiped from the block.
    fn take(&mut self) -> Result<u128, GenerateError<R::Error>> {
        if self.left < TAKE {
            self.random.fill(&mut self.block).map_err(GenerateError::Random)?;
            self.left = BLOCK;
        }
        let from = BLOCK - self.left;
        let bytes = &mut self.block[from..from + TAKE];
        let random = bytes.iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
        bytes.fill(0);
        self.left -= TAKE;
        Ok(random)
    }
}

/// Fills `values` with the low bits of `bits`, five a value, most significant first.
#[allow(clippy::cast_possible_truncation, reason = "the mask leaves five bits")]
fn write_base32(values: &mut [u8], mut bits: u128) {
    for value in values.iter_mut().rev() {
        *value = (bits & 31) as u8;
        bits >>= 5;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// Bytes 0, 1, 2, … over and over.
    struct Counting(u8);

    impl RandomSource for Counting {
        type Error = &'static str;

        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), &'static str> {
            for byte in bytes {
                *byte = self.0;
                self.0 = self.0.wrapping_add(1);
            }
            Ok(())
        }
    }

    struct Broken;

    impl RandomSource for Broken {
        type Error = &'static str;

        fn fill(&mut self, _: &mut [u8]) -> Result<(), &'static str> {
            Err("unplugged")
        }
    }

    #[test]
    fn the_layout_is_as_documented() {
        // Worked out apart from this code: time, then the low 75 of 80 bits, then the check symbol.
        let mut time = [0, 1_763_812_800_000, (1 << 45) - 1].into_iter();
        let mut generator = Generator::new(|| UnixMillis(time.next().unwrap()), Counting(0));
        let numbers: Vec<String> = (0..3).map(|_| generator.generate().unwrap().to_string()).collect();
        assert_eq!(numbers, ["00000000000G40R40M30E209J", "1KANPYXG085GR38E1W8124GKK", "ZZZZZZZZZGAHC5RR34D1P70XK"]);
    }

    #[test]
    fn later_numbers_sort_later() {
        let mut now = 1_763_812_800_000;
        let mut generator = Generator::new(
            move || {
                now += 1;
                UnixMillis(now)
            },
            Counting(77),
        );
        let numbers: Vec<OrderNumber> = (0..1000).map(|_| generator.generate().unwrap()).collect();
        assert!(numbers.is_sorted());
    }

    #[test]
    fn numbers_of_one_millisecond_differ() {
        let mut generator = Generator::new(|| UnixMillis(5), Counting(0));
        let numbers: HashSet<OrderNumber> = (0..64).map(|_| generator.generate().unwrap()).collect();
        assert_eq!(numbers.len(), 64);
    }

    #[test]
    fn used_random_bytes_are_wiped() {
        let mut generator = Generator::new(|| UnixMillis(5), Counting(1));
        generator.generate().unwrap();
        assert_eq!(generator.block[..TAKE], [0; TAKE]);
        assert_ne!(generator.block[TAKE], 0);
    }

    #[test]
    fn without_a_random_source_no_number_is_made() {
        let error = Generator::new(|| UnixMillis(5), Broken).generate().unwrap_err();
        assert_eq!(error, GenerateError::Random("unplugged"));
        assert_eq!(error.code(), "no_secure_random");
    }

    #[test]
    fn a_clock_past_the_range_makes_no_number() {
        let error = Generator::new(|| UnixMillis(1 << 45), Counting(0)).generate().unwrap_err();
        assert_eq!(error, GenerateError::ClockOutOfRange);
    }
}
