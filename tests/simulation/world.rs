//! The event heap: everything that happens, in the order of its time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use payby_checkout::checkout::{Answer, Request};
use payby_checkout::hop::Outcome;
use payby_checkout::order::OrderState;
use payby_checkout::order_number::OrderNumber;
use payby_checkout::protocol::Snapshot;
use payby_checkout::time::{Millis, UnixMillis};

use crate::chance::{Chance, Fault};
use crate::check::Seen;
use crate::gateway::{Call, Gateway};
use crate::page::Tab;
use crate::proxy::Proxy;

/// The wall clock when a run begins.
const BEGIN: u64 = 1_763_812_800_000;

/// How long the faults go on.
const CRUEL: u64 = 10 * 60_000;

/// How long everything goes on: past the latest expiry, PayBy's 15 minutes and the clocks' skew.
pub const END: u64 = 60 * 60_000;

/// What the purchase costs, in fils.
pub const AMOUNT: u64 = 1250;

/// Who asked the proxy: a tab, and which of its requests.
pub type Asker = (usize, u64);

/// Something that happens.
#[derive(Debug)]
pub enum Event {
    /// The customer opens a tab, or the same one again, and pays or looks.
    TabOpens { keeps_storage: bool, starts: bool },
    /// The customer does something in a tab.
    Customer { tab: usize, what: Whim },
    /// A tab's timer is due.
    TabTimer { tab: usize, timer: u64 },
    /// A tab's request loses its connection.
    TabDisconnected { asker: Asker },
    /// An answer comes to a tab.
    TabHears { asker: Asker, answer: Answer },
    /// The browser has given the lead to a tab, or taken it.
    Lead { tab: usize, leads: bool },
    /// The tabs that follow notice that their leader is silent.
    LeaderSilent { tab: usize },
    /// What another tab was told comes to this one.
    TabOverhears { tab: usize, snapshot: Snapshot },
    /// A request comes to the proxy.
    ProxyHears { asker: Asker, request: Request },
    /// A held question's time is up.
    ProxyHoldEnds { asker: Asker, epoch: u64 },
    /// A round may go on after its rest.
    RoundRests { number: OrderNumber, epoch: u64 },
    /// A watched order is due.
    WatchTicks { number: OrderNumber, tick: u64, epoch: u64 },
    /// What came of a round's call, as the proxy sees it.
    CallEnds { number: OrderNumber, call: u64, epoch: u64, outcome: Outcome },
    /// The proxy starts again.
    ProxyStarts,
    /// A call comes to PayBy.
    GatewayHears { call: Call, id: u64, epoch: u64 },
    /// The payer is at PayBy's page.
    Payer { number: OrderNumber, pays: bool },
    /// PayBy's notification comes to the proxy.
    Notified { number: OrderNumber, state: OrderState, is_genuine: bool },
    /// From here on nothing fails.
    FaultsStop,
}

/// What a customer does.
#[derive(Clone, Copy, Debug)]
pub enum Whim {
    Start,
    Retry,
    Cancel,
    Reload,
    Close,
    Freeze,
    Thaw,
    GoOffline,
    ComeOnline,
    Hide,
    /// The tab becomes visible.
    Look,
}

/// Everything.
pub struct World {
    pub now: u64,
    heap: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, Event>,
    scheduled: u64,
    pub chance: Chance,
    pub tabs: Vec<Tab>,
    /// Whose lock it is, if the tabs of this browser can talk to each other.
    pub leader: Option<usize>,
    pub tabs_talk: bool,
    pub proxy: Proxy,
    pub gateway: Gateway,
    /// How far the proxy's clock is ahead, in milliseconds.
    pub proxy_skew: i64,
    gateway_skew: i64,
    pub seen: Seen,
    is_traced: bool,
    /// What happened, line by line.
    pub trace: Vec<String>,
}

impl World {
    pub fn new(seed: u64, is_traced: bool) -> Self {
        let mut chance = Chance::new(seed);
        let mut skew = || i64::try_from(chance.within(0, 240_001)).unwrap() - 120_000;
        let (proxy_skew, gateway_skew) = (skew(), skew());
        let tabs_talk = !chance.strikes(Fault::TabsApart);
        let pay_within = Millis(chance.within(60_000, 900_000));
        let mut world = Self {
            now: 0,
            heap: BinaryHeap::new(),
            events: BTreeMap::new(),
            scheduled: 0,
            chance,
            tabs: Vec::new(),
            leader: None,
            tabs_talk,
            proxy: Proxy::new(pay_within),
            gateway: Gateway::default(),
            proxy_skew,
            gateway_skew,
            seen: Seen::default(),
            is_traced,
            trace: Vec::new(),
        };
        world.at(0, Event::TabOpens { keeps_storage: true, starts: true });
        world.at(CRUEL, Event::FaultsStop);
        world
    }

