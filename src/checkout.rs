//! The checkout of one purchase, as a page has it: which order it is about, and when to ask.
//!
//! What may be sent about that order is the [`hop`](crate::hop)'s to say. Like it, this holds no clock, timer, socket, storage or
//! random source: whoever runs it gives it commands, answers and the time, and then drains what it wants done. The rules R1
//! to R12 that the code names stand in `docs/rules.md`.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::hop::{Attempt, Errand, Outcome, Policy, Round, Standing, Step, Trouble};
use crate::money::Money;
use crate::order::{Failure, OrderState, Status};
use crate::order_number::OrderNumber;
use crate::protocol::{Scene, Snapshot};
use crate::schedule;
use crate::time::Millis;

/// How long a backend is asked to hold a question (`Prefer: wait`).
pub const HOLD: Millis = Millis::from_secs(25);

/// How far apart the questions of a hidden page are: browsers let the timers of one go off once a minute.
const HIDDEN_SPACING: Millis = Millis::from_secs(60);

/// How long a question is in flight before a reason to look at once asks it anew.
const ATTENTION_SPACING: Millis = Millis::from_secs(2);

/// The moment of an input: a monotonic time, and randomness for jitter, uniform over all of `u32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The time since any fixed start.
    pub at: Millis,
    /// Fresh for each input.
    pub random: u32,
}

/// What survives a reload: enough to go on with the same number (R1, R12). Whether the order was sent is then unknown, so that
/// it is asked about first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    /// The number that was, or was about to be, sent.
    pub order_number: OrderNumber,
    /// The parameter that it was sent with.
    pub scene: Option<Scene>,
    /// Whether it was given up.
    pub cancel_wanted: bool,
}

impl Saved {
    /// As a line of text: the format's version, the number, the scene or `-`, and a word for what was wanted.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::from("1 ");
        text.push_str(self.order_number.as_str());
        text.push(' ');
        text.push_str(self.scene.map_or("-", Scene::as_str));
        text.push_str(if self.cancel_wanted { " cancel" } else { " pay" });
        text
    }

    /// What [`Saved::to_text`] wrote; `None` for anything else.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        // With a bare `' '`, what searches for it would be 700 bytes larger in a page.
        let mut words = text.split([' ']);
        let (version, number) = (words.next()?, words.next()?);
        let (scene, wanted, rest) = (words.next()?, words.next()?, words.next());
        let cancel_wanted = wanted == "cancel";
        let is_ours = version == "1" && (cancel_wanted || wanted == "pay") && rest.is_none();
        let scene = if scene == "-" { None } else { Some(Scene::from_name(scene)?) };
        let order_number = number.parse().ok()?;
        is_ours.then_some(Self { order_number, scene, cancel_wanted })
    }
}

/// A request to the backend proxy. At most one is in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `GET /v1/purchase`: is there an order to go on with?
    Find,
    /// `PUT /v1/orders/{orderNumber}`.
    Create(Saved),
    /// `GET /v1/orders/{orderNumber}`, held by the backend for up to `hold` while the version is still `version`.
    Query {
        /// Which order.
        order_number: OrderNumber,
        /// The version that is known, for `If-None-Match`.
        version: Option<u64>,
        /// For `Prefer: wait`; `None` where an answer is wanted at once.
        hold: Option<Millis>,
    },
    /// `POST /v1/orders/{orderNumber}/cancel`.
    Cancel(OrderNumber),
}

impl Request {
    /// How long an answer may take: 5 s more than the hold of a question that is held, else 10 s.
    const fn time_limit(&self) -> Millis {
        match self {
            Self::Query { hold: Some(hold), .. } => hold.plus(Millis::from_secs(5)),
            _ => Millis::from_secs(10),
        }
    }
}

