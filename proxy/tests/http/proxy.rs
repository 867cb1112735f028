//! A proxy of one test: its own database, its own PayBy, and clients that speak to it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use payby_checkout::hop::Policy;
use payby_checkout::time::{Millis, UnixMillis};
use payby_proxy::config::Clock;
use payby_proxy::random::Hash;
use payby_proxy::{Config, Running, start};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};
use tempfile::TempDir;

use crate::fake_payby::{AMOUNT, FakePayby, keys};

pub(crate) const API_KEY: &str = "a-key-of-the-shops-server";

/// The tests' clock, so that nothing expires unless a test wants it to.
const NOW: u64 = 1_795_000_000_000;

/// What no test should take.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

pub(crate) struct Proxy {
    pub(crate) payby: FakePayby,
    pub(crate) folder: TempDir,
    clock: Arc<AtomicU64>,
    running: Option<Running>,
    more_settings: Vec<(&'static str, String)>,
    http: reqwest::Client,
    url: String,
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The header's value, or "".
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The HTTP status and the problem's code.
    pub(crate) fn problem(&self) -> (u16, &str) {
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["status"], self.status.as_u16());
        (self.status.as_u16(), self.body["code"].as_str().unwrap())
    }
}

impl Proxy {
    pub(crate) async fn start() -> Self {
        Self::start_with([]).await
    }

