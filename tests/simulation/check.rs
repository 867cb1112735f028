//! What must always hold, by the names that `docs/rules.md` gives.

use std::collections::{BTreeMap, BTreeSet};

use payby_checkout::checkout::{Saved, View};
use payby_checkout::hop::Step;
use payby_checkout::order::{GatewayStatus, Status};
use payby_checkout::order_number::OrderNumber;

use crate::gateway::{Call, Gateway};
use crate::world::World;

/// What was seen so far that later events must not contradict, and what the browser has stored.
#[derive(Default)]
pub struct Seen {
    broken: Option<String>,
    /// When the last query and the last cancel of an order were sent.
    sent: BTreeMap<(OrderNumber, bool), u64>,
    /// The orders whose last creation has an unknown outcome and has not been asked for since.
    unasked: BTreeSet<OrderNumber>,
    /// What the proxy has called terminal.
    ended: BTreeMap<OrderNumber, Status>,
    /// The browser's storage, that all tabs share.
    pub storage: Option<Saved>,
    /// The orders that somebody is about to pay.
    pub payers: BTreeSet<OrderNumber>,
}

impl Seen {
    pub fn breaks(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    /// Spacing is measured by the proxy's own clock; over a jump of it nothing can be said.
    pub fn clock_jumped(&mut self) {
        self.sent.clear();
    }

    /// A call leaves the proxy.
    pub fn sent(&mut self, now: u64, call: &Call) {
        let least = match call.step {
            Step::Query => {
                self.unasked.remove(&call.number);
                2_000
            }
            Step::Cancel => 3_000,
            _ => {
                if !self.unasked.insert(call.number.clone()) {
                    self.breaks(format!("R3: {} is sent again without a query before", call.number));
                }
                return;
            }
        };
        let key = (call.number.clone(), call.step == Step::Cancel);
        if let Some(before) = self.sent.insert(key, now)
            && now - before < least
        {
            self.breaks(format!("I7: {:?} of {} only {} ms after the last", call.step, call.number, now - before));
        }
    }

    /// A call about this order was answered.
    pub fn certain(&mut self, number: &OrderNumber) {
        self.unasked.remove(number);
    }

    /// A call arrives at PayBy.
    pub fn arrived(&mut self, call: &Call, is_written: bool) {
        if !is_written {
            self.breaks(format!("I9: {} was sent before it was written down", call.number));
        }
    }

    /// A tab shows something.
    pub fn shown(&mut self, view: &View, gateway: &Gateway) {
        if let View::Paid { order_number, amount } = view {
            let paid = gateway.orders.get(order_number).is_some_and(|order| {
                order.status == GatewayStatus::PaidSuccess && order.parameters.amount == amount.amount.fils()
            });
            if !paid {
                self.breaks(format!("I2: a page says that {order_number} is paid; PayBy does not"));
            }
        }
        if let View::Failed { order_number, .. } = view {
            let is_live = gateway.orders.get(order_number).is_some_and(|order| order.status != GatewayStatus::Failure);
            if is_live {
                self.breaks(format!("a page says that {order_number} has failed; PayBy does not"));
            }
        }
    }
}

impl World {
    /// After every event.
    pub fn check(&mut self) -> Result<(), String> {
        let live: Vec<_> = self
            .gateway
            .orders
            .iter()
            .filter(|(_, order)| match order.status {
                GatewayStatus::Created => order.parameters.expires_at > self.gateway_clock(),
                status => status != GatewayStatus::Failure,
            })
            .map(|(number, _)| number.clone())
            .collect();
        if live.len() > 1 {
            self.seen.breaks(format!("I1, I5: two orders can be or are paid: {live:?}"));
        }
        if self.gateway.contradictions > 0 {
            self.seen.breaks("I4: one number came with two sets of parameters".to_owned());
        }
        for (number, row) in &self.proxy.db {
            let status = row.at_gateway.status();
            if let Some(before) = self.seen.ended.get(number)
                && *before != status
            {
                self.seen.broken.get_or_insert(format!("I3: {number} was {before:?} and is {status:?}"));
            }
            if status.is_terminal() {
                self.seen.ended.insert(number.clone(), status);
            }
        }
        self.seen.broken.take().map_or(Ok(()), Err)
    }

    /// At the end, long after the faults have stopped (I6): every order is decided, whoever looks knows, and knows the truth.
    pub fn check_end(&mut self) -> Result<(), String> {
        if let Some((number, _)) = self.proxy.db.iter().find(|(_, row)| !row.at_gateway.status().is_terminal()) {
            return Err(format!("I6: at the end {number} is not decided"));
        }
        if let Some(tab) = self.tabs.iter().position(|tab| tab.is_open && tab.watches) {
            return Err(format!("I6: at the end tab {tab} still waits: {:?}", self.tabs[tab].view));
        }
        let view = &self.tabs.last().unwrap().view;
        let number = match view {
            View::Paid { order_number, .. } | View::Failed { order_number, .. } => order_number,
            View::Idle if self.proxy.db.is_empty() || self.stored().is_none() => return Ok(()),
            // The proxy gives a page the live or the paid order; a failed one is nothing to go on with.
            View::Idle if self.proxy.db.values().all(|row| row.at_gateway.status() == Status::Failed) => return Ok(()),
            other => return Err(format!("I6: at the end the last tab shows {other:?}")),
        };
        let row = self.proxy.db.get(number).ok_or("the proxy does not know what the page shows")?;
        let is_paid = self.gateway.orders.get(number).is_some_and(|order| order.status == GatewayStatus::PaidSuccess);
        let says_paid = matches!(view, View::Paid { .. });
        if is_paid != says_paid || (row.at_gateway.status() == Status::Paid) != is_paid {
            return Err(format!("I6: at the end {number} is paid: {is_paid}; the page says {view:?}"));
        }
        Ok(())
    }
}
