//! Instances of the proxy that share a database and a PayBy, in this process or in their own.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use payby_proxy::random::Hash;
use payby_proxy::store::Store;
use payby_proxy::{Config, Running, start};
use reqwest::{Method, RequestBuilder};
use tempfile::TempDir;

use crate::fake_payby::{FakePayby, keys};
use crate::postgres;
use crate::proxy::{API_KEY, Answer, BOUND, purchase, send};

/// What instances share.
pub(crate) struct Shop {
    pub(crate) payby: FakePayby,
    pub(crate) database: String,
    folder: TempDir,
    http: reqwest::Client,
}

/// Where an instance can be reached, and how.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: Arc<str>,
}

/// An instance in this process.
pub(crate) struct Instance {
    pub(crate) client: Client,
    running: Running,
}

/// An instance in a process of its own, which does not outlive its test.
pub(crate) struct Process {
    pub(crate) client: Client,
    child: Child,
}

impl Shop {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("merchant.pem", &keys().merchant_private), ("payby.pem", &keys().payby_public)] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { payby: FakePayby::start().await, database: postgres::database().await, folder, http }
    }

    /// What another instance would have in hand.
    pub(crate) async fn store(&self) -> Store {
        Store::open(&self.database).await.unwrap()
    }

    /// Starts an instance in this process, whose settings are changed before.
    pub(crate) async fn start(&self, change: impl FnOnce(&mut Config)) -> Instance {
        let mut config = Config::load(None, self.settings()).await.unwrap();
        change(&mut config);
        let running = start(config).await.unwrap();
        Instance { client: self.client(&format!("http://{}", running.address)), running }
    }

    /// Starts the program.
    pub(crate) fn spawn(&self) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_payby-proxy"));
        let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        command.env_clear().envs(self.settings()).arg("serve").stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim_end().strip_prefix("payby-proxy is listening on ").expect("it listens");
        Process { client: self.client(url), child }
    }

    /// What the programs have said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn client(&self, url: &str) -> Client {
        Client { http: self.http.clone(), url: url.into() }
    }

    fn settings(&self) -> HashMap<String, String> {
        let file = |path: &Path, name: &str| path.join(name).to_str().unwrap().to_owned();
        let settings = [
            ("LISTEN", "127.0.0.1:0".to_owned()),
            ("API_KEY_SHA256", Hash::of(API_KEY).to_hex()),
            ("GATEWAY__BASE_URL", self.payby.base_url()),
            ("GATEWAY__PARTNER_ID", "200000000001".to_owned()),
            ("GATEWAY__PRIVATE_KEY_FILE", file(self.folder.path(), "merchant.pem")),
            ("GATEWAY__PAYBY_PUBLIC_KEY_FILE", file(self.folder.path(), "payby.pem")),
            ("GATEWAY__TIMEOUT_MS", "1000".to_owned()),
            ("DATABASE__URL", self.database.clone()),
            ("LOG__FILTER", "warn".to_owned()),
            // All customers of a test have one address.
            ("LIMITS__TOKEN_BURST", "1000000".to_owned()),
            ("LIMITS__ADDRESS_BURST", "1000000".to_owned()),
            ("LIMITS__OVERALL_BURST", "1000000".to_owned()),
        ];
        settings.into_iter().map(|(name, value)| (format!("PAYBY_PROXY_{name}"), value)).collect()
    }
}

impl Instance {
    pub(crate) async fn stop(self) {
        self.running.shutdown().await;
    }
}

impl Process {
    /// Sends it a signal of this name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Client {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).timeout(BOUND)
    }

    pub(crate) fn open(&self, reference: &str) -> RequestBuilder {
        let request = self.request(Method::POST, "/v1/purchases").bearer_auth(API_KEY);
        request.header("content-type", "application/json").body(purchase(reference).to_string())
    }

    /// Opens a purchase of this reference and answers its token.
    pub(crate) async fn token(&self, reference: &str) -> String {
        send(self.open(reference)).await.body["token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn put(&self, token: &str, number: &str) -> RequestBuilder {
        self.request(Method::PUT, &format!("/v1/orders/{number}")).bearer_auth(token)
    }

    pub(crate) fn cancel(&self, token: &str, number: &str) -> RequestBuilder {
        self.request(Method::POST, &format!("/v1/orders/{number}/cancel")).bearer_auth(token)
    }

    pub(crate) fn get(&self, token: &str, number: &str) -> RequestBuilder {
        self.request(Method::GET, &format!("/v1/orders/{number}")).bearer_auth(token)
    }

    /// PayBy notifies this instance.
    pub(crate) async fn notify(&self, payby: &FakePayby, body: &str) -> Answer {
        let request = self.request(Method::POST, "/payby/notifications").header("Sign", payby.sign(body.as_bytes()));
        send(request.header("content-type", "application/json").body(body.to_owned())).await
    }

    /// Asks, held, until the order is decided, and answers how.
    pub(crate) async fn decided(&self, token: &str, number: &str) -> String {
        let mut known = String::new();
        loop {
            let held = self.get(token, number).header("prefer", "wait=15").header("if-none-match", &known);
            // A lost answer is asked for again.
            let Some(answer) = attempt(held).await else { continue };
            answer.header("etag").clone_into(&mut known);
            if let Some(status @ ("paid" | "failed" | "conflict")) = answer.body["status"].as_str() {
                return status.to_owned();
            }
        }
    }
}

/// The answer, unless it is lost.
pub(crate) async fn attempt(request: RequestBuilder) -> Option<Answer> {
    let response = request.send().await.ok()?;
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.ok()?;
    Some(Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text)) })
}
