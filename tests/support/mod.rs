//! The real programs, started for a test and gone after it: payby-sim, payby-proxy with an SQLite file, and a client that
//! is the shop's server and the customer's page.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// A program that is killed when the test ends.
struct Program {
    child: Child,
    url: String,
}

impl Program {
    /// Starts a program of this workspace and waits for the line that says where it listens.
    async fn start(name: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(binary(name))
            .args(arguments)
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}; `cargo build --workspace --bins` makes it"));
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let ready = tokio::time::timeout(Duration::from_mins(1), lines.next_line()).await;
        let line = ready.expect("ready in time").unwrap().unwrap_or_else(|| panic!("{name} ended before it was ready"));
        let (_, url) = line.split_once(" is listening on ").unwrap_or_else(|| panic!("{name} said {line:?}"));
        Self { child, url: url.to_owned() }
    }
}

/// Where cargo put the programs: beside the folder of the tests.
fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(|deps| deps.parent()).expect("a test stands in target/…/deps").join(name)
}

/// A purchase, as its page knows it.
pub(crate) struct Purchase {
    pub(crate) id: String,
    pub(crate) token: String,
}

/// An answer of the proxy.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

impl Answer {
    /// What the order's snapshot says of it: `pending`, `paid` …
    pub(crate) fn order_status(&self) -> &str {
        self.body["status"].as_str().unwrap_or_default()
    }
}

/// A simulator, a proxy and a client.
pub(crate) struct Stack {
    pub(crate) client: Client,
    folder: TempDir,
    sim: Program,
    proxy: Program,
    api_key: String,
}

impl Stack {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        let sim = Program::start("payby-sim", &["--listen", "127.0.0.1:0", "--keys", keys.to_str().unwrap()]).await;
        let (api_key, line) = new_api_key().await;
        let config = format!(
            r#"listen = "127.0.0.1:0"
            allowed_origins = ["http://127.0.0.1:1"]
            {line}
            [log]
            filter = "error"
            [gateway]
            base_url = "{}/sgs/api"
            partner_id = "200000000001"
            private_key_file = "{keys}/merchant_private.pem"
            payby_public_key_file = "{keys}/payby_public.pem"
            timeout_ms = 2000
            [database]
            url = "sqlite://{}/proxy.db"
            "#,
            sim.url,
            folder.path().display(),
            keys = keys.display(),
        );
        std::fs::write(folder.path().join("proxy.toml"), config).unwrap();
        let proxy = start_proxy(&folder).await;
        Self { client: Client::new(), folder, sim, proxy, api_key }
    }

    /// Kills the proxy as a power cut would.
    pub(crate) async fn kill_proxy(&mut self) {
        self.proxy.child.kill().await.unwrap();
    }

    /// Starts the proxy again on the same database.
    pub(crate) async fn restart_proxy(&mut self) {
        self.proxy = start_proxy(&self.folder).await;
    }

    /// Opens a purchase of AED 12.50, as the shop's server does.
    pub(crate) async fn open_purchase(&self, reference: &str) -> Purchase {
        let body = json!({"reference": reference, "amount": "12.50", "currency": "AED", "subject": "Dates"});
        let answer = self.proxy(Method::POST, "/v1/purchases", &self.api_key, Some(body)).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        let text = |name: &str| answer.body[name].as_str().unwrap().to_owned();
        Purchase { id: text("purchaseId"), token: text("token") }
    }

    /// The purchase as the shop's server sees it.
    pub(crate) async fn purchase(&self, purchase: &Purchase) -> Answer {
        self.proxy(Method::GET, &format!("/v1/purchases/{}", purchase.id), &self.api_key, None).await
    }

    pub(crate) async fn put(&self, purchase: &Purchase, number: &str) -> Answer {
        self.proxy(Method::PUT, &format!("/v1/orders/{number}"), &purchase.token, Some(json!({}))).await
    }

    pub(crate) async fn get(&self, purchase: &Purchase, number: &str) -> Answer {
        self.proxy(Method::GET, &format!("/v1/orders/{number}"), &purchase.token, None).await
    }

    /// The order once it is neither pending nor unknown: held questions, as a page asks them.
    pub(crate) async fn decided(&self, purchase: &Purchase, number: &str) -> Answer {
        let mut version = "\"-\"".to_owned();
        for _ in 0..8 {
            let asked = self
                .client
                .get(format!("{}/v1/orders/{number}", self.proxy.url))
                .bearer_auth(&purchase.token)
                .header("prefer", "wait=10")
                .header("if-none-match", &version)
                .send();
            let response = asked.await.unwrap();
            let status = response.status();
            if let Some(etag) = response.headers().get("etag") {
                etag.to_str().unwrap().clone_into(&mut version);
            }
            let body = response.text().await.unwrap();
            let answer = Answer { status, body: serde_json::from_str(&body).unwrap_or_default() };
            if matches!(answer.order_status(), "paid" | "failed" | "conflict") {
                return answer;
            }
        }
        panic!("{number} stays undecided");
    }

    pub(crate) async fn cancel(&self, purchase: &Purchase, number: &str) -> Answer {
        self.proxy(Method::POST, &format!("/v1/orders/{number}/cancel"), &purchase.token, None).await
    }

    async fn proxy(&self, method: Method, path: &str, bearer: &str, body: Option<Value>) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.proxy.url)).bearer_auth(bearer);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        Answer { status, body: serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default() }
    }

    /// A request whose answer is not waited for: the proxy may die before it.
    pub(crate) fn put_and_forget(&self, purchase: &Purchase, number: &str) {
        let request = self
            .client
            .put(format!("{}/v1/orders/{number}", self.proxy.url))
            .bearer_auth(&purchase.token)
            .header("content-type", "application/json")
            .body("{}");
        tokio::spawn(request.send());
    }

    /// The simulator's orders.
    pub(crate) async fn orders_at_payby(&self) -> Vec<Value> {
        self.sim_get("/sim/orders").await.as_array().unwrap().clone()
    }

    /// The simulator's log.
    pub(crate) async fn events_at_payby(&self) -> Vec<Value> {
        self.sim_get("/sim/events").await.as_array().unwrap().clone()
    }

    /// The payer does this: `pay` or `decline`.
    pub(crate) async fn payer(&self, action: &str, number: &str) {
        self.sim_post(&format!("/sim/orders/{number}/{action}"), json!({})).await;
    }

    /// The next call of this kind has this fault.
    pub(crate) async fn fault(&self, call: &str, fault: &str) {
        self.sim_post("/sim/faults", json!({"call": call, "fault": fault, "times": 1})).await;
    }

    async fn sim_get(&self, path: &str) -> Value {
        let answer = self.client.get(format!("{}{path}", self.sim.url)).send().await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    async fn sim_post(&self, path: &str, body: Value) {
        let request = self.client.post(format!("{}{path}", self.sim.url)).header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
    }
}

async fn start_proxy(folder: &TempDir) -> Program {
    let config = folder.path().join("proxy.toml");
    Program::start("payby-proxy", &["serve", "--config", config.to_str().unwrap()]).await
}

/// A key for the shop's server, and the line of the proxy's settings that lets it in.
async fn new_api_key() -> (String, String) {
    let output = Command::new(binary("payby-proxy")).arg("new-api-key").output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let after = |label: &str| {
        let line = text.lines().find(|line| line.starts_with(label)).expect("a key and its line");
        line.split_once(": ").unwrap().1.trim().to_owned()
    };
    (after("key"), after("line"))
}
