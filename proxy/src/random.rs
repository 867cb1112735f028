//! Unguessable texts, and the hashes under which they are kept. The text of a token or key is never stored.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The SHA-256 of a token or an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The hash of this text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        Self(hash)
    }

    /// Reads 64 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 64 || !bytes.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let mut hash = [0; 32];
        for (byte, index) in hash.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[index..index + 2], 16).ok()?;
        }
        Some(Self(hash))
    }

    /// 64 hexadecimal digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is one of those. Takes as long whichever of them it is, and if it is none.
    #[must_use]
    pub fn is_one_of(&self, hashes: &[Self]) -> bool {
        let equal = |other: &Self| verify_slices_are_equal(&self.0, &other.0).is_ok();
        hashes.iter().fold(false, |found, other| found | equal(other))
    }
}

/// A text of 192 random bits that fits into a URL or a header.
///
/// # Errors
/// The platform's random source failed; there is no weaker one to fall back to.
pub fn secret() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// A name of 128 random bits.
///
/// # Errors
/// The platform's random source failed.
pub fn name() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(hex(&bytes))
}

/// A number for jitter and request ids, where nothing depends on its being unguessable.
#[must_use]
pub fn number() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX / 2)
}

/// Two hexadecimal digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_reads_back_from_its_digits() {
        let hash = Hash::of("abc");
        assert_eq!(hash.to_hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(Hash::from_hex(&hash.to_hex()), Some(hash));
        for rubbish in ["", "ba", &"g".repeat(64), &"0".repeat(63), &"0".repeat(65), &"é".repeat(32)] {
            assert_eq!(Hash::from_hex(rubbish), None, "{rubbish:?}");
        }
    }

    #[test]
    fn a_secret_has_160_random_bits_and_more() {
        let (one, other) = (secret().unwrap(), secret().unwrap());
        assert_eq!(one.len(), 32); // 6 bits each
        assert_ne!(one, other);
    }

    #[test]
    fn a_hash_is_found_among_several() {
        let hashes = [Hash::of("old"), Hash::of("new")];
        assert!(Hash::of("new").is_one_of(&hashes));
        assert!(!Hash::of("neither").is_one_of(&hashes));
        assert!(!Hash::of("any").is_one_of(&[]));
    }
}
