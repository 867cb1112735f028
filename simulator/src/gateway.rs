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
use payby_checkout::gateway::wire::{Answer, ApplyStatus, Head, code};
use payby_checkout::money::Amount;
use payby_checkout::time::UnixMillis;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::faults::{Fault, Only};
use crate::journal::{Event, Via};
use crate::model::{Call, Envelope, Model, Refusal, Reply};
use crate::server::HangUp;
use crate::simulator::{self, Known, Simulator, State as Shared};

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
    let request = Request::new(&simulator, path, &headers, body.ok());
    let fault = request.strike(&simulator);
    let answer = match fault {
        Some(Fault::DelayRequest { ms }) => {
            // In a task of its own: a request under way arrives even if its sender has gone.
            let (simulator, fault) = (Arc::clone(&simulator), fault.clone());
            let late = tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(ms.0)).await;
                request.process(&simulator, fault.as_ref())
            });
            let Ok(answer) = late.await else { return HangUp.into_response() };
            answer
        }
        Some(Fault::Duplicate) => {
            request.process(&simulator, fault.as_ref());
            request.process(&simulator, fault.as_ref())
        }
        _ => request.process(&simulator, fault.as_ref()),
    };
    match fault {
        Some(Fault::LostRequest | Fault::LostAnswer) => return HangUp.into_response(),
        Some(Fault::Hang | Fault::HangRequest) => {
            tokio::select! {
                () = tokio::time::sleep(LONGEST_HANG) => {}
                () = simulator.stopping() => {}
            }
            return HangUp.into_response();
        }
        Some(Fault::Delay { ms }) => tokio::time::sleep(Duration::from_millis(ms.0)).await,
        _ => {}
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

/// A call as it came, and as much of it as can be believed.
struct Request {
    path: String,
    call: Option<Call>,
    partner_id: Option<String>,
    body: Option<Bytes>,
    verified: bool,
    named: Named,
}

impl Request {
    fn new(simulator: &Simulator, path: String, headers: &HeaderMap, body: Option<Bytes>) -> Self {
        let partner_id = headers.get("Partner-Id").and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
        let sign = headers.get(HEADER).map_or(&b""[..], |value| value.as_bytes());
        let verified = body.as_ref().is_some_and(|body| simulator.keys.merchant.verify(body, sign).is_ok());
        let named = body.as_ref().filter(|_| verified).map(|body| Named::of(&simulator.state().model, body));
        Self { call: Call::at(&path), path, partner_id, body, verified, named: named.unwrap_or_default() }
    }

    /// What goes wrong with it on purpose.
    fn strike(&self, simulator: &Simulator) -> Option<Fault> {
        let mut state = simulator.state();
        let number = self.named.number.as_deref();
        if let (Some(Call::Place), Some(number), Some(amount)) = (self.call, number, self.named.amount) {
            state.known.entry(number.to_owned()).or_insert(Known { amount, queries: 0 });
        }
        let amount = number.and_then(|number| state.known.get(number)).map(|known| known.amount);
        state.faults.take(Only::One(self.call?), number, amount)
    }

    /// Takes the call in, unless a fault keeps it from that, and writes it down.
    fn process(&self, simulator: &Simulator, fault: Option<&Fault>) -> Answer<Box<RawValue>> {
        let mut state = simulator.state();
        let now = simulator.now();
        let processed = fault.is_none_or(Fault::is_processed);
        let (mut apply_status, reply) = if processed {
            self.run(simulator, &mut state, now)
        } else {
            (ApplyStatus::Fail, Err(Refusal::new(code::SYSTEM_ERROR, "SYSTEM_ERROR")))
        };
        let done = reply.is_ok();
        let (mut code, mut msg, mut body) = match reply {
            Ok(body) => (code::SUCCESS.into(), "SUCCESS".into(), Some(body)),
            Err(refusal) => (refusal.code.into(), refusal.msg, None),
        };
        if let Some(told) = fault.and_then(Fault::answer) {
            (code, msg) = told;
            body = None;
            apply_status = ApplyStatus::Fail;
        }

        let arrived = !fault.is_some_and(Fault::is_lost);
        let event = Event::Call {
            path: self.path.clone(),
            partner_id: self.partner_id.clone(),
            merchant_order_no: self.named.number.clone(),
            by_order_no: self.named.by_order_no,
            amount: self.named.amount,
            verified: self.verified,
            fault: fault.cloned(),
            apply_status: arrived.then_some(apply_status),
            code: arrived.then(|| code.clone().into_owned()),
        };
        let trace_code = Some(format!("{:06}", state.journal.record(now, event)));
        if done {
            self.let_payers_act(&mut state, now);
        }
        drop(state);
        simulator.bell.notify_one();

        let head = Head { apply_status, code: code.into_owned(), msg: Some(msg.into_owned()), trace_code };
        Answer { head, body }
    }

    fn run(
        &self,
        simulator: &Simulator,
        state: &mut Shared,
        now: UnixMillis,
    ) -> (ApplyStatus, Result<Box<RawValue>, Refusal>) {
        let Some(body) = &self.body else {
            return (ApplyStatus::Fail, Err(Refusal::invalid("the body is too large, or broke off")));
        };
        if self.partner_id.as_deref() != Some(&simulator.partner_id) {
            return (ApplyStatus::Fail, Err(Refusal::new(code::UNAUTHORIZED, "UNAUTHORIZED")));
        }
        if !self.verified {
            return (ApplyStatus::Error, Err(Refusal::new(code::UNAUTHORIZED, "the signature does not verify")));
        }
        let reply = run(simulator, &mut state.model, now, self.call, body);
        (if reply.is_ok() { ApplyStatus::Success } else { ApplyStatus::Fail }, reply)
    }

    /// Those payers act who have waited for this call to be answered.
    fn let_payers_act(&self, state: &mut Shared, now: UnixMillis) {
        let (Some(call), Some(number)) = (self.call, self.named.number.as_deref()) else { return };
        let Some(known) = state.known.get_mut(number) else { return };
        if call == Call::Get {
            known.queries += 1;
        }
        let Some(action) = state.payers.act(call, known.queries, known.amount) else { return };
        let Some(id) = state.model.by_number(number) else { return };
        let changed = state.model.act(now, id, action);
        let status = state.model.order(id).state().status();
        let merchant_order_no = number.to_owned();
        state.journal.record(now, Event::Payer { merchant_order_no, action, via: Via::Auto, changed, status });
    }
}

/// Does what a verified call asks for.
fn run(
    simulator: &Simulator,
    model: &mut Model,
    now: UnixMillis,
    call: Option<Call>,
    body: &[u8],
) -> Result<Box<RawValue>, Refusal> {
    let call = call.ok_or_else(|| Refusal::new(code::SERVICE_NOT_AVAILABLE, "SERVICE_NOT_AVAILABLE"))?;
    let Envelope { request_time, biz_content } = Envelope::read(body)?;
    let biz_content = biz_content.get();
    match call {
        Call::Place => {
            let token = simulator::token().map_err(|_| Refusal::new(code::SYSTEM_ERROR, "SYSTEM_ERROR"))?;
            raw(model.place_order(now, request_time, biz_content, token))
        }
        Call::Get => raw(model.get_order(now, request_time, biz_content)),
        Call::Cancel => raw(model.cancel_order(now, request_time, biz_content)),
        Call::Revoke => raw(model.revoke_order(now, request_time, biz_content)),
        Call::UpdateExpiredTime => raw(model.update_expired_time(now, request_time, biz_content)),
        Call::GetCashierUrlInfo => raw(model.get_cashier_url_info(now, request_time, biz_content)),
        Call::GetOrderPayer => raw(model.get_order_payer(now, request_time, biz_content)),
        Call::QueryOrderPage => raw(model.query_order_page(now, request_time, biz_content)),
        Call::PlaceRefund => raw(model.place_refund(now, request_time, biz_content)),
        Call::GetRefund => raw(model.get_refund(now, request_time, biz_content)),
        Call::PlaceTransfer => {
            beneficiary(simulator, biz_content)?;
            raw(model.place_transfer(now, request_time, biz_content))
        }
        Call::GetTransfer => raw(model.get_transfer(now, request_time, biz_content)),
    }
}

fn raw<B: Serialize>(reply: Reply<B>) -> Result<Box<RawValue>, Refusal> {
    reply.map(|body| to_raw_value(&body).expect("plain fields and string keys"))
}

/// A transfer goes to somebody whose identity PayBy can read, and nobody else.
fn beneficiary(simulator: &Simulator, biz_content: &str) -> Result<(), Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Identity {
        beneficiary_identity: String,
    }
    // What is missing, the model says.
    let Ok(Identity { beneficiary_identity }) = serde_json::from_str(biz_content) else { return Ok(()) };
    match simulator.keys.decrypt(&beneficiary_identity) {
        Some(identity) if identity.is_empty() => {
            Err(Refusal::new(code::BENEFICIARY_NOT_EXIST, "BENEFICIARY_NOT_EXIST"))
        }
        Some(_) => Ok(()),
        None => Err(Refusal::invalid("beneficiaryIdentity: not encrypted with PayBy's public key")),
    }
}

/// What a verified call names, as far as it can be told.
#[derive(Default)]
struct Named {
    /// The merchant's number.
    number: Option<String>,
    /// Whether the call gave PayBy's number instead.
    by_order_no: bool,
    amount: Option<Amount>,
}

impl Named {
    fn of(model: &Model, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Request {
            biz_content: Content,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Content {
            #[serde(default, alias = "refundMerchantOrderNo")]
            merchant_order_no: Option<String>,
            #[serde(default)]
            order_no: Option<String>,
            #[serde(default)]
            total_amount: Option<Total>,
        }
        #[derive(Deserialize)]
        struct Total {
            amount: Box<RawValue>,
        }
        let Ok(Request { biz_content }) = serde_json::from_slice(body) else { return Self::default() };
        let Content { merchant_order_no, order_no, total_amount } = biz_content;
        let amount = total_amount.and_then(|total| total.amount.get().trim_matches('"').parse().ok());
        let by_order_no = merchant_order_no.is_none() && order_no.is_some();
        let number = merchant_order_no.or_else(|| {
            let order = model.order(model.by_order_no(&order_no?)?);
            Some(order.merchant_order_no().as_str().to_owned())
        });
        Self { number, by_order_no, amount }
    }
}