    /// With more settings than the usual ones.
    pub(crate) async fn start_with(more_settings: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        };
        write("merchant.pem", &keys().merchant_private);
        write("payby.pem", &keys().payby_public);
        let mut proxy = Self {
            payby: FakePayby::start().await,
            folder,
            clock: Arc::new(AtomicU64::new(NOW)),
            running: None,
            more_settings: more_settings.into_iter().collect(),
            // A connection for each request: a client that hangs up does so for the server as well.
            http: reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap(),
            url: String::new(),
        };
        proxy.run().await;
        proxy
    }

    /// The proxy's process ends and another begins with the same database.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.run().await;
    }

    pub(crate) async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown().await;
        }
    }

    async fn run(&mut self) {
        let file = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        let settings = [
            ("LISTEN", "127.0.0.1:0".to_owned()),
            ("PUBLIC_URL", "https://pay.shop.example".to_owned()),
            ("ALLOWED_ORIGINS", "https://shop.example,http://127.0.0.1:3000".to_owned()),
            ("API_KEY_SHA256", Hash::of(API_KEY).to_hex()),
            ("GATEWAY__BASE_URL", self.payby.base_url()),
            ("GATEWAY__PARTNER_ID", "200000000001".to_owned()),
            ("GATEWAY__PRIVATE_KEY_FILE", file("merchant.pem")),
            ("GATEWAY__PAYBY_PUBLIC_KEY_FILE", file("payby.pem")),
            ("GATEWAY__TIMEOUT_MS", "500".to_owned()),
            ("DATABASE__URL", format!("sqlite://{}", file("proxy.db"))),
        ];
        let more_settings = self.more_settings.iter().cloned();
        let environment: HashMap<String, String> = settings
            .into_iter()
            .chain(more_settings)
            .map(|(name, value)| (format!("PAYBY_PROXY_{name}"), value))
            .collect();
        let mut config = Config::load(None, environment).await.unwrap();
        let (ms, clock) = (Millis, Arc::clone(&self.clock));
        config.policy =
            Policy { query_min: ms(1), query_max: ms(5), cancel_min: ms(1), cancel_max: ms(5), ..Policy::TO_GATEWAY };
        config.clock = Clock::new(move || UnixMillis(clock.load(Ordering::Relaxed)));
        let running = start(config).await.unwrap();
        self.url = format!("http://{}", running.address);
        self.running = Some(running);
    }

    /// What is counted.
    pub(crate) async fn metrics(&self) -> String {
        let address = self.running.as_ref().unwrap().metrics_address.unwrap();
        let request = self.http.get(format!("http://{address}/metrics")).timeout(BOUND);
        request.send().await.unwrap().text().await.unwrap()
    }

    /// From now on the database fails.
    pub(crate) async fn break_database(&self) {
        let url = format!("sqlite://{}", self.folder.path().join("proxy.db").display());
        let mut database = SqliteConnection::connect(&url).await.unwrap();
        sqlx::query("ALTER TABLE checkout_tokens RENAME TO gone").execute(&mut database).await.unwrap();
        sqlx::query("ALTER TABLE probe RENAME TO gone_too").execute(&mut database).await.unwrap();
        sqlx::query("ALTER TABLE notifications RENAME TO gone_as_well").execute(&mut database).await.unwrap();
    }

    /// Time passes.
    pub(crate) fn advance(&self, span: Millis) {
        self.clock.fetch_add(span.0, Ordering::Relaxed);
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).timeout(BOUND)
    }

    /// The shop's server opens a purchase.
    pub(crate) async fn open(&self, request: &Value) -> Answer {
        let body = request.to_string();
        let request = self.request(Method::POST, "/v1/purchases").bearer_auth(API_KEY);
        send(request.header("content-type", "application/json").body(body)).await
    }

    /// Opens a purchase of this reference and answers its token.
    pub(crate) async fn token(&self, reference: &str) -> String {
        let answer = self.open(&purchase(reference)).await;
        answer.body["token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn put(&self, token: &str, number: &str) -> Answer {
        send(self.request(Method::PUT, &format!("/v1/orders/{number}")).bearer_auth(token)).await
    }

    pub(crate) fn get_request(&self, token: &str, number: &str) -> RequestBuilder {
        self.request(Method::GET, &format!("/v1/orders/{number}")).bearer_auth(token)
    }

    pub(crate) async fn get(&self, token: &str, number: &str) -> Answer {
        send(self.get_request(token, number)).await
    }

    pub(crate) async fn cancel(&self, token: &str, number: &str) -> Answer {
        send(self.request(Method::POST, &format!("/v1/orders/{number}/cancel")).bearer_auth(token)).await
    }

    /// The shop's server asks, with its key.
    pub(crate) async fn shop(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.request(method, path).bearer_auth(API_KEY);
        send(match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        })
        .await
    }

    /// A purchase of this reference whose order of this number is paid; its token.
    pub(crate) async fn paid(&self, reference: &str, number: &str) -> String {
        let token = self.token(reference).await;
        self.put(&token, number).await;
        self.payby.set(number, "PAID_SUCCESS");
        self.notify(&FakePayby::notification(reference, number, "PAID_SUCCESS")).await;
        token
    }

    /// PayBy notifies.
    pub(crate) async fn notify(&self, body: &str) -> Answer {
        self.notify_signed(body.as_bytes(), &self.payby.sign(body.as_bytes())).await
    }

    pub(crate) async fn notify_signed(&self, body: &[u8], sign: &str) -> Answer {
        let request = self.request(Method::POST, "/payby/notifications").header("Sign", sign);
        send(request.header("content-type", "application/json").body(body.to_vec())).await
    }

    /// Asks, held, until the order has this status.
    pub(crate) async fn until(&self, token: &str, number: &str, status: &str) -> Answer {
        let asking = async {
            loop {
                let answer = self.get(token, number).await;
                if answer.body["status"] == status {
                    return answer;
                }
                let known = answer.header("etag").to_owned();
                let held = self.get_request(token, number).header("prefer", "wait=5");
                send(held.header("if-none-match", known)).await;
            }
        };
        tokio::time::timeout(BOUND, asking).await.unwrap()
    }
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.unwrap();
    Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
}

/// What the shop's server asks for.
pub(crate) fn purchase(reference: &str) -> Value {
    json!({"reference": reference, "amount": AMOUNT, "currency": "AED", "subject": "Tea"})
}
