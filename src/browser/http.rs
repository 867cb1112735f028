//! The machine's requests as `fetch`, and what comes back as its answers. What cannot be read is trouble, never an outcome.

use std::future::Future;

use js_sys::{Promise, Reflect};
use serde::Serialize;
use wasm_bindgen::prelude::*;
use web_sys::{AbortSignal, Response};

use super::to_js;
use crate::checkout::{Answer, Refusal, Request};
use crate::money::{Currency, Money};
use crate::order::{Failure, FailureReason, GatewayStatus, Status};
use crate::protocol::{Purchase, Scene, Snapshot};
use crate::time::Millis;

#[wasm_bindgen]
extern "C" {
    // The global one: a page's, a worker's or Node's.
    #[wasm_bindgen(catch)]
    fn fetch(url: &str, init: &JsValue) -> Result<Promise, JsValue>;
}

/// How long an answer may take: the hold and 5 s for a held question, else 10 s.
pub(super) fn time_limit(request: &Request) -> Millis {
    match request {
        Request::Query { hold: Some(hold), .. } => hold.plus(Millis::from_secs(5)),
        _ => Millis::from_secs(10),
    }
}

/// The merchant's backend proxy and the token for one purchase there.
pub(super) struct Proxy {
    base: String,
    authorization: String,
}

#[derive(Serialize)]
struct Init<'a> {
    method: &'static str,
    headers: Headers<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    cache: &'static str,
    credentials: &'static str,
    redirect: &'static str,
}

#[derive(Serialize)]
struct Headers<'a> {
    authorization: &'a str,
    #[serde(rename = "content-type", skip_serializing_if = "Option::is_none")]
    content_type: Option<&'static str>,
    #[serde(rename = "if-none-match", skip_serializing_if = "Option::is_none")]
    if_none_match: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefer: Option<String>,
}

impl Proxy {
    /// `base` without a slash at its end.
    pub(super) fn new(base: String, token: &str) -> Self {
        Self { base, authorization: ["Bearer ", token].concat() }
    }

    /// Sends the request; the future answers what came of it.
    pub(super) fn exchange(&self, request: Request, signal: &AbortSignal) -> impl Future<Output = Answer> + use<> {
        let (method, path) = match &request {
            Request::Find => ("GET", ["/v1/purchase", "", ""]),
            Request::Create(saved) => ("PUT", ["/v1/orders/", saved.order_number.as_str(), ""]),
            Request::Query { order_number, .. } => ("GET", ["/v1/orders/", order_number.as_str(), ""]),
            Request::Cancel(order_number) => ("POST", ["/v1/orders/", order_number.as_str(), "/cancel"]),
        };
        let url = [self.base.as_str(), path[0], path[1], path[2]].concat();
        let body = match &request {
            Request::Create(saved) => Some(match saved.scene {
                Some(scene) => ["{\"scene\":\"", scene.as_str(), "\"}"].concat(),
                None => "{}".to_owned(),
            }),
            _ => None,
        };
        let (version, hold) = match &request {
            Request::Query { version, hold, .. } => (*version, *hold),
            _ => (None, None),
        };
        let init = to_js(&Init {
            method,
            headers: Headers {
                authorization: &self.authorization,
                content_type: body.is_some().then_some("application/json"),
                if_none_match: version.map(|version| ["\"", &version.to_string(), "\""].concat()),
                prefer: hold.map(|hold| ["wait=", &(hold.0 / 1000).to_string()].concat()),
            },
            body,
            cache: "no-store",
            credentials: "omit",
            redirect: "error",
        });
        // A plain object just made takes the property.
        let _ = Reflect::set(&init, &"signal".into(), signal);
        async move { round_trip(&url, &init, &request).await.unwrap_or(Answer::Trouble { retry_after: None }) }
    }
}