/// What came of the request in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200 about an order.
    Snapshot(Snapshot),
    /// 304.
    NotModified,
    /// 200 about the purchase: its paid or live order, if it has one.
    Found(Option<Box<Snapshot>>),
    /// 409 with the order to go on with.
    Elsewhere(Snapshot),
    /// 404: no such order, or not for this token.
    Missing,
    /// Any other 4xx: the same request would be answered the same again.
    Refused(Refusal),
    /// No answer, an unreadable one, a 5xx or a 429: the outcome is unknown (R2).
    Trouble {
        /// `Retry-After`.
        retry_after: Option<Millis>,
    },
}

/// What the machine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Keep this before doing anything that comes after it (R1).
    Save(Saved),
    /// Send this request, and give back what came of it by [`Checkout::handle_answer`].
    Send(Request),
    /// Drop the request in flight; its answer is no longer wanted.
    Abort,
    /// Call [`Checkout::handle_wake`] at this time. Replaces every earlier one; `None`: not at all.
    WakeAt(Option<Millis>),
    /// Show this: the view has changed, or a command has come to its end.
    Tell(View),
    /// A person should know; the machine goes on.
    Alert(Alert),
    /// The machine cannot go on: the token or the request is not accepted. A new command tries again.
    Stop(Stop),
}

/// What a person should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alert {
    /// Nothing certain can be learnt: three requests in a row have failed, or all for ten seconds (R9).
    Failing,
    /// An answer named another order, amount or currency, or contradicted itself. It was not believed (R10).
    Mismatch,
    /// The gateway has said both "paid" and "failed".
    Conflict,
}

/// Why the machine cannot go on. The order's outcome is as [`Checkout::view`] says, perhaps unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The token is wrong or has expired: the shop's server gives another.
    TokenRejected,
    /// The backend refused the request.
    Refused(Refusal),
}

/// A refusal as the backend put it: what its problem document (RFC 9457) says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub http_status: u16,
    /// A [`ProblemCode`](crate::protocol::ProblemCode) by its wire name, or what a backend of the merchant's own says.
    pub code: Option<String>,
    /// What is wrong, in words.
    pub detail: Option<String>,
}

/// What a page shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// No order has been started.
    Idle,
    /// Asked, and nobody knows yet. The customer must not pay again.
    Unknown {
        /// Which order.
        order_number: OrderNumber,
    },
    /// The gateway waits for the payer.
    Pending {
        /// Which order.
        order_number: OrderNumber,
        /// What it costs.
        amount: Money,
        /// How it is paid.
        scene: Scene,
        /// The pay page, or what the QR code must hold.
        pay_url: Option<String>,
        /// How long it can still be paid.
        expires_in_ms: Millis,
        /// Whether it is being cancelled.
        cancelling: bool,
    },
    /// The gateway said: paid (R11).
    Paid {
        /// Which order.
        order_number: OrderNumber,
        /// What was paid.
        amount: Money,
    },
    /// The gateway said: not paid. Another order may be started.
    Failed {
        /// Which order.
        order_number: OrderNumber,
        /// What it would have cost.
        amount: Money,
        /// Why.
        failure: Failure,
    },
    /// The gateway contradicted itself. A person has to settle it; the customer must not pay again.
    Conflict {
        /// Which order.
        order_number: OrderNumber,
        /// What it costs.
        amount: Money,
    },
}

