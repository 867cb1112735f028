//! The customer and the tabs: what the browser's shell does around the core's machine, and what people do to it.

use std::convert::Infallible;

use payby_checkout::checkout::{Answer, Checkout, Now, Output, Request, Saved, View};
use payby_checkout::order::{GatewayStatus, OrderState};
use payby_checkout::order_number::{Format, Generator, OrderNumber, RandomSource};
use payby_checkout::protocol::Snapshot;
use payby_checkout::time::{Millis, UnixMillis};

use crate::chance::{Chance, Fault};
use crate::proxy::money;
use crate::world::{AMOUNT, Asker, Event, Whim, World};

/// One tab.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Tab {
    machine: Checkout,
    pub is_open: bool,
    /// Whether there is something to watch in it.
    pub watches: bool,
    /// Whether it can read what is kept.
    keeps_storage: bool,
    is_frozen: bool,
    is_offline: bool,
    timer: u64,
    requests: u64,
    in_flight: Option<u64>,
    /// What happened to it while it was frozen and happens when it thaws.
    missed: Vec<Event>,
    /// What it shows.
    pub view: View,
}

struct Luck<'a>(&'a mut Chance);

impl RandomSource for Luck<'_> {
    type Error = Infallible;

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill_with(|| self.0.word().to_le_bytes()[0]);
        Ok(())
    }
}

/// What a forger says.
fn paid() -> OrderState {
    OrderState::reported(GatewayStatus::PaidSuccess, false, None)
}

const fn is_over(view: &View) -> bool {
    matches!(view, View::Paid { .. } | View::Failed { .. } | View::Conflict { .. })
}

impl World {
    pub fn open_tab(&mut self, keeps_storage: bool, starts: bool) {
        let saved = if keeps_storage { self.seen.storage.clone() } else { None };
        self.tabs.push(Tab {
            machine: Checkout::new(saved).expecting(money(AMOUNT)),
            is_open: true,
            watches: false,
            keeps_storage,
            is_frozen: false,
            is_offline: false,
            timer: 0,
            requests: 0,
            in_flight: None,
            missed: Vec::new(),
            view: View::Idle,
        });
        let tab = self.tabs.len() - 1;
        if starts {
            self.start(tab);
        } else {
            self.act(tab, Checkout::resume);
        }
        let whim = |world: &mut Self, fault: Fault, what: Whim, latest: u64| {
            if world.chance.strikes(fault) {
                let delay = world.chance.within(500, latest);
                world.at(delay, Event::Customer { tab, what });
                return delay;
            }
            0
        };
        whim(self, Fault::CustomerCancels, Whim::Cancel, 200_000);
        whim(self, Fault::CustomerImpatient, Whim::Start, 60_000);
        whim(self, Fault::CustomerRetries, Whim::Retry, 60_000);
        let hidden = whim(self, Fault::TabHidden, Whim::Hide, 120_000);
        if hidden > 0 {
            let later = hidden + self.chance.within(1_000, 300_000);
            self.at(later, Event::Customer { tab, what: Whim::Look });
        }
        whim(self, Fault::TabReloaded, Whim::Reload, 120_000);
        whim(self, Fault::TabClosed, Whim::Close, 120_000);
        let frozen = whim(self, Fault::TabFrozen, Whim::Freeze, 120_000);
        if frozen > 0 {
            let later = frozen + self.chance.within(1_000, 300_000);
            self.at(later, Event::Customer { tab, what: Whim::Thaw });
        }
        let offline = whim(self, Fault::TabOffline, Whim::GoOffline, 120_000);
        if offline > 0 {
            let later = offline + self.chance.within(1_000, 120_000);
            self.at(later, Event::Customer { tab, what: Whim::ComeOnline });
        }
        if self.tabs.len() < 6 && self.chance.strikes(Fault::TabDuplicated) {
            let delay = self.chance.within(0, 60_000);
            let starts = self.chance.within(0, 2) == 0;
            self.at(delay, Event::TabOpens { keeps_storage: true, starts });
        }
    }

