//! Signed calls to PayBy. An answer is verified over its raw bytes before it is read, and believed only if it names this
//! order's number, amount and currency (R10). Anything short of that is [`Outcome::Unknown`], which is not a failure.
//!
//! Redirects are not followed and proxies in the environment are not used: a signed request goes to the configured host.

use std::sync::Arc;
use std::time::{Duration, Instant};

use payby_checkout::gateway::signature::{self, SigningKey, VerifyingKey};
use payby_checkout::gateway::wire::{
    self, AcquireBody, Answer, ApplyStatus, Head, OrderReference, RefundBody, RefundOrder, RefundReference, Request,
    TransferBody, TransferOrder, code, path,
};
use payby_checkout::hop::Outcome;
use payby_checkout::money::Money;
use payby_checkout::order_number::OrderNumber;
use payby_checkout::protocol::Refusal;
use payby_checkout::time::UnixMillis;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_LANGUAGE, CONTENT_TYPE};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tracing::Instrument as _;

use crate::alerts::{Alerts, Kind};
use crate::config::GatewayConfig;
use crate::metrics::Metrics;
use crate::store::RefundRow;

/// The longest answer that is read.
const MAX_ANSWER: usize = 64 * 1024;

/// PayBy, as this merchant reaches it.
#[derive(Debug)]
pub struct Gateway {
    http: reqwest::Client,
    base_url: String,
    partner_id: String,
    signing: SigningKey,
    verifying: VerifyingKey,
    alerts: Alerts,
    metrics: Arc<Metrics>,
}

/// What came of a call about a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefundOutcome {
    /// Where it stands.
    Known(Box<RefundOrder>),
    /// No refund has the number (62007).
    Missing,
    /// It was judged, and not made.
    Refused(Refusal),
    /// It may or may not have been made (R2).
    Unknown,
}

/// What PayBy says of something that is not kept here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told<T> {
    /// Where it stands.
    Known(T),
    /// It does not know it.
    Missing,
    /// Nothing certain.
    Unknown,
}

/// Why an answer says nothing certain.
#[derive(Debug)]
struct Doubt {
    why: String,
    alert: Option<Kind>,
}

impl From<String> for Doubt {
    fn from(why: String) -> Self {
        Self { why, alert: None }
    }
}

