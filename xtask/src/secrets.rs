//! Looks for secrets where none must be: in logs, in answers, in the package (I11). A finding names the file, the line
//! and the kind of secret, and never shows it.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sha2::{Digest as _, Sha256};

/// The words that any private key in PEM begins with.
const PEM_MARK: &str = "PRIVATE KEY";

/// The shortest line of a PEM body that we look for; shorter ones, the last of a key, could be anything.
const PEM_LINE: usize = 32;

/// Texts that must not be found, each with its name.
#[derive(Default)]
pub(crate) struct Secrets {
    texts: Vec<(String, String)>,
    /// Every 32 bytes in a row of the proxy's database: among them the SHA-256 of each checkout token.
    hashes: HashSet<[u8; 32]>,
}

/// How long a checkout token is: 192 bits in base64url.
const TOKEN_LENGTH: usize = 32;

impl Secrets {
    /// Whatever begins a private key.
    pub(crate) fn new() -> Self {
        let mut secrets = Self::default();
        secrets.add("the mark of a private key", PEM_MARK);
        secrets
    }

    /// A text under its name.
    pub(crate) fn add(&mut self, name: &str, text: &str) {
        self.texts.push((name.to_owned(), text.to_owned()));
    }

    /// Every line of a private key's body: whatever is wrapped around them, they stay together.
    pub(crate) fn add_private_key(&mut self, file: &Path) -> Result<()> {
        let pem = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let name = format!("the body of {}", file.file_name().unwrap_or_default().to_string_lossy());
        let before = self.texts.len();
        for line in pem.lines().filter(|line| line.len() >= PEM_LINE && !line.starts_with('-')) {
            self.add(&name, line);
        }
        ensure!(self.texts.len() > before, "{} has no PEM body", file.display());
        Ok(())
    }

    /// Every checkout token of the proxy whose database files these are. One of them is known: if its hash is not there,
    /// the proxy hashes differently, and this search would find nothing.
    pub(crate) fn add_tokens(&mut self, database: &[PathBuf], known: &str) -> Result<()> {
        for file in database {
            let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            self.hashes.extend(bytes.windows(32).filter_map(|window| <[u8; 32]>::try_from(window).ok()));
        }
        ensure!(known.len() == TOKEN_LENGTH, "a checkout token has {} characters, not {TOKEN_LENGTH}", known.len());
        ensure!(self.is_token(known), "the database does not hold the SHA-256 of a token that was just made");
        Ok(())
    }

    /// Whether the database holds the hash of this word.
    fn is_token(&self, word: &str) -> bool {
        let hash: [u8; 32] = Sha256::digest(word.as_bytes()).into();
        self.hashes.contains(&hash)
    }

    /// The names of what is looked for.
    pub(crate) fn names(&self) -> Vec<&str> {
        let names: BTreeSet<_> = self.texts.iter().map(|(name, _)| name.as_str()).collect();
        names.into_iter().collect()
    }

    /// What is found in these files, one line each.
    pub(crate) fn search(&self, files: &[PathBuf]) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for file in files {
            let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
                let line = String::from_utf8_lossy(line);
                let kinds = self.kinds_in(&line);
                found.extend(kinds.iter().map(|kind| format!("{}:{}: {kind}", file.display(), index + 1)));
            }
        }
        Ok(found)
    }

    fn kinds_in(&self, line: &str) -> BTreeSet<&str> {
        let texts = self.texts.iter().filter(|(_, text)| line.contains(text)).map(|(name, _)| name.as_str());
        let mut kinds: BTreeSet<_> = texts.collect();
        let words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
        if !self.hashes.is_empty() && words.filter(|word| word.len() == TOKEN_LENGTH).any(|word| self.is_token(word)) {
            kinds.insert("a checkout token");
        }
        kinds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_by_its_hash_and_other_words_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let (database, log) = (folder.path().join("db"), folder.path().join("log"));
        let token = "abcdefghijklmnopqrstuvwxyz-_0123";
        fs::write(&database, [b"before", &Sha256::digest(token)[..], b"after"].concat()).unwrap();
        let mut secrets = Secrets::new();
        secrets.add_tokens(&[database], token).unwrap();
        fs::write(&log, format!("token=\"{}\"\nBearer {token}, they said\n", "x".repeat(TOKEN_LENGTH))).unwrap();
        let found = secrets.search(std::slice::from_ref(&log)).unwrap();
        assert_eq!(found, [format!("{}:2: a checkout token", log.display())]);
    }

    #[test]
    fn a_key_is_found_without_its_line_breaks() {
        let folder = tempfile::tempdir().unwrap();
        let (key, log) = (folder.path().join("a.pem"), folder.path().join("log"));
        let lines = ["A".repeat(64), "B".repeat(64)];
        fs::write(&key, format!("-----BEGIN X-----\n{}\n-----END X-----\n", lines.join("\n"))).unwrap();
        let mut secrets = Secrets::new();
        secrets.add_private_key(&key).unwrap();
        fs::write(&log, format!("key: {}\\n{}", lines[0], lines[1])).unwrap();
        assert_eq!(
            secrets.search(std::slice::from_ref(&log)).unwrap(),
            [format!("{}:1: the body of a.pem", log.display())]
        );
    }
}
