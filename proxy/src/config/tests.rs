//! Every mistake is named with its place and its remedy, all at once.

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        let (private, public) = SigningKey::generate_pem().unwrap();
        files.write("private.pem", secrecy::ExposeSecret::expose_secret(&private), 0o600);
        files.write("public.pem", &public, 0o644);
        files
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = PathBuf::from(self.path(name));
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        path
    }

    /// Settings without a mistake.
    fn good(&self) -> HashMap<String, String> {
        [
            ("API_KEY_SHA256", Hash::of("key").to_hex()),
            ("GATEWAY__BASE_URL", "https://uat.test2pay.com/sgs/api/".to_owned()),
            ("GATEWAY__PARTNER_ID", "200000000001".to_owned()),
            ("GATEWAY__PRIVATE_KEY_FILE", self.path("private.pem")),
            ("GATEWAY__PAYBY_PUBLIC_KEY_FILE", self.path("public.pem")),
            ("DATABASE__URL", format!("sqlite://{}", self.path("proxy.db"))),
        ]
        .into_iter()
        .map(|(name, value)| (format!("PAYBY_PROXY_{name}"), value))
        .collect()
    }
}

#[tokio::test]
async fn the_environment_alone_is_enough_and_the_rest_has_defaults() {
    let files = Files::new();
    let config = Config::load(None, files.good()).await.unwrap();
    assert_eq!(config.listen, "127.0.0.1:8200".parse().unwrap());
    assert_eq!(config.gateway.base_url, "https://uat.test2pay.com/sgs/api");
    assert_eq!(config.gateway.timeout, Millis(10_000));
    assert_eq!((config.token_lifetime, config.pay_within), (Millis(86_400_000), Millis(1_800_000)));
    assert_eq!(config.log, LogConfig { json: false, filter: "info".to_owned() });
    assert!(config.allowed_origins.is_empty());
    assert_eq!(config.notify_url("127.0.0.1:9".parse().unwrap()), "http://127.0.0.1:9/payby/notifications");
}

#[tokio::test]
async fn the_environment_wins_over_the_file() {
    let files = Files::new();
    let text = "allowed_origins = [\"https://one.example\", \"https://two.example\"]\npay_within_ms = 60000\n\
                token_lifetime_ms = 60_000\n[gateway]\npartner_id = 7";
    let file = files.write("proxy.toml", text, 0o644);
    let mut environment = files.good();
    environment.insert("PAYBY_PROXY_TOKEN_LIFETIME_MS".to_owned(), "61000".to_owned());
    environment.insert("SOMETHING_ELSE".to_owned(), "x".to_owned());
    environment.remove("PAYBY_PROXY_GATEWAY__PARTNER_ID");
    let config = Config::load(Some(&file), environment).await.unwrap();
    assert_eq!(config.allowed_origins, ["https://one.example", "https://two.example"]);
    assert_eq!((config.pay_within, config.token_lifetime), (Millis(60_000), Millis(61_000)));
    assert_eq!(config.gateway.partner_id, "7");
}