/// One purchase's checkout, from the first request to the gateway's decision.
///
/// The run loop, here with a backend that answers "paid" to everything:
///
/// ```
/// use payby_checkout::checkout::{Answer, Checkout, Now, Output, Request, View};
/// # use payby_checkout::{money::*, order::*, protocol::*, time::Millis};
/// # fn backend(request: &Request) -> Answer {
/// #     let Request::Create(saved) = request else { return Answer::Missing };
/// #     let state = OrderState::reported(GatewayStatus::PaidSuccess, false, None);
/// #     let amount = Money { amount: "12.50".parse().unwrap(), currency: Currency::Aed };
/// #     Answer::Snapshot(Snapshot::of_state(saved.order_number.clone(), &state, amount, Scene::Dynqr, 1))
/// # }
/// let now = Now { at: Millis(0), random: 7 };
/// let mut checkout = Checkout::new(None);
/// checkout.start(now, "1KANPYXG085GR38E1W8124GKK".parse()?, None);
/// while let Some(output) = checkout.poll_output() {
///     match output {
///         Output::Save(saved) => println!("store {saved:?} where a reload finds it"),
///         Output::Send(request) => checkout.handle_answer(now, backend(&request)),
///         Output::Abort => println!("drop the request in flight"),
///         Output::WakeAt(at) => println!("set the one timer to {at:?}"),
///         Output::Tell(view) => println!("show {view:?}"),
///         Output::Alert(alert) => println!("tell a person: {alert:?}"),
///         Output::Stop(why) => println!("report {why:?}"),
///     }
/// }
/// assert!(matches!(checkout.view(now.at), View::Paid { .. }));
/// # Ok::<(), payby_checkout::order_number::OrderNumberError>(())
/// ```
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Checkout {
    policy: Policy,
    phase: Phase,
    /// What the purchase costs, if the caller knows.
    amount: Option<Money>,
    /// From before a reload, until a command takes it up.
    saved: Option<Saved>,
    in_flight: Option<InFlight>,
    trouble: Trouble,
    /// No request before this time, unless there is a reason to look at once.
    not_before: Millis,
    /// No request before this time, whatever the reason: the backend asked for it.
    not_sooner: Millis,
    /// While this is so, nothing is asked.
    is_offline: bool,
    is_hidden: bool,
    /// Another tab asks for this one.
    follows: bool,
    /// Another tab was told the end; this one asks for itself before it shows it (R11).
    is_to_confirm: bool,
    halted: bool,
    outputs: VecDeque<Output>,
}

#[derive(Clone, Debug)]
struct InFlight {
    request: Request,
    sent_at: Millis,
    /// How long an answer is waited for.
    until: Millis,
    /// What the hop noted of it; none for [`Request::Find`].
    attempt: Option<(Step, Attempt)>,
}

#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "a page has one, and nearly always it is live")]
enum Phase {
    Idle,
    Finding {
        /// The customer gave up before the order was found.
        cancel_wanted: bool,
    },
    Live(Order),
}

/// The order that the machine is about.
#[derive(Clone, Debug)]
struct Order {
    saved: Saved,
    standing: Standing,
    round: Round,
    told: Option<Told>,
    /// The number to start with, should this order turn out failed (R4).
    successor: Option<Saved>,
}

/// What the newest believed answer said that the hop does not care about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    amount: Money,
    scene: Scene,
    version: u64,
    next_poll: Option<Millis>,
}

impl Order {
    /// `is_sent`: it may have been.
    fn new(saved: Saved, is_sent: bool, now: Millis) -> Self {
        let mut standing = Standing::new(now, Millis(u64::MAX));
        standing.create_unknown_at = is_sent.then_some(now);
        standing.cancel_wanted = saved.cancel_wanted;
        Self { saved, standing, round: Round::new(Errand::Create), told: None, successor: None }
    }

    fn status(&self) -> Status {
        self.standing.status()
    }

    /// What a snapshot says of this order, if it is believable (R10). Without an expected amount, the first one that was told
    /// is.
    fn read(&self, snapshot: &Snapshot, expected: Option<Money>) -> Option<OrderState> {
        let state = snapshot.state()?;
        let expected = expected.or(self.told.map(|told| told.amount));
        let is_ours = snapshot.order_number == self.saved.order_number;
        let is_same_amount = expected.is_none_or(|amount| amount == snapshot.amount);
        // An order can fail without the gateway's word only if it never came to be there.
        let came_to_be = self.standing.state.gateway_status().is_some();
        let is_lost = came_to_be && state.status() == Status::Failed && snapshot.gateway_status.is_none();
        (is_ours && is_same_amount && !is_lost).then_some(state)
    }

    /// Takes in the rest of a snapshot that is believed.
    fn note(&mut self, now: Millis, snapshot: &Snapshot) {
        // Answers can overtake each other; of two, the higher version is the newer.
        if self.told.is_none_or(|told| told.version <= snapshot.version) {
            self.standing.expires_at = now.plus(snapshot.expires_in_ms);
            self.told = Some(Told {
                amount: snapshot.amount,
                scene: snapshot.scene,
                version: snapshot.version,
                next_poll: snapshot.next_poll_ms,
            });
        }
    }
}

