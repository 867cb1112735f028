//! The symbols, and the check symbol over GF(32) with the primitive polynomial x⁵ + x² + 1.
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

/// `acc·x` to the `power` in GF(32).
const fn times_x_to(power: usize, mut acc: u8) -> u8 {
    let mut left = power;
    while left > 0 {
        acc = times_x(acc);
        left -= 1;
    }
    acc
}

/// Eight symbols of five bits each in their alphabet: a word of 40 bits, the highest first.
///
/// All eight at once: when each was looked up, checked and pushed by itself, a number took 250 ns in Node, of 50 now.
pub(super) const fn spell(word: u64) -> [u8; 8] {
    // The values, each in a byte of its own: halved three times, the higher half to the lower place, where the text begins.
    let word = word >> 20 | (word & 0xF_FFFF) << 32;
    let word = word >> 10 & 0x0000_03FF_0000_03FF | (word & 0x0000_03FF_0000_03FF) << 16;
    let values = word >> 5 & 0x001F_001F_001F_001F | (word & 0x001F_001F_001F_001F) << 8;
    // Digits, then 7 places on to the letters, and one place on at each that is left out: I, L, O, U.
    let text = values + 0x30 * EACH + 7 * at_least(10, values);
    let text = text + at_least(18, values) + at_least(20, values) + at_least(22, values) + at_least(27, values);
    text.to_le_bytes()
}

/// A one in each byte.
const EACH: u64 = 0x0101_0101_0101_0101;

/// A one in each byte where `values` has this value or more. (Both are below 128.)
const fn at_least(value: u64, values: u64) -> u64 {
    (values + (128 - value) * EACH) >> 7 & EACH
}

/// The accumulator after sixteen symbols, in two words.
///
/// Each of its bits is the parity of some of theirs.
#[allow(clippy::cast_possible_truncation, reason = "a bit")]
pub(super) fn sum(high: u64, low: u64) -> u8 {
    let mut sum = 0;
    for [of_high, of_low] in PARITIES {
        sum = sum << 1 | (high & of_high ^ low & of_low).count_ones() as u8 & 1;
    }
    sum
}

/// For each bit of the sum, from the highest: the bits of both words that it is the parity of.
const PARITIES: [[u64; 2]; 5] = {
    let mut parities = [[0; 2]; 5];
    // Bit `b` of the symbol that stands `behind` symbols before the last stands for x^(b + behind).
    let mut behind = 0;
    while behind < 16 {
        let mut bit = 0;
        while bit < 5 {
            let power = times_x_to(behind + bit, 1);
            let mut place = 0;
            while place < 5 {
                parities[4 - place][1 - behind / 8] |= ((power >> place & 1) as u64) << (5 * (behind % 8) + bit);
                place += 1;
            }
            bit += 1;
        }
        behind += 1;
    }
    parities
};

/// What this sum comes to when sixteen more symbols stand behind it, apart from what they add.
pub(super) const fn sixteen_on(sum: u8) -> u8 {
    times_x_to(16, sum)
}

/// The check symbol that belongs behind symbols with this sum.
pub(super) const fn symbol(sum: u8) -> u8 {
    ALPHABET[times_x(sum) as usize]
}

/// Zero exactly if `values`, the check symbol among them, hold.
pub(super) fn syndrome(values: &[u8]) -> u8 {
    values.iter().fold(0, |acc, value| times_x(acc) ^ value)
}

/// What has to be XORed to the symbol that stands `behind` symbols before the last, and to no other, so that a number with
/// this syndrome holds.
pub(super) const fn correction(syndrome: u8, behind: usize) -> u8 {
    // x³¹ = 1, so that x^-behind = x^(30·behind).
    times_x_to(30 * behind % 31, syndrome)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        values.iter().copied().chain([times_x(syndrome(values))]).collect()
    }

    proptest! {
        #[test]
        fn words_are_spelt_and_summed_as_their_symbols(high in 0_u64..1 << 40, low in 0_u64..1 << 40) {
            let values = [high, low].map(|word| [35, 30, 25, 20, 15, 10, 5, 0].map(|place| (word >> place & 31) as u8));
            for (word, values) in [high, low].into_iter().zip(values) {
                prop_assert_eq!(spell(word), values.map(|value| ALPHABET[usize::from(value)]));
            }
            let sum = sum(high, low);
            prop_assert_eq!(sum, syndrome(values.as_flattened()));
            prop_assert_eq!(sixteen_on(sum), syndrome(&[values.as_flattened(), &[0; 16]].concat()));
            prop_assert_eq!(symbol(sum), ALPHABET[usize::from(*with_check(values.as_flattened()).last().unwrap())]);
        }
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
