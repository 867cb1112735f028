//! Our checkout machine, run in virtual time over a modelled backend. What decides here is what ships.

use payby_checkout::checkout::{Answer, Checkout, Now, Output, Request, View};
use payby_checkout::hop::Policy;
use payby_checkout::money::{Currency, Money};
use payby_checkout::order::{GatewayStatus, OrderState};
use payby_checkout::order_number::OrderNumber;
use payby_checkout::protocol::{Scene, Snapshot};
use payby_checkout::schedule;
use payby_checkout::time::Millis;

use super::payer::{CLOSES, EXPIRY, Network, Payer};
use super::sight::Sight;

/// How long the backend goes on with its queries after the last request that it held.
const LINGER: Millis = Millis::from_secs(20);

/// The versions of an order that a page can see: pending, and decided.
const PENDING: u64 = 1;
const DECIDED: u64 = 2;

/// What the backend can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backend {
    /// Answers at once.
    Polled,
    /// Holds a request for up to 25 s; the gateway notifies it.
    Notified,
    /// Holds a request as well, but no notification arrives: it finds out by its own queries.
    Unnotified,
}

impl Backend {
    pub(super) const ALL: [Self; 3] = [Self::Polled, Self::Notified, Self::Unnotified];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Polled => "ours, polling alone",
            Self::Notified => "ours, held, notified",
            Self::Unnotified => "ours, held, notifications lost",
        }
    }
}

/// Has the machine watch one order.
pub(super) fn watch(payer: &Payer, backend: Backend) -> Sight {
    let mut page = Page::open(payer, backend);
    loop {
        page.drain();
        match page.next() {
            Some((at, event)) if !page.is_done && at <= CLOSES => page.handle(at, event),
            _ => return page.sight,
        }
    }
}

/// A page: the machine, its one timer, and its one request in flight. Times here count from the page's showing the order.
struct Page<'a> {
    payer: &'a Payer,
    desk: Desk<'a>,
    network: Network,
    machine: Checkout,
    /// How long the creation took: the machine's time counts from its beginning.
    ahead: Millis,
    now: Millis,
    timer: Option<Millis>,
    in_flight: Option<(Millis, Answer)>,
    returns_at: Option<Millis>,
    sight: Sight,
    is_done: bool,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Seen,
    Timer,
    Answer,
}

impl<'a> Page<'a> {
    fn open(payer: &'a Payer, backend: Backend) -> Self {
        let mut network = payer.network();
        let (there, back) = network.legs();
        let mut page = Self {
            payer,
            desk: Desk::new(payer, backend),
            network,
            machine: Checkout::new(None),
            ahead: there.plus(back),
            now: Millis(0),
            timer: None,
            in_flight: None,
            returns_at: payer.away.map(|(_, back)| back),
            sight: Sight::default(),
            is_done: false,
        };
        let random = page.network.random();
        page.machine.start(Now { at: Millis(0), random }, number(), None);
        page.drain();
        page
    }

