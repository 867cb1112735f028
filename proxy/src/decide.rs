//! What to send to the gateway next for one order: pure, no I/O, no clock.
//!
//! [`next`] is asked again after every answer until it says [`Step::Done`]. What it goes by is what is stored
//! ([`Facts`], read again each time) and what this round of calls has heard so far ([`Round`]). It never waits and never
//! repeats itself: spacing (R9) and further rounds are the worker's.

use payby_checkout::order::{FailureReason, Status};
use payby_checkout::time::{Millis, UnixMillis};

/// R8: how long after its `requestTime` a creation can still take effect: PayBy's 15 minutes, and 5 for clock skew.
pub const LANDING_WINDOW: Millis = Millis::from_secs(20 * 60);

/// What is stored of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Where it stands.
    pub status: Status,
    /// When the newest creation whose outcome is unknown was sent.
    pub create_unknown_at: Option<UnixMillis>,
    /// Whether the pay URL is known. Only `placeOrder` gives it.
    pub has_pay_url: bool,
    /// Whether the order was given up.
    pub cancel_wanted: bool,
    /// When it can no longer be paid.
    pub expires_at: UnixMillis,
    /// Now.
    pub now: UnixMillis,
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

/// What the last call of the round brought. What it told of the order is in [`Facts`] by then.
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

/// What to do next. R5: nothing is ever sent for a terminal order.
///
/// An order that was given up is only ever cancelled, whatever the errand: what was given up is not created again
/// for its own sake, only to be cancelled (R8).
#[must_use]
pub fn next(facts: &Facts, round: Round) -> Step {
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
            _ => place_for_its_pay_url(facts),
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
                ("open, pay URL unknown", OPEN, Heard::Nothing, NO, NO, Step::Place),
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
