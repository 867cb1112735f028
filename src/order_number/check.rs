//! The check symbol, over GF(32) with the primitive polynomial x⁵ + x² + 1.
//!
//! The accumulator starts at 0; for each symbol value `s` it becomes `acc·x ⊕ s`; the check symbol is `acc·x` after
//! the last, so that taking it in as well gives 0. Because x generates all 31 non-zero elements, every single
//! substitution and every swap of two different symbols is caught up to 31 symbols, the check symbol included.

/// Crockford's base 32: no I, L, O or U.
pub(super) const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// `acc·x` in GF(32).
const fn times_x(acc: u8) -> u8 {
    let shifted = acc << 1;
    if shifted & 0b10_0000 == 0 { shifted } else { shifted ^ 0b10_0101 }
}

/// Takes in the values of symbols, each below 32, and knows the check symbol's value.
#[derive(Clone, Copy, Default)]
pub(super) struct Check(u8);

impl Check {
    /// The next symbol.
    pub(super) const fn take_in(&mut self, value: u8) {
        self.0 = times_x(self.0) ^ value;
    }

    /// The value of the check symbol that belongs behind what was taken in.
    pub(super) const fn symbol(self) -> u8 {
        times_x(self.0)
    }
}

/// Zero exactly if `values`, the check symbol among them, hold.
pub(super) fn syndrome(values: &[u8]) -> u8 {
    let mut check = Check::default();
    for value in values {
        check.take_in(*value);
    }
    check.0
}

/// What has to be XORed to the symbol that stands `behind` symbols before the last, and to no other, so that a number with
/// this syndrome holds.
pub(super) const fn correction(syndrome: u8, behind: usize) -> u8 {
    // x³¹ = 1, so that x^-behind = x^(30·behind).
    let mut correction = syndrome;
    let mut left = 30 * behind % 31;
    while left > 0 {
        correction = times_x(correction);
        left -= 1;
    }
    correction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x_generates_every_nonzero_element() {
        let mut powers = vec![1_u8];
        while powers.len() < 31 {
            powers.push(times_x(*powers.last().unwrap()));
        }
        powers.sort_unstable();
        assert_eq!(powers, (1..32).collect::<Vec<u8>>());
    }

    fn with_check(values: &[u8]) -> Vec<u8> {
        let mut check = Check::default();
        for value in values {
            check.take_in(*value);
        }
        values.iter().copied().chain([check.symbol()]).collect()
    }

    #[test]
    fn a_number_with_its_check_symbol_has_no_syndrome() {
        assert_eq!(syndrome(&with_check(&[0, 1, 9, 31, 17, 4])), 0);
    }

    #[test]
    fn every_substitution_and_every_swap_is_caught_in_a_number_of_full_length() {
        // 31 symbols is where the promise ends; the longest checked format has 30.
        let number = with_check(&(0..30).map(|i| (i * 7 + 3) % 32).collect::<Vec<u8>>());
        for i in 0..number.len() {
            for value in 0..32 {
                let mut wrong = number.clone();
                wrong[i] = value;
                assert_eq!(syndrome(&wrong) == 0, wrong == number, "{value} at {i}");
            }
            for j in 0..i {
                let mut wrong = number.clone();
                wrong.swap(i, j);
                assert_eq!(syndrome(&wrong) == 0, wrong == number, "{i} with {j}");
            }
        }
    }

    #[test]
    fn the_correction_at_the_wrong_place_restores_the_number() {
        let number = with_check(&[3, 1, 4, 15, 9, 26, 5, 30]);
        for i in 0..number.len() {
            for error in 1..32 {
                let mut wrong = number.clone();
                wrong[i] ^= error;
                assert_eq!(correction(syndrome(&wrong), number.len() - 1 - i), error, "{error} at {i}");
            }
        }
    }
}
