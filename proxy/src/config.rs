//! The settings: read from a TOML file and the environment (which wins), checked at once and in full.
//!
//! A setting's name in the environment is `PAYBY_PROXY_` and its key in capitals, with `__` between a section and a key:
//! `PAYBY_PROXY_GATEWAY__BASE_URL`. Lists are separated by commas there.
//!
//! A mistake never repeats what may be a secret: API keys, passwords, addresses that are called, what key files hold, or a
//! line of a text that cannot be read.

mod files;
mod mistake;
mod operation;
mod reader;

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::HeaderValue;
use payby_checkout::gateway::signature::{SigningKey, VerifyingKey};
use payby_checkout::hop::Policy;
use payby_checkout::time::{Millis, UnixMillis};
use reqwest::Url;
use secrecy::SecretString;

pub use self::files::{Files, NamedFile};
pub use self::mistake::{Mistake, Mistakes};
use self::reader::Reader;
use crate::alerts::Webhook;
use crate::limits::LimitsConfig;
use crate::random::Hash;
use crate::store::Store;
use crate::worker;

/// PayBy's limit for `notifyUrl`.
const MAX_NOTIFY_URL: usize = 200;

/// Where notifications come in, below the public URL.
pub(crate) const NOTIFICATIONS: &str = "/payby/notifications";

/// Everything that the proxy is told before it starts.
#[derive(Debug)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How PayBy reaches the proxy. Without it, the listening address, which only a simulator on this machine reaches.
    pub public_url: Option<String>,
    /// The origins of the shop's pages.
    pub allowed_origins: Vec<HeaderValue>,
    /// The hashes of the keys that shop servers show.
    pub api_keys: Vec<Hash>,
    /// How long a checkout token is good for.
    pub token_lifetime: Millis,
    /// How long an order can be paid, if its purchase does not say.
    pub pay_within: Millis,
    /// The log.
    pub log: LogConfig,
    /// PayBy.
    pub gateway: GatewayConfig,
    /// Where alerts are sent, besides the log.
    pub webhook: Option<Webhook>,
    /// Where `/metrics` is served, if it is.
    pub metrics_listen: Option<SocketAddr>,
    /// How much may be asked.
    pub limits: LimitsConfig,
    /// Where traces are sent, by OTLP over HTTP.
    pub traces: Option<String>,
    /// Where the orders are kept. It may hold a password.
    pub database_url: SecretString,
    /// How often the gateway is asked, and when an order is given up. Not in the file: these are PayBy's rules.
    pub policy: Policy,
    /// How long an order that an instance has taken in hand is out of reach of the others, once that has died. Not in the
    /// file: it follows from the gateway's time-out.
    pub lease: Millis,
    /// Tells the time. Not in the file: for tests.
    pub clock: Clock,
}

/// How to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// One JSON object a line instead of text.
    pub json: bool,
    /// What to log, as `tracing-subscriber`'s `EnvFilter` has it.
    pub filter: String,
}

/// How to reach PayBy, and as whom.
#[derive(Debug)]
pub struct GatewayConfig {
    /// Where its calls begin, without a slash at the end.
    pub base_url: String,
    /// The merchant's member id.
    pub partner_id: String,
    /// What requests are signed with.
    pub private_key: SigningKey,
    /// What answers and notifications are verified with.
    pub payby_public_key: VerifyingKey,
    /// How long to wait for an answer.
    pub timeout: Millis,
}

/// Tells the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> UnixMillis + Send + Sync>);

impl Clock {
    /// A clock that says what this says.
    pub fn new(now: impl Fn() -> UnixMillis + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
        })
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock(…)")
    }
}

impl Config {
    /// Reads and checks the settings, the key files and the database.
    ///
    /// # Errors
    /// Every mistake there is, not only the first.
    pub async fn load(file: Option<&Path>, environment: HashMap<String, String>) -> Result<Self, Mistakes> {
        let mut reader = Reader::open(file, environment)?;
        let database_url = database_url(&mut reader);
        if let Some(url) = &database_url {
            check_database(&mut reader, url).await;
        }
        Self::finish(reader, database_url)
    }