impl Checkout {
    /// A machine for one purchase; `saved` is what an earlier one had kept, before a reload.
    #[must_use]
    pub fn new(saved: Option<Saved>) -> Self {
        Self {
            policy: Policy::TO_PROXY,
            phase: Phase::Idle,
            amount: None,
            saved,
            in_flight: None,
            trouble: Trouble::default(),
            not_before: Millis(0),
            not_sooner: Millis(0),
            is_offline: false,
            is_hidden: false,
            follows: false,
            is_to_confirm: false,
            halted: false,
            outputs: VecDeque::new(),
        }
    }

    /// What the purchase costs, as the caller has shown it to the customer: an answer that names another amount is not
    /// believed (R10). Without this, the first answer's amount is what the later ones must name.
    #[must_use]
    pub fn expecting(mut self, amount: Money) -> Self {
        self.amount = Some(amount);
        self
    }

    /// What has been kept meanwhile, perhaps by another tab. To be given before a command and before hearsay; it counts while no
    /// order is known, and once the known one has failed.
    pub fn restore(&mut self, saved: Option<Saved>) {
        let is_other = |saved: &Saved| match &self.phase {
            Phase::Idle => true,
            Phase::Finding { .. } => false,
            Phase::Live(order) => order.status() == Status::Failed && order.saved.order_number != saved.order_number,
        };
        if let Some(saved) = saved.filter(is_other) {
            self.saved = Some(saved);
        }
    }

    /// The customer wants to pay. `fresh` is used only if a new order is allowed: none is known, or the known one has
    /// failed (R4). Otherwise the known order goes on: nothing reopens one that is paid (R5).
    pub fn start(&mut self, now: Now, fresh: OrderNumber, scene: Option<Scene>) {
        let fresh = Saved { order_number: fresh, scene, cancel_wanted: false };
        match &mut self.phase {
            Phase::Live(order) if !order.status().is_terminal() => {
                if order.standing.cancel_wanted {
                    order.successor = Some(fresh);
                }
            }
            Phase::Live(order) if order.status() != Status::Failed => {}
            Phase::Idle | Phase::Finding { .. } | Phase::Live(_) => match self.saved.take() {
                Some(saved) => {
                    let mut order = Order::new(saved, true, now.at);
                    order.successor = Some(fresh);
                    self.take_up(now, order);
                }
                None => self.begin(now, fresh),
            },
        }
        self.go_on(now);
    }

    /// Goes on with the order from before a reload, or else with the one that the backend knows for this purchase.
    pub fn resume(&mut self, now: Now) {
        self.find(now);
        self.go_on(now);
    }

    /// The customer tries the same order again: it is asked about and, if it is open, sent again under its number (R3). Once it
    /// is decided, nothing is sent; a new one is [`Checkout::start`]'s to make.
    pub fn retry(&mut self, now: Now) {
        self.find(now);
        if let Phase::Live(order) = &mut self.phase
            && !order.standing.cancel_wanted
            && !matches!(self.in_flight, Some(InFlight { request: Request::Create(_), .. }))
        {
            order.round = Round::new(Errand::Retry);
            self.drop_question();
        }
        self.go_on(now);
    }

    /// The customer gives up (R7). If the payment wins the race, the order is paid.
    pub fn cancel(&mut self, now: Now) {
        if let (Phase::Idle, Some(saved)) = (&self.phase, self.saved.take()) {
            self.take_up(now, Order::new(saved, true, now.at));
        }
        match &mut self.phase {
            Phase::Idle => self.tell(now),
            Phase::Finding { cancel_wanted } => *cancel_wanted = true,
            Phase::Live(order) => {
                order.successor = None;
                self.give_up(now);
            }
        }
        self.go_on(now);
    }