impl Gateway {
    /// Makes ready to call. Nothing is sent yet.
    ///
    /// # Errors
    /// TLS cannot be set up on this machine.
    pub fn new(config: GatewayConfig, alerts: Alerts, metrics: Arc<Metrics>) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_millis(config.timeout.0))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        let GatewayConfig { base_url, partner_id, private_key, payby_public_key, .. } = config;
        Ok(Self { http, base_url, partner_id, signing: private_key, verifying: payby_public_key, alerts, metrics })
    }

    /// Whether these bytes were signed by PayBy.
    #[must_use]
    pub fn has_signed(&self, body: &[u8], sign: &[u8]) -> bool {
        self.verifying.verify(body, sign).is_ok()
    }

    /// `placeOrder`, with these very parameters.
    pub async fn place(&self, number: &OrderNumber, amount: Money, biz_content: &str, now: UnixMillis) -> Outcome {
        self.call(path::PLACE_ORDER, number, amount, biz_content.to_owned(), now).await
    }

    /// `getOrder`.
    pub async fn query(&self, number: &OrderNumber, amount: Money, now: UnixMillis) -> Outcome {
        self.call_by_number(path::GET_ORDER, number, amount, now).await
    }

    /// `cancelOrder`.
    pub async fn cancel(&self, number: &OrderNumber, amount: Money, now: UnixMillis) -> Outcome {
        self.call_by_number(path::CANCEL_ORDER, number, amount, now).await
    }

    /// `revokeOrder`.
    pub async fn revoke(&self, number: &OrderNumber, amount: Money, now: UnixMillis) -> Outcome {
        self.call_by_number(path::REVOKE_ORDER, number, amount, now).await
    }

    /// `refund/placeOrder`, with the parameters that were written down.
    pub async fn place_refund(&self, refund: &RefundRow, now: UnixMillis) -> RefundOutcome {
        self.call_refund(path::PLACE_REFUND, refund, Ok(refund.biz_content.clone()), now).await
    }

    /// `refund/getOrder`.
    pub async fn query_refund(&self, refund: &RefundRow, now: UnixMillis) -> RefundOutcome {
        let reference = RefundReference { refund_merchant_order_no: Some(refund.number.clone()), order_no: None };
        self.call_refund(path::GET_REFUND, refund, serde_json::to_string(&reference), now).await
    }

    async fn call_refund(
        &self,
        path: &'static str,
        refund: &RefundRow,
        biz_content: serde_json::Result<String>,
        now: UnixMillis,
    ) -> RefundOutcome {
        let begun = Instant::now();
        let understood = match self.ask::<RefundBody>(path, biz_content, now).await {
            Ok((_, Some(body))) => match refund_mismatch(&body.refund_order, refund) {
                None => Ok(RefundOutcome::Known(Box::new(body.refund_order))),
                Some(doubt) => Err(doubt),
            },
            Ok((head, None)) if head.code == code::REFUND_MERCHANT_ORDER_NO_NOT_EXIST => Ok(RefundOutcome::Missing),
            Ok((head, None)) => Ok(RefundOutcome::Refused(Refusal { code: head.code, message: head.msg })),
            Err(doubt) => Err(doubt),
        };
        let outcome = match &understood {
            Ok(RefundOutcome::Known(_)) => "known",
            Ok(RefundOutcome::Missing) => "missing",
            Ok(RefundOutcome::Refused(_)) => "refused",
            Ok(RefundOutcome::Unknown) | Err(_) => "unknown",
        };
        self.metrics.called(name_of(path), outcome, begun.elapsed());
        tracing::info!(refund = %refund.number, path, outcome, "PayBy was asked about a refund");
        understood.unwrap_or_else(|Doubt { why, alert }| {
            tracing::warn!(refund = %refund.number, path, why, "the call's outcome is unknown");
            if let Some(alert) = alert {
                self.alerts.raise(alert, Some(&refund.number), why);
            }
            RefundOutcome::Unknown
        })
    }

    /// `getTransferOrder`.
    pub async fn query_transfer(&self, number: &OrderNumber, now: UnixMillis) -> Told<TransferOrder> {
        let begun = Instant::now();
        let reference = OrderReference { merchant_order_no: Some(number.clone()), order_no: None };
        let biz_content = serde_json::to_string(&reference);
        let (told, outcome) = match self.ask::<TransferBody>(path::GET_TRANSFER, biz_content, now).await {
            Ok((_, Some(body))) if body.transfer_order.merchant_order_no == *number => {
                (Told::Known(body.transfer_order), "known")
            }
            Ok((head, None)) if head.code == code::MERCHANT_ORDER_NO_NOT_EXIST => (Told::Missing, "missing"),
            Ok(_) | Err(_) => (Told::Unknown, "unknown"),
        };
        self.metrics.called(name_of(path::GET_TRANSFER), outcome, begun.elapsed());
        tracing::info!(transfer = %number, outcome, "PayBy was asked about a transfer");
        told
    }

    /// Asks, and answers the head and, if it says yes, the body. What is neither yes nor no is a doubt.
    async fn ask<B: DeserializeOwned>(
        &self,
        path: &'static str,
        biz_content: serde_json::Result<String>,
        now: UnixMillis,
    ) -> Result<(Head, Option<B>), Doubt> {
        let biz_content = biz_content.map_err(|error| format!("nothing was sent: {error}"))?;
        let Answer { head, body } = self.exchange(path, biz_content, now).await?;
        self.note_rejection(&head);
        match (head.apply_status, head.code.as_str(), body) {
            (ApplyStatus::Success, code::SUCCESS, Some(body)) => Ok((head, Some(body))),
            (_, code::SUCCESS, _) => Err("an answer that says neither yes nor no".to_owned().into()),
            (_, unknown, _) if is_unknown(unknown) => Err(format!("PayBy answered {unknown}").into()),
            _ => Ok((head, None)),
        }
    }

    async fn call_by_number(
        &self,
        path: &'static str,
        number: &OrderNumber,
        amount: Money,
        now: UnixMillis,
    ) -> Outcome {
        let reference = OrderReference { merchant_order_no: Some(number.clone()), order_no: None };
        match serde_json::to_string(&reference) {
            Ok(biz_content) => self.call(path, number, amount, biz_content, now).await,
            Err(error) => {
                tracing::error!(%number, path, %error, "nothing was sent");
                Outcome::Unknown
            }
        }
    }

    async fn call(
        &self,
        path: &'static str,
        number: &OrderNumber,
        amount: Money,
        biz_content: String,
        now: UnixMillis,
    ) -> Outcome {
        let begun = Instant::now();
        let understood = match self.exchange(path, biz_content, now).await {
            Ok(answer) => {
                self.note_rejection(&answer.head);
                understand(path, answer, number, amount, now)
            }
            Err(why) => Err(why.into()),
        };
        self.metrics.called(name_of(path), outcome(understood.as_ref().ok()), begun.elapsed());
        match &understood {
            Ok(Outcome::Known { state, .. }) => {
                tracing::debug!(%number, path, status = ?state.status(), "PayBy told the order");
            }
            Ok(told) => tracing::info!(%number, path, ?told, "PayBy refused the call"),
            Err(Doubt { why, alert }) => {
                tracing::warn!(%number, path, why, "the call's outcome is unknown");
                if let Some(alert) = alert {
                    self.alerts.raise(*alert, Some(number), why);
                }
            }
        }
        understood.unwrap_or(Outcome::Unknown)
    }

    /// If PayBy does not accept us, no payment can be made until a person has mended the settings.
    fn note_rejection(&self, head: &Head) {
        if head.apply_status == ApplyStatus::Error || head.code == code::UNAUTHORIZED {
            let Head { code, msg, .. } = head;
            let said = msg.as_deref().unwrap_or_default();
            let message = format!("PayBy does not accept the signature or the partner id: {code} {said}");
            self.alerts.raise(Kind::GatewayRejectsUs, None, message);
        }
    }

    /// Sends and receives; answers what PayBy has signed, or why nothing that it has signed came.
    async fn exchange<B: DeserializeOwned>(
        &self,
        path: &'static str,
        biz_content: String,
        now: UnixMillis,
    ) -> Result<Answer<B>, String> {
        let biz_content = RawValue::from_string(biz_content).map_err(|error| format!("nothing was sent: {error}"))?;
        let request = Request { request_time: now, biz_content: &biz_content };
        let body = serde_json::to_vec(&request).map_err(|error| format!("nothing was sent: {error}"))?;
        let sign = self.signing.sign(&body);
        let span = tracing::info_span!("gateway", call = name_of(path));
        self.send(path, body, sign).instrument(span).await
    }

    async fn send<B: DeserializeOwned>(&self, path: &str, body: Vec<u8>, sign: String) -> Result<Answer<B>, String> {
        let mut response = self
            .http
            .post(format!("{}/{path}", self.base_url))
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_LANGUAGE, "en")
            .header("Partner-Id", &self.partner_id)
            .header(signature::HEADER, sign)
            .body(body)
            .send()
            .await
            .map_err(in_words)?;
        if response.status() != StatusCode::OK {
            return Err(format!("HTTP {}", response.status()));
        }
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(in_words)? {
            if answer.len() + chunk.len() > MAX_ANSWER {
                return Err(format!("an answer of more than {MAX_ANSWER} bytes"));
            }
            answer.extend_from_slice(&chunk);
        }
        let sign = response.headers().get(signature::HEADER).ok_or("an answer without a signature")?;
        self.verifying.verify(&answer, sign.as_bytes()).map_err(|error| error.to_string())?;
        wire::read(&answer).map_err(|error| format!("an unreadable answer: {error}"))
    }
}