    /// Reads and checks the settings in the text of a file of that name, and the files that they name. It touches no disk of
    /// its own accord, and so it does not open the database.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(name: &str, text: &str, environment: HashMap<String, String>, files: Files) -> Result<Self, Mistakes> {
        let mut reader = Reader::parse(name, text, environment, files)?;
        let database_url = database_url(&mut reader);
        Self::finish(reader, database_url)
    }

    /// The database alone, for who is about to change its tables.
    ///
    /// # Errors
    /// The settings cannot be read.
    pub fn database_url(file: Option<&Path>, environment: HashMap<String, String>) -> Result<SecretString, Mistakes> {
        let mut reader = Reader::open(file, environment)?;
        let url = database_url(&mut reader);
        url.map(SecretString::from).ok_or_else(|| Mistakes(reader.mistakes()))
    }

    /// The URL that PayBy sends notifications to, if the proxy listens there.
    #[must_use]
    pub fn notify_url(&self, address: SocketAddr) -> String {
        match &self.public_url {
            Some(url) => format!("{url}{NOTIFICATIONS}"),
            None => format!("http://{address}{NOTIFICATIONS}"),
        }
    }

    fn finish(mut reader: Reader, database_url: Option<String>) -> Result<Self, Mistakes> {
        let config = Self::read(&mut reader, database_url);
        let mistakes = reader.finish();
        match config {
            Some(config) if mistakes.is_empty() => Ok(config),
            _ => Err(Mistakes(mistakes)),
        }
    }

    /// `None` if there was a mistake; the reader has it.
    fn read(reader: &mut Reader, database_url: Option<String>) -> Option<Self> {
        // Each is read before the first is missed, so that every mistake is found.
        let listen = reader.parsed_or("listen", "127.0.0.1:8200", "an address and a port, like 127.0.0.1:8200");
        let public_url = public_url(reader, listen);
        let allowed_origins = allowed_origins(reader);
        let api_keys = api_keys(reader);
        let token_lifetime = reader.millis_or("token_lifetime_ms", 86_400_000, 60_000, 30 * 86_400_000);
        let pay_within = reader.millis_or("pay_within_ms", 1_800_000, 60_000, 172_800_000);
        let log = log(reader);
        let gateway = gateway(reader);
        let webhook = operation::webhook(reader);
        let metrics_listen = operation::metrics(reader);
        let limits = operation::limits(reader);
        let traces = operation::traces(reader);
        let lease = gateway.as_ref().map(|gateway| gateway.timeout.plus(worker::RESERVE));
        Some(Self {
            listen: listen?,
            public_url: public_url?,
            allowed_origins: allowed_origins?,
            api_keys: api_keys?,
            token_lifetime: token_lifetime?,
            pay_within: pay_within?,
            log: log?,
            gateway: gateway?,
            webhook: webhook?,
            metrics_listen: metrics_listen?,
            limits: limits?,
            traces: traces?,
            database_url: database_url?.into(),
            lease: lease?,
            policy: Policy::TO_GATEWAY,
            clock: Clock::default(),
        })
    }
}

/// The outer `None`: a mistake. The inner: not set, and not needed.
#[allow(clippy::option_option, reason = "a mistake and an absence are two things")]
fn public_url(reader: &mut Reader, listen: Option<SocketAddr>) -> Option<Option<String>> {
    let key = "public_url";
    let Some(text) = reader.maybe_text(key)? else {
        if listen.is_none_or(|listen| listen.ip().is_loopback()) {
            return Some(None);
        }
        reader.wrong(
            key,
            "is missing; PayBy needs it to reach the notifications when `listen` is not a loopback address",
        );
        return None;
    };
    let url = text.trim_end_matches('/').to_owned();
    match Url::parse(&url) {
        Ok(parsed) if !matches!(parsed.scheme(), "http" | "https") => {
            reader.wrong(key, format!("is {text:?}; it should begin with https://"));
        }
        Ok(parsed) if parsed.query().is_some() || parsed.fragment().is_some() => {
            reader.wrong(key, format!("is {text:?}; leave out what follows the path"));
        }
        Ok(_) if url.len() + NOTIFICATIONS.len() > MAX_NOTIFY_URL => {
            reader.wrong(
                key,
                format!("is too long: with {NOTIFICATIONS} behind it PayBy takes {MAX_NOTIFY_URL} characters"),
            );
        }
        Ok(_) => return Some(Some(url)),
        Err(error) => reader.wrong(key, format!("is {text:?}, which is not a URL ({error})")),
    }
    None
}

fn allowed_origins(reader: &mut Reader) -> Option<Vec<HeaderValue>> {
    let key = "allowed_origins";
    let origins = reader.list_or_empty(key)?;
    let mut checked = Vec::new();
    for origin in &origins {
        let parsed = Url::parse(origin).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        match (parsed, HeaderValue::from_str(origin)) {
            _ if origin == "*" => reader.wrong(key, "has \"*\"; name each origin, like https://shop.example"),
            (Some(url), Ok(value)) if url.origin().ascii_serialization() == *origin => checked.push(value),
            (Some(url), _) => {
                let exact = url.origin().ascii_serialization();
                reader
                    .wrong(key, format!("has {origin:?}; an origin has no path and is in lower case: write {exact:?}"));
            }
            _ => reader.wrong(key, format!("has {origin:?}, which is not an origin like https://shop.example")),
        }
    }
    (checked.len() == origins.len()).then_some(checked)
}

fn api_keys(reader: &mut Reader) -> Option<Vec<Hash>> {
    let key = "api_key_sha256";
    let texts = reader.list(key, "make a key with `payby-proxy new-api-key`")?;
    if texts.is_empty() {
        reader.wrong(key, "is empty; make a key with `payby-proxy new-api-key`");
    }
    let mut hashes = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        // The text stays out of the message: it might be a key, put here by mistake.
        match Hash::from_hex(text) {
            Some(hash) => hashes.push(hash),
            None => reader.wrong(
                key,
                format!(
                    "has as number {} something that is not 64 hexadecimal digits; it holds hashes of keys, not keys",
                    index + 1
                ),
            ),
        }
    }
    (!hashes.is_empty() && hashes.len() == texts.len()).then_some(hashes)
}