#[tokio::test]
async fn the_example_has_no_mistake_but_its_missing_files() {
    let files = Files::new();
    let example = include_str!("../../payby-proxy.example.toml");
    // What is commented out there is a setting as well: it stands alone in its line, a key and its value.
    let is_setting = |line: &str| line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
    let uncommented = |line: &str| line.strip_prefix("# ").filter(|line| is_setting(line)).unwrap_or(line).to_owned();
    let everything: Vec<String> = example.lines().map(uncommented).collect();
    let mut found = Vec::new();
    for (name, text) in [("plain.toml", example), ("everything.toml", &everything.join("\n"))] {
        let file = files.write(name, text, 0o644);
        let database =
            HashMap::from([("PAYBY_PROXY_DATABASE__URL".to_owned(), format!("sqlite://{}", files.path("x.db")))]);
        let mistakes = Config::load(Some(&file), database).await.unwrap_err();
        found.push(mistakes.0.into_iter().map(|mistake| mistake.key).collect::<Vec<_>>());
    }
    let keys = ["gateway.private_key_file", "gateway.payby_public_key_file"];
    assert_eq!(found[0], keys);
    let with_everything = [&keys[..], &["alerts.webhook_secret_file"]].concat();
    let without_traces: Vec<_> = found[1].iter().filter(|key| *key != "traces.endpoint").collect();
    assert_eq!(without_traces, with_everything.iter().collect::<Vec<_>>());
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "it is a table")]
async fn each_mistake_is_named_with_its_place_and_its_remedy() {
    let files = Files::new();
    let private = files.path("private.pem");
    let (open, absent, rubbish) = (files.path("open.pem"), files.path("absent.pem"), files.path("rubbish.pem"));
    files.write("open.pem", "any", 0o640);
    files.write("rubbish.pem", "any", 0o600);
    let long_url = format!("https://{}.example", "a".repeat(180));
    for (name, value, message) in [
        ("LISTEN", "8200", "listen (in the environment) is \"8200\"; it is an address and a port, like 127.0.0.1:8200"),
        (
            "LISTEN",
            "0.0.0.0:8200",
            "public_url is missing; PayBy needs it to reach the notifications when `listen` is not a loopback address",
        ),
        (
            "PUBLIC_URL",
            "shop",
            "public_url (in the environment) is \"shop\", which is not a URL (relative URL without a base)",
        ),
        (
            "PUBLIC_URL",
            "ftp://shop",
            "public_url (in the environment) is \"ftp://shop\"; it should begin with https://",
        ),
        (
            "PUBLIC_URL",
            "https://s/?a",
            "public_url (in the environment) is \"https://s/?a\"; leave out what follows the path",
        ),
        (
            "PUBLIC_URL",
            &long_url,
            "public_url (in the environment) is too long: with /payby/notifications behind it PayBy takes 200 characters",
        ),
        (
            "ALLOWED_ORIGINS",
            "https://Shop.example/pay",
            "allowed_origins (in the environment) has \"https://Shop.example/pay\"; \
             an origin has no path and is in lower case: write \"https://shop.example\"",
        ),
        (
            "ALLOWED_ORIGINS",
            "https://shop.example:443",
            "allowed_origins (in the environment) has \"https://shop.example:443\"; \
             an origin has no path and is in lower case: write \"https://shop.example\"",
        ),
        (
            "ALLOWED_ORIGINS",
            "*",
            "allowed_origins (in the environment) has \"*\"; name each origin, like https://shop.example",
        ),
        (
            "ALLOWED_ORIGINS",
            "shop.example",
            "allowed_origins (in the environment) has \"shop.example\", which is not an origin like https://shop.example",
        ),
        (
            "API_KEY_SHA256",
            "my-secret-key",
            "api_key_sha256 (in the environment) has as number 1 something that is not 64 hexadecimal digits; \
             it holds hashes of keys, not keys",
        ),
        (
            "API_KEY_SHA256",
            ",",
            "api_key_sha256 (in the environment) is empty; make a key with `payby-proxy new-api-key`",
        ),
        (
            "PAY_WITHIN_MS",
            "59999",
            "pay_within_ms (in the environment) is 59999; it is a whole number of milliseconds from 60000 to 172800000",
        ),
        ("LOG__FORMAT", "xml", "log.format (in the environment) is \"xml\"; it is \"text\" or \"json\""),
        (
            "GATEWAY__BASE_URL",
            "http://payby.example",
            "gateway.base_url (in the environment) should begin with https:// (http:// is for loopback addresses only)",
        ),
        (
            "GATEWAY__PARTNER_ID",
            "1234567890123",
            "gateway.partner_id (in the environment) is \"1234567890123\"; a member id has 1 to 12 letters and digits",
        ),
        (
            "GATEWAY__PRIVATE_KEY_FILE",
            &open,
            &format!(
                "gateway.private_key_file (in the environment) names {open:?}, which others can use (mode 0640); \
                 run chmod 0600 on it"
            ),
        ),
        (
            "GATEWAY__PRIVATE_KEY_FILE",
            &absent,
            "gateway.private_key_file (in the environment) does not name a file that can be read \
             (No such file or directory (os error 2)); names count from the working directory",
        ),
        (
            "GATEWAY__PAYBY_PUBLIC_KEY_FILE",
            &absent,
            &format!(
                "gateway.payby_public_key_file (in the environment) names {absent:?}, which cannot be read \
                 (No such file or directory (os error 2))"
            ),
        ),
        (
            "GATEWAY__PRIVATE_KEY_FILE",
            &rubbish,
            &format!(
                "gateway.private_key_file (in the environment) names {rubbish:?}: not a PEM file: \
                 it should begin with -----BEGIN"
            ),
        ),
        (
            "GATEWAY__PAYBY_PUBLIC_KEY_FILE",
            &private,
            &format!(
                "gateway.payby_public_key_file (in the environment) names {private:?}: \
                 the PEM file holds \"PRIVATE KEY\", expected \"PUBLIC KEY\""
            ),
        ),
        (
            "METRICS__LISTEN",
            "8201",
            "metrics.listen (in the environment) is \"8201\"; it is an address and a port, like 127.0.0.1:8201",
        ),
        (
            "ALERTS__WEBHOOK_URL",
            "https://shop.example/alerts",
            "alerts.webhook_secret_file is missing; alerts are signed with what it holds",
        ),
        (
            "ALERTS__WEBHOOK_SECRET_FILE",
            &private,
            "alerts.webhook_url is missing; it says where to send the alerts that are signed",
        ),
        (
            "LIMITS__TOKEN_BURST",
            "0",
            "limits.token_burst (in the environment) is 0; it is a whole number from 1 to 1000000",
        ),
        (
            "LIMITS__TRUSTED_PROXIES",
            "10.0.0.0/8, 10.0.0.1, here",
            "limits.trusted_proxies (in the environment) has \"here\", which is not an address or a network like \
             10.0.0.0/8",
        ),
        #[cfg(not(feature = "otel"))]
        (
            "TRACES__ENDPOINT",
            "http://127.0.0.1:4318/v1/traces",
            "traces.endpoint (in the environment) is set, but this program was built without traces; build it with \
             --features otel",
        ),
        (
            "DATABASE__URL",
            "mysql://me:secret@db/x",
            "database.url (in the environment) names a database that cannot be opened \
             (error with configuration: it is neither sqlite://… nor postgres://…)",
        ),
        (
            "DATABASE__URL",
            "sqlite:///no/such/folder/x.db",
            "database.url (in the environment) names a database that cannot be opened \
             (error communicating with database: No such file or directory (os error 2))",
        ),
        (
            "DATABASE__URL",
            "postgres://me:secret@db/x?sslmode=wrong",
            "database.url (in the environment) names a database that cannot be opened \
             (error with configuration: error with configuration: unknown value \"wrong\" for `ssl_mode`)",
        ),
    ] {
        let mut environment = files.good();
        environment.insert(format!("PAYBY_PROXY_{name}"), value.to_owned());
        let mistakes = Config::load(None, environment).await.unwrap_err();
        assert_eq!(mistakes.to_string(), format!("the configuration has a mistake:\n  - {message}"));
    }
}

