//! The key files: two RSA pairs, the merchant's and PayBy's, in PEM.
//!
//! | file | if it is missing |
//! |---|---|
//! | `merchant_public.pem` | taken from the private key, or made with it |
//! | `merchant_private.pem` | made, if `merchant_public.pem` is missing as well; else not needed |
//! | `payby_private.pem` | made, if `payby_public.pem` is missing as well; else an error |
//! | `payby_public.pem` | taken from the private key, or made with it |
//!
//! No file is ever overwritten. Private ones are created for their owner only (mode 0600).

use std::fs::{self, DirBuilder, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use payby_checkout::gateway::signature::{SigningKey, VerifyingKey};
use secrecy::{ExposeSecret as _, SecretString};
use tempfile::Builder;

/// What PayBy needs of the two pairs.
#[derive(Debug)]
pub struct Keys {
    /// Verifies the merchant's calls.
    pub merchant: VerifyingKey,
    /// Signs PayBy's answers and notifications.
    pub payby: SigningKey,
    /// Reads what the merchant has encrypted for PayBy.
    secrets: Pkcs1PrivateDecryptingKey,
}

impl Keys {
    /// Reads the key files of a directory, and makes those that are missing.
    ///
    /// # Errors
    /// A file cannot be read or made, holds no usable key, or the two files of a pair do not belong together. The message
    /// names the file.
    pub fn open(directory: &Path) -> anyhow::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .with_context(|| format!("cannot make the directory {}", directory.display()))?;
        let (_, merchant) = pair(directory, "merchant")?;
        let (payby, _) = pair(directory, "payby")?;
        let file = directory.join("payby_private.pem");
        let payby = payby.with_context(|| {
            format!(
                "{} is missing beside payby_public.pem: without it no answer can be signed. Put it back, or remove \
                 payby_public.pem to have a new pair made.",
                file.display()
            )
        })?;
        let private = SecretString::from(read(&file)?.unwrap_or_default());
        let secrets = decrypting(&private).with_context(|| file.display().to_string())?;
        Ok(Self { merchant, payby, secrets })
    }

    /// What the merchant has encrypted with PayBy's public key (RSAES-PKCS1-v1_5) and written in Base64; nothing, if it
    /// was not.
    #[must_use]
    pub fn decrypt(&self, text: &str) -> Option<String> {
        let ciphertext = STANDARD.decode(text).ok()?;
        let mut plain = vec![0; self.secrets.min_output_size()];
        let plain = self.secrets.decrypt(&ciphertext, &mut plain).ok()?;
        String::from_utf8(plain.to_vec()).ok()
    }
}

fn pair(directory: &Path, whose: &str) -> anyhow::Result<(Option<SigningKey>, VerifyingKey)> {
    let private_file = directory.join(format!("{whose}_private.pem"));
    let public_file = directory.join(format!("{whose}_public.pem"));

    // One missing file at a time, and then another look: a second simulator may be making the same ones.
    let (private, public) = loop {
        match (read(&private_file)?.map(SecretString::from), read(&public_file)?) {
            (None, None) => create(&private_file, SigningKey::generate_pem()?.0.expose_secret(), 0o600)?,
            (Some(private), None) => {
                let public = public_of(&private).with_context(|| private_file.display().to_string())?;
                create(&public_file, &public, 0o644)?;
            }
            (private, Some(public)) => break (private, public),
        }
    };

    let verifying = VerifyingKey::from_pem(&public).with_context(|| public_file.display().to_string())?;
    let signing = private.map(|private| SigningKey::from_pem(&private)).transpose();
    let signing = signing.with_context(|| private_file.display().to_string())?;
    if let Some(signing) = &signing {
        let probe = b"do these two belong together?";
        ensure!(
            verifying.verify(probe, signing.sign(probe).as_bytes()).is_ok(),
            "{} is not the public key of {}",
            public_file.display(),
            private_file.display()
        );
    }
    Ok((signing, verifying))
}

fn decrypting(private: &SecretString) -> anyhow::Result<Pkcs1PrivateDecryptingKey> {
    let pair = rsa_pair(private)?;
    let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair)?;
    Ok(Pkcs1PrivateDecryptingKey::new(PrivateDecryptingKey::from_pkcs8(pkcs8.as_ref())?)?)
}

fn public_of(private: &SecretString) -> anyhow::Result<String> {
    SigningKey::from_pem(private)?; // Says best what is wrong with it.
    let pair = rsa_pair(private)?;
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key())?;
    let lines = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    Ok(pem::encode_config(&pem::Pem::new("PUBLIC KEY", public.as_ref()), lines))
}

fn rsa_pair(private: &SecretString) -> anyhow::Result<RsaKeyPair> {
    let block = pem::parse(private.expose_secret())?;
    Ok(match block.tag() {
        "RSA PRIVATE KEY" => RsaKeyPair::from_der(block.contents())?,
        _ => RsaKeyPair::from_pkcs8(block.contents())?,
    })
}

fn read(file: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => bail!("cannot read {}: {error}", file.display()),
    }
}

/// Makes a file with its whole content and its mode at once, unless it is there by now.
fn create(file: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let make = || {
        let directory = file.parent().unwrap_or(Path::new("."));
        let mut draft = Builder::new().permissions(Permissions::from_mode(mode)).tempfile_in(directory)?;
        draft.write_all(text.as_bytes())?;
        match draft.persist_noclobber(file) {
            Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error),
            Err(_) => Ok(()),
            Ok(_) => {
                tracing::info!("made {}", file.display());
                Ok(())
            }
        }
    };
    make().with_context(|| format!("cannot make {}", file.display()))
}
