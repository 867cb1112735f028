//! PayBy's signed calls over HTTP. The signature is checked over the raw bytes before anything in them is believed, and
//! every answer is signed over the exact bytes that are sent. HTTP itself always says 200; `head` says what became of it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use payby_checkout::gateway::signature::HEADER;
use payby_checkout::gateway::wire::{AcquireBody, Answer, ApplyStatus, Head, OrderReference, code};
use payby_checkout::time::UnixMillis;
use serde::Deserialize;

use crate::faults::Fault;
use crate::journal::Event;
use crate::model::{Call, Envelope, Model, Refusal, Reply};
use crate::server::HangUp;
use crate::simulator::{self, Simulator};

/// The largest request that is read.
const BODY_LIMIT: usize = 64 * 1024;
/// The longest that an answer is held back on purpose.
const LONGEST_HANG: Duration = Duration::from_mins(2);

pub(crate) fn router() -> Router<Arc<Simulator>> {
    Router::new().route("/{*path}", post(call)).layer(DefaultBodyLimit::max(BODY_LIMIT))
}

async fn call(
    State(simulator): State<Arc<Simulator>>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let (answer, fault) = process(&simulator, path, &headers, body.as_deref().ok());
    match fault {
        Some(Fault::LostRequest | Fault::LostAnswer) => return HangUp.into_response(),
        Some(Fault::Hang) => {
            tokio::select! {
                () = tokio::time::sleep(LONGEST_HANG) => {}
                () = simulator.stopping() => {}
            }
            return HangUp.into_response();
        }
        Some(Fault::SystemError | Fault::CorruptAnswer | Fault::WrongSignature) | None => {}
    }

    let mut bytes = serde_json::to_vec(&answer).expect("plain fields and string keys");
    let sign = if fault == Some(Fault::WrongSignature) {
        simulator.keys.payby.sign(b"another answer")
    } else {
        simulator.keys.payby.sign(&bytes)
    };
    if fault == Some(Fault::CorruptAnswer) {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    }
    ([(CONTENT_TYPE.as_str(), "application/json"), (HEADER, &sign)], bytes).into_response()
}

/// Takes a call in, unless a fault keeps it from that, and writes it down.
fn process(
    simulator: &Simulator,
    path: String,
    headers: &HeaderMap,
    body: Option<&[u8]>,
) -> (Answer<AcquireBody>, Option<Fault>) {
    let partner_id = headers.get("Partner-Id").and_then(|value| value.to_str().ok());
    let sign = headers.get(HEADER).map_or(&b""[..], |value| value.as_bytes());
    let verified = body.filter(|body| simulator.keys.merchant.verify(body, sign).is_ok());

    let mut state = simulator.state();
    let now = simulator::now();
    let call = Call::at(&path);
    let fault = call.and_then(|call| state.faults.take(call));
    let (apply_status, reply) = if matches!(fault, Some(Fault::LostRequest | Fault::SystemError)) {
        (ApplyStatus::Fail, Err(Refusal::new(code::SYSTEM_ERROR, "SYSTEM_ERROR")))
    } else if body.is_none() {
        (ApplyStatus::Fail, Err(Refusal::invalid("the body is too large, or broke off")))
    } else if partner_id != Some(&simulator.partner_id) {
        (ApplyStatus::Fail, Err(Refusal::new(code::UNAUTHORIZED, "UNAUTHORIZED")))
    } else if let Some(body) = verified {
        let reply = run(&mut state.model, now, call, body);
        (if reply.is_ok() { ApplyStatus::Success } else { ApplyStatus::Fail }, reply)
    } else {
        (ApplyStatus::Error, Err(Refusal::new(code::UNAUTHORIZED, "the signature does not verify")))
    };

    let (code, msg, body) = match reply {
        Ok(body) => (code::SUCCESS, "SUCCESS".into(), Some(body)),
        Err(refusal) => (refusal.code, refusal.msg, None),
    };
    let answered = fault != Some(Fault::LostRequest);
    let event = Event::Call {
        path,
        partner_id: partner_id.map(ToOwned::to_owned),
        merchant_order_no: verified.and_then(|body| named(&state.model, body)),
        verified: verified.is_some(),
        fault,
        apply_status: answered.then_some(apply_status),
        code: answered.then(|| code.to_owned()),
    };
    let trace_code = Some(format!("{:06}", state.journal.record(now, event)));
    drop(state);
    simulator.bell.notify_one();

    let head = Head { apply_status, code: code.to_owned(), msg: Some(msg.into_owned()), trace_code };
    (Answer { head, body }, fault)
}

/// Does what a verified call asks for.
fn run(model: &mut Model, now: UnixMillis, call: Option<Call>, body: &[u8]) -> Reply {
    let call = call.ok_or_else(|| Refusal::new(code::SERVICE_NOT_AVAILABLE, "SERVICE_NOT_AVAILABLE"))?;
    let Envelope { request_time, biz_content } = Envelope::read(body)?;
    match call {
        Call::Place => {
            let token = simulator::token().map_err(|_| Refusal::new(code::SYSTEM_ERROR, "SYSTEM_ERROR"))?;
            model.place_order(now, request_time, biz_content.get(), token)
        }
        Call::Get => model.get_order(now, request_time, biz_content.get()),
        Call::Cancel => model.cancel_order(now, request_time, biz_content.get()),
    }
}

/// The merchant's number of the order that a call names, as far as it can be told.
fn named(model: &Model, body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Request {
        biz_content: OrderReference,
    }
    let OrderReference { merchant_order_no, order_no } = serde_json::from_slice::<Request>(body).ok()?.biz_content;
    merchant_order_no.map(|number| number.as_str().to_owned()).or_else(|| {
        let order = model.order(model.by_order_no(&order_no?)?);
        Some(order.merchant_order_no().as_str().to_owned())
    })
}