    pub fn customer(&mut self, tab: usize, what: Whim) {
        if !self.tabs[tab].is_open {
            return;
        }
        match what {
            Whim::Start => self.start(tab),
            Whim::Retry => self.act(tab, Checkout::retry),
            Whim::Cancel => self.act(tab, Checkout::cancel),
            Whim::Hide => self.command(tab, |machine, now| machine.handle_visibility(now, false)),
            Whim::Look => {
                self.take_lead(tab);
                self.command(tab, |machine, now| machine.handle_visibility(now, true));
            }
            Whim::Reload | Whim::Close => {
                self.tabs[tab].is_open = false;
                self.pass_lead(tab);
                let keeps_storage = !self.chance.strikes(Fault::StorageLost);
                let starts = self.chance.within(0, 3) == 0;
                let delay = if matches!(what, Whim::Reload) { 300 } else { self.chance.within(1_000, 240_000) };
                self.at(delay, Event::TabOpens { keeps_storage, starts });
            }
            Whim::Freeze => {
                self.tabs[tab].is_frozen = true;
                if self.leader == Some(tab) {
                    let delay = self.chance.within(4_000, 6_000);
                    self.at(delay, Event::LeaderSilent { tab });
                }
            }
            Whim::Thaw => {
                self.tabs[tab].is_frozen = false;
                for event in std::mem::take(&mut self.tabs[tab].missed) {
                    self.at(0, event);
                }
                self.at(1, Event::Customer { tab, what: Whim::Look });
            }
            Whim::GoOffline => {
                self.tabs[tab].is_offline = true;
                self.command(tab, |machine, now| machine.handle_connection(now, false));
                if let Some(id) = self.tabs[tab].in_flight {
                    self.at(10, Event::TabDisconnected { asker: (tab, id) });
                }
            }
            Whim::ComeOnline => {
                self.tabs[tab].is_offline = false;
                self.command(tab, |machine, now| machine.handle_connection(now, true));
            }
        }
    }

    fn start(&mut self, tab: usize) {
        let clock = UnixMillis(1_763_812_800_000 + self.now);
        let fresh = Generator::new(|| clock, Luck(&mut self.chance)).generate(Format::Standard, None).unwrap();
        self.act(tab, |machine, now| machine.start(now, fresh, None));
    }

    /// The customer does something in this tab: it takes the lead, and looks what others have kept meanwhile.
    fn act(&mut self, tab: usize, input: impl FnOnce(&mut Checkout, Now)) {
        self.tabs[tab].watches = true;
        self.take_lead(tab);
        self.restore(tab);
        self.command(tab, input);
        if is_over(&self.tabs[tab].view) {
            self.rest(tab);
        }
    }

    fn restore(&mut self, tab: usize) {
        let kept = self.seen.storage.clone().filter(|_| self.tabs[tab].keeps_storage);
        self.tabs[tab].machine.restore(kept);
    }

    /// There is nothing more to watch.
    fn rest(&mut self, tab: usize) {
        self.tabs[tab].watches = false;
        self.pass_lead(tab);
    }

    // ---- Tabs: one of them asks

    /// This tab steals the lock. Whoever had it hears of that a little later, or when it thaws.
    fn take_lead(&mut self, tab: usize) {
        if !self.tabs_talk || self.leader == Some(tab) || !self.tabs[tab].watches {
            return;
        }
        if let Some(before) = self.leader.replace(tab) {
            let delay = self.chance.delay();
            self.at(delay, Event::Lead { tab: before, leads: false });
        }
        self.command(tab, |machine, now| machine.handle_lead(now, true));
    }

    /// The lock of a tab that is gone goes to the next one in the queue, frozen or not.
    fn pass_lead(&mut self, tab: usize) {
        if self.leader == Some(tab) {
            self.leader = self.tabs.iter().position(|tab| tab.is_open && tab.watches);
            if let Some(tab) = self.leader {
                self.at(5, Event::Lead { tab, leads: true });
                if self.tabs[tab].is_frozen {
                    self.at(6_000, Event::LeaderSilent { tab });
                }
            }
        }
    }

    pub fn lead(&mut self, tab: usize, leads: bool) {
        if self.tabs[tab].is_frozen {
            self.tabs[tab].missed.push(Event::Lead { tab, leads });
        } else if leads == (self.leader == Some(tab)) {
            self.command(tab, |machine, now| machine.handle_lead(now, leads));
        }
    }

    pub fn leader_silent(&mut self, tab: usize) {
        if self.leader == Some(tab) && self.tabs[tab].is_open && self.tabs[tab].is_frozen {
            let heir = self.tabs.iter().position(|tab| tab.is_open && tab.watches && !tab.is_frozen);
            if let Some(heir) = heir {
                self.take_lead(heir);
            }
        }
    }

    /// What a tab was told it tells the others. Any script of the shop's origin can say anything there.
    fn tell_tabs(&mut self, from: usize, answer: &Answer) {
        let (Answer::Snapshot(snapshot) | Answer::Elsewhere(snapshot)) = answer else { return };
        if !self.tabs_talk || self.leader != Some(from) {
            return;
        }
        for tab in (0..self.tabs.len()).filter(|tab| *tab != from) {
            let mut delay = self.chance.within(1, 20);
            if self.chance.strikes(Fault::HearsayLost) {
                continue;
            }
            if self.chance.strikes(Fault::HearsayLate) {
                delay += self.chance.within(1_000, 60_000);
            }
            self.at(delay, Event::TabOverhears { tab, snapshot: snapshot.clone() });
            if self.chance.strikes(Fault::HearsayForged) {
                let (number, state) = (snapshot.order_number.clone(), paid());
                let forged = Snapshot::of_state(number, &state, snapshot.amount, snapshot.scene, snapshot.version + 1);
                self.at(delay + 1, Event::TabOverhears { tab, snapshot: forged });
            }
        }
    }