/// What a verified answer says about this order, or why it says nothing certain.
fn understand(
    path: &str,
    answer: Answer<AcquireBody>,
    number: &OrderNumber,
    amount: Money,
    now: UnixMillis,
) -> Result<Outcome, Doubt> {
    let Head { apply_status, code, msg: message, .. } = answer.head;
    match (apply_status, code.as_str(), answer.body) {
        (ApplyStatus::Success, code::SUCCESS, Some(body)) => match mismatch(&body, number, amount) {
            None => Ok(Outcome::Known {
                state: body.acquire_order.state(now),
                pay_url: body.inter_action_params.map(|params| params.token_url),
            }),
            Some(why) => Err(why),
        },
        (_, code::SUCCESS, _) => Err("an answer that says neither yes nor no".to_owned().into()),
        (_, unknown, _) if is_unknown(unknown) => {
            Err(format!("PayBy answered {unknown} {}", message.unwrap_or_default()).into())
        }
        // To a revocation they are a refusal, and its reason.
        (_, code::ORDER_PAID | code::ORDER_FAILURE | code::ORDER_SETTLED | code::MERCHANT_ORDER_NO_EXIST, _)
            if path != path::REVOKE_ORDER =>
        {
            Ok(Outcome::Taken)
        }
        (_, code::MERCHANT_ORDER_NO_NOT_EXIST, _) => Ok(Outcome::Missing),
        _ => Ok(Outcome::Refused { code, message }),
    }
}

