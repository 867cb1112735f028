//! The program itself: its one line on standard output, its log, its exit code.
#![allow(clippy::unwrap_used, reason = "these are tests, and so is what helps them")]

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use payby_checkout::gateway::signature::SigningKey;
use payby_proxy::random::Hash;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

const API_KEY: &str = "a-key-of-the-shops-server";

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_payby-proxy"));
    command.env_clear();
    command
}

/// A folder with keys and a file of settings.
fn settings() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let (private, public) = SigningKey::generate_pem().unwrap();
    let text = format!(
        "listen = \"127.0.0.1:0\"\napi_key_sha256 = [\"{}\"]\n[log]\nfilter = \"payby_proxy=trace,info\"\n\
         [database]\nurl = \"sqlite://{path}/proxy.db\"\n\
         [gateway]\nbase_url = \"http://127.0.0.1:9\"\npartner_id = \"1\"\ntimeout_ms = 1000\n\
         private_key_file = \"{path}/private.pem\"\npayby_public_key_file = \"{path}/public.pem\"\n",
        Hash::of(API_KEY).to_hex()
    );
    for (name, text) in [("private.pem", private.expose_secret()), ("public.pem", &public), ("proxy.toml", &text)] {
        std::fs::write(folder.path().join(name), text).unwrap();
        std::fs::set_permissions(folder.path().join(name), Permissions::from_mode(0o600)).unwrap();
    }
    folder
}

/// A proxy that serves, and does not outlive its test.
struct Serving {
    child: Child,
    out: BufReader<ChildStdout>,
    url: String,
    _folder: TempDir,
}

impl Serving {
    fn start(environment: &[(&str, &str)]) -> Self {
        let folder = settings();
        let mut command = program();
        command.args(["serve", "--config"]).arg(folder.path().join("proxy.toml")).envs(environment.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let url = line.trim_end().strip_prefix("payby-proxy is listening on ").unwrap().to_owned();
        Self { child, out, url, _folder: folder }
    }

    /// A shop opens a purchase and its page begins an order. The token, and what the page is answered.
    async fn begin_order(&self) -> (String, String) {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let purchase = r#"{"reference":"r","amount":"1.00","currency":"AED","subject":"Tea"}"#;
        let open = http.post(format!("{}/v1/purchases", self.url)).bearer_auth(API_KEY).body(purchase);
        let opened = open.header("content-type", "application/json").send().await.unwrap().text().await.unwrap();
        let opened: serde_json::Value = serde_json::from_str(&opened).unwrap();
        let token = opened["token"].as_str().unwrap();
        let put = http.put(format!("{}/v1/orders/N-1", self.url)).bearer_auth(token);
        (token.to_owned(), put.send().await.unwrap().text().await.unwrap())
    }

    /// Tells it to stop.
    fn terminate(&self) {
        Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn check_says_that_all_is_well_or_what_is_not() {
    let folder = settings();
    let check =
        |settings: &str| program().args(["check", "--config"]).arg(folder.path().join(settings)).output().unwrap();
    assert_eq!(text(&check("proxy.toml")), (Some(0), "the configuration is good\n".to_owned(), String::new()));
    let broken = std::fs::read_to_string(folder.path().join("proxy.toml")).unwrap().replace("\"1\"", "\"\"");
    std::fs::write(folder.path().join("broken.toml"), broken).unwrap();
    let (code, out, err) = text(&check("broken.toml"));
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.starts_with("payby-proxy: the configuration has a mistake:\n  - gateway.partner_id (in "), "{err}");
}

#[test]
fn migrate_says_what_it_did_and_then_that_there_was_nothing_to_do() {
    let folder = settings();
    let migrate = || program().args(["migrate", "--config"]).arg(folder.path().join("proxy.toml")).output().unwrap();
    let (code, out, err) = text(&migrate());
    let done: Vec<_> = out.lines().collect();
    assert_eq!((code, done[..2].to_vec(), err.as_str()), {
        (Some(0), vec!["done: 0001 purchases orders notifications", "done: 0002 refunds"], "")
    });
    let nothing = "the tables are up to date; nothing was done\n".to_owned();
    assert_eq!(text(&migrate()), (Some(0), nothing, String::new()));
}

#[test]
fn a_new_api_key_comes_with_the_line_that_lets_it_in() {
    let (code, out, _) = text(&program().arg("new-api-key").output().unwrap());
    let mut lines = out.lines();
    let key = lines.next().unwrap().rsplit_once(' ').unwrap().1;
    let line = lines.next().unwrap();
    assert_eq!((code, key.len()), (Some(0), 32));
    assert!(line.ends_with(&format!("api_key_sha256 = [\"{}\"]", Hash::of(key).to_hex())), "{line}");
}

#[tokio::test]
async fn it_serves_until_it_is_told_to_stop_and_its_log_holds_no_secret() {
    let mut proxy = Serving::start(&[]);
    let (token, put) = proxy.begin_order().await;
    // Nobody listens at the gateway's address.
    assert!(put.contains(r#""status":"unknown""#), "{put}");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    http.get(format!("{}/v1/orders/N-1", proxy.url)).bearer_auth("wrong-token").send().await.unwrap();

    proxy.terminate();
    assert!(proxy.child.wait().unwrap().success());
    let (mut rest, mut log) = (String::new(), String::new());
    proxy.out.read_to_string(&mut rest).unwrap();
    proxy.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert_eq!(rest, "");
    assert!(log.contains("/v1/orders/{order_number}") && log.contains("shutting down"), "{log}");
    for secret in [API_KEY, &token, "wrong-token", "Bearer", "PRIVATE KEY"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

/// With `--features otel`.
#[cfg(feature = "otel")]
#[tokio::test]
async fn traces_have_requests_and_calls_and_no_token() {
    let (sender, mut spans) = tokio::sync::mpsc::unbounded_channel::<Vec<u8>>();
    let take = move |body: axum::body::Bytes| {
        let sender = sender.clone();
        async move { sender.send(body.to_vec()).unwrap() }
    };
    let collector = axum::Router::new().route("/v1/traces", axum::routing::post(take));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, collector).await });

    let proxy = Serving::start(&[("PAYBY_PROXY_TRACES__ENDPOINT", &endpoint)]);
    let (token, _) = proxy.begin_order().await;
    proxy.terminate();
    let mut told = String::new();
    let is_told =
        |told: &str| ["/v1/orders/{order_number}", "gateway", "placeOrder"].iter().all(|word| told.contains(word));
    while !is_told(&told) {
        let body = tokio::time::timeout(std::time::Duration::from_secs(20), spans.recv()).await.unwrap().unwrap();
        told.push_str(&String::from_utf8_lossy(&body));
    }
    assert!(!told.contains(&token) && !told.contains(API_KEY));
}