    /// The time asked for by [`Output::WakeAt`] has come.
    pub fn handle_wake(&mut self, now: Now) {
        if self.in_flight.as_ref().is_some_and(|in_flight| in_flight.until <= now.at) {
            self.outputs.push_back(Output::Abort);
            self.handle_answer(now, Answer::Trouble { retry_after: None });
        } else {
            self.advance(now);
        }
    }

    /// There is a reason to look at once: the page is shown from the back/forward cache, or got the focus. A question that has
    /// been in flight for a while is asked anew: its connection may have died while the page slept.
    pub fn handle_attention(&mut self, now: Now) {
        let is_old = |in_flight: &InFlight| now.at.since(in_flight.sent_at) >= ATTENTION_SPACING;
        if self.in_flight.as_ref().is_some_and(is_old) {
            self.drop_question();
        }
        self.not_before = self.not_before.min(now.at);
        self.advance(now);
    }

    /// The page was hidden, where it asks no more often than its browser would let it, or became visible, which is a reason to
    /// look at once.
    pub fn handle_visibility(&mut self, now: Now, is_visible: bool) {
        self.is_hidden = !is_visible;
        if is_visible {
            self.handle_attention(now);
        }
    }

    /// The page went offline, where nothing is asked, or came back online, which is a reason to look at once.
    pub fn handle_connection(&mut self, now: Now, is_online: bool) {
        self.is_offline = !is_online;
        if is_online {
            self.handle_attention(now);
        } else {
            self.advance(now);
        }
    }

    /// Another tab asks about this purchase from now on, and tells; or this one asks for all. A machine leads until it is told
    /// otherwise.
    pub fn handle_lead(&mut self, now: Now, leads: bool) {
        if self.follows != leads {
            return;
        }
        self.follows = !leads;
        if leads {
            self.handle_attention(now);
        } else {
            self.drop_question();
            self.advance(now);
        }
    }

    /// What another tab was told. An open order is taken from it; an end is not believed (R11), but is a reason to ask.
    pub fn handle_hearsay(&mut self, now: Now, snapshot: &Snapshot) {
        let Phase::Live(order) = &mut self.phase else { return };
        let is_ours = order.saved.order_number == snapshot.order_number;
        let is_over = order.status().is_terminal();
        if !self.follows || is_ours && is_over || order.status() == Status::Paid {
            return;
        }
        let before = self.view(now.at);
        let Phase::Live(order) = &mut self.phase else { return };
        if is_over {
            // The other tab has begun another order, if it has kept it. That is asked about like one from before a reload.
            if let Some(saved) = self.saved.take_if(|saved| saved.order_number == snapshot.order_number) {
                self.take_up(now, Order::new(saved, true, now.at));
                self.is_to_confirm = true;
                self.not_before = now.at;
            }
        } else if !snapshot.status.is_terminal()
            && let Some(state) = order.read(snapshot, self.amount)
        {
            order.standing.learn(&state, snapshot.pay_url.clone());
            order.note(now.at, snapshot);
        } else if !self.is_to_confirm {
            self.is_to_confirm = true;
            self.not_before = now.at;
        }
        self.tell_change(now, &before);
        self.advance(now);
    }