async fn round_trip(url: &str, init: &JsValue, request: &Request) -> Result<Answer, JsValue> {
    let response: Response = fetch(url, init)?.await?.unchecked_into();
    let status = response.status();
    match status {
        304 => return Ok(Answer::NotModified),
        404 => return Ok(Answer::Missing),
        408 | 425 | 429 | 500.. => {
            let retry_after = response.headers().get("retry-after")?.and_then(|seconds| seconds.trim().parse().ok());
            return Ok(Answer::Trouble { retry_after: retry_after.map(Millis::from_secs) });
        }
        _ => {}
    }
    let json = response.json()?.await;
    if (400..500).contains(&status) {
        // A refusal stands whether or not its document can be read.
        let problem = json.unwrap_or(JsValue::UNDEFINED);
        let order = if status == 409 { snapshot(&field(&problem, "order")) } else { None };
        return Ok(order.map_or_else(
            || {
                let text = |name| field(&problem, name).as_string();
                Answer::Refused(Refusal { http_status: status, code: text("code"), detail: text("detail") })
            },
            Answer::Elsewhere,
        ));
    }
    let json = json?;
    let answer = match request {
        Request::Find => purchase(&json).map(Answer::Purchase),
        _ => snapshot(&json).map(Answer::Snapshot),
    };
    Ok(answer.unwrap_or(Answer::Trouble { retry_after: None }))
}

/// A field of a JSON value; `undefined` where there is none. One import instead of a getter for each field, and no
/// `from_value`, whose errors would drag float formatting into the page.
fn field(json: &JsValue, name: &str) -> JsValue {
    Reflect::get(json, &name.into()).unwrap_or(JsValue::UNDEFINED)
}

fn text(json: &JsValue, name: &str) -> Option<String> {
    field(json, name).as_string()
}

/// A count: a number from 0 to 2⁵³, its fraction dropped.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
fn whole(json: &JsValue, name: &str) -> Option<u64> {
    let number = field(json, name).as_f64()?;
    (0.0..9_007_199_254_740_992.0).contains(&number).then_some(number as u64)
}

fn snapshot(json: &JsValue) -> Option<Snapshot> {
    let gateway_status = match text(json, "gatewayStatus").as_deref() {
        None => None,
        Some("CREATED") => Some(GatewayStatus::Created),
        Some("PAID_SUCCESS") => Some(GatewayStatus::PaidSuccess),
        Some("SETTLED") => Some(GatewayStatus::Settled),
        Some("FAILURE") => Some(GatewayStatus::Failure),
        Some(_) => return None,
    };
    Some(Snapshot {
        order_number: text(json, "orderNumber")?.parse().ok()?,
        status: status(json)?,
        gateway_status,
        failure: failure(&field(json, "failure")),
        revoked: field(json, "revoked").as_bool().unwrap_or(false),
        amount: money(&field(json, "amount"))?,
        // A backend of the merchant's own may leave it out.
        scene: text(json, "scene").and_then(|name| Scene::from_name(&name)).unwrap_or(Scene::Dynqr),
        pay_url: text(json, "payUrl"),
        version: whole(json, "version")?,
        expires_in_ms: Millis(whole(json, "expiresInMs")?),
        next_poll_ms: whole(json, "nextPollMs").map(Millis),
    })
}

fn status(json: &JsValue) -> Option<Status> {
    Some(match text(json, "status")?.as_str() {
        "unknown" => Status::Unknown,
        "pending" => Status::Pending,
        "paid" => Status::Paid,
        "failed" => Status::Failed,
        "conflict" => Status::Conflict,
        _ => return None,
    })
}

fn failure(json: &JsValue) -> Option<Failure> {
    let reason = match text(json, "reason")?.as_str() {
        "cancelled" => FailureReason::Cancelled,
        "expired" => FailureReason::Expired,
        "revoked" => FailureReason::Revoked,
        // A reason that a later proxy may know: the payment did not go through.
        _ => FailureReason::Declined,
    };
    Some(Failure { reason, code: text(json, "code"), message: text(json, "message") })
}

fn money(json: &JsValue) -> Option<Money> {
    let currency = if text(json, "currency")? == "AED" { Currency::Aed } else { return None };
    Some(Money { amount: text(json, "amount")?.parse().ok()?, currency })
}

/// What the machine reads of a purchase: the order to go on with.
fn purchase(json: &JsValue) -> Option<Purchase> {
    let orders: js_sys::Array = field(json, "orders").dyn_into().ok()?;
    Some(Purchase {
        purchase_id: text(json, "purchaseId")?,
        reference: text(json, "reference")?,
        subject: text(json, "subject")?,
        amount: money(&field(json, "amount"))?,
        status: status(json)?,
        orders: orders.iter().map(|order| snapshot(&order)).collect::<Option<_>>()?,
    })
}
