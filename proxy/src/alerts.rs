//! What a person has to look at: a line in the log, a count, and a signed message to the merchant's webhook.
//!
//! An alert never keeps an order waiting: the webhook has a task and a bounded queue of its own. Each kind is told once per
//! order (or once in all, where it is about no order), until [`SILENCE`] has passed. The queue is in memory: what a restart
//! loses stands in the log.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use payby_checkout::order_number::OrderNumber;
use payby_checkout::schedule;
use payby_checkout::time::{Millis, UnixMillis};
use reqwest::header::CONTENT_TYPE;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::app::App;
use crate::config::Clock;
use crate::metrics::Metrics;
use crate::random;

/// The header that carries `sha256=` and the HMAC-SHA256 of the body, in hexadecimal digits.
pub const SIGNATURE: &str = "payby-proxy-signature";

/// How long an alert is not told again.
const SILENCE: Millis = Millis(60 * 60_000);

/// How many alerts are remembered, and how many wait for the webhook.
const REMEMBERED: usize = 10_000;
const QUEUED: usize = 256;

/// How often one alert is sent before it is given up: about five minutes of back-off.
const ATTEMPTS: u32 = 12;

/// How long the webhook may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// R9: nothing certain can be learnt of an order, three times in a row or for ten seconds.
    GatewayFails,
    /// PayBy does not accept the signature or the partner id. No payment can be made.
    GatewayRejectsUs,
    /// PayBy does not know an order that it had reported.
    OrderLost,
    /// An answer of PayBy's names another amount.
    AmountMismatch,
    /// PayBy has said both that an order failed and that it is paid.
    Conflict,
    /// Two orders of one purchase are paid.
    PaidTwice,
    /// A notification that PayBy has not signed.
    NotificationForged,
    /// PayBy has signed a notification that names no order of ours, or another amount; it is kept in the database.
    NotificationMismatch,
    /// PayBy has signed a notification that this version cannot read.
    NotificationUnreadable,
}

impl Kind {
    /// Its name in the log, in the metrics and in the webhook's messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GatewayFails => "gateway_fails",
            Self::GatewayRejectsUs => "gateway_rejects_us",
            Self::OrderLost => "order_lost",
            Self::AmountMismatch => "amount_mismatch",
            Self::Conflict => "conflict",
            Self::PaidTwice => "paid_twice",
            Self::NotificationForged => "notification_forged",
            Self::NotificationMismatch => "notification_mismatch",
            Self::NotificationUnreadable => "notification_unreadable",
        }
    }
}

/// Where alerts are sent, and what they are signed with.
#[derive(Debug)]
pub struct Webhook {
    /// The merchant's address.
    pub url: String,
    /// The key of the HMAC. Its `Debug` shows the algorithm alone.
    pub key: hmac::Key,
}

/// Where alerts are raised. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Alerts(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    metrics: Arc<Metrics>,
    told: Mutex<HashMap<Told, UnixMillis>>,
    queue: Option<mpsc::Sender<String>>,
}

type Told = (Kind, Option<OrderNumber>);

/// The webhook's body.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    alert: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_number: Option<&'a OrderNumber>,
    message: String,
    at: UnixMillis,
}

/// The alerts that wait for the webhook; [`deliver`] takes them.
pub type Queue = mpsc::Receiver<String>;

impl Alerts {
    /// With a queue, if somebody is going to take from it.
    #[must_use]
    pub fn new(clock: Clock, metrics: Arc<Metrics>, is_sent: bool) -> (Self, Option<Queue>) {
        let (queue, waiting) = is_sent.then(|| mpsc::channel(QUEUED)).unzip();
        (Self(Arc::new(Inner { clock, metrics, told: Mutex::default(), queue })), waiting)
    }

    /// A person has to look at this.
    pub fn raise(&self, kind: Kind, number: Option<&OrderNumber>, message: impl fmt::Display) {
        let now = self.0.clock.now();
        if !self.is_new(kind, number, now) {
            return;
        }
        let (alert, message) = (kind.as_str(), message.to_string());
        tracing::error!(alert, number = number.map(OrderNumber::as_str), message, "a person has to look at this");
        self.0.metrics.alerted(alert);
        let Some(queue) = &self.0.queue else { return };
        let Ok(body) = serde_json::to_string(&Body { alert, order_number: number, message, at: now }) else {
            return;
        };
        if queue.try_send(body).is_err() {
            tracing::error!(alert, "the webhook's queue is full; the alert stands in the log alone");
            self.0.metrics.sent_alert("dropped");
        }
    }

    fn is_new(&self, kind: Kind, number: Option<&OrderNumber>, now: UnixMillis) -> bool {
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_silent = |at: UnixMillis| now.0.saturating_sub(at.0) < SILENCE.0;
        let key = (kind, number.cloned());
        if told.get(&key).copied().is_some_and(is_silent) {
            return false;
        }
        if told.len() >= REMEMBERED {
            told.retain(|_, at| is_silent(*at));
        }
        // Rather told twice than not at all, and never without bound.
        if told.len() >= REMEMBERED {
            told.clear();
        }
        told.insert(key, now);
        true
    }
}

/// Sends what is raised to the webhook, one after the other, until the proxy is to stop.
pub async fn deliver(app: App, webhook: Webhook, mut queue: Queue) {
    let http = match reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
    {
        Ok(http) => http,
        Err(error) => {
            tracing::error!(%error, "the webhook's client cannot be set up");
            return;
        }
    };
    loop {
        let body = tokio::select! {
            body = queue.recv() => body,
            () = app.stopped() => return,
        };
        let Some(body) = body else { return };
        let mut failures = 0;
        while let Err(why) = send(&http, &webhook, body.clone()).await {
            failures += 1;
            tracing::warn!(why, failures, "the webhook has not taken an alert");
            app.metrics.sent_alert("failed");
            if failures == ATTEMPTS {
                tracing::error!("the alert is given up; it stands in the log");
                break;
            }
            if !app.sleep(schedule::back_off(failures, None, random::number())).await {
                return;
            }
        }
        if failures < ATTEMPTS {
            app.metrics.sent_alert("sent");
        }
    }
}

async fn send(http: &reqwest::Client, webhook: &Webhook, body: String) -> Result<(), String> {
    let tag = hmac::sign(&webhook.key, body.as_bytes());
    let request = http
        .post(&webhook.url)
        .header(CONTENT_TYPE, "application/json")
        .header(SIGNATURE, format!("sha256={}", random::hex(tag.as_ref())))
        .body(body);
    match request.send().await {
        Ok(response) if response.status().is_success() => Ok(()),
        Ok(response) => Err(format!("HTTP {}", response.status())),
        // The URL may hold a secret of the merchant's.
        Err(error) => Err(error.without_url().to_string()),
    }
}
