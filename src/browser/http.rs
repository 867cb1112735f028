//! The machine's requests as arguments for `fetch`, and what comes back as its answers. What cannot be read is trouble,
//! never an outcome.

use js_sys::{Array, Reflect};
use wasm_bindgen::{JsCast as _, JsValue};

use super::plain::{Plain, concat, to_js};
use crate::checkout::{Answer, Refusal, Request};
use crate::decimal;
use crate::money::{Currency, Money};
use crate::order::{Failure, FailureReason, GatewayStatus, Status};
use crate::protocol::{Scene, Snapshot};
use crate::time::Millis;

/// `["send", method, path, body, ifNoneMatch, prefer, controller]`.
pub(super) fn of_request(request: &Request, controller: &JsValue) -> JsValue {
    let (method, path) = match request {
        Request::Find => ("GET", "/v1/purchase".to_owned()),
        Request::Create(saved) => ("PUT", concat(&["/v1/orders/", &saved.order_number])),
        Request::Query { order_number, .. } => ("GET", concat(&["/v1/orders/", order_number])),
        Request::Cancel(order_number) => ("POST", concat(&["/v1/orders/", order_number, "/cancel"])),
    };
    let body = match request {
        Request::Create(saved) => Some(match saved.scene {
            Some(scene) => concat(&["{\"scene\":\"", scene.as_str(), "\"}"]),
            None => "{}".to_owned(),
        }),
        _ => None,
    };
    let (version, hold) = match request {
        Request::Query { version, hold, .. } => (*version, *hold),
        _ => (None, None),
    };
    let version = version.map(|version| concat(&["\"", &decimal::text(version), "\""]));
    let hold = hold.map(|hold| concat(&["wait=", &decimal::text(hold.0 / 1000)]));
    let list: Array = to_js(&[
        Plain::Text("send"),
        Plain::Text(method),
        Plain::Text(&path),
        Plain::text(body.as_deref()),
        Plain::text(version.as_deref()),
        Plain::text(hold.as_deref()),
    ])
    .unchecked_into();
    list.push(controller);
    list.into()
}

/// What an answer says. `finds`: the request looked for an order.
pub(super) fn read(finds: bool, status: u16, retry_after: &str, json: &JsValue) -> Answer {
    let answer = match status {
        200..=299 if finds => found(json),
        200..=299 => snapshot(json).map(Answer::Snapshot),
        304 => Some(Answer::NotModified),
        404 => Some(Answer::Missing),
        408 | 425 | 429 => None,
        409 => snapshot(&field(json, "order")).map(Answer::Elsewhere).or_else(|| refusal(status, json)),
        400..=499 => refusal(status, json),
        _ => None,
    };
    answer.unwrap_or_else(|| {
        // RFC 9110 §10.2.3, in seconds; a date is taken as not said.
        Answer::Trouble { retry_after: retry_after.parse().ok().map(Millis::from_secs) }
    })
}

/// What the proxy refused, and why. A refusal without a code is not the proxy's: a firewall's page, a gateway's.
fn refusal(status: u16, json: &JsValue) -> Option<Answer> {
    let refusal = Refusal { http_status: status, code: Some(text(json, "code")?), detail: text(json, "detail") };
    Some(Answer::Refused(refusal))
}

/// A field of a JSON value; `undefined` where there is none. One import instead of a getter for each field, and no
/// `from_value`, whose errors would drag float formatting into the page.
fn field(json: &JsValue, name: &str) -> JsValue {
    // On anything but an object it would throw; and of what throws, wasm-bindgen keeps a place in its table for ever.
    if json.is_object() { Reflect::get(json, &name.into()).unwrap_or_default() } else { JsValue::UNDEFINED }
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

/// An order as the proxy tells it, if it can be read.
pub(super) fn snapshot(json: &JsValue) -> Option<Snapshot> {
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

/// What the machine reads of a purchase: the order to go on with, if there is one.
fn found(json: &JsValue) -> Option<Answer> {
    text(json, "purchaseId")?;
    let order = field(&field(json, "orders"), "0");
    let order = if order.is_undefined() { None } else { Some(Box::new(snapshot(&order)?)) };
    Some(Answer::Found(order))
}
