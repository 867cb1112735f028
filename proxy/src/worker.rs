//! Brings orders forward at the gateway: does what the core's [`hop`](payby_checkout::hop) says, and writes down what came of it.
//!
//! I9: what is about to be sent is written down first, so that a crash leaves "unknown" and never "not sent". An order is
//! taken in hand for one round of calls, by one worker of all instances ([`Lease`]); then it is handed back with the time at
//! which it is due again. R9's spacing counts across rounds, instances and restarts, since the times are stored; for that
//! the instances' clocks have to agree within a tenth of a second.
//!
//! | who | takes in hand | when |
//! |---|---|---|
//! | [`run`], for a request | its order | at once, or when it is handed back |
//! | [`look_after`], one in each instance | whatever is due | within a second |

use std::sync::Arc;
use std::time::{Duration, Instant};

use payby_checkout::hop::{Errand, Heard, Outcome, Round, Standing, Step};
use payby_checkout::order::Status;
use payby_checkout::order_number::OrderNumber;
use payby_checkout::schedule;
use payby_checkout::time::Millis;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::alerts::Kind;
use crate::app::App;
use crate::random;
use crate::store::{Error, Lease, Order};

/// By how much a lease outlasts the longest call, which begins right after the lease was renewed.
pub const RESERVE: Millis = Millis::from_secs(5);

/// How long an order stays closely watched after the last question about it, so that a page that polls is served as well as
/// one that waits.
const LINGER: Millis = Millis::from_secs(20);

/// By how much a call may arrive later than the policy's spacing counts it: what that keeps from R9's bounds.
const SPARE: Millis = Millis(100);

/// How long a request waits for its errand. The errand goes on after it.
const PATIENCE: Duration = Duration::from_secs(25);

/// How often a request looks whether another instance has handed its order back.
const PROBE: Millis = Millis(200);

/// Orders that this instance cannot know to be due are found this late at most: those that other instances have put off to
/// an earlier time, and those that were in the hands of one that died.
const SLOW_POLL: Millis = Millis::from_secs(1);

/// What becomes due within this time is taken in hand together.
const TICK: Millis = Millis(20);

/// How many orders an instance takes in hand at once, so that others get their share.
const BATCH: usize = 50;

/// How many rounds of calls an instance makes side by side.
const ROUNDS: usize = 512;

/// How a round of calls ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Went {
    /// There was nothing to call about.
    Nowhere,
    /// Every call has brought the order forward.
    Well,
    /// Some call has not.
    Badly,
    /// Somebody else has taken the order in hand.
    Away,
}

/// Runs an errand in a task of its own and waits for it: if whoever waits goes away, the errand goes on. Comes back
/// early when the proxy is to stop.
pub async fn run(app: &App, number: &OrderNumber, errand: Errand) {
    let task = app.spawn(go(app.clone(), number.clone(), errand));
    tokio::select! {
        _ = tokio::time::timeout(PATIENCE, task) => {}
        () = app.stopped() => {}
    }
}

/// Somebody has asked about the order and waits so long for news: it is watched the more closely for it.
pub async fn asked(app: &App, order: &Order, wait: Duration) {
    let now = app.now().moment();
    let until = now.plus(Millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)));
    // Not every question is written down.
    if order.status().is_terminal() || order.care.awaited_until >= until.plus(Millis(LINGER.0 / 2)) {
        return;
    }
    let noted = app.change(&order.number, |order| {
        order.care.awaited_until = order.care.awaited_until.max(until.plus(LINGER));
        order.care.due_at = order.care.due_at.min(due_at(app, order, now));
        order.care.due_at
    });
    match noted.await {
        Ok(Some((_, due_at))) => app.waiting.is_due(due_at),
        Ok(None) => {}
        // The order is looked after as it was before.
        Err(error) => tracing::error!(number = %order.number, %error, "a question was not written down"),
    }
}

