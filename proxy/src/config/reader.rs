//! Takes settings out of the merged sources one by one, and notes what is wrong instead of stopping at it.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::str::FromStr;

use config::{Environment, File, FileFormat, Value, ValueKind};
use payby_checkout::time::Millis;

use super::mistake::{Mistake, Mistakes};

const PREFIX: &str = "PAYBY_PROXY";

/// What config calls it.
const ENVIRONMENT: &str = "the environment";

/// The sections. Everything else is a key.
const SECTIONS: [&str; 7] = ["log", "gateway", "database", "alerts", "metrics", "limits", "traces"];

pub(super) struct Reader {
    /// The file's name, as it was given.
    file: Option<String>,
    /// By full key, like `gateway.base_url`.
    values: HashMap<String, Value>,
    /// The keys that somebody has asked for.
    known: BTreeSet<String>,
    mistakes: Vec<Mistake>,
}

impl Reader {
    pub(super) fn open(file: Option<&Path>, environment: HashMap<String, String>) -> Result<Self, Mistakes> {
        let mut builder = config::Config::builder();
        if let Some(file) = file {
            builder = builder.add_source(File::from(file).format(FileFormat::Toml));
        }
        // Without a prefix separator of its own, the one between sections would stand there as well.
        let environment =
            Environment::with_prefix(PREFIX).prefix_separator("_").separator("__").source(Some(environment));
        let merged = builder.add_source(environment).build().map_err(|error| {
            let key = file.map_or_else(|| PREFIX.to_owned(), |file| file.display().to_string());
            Mistakes(vec![Mistake { key, origin: None, what: format!("cannot be read: {error}") }])
        })?;
        let mut values = HashMap::new();
        for (key, value) in merged.cache.into_table().unwrap_or_default() {
            match (SECTIONS.contains(&key.as_str()), value.kind.clone()) {
                (true, ValueKind::Table(section)) => {
                    values.extend(section.into_iter().map(|(name, value)| (format!("{key}.{name}"), value)));
                }
                _ => drop(values.insert(key, value)),
            }
        }
        let file = file.map(|file| file.display().to_string());
        let mut reader = Self { file, values, known: BTreeSet::new(), mistakes: Vec::new() };
        for section in SECTIONS {
            if reader.values.contains_key(section) {
                reader.wrong(section, format!("is a section; write [{section}]"));
                reader.values.remove(section);
            }
        }
        Ok(reader)
    }

    /// Notes what is wrong with this key.
    pub(super) fn wrong(&mut self, key: &str, what: impl Into<String>) {
        let origin = self.values.get(key).and_then(Value::origin).map(|origin| match &self.file {
            // config tells a file's name by another way there.
            Some(file) if origin != ENVIRONMENT => file.clone(),
            _ => origin.to_owned(),
        });
        self.mistakes.push(Mistake { key: key.to_owned(), origin, what: what.into() });
    }

    /// The mistakes so far.
    pub(super) fn mistakes(self) -> Vec<Mistake> {
        self.mistakes
    }

    /// All the mistakes, those of nobody's keys last.
    pub(super) fn finish(mut self) -> Vec<Mistake> {
        let mut unknown: Vec<String> = self.values.keys().filter(|key| !self.known.contains(*key)).cloned().collect();
        unknown.sort();
        for key in unknown {
            let section = |key: &str| key.split_once('.').map(|(section, _)| section.to_owned());
            let is_near = |known: &&str| section(known) == section(&key);
            let near: Vec<&str> = self.known.iter().map(String::as_str).filter(is_near).collect();
            self.wrong(&key, format!("is not a setting; those beside it are {}", near.join(", ")));
        }
        self.mistakes
    }

    /// A text, or `Some(None)` if it is not set.
    #[allow(clippy::option_option, reason = "a mistake and an absence are two things")]
    pub(super) fn maybe_text(&mut self, key: &str) -> Option<Option<String>> {
        self.known.insert(key.to_owned());
        match self.values.get(key).map(|value| value.kind.clone()) {
            None => Some(None),
            Some(ValueKind::String(text)) if text.is_empty() => {
                self.wrong(key, "is empty");
                None
            }
            Some(ValueKind::String(text)) => Some(Some(text)),
            // A member id, written without its quotes.
            Some(ValueKind::I64(number)) => Some(Some(number.to_string())),
            Some(_) => {
                self.wrong(key, "is not a text");
                None
            }
        }
    }

    pub(super) fn text_or(&mut self, key: &str, default: &str) -> Option<String> {
        self.maybe_text(key).map(|text| text.unwrap_or_else(|| default.to_owned()))
    }

    pub(super) fn text(&mut self, key: &str, help: &str) -> Option<String> {
        let text = self.maybe_text(key)?;
        if text.is_none() {
            self.missing(key, help);
        }
        text
    }

    pub(super) fn parsed_or<T: FromStr>(&mut self, key: &str, default: &str, wanted: &str) -> Option<T> {
        let text = self.text_or(key, default)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.wrong(key, format!("is {text:?}; it is {wanted}"));
        }
        parsed
    }

    pub(super) fn millis_or(&mut self, key: &str, default: u64, least: u64, most: u64) -> Option<Millis> {
        self.whole_or(key, default, least, most, "a whole number of milliseconds").map(Millis)
    }

    pub(super) fn number_or(&mut self, key: &str, default: u64, least: u64, most: u64) -> Option<u64> {
        self.whole_or(key, default, least, most, "a whole number")
    }

    fn whole_or(&mut self, key: &str, default: u64, least: u64, most: u64, wanted: &str) -> Option<u64> {
        let text = self.text_or(key, &default.to_string())?;
        match text.parse() {
            Ok(number) if (least..=most).contains(&number) => Some(number),
            _ => {
                self.wrong(key, format!("is {text}; it is {wanted} from {least} to {most}"));
                None
            }
        }
    }

    pub(super) fn list(&mut self, key: &str, help: &str) -> Option<Vec<String>> {
        if !self.values.contains_key(key) {
            self.known.insert(key.to_owned());
            self.missing(key, help);
            return None;
        }
        self.list_or_empty(key)
    }

    /// A list of texts; from the environment, one text with commas.
    pub(super) fn list_or_empty(&mut self, key: &str) -> Option<Vec<String>> {
        self.known.insert(key.to_owned());
        let texts = match self.values.get(key).map(|value| value.kind.clone()) {
            None => Some(Vec::new()),
            Some(ValueKind::String(text)) => {
                Some(text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect())
            }
            Some(ValueKind::Array(items)) => items
                .into_iter()
                .map(|item| if let ValueKind::String(text) = item.kind { Some(text) } else { None })
                .collect(),
            Some(_) => None,
        };
        if texts.is_none() {
            self.wrong(key, "is not a list of texts, like [\"one\", \"two\"]");
        }
        texts
    }

    fn missing(&mut self, key: &str, help: &str) {
        let name = key.to_uppercase().replace('.', "__");
        self.wrong(key, format!("is missing; {help} (in the environment: {PREFIX}_{name})"));
    }
}
