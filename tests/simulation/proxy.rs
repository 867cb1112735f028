//! The proxy: what its handlers, its worker and its database do around the core's [`Standing`]. It can die between any two
//! steps; what is in `db` then is what was committed.

use std::collections::BTreeMap;

use payby_checkout::checkout::{Answer, Request};
use payby_checkout::hop::{Attempt, Errand, Outcome, Policy, Round, Standing, Step, Trouble};
use payby_checkout::money::{Amount, Currency, Money};
use payby_checkout::order::{GatewayStatus, OrderState, Status};
use payby_checkout::order_number::OrderNumber;
use payby_checkout::protocol::{Scene, Snapshot};
use payby_checkout::time::{Millis, UnixMillis};

use crate::chance::Fault;
use crate::gateway::{Call, Parameters};
use crate::world::{AMOUNT, Asker, Event, World};

/// How long the proxy waits for PayBy.
const TIMEOUT: u64 = 10_000;

/// How long it goes on asking after the last question of a page.
const LINGER: u64 = 20_000;

/// An order's row.
#[derive(Clone, Debug)]
pub struct Row {
    pub at_gateway: Standing,
    pub parameters: Parameters,
    pub version: u64,
}

/// A round of calls under way.
#[derive(Debug)]
struct Running {
    round: Round,
    askers: Vec<Asker>,
    is_watch: bool,
    waiting: Vec<(Errand, Option<Asker>)>,
    attempt: Option<(u64, Attempt, Step)>,
    is_rested: bool,
    went_well: bool,
}

/// An order that is looked after.
#[derive(Debug, Default)]
struct Watch {
    asked_at: Option<u64>,
    trouble: Trouble,
    tick: u64,
}

/// A question that is held.
#[derive(Debug)]
struct Parked {
    asker: Asker,
    number: OrderNumber,
    version: Option<u64>,
}

/// The proxy.
pub struct Proxy {
    /// What survives a crash.
    pub db: BTreeMap<OrderNumber, Row>,
    is_up: bool,
    /// Counts the crashes: what was scheduled before one does not happen.
    epoch: u64,
    rounds: BTreeMap<OrderNumber, Running>,
    parked: Vec<Parked>,
    /// The orders that are looked after: when a page last asked, what went wrong, and which tick is awaited.
    watches: BTreeMap<OrderNumber, Watch>,
    calls: u64,
    pay_within: Millis,
    policy: Policy,
}

impl Proxy {
    pub fn new(pay_within: Millis) -> Self {
        Self {
            db: BTreeMap::new(),
            is_up: true,
            epoch: 0,
            rounds: BTreeMap::new(),
            parked: Vec::new(),
            watches: BTreeMap::new(),
            calls: 0,
            pay_within,
            policy: Policy::TO_GATEWAY,
        }
    }

    fn paid(&self) -> Option<&OrderNumber> {
        let has_paid = |row: &Row| matches!(row.at_gateway.status(), Status::Paid | Status::Conflict);
        self.db.iter().find(|(_, row)| has_paid(row)).map(|(number, _)| number)
    }

    fn live(&self) -> Option<&OrderNumber> {
        self.db.iter().find(|(_, row)| !row.at_gateway.status().is_terminal()).map(|(number, _)| number)
    }
}

impl World {
    /// A request arrives.
    pub fn proxy_hears(&mut self, asker: Asker, request: &Request) {
        if self.proxy_fails() || !self.proxy.is_up {
            return self.reset(asker);
        }
        if self.chance.strikes(Fault::ClockJump) {
            self.proxy_skew += i64::try_from(self.chance.within(0, 60_001)).unwrap() - 30_000;
            self.seen.clock_jumped();
        }
        match request {
            Request::Find => {
                let number = self.proxy.paid().or_else(|| self.proxy.live()).cloned();
                let found = number.map(|number| Box::new(self.snapshot(&number)));
                self.answer(asker, Answer::Found(found));
            }
            Request::Create(saved) => self.create(asker, &saved.order_number),
            Request::Query { order_number, version, hold } => self.query(asker, order_number, *version, hold.is_some()),
            Request::Cancel(number) => self.cancel(asker, number),
        }
    }

    fn create(&mut self, asker: Asker, number: &OrderNumber) {
        let other = self.proxy.paid().filter(|paid| *paid != number).cloned();
        if let Some(paid) = other {
            let snapshot = self.snapshot(&paid);
            return self.answer(asker, Answer::Elsewhere(snapshot));
        }
        if !self.proxy.db.contains_key(number) {
            if let Some(live) = self.proxy.live().cloned() {
                let snapshot = self.snapshot(&live);
                return self.answer(asker, Answer::Elsewhere(snapshot));
            }
            let now = self.proxy_clock();
            let expires_at = now.plus(self.proxy.pay_within);
            let parameters = Parameters { amount: AMOUNT, expires_at };
            let at_gateway = Standing::new(now.moment(), expires_at.moment());
            let row = Row { at_gateway, parameters, version: 1 };
            self.proxy.db.insert(number.clone(), row);
        }
        let clock = self.proxy_clock();
        if self.proxy.db[number].at_gateway.next(Round::new(Errand::Create), &self.proxy.policy, clock.moment())
            == Step::Done
        {
            self.answer_with(asker, number);
        } else {
            self.errand(number, Errand::Create, Some(asker));
        }
    }