fn log(reader: &mut Reader) -> Option<LogConfig> {
    let json = match reader.text_or("log.format", "text") {
        Some(format) if format == "text" => Some(false),
        Some(format) if format == "json" => Some(true),
        Some(format) => {
            reader.wrong("log.format", format!("is {format:?}; it is \"text\" or \"json\""));
            None
        }
        None => None,
    };
    let filter = reader.text_or("log.filter", "info")?;
    if let Err(error) = tracing_subscriber::EnvFilter::from_str(&filter) {
        reader.wrong("log.filter", format!("is {filter:?}, which is not a filter ({error})"));
        return None;
    }
    Some(LogConfig { json: json?, filter })
}

fn gateway(reader: &mut Reader) -> Option<GatewayConfig> {
    let base_url = base_url(reader);
    let partner_id = reader.text("gateway.partner_id", "it is the merchant's member id at PayBy");
    let partner_id = partner_id.filter(|id| {
        let fits = (1..=12).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !fits {
            reader.wrong("gateway.partner_id", format!("is {id:?}; a member id has 1 to 12 letters and digits"));
        }
        fits
    });
    let private_key = private_key(reader);
    let payby_public_key = public_key(reader);
    let timeout = reader.millis_or("gateway.timeout_ms", 10_000, 100, 60_000);
    Some(GatewayConfig {
        base_url: base_url?,
        partner_id: partner_id?,
        private_key: private_key?,
        payby_public_key: payby_public_key?,
        timeout: timeout?,
    })
}

fn base_url(reader: &mut Reader) -> Option<String> {
    let key = "gateway.base_url";
    let text = reader
        .text(key, "PayBy's is https://api.payby.com/sgs/api, its test system's https://uat.test2pay.com/sgs/api")?;
    secure_url(reader, key, &text)
}

/// A URL that nobody between here and there can listen to, without a slash at its end.
///
/// The text stays out of the messages: it might hold a password or a token.
fn secure_url(reader: &mut Reader, key: &str, text: &str) -> Option<String> {
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => {
            reader.wrong(key, format!("is not a URL ({error}); it should begin with https://"));
            return None;
        }
    };
    let is_loopback = match url.host_str() {
        Some("localhost") => true,
        Some(host) => host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
        None => false,
    };
    if url.scheme() == "https" || url.scheme() == "http" && is_loopback {
        return Some(text.trim_end_matches('/').to_owned());
    }
    reader.wrong(key, "should begin with https:// (http:// is for loopback addresses only)");
    None
}

fn private_key(reader: &mut Reader) -> Option<SigningKey> {
    let key = "gateway.private_key_file";
    let path = reader.text(key, "it names the merchant's RSA private key, in PEM")?;
    let text = private_file(reader, key, &path)?;
    let parsed = SigningKey::from_pem(&SecretString::from(text));
    parsed.map_err(|error| reader.wrong(key, format!("names {path:?}: {error}"))).ok()
}

/// What a file holds that its owner alone can use.
fn private_file(reader: &mut Reader, key: &str, path: &str) -> Option<String> {
    match (reader.files)(path) {
        Ok(NamedFile { mode: Some(mode), .. }) if mode & 0o077 != 0 => {
            reader.wrong(key, format!("names {path:?}, which others can use (mode {mode:04o}); run chmod 0600 on it"));
            None
        }
        Ok(file) => Some(file.text),
        Err(error) => {
            // The text stays out of the message: it might be the secret itself, put here by mistake.
            reader.wrong(
                key,
                format!("does not name a file that can be read ({error}); names count from the working directory"),
            );
            None
        }
    }
}

fn public_key(reader: &mut Reader) -> Option<VerifyingKey> {
    let key = "gateway.payby_public_key_file";
    let path = reader.text(key, "it names PayBy's RSA public key for this merchant, in PEM")?;
    let read = (reader.files)(&path).map_err(|error| format!("names {path:?}, which cannot be read ({error})"));
    let parsed =
        read.and_then(|file| VerifyingKey::from_pem(&file.text).map_err(|error| format!("names {path:?}: {error}")));
    parsed.map_err(|wrong| reader.wrong(key, wrong)).ok()
}

fn database_url(reader: &mut Reader) -> Option<String> {
    reader.text_or("database.url", "sqlite://payby-proxy.db")
}

async fn check_database(reader: &mut Reader, url: &str) {
    let key = "database.url";
    // The text stays out of the message: it might hold a password.
    match Store::open(url).await {
        Ok(store) => store.close().await,
        Err(error) => reader.wrong(key, format!("names a database that cannot be opened ({error})")),
    }
}

#[cfg(test)]
mod tests;
