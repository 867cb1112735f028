//! Takes settings out of the merged sources one by one, and notes what is wrong instead of stopping at it.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use config::{FileFormat, Format, Value, ValueKind};
use payby_checkout::time::Millis;

use super::files::{Files, on_disk};
use super::mistake::{Mistake, Mistakes};

/// What a setting's name in the environment begins with.
const PREFIX: &str = "PAYBY_PROXY_";

/// Where a setting stands that is in no file.
const ENVIRONMENT: &str = "the environment";

/// The sections. Everything else is a key.
const SECTIONS: [&str; 7] = ["log", "gateway", "database", "alerts", "metrics", "limits", "traces"];

pub(super) struct Reader {
    /// Reads what the settings name.
    pub(super) files: Files,
    /// By full key, like `gateway.base_url`.
    values: HashMap<String, Value>,
    /// The keys that somebody has asked for.
    known: BTreeSet<String>,
    mistakes: Vec<Mistake>,
}

impl Reader {
    pub(super) fn open(file: Option<&Path>, environment: HashMap<String, String>) -> Result<Self, Mistakes> {
        let Some(file) = file else { return Self::parse("", "", environment, on_disk) };
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| cannot_be_read(&name, &error))?;
        Self::parse(&name, &text, environment, on_disk)
    }

    /// Takes the text of the file of that name, and the environment over it.
    pub(super) fn parse(
        name: &str,
        text: &str,
        environment: HashMap<String, String>,
        files: Files,
    ) -> Result<Self, Mistakes> {
        let read = Format::parse(&FileFormat::Toml, Some(&name.to_owned()), text);
        let table = read.map_err(|error| cannot_be_read(name, &without_source(&error.to_string())))?;
        let is_section =
            |key: &str, value: &Value| SECTIONS.contains(&key) && matches!(value.kind, ValueKind::Table(_));
        let (sections, mut values): (HashMap<_, _>, HashMap<_, _>) =
            table.into_iter().partition(|(key, value)| is_section(key, value));
        for (section, table) in sections {
            let keys = table.into_table().unwrap_or_default();
            values.extend(keys.into_iter().map(|(key, value)| (format!("{section}.{key}"), value)));
        }
        for (name, value) in environment {
            if let Some(key) = name.to_uppercase().strip_prefix(PREFIX) {
                let key = key.to_lowercase().replace("__", ".");
                values.insert(key, Value::new(Some(&ENVIRONMENT.to_owned()), value));
            }
        }
        let mut reader = Self { files, values, known: BTreeSet::new(), mistakes: Vec::new() };
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
        let origin = self.values.get(key).and_then(Value::origin).map(str::to_owned);
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
            let section = |key: &str| SECTIONS.into_iter().find(|section| key.split('.').next() == Some(section));
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
                self.wrong(key, format!("is {}; it is {wanted} from {least} to {most}", text.escape_debug()));
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
        self.wrong(key, format!("is missing; {help} (in the environment: {PREFIX}{name})"));
    }
}

fn cannot_be_read(name: &str, why: &dyn fmt::Display) -> Mistakes {
    Mistakes(vec![Mistake { key: name.to_owned(), origin: None, what: format!("cannot be read: {why}") }])
}

/// A parser's message in one line, without the piece of the text that it shows: a secret might stand there.
fn without_source(message: &str) -> String {
    let is_source =
        |line: &&str| line.trim_start_matches(|symbol: char| symbol == ' ' || symbol.is_ascii_digit()).starts_with('|');
    let lines: Vec<&str> = message.lines().filter(|line| !is_source(line)).collect();
    lines.join(": ")
}
