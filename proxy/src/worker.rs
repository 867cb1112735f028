//! Brings orders forward at the gateway: does what the core's [`hop`](payby_checkout::hop) says, and writes down what came of it.
//!
//! I9: what is about to be sent is written down first, so that a crash leaves "unknown" and never "not sent". An order is
//! taken in hand for one round of calls, by one worker of all instances ([`Lease`]); then it is handed back with the time at
//! which it is due again. R9's spacing counts across rounds, instances and restarts, since the times are stored; for that
//! the instances' clocks have to agree within a fifth of a second.
//!
//! | who | takes in hand | when |
//! |---|---|---|
//! | [`create`], for a request | the new order that it has just written down | at once |
//! | [`run`], for a request | its order | at once, or when it is handed back |
//! | [`look_after`], one in each instance | whatever is due | within a second |
//!
//! Each call costs two writes: one with what is decided and about to be sent, one with what came of it; the last of a
//! round hands the order back as well.

use std::sync::Arc;
use std::time::Duration;

use payby_checkout::hop::{Attempt, Errand, Outcome, Round, Standing, Step};
use payby_checkout::order::Status;
use payby_checkout::order_number::OrderNumber;
use payby_checkout::schedule;
use payby_checkout::time::Millis;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::alerts::Kind;
use crate::app::App;
use crate::random;
use crate::store::{Error, Found, Lease, NewOrder, Order};

/// By how much a lease outlasts the longest call, which begins right after the lease was renewed.
pub const RESERVE: Millis = Millis::from_secs(5);

/// How long an order stays closely watched after the last question about it, so that a page that polls is served as well as
/// one that waits.
const LINGER: Millis = Millis::from_secs(20);

/// By how much a call may arrive later than it is counted from. The policy's spacing keeps three tenths of a second from R9's
/// bounds; the rest is for clocks that differ.
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

/// How a round of calls went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Went {
    /// There was nothing to call about.
    Nowhere,
    /// Every call has brought the order forward.
    Well,
    /// Some call has not.
    Badly,
}

/// Writes a new order down and sends its creation, as [`run`] does an errand; or answers what was found in its place.
///
/// # Errors
/// The database failed before the order was written down, as far as is known.
pub async fn create(app: &App, new: NewOrder) -> Result<Result<Option<Order>, Found>, Error> {
    let here = app.clone();
    let creation = async move {
        let until = new.created_at.moment().plus(here.lease);
        Ok(match here.store.begin_order(&new, until).await? {
            Ok((lease, attempt)) => {
                Ok(Hand::new(&here, lease, Errand::Create).work(Some((Step::Place, attempt))).await)
            }
            Err(found) => Err(found),
        })
    };
    wait(app, creation).await.unwrap_or(Ok(Ok(None)))
}

/// Runs an errand in a task of its own and waits for it: if whoever waits goes away, the errand goes on. Comes back
/// early when the proxy is to stop. Answers how the order was left, if that is known here.
pub async fn run(app: &App, number: &OrderNumber, errand: Errand) -> Option<Order> {
    wait(app, go(app.clone(), number.clone(), errand)).await.flatten()
}