/// Looks after all orders that are not decided, together with the other instances, until the proxy is to stop.
pub async fn look_after(app: App) {
    let room = Arc::new(Semaphore::new(ROUNDS));
    let mut plan = app.waiting.wake_at().subscribe();
    let mut woken_at = Millis(0);
    let mut failures = 0;
    loop {
        // Whoever finds an order due from here on says so again.
        app.waiting.wake_at().send_replace(Millis(u64::MAX));
        // A sleep can end a little before the clock says so.
        let now = app.now().moment().max(woken_at);
        match take_due(&app, &room, now).await {
            Ok(next) => {
                failures = 0;
                app.waiting.is_due(next);
            }
            Err(error) => {
                failures += 1;
                app.metrics.database_failed();
                tracing::error!(%error, "the orders that are due cannot be read");
                app.waiting.is_due(now.plus(schedule::back_off(failures, None, random::number())));
            }
        }
        let began = app.now().moment();
        loop {
            woken_at = (*plan.borrow_and_update()).max(began.plus(TICK));
            tokio::select! {
                has_slept = app.sleep(woken_at.since(app.now().moment())) => if has_slept { break } else { return },
                _ = plan.changed() => {}
            }
        }
        // All hands are full: whatever is due waits for one that is free.
        if room.acquire().await.is_err() {
            return;
        }
    }
}

/// Takes what is due in hand, and answers when to look again.
async fn take_due(app: &App, room: &Arc<Semaphore>, now: Millis) -> Result<Millis, Error> {
    let places: Vec<_> = (0..BATCH).map_while(|_| Arc::clone(room).try_acquire_owned().ok()).collect();
    let leases = app.store.claim_due(now, now.plus(app.lease), places.len()).await?;
    let is_all = leases.len() < places.len();
    for (lease, place) in leases.into_iter().zip(places) {
        drop(app.spawn(look_at(app.clone(), lease, place)));
    }
    let next = if is_all { app.store.next_due(now).await?.unwrap_or(Millis(u64::MAX)) } else { now };
    Ok(next.min(now.plus(SLOW_POLL)))
}

async fn look_at(app: App, lease: Lease, _place: OwnedSemaphorePermit) {
    hold(&app, lease, Errand::Refresh).await;
}

/// Runs the errand once the order can be had, unless this instance ends the same errand meanwhile: that result serves.
async fn go(app: App, number: OrderNumber, errand: Errand) {
    let slot = app.waiting.at(&number);
    let seen = slot.ended(errand);
    let mut rounds = slot.rounds();
    while slot.ended(errand) == seen {
        match claim(&app, &number).await {
            Ok(Some(lease)) => return hold(&app, lease, errand).await,
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%number, %error, "the order cannot be taken in hand");
                return;
            }
        }
        let is_live =
            app.store.order(&number).await.is_ok_and(|order| order.is_some_and(|it| !it.status().is_terminal()));
        tokio::select! {
            goes_on = app.sleep(PROBE), if is_live => if !goes_on { return },
            _ = rounds.changed(), if is_live => {}
            else => return,
        }
    }
}

async fn claim(app: &App, number: &OrderNumber) -> Result<Option<Lease>, Error> {
    let now = app.now().moment();
    app.store.claim(number, now, now.plus(app.lease)).await
}

/// Makes a round of calls about an order in hand, and hands it back.
async fn hold(app: &App, lease: Lease, errand: Errand) {
    let number = lease.number().clone();
    let went = round(app, &lease, errand).await.unwrap_or_else(|error| {
        app.metrics.database_failed();
        tracing::error!(%number, %error, "the database failed in the middle of an errand");
        Went::Badly
    });
    if went == Went::Away {
        tracing::warn!(%number, "the order was taken over by another worker");
    } else if let Err(error) = hand_back(app, &lease, errand, went).await {
        // Its lease ends by itself.
        tracing::error!(%number, %error, "the order cannot be handed back");
    }
    app.waiting.at(&number).end(errand);
}

async fn hand_back(app: &App, lease: &Lease, errand: Errand, went: Went) -> Result<(), Error> {
    let now = app.now().moment();
    let mut is_alert = false;
    let changed = app.store.change_held(lease, Millis(0), |order| {
        match went {
            Went::Well => order.care.trouble.ends(),
            Went::Badly => is_alert = order.care.trouble.note(&app.policy, now),
            Went::Nowhere | Went::Away => {}
        }
        if errand != Errand::Refresh {
            order.care.awaited_until = order.care.awaited_until.max(now.plus(LINGER));
        }
        order.care.due_at = due_at(app, order, now);
    });
    let Some(changed) = changed.await? else { return Ok(()) };
    let order = changed.after;
    if !order.status().is_terminal() {
        app.waiting.is_due(order.care.due_at);
        if is_alert {
            app.alerts.raise(Kind::GatewayFails, Some(&order.number), "nothing certain can be learnt of the order");
        }
    }
    Ok(())
}

