//! Brings refunds and revocations forward at the gateway, until PayBy has decided them.
//!
//! Each is written down before PayBy is called (I9): a refund with the bytes that PayBy will get, under a number of the shop's;
//! a revocation under its order's number. It is taken in hand for one round of calls, by one worker of all instances
//! ([`RefundLease`]). After an unknown outcome PayBy is asked; if it does not have it, the same is sent again under the same
//! number, never under another (R2).
//!
//! | | to send | to ask | PayBy has it |
//! |---|---|---|---|
//! | a refund | `refund/placeOrder` | `refund/getOrder` | if it knows the number |
//! | a revocation of a paid order | `revokeOrder` | `getOrder` | if that says `revoked` |
//!
//! A revocation of an order that can still be paid is a cancel at first (R7): the [`worker`] closes the order, or finds it paid.

use std::sync::Arc;
use std::time::{Duration, Instant};

use payby_checkout::gateway::wire::{self, RefundOrder, code};
use payby_checkout::hop::{Errand, Outcome, Policy};
use payby_checkout::order::Status;
use payby_checkout::order_number::OrderNumber;
use payby_checkout::protocol::{RefundStatus, Refusal};
use payby_checkout::schedule;
use payby_checkout::time::Millis;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::alerts::Kind;
use crate::app::App;
use crate::gateway::RefundOutcome;
use crate::store::{Error, RefundLease, RefundRow, Way};
use crate::{random, worker};

/// How long a request waits for what PayBy says. It is found out after that as well.
const PATIENCE: Duration = Duration::from_secs(25);

/// How often a request looks whether another worker has handed back what it is about.
const PROBE: Millis = Millis(200);

/// How often it is looked for what is due.
const POLL: Millis = Millis::from_secs(1);

/// How soon, if not all that was due could be taken in hand.
const TICK: Millis = Millis(20);

/// How many an instance takes in hand at once, so that others get their share.
const BATCH: usize = 20;

/// How many rounds of calls an instance makes side by side.
const ROUNDS: usize = 64;

/// A call to PayBy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Ask,
    Send,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    /// PayBy has it, and this is where it stands.
    Stands(RefundStatus, Option<Refusal>),
    /// PayBy does not have it.
    Missing,
    /// It was judged, and not made.
    Refused(Refusal),
    /// Nothing certain.
    Unknown,
}

/// Brings one forward, in a task of its own: if whoever waits goes away, it goes on.
pub async fn run(app: &App, way: Way, number: &OrderNumber) {
    let task = app.spawn(go(app.clone(), way, number.clone()));
    tokio::select! {
        _ = tokio::time::timeout(PATIENCE, task) => {}
        () = app.stopped() => {}
    }
}

/// Looks after all that are not decided, together with the other instances, until the proxy is to stop.
pub async fn look_after(app: App) {
    let room = Arc::new(Semaphore::new(ROUNDS));
    loop {
        let is_all = take_due(&app, &room).await.unwrap_or_else(|error| {
            app.metrics.database_failed();
            tracing::error!(%error, "the refunds that are due cannot be read");
            true
        });
        // All hands are full: whatever is due waits for one that is free.
        if room.acquire().await.is_err() || !app.sleep(if is_all { POLL } else { TICK }).await {
            return;
        }
    }
}

/// Takes what is due in hand, and answers whether that was all.
async fn take_due(app: &App, room: &Arc<Semaphore>) -> Result<bool, Error> {
    let places: Vec<_> = (0..BATCH).map_while(|_| Arc::clone(room).try_acquire_owned().ok()).collect();
    let now = app.now().moment();
    let leases = app.store.claim_due_refunds(now, now.plus(app.lease), places.len()).await?;
    let is_all = leases.len() < places.len();
    for (lease, place) in leases.into_iter().zip(places) {
        drop(app.spawn(look_at(app.clone(), lease, place)));
    }
    Ok(is_all)
}

async fn look_at(app: App, lease: RefundLease, _place: OwnedSemaphorePermit) {
    hold(&app, &lease).await;
}

/// Makes a round of calls once it can be had, unless another worker has just done so.
async fn go(app: App, way: Way, number: OrderNumber) {
    if way == Way::Revocation {
        worker::run(&app, &number, Errand::Cancel).await;
    }
    loop {
        match claim(&app, way, &number).await {
            Ok(Some(lease)) => return hold(&app, &lease).await,
            Ok(None) => {}
            Err(error) => {
                tracing::error!(refund = %number, %error, "the refund cannot be taken in hand");
                return;
            }
        }
        let refund = app.store.refund(way, &number).await;
        let is_held = refund.is_ok_and(|refund| refund.is_some_and(|refund| refund.is_held(app.now().moment())));
        if !is_held || !app.sleep(PROBE).await {
            return;
        }
    }
}

