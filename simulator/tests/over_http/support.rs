//! A merchant, a payer and a developer in front of a simulator.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use payby_checkout::gateway::signature::{SigningKey, VerifyingKey};
use payby_checkout::gateway::wire::{AcquireBody, Answer};
use payby_sim::keys::Keys;
use payby_sim::{Running, Settings};
use reqwest::header::HeaderMap;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const PARTNER_ID: &str = "200000000001";

/// Longer than anything here takes, on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Key files for all tests; to make them takes a while.
pub(crate) static KEYS: LazyLock<TempDir> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    Keys::open(directory.path()).unwrap();
    directory
});

pub(crate) fn key_file(name: &str) -> String {
    std::fs::read_to_string(KEYS.path().join(name)).unwrap()
}

pub(crate) fn now() -> u64 {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since_epoch.as_millis().try_into().unwrap()
}

/// A DYNQR order with more fields.
pub(crate) fn order(number: &str, more: &Value) -> Value {
    let mut order = json!({
        "merchantOrderNo": number,
        "subject": "Coffee",
        "totalAmount": {"amount": 12, "currency": "AED"},
        "paySceneCode": "DYNQR",
    });
    order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    order
}

pub(crate) struct Bench {
    /// The simulator, unless it is somebody else's.
    pub(crate) payby: Option<Running>,
    public_url: String,
    pub(crate) client: Client,
    pub(crate) merchant: SigningKey,
    payby_public: VerifyingKey,
}

/// An answer as it came: not yet believed.
pub(crate) struct Raw {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Bench {
    pub(crate) async fn start() -> Self {
        Self::start_with(KEYS.path()).await
    }

    pub(crate) async fn start_with(keys: &Path) -> Self {
        let payby = payby_sim::start(Settings::new(keys)).await.unwrap();
        let bench = Self::before(&payby);
        Self { payby: Some(payby), ..bench }
    }

    /// Before a simulator that somebody else started.
    pub(crate) fn before(payby: &Running) -> Self {
        Self {
            payby: None,
            public_url: payby.public_url.clone(),
            client: Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap(),
            merchant: SigningKey::from_pem(&key_file("merchant_private.pem").into()).unwrap(),
            payby_public: VerifyingKey::from_pem(&key_file("payby_public.pem")).unwrap(),
        }
    }

    /// Another simulator takes the place of this one.
    pub(crate) fn stand_before(&mut self, payby: Running) {
        self.public_url.clone_from(&payby.public_url);
        self.payby = Some(payby);
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public_url)
    }

    pub(crate) async fn post_raw(
        &self,
        call: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Raw, reqwest::Error> {
        let mut request = self.client.post(self.url(&format!("{}/{call}", payby_sim::BASE_PATH))).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Raw { status, headers, body: response.bytes().await?.into() })
    }

    /// A signed call, and its answer before anything of it is checked.
    pub(crate) async fn try_call(&self, call: &str, biz_content: &Value) -> Result<Raw, reqwest::Error> {
        let body = json!({"requestTime": now(), "bizContent": biz_content}).to_string().into_bytes();
        let sign = self.merchant.sign(&body);
        let headers = [("content-type", "application/json"), ("Partner-Id", PARTNER_ID), ("sign", &sign)];
        let path = if call.contains('/') { call.to_owned() } else { format!("acquire2/{call}") };
        self.post_raw(&path, &headers, body).await
    }

    /// A signed call with a path of its own, and its answer: the head's code, and the body.
    pub(crate) async fn ask(&self, path: &str, biz_content: &Value) -> (String, Value) {
        let raw = self.try_call(path, biz_content).await.unwrap();
        assert!(self.is_signed(&raw), "the answer's signature does not verify");
        let mut answer: Value = serde_json::from_slice(&raw.body).unwrap();
        (answer["head"]["code"].as_str().unwrap().to_owned(), answer["body"].take())
    }

    /// A signed call, and its answer, which has to be HTTP 200 and signed.
    pub(crate) async fn call(&self, call: &str, biz_content: &Value) -> Answer<AcquireBody> {
        self.believe(&self.try_call(call, biz_content).await.unwrap())
    }

    pub(crate) fn believe(&self, raw: &Raw) -> Answer<AcquireBody> {
        assert_eq!(raw.status, StatusCode::OK);
        assert!(self.is_signed(raw), "the answer's signature does not verify");
        let answer: Answer<AcquireBody> = serde_json::from_slice(&raw.body).unwrap();
        assert_eq!(answer.body.is_some(), answer.head.code == "0");
        answer
    }

    pub(crate) fn is_signed(&self, raw: &Raw) -> bool {
        raw.headers.get("sign").is_some_and(|sign| self.payby_public.verify(&raw.body, sign.as_bytes()).is_ok())
    }

    pub(crate) fn is_notification_signed(&self, sign: &str, body: &[u8]) -> bool {
        self.payby_public.verify(body, sign.as_bytes()).is_ok()
    }

    /// Places an order; answers where it is paid.
    pub(crate) async fn place(&self, number: &str, more: &Value) -> String {
        let body = self.call("placeOrder", &order(number, more)).await.body.unwrap();
        body.inter_action_params.unwrap().token_url
    }

    /// `GET /sim/{what}`.
    pub(crate) async fn see(&self, what: &str) -> Vec<Value> {
        let response = self.client.get(self.url(&format!("/sim/{what}"))).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
    }

    /// `POST /sim/{what}`.
    pub(crate) async fn control(&self, what: &str, body: &Value) -> (StatusCode, Value) {
        let request = self.client.post(self.url(&format!("/sim/{what}")));
        let response = request.header("content-type", "application/json").body(body.to_string()).send().await.unwrap();
        let status = response.status();
        (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
    }

    pub(crate) async fn rule(&self, rule: &Value) {
        assert_eq!(self.control("faults", rule).await, (StatusCode::OK, json!({})));
    }

    pub(crate) async fn faults_left(&self) -> usize {
        let answer = self.client.get(self.url("/sim/faults")).send().await.unwrap();
        let profile: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        profile["faults"].as_array().unwrap().len()
    }

    pub(crate) async fn fault(&self, call: &str, fault: &str) {
        let answer = self.control("faults", &json!({"call": call, "fault": fault, "times": 1})).await;
        assert_eq!(answer, (StatusCode::OK, json!({})));
    }

    pub(crate) async fn advance_minutes(&self, minutes: u64) {
        let answer = self.control("clock/advance", &json!({"ms": minutes * 60_000})).await;
        assert_eq!(answer, (StatusCode::OK, json!({})));
    }

    pub(crate) async fn status(&self, number: &str) -> String {
        let orders = self.see("orders").await;
        let order = orders.iter().find(|order| order["merchantOrderNo"] == number).unwrap();
        order["status"].as_str().unwrap().to_owned()
    }

    /// The events of a kind, once there are that many.
    pub(crate) async fn events(&self, kind: &str, count: usize) -> Vec<Value> {
        let found = async {
            loop {
                let events = self.see("events").await;
                let events: Vec<_> = events.into_iter().filter(|event| event["kind"] == kind).collect();
                if events.len() >= count {
                    break events;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("no {count} events {kind:?}"))
    }
}
