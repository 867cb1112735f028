//! The checkout machine: what to ask next about one purchase, and what is safe to do.
//!
//! It holds no clock, timer, socket, storage or random source. Whoever runs it gives it commands, answers and the time,
//! and then drains what it wants done. The rules R1 to R12 that the code names stand in `docs/rules.md`.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::money::Money;
use crate::order::{Failure, OrderState, Status};
use crate::order_number::OrderNumber;
use crate::protocol::{Scene, Snapshot};
use crate::schedule;
use crate::time::Millis;

/// How long a creation may stay unknown before the order is given up (R6).
const CREATE_DEADLINE: Millis = Millis::from_secs(60);

/// How long a backend is asked to hold a question (`Prefer: wait`).
pub const HOLD: Millis = Millis::from_secs(25);

/// How long a question is in flight before a reason to look at once asks it anew.
const ATTENTION_SPACING: Millis = Millis::from_secs(2);

/// How far apart cancels are (R9), in milliseconds.
const CANCEL_SPACING: (u64, u64) = (3_000, 10_000);

/// The moment of an input: a monotonic time, and randomness for jitter, uniform over all of `u32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The time since any fixed start.
    pub at: Millis,
    /// Fresh for each input.
    pub random: u32,
}

/// What survives a reload: enough to go on with the same number (R1, R12).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    /// The number that was, or was about to be, sent.
    pub order_number: OrderNumber,
    /// The parameter that it was sent with.
    pub scene: Option<Scene>,
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
    /// [`Checkout::view`] has changed, or a command has come to its end.
    Tell,
    /// The machine cannot go on: the token or the request is not accepted. A new command tries again.
    Stop(Stop),
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
///         Output::Tell => println!("show {:?}", checkout.view(now.at)),
///         Output::Stop(why) => println!("report {why:?}"),
///     }
/// }
/// assert!(matches!(checkout.view(now.at), View::Paid { .. }));
/// # Ok::<(), payby_checkout::order_number::OrderNumberError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Checkout {
    phase: Phase,
    /// What the purchase costs, if the caller knows.
    amount: Option<Money>,
    /// From before a reload, until a command takes it up.
    saved: Option<Saved>,
    in_flight: Option<(Request, Millis)>,
    /// Failures in a row.
    failures: u32,
    /// No request before this time, unless there is a reason to look at once.
    not_before: Millis,
    /// No request before this time, whatever the reason: what a backend asked for, or R9.
    not_sooner: Millis,
    /// While this is so, nothing is asked.
    is_offline: bool,
    halted: bool,
    outputs: VecDeque<Output>,
}

#[derive(Clone, Debug)]
enum Phase {
    Idle,
    Finding,
    Live(Order),
}

/// The order that the machine is about.
#[derive(Clone, Debug)]
struct Order {
    saved: Saved,
    creation: Creation,
    goal: Goal,
    state: OrderState,
    told: Option<Told>,
    since: Millis,
    /// The number to start with, should this order turn out failed (R4).
    successor: Option<Saved>,
}

/// Whether the backend has the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Creation {
    /// To be sent, for the first time or again.
    Due,
    /// Sent; whether it arrived is unknown.
    Unknown,
    /// The gateway has it.
    Known,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    Pay,
    Cancel,
}

/// What the last believed answer said, beside the state.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    amount: Money,
    scene: Scene,
    pay_url: Option<String>,
    version: u64,
    expires_at: Millis,
    next_poll: Option<Millis>,
}

impl Order {
    fn new(saved: Saved, creation: Creation, since: Millis) -> Self {
        let state = OrderState::default();
        Self { saved, creation, goal: Goal::Pay, state, told: None, since, successor: None }
    }

    fn status(&self) -> Status {
        self.state.status()
    }