    fn query(&mut self, asker: Asker, number: &OrderNumber, version: Option<u64>, holds: bool) {
        let Some(row) = self.proxy.db.get(number) else { return self.answer(asker, Answer::Missing) };
        let is_known = version == Some(row.version);
        let is_live = !row.at_gateway.status().is_terminal();
        if holds && (is_known || (version.is_none() && is_live)) {
            self.proxy.parked.push(Parked { asker, number: number.clone(), version });
            let epoch = self.proxy.epoch;
            self.at(25_000, Event::ProxyHoldEnds { asker, epoch });
        } else if is_known {
            self.answer(asker, Answer::NotModified);
        } else {
            self.answer_with(asker, number);
        }
        self.watch(number);
    }

    fn cancel(&mut self, asker: Asker, number: &OrderNumber) {
        let Some(row) = self.proxy.db.get_mut(number) else { return self.answer(asker, Answer::Missing) };
        if row.at_gateway.status().is_terminal() {
            return self.answer_with(asker, number);
        }
        row.at_gateway.cancel_wanted = true;
        self.errand(number, Errand::Cancel, Some(asker));
        self.watch(number);
    }

    pub fn hold_ends(&mut self, asker: Asker, epoch: u64) {
        if epoch != self.proxy.epoch {
            return;
        }
        if let Some(place) = self.proxy.parked.iter().position(|parked| parked.asker == asker) {
            let parked = self.proxy.parked.remove(place);
            let is_known = parked.version == Some(self.proxy.db[&parked.number].version);
            if is_known {
                self.answer(asker, Answer::NotModified);
            } else {
                self.answer_with(asker, &parked.number);
            }
        }
    }

    // ---- Rounds: one at a time for each order

    fn errand(&mut self, number: &OrderNumber, errand: Errand, asker: Option<Asker>) {
        if let Some(running) = self.proxy.rounds.get_mut(number) {
            running.waiting.push((errand, asker));
            return;
        }
        let running = Running {
            round: Round::new(errand),
            askers: asker.into_iter().collect(),
            is_watch: asker.is_none(),
            waiting: Vec::new(),
            attempt: None,
            is_rested: false,
            went_well: true,
        };
        self.proxy.rounds.insert(number.clone(), running);
        self.go_on(number);
    }

    pub fn go_on_after_rest(&mut self, number: &OrderNumber, epoch: u64) {
        if epoch == self.proxy.epoch {
            self.go_on(number);
        }
    }

    fn go_on(&mut self, number: &OrderNumber) {
        let clock = self.proxy_clock();
        let (policy, now) = (self.proxy.policy, clock.moment());
        self.change(number, |row| row.at_gateway.mind_the_deadline(&policy, now));
        let row = &self.proxy.db[number];
        let running = self.proxy.rounds.get_mut(number).unwrap();
        let step = row.at_gateway.next(running.round, &policy, now);
        let rest = row.at_gateway.rest_before(step, &policy, now);
        if let Some(rest) = rest.filter(|_| !running.is_rested) {
            running.is_rested = true;
            let epoch = self.proxy.epoch;
            return self.at(rest.0, Event::RoundRests { number: number.clone(), epoch });
        }
        running.is_rested = false;
        match step {
            Step::Done => self.end_round(number),
            Step::Close(reason) => {
                self.change(number, |row| row.at_gateway.close(reason));
                self.end_round(number);
            }
            Step::Query | Step::Place | Step::Cancel => self.call(number, step, clock),
        }
    }

    fn call(&mut self, number: &OrderNumber, step: Step, clock: UnixMillis) {
        let attempt = self.change(number, |row| row.at_gateway.begin(step, clock.moment()));
        // Dead after the intent was written and before anything was sent; or just after.
        if self.proxy_fails() {
            return;
        }
        self.proxy.calls += 1;
        let (id, epoch) = (self.proxy.calls, self.proxy.epoch);
        self.proxy.rounds.get_mut(number).unwrap().attempt = Some((id, attempt, step));
        let parameters = self.proxy.db[number].parameters.clone();
        let is_risky = step == Step::Place && self.chance.strikes(Fault::CallRisk);
        let call = Call { step, number: number.clone(), request_time: clock, parameters, is_risky };
        self.seen.sent(self.now, &call);
        self.at(TIMEOUT, Event::CallEnds { number: number.clone(), call: id, epoch, outcome: Outcome::Unknown });
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
        if self.chance.strikes(Fault::CallTwice) {
            let again = delay + self.chance.within(0, 60_000);
            self.at(again, Event::GatewayHears { call: call.clone(), id: 0, epoch });
        }
        self.at(delay, Event::GatewayHears { call, id, epoch });
        self.proxy_fails();
    }

