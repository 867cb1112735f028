//! A PayBy of one merchant, for tests: signed calls, an answer by the script or else the plain truth. It knows nothing
//! that a test has not told it.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use payby_checkout::gateway::signature::{SigningKey, VerifyingKey};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::proxy::BOUND;

/// The price of everything in these tests.
pub(crate) const AMOUNT: &str = "12.50";

/// Both key pairs, made once: making them takes a while.
pub(crate) struct Keys {
    pub(crate) merchant_private: String,
    merchant_public: String,
    payby_private: SecretString,
    pub(crate) payby_public: String,
}

pub(crate) fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let (merchant_private, merchant_public) = SigningKey::generate_pem().unwrap();
        let (payby_private, payby_public) = SigningKey::generate_pem().unwrap();
        let merchant_private = merchant_private.expose_secret().to_owned();
        Keys { merchant_private, merchant_public, payby_private, payby_public }
    })
}

/// How a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is done, and this code is answered.
    Code(&'static str),
    /// Nothing is done, and HTTP 502 is answered.
    BadGateway,
    /// Nothing is done, and nothing is ever answered.
    LostRequest,
    /// It is done, and nothing is ever answered.
    LostAnswer,
    /// It is done, and what is answered has one byte changed.
    ChangedByte,
    /// It is done, and what is answered is not signed.
    Unsigned,
    /// It is done, and the answer names another order.
    OtherNumber,
    /// It is done, and the answer names another amount.
    OtherAmount,
    /// It is done, and the answer goes on after the longest that is read.
    TooLong,
    /// It is done once [`FakePayby::release`] is called, and answered.
    Held,
}

/// One call as it came.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// `placeOrder`, `getOrder` or `cancelOrder`.
    pub(crate) name: String,
    /// The body, in its own bytes.
    pub(crate) body: String,
    /// When it arrived.
    #[allow(dead_code, reason = "this file is part of two test programs")]
    pub(crate) at: Instant,
}

impl Call {
    /// The bytes of `bizContent`.
    pub(crate) fn biz_content(&self) -> &str {
        let (_, rest) = self.body.split_once("\"bizContent\":").unwrap();
        rest.strip_suffix('}').unwrap()
    }
}

#[derive(Clone)]
pub(crate) struct FakePayby(Arc<Inner>);

struct Inner {
    base_url: Mutex<String>,
    signing: SigningKey,
    merchant: VerifyingKey,
    state: Mutex<Truth>,
    calls: watch::Sender<Vec<Call>>,
    released: watch::Sender<bool>,
}

