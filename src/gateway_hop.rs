//! The second hop: what the proxy knows of one order at the gateway, and what it may send there next.
//!
//! Pure: no I/O, no clock. Whoever runs it asks [`Standing::next`] what to send, writes down what [`Standing::begin`] changes
//! before sending it (I9), and what [`Standing::finish`] changes after. What is stored says all, so that a crash at any point
//! leaves "unknown" and never "not sent".
//!
//! The run loop, in short; `payby-proxy`'s worker is the long one:
//!
//! ```
//! use payby_checkout::gateway_hop::{Errand, Outcome, Round, Standing, Step};
//! use payby_checkout::order::{GatewayStatus, OrderState, Status};
//! use payby_checkout::time::UnixMillis;
//! # fn gateway(_: Step) -> Outcome {
//! #     let state = OrderState::reported(GatewayStatus::Created, false, None);
//! #     Outcome::Known { state, pay_url: Some("https://pay.example/1".into()) }
//! # }
//! let now = UnixMillis(1_763_812_800_000);
//! let mut order = Standing::new(UnixMillis(now.0 + 600_000));
//! let mut round = Round::new(Errand::Create);
//! loop {
//!     let step = order.next(round, now);
//!     if step == Step::Done {
//!         break;
//!     }
//!     let attempt = order.begin(step, now); // commit `order`, then:
//!     let heard = order.finish(attempt, gateway(step)); // commit `order`
//!     round.note(step, heard);
//! }
//! assert_eq!(order.status(), Status::Pending);
//! ```

use crate::order::{Failure, FailureReason, OrderState, Status};
use crate::schedule;
use crate::time::{Millis, UnixMillis};

/// R8: how long after its `requestTime` a creation can still take effect: PayBy's 15 minutes, and 5 for clock skew.
pub const LANDING_WINDOW: Millis = Millis::from_secs(20 * 60);

/// R9: after how many failures in a row a person is alerted.
pub const ALERT_AFTER: u32 = 3;

/// R9: how long failures may go on without an alert.
pub const ALERT_AFTER_TIME: Millis = Millis::from_secs(10);

/// What is stored of one order about the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Everything that the gateway has said of it so far.
    pub state: OrderState,
    /// The pay page, or what the QR code must hold. Only `placeOrder` gives it.
    pub pay_url: Option<String>,
    /// When it can no longer be paid.
    pub expires_at: UnixMillis,
    /// The newest creation sent whose outcome is not known. Written before the gateway is called.
    pub create_unknown_at: Option<UnixMillis>,
    /// Whether the customer or the shop has given it up.
    pub cancel_wanted: bool,
    /// Whether a cancel was sent and not refused. Written before the gateway is called.
    pub cancel_unknown: bool,
    /// When the gateway was last asked about it.
    pub queried_at: Option<UnixMillis>,
    /// When the gateway was last told to cancel it.
    pub cancel_sent_at: Option<UnixMillis>,
}

/// R9: how far apart calls about one order are. The default keeps a tenth of a second from the rule's bounds, which hold
/// where the calls arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The shortest time between two queries.
    pub query_min: Millis,
    /// The longest time between two queries while somebody waits and the gateway is well.
    pub query_max: Millis,
    /// The shortest time between two cancels.
    pub cancel_min: Millis,
    /// The longest time between two cancels while the gateway is well.
    pub cancel_max: Millis,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            query_min: Millis(2_100),
            query_max: Millis(5_900),
            cancel_min: Millis(3_100),
            cancel_max: Millis(9_900),
        }
    }
}

/// What came of a call to the gateway.
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
    create_unknown_before: Option<UnixMillis>,
    cancel_unknown_before: bool,
}

/// What a round of calls is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Errand {
    /// A page wants to pay it.
    Create,
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
    /// Send `getOrder`.
    Query,
    /// Send `placeOrder`, with the stored parameters.
    Place,
    /// Send `cancelOrder`.
    Cancel,
    /// Close the order here: it is not at the gateway and can no longer come to be.
    Close(FailureReason),
}