#[tokio::test]
async fn all_mistakes_are_named_at_once() {
    let files = Files::new();
    let file = files.write("proxy.toml", "listne = 1\ngateway = 3\n[log]\nlevel = \"x\"", 0o644);
    let mut environment = files.good();
    environment.retain(|name, _| name == "PAYBY_PROXY_DATABASE__URL");
    environment.insert("PAYBY_PROXY_PAYWITHIN".to_owned(), "1".to_owned());
    let mistakes = Config::load(Some(&file), environment).await.unwrap_err().to_string();
    let mistakes = mistakes.replace(file.to_str().unwrap(), "FILE");
    let settings = "is not a setting; those beside it are allowed_origins, api_key_sha256, listen, pay_within_ms, \
                    public_url, token_lifetime_ms";
    assert_eq!(
        mistakes,
        format!(
            "the configuration has 9 mistakes:
  - gateway (in FILE) is a section; write [gateway]
  - api_key_sha256 is missing; make a key with `payby-proxy new-api-key` (in the environment: \
             PAYBY_PROXY_API_KEY_SHA256)
  - gateway.base_url is missing; PayBy's is https://api.payby.com/sgs/api, its test system's \
             https://uat.test2pay.com/sgs/api (in the environment: PAYBY_PROXY_GATEWAY__BASE_URL)
  - gateway.partner_id is missing; it is the merchant's member id at PayBy (in the environment: \
             PAYBY_PROXY_GATEWAY__PARTNER_ID)
  - gateway.private_key_file is missing; it names the merchant's RSA private key, in PEM (in the environment: \
             PAYBY_PROXY_GATEWAY__PRIVATE_KEY_FILE)
  - gateway.payby_public_key_file is missing; it names PayBy's RSA public key for this merchant, in PEM (in the \
             environment: PAYBY_PROXY_GATEWAY__PAYBY_PUBLIC_KEY_FILE)
  - listne (in FILE) {settings}
  - log.level (in FILE) is not a setting; those beside it are log.filter, log.format
  - paywithin (in the environment) {settings}"
        )
    );
}