#[derive(Default)]
struct Truth {
    /// Status and `failCode` by number.
    orders: HashMap<String, (&'static str, Option<&'static str>)>,
    /// Order, amount and status by number.
    refunds: HashMap<String, (String, String, &'static str)>,
    faults: Vec<(&'static str, Fault)>,
}

impl FakePayby {
    pub(crate) async fn start() -> Self {
        let fake = Self(Arc::new(Inner {
            base_url: Mutex::default(),
            signing: SigningKey::from_pem(&keys().payby_private).unwrap(),
            merchant: VerifyingKey::from_pem(&keys().merchant_public).unwrap(),
            state: Mutex::default(),
            calls: watch::Sender::default(),
            released: watch::Sender::new(false),
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        *fake.0.base_url.lock().unwrap() = format!("http://{}/sgs/api", listener.local_addr().unwrap());
        let router = Router::new().route("/sgs/api/{*call}", post(call)).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        fake
    }

    pub(crate) fn base_url(&self) -> String {
        self.0.base_url.lock().unwrap().clone()
    }

    /// The next call of this name that no earlier fault takes goes wrong.
    pub(crate) fn fail(&self, name: &'static str, fault: Fault) {
        self.0.state.lock().unwrap().faults.push((name, fault));
    }

    /// What the order's status is from now on.
    pub(crate) fn set(&self, number: &str, status: &'static str) {
        self.0.state.lock().unwrap().orders.insert(number.to_owned(), (status, None));
    }

    /// What the refund's status is from now on.
    pub(crate) fn set_refund(&self, number: &str, status: &'static str) {
        self.0.state.lock().unwrap().refunds.get_mut(number).unwrap().2 = status;
    }

    /// A refund's notification.
    pub(crate) fn refund_notification(id: &str, number: &str, order: &str, amount: &str, status: &str) -> String {
        let refund = refund(number, order, amount, status);
        format!(r#"{{"notify_id":"{id}","notify_timestamp":1,"refundOrder":{refund}}}"#)
    }

    /// Lets every held call go on.
    pub(crate) fn release(&self) {
        self.0.released.send_replace(true);
    }

    /// Every call so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.0.calls.borrow().clone()
    }

    /// The names of the calls so far.
    pub(crate) fn names(&self) -> Vec<String> {
        self.calls().into_iter().map(|call| call.name).collect()
    }

    /// Waits until there were this many calls of this name.
    pub(crate) async fn called(&self, name: &str, times: usize) {
        let count = |calls: &Vec<Call>| calls.iter().filter(|call| call.name == name).count() >= times;
        let mut calls = self.0.calls.subscribe();
        tokio::time::timeout(BOUND, calls.wait_for(count)).await.unwrap().unwrap();
    }

    pub(crate) fn sign(&self, body: &[u8]) -> String {
        self.0.signing.sign(body)
    }

    /// A notification's body.
    pub(crate) fn notification(id: &str, number: &str, status: &str) -> String {
        format!(r#"{{"notify_id":"{id}","notify_timestamp":1,"acquireOrder":{}}}"#, order(number, status, None, AMOUNT))
    }
}

/// What the tests of several instances need besides.
#[allow(dead_code, reason = "this file is part of two test programs")]
impl FakePayby {
    /// A customer pays the order, if it can be paid.
    pub(crate) fn pay(&self, number: &str) -> bool {
        let mut state = self.0.state.lock().unwrap();
        let order = state.orders.get_mut(number).filter(|(status, _)| *status == "CREATED");
        order.is_some_and(|order| std::mem::replace(order, ("PAID_SUCCESS", None)).0 == "CREATED")
    }

    /// What the order's status is; `None` if nobody has created it.
    pub(crate) fn status(&self, number: &str) -> Option<&'static str> {
        self.0.state.lock().unwrap().orders.get(number).map(|(status, _)| *status)
    }
}

async fn call(State(fake): State<FakePayby>, Path(path): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let name = path.strip_prefix("acquire2/").unwrap_or(&path).to_owned();
    let inner = &fake.0;
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_signed = inner.merchant.verify(&body, header("sign").as_bytes()).is_ok();
    let is_proper = header("content-type") == "application/json"
        && header("content-language") == "en"
        && header("partner-id") == "200000000001";
    let text = String::from_utf8(body.to_vec()).unwrap();
    inner.calls.send_modify(|calls| calls.push(Call { name: name.clone(), body: text.clone(), at: Instant::now() }));
    if !is_signed || !is_proper {
        return signed(&fake, &json!({"head": {"applyStatus": "ERROR", "code": "400"}}).to_string());
    }
    let fault = {
        let mut state = inner.state.lock().unwrap();
        let found = state.faults.iter().position(|(of, _)| *of == name);
        found.map(|index| state.faults.remove(index).1)
    };
    match fault {
        Some(Fault::Code(code)) => {
            let head = json!({"head": {"applyStatus": "FAIL", "code": code, "msg": "NO"}});
            return signed(&fake, &head.to_string());
        }
        Some(Fault::BadGateway) => return StatusCode::BAD_GATEWAY.into_response(),
        Some(Fault::LostRequest) => return pending().await,
        Some(Fault::Held) => drop(inner.released.subscribe().wait_for(|released| *released).await),
        _ => {}
    }
    let request: Value = serde_json::from_str(&text).unwrap();
    let biz_content = &request["bizContent"];
    let number = biz_content["refundMerchantOrderNo"].as_str().or(biz_content["merchantOrderNo"].as_str()).unwrap();
    let answer = match name.as_str() {
        "refund/placeOrder" | "refund/getOrder" => refunded(&fake, &name, number, biz_content),
        "transfer/getTransferOrder" => transferred(&fake, number),
        _ => done(&fake, &name, number),
    };
    match fault {
        Some(Fault::LostAnswer) => pending().await,
        Some(Fault::ChangedByte) => {
            let sign = fake.sign(answer.as_bytes());
            ([("sign", sign)], answer.replace("\"131\"", "\"132\"")).into_response()
        }
        Some(Fault::Unsigned) => answer.into_response(),
        Some(Fault::OtherNumber) => signed(&fake, &answer.replace(number, "ANOTHER")),
        Some(Fault::OtherAmount) => signed(&fake, &answer.replace(AMOUNT, "12.51")),
        Some(Fault::TooLong) => signed(&fake, &format!("{answer}{}", " ".repeat(64 * 1024))),
        _ => signed(&fake, &answer),
    }
}

/// The same for refunds, whose answers have the amount of what was placed.
fn refunded(fake: &FakePayby, name: &str, number: &str, biz_content: &Value) -> String {
    let mut state = fake.0.state.lock().unwrap();
    if name == "refund/placeOrder" && !state.refunds.contains_key(number) {
        let (order, amount) = (&biz_content["originMerchantOrderNo"], &biz_content["amount"]["amount"]);
        let money = format!("{:.2}", amount.as_f64().unwrap());
        state.refunds.insert(number.to_owned(), (order.as_str().unwrap().to_owned(), money, "CREATED"));
    }
    match state.refunds.get(number) {
        None => refusal("62007"),
        Some((order, amount, status)) => {
            let refund = refund(number, order, amount, status);
            format!(r#"{{"head":{HEAD},"body":{{"refundOrder":{refund}}}}}"#)
        }
    }
}

fn refund(number: &str, order: &str, amount: &str, status: &str) -> String {
    format!(
        r#"{{"refundMerchantOrderNo":"{number}","orderNo":"131","originMerchantOrderNo":"{order}","status":"{status}","amount":{{"amount":{amount},"currency":"AED"}}}}"#
    )
}

fn transferred(fake: &FakePayby, number: &str) -> String {
    let Some((status, _)) = fake.0.state.lock().unwrap().orders.get(number).copied() else { return refusal("62004") };
    let money = format!(r#"{{"amount":{AMOUNT},"currency":"AED"}}"#);
    format!(
        r#"{{"head":{HEAD},"body":{{"transferOrder":{{"merchantOrderNo":"{number}","orderNo":"131","status":"{status}","amount":{money},"beneficiaryIdentityType":"PHONE_NO","beneficiaryFullName":"A"}}}}}}"#
    )
}

const HEAD: &str = r#"{"applyStatus":"SUCCESS","code":"0","msg":"SUCCESS","traceCode":"1","success":true}"#;

fn refusal(code: &str) -> String {
    json!({"head": {"applyStatus": "FAIL", "code": code, "msg": "NO"}}).to_string()
}

/// Does the call and says what an honest PayBy would.
fn done(fake: &FakePayby, name: &str, number: &str) -> String {
    let mut state = fake.0.state.lock().unwrap();
    let known = state.orders.get(number).copied();
    let (status, fail_code) = match (name, known) {
        ("placeOrder", None) => ("CREATED", None),
        (_, None) => return refusal("62004"),
        ("revokeOrder", Some(("CREATED" | "FAILURE", _))) => ("FAILURE", None),
        ("revokeOrder", Some(_)) => ("REVOKED", None),
        ("placeOrder" | "cancelOrder", Some(("PAID_SUCCESS", _))) => return refusal("62001"),
        ("placeOrder" | "cancelOrder", Some(("FAILURE", _))) => return refusal("62002"),
        ("cancelOrder", Some(_)) => ("FAILURE", Some("CLOSED")),
        (_, Some(known)) => known,
    };
    state.orders.insert(number.to_owned(), (status, fail_code));
    let pay = match (name, status) {
        ("placeOrder", "CREATED") => format!(r#","interActionParams":{{"tokenUrl":"https://pay.example/{number}"}}"#),
        _ => String::new(),
    };
    let order = order(number, status, fail_code, AMOUNT);
    format!(r#"{{"head":{HEAD},"body":{{"acquireOrder":{order}{pay}}}}}"#)
}

fn order(number: &str, status: &str, fail_code: Option<&str>, amount: &str) -> String {
    let fail_code = fail_code.map(|code| format!(r#","failCode":"{code}""#)).unwrap_or_default();
    let status = if status == "REVOKED" { r#"FAILURE","revoked":"true"# } else { status };
    let money = format!(r#"{{"amount":{amount},"currency":"AED"}}"#);
    format!(r#"{{"merchantOrderNo":"{number}","orderNo":"131","status":"{status}","totalAmount":{money}{fail_code}}}"#)
}

fn signed(fake: &FakePayby, answer: &str) -> Response {
    ([("sign", fake.sign(answer.as_bytes()))], answer.to_owned()).into_response()
}
