//! The checkout machine's rules: what is known of one order on one hop, and what may be sent over it next.
//!
//! Each hop, from the page to the proxy and from the proxy to the gateway, can lose a request or an answer, and on each the
//! question is the same: what is true, and what may be done next? So both obey this module. [`Checkout`](crate::checkout)
//! drives it in a page, the worker of `payby-proxy` drives it from its database; a [`Policy`] says on which of the two it is.
//!
//! Pure: no I/O, no clock. Whoever runs it asks [`Standing::next`] what to send, writes down what [`Standing::begin`] changes
//! before sending it (I9), and what [`Standing::finish`] changes after. What is written down says all, so that a crash at any
//! point leaves "unknown" and never "not sent".
//!
//! The run loop, in short:
//!
//! ```
//! use payby_checkout::hop::{Errand, Outcome, Policy, Round, Standing, Step};
//! use payby_checkout::order::{GatewayStatus, OrderState, Status};
//! use payby_checkout::time::Millis;
//! # fn gateway(_: Step) -> Outcome {
//! #     let state = OrderState::reported(GatewayStatus::Created, false, None);
//! #     Outcome::Known { state, pay_url: Some("https://pay.example/1".into()) }
//! # }
//! let policy = Policy::TO_GATEWAY;
//! let now = Millis(1_763_812_800_000);
//! let mut order = Standing::new(now, now.plus(Millis::from_secs(600)));
//! let mut round = Round::new(Errand::Create);
//! loop {
//!     let step = order.next(round, &policy, now);
//!     if step == Step::Done {
//!         break;
//!     }
//!     let attempt = order.begin(step, now); // write `order` down, then:
//!     let heard = order.finish(attempt, gateway(step)); // write `order` down
//!     round.note(step, heard);
//! }
//! assert_eq!(order.status(), Status::Pending);
//! ```

use serde::{Deserialize, Serialize};

use crate::order::{Failure, FailureReason, OrderState, Status};
use crate::schedule;
use crate::time::Millis;

/// What a hop is like: who is on its far side, and how long and how often.
///
/// The defaults are [`Policy::TO_PROXY`] and [`Policy::TO_GATEWAY`]; [`Policy::check`] has the bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// R8: how long after it was sent a creation can still take effect on the far side. Once that is over and the far side
    /// has no such order, there never was one. `None`: that is for the far side to decide, which has a hop of its own.
    ///
    /// To the gateway: PayBy's 15 minutes and 5 for clock skew; at least 15 minutes.
    pub landing_window: Option<Millis>,
    /// R6: how long a creation may stay unknown before the order is given up: 60 s; 20 to 120 s.
    pub create_deadline: Millis,
    /// R9: the shortest time between two queries. To the gateway: 2.3 s; at least 2 s.
    pub query_min: Millis,
    /// R9: the longest time between two queries while somebody waits and the far side is well. To the gateway: 5.7 s; at
    /// most 6 s.
    pub query_max: Millis,
    /// R9: the shortest time between two cancels: 3.3 s; at least 3 s.
    pub cancel_min: Millis,
    /// R9: the longest time between two cancels while the far side is well: 9.7 s; at most 10 s.
    pub cancel_max: Millis,
    /// R9: after how many failures in a row a person is alerted: 3; at least 1.
    pub alert_after: u32,
    /// R9: how long failures go on before a person is alerted: 10 s.
    pub alert_after_time: Millis,
}

impl Policy {
    /// From a page to the merchant's proxy, which keeps the spacing of queries to the gateway by itself.
    pub const TO_PROXY: Self =
        Self { landing_window: None, query_min: Millis(0), query_max: Millis(u64::MAX), ..Self::TO_GATEWAY };

    /// From the proxy to the gateway. The spacing keeps three tenths of a second from R9's bounds, which hold where the
    /// calls arrive.
    pub const TO_GATEWAY: Self = Self {
        landing_window: Some(Millis::from_secs(20 * 60)),
        create_deadline: Millis::from_secs(60),
        query_min: Millis(2_300),
        query_max: Millis(5_700),
        cancel_min: Millis(3_300),
        cancel_max: Millis(9_700),
        alert_after: 3,
        alert_after_time: Millis::from_secs(10),
    };