    /// What came of the request in flight.
    pub fn handle_answer(&mut self, now: Now, answer: Answer) {
        let Some(InFlight { request, sent_at, attempt, .. }) = self.in_flight.take() else { return };
        let before = self.view(now.at);
        let mut retry_after = None;
        let adopted = match (&self.phase, &request, &answer) {
            (Phase::Finding { .. }, _, Answer::Found(Some(snapshot))) => Some(self.adopt(now, snapshot)),
            (Phase::Live(_), Request::Create(_), Answer::Elsewhere(snapshot)) => Some(self.adopt(now, snapshot)),
            _ => None,
        };
        let outcome = match (&mut self.phase, answer) {
            _ if adopted == Some(true) => None,
            // A backend of the merchant's own need not know this call.
            (Phase::Finding { .. }, Answer::Found(None) | Answer::Missing) => {
                self.phase = Phase::Idle;
                self.tell(now);
                return self.advance(now);
            }
            (Phase::Live(order), Answer::Snapshot(snapshot)) => order.read(&snapshot, self.amount).map_or_else(
                || {
                    self.outputs.push_back(Output::Alert(Alert::Mismatch));
                    Some(Outcome::Unknown)
                },
                |state| {
                    order.note(now.at, &snapshot);
                    Some(Outcome::Known { state, pay_url: snapshot.pay_url })
                },
            ),
            (Phase::Live(order), Answer::NotModified) if order.told.is_some() => {
                Some(Outcome::Known { state: OrderState::default(), pay_url: None })
            }
            // R8: not final; the same create under the same number settles it.
            (Phase::Live(order), Answer::Missing) if order.told.is_none() && !matches!(request, Request::Create(_)) => {
                Some(Outcome::Missing)
            }
            (_, Answer::Missing) => return self.halt(Stop::TokenRejected),
            (_, Answer::Refused(refusal)) => return self.halt(Stop::Refused(refusal)),
            (_, Answer::Trouble { retry_after: asked }) => {
                retry_after = asked;
                Some(Outcome::Unknown)
            }
            // An answer of another shape than the question allows.
            _ => Some(Outcome::Unknown),
        };
        self.not_sooner = now.at.plus(retry_after.unwrap_or_default());
        let is_trouble = outcome == Some(Outcome::Unknown);
        if let (Phase::Live(order), Some(outcome), Some((step, attempt))) = (&mut self.phase, outcome, attempt) {
            let heard = order.standing.finish(attempt, outcome);
            order.round.note(step, heard);
            // `start` was given a number in case this order had failed by then. It is live, so that `start` is done.
            if order.status() == Status::Pending && !order.standing.cancel_wanted {
                order.successor = None;
            }
        }
        self.is_to_confirm &= is_trouble;
        self.pace(now, &request, sent_at, is_trouble, retry_after);
        self.tell_change(now, &before);
        self.advance(now);
    }

    /// What to do next, in order; `None` when there is nothing until the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What a page shows at this time.
    #[must_use]
    pub fn view(&self, now: Millis) -> View {
        let Phase::Live(order) = &self.phase else { return View::Idle };
        let order_number = order.saved.order_number.clone();
        let Some(told) = order.told else { return View::Unknown { order_number } };
        let amount = told.amount;
        match (order.status(), order.standing.state.failure()) {
            (Status::Pending, _) => View::Pending {
                order_number,
                amount,
                scene: told.scene,
                pay_url: order.standing.pay_url.clone(),
                expires_in_ms: order.standing.expires_at.since(now),
                cancelling: order.standing.cancel_wanted,
            },
            (Status::Paid, _) => View::Paid { order_number, amount },
            (Status::Failed, Some(failure)) => View::Failed { order_number, amount, failure },
            (Status::Conflict, _) => View::Conflict { order_number, amount },
            (Status::Unknown | Status::Failed, _) => View::Unknown { order_number },
        }
    }

    fn tell(&mut self, now: Now) {
        let view = self.view(now.at);
        self.outputs.push_back(Output::Tell(view));
    }

    fn tell_change(&mut self, now: Now, before: &View) {
        let view = self.view(now.at);
        if view != *before {
            if matches!(view, View::Conflict { .. }) {
                self.outputs.push_back(Output::Alert(Alert::Conflict));
            }
            self.outputs.push_back(Output::Tell(view));
        }
    }

    /// Takes up the order that there is, or looks for one.
    fn find(&mut self, now: Now) {
        if matches!(self.phase, Phase::Idle) {
            match self.saved.take() {
                Some(saved) => self.take_up(now, Order::new(saved, true, now.at)),
                None => self.phase = Phase::Finding { cancel_wanted: false },
            }
        }
    }

    /// Begins an order under a new number. It is saved before anything is sent (R1).
    fn begin(&mut self, now: Now, fresh: Saved) {
        self.outputs.push_back(Output::Save(fresh.clone()));
        self.take_up(now, Order::new(fresh, false, now.at));
        self.not_before = now.at;
    }