    /// Does what the machine wants done.
    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Send(request) => self.send(&request),
                Output::Abort => self.in_flight = None,
                Output::WakeAt(at) => self.timer = at.map(|at| at.since(self.ahead)),
                Output::Tell(_) => self.look(),
                Output::Save(_) | Output::Alert(_) | Output::Stop(_) => {}
            }
        }
    }

    fn send(&mut self, request: &Request) {
        // The order is shown, and its time begins, with the creation's answer; that request is not part of the watch.
        if let Request::Create(_) = request {
            self.in_flight = Some((Millis(0), Answer::Snapshot(self.desk.snapshot(false, Millis(0)))));
            return;
        }
        self.sight.requests += 1;
        let (there, back) = self.network.legs();
        let (answered_at, answer) = self.desk.answer(request, self.now.plus(there));
        self.in_flight = Some((answered_at.plus(back), answer));
    }

    /// What the customer sees now.
    fn look(&mut self) {
        match self.machine.view(self.now.plus(self.ahead)) {
            View::Failed { .. } if self.payer.pays_at.is_some() || self.now < EXPIRY => {
                self.sight.gave_up_at = Some(self.now);
                self.is_done = true;
            }
            View::Paid { .. } | View::Failed { .. } | View::Conflict { .. } => {
                self.sight.known_at = Some(self.now);
                self.is_done = true;
            }
            View::Idle | View::Unknown { .. } | View::Pending { .. } => {}
        }
    }

    /// What happens next. A page that wakes hears first that it is seen, and then of what it has slept through.
    fn next(&self) -> Option<(Millis, Event)> {
        let seen = self.returns_at.map(|at| (at, Event::Seen));
        let timer = self.timer.map(|due| (self.payer.awake_at(due), Event::Timer));
        let answer = self.in_flight.as_ref().map(|(due, _)| (self.payer.awake_at(*due), Event::Answer));
        [seen, answer, timer].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn handle(&mut self, at: Millis, event: Event) {
        self.now = self.now.max(at);
        let now = Now { at: self.now.plus(self.ahead), random: self.network.random() };
        match event {
            Event::Seen => {
                self.returns_at = None;
                self.machine.handle_attention(now);
            }
            Event::Timer => {
                self.timer = None;
                self.machine.handle_wake(now);
            }
            Event::Answer => {
                if let Some((_, answer)) = self.in_flight.take() {
                    self.machine.handle_answer(now, answer);
                }
            }
        }
    }
}

/// The backend, as far as one order goes.
struct Desk<'a> {
    payer: &'a Payer,
    backend: Backend,
    network: Network,
    policy: Policy,
    /// When it knew what the gateway has decided, if it does.
    knows_at: Option<Millis>,
    /// When it queries the gateway next, and until when it goes on with that.
    next_query: Millis,
    watched_until: Millis,
}

impl<'a> Desk<'a> {
    fn new(payer: &'a Payer, backend: Backend) -> Self {
        let (network, policy) = (payer.gateway(), Policy::TO_GATEWAY);
        Self { payer, backend, network, policy, knows_at: None, next_query: policy.query_min, watched_until: Millis(0) }
    }

    /// The answer to a request that arrives at `at`, and when it leaves.
    fn answer(&mut self, request: &Request, at: Millis) -> (Millis, Answer) {
        match request {
            Request::Create(_) => (at, Answer::Snapshot(self.snapshot(false, at))),
            Request::Find => (at, Answer::Missing),
            Request::Query { version, hold, .. } => {
                let hold = hold.filter(|_| self.backend != Backend::Polled).unwrap_or_default();
                match self.learns(at, at.plus(hold)) {
                    Some(learnt_at) => (learnt_at, Answer::Snapshot(self.snapshot(true, learnt_at))),
                    None if *version == Some(PENDING) => (at.plus(hold), Answer::NotModified),
                    None => (at.plus(hold), Answer::Snapshot(self.snapshot(false, at.plus(hold)))),
                }
            }
            // Query, cancel, query: after it the gateway has decided.
            Request::Cancel(_) => {
                let mut done_at = at;
                for _ in 0..3 {
                    let (there, back) = self.network.legs();
                    done_at = done_at.plus(there).plus(back);
                }
                (done_at, Answer::Snapshot(self.snapshot(true, done_at)))
            }
        }
    }

    /// When, from `from` until `until`, it has the decision to answer with.
    fn learns(&mut self, from: Millis, until: Millis) -> Option<Millis> {
        match self.backend {
            // It asks the gateway on the spot, as the peers' backends are taken to do.
            Backend::Polled => self.knows_at = (self.payer.decided_at() <= from).then_some(from),
            Backend::Notified => self.knows_at = Some(self.payer.decided_at().plus(self.payer.notified_after)),
            Backend::Unnotified => self.query_until(from, until),
        }
        self.knows_at.map(|at| at.max(from)).filter(|at| *at <= until)
    }

