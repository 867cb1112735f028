//! `sign` = Base64(RSASSA-PKCS1-v1_5 with SHA-256 over the exact bytes of the HTTP body).
//!
//! Keys are RSA with at least 2048 bits, in PEM: private ones as PKCS#8 (`PRIVATE KEY`) or PKCS#1 (`RSA PRIVATE KEY`),
//! public ones as SPKI (`PUBLIC KEY`) or PKCS#1 (`RSA PUBLIC KEY`).

use core::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};

/// The header that carries the signature, in both directions. PayBy's notifications write `Sign`; names fold case.
pub const HEADER: &str = "sign";

/// A private key.
pub struct SigningKey(RsaKeyPair);

impl SigningKey {
    /// Reads a private key in PEM.
    ///
    /// # Errors
    /// Not PEM, not an RSA private key, or fewer than 2048 bits.
    pub fn from_pem(text: &SecretString) -> Result<Self, KeyError> {
        let block = pem::parse(text.expose_secret()).map_err(|_| KeyError::NotPem)?;
        let pair = match block.tag() {
            "PRIVATE KEY" => RsaKeyPair::from_pkcs8(block.contents()),
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(block.contents()),
            tag => return Err(KeyError::WrongTag { found: tag.to_owned(), wanted: "PRIVATE KEY" }),
        };
        let pair = pair.map_err(|rejected| KeyError::Rejected(rejected.to_string()))?;
        if pair.public_modulus_len() < 2048 / 8 {
            return Err(KeyError::TooShort { bits: pair.public_modulus_len() * 8 });
        }
        Ok(Self(pair))
    }

    /// Makes a new 2048-bit key pair: the private key in PKCS#8 PEM and the public key in SPKI PEM.
    ///
    /// # Errors
    /// The platform's random source failed.
    pub fn generate_pem() -> Result<(SecretString, String), KeyError> {
        let failed = |_| KeyError::Rejected("no key could be made".to_owned());
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
        let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(failed)?;
        let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).map_err(failed)?;
        let encode = |tag, der: &[u8]| {
            let lines = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
            pem::encode_config(&pem::Pem::new(tag, der), lines)
        };
        Ok((encode("PRIVATE KEY", private.as_ref()).into(), encode("PUBLIC KEY", public.as_ref())))
    }

    /// The value of the `sign` header for this body.
    ///
    /// # Panics
    /// Never in practice: signing fails only where the signature's buffer has the wrong length.
    #[must_use]
    pub fn sign(&self, body: &[u8]) -> String {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), body, &mut signature)
            .expect("the buffer is as long as the modulus");
        STANDARD.encode(signature)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// A public key.
#[derive(Debug)]
pub struct VerifyingKey(ParsedPublicKey);

impl VerifyingKey {
    /// Reads a public key in PEM.
    ///
    /// # Errors
    /// Not PEM, not an RSA public key, or not 2048 to 8192 bits.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let block = pem::parse(text).map_err(|_| KeyError::NotPem)?;
        if !matches!(block.tag(), "PUBLIC KEY" | "RSA PUBLIC KEY") {
            return Err(KeyError::WrongTag { found: block.tag().to_owned(), wanted: "PUBLIC KEY" });
        }
        // The parser takes shorter keys, with which nothing would ever verify. DER adds less than 50 bytes to a modulus.
        if block.contents().len() < 2048 / 8 {
            return Err(KeyError::TooShort { bits: block.contents().len() * 8 / 512 * 512 });
        }
        ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, block.contents())
            .map(Self)
            .map_err(|rejected| KeyError::Rejected(rejected.to_string()))
    }

    /// Whether `sign` is this key's signature over exactly these bytes.
    ///
    /// # Errors
    /// It is not, or it is not Base64.
    pub fn verify(&self, body: &[u8], sign: &[u8]) -> Result<(), BadSignature> {
        let signature = STANDARD.decode(sign).map_err(|_| BadSignature)?;
        self.0.verify_sig(body, &signature).map_err(|_| BadSignature)
    }
}