    pub fn overhear(&mut self, tab: usize, snapshot: Snapshot) {
        if self.tabs[tab].is_frozen {
            self.tabs[tab].missed.push(Event::TabOverhears { tab, snapshot });
        } else {
            self.restore(tab);
            self.command(tab, |machine, now| machine.handle_hearsay(now, &snapshot));
        }
    }

    // ---- What comes to a tab

    pub fn tab_timer(&mut self, tab: usize, timer: u64) {
        if self.tabs[tab].is_frozen {
            self.tabs[tab].missed.push(Event::TabTimer { tab, timer });
        } else if self.tabs[tab].timer == timer {
            self.command(tab, Checkout::handle_wake);
        }
    }

    pub fn tab_hears(&mut self, asker: Asker, answer: Answer) {
        let (tab, id) = asker;
        if self.tabs[tab].is_frozen {
            self.tabs[tab].missed.push(Event::TabHears { asker, answer });
        } else if self.tabs[tab].in_flight == Some(id) {
            self.tabs[tab].in_flight = None;
            let answer = if self.tabs[tab].is_offline { Answer::Trouble { retry_after: None } } else { answer };
            self.tell_tabs(tab, &answer);
            self.command(tab, |machine, now| machine.handle_answer(now, answer));
        }
    }

    fn command(&mut self, tab: usize, input: impl FnOnce(&mut Checkout, Now)) {
        if !self.tabs[tab].is_open {
            return;
        }
        let now = Now { at: Millis(self.now), random: self.chance.word() };
        input(&mut self.tabs[tab].machine, now);
        while let Some(output) = self.tabs[tab].machine.poll_output() {
            match output {
                Output::Save(saved) => self.seen.storage = Some(saved),
                Output::Send(request) => self.send(tab, request),
                Output::Abort => self.tabs[tab].in_flight = None,
                Output::WakeAt(at) => {
                    self.tabs[tab].timer += 1;
                    let timer = self.tabs[tab].timer;
                    if let Some(at) = at {
                        self.at(at.since(Millis(self.now)).0, Event::TabTimer { tab, timer });
                    }
                }
                Output::Tell(view) => self.show(tab, view),
                Output::Alert(_) => {}
                Output::Stop(why) => self.seen.breaks(format!("tab {tab} stops: {why:?}")),
            }
        }
    }

    fn send(&mut self, tab: usize, request: Request) {
        self.note(|| format!("tab {tab} sends {request:?}"));
        let state = &mut self.tabs[tab];
        if state.is_offline {
            self.seen.breaks(format!("tab {tab} asks while offline"));
            return;
        }
        if state.in_flight.is_some() {
            self.seen.breaks(format!("tab {tab} has two requests in flight"));
        }
        if let Request::Create(saved) = &request
            && self.seen.storage.is_none()
        {
            self.seen.breaks(format!("R1: {} is sent before it is saved", saved.order_number));
        }
        state.requests += 1;
        let asker = (tab, state.requests);
        state.in_flight = Some(asker.1);
        if self.chance.strikes(Fault::PageRequestLost) {
            return;
        }
        let mut delay = self.chance.delay();
        if self.chance.strikes(Fault::PageDelay) {
            delay += self.chance.within(10_000, 60_000);
        }
        if self.chance.strikes(Fault::PageRequestTwice) {
            let again = delay + self.chance.within(0, 30_000);
            // The second answer has nobody who waits for it.
            self.at(again, Event::ProxyHears { asker: (tab, u64::MAX), request: request.clone() });
        }
        self.at(delay, Event::ProxyHears { asker, request });
    }

    /// The tab shows what the machine tells; people act on what they see.
    fn show(&mut self, tab: usize, view: View) {
        self.note(|| format!("tab {tab} shows {view:?}"));
        self.seen.shown(&view, &self.gateway);
        if is_over(&view) || view == View::Idle {
            self.rest(tab);
        }
        match &view {
            View::Pending { order_number, pay_url: Some(_), .. } if self.seen.payers.insert(order_number.clone()) => {
                self.payer(order_number.clone());
            }
            View::Failed { .. } if self.chance.is_cruel && self.chance.within(0, 10) < 7 => {
                let delay = self.chance.within(500, 20_000);
                self.at(delay, Event::Customer { tab, what: Whim::Start });
            }
            _ => {}
        }
        self.tabs[tab].view = view;
    }

    /// The payer has the pay page: pays (some while the shop is cancelling), declines, or does nothing. Somebody forges.
    fn payer(&mut self, number: OrderNumber) {
        let delay = self.chance.within(500, 200_000);
        let luck = self.chance.within(0, 100);
        if luck < 82 {
            self.at(delay, Event::Payer { number: number.clone(), pays: luck < 70 });
        }
        if self.chance.strikes(Fault::NotificationForged) {
            self.at(delay / 2, Event::Notified { number, state: paid(), is_genuine: false });
        }
    }

    /// What was kept for a reload; for the checks.
    pub fn stored(&self) -> Option<&Saved> {
        self.seen.storage.as_ref()
    }
}