impl Standing {
    /// An order that has never been sent.
    #[must_use]
    pub fn new(expires_at: UnixMillis) -> Self {
        Self {
            state: OrderState::default(),
            pay_url: None,
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

    /// Why it was not paid. A failure after a cancel of ours is that cancel, in whatever words the gateway puts it.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.state.failure().map(|failure| match failure.reason {
            FailureReason::Revoked => failure,
            _ if self.cancel_unknown => Failure { reason: FailureReason::Cancelled, ..failure },
            _ => failure,
        })
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
    pub fn next(&self, round: Round, now: UnixMillis) -> Step {
        next(&Facts::of(self, now), round)
    }

    /// R9: how long the call has to wait, because the last one of its kind about this order was just made.
    #[must_use]
    pub fn rest_before(&self, step: Step, pace: &Pace, now: UnixMillis) -> Option<Millis> {
        let (last, gap) = match step {
            Step::Query => (self.queried_at?, pace.query_min),
            Step::Cancel => (self.cancel_sent_at?, pace.cancel_min),
            Step::Place | Step::Close(_) | Step::Done => return None,
        };
        let elapsed = now.since(last);
        (elapsed < gap).then(|| Millis(gap.0 - elapsed.0))
    }

    /// How long to wait before the next round, for an order of this age after so many rounds in a row that failed: by the
    /// law, within R9's window; by back-off once a person has been alerted. `random` is uniform over all of `u32`.
    #[must_use]
    pub fn pause(&self, pace: &Pace, now: UnixMillis, age: Millis, failures: u32, random: u32) -> Millis {
        let is_alerted = failures > ALERT_AFTER;
        let pause = if is_alerted {
            schedule::back_off(failures - ALERT_AFTER, None, random)
        } else {
            schedule::pause(age, random)
        };
        let (before, least, most) = match (self.cancel_wanted, self.cancel_sent_at) {
            (true, Some(sent)) => (Some(sent), pace.cancel_min, pace.cancel_max),
            _ => (self.queried_at, pace.query_min, pace.query_max),
        };
        let most = if is_alerted { Millis(u64::MAX) } else { most };
        let elapsed = before.map_or(age, |before| now.since(before));
        Millis(pause.0.clamp(least.0, most.0).saturating_sub(elapsed.0))
    }

