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

/// The value of the check symbol that belongs behind `values`, each below 32.
pub(super) fn check_value(values: &[u8]) -> u8 {
    times_x(values.iter().fold(0, |acc, value| times_x(acc) ^ value))
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

    #[test]
    fn taking_the_check_symbol_in_gives_zero() {
        let values = [0, 1, 9, 31, 17, 4];
        let with_check: Vec<u8> = values.iter().copied().chain([check_value(&values)]).collect();
        assert_eq!(check_value(&with_check), 0);
    }

    #[test]
    fn every_substitution_and_every_swap_is_caught_in_a_number_of_full_length() {
        // 31 symbols is where the promise ends; the longest checked format has 30.
        let mut number: Vec<u8> = (0..30).map(|i| (i * 7 + 3) % 32).collect();
        number.push(check_value(&number));
        for i in 0..number.len() {
            for value in 0..32 {
                let mut wrong = number.clone();
                wrong[i] = value;
                assert_eq!(check_value(&wrong) == 0, wrong == number, "{value} at {i}");
            }
            for j in 0..i {
                let mut wrong = number.clone();
                wrong.swap(i, j);
                assert_eq!(check_value(&wrong) == 0, wrong == number, "{i} with {j}");
            }
        }
    }
}