    pub fn call_ends(&mut self, number: &OrderNumber, call: u64, epoch: u64, outcome: Outcome) {
        let is_awaited = |running: &Running| running.attempt.is_some_and(|(id, _, _)| id == call);
        if epoch != self.proxy.epoch || !self.proxy.rounds.get(number).is_some_and(is_awaited) || self.proxy_fails() {
            return;
        }
        let (_, attempt, step) = self.proxy.rounds.get_mut(number).unwrap().attempt.take().unwrap();
        if outcome != Outcome::Unknown {
            self.seen.certain(number);
        }
        let heard = self.change(number, |row| row.at_gateway.finish(attempt, outcome));
        let running = self.proxy.rounds.get_mut(number).unwrap();
        running.round.note(step, heard);
        running.went_well &= heard.is_progress();
        self.go_on(number);
    }

    fn end_round(&mut self, number: &OrderNumber) {
        let running = self.proxy.rounds.remove(number).unwrap();
        for asker in running.askers {
            self.answer_with(asker, number);
            self.watch(number);
        }
        if running.is_watch {
            let (policy, now) = (self.proxy.policy, self.proxy_clock().moment());
            if let Some(watch) = self.proxy.watches.get_mut(number) {
                if running.went_well {
                    watch.trouble.ends();
                } else {
                    watch.trouble.note(&policy, now);
                }
                self.tick_later(number);
            }
        }
        for (errand, asker) in running.waiting {
            self.errand(number, errand, asker);
        }
    }

    // ---- Watching: until the order is decided, closely while a page asks

    /// A page has asked.
    fn watch(&mut self, number: &OrderNumber) {
        let now = self.now;
        self.look_after(number);
        let Some(watch) = self.proxy.watches.get_mut(number) else { return };
        let was_awaited = watch.asked_at.replace(now).is_some_and(|asked_at| now < asked_at + LINGER);
        if !was_awaited && !self.proxy.rounds.get(number).is_some_and(|running| running.is_watch) {
            self.tick_later(number);
        }
    }

    fn look_after(&mut self, number: &OrderNumber) {
        let is_live = !self.proxy.db[number].at_gateway.status().is_terminal();
        if is_live && !self.proxy.watches.contains_key(number) {
            self.proxy.watches.insert(number.clone(), Watch::default());
            self.tick_later(number);
        }
    }

    fn is_awaited(&self, number: &OrderNumber) -> bool {
        let asked_at = self.proxy.watches[number].asked_at;
        asked_at.is_some_and(|asked_at| self.now < asked_at + LINGER)
            || self.proxy.parked.iter().any(|parked| parked.number == *number)
    }

    fn tick_later(&mut self, number: &OrderNumber) {
        let (now, random) = (self.proxy_clock().moment(), self.chance.word());
        let is_awaited = self.is_awaited(number);
        let watch = self.proxy.watches.get_mut(number).unwrap();
        watch.tick += 1;
        let (tick, failures, epoch) = (watch.tick, watch.trouble.failures(), self.proxy.epoch);
        let pause = self.proxy.db[number].at_gateway.pause(&self.proxy.policy, now, is_awaited, failures, random);
        self.at(pause.0, Event::WatchTicks { number: number.clone(), tick, epoch });
    }

    pub fn watch_ticks(&mut self, number: &OrderNumber, tick: u64, epoch: u64) {
        if epoch != self.proxy.epoch || self.proxy.watches.get(number).is_none_or(|watch| watch.tick != tick) {
            return;
        }
        let standing = &self.proxy.db[number].at_gateway;
        if standing.status().is_terminal() {
            self.proxy.watches.remove(number);
            return;
        }
        let errand = if standing.cancel_wanted { Errand::Cancel } else { Errand::Refresh };
        self.errand(number, errand, None);
    }

    // ---- Notifications

    pub fn notified(&mut self, number: &OrderNumber, state: &OrderState, is_genuine: bool) {
        if !is_genuine {
            return; // its signature does not verify
        }
        if !self.proxy.is_up || self.proxy_fails() {
            // Not acknowledged: PayBy tries again.
            let (number, state) = (number.clone(), state.clone());
            return self.at(120_000, Event::Notified { number, state, is_genuine });
        }
        if self.proxy.db.contains_key(number) {
            self.change(number, |row| row.at_gateway.learn(state, None));
        }
    }

    // ---- The database, and death