    /// Takes in a snapshot if it is believable (R10) and answers whether it was. Without an expected amount, the first one
    /// that was told is.
    fn believe(&mut self, now: Millis, snapshot: &Snapshot, expected: Option<Money>) -> bool {
        let Some(state) = snapshot.state() else { return false };
        let expected = expected.or(self.told.as_ref().map(|told| told.amount));
        let same_amount = expected.is_none_or(|amount| amount == snapshot.amount);
        if snapshot.order_number != self.saved.order_number || !same_amount {
            return false;
        }
        // An order can fail without the gateway's word only if it never came to be there.
        let came_to_be = self.state.gateway_status().is_some();
        if came_to_be && snapshot.status == Status::Failed && snapshot.gateway_status.is_none() {
            return false;
        }
        self.state.merge(&state);
        // A proxy that knows the order but not yet its outcome is asked to send the creation again, after its own query.
        self.creation = if self.status() == Status::Unknown { Creation::Due } else { Creation::Known };
        // `start` was given a number in case this order had failed by then. It is live, so that `start` is done.
        if self.status() == Status::Pending && self.goal == Goal::Pay {
            self.successor = None;
        }
        // Answers can overtake each other; of two, the higher version is the newer.
        if self.told.as_ref().is_none_or(|told| told.version <= snapshot.version) {
            self.told = Some(Told {
                amount: snapshot.amount,
                scene: snapshot.scene,
                pay_url: snapshot.pay_url.clone(),
                version: snapshot.version,
                expires_at: now.plus(snapshot.expires_in_ms),
                next_poll: snapshot.next_poll_ms,
            });
        }
        true
    }
}