    /// Whether every setting is within its bounds; if not, what is wrong with which.
    ///
    /// # Errors
    /// In words, beginning with the setting's name.
    pub fn check(&self) -> Result<(), &'static str> {
        let is_within = |value: Millis, least: u64, most: u64| (least..=most).contains(&value.0);
        if !is_within(self.create_deadline, 20_000, 120_000) {
            Err("create_deadline is 20 to 120 s")
        } else if self.landing_window.is_some_and(|window| !is_within(window, 15 * 60_000, u64::MAX)) {
            Err("landing_window is at least 15 minutes: until then PayBy can still take a creation")
        } else if self.landing_window.is_some() && !(self.query_min.0 >= 2_000 && self.query_max.0 <= 6_000) {
            Err("query_min and query_max are 2 to 6 s")
        } else if !(self.cancel_min.0 >= 3_000 && self.cancel_max.0 <= 10_000) {
            Err("cancel_min and cancel_max are 3 to 10 s")
        } else if self.query_min > self.query_max || self.cancel_min > self.cancel_max {
            Err("query_min and cancel_min are not above query_max and cancel_max")
        } else if self.alert_after == 0 || self.alert_after > 3 || self.alert_after_time > Millis::from_secs(10) {
            Err("alert_after is 1 to 3, alert_after_time at most 10 s")
        } else {
            Ok(())
        }
    }
}

/// What is known of one order on this side of the hop. A value: written down and read back, it goes on (R12).
///
/// Its moments are counted from a fixed start of the caller's choice; the proxy's, which are stored, from 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Everything that the gateway is known to have said of it so far.
    pub state: OrderState,
    /// The pay page, or what the QR code must hold. Only a creation's answer need tell it.
    pub pay_url: Option<String>,
    /// When it was begun, on this side.
    pub since: Millis,
    /// When it can no longer be paid.
    pub expires_at: Millis,
    /// The newest creation sent whose outcome is not known. Written before it is sent.
    pub create_unknown_at: Option<Millis>,
    /// Whether it was given up: by the customer, by the shop, or because its time is up.
    pub cancel_wanted: bool,
    /// Whether a cancel was sent and not refused. Written before it is sent.
    pub cancel_unknown: bool,
    /// When it was last asked about.
    pub queried_at: Option<Millis>,
    /// When its last cancel was sent.
    pub cancel_sent_at: Option<Millis>,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has told where the order stands, under this number, amount and currency (R10).
    Known {
        /// Where.
        state: OrderState,
        /// How to pay it, if that was told.
        pay_url: Option<String>,
    },
    /// The number is taken: by an order that is finished (62001, 62002, 62003), or by one with other parameters (62016).
    Taken,
    /// No order has the number (62004).
    Missing,
    /// It has judged the call and has not done it.
    Refused {
        /// Its code.
        code: String,
        /// The code in words.
        message: Option<String>,
    },
    /// The call may or may not have been done (R2).
    Unknown,
}

/// A call that has been written down and not yet answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    step: Step,
    create_unknown_before: Option<Millis>,
    cancel_unknown_before: bool,
}

/// What a round of calls is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Errand {
    /// Somebody wants to pay it.
    Create,
    /// Somebody wants to pay it who has begun it before (R3).
    Retry,
    /// Somebody waits for news of it.
    Refresh,
    /// Somebody gave it up.
    Cancel,
}

/// What the last call of the round brought. What it told of the order is in the [`Standing`] by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// No call was made yet.
    Nothing,
    /// A query was answered with the order.
    Queried,
    /// A query was answered with 62004: no such order.
    NotFound,
    /// A query brought nothing that can be believed.
    QueryFailed,
    /// A creation was answered with the order.
    Placed,
    /// A creation was answered with 62001, 62002, 62003 or 62016: there is an order of this number, and it is not told.
    Taken,
    /// A creation was refused.
    PlaceRefused,
    /// A creation has an unknown outcome.
    PlaceFailed,
    /// A cancel was answered with the order.
    Cancelled,
    /// A cancel was refused.
    CancelRefused,
    /// A cancel has an unknown outcome.
    CancelFailed,
}

impl Heard {
    /// Whether the call has brought something certain that helps. A refusal is certain, but no progress.
    #[must_use]
    pub const fn is_progress(self) -> bool {
        matches!(self, Self::Queried | Self::NotFound | Self::Placed | Self::Taken | Self::Cancelled)
    }
}

/// One round of calls about one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// What it is for.
    pub errand: Errand,
    /// Whether it has sent a creation.
    pub placed: bool,
    /// Whether it has sent a cancel.
    pub cancelled: bool,
    /// What the last call brought.
    pub heard: Heard,
}

impl Round {
    /// A round that has made no call yet.
    #[must_use]
    pub const fn new(errand: Errand) -> Self {
        Self { errand, placed: false, cancelled: false, heard: Heard::Nothing }
    }