    /// Turns to this order.
    fn take_up(&mut self, now: Now, order: Order) {
        self.drop_question();
        self.trouble.ends();
        self.phase = Phase::Live(order);
        self.tell(now);
    }

    /// Goes on with an order that the backend knows under another number. Answers whether it can be believed.
    fn adopt(&mut self, now: Now, snapshot: &Snapshot) -> bool {
        let cancel_wanted = match &self.phase {
            Phase::Idle => false,
            Phase::Finding { cancel_wanted } => *cancel_wanted,
            Phase::Live(old) => old.standing.cancel_wanted && !old.status().is_terminal(),
        };
        let saved = Saved { order_number: snapshot.order_number.clone(), scene: Some(snapshot.scene), cancel_wanted };
        let mut order = Order::new(saved.clone(), true, now.at);
        let Some(state) = order.read(snapshot, self.amount) else {
            self.outputs.push_back(Output::Alert(Alert::Mismatch));
            return false;
        };
        order.standing.learn(&state, snapshot.pay_url.clone());
        order.note(now.at, snapshot);
        self.phase = Phase::Live(order);
        self.outputs.push_back(Output::Save(saved));
        true
    }

    /// Turns to cancelling, at once, and has that saved. A question in flight is dropped; a creation in flight is waited for.
    fn give_up(&mut self, now: Now) {
        if let Phase::Live(order) = &mut self.phase
            && !order.status().is_terminal()
            && !order.saved.cancel_wanted
        {
            order.standing.cancel_wanted = true;
            order.saved.cancel_wanted = true;
            self.outputs.push_back(Output::Save(order.saved.clone()));
            self.not_before = now.at;
            self.drop_question();
            self.tell(now);
        }
    }

    /// Drops the question in flight; there is no harm in asking it again. A creation or a cancel is waited for.
    fn drop_question(&mut self) {
        if let Some(InFlight { request: Request::Query { .. } | Request::Find, .. }) = self.in_flight {
            self.in_flight = None;
            self.outputs.push_back(Output::Abort);
        }
    }

    /// A command puts an end to waiting and to a halt.
    fn go_on(&mut self, now: Now) {
        self.halted = false;
        self.not_before = now.at;
        self.advance(now);
    }

    fn halt(&mut self, why: Stop) {
        self.halted = true;
        match &mut self.phase {
            Phase::Live(order) => order.round = Round::new(Errand::Create),
            phase => *phase = Phase::Idle,
        }
        self.outputs.push_back(Output::WakeAt(None));
        self.outputs.push_back(Output::Stop(why));
    }

    /// Sets when to ask again after an answer.
    fn pace(&mut self, now: Now, request: &Request, sent_at: Millis, is_trouble: bool, retry_after: Option<Millis>) {
        self.not_before = now.at;
        let (is_unknown, ends_round) = match &self.phase {
            Phase::Live(order) => {
                let step = order.standing.next(order.round, &self.policy, now.at);
                (order.status() == Status::Unknown, step == Step::Done)
            }
            _ => (true, true),
        };
        // The backend may not know either; each round is one more failure until it does.
        if is_trouble || is_unknown && ends_round {
            if self.trouble.note(&self.policy, now.at) {
                self.outputs.push_back(Output::Alert(Alert::Failing));
            }
            self.not_before = now.at.plus(schedule::back_off(self.trouble.failures(), retry_after, now.random));
        } else if !is_unknown {
            self.trouble.ends();
        }
        let Phase::Live(order) = &mut self.phase else { return };
        if !ends_round || order.status().is_terminal() {
            return;
        }
        order.round = Round::new(Errand::Refresh);
        if is_trouble || is_unknown {
            return;
        }
        let law = schedule::pause(now.at.since(order.standing.since), now.random);
        self.not_before = match request {
            _ if order.standing.cancel_wanted => {
                now.at.plus(order.standing.pause(&self.policy, now.at, true, self.trouble.failures(), now.random))
            }
            // Nobody pays sooner.
            Request::Create(sent) if sent.order_number == order.saved.order_number => now.at.plus(schedule::FIRST),
            // The law spaces held questions by their beginnings: at once, while the hold is longer than the pause.
            Request::Query { hold: Some(_), .. } if now.at.since(sent_at).0 >= HOLD.0 / 2 => {
                now.at.max(sent_at.plus(law))
            }
            // This backend does not hold.
            Request::Query { hold: Some(_), .. } => {
                let pause = order.told.and_then(|told| told.next_poll).unwrap_or(law);
                sent_at.plus(pause).max(now.at.plus(Millis(pause.0 / 2)))
            }
            _ => now.at,
        };
    }