/// When the order is due again.
fn due_at(app: &App, order: &Order, now: Millis) -> Millis {
    let is_awaited = order.care.awaited_until > now;
    let failures = order.care.trouble.failures();
    now.plus(order.at_gateway.pause(&app.policy, now, is_awaited, failures, random::number()))
}

async fn round(app: &App, lease: &Lease, errand: Errand) -> Result<Went, Error> {
    let number = lease.number();
    let mut round = Round::new(errand);
    let mut went = Went::Nowhere;
    let mut is_rested = false;
    while let Some(order) = app.store.order(number).await? {
        let now = app.now().moment();
        if order.at_gateway.deadline(&app.policy).is_some_and(|deadline| deadline <= now) {
            let minded = app.change_held(lease, |order| order.at_gateway.mind_the_deadline(&app.policy, now)).await?;
            if minded.is_none() {
                return Ok(Went::Away);
            }
            continue;
        }
        let step = order.at_gateway.next(round, &app.policy, now);
        // What is true may change meanwhile, so the decision is made anew after the rest.
        if let Some(rest) = order.at_gateway.rest_before(step, &app.policy, now).filter(|_| !is_rested) {
            if !app.sleep(rest).await {
                break;
            }
            is_rested = true;
            continue;
        }
        is_rested = false;
        match step {
            Step::Done => break,
            Step::Close(reason) => {
                let closed = app.change_held(lease, |order| order.at_gateway.close(reason)).await?;
                return Ok(if closed.is_some() { went } else { Went::Away });
            }
            Step::Query | Step::Place | Step::Cancel => {
                let Some(heard) = call(app, lease, &order, step).await? else { return Ok(Went::Away) };
                round.note(step, heard);
                // A refusal is certain, but no progress: if the order is still live after it, a person should know.
                went = if heard.is_progress() && went != Went::Badly { Went::Well } else { Went::Badly };
            }
        }
    }
    Ok(went)
}

/// Writes down that the step is taken, takes it, and writes down what came of it. `None`: somebody else has the order.
async fn call(app: &App, lease: &Lease, order: &Order, step: Step) -> Result<Option<Heard>, Error> {
    let (number, woke) = (&order.number, Instant::now());
    let begin = |order: &mut Order| order.at_gateway.begin(step, app.now().moment());
    let Some((_, attempt)) = app.change_held(lease, begin).await? else {
        return Ok(None);
    };
    let now = app.now();
    let outcome = match step {
        // This process was asleep: the lease may end before the call would.
        _ if woke.elapsed() >= Duration::from_millis(RESERVE.0) => Outcome::Unknown,
        Step::Place => app.gateway.place(number, order.amount, &order.biz_content, now).await,
        Step::Cancel => app.gateway.cancel(number, order.amount, now).await,
        _ => app.gateway.query(number, order.amount, now).await,
    };
    if outcome == Outcome::Missing && order.status() == Status::Pending {
        app.alerts.raise(Kind::OrderLost, Some(number), "PayBy does not know an order that it had reported");
    }
    let told =
        if let Outcome::Known { state, pay_url } = &outcome { Some((state.clone(), pay_url.clone())) } else { None };
    let arrived = now.moment().max(Millis(app.now().moment().0.saturating_sub(SPARE.0)));
    let finish = |order: &mut Order| {
        note_arrival(&mut order.at_gateway, step, arrived);
        order.at_gateway.finish(attempt, outcome)
    };
    let finished = app.change_held(lease, finish).await?;
    if let (None, Some((state, pay_url))) = (&finished, told) {
        // What PayBy has said is true, whoever has the order now.
        app.change(number, |order| order.at_gateway.learn(&state, pay_url)).await?;
    }
    Ok(finished.map(|(_, heard)| heard))
}

/// R9 holds where the calls arrive: after the intent was written down, and before they are answered.
fn note_arrival(standing: &mut Standing, step: Step, at: Millis) {
    match step {
        Step::Query => standing.queried_at = Some(at),
        Step::Cancel => standing.cancel_sent_at = Some(at),
        Step::Place | Step::Close(_) | Step::Done => {}
    }
}