async fn wait<T: Send + 'static>(app: &App, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    let task = app.spawn(work);
    tokio::select! {
        done = tokio::time::timeout(PATIENCE, task) => done.ok()?.ok(),
        () = app.stopped() => None,
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
    let noted = app.change_known(order, |order| {
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
        tokio::select! {
            biased;
            () = app.stopped() => return,
            _ = room.acquire() => {}
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
    Hand::new(&app, lease, Errand::Refresh).work(None).await;
}

/// Runs the errand once the order can be had, unless this instance ends the same errand meanwhile: that result serves.
async fn go(app: App, number: OrderNumber, errand: Errand) -> Option<Order> {
    let slot = app.waiting.at(&number);
    let seen = slot.ended(errand);
    let mut rounds = slot.rounds();
    while slot.ended(errand) == seen {
        let now = app.now().moment();
        match app.store.claim(&number, now, now.plus(app.lease)).await {
            Ok(Some(lease)) => return Hand::new(&app, lease, errand).work(None).await,
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%number, %error, "the order cannot be taken in hand");
                return None;
            }
        }
        let is_live =
            app.store.order(&number).await.is_ok_and(|order| order.is_some_and(|it| !it.status().is_terminal()));
        tokio::select! {
            goes_on = app.sleep(PROBE), if is_live => if !goes_on { return None },
            _ = rounds.changed(), if is_live => {}
            else => return None,
        }
    }
    None
}

/// An order in hand, for one round of calls.
struct Hand {
    app: App,
    lease: Lease,
    round: Round,
    went: Went,
}

/// What came of a call.
struct Answer {
    step: Step,
    attempt: Attempt,
    outcome: Outcome,
    /// When it can have arrived.
    at: Millis,
}

/// What comes next for an order in hand, written down already.
enum Next {
    /// Nothing, before this time is over.
    Rest(Millis),
    /// This call.
    Call(Step, Attempt),
    /// The order was handed back. Whether a person has to know how the calls went.
    Over { is_alert: bool },
}

impl Hand {
    fn new(app: &App, lease: Lease, errand: Errand) -> Self {
        Self { app: app.clone(), lease, round: Round::new(errand), went: Went::Nowhere }
    }

    /// Makes the round, beginning with a call that is written down already if there is one, and hands the order back.
    /// Answers how it was left, if that is known.
    async fn work(mut self, begun: Option<(Step, Attempt)>) -> Option<Order> {
        let number = self.lease.number().clone();
        let is_handed_back = match self.calls(begun).await {
            Ok(is_ours) => {
                if !is_ours {
                    tracing::warn!(%number, "the order was taken over by another worker");
                }
                is_ours
            }
            Err(error) => {
                self.app.metrics.database_failed();
                tracing::error!(%number, %error, "the database failed in the middle of an errand");
                self.went = Went::Badly;
                // If that fails as well, the lease ends by itself.
                self.hand_back().await.is_ok_and(|over| over.is_some())
            }
        };
        self.app.waiting.at(&number).end(self.round.errand);
        is_handed_back.then(|| self.lease.into_order())
    }

    /// Answers false if somebody else has taken the order in hand.
    async fn calls(&mut self, begun: Option<(Step, Attempt)>) -> Result<bool, Error> {
        let mut next = match begun {
            Some((step, attempt)) => Some(Next::Call(step, attempt)),
            None => self.decide(None, false).await?,
        };
        while let Some(what) = next {
            next = match what {
                // What is true may change meanwhile, so the decision is made anew after the rest.
                Next::Rest(rest) if self.app.sleep(rest).await => self.decide(None, true).await?,
                Next::Rest(_) => self.hand_back().await?,
                Next::Call(step, attempt) => {
                    let answer = self.call(step, attempt).await;
                    self.decide(Some(answer), false).await?
                }
                Next::Over { .. } => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Makes a call.
    async fn call(&self, step: Step, attempt: Attempt) -> Answer {
        let (app, order, now) = (&self.app, self.lease.order(), self.app.now());
        // If this process was asleep since it was written down, the lease may end before the call would.
        let is_late = now.moment().plus(app.lease) >= order.care.leased_until().plus(RESERVE);
        let outcome = match step {
            _ if is_late => Outcome::Unknown,
            Step::Place => app.gateway.place(&order.number, order.amount, &order.biz_content, now).await,
            Step::Cancel => app.gateway.cancel(&order.number, order.amount, now).await,
            _ => app.gateway.query(&order.number, order.amount, now).await,
        };
        if outcome == Outcome::Missing && order.status() == Status::Pending {
            let message = "PayBy does not know an order that it had reported";
            app.alerts.raise(Kind::OrderLost, Some(&order.number), message);
        }
        let at = now.moment().max(Millis(app.now().moment().0.saturating_sub(SPARE.0)));
        Answer { step, attempt, outcome, at }
    }

    /// Takes in what came of the last call, decides what comes next, and writes both down. `None`: somebody else has the
    /// order.
    async fn decide(&mut self, answer: Option<Answer>, is_rested: bool) -> Result<Option<Next>, Error> {
        let Self { app, lease, round, went } = self;
        let decide = |order: &mut Order| {
            let (mut round, mut went) = (*round, *went);
            if let Some(Answer { step, attempt, outcome, at }) = &answer {
                note_arrival(&mut order.at_gateway, *step, *at);
                let heard = order.at_gateway.finish(*attempt, outcome.clone());
                round.note(*step, heard);
                // A refusal is certain, but no progress: if the order is still live after it, a person should know.
                went = if heard.is_progress() && went != Went::Badly { Went::Well } else { Went::Badly };
            }
            (next(app, order, round, went, is_rested), round, went)
        };
        let Some((next, noted, gone)) = app.change_held(lease, decide).await? else {
            if let Some(Answer { outcome: Outcome::Known { state, pay_url }, .. }) = &answer {
                // What PayBy has said is true, whoever has the order now.
                app.change(lease.number(), |order| order.at_gateway.learn(state, pay_url.clone())).await?;
            }
            return Ok(None);
        };
        (*round, *went) = (noted, gone);
        self.tell(&next);
        Ok(Some(next))
    }

    /// Hands the order back in the middle of a round.
    async fn hand_back(&mut self) -> Result<Option<Next>, Error> {
        let Self { app, lease, round, went } = self;
        let next = app.change_held(lease, |order| hand_back(app, order, round.errand, *went)).await?;
        if let Some(next) = &next {
            self.tell(next);
        }
        Ok(next)
    }

    /// The order was handed back: others may take it when it is due.
    fn tell(&self, next: &Next) {
        let order = self.lease.order();
        if let Next::Over { is_alert } = next
            && !order.status().is_terminal()
        {
            self.app.waiting.is_due(order.care.due_at);
            if *is_alert {
                let message = "nothing certain can be learnt of the order";
                self.app.alerts.raise(Kind::GatewayFails, Some(&order.number), message);
            }
        }
    }
}

/// What comes next for the order, which is left as it has to be written down for it.
fn next(app: &App, order: &mut Order, round: Round, went: Went, is_rested: bool) -> Next {
    let (policy, now) = (&app.policy, app.now().moment());
    order.at_gateway.mind_the_deadline(policy, now);
    let step = order.at_gateway.next(round, policy, now);
    match step {
        Step::Done => hand_back(app, order, round.errand, went),
        Step::Close(reason) => {
            order.at_gateway.close(reason);
            hand_back(app, order, round.errand, went)
        }
        Step::Query | Step::Place | Step::Cancel => {
            let rest = order.at_gateway.rest_before(step, policy, now).filter(|_| !is_rested);
            if let Some(rest) = rest {
                order.care.hold_until(order.care.leased_until().max(now.plus(rest).plus(RESERVE)));
                return Next::Rest(rest);
            }
            order.care.hold_until(now.plus(app.lease));
            Next::Call(step, order.at_gateway.begin(step, now))
        }
    }
}

fn hand_back(app: &App, order: &mut Order, errand: Errand, went: Went) -> Next {
    let now = app.now().moment();
    let is_alert = match went {
        Went::Nowhere => false,
        Went::Well => {
            order.care.trouble.ends();
            false
        }
        Went::Badly => order.care.trouble.note(&app.policy, now),
    };
    if errand != Errand::Refresh {
        order.care.awaited_until = order.care.awaited_until.max(now.plus(LINGER));
    }
    order.care.due_at = due_at(app, order, now);
    order.care.hold_until(Millis(0));
    Next::Over { is_alert }
}

/// When the order is due again.
fn due_at(app: &App, order: &Order, now: Millis) -> Millis {
    let is_awaited = order.care.awaited_until > now;
    let failures = order.care.trouble.failures();
    now.plus(order.at_gateway.pause(&app.policy, now, is_awaited, failures, random::number()))
}

/// R9 holds where the calls arrive: after the intent was written down, and before they are answered.
fn note_arrival(standing: &mut Standing, step: Step, at: Millis) {
    match step {
        Step::Query => standing.queried_at = Some(at),
        Step::Cancel => standing.cancel_sent_at = Some(at),
        Step::Place | Step::Close(_) | Step::Done => {}
    }
}