    /// A call was made, and this is what it brought.
    pub const fn note(&mut self, step: Step, heard: Heard) {
        match step {
            Step::Place => self.placed = true,
            Step::Cancel => self.cancelled = true,
            Step::Query | Step::Close(_) | Step::Done => {}
        }
        self.heard = heard;
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing more, for this round.
    Done,
    /// Ask where it stands.
    Query,
    /// Create it, with the parameters that were written down.
    Place,
    /// Cancel it.
    Cancel,
    /// Close it here: the gateway does not have it and it can no longer come to be.
    Close(FailureReason),
}

impl Standing {
    /// An order that has never been sent.
    #[must_use]
    pub fn new(since: Millis, expires_at: Millis) -> Self {
        Self {
            state: OrderState::default(),
            pay_url: None,
            since,
            expires_at,
            create_unknown_at: None,
            cancel_wanted: false,
            cancel_unknown: false,
            queried_at: None,
            cancel_sent_at: None,
        }
    }

    /// What a page needs to know.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.state.status()
    }

    /// Why it was not paid. A failure after a cancel of ours is that cancel, in whatever words the gateway puts it; and one
    /// that we cancelled because its time was up has expired.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.state.failure().map(|failure| match (failure.reason, self.cancel_sent_at) {
            (reason, Some(sent)) if self.cancel_unknown && reason != FailureReason::Revoked => {
                let is_late = self.expires_at <= sent;
                Failure { reason: if is_late { FailureReason::Expired } else { FailureReason::Cancelled }, ..failure }
            }
            _ => failure,
        })
    }

    /// When the order is given up unless something is learnt before: R6, because its creation has stayed unknown too long;
    /// R7, because the payer's time is up.
    #[must_use]
    pub fn deadline(&self, policy: &Policy) -> Option<Millis> {
        match self.status() {
            _ if self.cancel_wanted => None,
            Status::Unknown if self.create_unknown_at.is_some() => {
                Some(self.since.plus(policy.create_deadline).min(self.expires_at))
            }
            Status::Unknown | Status::Pending => Some(self.expires_at),
            _ => None,
        }
    }

    /// Gives the order up if its deadline has come, and answers whether it just did.
    pub fn mind_the_deadline(&mut self, policy: &Policy, now: Millis) -> bool {
        let is_due = self.deadline(policy).is_some_and(|deadline| deadline <= now);
        self.cancel_wanted |= is_due;
        is_due
    }

    /// Takes in what a report knows.
    pub fn learn(&mut self, state: &OrderState, pay_url: Option<String>) {
        self.state.merge(state);
        self.pay_url = pay_url.or_else(|| self.pay_url.take());
        if self.status() != Status::Unknown {
            self.create_unknown_at = None;
        }
    }

    /// What to do next. R5: nothing is ever sent for a terminal order.
    ///
    /// An order that was given up is only ever cancelled, whatever the errand: what was given up is not created again
    /// for its own sake, only to be cancelled (R8).
    #[must_use]
    pub fn next(&self, round: Round, policy: &Policy, now: Millis) -> Step {
        next(&Facts::of(self, policy, now), round)
    }

    /// R9: how long the call has to wait, because the last one of its kind about this order was just made.
    #[must_use]
    pub fn rest_before(&self, step: Step, policy: &Policy, now: Millis) -> Option<Millis> {
        let (last, gap) = match step {
            Step::Query => (self.queried_at?, policy.query_min),
            Step::Cancel => (self.cancel_sent_at?, policy.cancel_min),
            Step::Place | Step::Close(_) | Step::Done => return None,
        };
        let elapsed = now.since(last);
        (elapsed < gap).then(|| Millis(gap.0 - elapsed.0))
    }

    /// How long to wait before the next round after so many rounds in a row that failed: by the law of the order's age; within
    /// R9's window while somebody waits or a cancel is under way; by back-off once a person has been alerted. Never beyond the
    /// order's deadline. `random` is uniform over all of `u32`.
    #[must_use]
    pub fn pause(&self, policy: &Policy, now: Millis, is_awaited: bool, failures: u32, random: u32) -> Millis {
        let is_alerted = failures > policy.alert_after;
        let age = now.since(self.since);
        let pause = if is_alerted {
            schedule::back_off(failures - policy.alert_after, None, random)
        } else {
            schedule::pause(age, random)
        };
        let (before, least, most) = match (self.cancel_wanted, self.cancel_sent_at) {
            (true, Some(sent)) => (Some(sent), policy.cancel_min, policy.cancel_max),
            _ => (self.queried_at, policy.query_min, policy.query_max),
        };
        let is_bounded = !is_alerted && (is_awaited || self.cancel_wanted || self.status() == Status::Unknown);
        let most = if is_bounded { most } else { Millis(u64::MAX) };
        let elapsed = before.map_or(age, |before| now.since(before));
        let pause = Millis(pause.0.clamp(least.0, most.0).saturating_sub(elapsed.0));
        self.deadline(policy).map_or(pause, |deadline| pause.min(deadline.since(now)))
    }

    /// Notes that the step is about to be taken; to be written down before it is.
    pub fn begin(&mut self, step: Step, now: Millis) -> Attempt {
        let attempt =
            Attempt { step, create_unknown_before: self.create_unknown_at, cancel_unknown_before: self.cancel_unknown };
        match step {
            Step::Query => self.queried_at = Some(now),
            Step::Place => self.create_unknown_at = Some(now),
            Step::Cancel => {
                self.cancel_unknown = true;
                self.cancel_sent_at = Some(now);
            }
            Step::Close(_) | Step::Done => {}
        }
        attempt
    }

    /// Takes in what came of the call, and answers what was heard.
    pub fn finish(&mut self, attempt: Attempt, outcome: Outcome) -> Heard {
        if let Outcome::Known { state, pay_url } = &outcome {
            self.learn(state, pay_url.clone());
        }
        match (attempt.step, outcome) {
            (Step::Query, Outcome::Known { .. }) => Heard::Queried,
            (Step::Query, Outcome::Missing) => Heard::NotFound,
            (Step::Query, _) => Heard::QueryFailed,
            (Step::Place, Outcome::Known { .. }) => Heard::Placed,
            (Step::Place, Outcome::Unknown) => Heard::PlaceFailed,
            (Step::Place, Outcome::Taken) => Heard::Taken,
            (Step::Place, refused) => {
                // This attempt has done nothing, so what was unknown before it is what is unknown now.
                self.create_unknown_at = attempt.create_unknown_before;
                if let (Status::Unknown, None, Outcome::Refused { code, message }) =
                    (self.status(), self.create_unknown_at, refused)
                {
                    self.learn(&OrderState::refused(code, message), None);
                }
                Heard::PlaceRefused
            }
            (Step::Cancel, Outcome::Known { .. }) => Heard::Cancelled,
            (Step::Cancel, Outcome::Unknown) => Heard::CancelFailed,
            (Step::Cancel, _) => {
                self.cancel_unknown = attempt.cancel_unknown_before;
                Heard::CancelRefused
            }
            (Step::Close(_) | Step::Done, _) => Heard::Nothing,
        }
    }

    /// Closes an order that is not at the gateway and can no longer come to be ([`Step::Close`]).
    pub fn close(&mut self, reason: FailureReason) {
        if self.status() == Status::Unknown {
            self.learn(&OrderState::given_up(reason), None);
        }
    }
}