    /// Runs to the end. An error says what did not hold.
    pub fn run(&mut self) -> Result<(), String> {
        while let Some(Reverse((at, id))) = self.heap.pop() {
            if at > END {
                break;
            }
            self.now = at;
            let event = self.events.remove(&id).unwrap();
            self.note(|| format!("{event:?}"));
            self.happen(event);
            self.check()?;
        }
        self.check_end()
    }

    /// Schedules an event, so many milliseconds from now.
    pub fn at(&mut self, delay: u64, event: Event) {
        self.scheduled += 1;
        self.heap.push(Reverse((self.now + delay, self.scheduled)));
        self.events.insert(self.scheduled, event);
    }

    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if self.is_traced {
            self.trace.push(format!("{:>9} {}", self.now, line()));
        }
    }

    pub fn proxy_clock(&self) -> UnixMillis {
        UnixMillis((BEGIN + self.now).saturating_add_signed(self.proxy_skew))
    }

    pub fn gateway_clock(&self) -> UnixMillis {
        UnixMillis((BEGIN + self.now).saturating_add_signed(self.gateway_skew))
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::TabOpens { keeps_storage, starts } => self.open_tab(keeps_storage, starts),
            Event::Customer { tab, what } => self.customer(tab, what),
            Event::TabTimer { tab, timer } => self.tab_timer(tab, timer),
            Event::TabDisconnected { asker } => self.tab_hears(asker, Answer::Trouble { retry_after: None }),
            Event::TabHears { asker, answer } => self.tab_hears(asker, answer),
            Event::Lead { tab, leads } => self.lead(tab, leads),
            Event::LeaderSilent { tab } => self.leader_silent(tab),
            Event::TabOverhears { tab, snapshot } => self.overhear(tab, snapshot),
            Event::ProxyHears { asker, request } => self.proxy_hears(asker, &request),
            Event::ProxyHoldEnds { asker, epoch } => self.hold_ends(asker, epoch),
            Event::RoundRests { number, epoch } => self.go_on_after_rest(&number, epoch),
            Event::WatchTicks { number, tick, epoch } => self.watch_ticks(&number, tick, epoch),
            Event::CallEnds { number, call, epoch, outcome } => self.call_ends(&number, call, epoch, outcome),
            Event::ProxyStarts => self.proxy_starts(),
            Event::GatewayHears { call, id, epoch } => self.gateway_hears(&call, id, epoch),
            Event::Payer { number, pays } => {
                let now = self.gateway_clock();
                if self.gateway.payer(&number, pays, now) {
                    self.notify(&number);
                }
            }
            Event::Notified { number, state, is_genuine } => self.notified(&number, &state, is_genuine),
            Event::FaultsStop => self.calm_down(),
        }
    }

    /// A call arrives at PayBy, and its answer begins its way back.
    fn gateway_hears(&mut self, call: &Call, id: u64, epoch: u64) {
        self.seen.arrived(call, self.proxy.db.contains_key(&call.number));
        if self.chance.strikes(Fault::CallSystemError) {
            return self.answer_call(call, id, epoch, Outcome::Unknown);
        }
        if self.chance.strikes(Fault::CallRateLimit) {
            return self.answer_call(call, id, epoch, Outcome::Unknown);
        }
        let now = self.gateway_clock();
        let (outcome, decided) = self.gateway.receive(call, now);
        if decided {
            self.notify(&call.number);
        }
        let is_hidden = self.chance.strikes(Fault::CallSystemErrorDone) || self.chance.strikes(Fault::CallBadAnswer);
        self.answer_call(call, id, epoch, if is_hidden { Outcome::Unknown } else { outcome });
    }

    fn answer_call(&mut self, call: &Call, id: u64, epoch: u64, outcome: Outcome) {
        if !self.chance.strikes(Fault::CallAnswerLost) {
            let delay = self.chance.delay();
            self.at(delay, Event::CallEnds { number: call.number.clone(), call: id, epoch, outcome });
        }
    }

    /// PayBy tells the merchant of a decided order.
    fn notify(&mut self, number: &OrderNumber) {
        if self.chance.strikes(Fault::NotificationLost) {
            return;
        }
        let (number, state) = (number.clone(), self.gateway.state(number));
        let mut delay = self.chance.delay();
        if self.chance.strikes(Fault::NotificationLate) {
            delay += self.chance.within(60_000, 600_000);
        }
        if self.chance.strikes(Fault::NotificationTwice) {
            let again = delay + self.chance.within(0, 120_000);
            self.at(again, Event::Notified { number: number.clone(), state: state.clone(), is_genuine: true });
        }
        self.at(delay, Event::Notified { number, state, is_genuine: true });
    }

    /// The faults stop. Whoever is still there looks once more; if nobody is, the customer comes back.
    fn calm_down(&mut self) {
        self.chance.is_cruel = false;
        for tab in 0..self.tabs.len() {
            self.customer(tab, Whim::ComeOnline);
            self.customer(tab, Whim::Thaw);
        }
        self.at(1_000, Event::TabOpens { keeps_storage: true, starts: false });
    }
}
