//! The proxy's settings, under any text and environment: taken, or refused with every mistake named in a line of its own; and
//! where a secret may stand, no mistake repeats it.
//!
//! ```sh
//! cargo fuzz run --fuzz-dir tests/fuzz --sanitizer none configuration -- -max_total_time=600
//! ```
#![no_main]

use std::collections::HashMap;
use std::io;
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use payby_checkout::gateway::signature::SigningKey;
use payby_checkout_fuzz::{Changes, Word};
use payby_proxy::Config;
use payby_proxy::config::{Mistakes, NamedFile};
use secrecy::ExposeSecret as _;

const TEXT: &str = r#"listen = §"127.0.0.1:8200"§
public_url = §"https://pay.shop.example"§
allowed_origins = §["https://shop.example"]§
api_key_sha256 = §["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"]§
token_lifetime_ms = §86_400_000§
pay_within_ms = §1_800_000§
[log]
format = §"text"§
filter = §"info"§
[gateway]
base_url = §"https://uat.test2pay.com/sgs/api"§
partner_id = §"200000000001"§
private_key_file = §"private.pem"§
payby_public_key_file = §"public.pem"§
timeout_ms = §10_000§
[database]
url = §"sqlite://payby-proxy.db"§
[alerts]
webhook_url = §"https://shop.example/alerts"§
webhook_secret_file = §"secret"§
[metrics]
listen = §"127.0.0.1:8201"§
[limits]
token_per_second = §5§
token_burst = §100§
address_per_second = §50§
address_burst = §500§
overall_per_second = §1_000§
overall_burst = §2_000§
parked_requests = §10_000§
trusted_proxies = §["10.0.0.0/8"]§
"#;

/// It stands in values, in files and behind mistakes; in lower case, because hosts are told so.
const SECRET: &str = "s3cr3t0f7h3sh0p";

/// The settings that hold no secret, so that a mistake may repeat them.
const PUBLIC: &str = "\
    listen public_url allowed_origins token_lifetime_ms pay_within_ms log.format log.filter gateway.partner_id \
    gateway.payby_public_key_file gateway.timeout_ms metrics.listen limits.token_per_second limits.token_burst \
    limits.address_per_second limits.address_burst limits.overall_per_second limits.overall_burst \
    limits.parked_requests limits.trusted_proxies";