    /// Makes the queries that fall before `until`, a request being held from `from` on.
    fn query_until(&mut self, from: Millis, until: Millis) {
        if self.next_query > self.watched_until {
            // Nobody waited when it was due; now somebody does.
            self.next_query = self.next_query.max(from);
        }
        while self.knows_at.is_none() && self.next_query <= until {
            let asked_at = self.next_query;
            let (there, back) = self.network.legs();
            if self.payer.decided_at() <= asked_at.plus(there) {
                self.knows_at = Some(asked_at.plus(there).plus(back));
            }
            // R9
            let pause = schedule::pause(asked_at, self.network.random());
            self.next_query = asked_at.plus(pause.clamp(self.policy.query_min, self.policy.query_max));
        }
        self.watched_until = until.plus(LINGER);
    }

    fn snapshot(&self, is_decided: bool, at: Millis) -> Snapshot {
        let status = match (is_decided, self.payer.pays_at) {
            (false, _) => GatewayStatus::Created,
            (true, Some(_)) => GatewayStatus::PaidSuccess,
            (true, None) => GatewayStatus::Failure,
        };
        let state = OrderState::reported(status, false, None);
        let version = if is_decided { DECIDED } else { PENDING };
        let plain = Snapshot::of_state(number(), &state, amount(), Scene::Dynqr, version);
        Snapshot { expires_in_ms: EXPIRY.since(at), ..plain }
    }
}

fn number() -> OrderNumber {
    "1KANPYXG085GR38E1W8124GKK".parse().expect("it is an order number")
}

fn amount() -> Money {
    Money { amount: "12.50".parse().expect("it is an amount"), currency: Currency::Aed }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: Millis = Millis(200);

    fn stays(pays_at: u64) -> Payer {
        Payer::staying(Some(Millis(pays_at)), ROUND_TRIP)
    }

    #[test]
    fn a_held_request_is_woken_by_the_notification() {
        // Asked at 0; paid at 10 s, notified 200 ms later, and 100 ms for the way back.
        let sight = watch(&stays(10_000), Backend::Notified);
        assert_eq!(sight, Sight { requests: 1, known_at: Some(Millis(10_300)), gave_up_at: None });
        // The second hold begins at 25.2 s, is there at 25.3 s and held until the news.
        let sight = watch(&stays(30_000), Backend::Notified);
        assert_eq!(sight, Sight { requests: 2, known_at: Some(Millis(30_300)), gave_up_at: None });
    }

    #[test]
    fn without_notifications_the_backend_finds_out_by_its_own_queries() {
        for pays_at in [10_000, 40_000, 400_000] {
            let sight = watch(&stays(pays_at), Backend::Unnotified);
            let delay = sight.known_at.unwrap().since(Millis(pays_at));
            assert!(delay >= Millis(200) && delay <= Millis(6_200), "{delay:?}");
        }
    }

    #[test]
    fn a_backend_that_cannot_hold_is_polled_by_the_law() {
        let sight = watch(&stays(10_000), Backend::Polled);
        // 1.8 s growing to 2 s, ±15 %, and a round trip each: five or six questions, and the one at the start.
        assert!((5..=8).contains(&sight.requests), "{sight:?}");
        assert!(sight.known_at.unwrap() <= Millis(10_000 + 2_400 + 300));
    }

    #[test]
    fn a_page_that_is_seen_again_asks_at_once() {
        for backend in [Backend::Polled, Backend::Notified] {
            let payer = stays(80_000).leaving(Millis(2_000), Millis(90_000));
            let sight = watch(&payer, backend);
            assert_eq!(sight.known_at, Some(Millis(90_200)), "{backend:?}");
        }
    }

    #[test]
    fn an_order_that_nobody_pays_ends_when_its_time_is_up_and_not_before() {
        for backend in Backend::ALL {
            let sight = watch(&Payer::staying(None, ROUND_TRIP), backend);
            assert!(sight.known_at.unwrap() >= EXPIRY, "{backend:?} {sight:?}");
            assert_eq!(sight.gave_up_at, None);
        }
    }
}