async fn claim(app: &App, way: Way, number: &OrderNumber) -> Result<Option<RefundLease>, Error> {
    let now = app.now().moment();
    app.store.claim_refund(way, number, now, now.plus(app.lease)).await
}

async fn hold(app: &App, lease: &RefundLease) {
    if let Err(error) = round(app, lease).await {
        // Its lease ends by itself.
        app.metrics.database_failed();
        tracing::error!(refund = %lease.number(), %error, "the database failed in the middle of a refund");
    }
}

async fn round(app: &App, lease: &RefundLease) -> Result<(), Error> {
    let Some(refund) = app.store.refund(lease.way(), lease.number()).await? else { return Ok(()) };
    let mut heard = match refund.sent_at {
        _ if is_closed(app, &refund).await? => Heard::Stands(RefundStatus::Refunded, None),
        None => Heard::Missing,
        Some(_) => call(app, lease, &refund, Verb::Ask).await?,
    };
    if heard == Heard::Missing && refund.status == RefundStatus::Unknown {
        // What was sent may still be on its way; the same again gives nothing back twice.
        heard = call(app, lease, &refund, Verb::Send).await?;
    }
    finish(app, lease, &refund, heard).await
}

/// Whether it is a revocation of an order that has failed: there is nothing to give back, or it is given back.
async fn is_closed(app: &App, refund: &RefundRow) -> Result<bool, Error> {
    if refund.way == Way::Refund {
        return Ok(false);
    }
    let order = app.store.order(&refund.order_number).await?;
    Ok(order.is_some_and(|order| order.status() == Status::Failed))
}

/// Writes down that the call is made, and makes it, unless somebody else has the refund.
async fn call(app: &App, lease: &RefundLease, refund: &RefundRow, verb: Verb) -> Result<Heard, Error> {
    let (woke, now) = (Instant::now(), app.now());
    let until = now.moment().plus(app.lease);
    let begin = |refund: &mut RefundRow| {
        if verb == Verb::Send {
            refund.sent_at = Some(now.moment());
        }
        // Whoever follows a crash keeps the distance as well.
        refund.due_at = now.moment().plus(spacing(&app.policy));
    };
    let is_ours = app.store.change_refund_held(lease, until, begin).await?.is_some();
    // If this process was asleep, the lease may end before the call would.
    if !is_ours || woke.elapsed() >= Duration::from_millis(worker::RESERVE.0) {
        return Ok(Heard::Unknown);
    }
    let (number, amount) = (&refund.number, refund.amount);
    match (refund.way, verb) {
        (Way::Refund, Verb::Ask) => Ok(of_refund(app.gateway.query_refund(refund, now).await, verb)),
        (Way::Refund, Verb::Send) => Ok(of_refund(app.gateway.place_refund(refund, now).await, verb)),
        (Way::Revocation, Verb::Ask) => {
            of_revocation(app, number, app.gateway.query(number, amount, now).await, verb).await
        }
        (Way::Revocation, Verb::Send) => {
            of_revocation(app, number, app.gateway.revoke(number, amount, now).await, verb).await
        }
    }
}

/// What an answer says of a refund. A question that is refused says nothing of what it was about.
fn of_refund(outcome: RefundOutcome, verb: Verb) -> Heard {
    match outcome {
        RefundOutcome::Known(report) => {
            let (status, refusal) = told(&report);
            Heard::Stands(status, refusal)
        }
        RefundOutcome::Missing => Heard::Missing,
        RefundOutcome::Refused(refusal) if verb == Verb::Send => Heard::Refused(refusal),
        RefundOutcome::Refused(_) | RefundOutcome::Unknown => Heard::Unknown,
    }
}

/// What an answer says of a revocation, after what it says of the order is written down.
async fn of_revocation(app: &App, number: &OrderNumber, outcome: Outcome, verb: Verb) -> Result<Heard, Error> {
    Ok(match outcome {
        Outcome::Known { state, .. } => {
            let changed = app.change(number, |order| order.at_gateway.learn(&state, None)).await?;
            let is_closed = changed.is_some_and(|(order, ())| order.status() == Status::Failed);
            if is_closed { Heard::Stands(RefundStatus::Refunded, None) } else { Heard::Missing }
        }
        Outcome::Refused { code, message } if verb == Verb::Send && is_judgement(&code) => {
            Heard::Refused(Refusal { code, message })
        }
        Outcome::Missing => {
            app.alerts.raise(Kind::OrderLost, Some(number), "PayBy does not know an order that it had reported");
            Heard::Unknown
        }
        Outcome::Refused { .. } | Outcome::Taken | Outcome::Unknown => Heard::Unknown,
    })
}