    /// Sends what is due, or says when to be woken.
    fn advance(&mut self, now: Now) {
        if self.halted {
            return;
        }
        if let Phase::Live(order) = &mut self.phase
            && order.status() == Status::Failed
            && let Some(fresh) = order.successor.take()
        {
            self.begin(now, fresh);
        }
        if let Phase::Live(order) = &mut self.phase
            && !self.follows
            && order.standing.mind_the_deadline(&self.policy, now.at)
        {
            self.give_up(now);
        }
        // What was learnt elsewhere can bring a round to its end.
        if let Phase::Live(order) = &mut self.phase
            && self.in_flight.is_none()
            && order.standing.next(order.round, &self.policy, now.at) == Step::Done
        {
            order.round = Round::new(Errand::Refresh);
        }
        if let Some((at, step, request)) = self.due(now.at)
            && at <= now.at
        {
            let attempt = match (&mut self.phase, step) {
                (Phase::Live(order), Some(step)) => Some((step, order.standing.begin(step, now.at))),
                _ => None,
            };
            let until = now.at.plus(request.time_limit());
            self.in_flight = Some(InFlight { request: request.clone(), sent_at: now.at, until, attempt });
            self.outputs.push_back(Output::Send(request));
        }
        let wake_at = self.wake_at(now.at);
        self.outputs.push_back(Output::WakeAt(wake_at));
    }

    /// What is to be sent next, and when; nothing once the gateway has decided.
    fn due(&self, now: Millis) -> Option<(Millis, Option<Step>, Request)> {
        if self.in_flight.is_some() || self.is_offline {
            return None;
        }
        let at = self.not_before.max(self.not_sooner);
        let order = match &self.phase {
            Phase::Idle => return None,
            Phase::Finding { .. } => return Some((at, None, Request::Find)),
            Phase::Live(order) => order,
        };
        let step = order.standing.next(order.round, &self.policy, now);
        let order_number = order.saved.order_number.clone();
        let is_watch = order.status() == Status::Pending && !order.standing.cancel_wanted;
        let request = match step {
            Step::Query if self.follows && !self.is_to_confirm => return None,
            Step::Query => Request::Query {
                order_number,
                version: order.told.map(|told| told.version),
                hold: (is_watch && !self.follows && order.round.errand == Errand::Refresh).then_some(HOLD),
            },
            _ if self.follows => return None,
            Step::Place => Request::Create(order.saved.clone()),
            Step::Cancel => Request::Cancel(order_number),
            Step::Done | Step::Close(_) => return None,
        };
        let rest = order.standing.rest_before(step, &self.policy, now).unwrap_or_default();
        let hidden = order.standing.queried_at.filter(|_| self.is_hidden && is_watch);
        let spaced = hidden.map_or(now.plus(rest), |asked| asked.plus(HIDDEN_SPACING));
        Some((at.max(spaced), Some(step), request))
    }

    /// The next time at which something is due without an answer.
    fn wake_at(&self, now: Millis) -> Option<Millis> {
        let deadline = match &self.phase {
            Phase::Live(order) if !self.follows => order.standing.deadline(&self.policy),
            _ => None,
        };
        let deadline = deadline.filter(|deadline| deadline.0 != u64::MAX);
        let limit = self.in_flight.as_ref().map(|in_flight| in_flight.until);
        [deadline, limit, self.due(now).map(|(at, ..)| at)].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
