//! Whole numbers in digits. In a page, the standard formatting machinery would be the larger part of what it is used for.

/// Writes the digits of a number behind `text`.
pub(crate) fn push(text: &mut String, number: u64) {
    if number >= 10 {
        push(text, number / 10);
    }
    text.push(digit(number % 10));
}

/// The digits of a number.
pub(crate) fn text(number: u64) -> String {
    let mut text = String::new();
    push(&mut text, number);
    text
}

/// A digit, 0 to 9.
#[allow(clippy::cast_possible_truncation, reason = "a digit")]
const fn digit(value: u64) -> char {
    (b'0' + value as u8) as char
}

#[cfg(test)]
mod tests {
    #[test]
    fn digits_are_those_of_the_standard_library() {
        for number in [0, 7, 10, 99, 100, 1_234_567_890, u64::MAX] {
            assert_eq!(super::text(number), number.to_string());
        }
    }
}