/// Whether a revocation is refused for good. The call itself can be at fault, which a person mends, and 62039 is a failure
/// inside PayBy.
fn is_judgement(code: &str) -> bool {
    ![code::INVALID_PARAMETER, code::UNAUTHORIZED, code::REVOKE_FAILURE].contains(&code)
}

/// Writes down what came of the round, and hands the refund back.
async fn finish(app: &App, lease: &RefundLease, was: &RefundRow, heard: Heard) -> Result<(), Error> {
    let now = app.now().moment();
    // Until then an earlier attempt whose outcome is unknown can still be under way.
    let window = app.policy.landing_window.unwrap_or_default();
    let is_last_word = was.sent_at.is_none_or(|sent| now.since(sent) > window);
    let mut is_alert = false;
    let changed = app.store.change_refund_held(lease, Millis(0), |refund| {
        let is_certain = match heard.clone() {
            Heard::Stands(status, refusal) => {
                refund.learn(status, refusal);
                true
            }
            Heard::Refused(refusal) => {
                // This attempt has done nothing, so what was unknown before it is what is unknown now.
                refund.sent_at = was.sent_at;
                if is_last_word {
                    refund.learn(RefundStatus::Failed, Some(refusal));
                }
                is_last_word
            }
            Heard::Missing | Heard::Unknown => false,
        };
        if is_certain {
            refund.trouble.ends();
        } else {
            is_alert = refund.trouble.note(&app.policy, now);
        }
        refund.due_at = now.plus(pause(&app.policy, now.since(refund.created_at), refund.trouble.failures()));
    });
    let changed = match (changed.await?, heard) {
        (None, Heard::Stands(status, refusal)) => {
            // What PayBy has said is true, whoever has the refund now.
            app.store.change_refund(lease.way(), lease.number(), |refund| refund.learn(status, refusal)).await?
        }
        (changed, _) => changed,
    };
    let Some((before, after)) = changed else {
        tracing::warn!(refund = %lease.number(), "the refund was taken over by another worker");
        return Ok(());
    };
    tell(app, &before, &after);
    if is_alert {
        let message = format!("nothing certain can be learnt of the {} {}", after.way.as_str(), after.number);
        app.alerts.raise(Kind::GatewayFails, Some(&after.number), message);
    }
    Ok(())
}

/// R9: the shortest time between two rounds.
fn spacing(policy: &Policy) -> Millis {
    policy.query_min.max(policy.cancel_min)
}

/// How long to wait after a round: by the law of its age, and more slowly the more rounds have failed.
fn pause(policy: &Policy, age: Millis, failures: u32) -> Millis {
    let back_off = if failures == 0 { Millis(0) } else { schedule::back_off(failures, None, random::number()) };
    schedule::pause(age, random::number()).max(back_off).max(spacing(policy))
}

/// Takes in what PayBy has said of it.
pub fn learn(refund: &mut RefundRow, report: &RefundOrder) {
    let (status, refusal) = told(report);
    refund.learn(status, refusal);
}

fn told(report: &RefundOrder) -> (RefundStatus, Option<Refusal>) {
    let status = match report.status {
        wire::RefundStatus::Created => RefundStatus::Pending,
        wire::RefundStatus::RefundedSettled => RefundStatus::Deducted,
        wire::RefundStatus::Success => RefundStatus::Refunded,
        wire::RefundStatus::Failure => RefundStatus::Failed,
    };
    (status, report.fail_code.clone().map(|code| Refusal { code, message: report.fail_des.clone() }))
}

/// Says what has changed, and alerts if a person has to look.
pub fn tell(app: &App, before: &RefundRow, after: &RefundRow) {
    if before.status == after.status {
        return;
    }
    let (way, was, is) = (after.way.as_str(), before.status, after.status);
    tracing::info!(way, refund = %after.number, number = %after.order_number, ?was, ?is, "the refund has changed");
    if is == RefundStatus::Conflict {
        let message = format!("PayBy has reported the {way} {} both as made and as failed", after.number);
        app.alerts.raise(Kind::Conflict, Some(&after.number), message);
    }
}