const WORDS: &str = r#"
"s3cr3t0f7h3sh0p"§"s3cr3t0f7h3sh0p§["s3cr3t0f7h3sh0p"]§["s3cr3t0f7h3sh0p", 1]§s3cr3t0f7h3sh0p§
"postgres://me:s3cr3t0f7h3sh0p@db/x§"http://me:s3cr3t0f7h3sh0p@shop.example/"§"http://shop.example/s3cr3t0f7h3sh0p"§
"https://[s3cr3t0f7h3sh0p/"§'''s3cr3t0f7h3sh0p§1
"s3cr3t0f7h3sh0p" = "s3cr3t0f7h3sh0p"§
1
[s3cr3t0f7h3sh0p]
x = 's3cr3t0f7h3sh0p'§""§[]§{}§{ a = 1 }§true§nan§-1§0§0.5§9223372036854775808§1979-05-27§
"\u0000"§"a\nb"§1
"" = 2§1
"a\nb" = 2§1
"x[99999]" = 2§"rubbish"§"open"§"absent"§"private.pem"§"public.pem"§"secret"§
"0.0.0.0:8200"§"[::1]:0"§"*"§"http://localhost"§"HTTPS://Shop.Example:443/?a#b"§"info,[{a=~(}]=x"§"x[y{z=1}]=trace"§
"json"§7§60000§"::/0"§["10.0.0.1", "here"]§sqlite://x.db§[[§""""#;

/// The settings' names in the environment; some are nobody's.
const NAMES: &str = "\
    LISTEN PUBLIC_URL ALLOWED_ORIGINS API_KEY_SHA256 TOKEN_LIFETIME_MS LOG__FILTER GATEWAY GATEWAY__BASE_URL \
    GATEWAY__PARTNER_ID GATEWAY__PRIVATE_KEY_FILE GATEWAY__TIMEOUT_MS DATABASE__URL ALERTS__WEBHOOK_URL \
    ALERTS__WEBHOOK_SECRET_FILE TRACES__ENDPOINT LIMITS__TRUSTED_PROXIES LIMITS__ GATEWAY__BASE__URL LISTNE FOO__BAR \
    _ __ X[99999] X[-9223372036854775808] X.Y";

/// What stands in the environment under one name.
#[derive(Arbitrary, Debug)]
struct Variable {
    name: u8,
    value: Word,
}

fuzz_target!(|given: (Changes, Vec<Variable>)| {
    let (changes, variables) = given;
    let text = String::from_utf8_lossy(&changes.made_to(TEXT, WORDS)).into_owned();
    let names: Vec<&str> = NAMES.split(' ').collect();
    let name = |variable: &Variable| format!("PAYBY_PROXY_{}", names[usize::from(variable.name) % names.len()]);
    let environment: HashMap<String, String> =
        variables.iter().map(|variable| (name(variable), variable.value.text(WORDS))).collect();
    let read = || Config::parse("proxy.toml", &text, environment.clone(), files);
    match read() {
        Ok(config) => takes_only_what_can_be_used(&config),
        Err(mistakes) => {
            assert!(!changes.are_none() || !variables.is_empty(), "what is right is taken: {mistakes}");
            names_each_mistake_once_and_in_a_line(&mistakes);
            repeats_no_secret(&mistakes);
            assert_eq!(read().err(), Some(mistakes), "the same text has the same mistakes");
        }
    }
});

fn takes_only_what_can_be_used(config: &Config) {
    let is_safe =
        |url: &str| url.to_ascii_lowercase().starts_with("https:") || url.to_ascii_lowercase().starts_with("http:");
    assert!(is_safe(&config.gateway.base_url) && !config.gateway.base_url.ends_with('/'));
    assert!((60_000..=172_800_000).contains(&config.pay_within.0));
    assert!((1..=12).contains(&config.gateway.partner_id.len()));
    assert!(!config.api_keys.is_empty());
    assert!(config.allowed_origins.iter().all(|origin| origin != "*"));
    assert!(config.public_url.is_some() || config.listen.ip().is_loopback());
    assert!(config.notify_url(config.listen).chars().count() <= 200);
}

fn names_each_mistake_once_and_in_a_line(mistakes: &Mistakes) {
    assert!(!mistakes.0.is_empty());
    assert_eq!(mistakes.to_string().lines().count(), 1 + mistakes.0.len(), "{mistakes}");
    for mistake in &mistakes.0 {
        assert!(mistake.what.len() >= "is empty".len() && !mistake.what.ends_with([' ', ':', ';', ',']), "{mistake}");
    }
}

fn repeats_no_secret(mistakes: &Mistakes) {
    for mistake in mistakes.0.iter().filter(|mistake| !PUBLIC.split(' ').any(|key| key == mistake.key)) {
        assert!(!mistake.what.to_lowercase().contains(SECRET), "{mistake}");
    }
}

/// The files that are named.
fn files(path: &str) -> io::Result<NamedFile> {
    static PAIR: LazyLock<(String, String)> = LazyLock::new(|| {
        let (private, public) = SigningKey::generate_pem().expect("a key");
        (private.expose_secret().to_owned(), public)
    });
    let (text, mode) = match path {
        "private.pem" => (PAIR.0.clone(), 0o600),
        "public.pem" => (PAIR.1.clone(), 0o644),
        "secret" => (SECRET.repeat(3), 0o600),
        "open" => (SECRET.repeat(3), 0o640),
        "rubbish" => (format!("-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----"), 0o600),
        _ => return Err(io::ErrorKind::NotFound.into()),
    };
    Ok(NamedFile { text, mode: Some(mode) })
}
