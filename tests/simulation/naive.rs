//! What shops write instead: three policies for "I do not know what became of the payment", against the same gateway, the same
//! faults and the same customers. How many purchases each lets be paid twice is the reason for all the rest.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use payby_checkout::hop::{Outcome, Step};
use payby_checkout::order::{GatewayStatus, Status};
use payby_checkout::order_number::OrderNumber;
use payby_checkout::time::UnixMillis;

use crate::chance::{Chance, Fault};
use crate::gateway::{Call, Gateway, Parameters};

/// What to do when the outcome is not known, or the customer presses "pay" again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Make a new order.
    NewOrder,
    /// Send a cancel, do not wait for what becomes of it, make a new order.
    CancelAndForget,
    /// Cancel up to three times, then make a new order.
    CancelThrice,
}

impl Policy {
    pub const ALL: [(Self, &'static str); 3] = [
        (Self::NewOrder, "a new order at once"),
        (Self::CancelAndForget, "cancel, and forget"),
        (Self::CancelThrice, "cancel, give up after three tries"),
    ];
}

/// How a purchase ended.
pub struct End {
    pub paid: usize,
    pub shop_knows: bool,
}

const TIMEOUT: u64 = 10_000;
const POLL: u64 = 3_000;
const BEGIN: u64 = 1_763_812_800_000;
const MOST_ORDERS: u64 = 20;

#[derive(Debug)]
enum Event {
    Arrives { call: Call, id: u64 },
    Answered { number: OrderNumber, step: Step, id: u64, outcome: Outcome },
    Payer { number: OrderNumber, pays: bool },
    Poll { number: OrderNumber },
    Impatient,
    CancelAgain,
}

struct Shop {
    policy: Policy,
    now: u64,
    heap: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, Event>,
    count: u64,
    chance: Chance,
    gateway: Gateway,
    orders: u64,
    current: Option<OrderNumber>,
    answered: std::collections::BTreeSet<u64>,
    failed_polls: u32,
    cancels: u32,
    is_done: bool,
}

/// Runs one purchase to its end.
pub fn run(policy: Policy, seed: u64) -> End {
    let mut shop = Shop {
        policy,
        now: 0,
        heap: BinaryHeap::new(),
        events: BTreeMap::new(),
        count: 0,
        chance: Chance::new(seed),
        gateway: Gateway::default(),
        orders: 0,
        current: None,
        answered: std::collections::BTreeSet::new(),
        failed_polls: 0,
        cancels: 0,
        is_done: false,
    };
    shop.new_order();
    if shop.chance.strikes(Fault::CustomerImpatient) {
        let delay = shop.chance.within(500, 60_000);
        shop.at(delay, Event::Impatient);
    }
    while let Some(Reverse((at, id))) = shop.heap.pop() {
        shop.now = at;
        let event = shop.events.remove(&id).unwrap();
        shop.happen(event);
    }
    let paid = shop.gateway.orders.values().filter(|order| order.status == GatewayStatus::PaidSuccess).count();
    End { paid, shop_knows: shop.is_done }
}

impl Shop {
    fn at(&mut self, delay: u64, event: Event) {
        self.count += 1;
        self.heap.push(Reverse((self.now + delay, self.count)));
        self.events.insert(self.count, event);
    }

    fn clock(&self) -> UnixMillis {
        UnixMillis(BEGIN + self.now)
    }

    fn new_order(&mut self) {
        if self.orders == MOST_ORDERS {
            self.current = None;
            return;
        }
        self.orders += 1;
        let number: OrderNumber = format!("NAIVE-{}", self.orders).parse().unwrap();
        self.current = Some(number.clone());
        (self.failed_polls, self.cancels) = (0, 0);
        self.send(Step::Place, &number);
    }