impl Checkout {
    /// A machine for one purchase; `saved` is what an earlier one had kept, before a reload.
    #[must_use]
    pub fn new(saved: Option<Saved>) -> Self {
        Self {
            phase: Phase::Idle,
            amount: None,
            saved,
            in_flight: None,
            failures: 0,
            not_before: Millis(0),
            not_sooner: Millis(0),
            is_offline: false,
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

    /// The customer wants to pay. `fresh` is used only if a new order is allowed: none is known, or the known one has
    /// failed (R4). Otherwise the known order goes on: nothing reopens one that is paid (R5).
    pub fn start(&mut self, now: Now, fresh: OrderNumber, scene: Option<Scene>) {
        let fresh = Saved { order_number: fresh, scene };
        match &mut self.phase {
            Phase::Live(order) if !order.status().is_terminal() => {
                if order.goal == Goal::Cancel {
                    order.successor = Some(fresh);
                }
            }
            Phase::Live(order) if order.status() == Status::Failed => self.begin(now, fresh),
            Phase::Live(_) => {}
            Phase::Idle | Phase::Finding => match self.saved.take() {
                Some(saved) => {
                    self.take_up(now, saved);
                    if let Phase::Live(order) = &mut self.phase {
                        order.successor = Some(fresh);
                    }
                }
                None => self.begin(now, fresh),
            },
        }
        self.go_on(now);
    }

    /// Goes on with the order from before a reload, or else with the one that the backend knows for this purchase.
    pub fn resume(&mut self, now: Now) {
        if matches!(self.phase, Phase::Idle) {
            match self.saved.take() {
                Some(saved) => self.take_up(now, saved),
                None => self.phase = Phase::Finding,
            }
        }
        self.go_on(now);
    }

    /// The customer gives up (R7). If the payment wins the race, the order is paid.
    pub fn cancel(&mut self, now: Now) {
        if let Phase::Live(order) = &mut self.phase {
            order.successor = None;
        }
        self.give_up(now);
        self.go_on(now);
    }

    /// The time asked for by [`Output::WakeAt`] has come.
    pub fn handle_wake(&mut self, now: Now) {
        self.advance(now);
    }

    /// There is a reason to look at once: the page became visible, or was shown from the back/forward cache. A question
    /// that has been in flight for a while is asked anew: its connection may have died while the page slept.
    pub fn handle_attention(&mut self, now: Now) {
        if let Some((Request::Query { .. } | Request::Find, sent_at)) = self.in_flight
            && now.at.since(sent_at) >= ATTENTION_SPACING
        {
            self.in_flight = None;
            self.outputs.push_back(Output::Abort);
        }
        self.not_before = self.not_before.min(now.at).max(self.not_sooner);
        self.advance(now);
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

    /// What came of the request in flight.
    pub fn handle_answer(&mut self, now: Now, answer: Answer) {
        let Some((request, sent_at)) = self.in_flight.take() else { return };
        self.not_before = now.at;
        let before = self.view(now.at);
        let believed = match (&mut self.phase, answer) {
            (Phase::Finding, Answer::Found(Some(snapshot))) => self.adopt(now, &snapshot),
            // A backend of the merchant's own need not know this call.
            (Phase::Finding, Answer::Found(None) | Answer::Missing) => {
                self.phase = Phase::Idle;
                self.outputs.push_back(Output::Tell);
                true
            }
            (Phase::Live(order), Answer::Snapshot(snapshot)) => order.believe(now.at, &snapshot, self.amount),
            (Phase::Live(_), Answer::Elsewhere(snapshot)) if matches!(request, Request::Create(_)) => {
                self.adopt(now, &snapshot)
            }
            (Phase::Live(_), Answer::NotModified) if matches!(request, Request::Query { .. }) => true,
            (Phase::Live(order), Answer::Missing)
                if !matches!(request, Request::Create(_)) && order.creation == Creation::Unknown =>
            {
                // R8: not final; the same create under the same number settles it.
                order.creation = Creation::Due;
                true
            }
            (_, Answer::Missing) => return self.halt(Stop::TokenRejected),
            (_, Answer::Refused(refusal)) => return self.halt(Stop::Refused(refusal)),
            (_, Answer::Trouble { retry_after }) => {
                self.failures += 1;
                self.not_before = now.at.plus(schedule::back_off(self.failures, retry_after, now.random));
                self.not_sooner = now.at.plus(retry_after.unwrap_or_default());
                self.space_cancels(now, &request);
                self.advance(now);
                return;
            }
            // An answer of another shape than the question allows, or about another order or amount (R10).
            _ => false,
        };
        if !believed {
            self.in_flight = Some((request, sent_at));
            return self.handle_answer(now, Answer::Trouble { retry_after: None });
        }
        self.pace(now, &request, sent_at);
        if self.view(now.at) != before {
            self.outputs.push_back(Output::Tell);
        }
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
        let Some(told) = &order.told else { return View::Unknown { order_number } };
        let amount = told.amount;
        match (order.status(), order.state.failure()) {
            (Status::Pending, _) => View::Pending {
                order_number,
                amount,
                scene: told.scene,
                pay_url: told.pay_url.clone(),
                expires_in_ms: told.expires_at.since(now),
                cancelling: order.goal == Goal::Cancel,
            },
            (Status::Paid, _) => View::Paid { order_number, amount },
            (Status::Failed, Some(failure)) => View::Failed { order_number, amount, failure },
            (Status::Conflict, _) => View::Conflict { order_number, amount },
            (Status::Unknown | Status::Failed, _) => View::Unknown { order_number },
        }
    }

    /// Begins an order under a new number. It is saved before anything is sent (R1).
    fn begin(&mut self, now: Now, fresh: Saved) {
        self.outputs.push_back(Output::Save(fresh.clone()));
        self.phase = Phase::Live(Order::new(fresh, Creation::Due, now.at));
        self.outputs.push_back(Output::Tell);
    }

    /// Goes on with a number that may or may not have been sent: query first (R2).
    fn take_up(&mut self, now: Now, saved: Saved) {
        self.phase = Phase::Live(Order::new(saved, Creation::Unknown, now.at));
        self.outputs.push_back(Output::Tell);
    }

    /// Goes on with an order that the backend knows under another number.
    fn adopt(&mut self, now: Now, snapshot: &Snapshot) -> bool {
        let saved = Saved { order_number: snapshot.order_number.clone(), scene: Some(snapshot.scene) };
        let mut order = Order::new(saved.clone(), Creation::Known, now.at);
        if !order.believe(now.at, snapshot, self.amount) {
            return false;
        }
        if let Phase::Live(old) = &self.phase {
            order.goal = old.goal;
        }
        self.phase = Phase::Live(order);
        self.outputs.push_back(Output::Save(saved));
        true
    }

    /// Turns to cancelling, at once. A question in flight is dropped; a creation in flight is waited for.
    fn give_up(&mut self, now: Now) {
        let Phase::Live(order) = &mut self.phase else {
            self.outputs.push_back(Output::Tell);
            return;
        };
        if order.status().is_terminal() || order.goal == Goal::Cancel {
            return;
        }
        order.goal = Goal::Cancel;
        self.not_before = self.not_before.min(now.at).max(self.not_sooner);
        self.outputs.push_back(Output::Tell);
        if matches!(self.in_flight, Some((Request::Query { .. }, _))) {
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
        if matches!(self.phase, Phase::Finding) {
            self.phase = Phase::Idle;
        }
        self.outputs.push_back(Output::WakeAt(None));
        self.outputs.push_back(Output::Stop(why));
    }

    /// Sets when to ask again after an answer that was believed.
    fn pace(&mut self, now: Now, request: &Request, sent_at: Millis) {
        let Phase::Live(order) = &self.phase else { return };
        if order.creation == Creation::Known {
            self.failures = 0;
            let law = schedule::pause(now.at.since(order.since), now.random);
            self.not_before = match request {
                // Nobody pays sooner.
                Request::Create(sent) if *sent == order.saved => now.at.plus(schedule::FIRST),
                // The law spaces held questions by their beginnings: at once, while the hold is longer than the pause.
                Request::Query { hold: Some(_), .. } if now.at.since(sent_at).0 >= HOLD.0 / 2 => {
                    now.at.max(sent_at.plus(law))
                }
                // This backend does not hold.
                Request::Query { hold: Some(_), .. } => {
                    let told = order.told.as_ref().and_then(|told| told.next_poll);
                    now.at.plus(told.unwrap_or(law))
                }
                _ => now.at,
            };
        } else {
            // The proxy does not know either; each try is one more failure until it does.
            self.failures += 1;
            self.not_before = now.at.plus(schedule::back_off(self.failures, None, now.random));
        }
        self.space_cancels(now, request);
    }

    /// R9: cancels are 3 to 10 s apart.
    fn space_cancels(&mut self, now: Now, request: &Request) {
        if matches!(request, Request::Cancel(_)) {
            let pause = self.not_before.since(now.at).0.clamp(CANCEL_SPACING.0, CANCEL_SPACING.1);
            self.not_before = now.at.plus(Millis(pause));
            self.not_sooner = self.not_before;
        }
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
            self.not_before = now.at;
        }
        self.mind_the_deadlines(now);
        if self.in_flight.is_none()
            && !self.is_offline
            && self.not_before <= now.at
            && let Some(request) = self.next_request()
        {
            if let (Phase::Live(order), Request::Create(_)) = (&mut self.phase, &request) {
                order.creation = Creation::Unknown;
            }
            self.in_flight = Some((request.clone(), now.at));
            self.outputs.push_back(Output::Send(request));
        }
        let wake_at = self.wake_at();
        self.outputs.push_back(Output::WakeAt(wake_at));
    }

    /// Gives up an order whose creation stayed unknown too long (R6) or whose time is up (R7).
    fn mind_the_deadlines(&mut self, now: Now) {
        if let Phase::Live(order) = &self.phase
            && order.goal == Goal::Pay
            && deadline(order).is_some_and(|deadline| deadline <= now.at)
        {
            self.give_up(now);
        }
    }

    /// What is to be asked next; nothing once the gateway has decided.
    fn next_request(&self) -> Option<Request> {
        let order = match &self.phase {
            Phase::Idle => return None,
            Phase::Finding => return Some(Request::Find),
            Phase::Live(order) if order.status().is_terminal() => return None,
            Phase::Live(order) => order,
        };
        let order_number = order.saved.order_number.clone();
        let version = order.told.as_ref().map(|told| told.version);
        Some(match (order.creation, order.goal) {
            (Creation::Due, _) => Request::Create(order.saved.clone()),
            (_, Goal::Cancel) => Request::Cancel(order_number),
            (Creation::Unknown, Goal::Pay) => Request::Query { order_number, version: None, hold: None },
            (Creation::Known, Goal::Pay) => Request::Query { order_number, version, hold: Some(HOLD) },
        })
    }

    /// The next time at which something is due without an answer.
    fn wake_at(&self) -> Option<Millis> {
        let deadline = match &self.phase {
            Phase::Live(order) if order.goal == Goal::Pay => deadline(order),
            _ => None,
        };
        let ask =
            (self.in_flight.is_none() && !self.is_offline && self.next_request().is_some()).then_some(self.not_before);
        [deadline, ask].into_iter().flatten().min()
    }
}

/// When an order that is not decided is given up.
fn deadline(order: &Order) -> Option<Millis> {
    match (order.status(), &order.told) {
        (Status::Unknown, _) => Some(order.since.plus(CREATE_DEADLINE)),
        (Status::Pending, Some(told)) => Some(told.expires_at),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