/// What went wrong in a row, and whether a person has been told (R9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    failures: u32,
    since: Millis,
    is_told: bool,
}

impl Trouble {
    /// How many failures in a row.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Something certain was learnt.
    pub fn ends(&mut self) {
        *self = Self::default();
    }

    /// One more failure. Answers whether a person is to be alerted: once, until all is well again.
    pub fn note(&mut self, policy: &Policy, now: Millis) -> bool {
        if self.failures == 0 {
            self.since = now;
        }
        self.failures += 1;
        let is_bad = self.failures >= policy.alert_after || now.since(self.since) >= policy.alert_after_time;
        is_bad && !core::mem::replace(&mut self.is_told, true)
    }
}

/// What the decision goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Facts {
    status: Status,
    create_unknown_at: Option<Millis>,
    has_pay_url: bool,
    cancel_wanted: bool,
    expires_at: Millis,
    now: Millis,
    /// As [`Policy::landing_window`].
    landing_window: Option<Millis>,
}

impl Facts {
    const fn of(standing: &Standing, policy: &Policy, now: Millis) -> Self {
        Self {
            status: standing.status(),
            create_unknown_at: standing.create_unknown_at,
            has_pay_url: standing.pay_url.is_some(),
            cancel_wanted: standing.cancel_wanted,
            expires_at: standing.expires_at,
            now,
            landing_window: policy.landing_window,
        }
    }

    const fn is_expired(&self) -> bool {
        self.expires_at.0 <= self.now.0
    }

    const fn was_never_sent(&self) -> bool {
        matches!((self.status, self.create_unknown_at), (Status::Unknown, None))
    }
}

