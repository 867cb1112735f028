//! The event log: every call, every act of the payer, every delivery, in order. It never holds a key or a signature.

use std::collections::VecDeque;

use payby_checkout::gateway::wire::ApplyStatus;
use payby_checkout::order::GatewayStatus;
use payby_checkout::time::{Millis, UnixMillis};
use serde::Serialize;

use crate::faults::Fault;
use crate::model::Action;

/// So many events are kept; then the oldest are forgotten.
const CAPACITY: usize = 100_000;

/// The event log.
#[derive(Debug, Default)]
pub struct Journal {
    entries: VecDeque<Entry>,
    recorded: u64,
}

/// An event, its number and its time.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// From 1, without gaps.
    pub seq: u64,
    /// When it happened.
    pub at: UnixMillis,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened. In JSON, `kind` tells which it is.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum Event {
    /// A signed call was made.
    Call {
        /// Its path below the base URL.
        path: String,
        /// The header `Partner-Id`.
        partner_id: Option<String>,
        /// The order that it named, if its signature verified; known also where it named PayBy's number.
        merchant_order_no: Option<String>,
        /// Whether its signature verified.
        verified: bool,
        /// What went wrong on purpose.
        fault: Option<Fault>,
        /// What it was answered; `None` if it was not processed and not answered.
        apply_status: Option<ApplyStatus>,
        /// What it was answered.
        code: Option<String>,
    },
    /// The payer paid or declined, or PayBy settled.
    Payer {
        /// The order.
        merchant_order_no: String,
        /// What was done.
        action: Action,
        /// Where it was done.
        via: Via,
        /// Whether it changed anything.
        changed: bool,
        /// Where the order stands after it.
        status: GatewayStatus,
    },
    /// A notification was sent, and acknowledged or not.
    Notification {
        /// The order that it is about.
        merchant_order_no: String,
        /// The same on every attempt.
        notify_id: String,
        /// From 1 to 8.
        attempt: usize,
        /// Where it was sent.
        url: String,
        /// Whether it was acknowledged.
        acknowledged: bool,
        /// What came of it, in words.
        result: String,
        /// After which time it is tried again, in milliseconds; `None` if it is not.
        next_in_ms: Option<Millis>,
    },
}

/// Where a payer's act comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// The pay page.
    Cashier,
    /// The API under `/sim`.
    Control,
}

impl Journal {
    /// Writes an event down, here and in the program's log. Answers its number.
    pub fn record(&mut self, at: UnixMillis, event: Event) -> u64 {
        event.log();
        self.recorded += 1;
        if self.entries.len() == CAPACITY {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { seq: self.recorded, at, event });
        self.recorded
    }

    /// The events, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }
}

impl Event {
    fn log(&self) {
        match self {
            Self::Call { path, merchant_order_no, verified, fault, code, .. } => tracing::info!(
                order = merchant_order_no.as_deref(),
                code = code.as_deref(),
                verified,
                fault = fault.map(tracing::field::debug),
                "{path}"
            ),
            Self::Payer { merchant_order_no, action, changed, status, .. } => {
                tracing::info!(order = merchant_order_no, changed, ?status, "{action:?}");
            }
            Self::Notification { merchant_order_no, attempt, acknowledged, result, .. } => {
                tracing::info!(order = merchant_order_no, attempt, acknowledged, "notification: {result}");
            }
        }
    }
}
