//! What is wrong with a configuration, for a person to read.

use std::fmt;

/// One mistake: what, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The key, like `gateway.base_url`.
    pub key: String,
    /// The file or environment in which it stands; `None` if it stands nowhere.
    pub origin: Option<String>,
    /// What is wrong and what to do.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_bare = |symbol: char| symbol.is_alphanumeric() || "_-./".contains(symbol);
        if !self.key.is_empty() && self.key.chars().all(is_bare) {
            f.write_str(&self.key)?;
        } else {
            write!(f, "{:?}", self.key)?;
        }
        if let Some(origin) = &self.origin {
            write!(f, " (in {origin})")?;
        }
        write!(f, " {}", self.what)
    }
}

/// Every mistake in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("the configuration has a mistake:")?,
            count => write!(f, "the configuration has {count} mistakes:")?,
        }
        self.0.iter().try_for_each(|mistake| write!(f, "\n  - {mistake}"))
    }
}

impl std::error::Error for Mistakes {}