fn next(facts: &Facts, round: Round) -> Step {
    if facts.status.is_terminal() {
        Step::Done
    } else if facts.cancel_wanted || round.errand == Errand::Cancel {
        to_cancel(facts, round)
    } else {
        to_create(facts, round)
    }
}

fn to_create(facts: &Facts, round: Round) -> Step {
    match round.heard {
        Heard::Nothing if facts.was_never_sent() && facts.is_expired() => close(facts),
        Heard::Nothing if facts.was_never_sent() => Step::Place,
        // R2, R3: first find out.
        Heard::Nothing if facts.status == Status::Unknown || round.errand != Errand::Create => Step::Query,
        // R3: the creation that will tell the pay URL is sent again only after a query.
        Heard::Nothing if is_to_be_placed_again(facts, round) => Step::Query,
        Heard::Queried if !round.placed && is_to_be_placed_again(facts, round) => Step::Place,
        Heard::NotFound if !round.placed => not_found(facts),
        Heard::Taken => Step::Query,
        _ => Step::Done,
    }
}

/// R7: query, cancel, query.
fn to_cancel(facts: &Facts, round: Round) -> Step {
    match round.heard {
        // A creation is written down before it is sent, so this one never was.
        Heard::Nothing if facts.was_never_sent() => close(facts),
        // `Cancelled`: a cancel that was taken and has left the order open.
        Heard::Nothing | Heard::Taken | Heard::CancelRefused | Heard::CancelFailed | Heard::Cancelled => Step::Query,
        // Whether it is still open is not known; a cancel cannot hurt one that is not.
        Heard::Queried | Heard::QueryFailed | Heard::Placed if !round.cancelled => Step::Cancel,
        Heard::NotFound if !round.placed && !round.cancelled => not_found(facts),
        _ => Step::Done,
    }
}

/// After a query has found the order open (or not yet decided): whether the same creation is to be sent again. It creates
/// nothing twice. Somebody wants it so (R3), or the far side does not know yet what came of it, or how to pay was lost with
/// an answer of the gateway's.
fn is_to_be_placed_again(facts: &Facts, round: Round) -> bool {
    let is_wanted = round.errand == Errand::Retry || facts.status == Status::Unknown;
    let is_pay_url_lost = !facts.has_pay_url && facts.landing_window.is_some();
    (is_wanted || is_pay_url_lost) && !facts.is_expired()
}

/// R8: "no such order" is final only when the creation can no longer land. Until then the same creation settles it,
/// unless the payer's time is up: then PayBy would not take it, and only waiting helps.
fn not_found(facts: &Facts) -> Step {
    match (facts.status, facts.create_unknown_at, facts.landing_window) {
        (Status::Unknown, None, _) => close(facts),
        (Status::Unknown, Some(_), None) => Step::Place,
        (Status::Unknown, Some(_), Some(_)) if !facts.is_expired() => Step::Place,
        (Status::Unknown, Some(sent), Some(window)) if facts.now.since(sent) > window => close(facts),
        // Not yet; or the far side has lost an order that it had reported, which proves nothing about its payment.
        _ => Step::Done,
    }
}