    fn send(&mut self, step: Step, number: &OrderNumber) {
        let parameters = Parameters { amount: 1250, expires_at: UnixMillis(BEGIN + 1_800_000 + self.orders) };
        let is_risky = step == Step::Place && self.chance.strikes(Fault::CallRisk);
        let call = Call { step, number: number.clone(), request_time: self.clock(), parameters, is_risky };
        let id = self.count + 1;
        self.at(TIMEOUT, Event::Answered { number: number.clone(), step, id, outcome: Outcome::Unknown });
        if self.chance.strikes(Fault::CallLost) {
            return;
        }
        let mut delay = self.chance.delay();
        if self.chance.strikes(Fault::CallDelay) {
            delay += self.chance.within(TIMEOUT, 120_000);
        }
        if step == Step::Place && self.chance.strikes(Fault::CallLateCreate) {
            delay += self.chance.within(60_000, 1_200_000);
        }
        self.at(delay, Event::Arrives { call, id });
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrives { call, id } => {
                let now = self.clock();
                let nothing_done =
                    self.chance.strikes(Fault::CallSystemError) || self.chance.strikes(Fault::CallRateLimit);
                let told = if nothing_done { Outcome::Unknown } else { self.gateway.receive(&call, now).0 };
                let is_hidden =
                    self.chance.strikes(Fault::CallSystemErrorDone) || self.chance.strikes(Fault::CallBadAnswer);
                let outcome = if is_hidden { Outcome::Unknown } else { told };
                if !self.chance.strikes(Fault::CallAnswerLost) {
                    let delay = self.chance.delay();
                    self.at(delay, Event::Answered { number: call.number, step: call.step, id, outcome });
                }
            }
            Event::Answered { number, step, id, outcome } => {
                if self.answered.insert(id) && !self.is_done && self.current.as_ref() == Some(&number) {
                    self.heard(&number, step, &outcome);
                }
            }
            Event::Payer { number, pays } => {
                let now = self.clock();
                self.gateway.payer(&number, pays, now);
            }
            Event::Poll { number } => {
                if !self.is_done && self.current.as_ref() == Some(&number) {
                    self.send(Step::Query, &number);
                }
            }
            Event::Impatient => self.give_up(),
            Event::CancelAgain => {
                if let Some(number) = self.current.clone().filter(|_| !self.is_done) {
                    self.send(Step::Cancel, &number);
                }
            }
        }
    }

    fn heard(&mut self, number: &OrderNumber, step: Step, outcome: &Outcome) {
        let status = match outcome {
            Outcome::Known { state, .. } => state.status(),
            _ => Status::Unknown,
        };
        match (step, status) {
            (_, Status::Paid) => self.is_done = true,
            (_, Status::Failed) => {
                if step == Step::Cancel || self.chance.within(0, 10) < 7 {
                    self.new_order();
                }
            }
            (Step::Place, Status::Pending) => {
                let delay = self.chance.within(500, 200_000);
                let luck = self.chance.within(0, 100);
                if luck < 82 {
                    self.at(delay, Event::Payer { number: number.clone(), pays: luck < 70 });
                }
                self.at(POLL, Event::Poll { number: number.clone() });
            }
            (Step::Query, Status::Pending) => {
                self.failed_polls = 0;
                self.at(POLL, Event::Poll { number: number.clone() });
            }
            (Step::Query, _) => {
                self.failed_polls += 1;
                if self.failed_polls < 3 {
                    self.at(POLL, Event::Poll { number: number.clone() });
                } else {
                    self.give_up();
                }
            }
            (Step::Cancel, _) => {
                self.cancels += 1;
                if self.cancels < 3 {
                    self.at(POLL, Event::CancelAgain);
                } else {
                    self.new_order();
                }
            }
            _ => self.give_up(),
        }
    }

    /// The outcome is not known, or the customer wants to pay again.
    fn give_up(&mut self) {
        let Some(number) = self.current.clone().filter(|_| !self.is_done) else { return };
        match self.policy {
            Policy::NewOrder => self.new_order(),
            Policy::CancelAndForget => {
                self.send(Step::Cancel, &number);
                self.new_order();
            }
            Policy::CancelThrice => self.send(Step::Cancel, &number),
        }
    }
}
