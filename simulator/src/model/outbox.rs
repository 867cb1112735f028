//! Notifications: made once, delivered until they are acknowledged or PayBy gives up. Sends nothing itself.

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;

use payby_checkout::gateway::wire::{AcquireOrder, RefundOrder, TransferOrder};
use payby_checkout::order_number::OrderNumber;
use payby_checkout::time::{Millis, UnixMillis};
use serde::Serialize;

/// The pauses after a delivery that was not acknowledged; after the last of them there is no other.
pub const RETRY_DELAYS: [Millis; 7] =
    [minutes(2), minutes(10), minutes(10), minutes(60), minutes(120), minutes(360), minutes(900)];

const fn minutes(n: u64) -> Millis {
    Millis::from_secs(n * 60)
}

/// One attempt to deliver a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    letter: usize,
    /// The same on every attempt.
    pub notify_id: String,
    /// The number, given by the merchant, of the order, refund or transfer that it is about.
    pub merchant_order_no: OrderNumber,
    /// Where it goes.
    pub url: String,
    /// The same bytes on every attempt.
    pub body: Arc<str>,
    /// From 1 to 8.
    pub attempt: usize,
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Each notification as its last attempt, or before that, as its first one will be.
    letters: Vec<Delivery>,
    due: BTreeSet<(UnixMillis, usize)>,
}

impl Outbox {
    /// Makes a notification of how things stand now, due at once.
    pub(super) fn post(&mut self, now: UnixMillis, url: &str, merchant_order_no: &OrderNumber, news: News) {
        let letter = self.letters.len();
        let notify_id = format!("{}{letter:06}", now.0);
        let body = OnWire {
            input_charset: "UTF-8",
            notify_time: gulf_time(now),
            notify_id: &notify_id,
            notify_timestamp: now,
            news,
        };
        let body = serde_json::to_string(&body).expect("plain fields and string keys").into();
        let merchant_order_no = merchant_order_no.clone();
        self.letters.push(Delivery { letter, notify_id, merchant_order_no, url: url.to_owned(), body, attempt: 0 });
        self.due.insert((now, letter));
    }

    pub(super) fn next_due(&self) -> Option<UnixMillis> {
        self.due.first().map(|&(at, _)| at)
    }

    pub(super) fn take_due(&mut self, now: UnixMillis) -> Vec<Delivery> {
        let mut taken = Vec::new();
        while let Some(&(at, letter)) = self.due.first()
            && at <= now
        {
            self.due.pop_first();
            self.letters[letter].attempt += 1;
            taken.push(self.letters[letter].clone());
        }
        taken
    }

    pub(super) fn delivered(&mut self, now: UnixMillis, delivery: &Delivery, acknowledged: bool) -> Option<Millis> {
        let pause = *RETRY_DELAYS.get(delivery.attempt - 1).filter(|_| !acknowledged)?;
        self.due.insert((now.plus(pause), delivery.letter));
        Some(pause)
    }

    pub(super) fn advance(&mut self, span: Millis) {
        let due = mem::take(&mut self.due).into_iter();
        self.due = due.map(|(at, letter)| (UnixMillis(at.0.saturating_sub(span.0)), letter)).collect();
    }
}

/// What a notification tells, under the name of its field.
#[derive(Serialize)]
pub(super) enum News {
    #[serde(rename = "acquireOrder")]
    Acquire(AcquireOrder),
    #[serde(rename = "refundOrder")]
    Refund(RefundOrder),
    #[serde(rename = "transferOrder")]
    Transfer(TransferOrder),
}

/// A notification, with the deprecated fields that PayBy still sends.
#[derive(Serialize)]
struct OnWire<'a> {
    #[serde(rename = "_input_charset")]
    input_charset: &'static str,
    notify_time: String,
    notify_id: &'a str,
    notify_timestamp: UnixMillis,
    #[serde(flatten)]
    news: News,
}

/// `notify_time`: year to second, in the Emirates' time.
fn gulf_time(now: UnixMillis) -> String {
    let local = i64::try_from(now.0).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    let local = local.map(|time| jiff::tz::offset(4).to_datetime(time));
    local.map(|time| time.strftime("%Y%m%d%H%M%S").to_string()).unwrap_or_default()
}