    /// Notes that the step is about to be taken; to be written down before it is.
    pub fn begin(&mut self, step: Step, now: UnixMillis) -> Attempt {
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

/// What the decision goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Facts {
    status: Status,
    create_unknown_at: Option<UnixMillis>,
    has_pay_url: bool,
    cancel_wanted: bool,
    expires_at: UnixMillis,
    now: UnixMillis,
}

impl Facts {
    const fn of(standing: &Standing, now: UnixMillis) -> Self {
        Self {
            status: standing.status(),
            create_unknown_at: standing.create_unknown_at,
            has_pay_url: standing.pay_url.is_some(),
            cancel_wanted: standing.cancel_wanted,
            expires_at: standing.expires_at,
            now,
        }
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
        Heard::Nothing => match (facts.status, facts.create_unknown_at) {
            (Status::Unknown, None) if is_expired(facts) => Step::Close(FailureReason::Expired),
            (Status::Unknown, None) => Step::Place,
            // R2, R3: first find out.
            (Status::Unknown, Some(_)) => Step::Query,
            _ if round.errand == Errand::Refresh => Step::Query,
            // R3: the creation that will tell the pay URL is sent again only after a query.
            _ if place_for_its_pay_url(facts) == Step::Place => Step::Query,
            _ => Step::Done,
        },
        Heard::Queried if !round.placed => place_for_its_pay_url(facts),
        Heard::NotFound if !round.placed => not_found(facts, FailureReason::Expired),
        Heard::Taken => Step::Query,
        _ => Step::Done,
    }
}

/// R7: query, cancel, query.
fn to_cancel(facts: &Facts, round: Round) -> Step {
    match round.heard {
        // A creation is written down before it is sent, so this one never was.
        Heard::Nothing if facts.status == Status::Unknown && facts.create_unknown_at.is_none() => {
            Step::Close(FailureReason::Cancelled)
        }
        // `Cancelled`: a cancel that was taken and has left the order open.
        Heard::Nothing | Heard::Taken | Heard::CancelRefused | Heard::CancelFailed | Heard::Cancelled => Step::Query,
        // Whether it is still open is not known; a cancel cannot hurt one that is not.
        Heard::Queried | Heard::QueryFailed | Heard::Placed if !round.cancelled => Step::Cancel,
        Heard::NotFound if !round.placed && !round.cancelled => not_found(facts, FailureReason::Cancelled),
        _ => Step::Done,
    }
}

/// The order is open, but how to pay it was lost with an answer. The same creation again tells it and creates nothing.
fn place_for_its_pay_url(facts: &Facts) -> Step {
    if facts.has_pay_url || is_expired(facts) { Step::Done } else { Step::Place }
}

/// R8: "no such order" is final only when the creation can no longer land. Until then the same creation settles it,
/// unless the payer's time is up: then PayBy would not take it, and only waiting helps.
fn not_found(facts: &Facts, reason: FailureReason) -> Step {
    match (facts.status, facts.create_unknown_at) {
        (Status::Unknown, Some(_)) if !is_expired(facts) => Step::Place,
        (Status::Unknown, Some(sent)) if facts.now.since(sent) > LANDING_WINDOW => Step::Close(reason),
        (Status::Unknown, None) => Step::Close(reason),
        // Not yet; or PayBy has lost an order that it had reported, which proves nothing about its payment.
        _ => Step::Done,
    }
}

const fn is_expired(facts: &Facts) -> bool {
    facts.expires_at.0 <= facts.now.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::GatewayStatus;

    const NOW: UnixMillis = UnixMillis(100_000_000);

    /// Never sent, not expired.
    const FRESH: Facts = Facts {
        status: Status::Unknown,
        create_unknown_at: None,
        has_pay_url: false,
        cancel_wanted: false,
        expires_at: UnixMillis(NOW.0 + 1),
        now: NOW,
    };
    const SENT: Facts = Facts { create_unknown_at: Some(UnixMillis(NOW.0 - 1)), ..FRESH };
    const OPEN: Facts = Facts { status: Status::Pending, ..FRESH };
    const PAYABLE: Facts = Facts { has_pay_url: true, ..OPEN };

    const fn expired(facts: Facts) -> Facts {
        Facts { expires_at: NOW, ..facts }
    }

    /// The last creation was sent longer ago than it can take to land.
    const fn long_ago(facts: Facts) -> Facts {
        Facts { create_unknown_at: Some(UnixMillis(NOW.0 - LANDING_WINDOW.0 - 1)), ..facts }
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
                ("not found, time is up, it cannot land", expired(long_ago(SENT)), Heard::NotFound, NO, NO, close),
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
        let mut order = Standing::new(UnixMillis(NOW.0 + 1));
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
        let attempt = order.begin(Step::Place, UnixMillis(NOW.0 + 5));
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
        let pace = Pace::default();
        let mut order = placed(known(GatewayStatus::Created));
        assert_eq!(order.rest_before(Step::Query, &pace, NOW), None);
        order.begin(Step::Query, NOW);
        order.begin(Step::Cancel, NOW);
        let later = UnixMillis(NOW.0 + 1_000);
        assert_eq!(order.rest_before(Step::Query, &pace, later), Some(Millis(1_100)));
        assert_eq!(order.rest_before(Step::Cancel, &pace, later), Some(Millis(2_100)));
        for random in [0, u32::MAX] {
            for age in [0, 60_000, 7_200_000] {
                let pause = order.pause(&pace, NOW, Millis(age), 0, random).0;
                assert!((2_100..=5_900).contains(&pause), "{pause}");
            }
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
            for errand in [Errand::Create, Errand::Refresh, Errand::Cancel] {
                for heard in all {
                    let round = Round { heard, ..Round::new(errand) };
                    assert_eq!(next(&Facts { status, ..given_up(SENT) }, round), Step::Done);
                }
            }
        }
    }
}
