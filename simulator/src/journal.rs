//! The event log: every call, every act of the payer, every delivery, in order. It never holds a key or a signature.

use std::collections::VecDeque;

use payby_checkout::gateway::wire::ApplyStatus;
use payby_checkout::money::Amount;
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
        /// Whether it named PayBy's number instead of the merchant's.
        #[serde(skip_serializing_if = "is_false")]
        by_order_no: bool,
        /// How much it asked to be paid.
        #[serde(skip_serializing_if = "Option::is_none")]
        amount: Option<Amount>,
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
        /// The order, refund or transfer that it is about.
        merchant_order_no: String,
        /// The same on every attempt.
        notify_id: String,
        /// From 1 to 8.
        attempt: usize,
        /// Where it was sent.
        url: String,
        /// What went wrong on purpose.
        #[serde(skip_serializing_if = "Option::is_none")]
        fault: Option<Fault>,
        /// Whether it was acknowledged.
        acknowledged: bool,
        /// What came of it, in words.
        result: String,
        /// After which time it is tried again, in milliseconds; `None` if it is not.
        next_in_ms: Option<Millis>,
    },
    /// The merchant's stack has alerted a person: `POST /sim/alerts`.
    Alert {
        /// The order that the alert names, if it names one that is known.
        merchant_order_no: Option<String>,
        /// The alert's beginning.
        text: String,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Where a payer's act comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// The pay page.
    Cashier,
    /// The API under `/sim`.
    Control,
    /// A payer who acts by themselves.
    Auto,
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
    #[must_use]
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }
}

impl Event {
    /// The order that it is about, by the merchant's number.
    #[must_use]
    pub fn order(&self) -> Option<&str> {
        match self {
            Self::Call { merchant_order_no, .. } | Self::Alert { merchant_order_no, .. } => {
                merchant_order_no.as_deref()
            }
            Self::Payer { merchant_order_no, .. } | Self::Notification { merchant_order_no, .. } => {
                Some(merchant_order_no)
            }
        }
    }

    fn log(&self) {
        match self {
            Self::Call { path, merchant_order_no, verified, fault, code, .. } => tracing::info!(
                order = merchant_order_no.as_deref(),
                code = code.as_deref(),
                verified,
                fault = fault.as_ref().map(tracing::field::debug),
                "{path}"
            ),
            Self::Payer { merchant_order_no, action, changed, status, .. } => {
                tracing::info!(order = merchant_order_no, changed, ?status, "{action:?}");
            }
            Self::Notification { merchant_order_no, attempt, acknowledged, result, .. } => {
                tracing::info!(order = merchant_order_no, attempt, acknowledged, "notification: {result}");
            }
            Self::Alert { merchant_order_no, .. } => tracing::info!(order = merchant_order_no.as_deref(), "alert"),
        }
    }
}