    /// Changes a row in one transaction, and wakes those who wait for it.
    fn change<T>(&mut self, number: &OrderNumber, change: impl FnOnce(&mut Row) -> T) -> T {
        let row = self.proxy.db.get_mut(number).unwrap();
        let visible = |row: &Row| {
            let standing = &row.at_gateway;
            (standing.state.clone(), standing.failure(), standing.pay_url.clone())
        };
        let before = visible(row);
        let answer = change(row);
        if visible(row) != before {
            row.version += 1;
            let version = row.version;
            let (woken, parked) = std::mem::take(&mut self.proxy.parked)
                .into_iter()
                .partition(|parked| parked.number == *number && parked.version != Some(version));
            self.proxy.parked = parked;
            let woken: Vec<Parked> = woken;
            for parked in woken {
                self.answer_with(parked.asker, number);
            }
        }
        answer
    }

    /// Whether the proxy dies here.
    fn proxy_fails(&mut self) -> bool {
        if !self.proxy.is_up || !self.chance.strikes(Fault::ProxyCrash) {
            return false;
        }
        self.note(|| "the proxy is killed".to_owned());
        self.proxy.is_up = false;
        self.proxy.epoch += 1;
        let rounds = std::mem::take(&mut self.proxy.rounds);
        let asked = rounds.into_values().flat_map(|running| {
            running.askers.into_iter().chain(running.waiting.into_iter().filter_map(|(_, asker)| asker))
        });
        let parked = std::mem::take(&mut self.proxy.parked).into_iter().map(|parked| parked.asker);
        for asker in asked.chain(parked).collect::<Vec<_>>() {
            self.reset(asker);
        }
        self.proxy.watches.clear();
        let delay = self.chance.within(500, 30_000);
        self.at(delay, Event::ProxyStarts);
        true
    }

    pub fn proxy_starts(&mut self) {
        self.proxy.is_up = true;
        for number in self.proxy.db.keys().cloned().collect::<Vec<_>>() {
            self.look_after(&number);
        }
    }

    // ---- Answers

    fn snapshot(&self, number: &OrderNumber) -> Snapshot {
        let row = &self.proxy.db[number];
        let standing = &row.at_gateway;
        let plain = Snapshot::of_state(number.clone(), &standing.state, money(AMOUNT), Scene::Dynqr, row.version);
        let is_pending = standing.status() == Status::Pending;
        Snapshot {
            failure: standing.failure(),
            pay_url: standing.pay_url.clone().filter(|_| is_pending),
            expires_in_ms: standing.expires_at.since(self.proxy_clock().moment()),
            ..plain
        }
    }

    fn answer_with(&mut self, asker: Asker, number: &OrderNumber) {
        let mut snapshot = self.snapshot(number);
        // Another order, and another amount, may well be paid.
        let paid = OrderState::reported(GatewayStatus::PaidSuccess, false, None);
        if self.chance.strikes(Fault::PageWrongNumber) {
            let other = "ANOTHER-ORDER".parse().unwrap();
            snapshot = Snapshot::of_state(other, &paid, money(AMOUNT), Scene::Dynqr, snapshot.version + 1);
        }
        if self.chance.strikes(Fault::PageWrongAmount) {
            let number = snapshot.order_number;
            snapshot = Snapshot::of_state(number, &paid, money(AMOUNT + 1), Scene::Dynqr, snapshot.version + 1);
        }
        if self.chance.strikes(Fault::PageFalsePaid) {
            snapshot.status = Status::Paid;
            if snapshot.gateway_status == Some(GatewayStatus::PaidSuccess) {
                snapshot.gateway_status = None;
            }
        }
        self.answer(asker, Answer::Snapshot(snapshot));
    }

    fn answer(&mut self, asker: Asker, mut answer: Answer) {
        for fault in [Fault::PageServerError, Fault::PageUnreadable] {
            if self.chance.strikes(fault) {
                answer = Answer::Trouble { retry_after: None };
            }
        }
        if self.chance.strikes(Fault::PageRateLimit) {
            let seconds = self.chance.within(1, 20);
            answer = Answer::Trouble { retry_after: Some(Millis::from_secs(seconds)) };
        }
        if self.chance.strikes(Fault::PageAnswerLost) {
            return;
        }
        let mut delay = self.chance.delay();
        if self.chance.strikes(Fault::PageDelay) {
            delay += self.chance.within(10_000, 60_000);
        }
        self.at(delay, Event::TabHears { asker, answer });
    }

    /// The connection is refused, or breaks.
    fn reset(&mut self, asker: Asker) {
        let delay = self.chance.delay();
        self.at(delay, Event::TabHears { asker, answer: Answer::Trouble { retry_after: None } });
    }
}

pub fn money(fils: u64) -> Money {
    Money { amount: Amount::from_fils(fils).unwrap(), currency: Currency::Aed }
}