/// The signature is missing, unreadable, or not over these bytes by this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSignature;

impl fmt::Display for BadSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the signature does not verify")
    }
}

impl core::error::Error for BadSignature {}

/// Why a key cannot be used. Never holds key material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The text has no PEM block.
    NotPem,
    /// The PEM block holds something else.
    WrongTag {
        /// The tag that the block has.
        found: String,
        /// The tag that is usual here.
        wanted: &'static str,
    },
    /// The key is shorter than PayBy takes.
    TooShort {
        /// Its length.
        bits: usize,
    },
    /// The key does not parse, or is of another kind.
    Rejected(String),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPem => f.write_str("not a PEM file: it should begin with -----BEGIN"),
            Self::WrongTag { found, wanted } => write!(f, "the PEM file holds {found:?}, expected {wanted:?}"),
            Self::TooShort { bits } => write!(f, "the key has about {bits} bits; PayBy takes 2048 and more"),
            Self::Rejected(why) => write!(f, "not a usable RSA key: {why}"),
        }
    }
}

impl core::error::Error for KeyError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (SigningKey, VerifyingKey) {
        let (private, public) = SigningKey::generate_pem().unwrap();
        (SigningKey::from_pem(&private).unwrap(), VerifyingKey::from_pem(&public).unwrap())
    }

    #[test]
    fn a_signature_holds_for_its_bytes_and_no_others() {
        let (signing, verifying) = pair();
        let body = br#"{"requestTime":1,"bizContent":{}}"#.to_vec();
        let sign = signing.sign(&body);
        assert_eq!(verifying.verify(&body, sign.as_bytes()), Ok(()));
        for i in 0..body.len() {
            let mut changed = body.clone();
            changed[i] ^= 1;
            assert_eq!(verifying.verify(&changed, sign.as_bytes()), Err(BadSignature), "byte {i}");
        }
    }

    #[test]
    fn another_keys_signature_and_rubbish_are_refused() {
        let (_, verifying) = pair();
        let (other, _) = pair();
        assert_eq!(verifying.verify(b"body", other.sign(b"body").as_bytes()), Err(BadSignature));
        for sign in ["", "=", "not base64 \u{1F600}", "AAAA"] {
            assert_eq!(verifying.verify(b"body", sign.as_bytes()), Err(BadSignature), "{sign:?}");
        }
    }

    #[test]
    fn a_wrong_key_file_is_named_for_what_it_is() {
        let (private, public) = SigningKey::generate_pem().unwrap();
        assert_eq!(SigningKey::from_pem(&"hello".into()).unwrap_err(), KeyError::NotPem);
        assert_eq!(
            SigningKey::from_pem(&public.into()).unwrap_err().to_string(),
            "the PEM file holds \"PUBLIC KEY\", expected \"PRIVATE KEY\""
        );
        let error = VerifyingKey::from_pem(private.expose_secret()).unwrap_err().to_string();
        assert_eq!(error, "the PEM file holds \"PRIVATE KEY\", expected \"PUBLIC KEY\"");
    }

    #[test]
    fn a_key_of_1024_bits_is_refused() {
        let short = "-----BEGIN PUBLIC KEY-----\n\
            MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC2js3Lnbm/FgEwvGNmuZ1kRxrf\n\
            7e0i3x1hNaZ6f72XAKojCy741w8upf1cmG1pNyRmhwlfaaR3Rx/FlFnyL1lFOmdY\n\
            MlsoIfwbifTgLaHUwuBE2D7fxtIX3vmp2AegfFbqPICnQVO5YTE14Tugbg4Cwnp+\n\
            YLV8ebRWnPgzAimjKQIDAQAB\n\
            -----END PUBLIC KEY-----";
        let error = VerifyingKey::from_pem(short).unwrap_err();
        assert_eq!(error.to_string(), "the key has about 1024 bits; PayBy takes 2048 and more");
    }

    #[test]
    fn a_key_does_not_print_itself() {
        assert_eq!(format!("{:?}", pair().0), "SigningKey(…)");
    }
}