/// An order that was never sent is closed by the side that would send it to the gateway. A page leaves that to the proxy:
/// its number may have been sent from another tab.
const fn close(facts: &Facts) -> Step {
    match facts.landing_window {
        None => Step::Place,
        Some(_) if facts.is_expired() => Step::Close(FailureReason::Expired),
        Some(_) => Step::Close(FailureReason::Cancelled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::GatewayStatus;

    const NOW: Millis = Millis(100_000_000);
    const POLICY: Policy = Policy::TO_GATEWAY;
    const LANDING_WINDOW: Millis = Millis(20 * 60_000);

    /// Never sent, not expired.
    const FRESH: Facts = Facts {
        status: Status::Unknown,
        create_unknown_at: None,
        has_pay_url: false,
        cancel_wanted: false,
        expires_at: Millis(NOW.0 + 1),
        now: NOW,
        landing_window: Some(LANDING_WINDOW),
    };
    const SENT: Facts = Facts { create_unknown_at: Some(Millis(NOW.0 - 1)), ..FRESH };
    const OPEN: Facts = Facts { status: Status::Pending, ..FRESH };
    const PAYABLE: Facts = Facts { has_pay_url: true, ..OPEN };

    const fn expired(facts: Facts) -> Facts {
        Facts { expires_at: NOW, ..facts }
    }

    /// The last creation was sent longer ago than it can take to land.
    const fn long_ago(facts: Facts) -> Facts {
        Facts { create_unknown_at: Some(Millis(NOW.0 - LANDING_WINDOW.0 - 1)), ..facts }
    }

    const fn given_up(facts: Facts) -> Facts {
        Facts { cancel_wanted: true, ..facts }
    }

    fn check(errand: Errand, rows: &[(&str, Facts, Heard, bool, bool, Step)]) {
        for (what, facts, heard, placed, cancelled, step) in rows {
            let round = Round { errand, placed: *placed, cancelled: *cancelled, heard: *heard };
            assert_eq!(next(facts, round), *step, "{errand:?}: {what}");
        }
    }

    const NO: bool = false;
    const YES: bool = true;

    #[test]
    fn what_to_send_so_that_an_order_can_be_paid() {
        let close = Step::Close(FailureReason::Expired);
        check(
            Errand::Create,
            &[
                ("never sent", FRESH, Heard::Nothing, NO, NO, Step::Place),
                ("never sent, and the payer's time is up", expired(FRESH), Heard::Nothing, NO, NO, close),
                ("sent, outcome unknown", SENT, Heard::Nothing, NO, NO, Step::Query),
                ("open, pay URL unknown", OPEN, Heard::Nothing, NO, NO, Step::Query),
                ("open, pay URL unknown, time is up", expired(OPEN), Heard::Nothing, NO, NO, Step::Done),
                ("open, pay URL known", PAYABLE, Heard::Nothing, NO, NO, Step::Done),
                ("the query found it open", OPEN, Heard::Queried, NO, NO, Step::Place),
                ("the query found it open after placing", OPEN, Heard::Queried, YES, NO, Step::Done),
                ("the query did not find it", SENT, Heard::NotFound, NO, NO, Step::Place),
                ("not found after placing", SENT, Heard::NotFound, YES, NO, Step::Done),
                ("not found, time is up, it can still land", expired(SENT), Heard::NotFound, NO, NO, Step::Done),
                ("not found, time is up, it cannot land", expired(long_ago(SENT)), Heard::NotFound, NO, NO, close),
                ("PayBy has lost an open order", PAYABLE, Heard::NotFound, NO, NO, Step::Done),
                ("the query failed", SENT, Heard::QueryFailed, NO, NO, Step::Done),
                ("placed", PAYABLE, Heard::Placed, YES, NO, Step::Done),
                ("placed on a finished or foreign one", SENT, Heard::Taken, YES, NO, Step::Query),
                ("refused with an older attempt unknown", SENT, Heard::PlaceRefused, YES, NO, Step::Done),
                ("outcome unknown", SENT, Heard::PlaceFailed, YES, NO, Step::Done),
                ("given up meanwhile, never sent", given_up(FRESH), Heard::Nothing, NO, NO, {
                    Step::Close(FailureReason::Cancelled)
                }),
                ("given up meanwhile", given_up(PAYABLE), Heard::Nothing, NO, NO, Step::Query),
            ],
        );
    }

    #[test]
    fn what_to_send_while_somebody_waits() {
        check(
            Errand::Refresh,
            &[
                ("never sent", FRESH, Heard::Nothing, NO, NO, Step::Place),
                ("sent, outcome unknown", SENT, Heard::Nothing, NO, NO, Step::Query),
                ("open", PAYABLE, Heard::Nothing, NO, NO, Step::Query),
                ("open and overdue", expired(PAYABLE), Heard::Nothing, NO, NO, Step::Query),
                ("still open", PAYABLE, Heard::Queried, NO, NO, Step::Done),
                ("open, but its pay URL was lost", OPEN, Heard::Queried, NO, NO, Step::Place),
                ("not found", SENT, Heard::NotFound, NO, NO, Step::Place),
            ],
        );
    }

    #[test]
    fn what_to_send_to_be_rid_of_an_order() {
        let close = Step::Close(FailureReason::Cancelled);
        check(
            Errand::Cancel,
            &[
                ("never sent", FRESH, Heard::Nothing, NO, NO, close),
                ("sent, outcome unknown", SENT, Heard::Nothing, NO, NO, Step::Query),
                ("open", PAYABLE, Heard::Nothing, NO, NO, Step::Query),
                ("found open", PAYABLE, Heard::Queried, NO, NO, Step::Cancel),
                ("the query failed", PAYABLE, Heard::QueryFailed, NO, NO, Step::Cancel),
                ("not found: create again, then cancel", SENT, Heard::NotFound, NO, NO, Step::Place),
                ("created again", PAYABLE, Heard::Placed, YES, NO, Step::Cancel),
                ("created again, outcome unknown", SENT, Heard::PlaceFailed, YES, NO, Step::Done),
                ("created again, and it was finished", SENT, Heard::Taken, YES, NO, Step::Query),
                ("not found, time is up, it can still land", expired(SENT), Heard::NotFound, NO, NO, Step::Done),
                ("not found, time is up, it cannot land", expired(long_ago(SENT)), Heard::NotFound, NO, NO, {
                    Step::Close(FailureReason::Expired)
                }),
                ("the cancel was taken, but it is open", PAYABLE, Heard::Cancelled, NO, YES, Step::Query),
                ("the cancel was refused", PAYABLE, Heard::CancelRefused, NO, YES, Step::Query),
                ("the cancel's outcome is unknown", PAYABLE, Heard::CancelFailed, NO, YES, Step::Query),
                ("the last query found it open", PAYABLE, Heard::Queried, NO, YES, Step::Done),
                ("the last query failed", PAYABLE, Heard::QueryFailed, NO, YES, Step::Done),
                ("the last query did not find it", SENT, Heard::NotFound, NO, YES, Step::Done),
            ],
        );
    }

    /// An order that a creation was sent for, and what came of it.
    fn placed(outcome: Outcome) -> Standing {
        let mut order = Standing::new(NOW, Millis(NOW.0 + 1));
        let attempt = order.begin(Step::Place, NOW);
        assert_eq!(order.create_unknown_at, Some(NOW), "it is unknown before it is sent");
        order.finish(attempt, outcome);
        order
    }

    fn known(status: GatewayStatus) -> Outcome {
        Outcome::Known { state: OrderState::reported(status, false, None), pay_url: None }
    }

    fn refused() -> Outcome {
        Outcome::Refused { code: "601".to_owned(), message: None }
    }

    #[test]
    fn a_refused_creation_has_failed_only_if_no_other_may_have_arrived() {
        assert_eq!(placed(refused()).status(), Status::Failed);
        let mut order = placed(Outcome::Unknown);
        let attempt = order.begin(Step::Place, Millis(NOW.0 + 5));
        order.finish(attempt, refused());
        assert_eq!((order.status(), order.create_unknown_at), (Status::Unknown, Some(NOW)));
    }

    #[test]
    fn an_answer_about_the_order_ends_what_was_unknown() {
        let order = placed(known(GatewayStatus::Created));
        assert_eq!((order.status(), order.create_unknown_at), (Status::Pending, None));
    }

    #[test]
    fn a_failure_after_a_cancel_of_ours_is_that_cancel_unless_it_was_refused() {
        for (outcome, reason) in
            [(Outcome::Unknown, FailureReason::Cancelled), (Outcome::Taken, FailureReason::Expired)]
        {
            let mut order = placed(known(GatewayStatus::Created));
            let attempt = order.begin(Step::Cancel, NOW);
            order.finish(attempt, outcome);
            let expired = Failure { reason: FailureReason::Expired, code: None, message: None };
            order.learn(&OrderState::reported(GatewayStatus::Failure, false, Some(expired)), None);
            assert_eq!(order.failure().unwrap().reason, reason);
        }
    }

    #[test]
    fn r9_queries_and_cancels_keep_their_distance() {
        let mut order = placed(known(GatewayStatus::Created));
        order.expires_at = Millis(NOW.0 + 600_000);
        assert_eq!(order.rest_before(Step::Query, &POLICY, NOW), None);
        order.begin(Step::Query, NOW);
        order.begin(Step::Cancel, NOW);
        let later = Millis(NOW.0 + 1_000);
        assert_eq!(order.rest_before(Step::Query, &POLICY, later), Some(Millis(1_300)));
        assert_eq!(order.rest_before(Step::Cancel, &POLICY, later), Some(Millis(2_300)));
        for random in [0, u32::MAX] {
            for age in [0, 60_000, 7_200_000] {
                order.since = Millis(NOW.0 - age);
                let pause = order.pause(&POLICY, NOW, true, 0, random).0;
                assert!((2_300..=5_700).contains(&pause), "{pause}");
            }
        }
    }

    #[test]
    fn r6_r7_an_order_is_given_up_when_its_time_is_up() {
        let mut order = Standing::new(NOW, Millis(NOW.0 + 600_000));
        assert_eq!(order.deadline(&POLICY), Some(order.expires_at), "never sent: nothing is unknown");
        let attempt = order.begin(Step::Place, NOW);
        order.finish(attempt, Outcome::Unknown);
        assert_eq!(order.deadline(&POLICY), Some(Millis(NOW.0 + 60_000)));
        order.learn(&OrderState::reported(GatewayStatus::Created, false, None), None);
        assert!(!order.mind_the_deadline(&POLICY, Millis(NOW.0 + 599_999)));
        assert!(order.mind_the_deadline(&POLICY, Millis(NOW.0 + 600_000)));
        assert!(order.cancel_wanted && !order.mind_the_deadline(&POLICY, Millis(NOW.0 + 600_001)));
        let attempt = order.begin(Step::Cancel, Millis(NOW.0 + 600_002));
        order.finish(attempt, known(GatewayStatus::Failure));
        assert_eq!(order.failure().unwrap().reason, FailureReason::Expired);
    }

    #[test]
    fn r9_three_failures_in_a_row_or_ten_seconds_of_them_alert_once_until_all_is_well_again() {
        let mut trouble = Trouble::default();
        let told = [0, 1, 2, 3].map(|at| trouble.note(&POLICY, Millis(at)));
        assert_eq!(told, [false, false, true, false]);
        trouble.ends();
        assert!(!trouble.note(&POLICY, Millis(1_000)));
        assert!(trouble.note(&POLICY, Millis(11_000)));
    }

    #[test]
    fn a_page_leaves_it_to_the_proxy_whether_an_order_ever_came_to_be() {
        let page = |facts| Facts { landing_window: None, ..facts };
        for (facts, heard) in [
            (given_up(FRESH), Heard::Nothing),
            (expired(FRESH), Heard::Nothing),
            (expired(long_ago(SENT)), Heard::NotFound),
            (given_up(long_ago(SENT)), Heard::NotFound),
        ] {
            assert_eq!(next(&page(facts), Round { heard, ..Round::new(Errand::Refresh) }), Step::Place);
        }
        assert_eq!(next(&page(OPEN), Round { heard: Heard::Queried, ..Round::new(Errand::Refresh) }), Step::Done);
    }

    #[test]
    fn r3_a_retry_sends_the_same_creation_again_after_a_query_and_never_once_it_is_paid() {
        check(
            Errand::Retry,
            &[
                ("never sent", FRESH, Heard::Nothing, NO, NO, Step::Place),
                ("open", PAYABLE, Heard::Nothing, NO, NO, Step::Query),
                ("found open", PAYABLE, Heard::Queried, NO, NO, Step::Place),
                ("sent again", PAYABLE, Heard::Placed, YES, NO, Step::Done),
                ("the query failed", PAYABLE, Heard::QueryFailed, NO, NO, Step::Done),
                ("found paid", Facts { status: Status::Paid, ..OPEN }, Heard::Queried, NO, NO, Step::Done),
            ],
        );
    }

    #[test]
    fn the_defaults_are_within_their_bounds_and_what_is_not_is_named() {
        assert_eq!(Policy::TO_PROXY.check(), Ok(()));
        assert_eq!(POLICY.check(), Ok(()));
        for wrong in [
            Policy { create_deadline: Millis(19_999), ..POLICY },
            Policy { create_deadline: Millis(120_001), ..POLICY },
            Policy { landing_window: Some(Millis(899_999)), ..POLICY },
            Policy { query_min: Millis(1_999), ..POLICY },
            Policy { query_max: Millis(6_001), ..POLICY },
            Policy { query_min: Millis(5_701), ..POLICY },
            Policy { cancel_min: Millis(2_999), ..POLICY },
            Policy { cancel_max: Millis(10_001), ..POLICY },
            Policy { alert_after: 4, ..POLICY },
            Policy { alert_after_time: Millis(10_001), ..POLICY },
        ] {
            let why = wrong.check().unwrap_err();
            assert!(
                why.contains("_min") || why.contains("_deadline") || why.contains("window") || why.contains("alert")
            );
        }
    }

    #[test]
    fn nothing_is_ever_sent_for_a_terminal_order() {
        let all = [
            Heard::Nothing,
            Heard::Queried,
            Heard::NotFound,
            Heard::QueryFailed,
            Heard::Placed,
            Heard::Taken,
            Heard::PlaceRefused,
            Heard::PlaceFailed,
            Heard::Cancelled,
            Heard::CancelRefused,
            Heard::CancelFailed,
        ];
        for status in [Status::Paid, Status::Failed, Status::Conflict] {
            for errand in [Errand::Create, Errand::Retry, Errand::Refresh, Errand::Cancel] {
                for heard in all {
                    let round = Round { heard, ..Round::new(errand) };
                    assert_eq!(next(&Facts { status, ..given_up(SENT) }, round), Step::Done);
                }
            }
        }
    }
}
