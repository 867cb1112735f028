//! PayBy, as far as an order's truth goes: idempotent creation, query, cancel, payment, expiry.

use std::collections::BTreeMap;

use payby_checkout::hop::{Outcome, Step};
use payby_checkout::order::{Failure, FailureReason, GatewayStatus, OrderState};
use payby_checkout::order_number::OrderNumber;
use payby_checkout::time::UnixMillis;

/// How far a request's time may be from PayBy's clock.
const WINDOW: u64 = 15 * 60_000;

/// What a creation carries: the same on every retry, or it is another order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    pub amount: u64,
    pub expires_at: UnixMillis,
}

/// A call as it arrives.
#[derive(Clone, Debug)]
pub struct Call {
    pub step: Step,
    pub number: OrderNumber,
    pub request_time: UnixMillis,
    pub parameters: Parameters,
    /// Whether risk control refuses it, if it would make an order.
    pub is_risky: bool,
}

/// One order's truth.
#[derive(Clone, Debug)]
pub struct Order {
    pub parameters: Parameters,
    pub status: GatewayStatus,
    pub failure: Option<FailureReason>,
}

/// PayBy.
#[derive(Default)]
pub struct Gateway {
    pub orders: BTreeMap<OrderNumber, Order>,
    /// How often a creation came with other parameters than the first one (I4).
    pub contradictions: u32,
}

impl Gateway {
    /// Does what the call asks for. The second answer: whether the order was decided by it.
    pub fn receive(&mut self, call: &Call, now: UnixMillis) -> (Outcome, bool) {
        self.expire(now);
        if now.0.abs_diff(call.request_time.0) > WINDOW {
            return (Outcome::Refused { code: "400".to_owned(), message: None }, false);
        }
        let found = self.orders.get_mut(&call.number);
        match (call.step, found) {
            (Step::Place, None) => (self.create(call), false),
            (Step::Place, Some(order)) => {
                if order.parameters != call.parameters {
                    self.contradictions += 1;
                }
                if order.status == GatewayStatus::Created {
                    (self.told(&call.number, true), false)
                } else {
                    (Outcome::Taken, false)
                }
            }
            (_, None) => (Outcome::Missing, false),
            (Step::Cancel, Some(order)) if order.status == GatewayStatus::Created => {
                order.status = GatewayStatus::Failure;
                order.failure = Some(FailureReason::Cancelled);
                (self.told(&call.number, false), true)
            }
            (Step::Cancel, Some(_)) => (Outcome::Taken, false),
            (_, Some(_)) => (self.told(&call.number, false), false),
        }
    }

    fn create(&mut self, call: &Call) -> Outcome {
        let refused = |code: &str| Outcome::Refused { code: code.to_owned(), message: None };
        if call.parameters.expires_at <= call.request_time {
            return refused("62008");
        }
        if call.is_risky {
            return refused("601");
        }
        let parameters = call.parameters.clone();
        self.orders.insert(call.number.clone(), Order { parameters, status: GatewayStatus::Created, failure: None });
        self.told(&call.number, true)
    }

    /// The payer pays, or declines. Whether that decided the order.
    pub fn payer(&mut self, number: &OrderNumber, pays: bool, now: UnixMillis) -> bool {
        self.expire(now);
        let Some(order) = self.orders.get_mut(number).filter(|order| order.status == GatewayStatus::Created) else {
            return false;
        };
        order.status = if pays { GatewayStatus::PaidSuccess } else { GatewayStatus::Failure };
        order.failure = (!pays).then_some(FailureReason::Declined);
        true
    }

    /// What it tells of an order.
    pub fn state(&self, number: &OrderNumber) -> OrderState {
        self.orders.get(number).map_or_else(OrderState::default, |order| {
            let failure = order.failure.map(|reason| Failure { reason, code: None, message: None });
            OrderState::reported(order.status, false, failure)
        })
    }

    fn told(&self, number: &OrderNumber, with_url: bool) -> Outcome {
        let pay_url = with_url.then(|| "https://pay.example".to_owned());
        Outcome::Known { state: self.state(number), pay_url }
    }

    /// Orders whose time is up fail by themselves.
    fn expire(&mut self, now: UnixMillis) {
        for order in self.orders.values_mut() {
            if order.status == GatewayStatus::Created && order.parameters.expires_at <= now {
                order.status = GatewayStatus::Failure;
                order.failure = Some(FailureReason::Expired);
            }
        }
    }
}