#[tokio::test]
async fn the_webhooks_secret_is_long_and_its_owners_alone() {
    let files = Files::new();
    files.write("short", "31 characters are one too few..", 0o600);
    files.write("open", "32 characters are just enough...", 0o604);
    files.write("good", "32 characters are just enough...\n", 0o600);
    let load = async |secret: &str, url: &str| {
        let mut environment = files.good();
        environment.insert("PAYBY_PROXY_ALERTS__WEBHOOK_URL".to_owned(), url.to_owned());
        environment.insert("PAYBY_PROXY_ALERTS__WEBHOOK_SECRET_FILE".to_owned(), files.path(secret));
        Config::load(None, environment).await.map_err(|mistakes| mistakes.to_string())
    };
    let short = load("short", "https://shop.example/").await.unwrap_err();
    assert!(short.ends_with("which holds less than 32 characters"), "{short}");
    assert!(load("open", "https://shop.example/").await.unwrap_err().contains("mode 0604"));
    assert!(load("good", "http://shop.example/").await.unwrap_err().contains("should begin with https://"));
    let config = load("good", "https://shop.example/alerts").await.unwrap();
    assert!(!format!("{:?}", config.webhook).contains("characters"));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named() {
    let absent = Config::load(Some(Path::new("/no/such/file.toml")), HashMap::new()).await.unwrap_err().to_string();
    assert!(absent.ends_with("/no/such/file.toml cannot be read: No such file or directory (os error 2)"), "{absent}");
}

/// What is wrong with a text, without a disk.
fn mistakes(text: &str, environment: &[(&str, &str)]) -> String {
    let environment = environment.iter().map(|(name, value)| (format!("PAYBY_PROXY_{name}"), (*value).to_owned()));
    let nowhere = |_: &str| Err(std::io::ErrorKind::NotFound.into());
    Config::parse("proxy.toml", text, environment.collect(), nowhere).unwrap_err().to_string()
}

#[test]
fn a_text_that_cannot_be_read_is_told_by_its_place() {
    assert_eq!(
        mistakes("[database]\nurl = \"postgres://me:the-password@db/x", &[]),
        "the configuration has a mistake:\n  - proxy.toml cannot be read: TOML parse error at line 2, column 39: \
         invalid basic string, expected `\"`"
    );
}

#[test]
fn each_mistake_has_a_line_whatever_the_names_are() {
    let all = mistakes("\"a\\nb\" = 1\n\"\" = 2\nlog = 3\n", &[("FOO__BAR", "x"), ("LIMITS__TOKEN_BURST", "1\n2")]);
    for line in [
        "  - \"a\\nb\" (in proxy.toml) is not a setting; those beside it are allowed_origins,",
        "  - \"\" (in proxy.toml) is not a setting; those beside it are allowed_origins,",
        "  - foo.bar (in the environment) is not a setting; those beside it are allowed_origins,",
        "  - limits.token_burst (in the environment) is 1\\n2; it is a whole number from 1 to 1000000",
    ] {
        assert!(all.lines().any(|found| found.starts_with(line)), "{line}: {all}");
    }
}

#[test]
fn what_is_written_in_brackets_is_no_place_in_a_list() {
    let all = mistakes("\"x[9223372036854775807]\" = 1", &[("X[-9223372036854775808]", "1")]);
    assert!(all.contains("\"x[9223372036854775807]\" (in proxy.toml) is not a setting"), "{all}");
    assert!(all.contains("\"x[-9223372036854775808]\" (in the environment) is not a setting"), "{all}");
}

#[tokio::test]
async fn a_mistake_tells_no_secret() {
    let files = Files::new();
    let mut environment = files.good();
    for (name, value) in [
        ("API_KEY_SHA256", "the-secret"),
        ("DATABASE__URL", "postgres://me:the-secret@db/x?sslmode=wrong"),
        ("GATEWAY__BASE_URL", "http://me:the-secret@payby.example"),
        ("GATEWAY__PRIVATE_KEY_FILE", "-----BEGIN PRIVATE KEY-----\nthe-secret"),
        ("ALERTS__WEBHOOK_URL", "https//shop.example/the-secret"),
        ("ALERTS__WEBHOOK_SECRET_FILE", "the-secret"),
    ] {
        environment.insert(format!("PAYBY_PROXY_{name}"), value.to_owned());
    }
    let mistakes = Config::load(None, environment).await.unwrap_err();
    assert_eq!(mistakes.0.len(), 6, "{mistakes}");
    assert!(!mistakes.to_string().contains("the-secret"), "{mistakes}");
}