/// For the metrics.
const fn outcome(understood: Option<&Outcome>) -> &'static str {
    match understood {
        Some(Outcome::Known { .. }) => "known",
        Some(Outcome::Taken) => "taken",
        Some(Outcome::Missing) => "missing",
        Some(Outcome::Refused { .. }) => "refused",
        Some(Outcome::Unknown) | None => "unknown",
    }
}

/// 404, a service that is not available, may have become so half-way; a rate limit passes by itself.
fn is_unknown(code: &str) -> bool {
    [code::SYSTEM_ERROR, code::SERVICE_TIMEOUT, code::RATE_LIMIT_REJECT, code::SERVICE_NOT_AVAILABLE].contains(&code)
}

/// A call's name in the metrics.
fn name_of(path: &'static str) -> &'static str {
    path.strip_prefix("acquire2/").unwrap_or(path)
}

/// R10, for a refund.
fn refund_mismatch(report: &RefundOrder, refund: &RefundRow) -> Option<Doubt> {
    if !refund.is_named_by(report) {
        let told = &report.refund_merchant_order_no;
        Some(format!("the answer is about another refund, or one of another order: {told}").into())
    } else if report.amount.0 != refund.amount {
        let why = format!("the answer names {}, the refund is over {}", report.amount.0, refund.amount);
        Some(Doubt { why, alert: Some(Kind::AmountMismatch) })
    } else {
        None
    }
}

/// R10.
fn mismatch(body: &AcquireBody, number: &OrderNumber, amount: Money) -> Option<Doubt> {
    let order = &body.acquire_order;
    if order.merchant_order_no != *number {
        Some(format!("the answer is about order {}", order.merchant_order_no).into())
    } else if order.total_amount.0 != amount {
        let why = format!("the answer names {}, the order is over {amount}", order.total_amount.0);
        Some(Doubt { why, alert: Some(Kind::AmountMismatch) })
    } else {
        None
    }
}

/// The error and its causes. The URL, which says nothing new, stays out.
fn in_words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}
