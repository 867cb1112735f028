//! Brings one order forward at the gateway: does what [`crate::decide`] says, and writes down what came of it.
//!
//! I9: what is about to be sent is written down first, so that a crash leaves "unknown" and never "not sent". One worker
//! at a time calls about one order, and R9's spacing counts across restarts, since the times are stored.

use std::time::{Duration, Instant};

use payby_checkout::gateway::wire::{AcquireBody, code};
use payby_checkout::order::{OrderState, Status};
use payby_checkout::order_number::OrderNumber;
use payby_checkout::schedule;
use payby_checkout::time::{Millis, UnixMillis};

use crate::app::App;
use crate::decide::{self, Errand, Heard, Round, Step};
use crate::gateway::Outcome;
use crate::random;
use crate::store::{self, Order};
use crate::waiting::Lease;

/// How many failures in a row make an alert (R9).
const ALERT_AFTER: u32 = 3;

/// How long failures may go on without an alert (R9).
const ALERT_AFTER_TIME: Duration = Duration::from_secs(10);

/// Runs an errand in a task of its own and waits for it: if whoever waits goes away, the errand goes on. Comes back
/// early when the proxy is to stop.
pub async fn run(app: &App, number: &OrderNumber, errand: Errand) {
    let task = app.spawn(go(app.clone(), number.clone(), errand));
    tokio::select! {
        _ = task => {}
        () = app.stopped() => {}
    }
}

/// Makes sure that the order is watched as long as somebody waits or has just asked.
pub fn watch(app: &App, order: &Order) {
    if order.status().is_terminal() {
        return;
    }
    let slot = app.waiting.lease(&order.number);
    slot.ask();
    if slot.begin_watching() {
        drop(app.spawn(keep_watch(app.clone(), order.number.clone(), slot)));
    }
}

async fn keep_watch(app: App, number: OrderNumber, slot: Lease) {
    let mut trouble = Trouble::default();
    loop {
        let order = match app.store.order(&number).await {
            Ok(Some(order)) if !order.status().is_terminal() => order,
            Ok(_) => break,
            Err(error) => {
                tracing::error!(%number, %error, "the order is no longer watched: the database failed");
                break;
            }
        };
        // A given-up order is brought to its end even if nobody waits for it.
        if !slot.go_on_watching(order.cancel_wanted) {
            return;
        }
        let errand = if order.cancel_wanted { Errand::Cancel } else { Errand::Refresh };
        if !app.sleep(pause(&app, &order, trouble.failures)).await {
            break;
        }
        if trouble.is_alarming(go(app.clone(), number.clone(), errand).await) {
            tracing::error!(alert = "gateway_fails", %number, "nothing certain can be learnt of the order");
        }
    }
    slot.end_watching();
}

/// Rounds that failed in a row.
#[derive(Default)]
struct Trouble {
    failures: u32,
    since: Option<Instant>,
    is_told: bool,
}

impl Trouble {
    /// Counts a round. Answers whether a person is to be alerted: once, until a round goes well again (R9).
    fn is_alarming(&mut self, went_well: bool) -> bool {
        if went_well {
            *self = Self::default();
            return false;
        }
        self.failures += 1;
        let since = *self.since.get_or_insert_with(Instant::now);
        let is_bad = self.failures >= ALERT_AFTER || since.elapsed() >= ALERT_AFTER_TIME;
        is_bad && !std::mem::replace(&mut self.is_told, true)
    }
}

/// How long to wait before the next round about this order: by the law, within R9's window, or by back-off once a
/// person has been alerted.
fn pause(app: &App, order: &Order, failures: u32) -> Millis {
    let now = app.now();
    let since = |at: Option<UnixMillis>| now.since(at.unwrap_or(order.created_at));
    let pause = if failures > ALERT_AFTER {
        schedule::back_off(failures - ALERT_AFTER, None, random::number())
    } else {
        schedule::pause(now.since(order.created_at), random::number())
    };
    let (elapsed, least, most) = match (order.cancel_wanted, order.cancel_sent_at) {
        (true, Some(sent)) => (since(Some(sent)), app.pace.cancel_min, app.pace.cancel_max),
        _ => (since(order.queried_at), app.pace.query_min, app.pace.query_max),
    };
    let most = if failures > ALERT_AFTER { Millis(u64::MAX) } else { most };
    Millis(pause.0.clamp(least.0, most.0).saturating_sub(elapsed.0))
}

/// One round of calls. Answers whether every one of them has brought the order forward.
async fn go(app: App, number: OrderNumber, errand: Errand) -> bool {
    let slot = app.waiting.lease(&number);
    let Some(turn) = slot.turn(errand).await else { return true };
    match round(&app, &number, errand).await {
        Ok(went_well) => {
            turn.done();
            went_well
        }
        Err(error) => {
            tracing::error!(%number, %error, "the database failed in the middle of an errand");
            false
        }
    }
}

async fn round(app: &App, number: &OrderNumber, errand: Errand) -> Result<bool, store::Error> {
    let mut round = Round::new(errand);
    let mut went_well = true;
    let mut is_rested = false;
    while let Some(order) = app.store.order(number).await? {
        let step = decide::next(&order.facts(app.now()), round);
        // What is true may change meanwhile, so the decision is made anew after the rest.
        if let Some(rest) = rest_before(app, &order, step).filter(|_| !is_rested) {
            if !app.sleep(rest).await {
                break;
            }
            is_rested = true;
            continue;
        }
        is_rested = false;
        round.heard = match step {
            Step::Done => break,
            Step::Close(reason) => {
                app.change(number, |order| {
                    if order.status() == Status::Unknown {
                        order.learn(&OrderState::given_up(reason), None);
                    }
                })
                .await?;
                break;
            }
            Step::Query => query(app, &order).await?,
            Step::Place => {
                round.placed = true;
                place(app, &order).await?
            }
            Step::Cancel => {
                round.cancelled = true;
                cancel(app, &order).await?
            }
        };
        // A refusal is certain, but no progress: if the order is still live after it, a person should know.
        went_well &=
            matches!(round.heard, Heard::Queried | Heard::NotFound | Heard::Placed | Heard::Taken | Heard::Cancelled);
    }
    Ok(went_well)
}

/// R9: how long the call has to wait, because the last one of its kind about this order was just made.
fn rest_before(app: &App, order: &Order, step: Step) -> Option<Millis> {
    let (last, gap) = match step {
        Step::Query => (order.queried_at?, app.pace.query_min),
        Step::Cancel => (order.cancel_sent_at?, app.pace.cancel_min),
        Step::Place | Step::Close(_) | Step::Done => return None,
    };
    let elapsed = app.now().since(last);
    (elapsed < gap).then(|| Millis(gap.0 - elapsed.0))
}

async fn query(app: &App, order: &Order) -> Result<Heard, store::Error> {
    let now = app.now();
    app.change(&order.number, |order| order.queried_at = Some(now)).await?;
    Ok(match app.gateway.query(&order.number, order.amount, now).await {
        Outcome::Known(body) => {
            learn(app, &order.number, *body).await?;
            Heard::Queried
        }
        Outcome::Refused { code, .. } if code == code::MERCHANT_ORDER_NO_NOT_EXIST => {
            if order.status() == Status::Pending {
                tracing::error!(alert = "order_lost", number = %order.number, "PayBy does not know an order that it had reported");
            }
            Heard::NotFound
        }
        Outcome::Refused { .. } | Outcome::Unknown(_) => Heard::QueryFailed,
    })
}

async fn place(app: &App, order: &Order) -> Result<Heard, store::Error> {
    let now = app.now();
    let unknown_before = order.create_unknown_at;
    app.change(&order.number, |order| order.create_unknown_at = Some(now)).await?;
    let outcome = app.gateway.place(&order.number, order.amount, &order.biz_content, now).await;
    let (code, msg) = match outcome {
        Outcome::Known(body) => {
            learn(app, &order.number, *body).await?;
            return Ok(Heard::Placed);
        }
        Outcome::Unknown(_) => return Ok(Heard::PlaceFailed),
        Outcome::Refused { code, msg } => (code, msg),
    };
    if matches!(
        code.as_str(),
        code::ORDER_PAID | code::ORDER_FAILURE | code::ORDER_SETTLED | code::MERCHANT_ORDER_NO_EXIST
    ) {
        return Ok(Heard::Taken);
    }
    app.change(&order.number, |order| {
        // This attempt has done nothing, so what was unknown before it is what is unknown now.
        order.create_unknown_at = unknown_before;
        if order.status() == Status::Unknown && unknown_before.is_none() {
            order.learn(&OrderState::refused(code, msg), None);
        }
    })
    .await?;
    Ok(Heard::PlaceRefused)
}

async fn cancel(app: &App, order: &Order) -> Result<Heard, store::Error> {
    let now = app.now();
    let unknown_before = order.cancel_unknown;
    app.change(&order.number, |order| {
        order.cancel_unknown = true;
        order.cancel_sent_at = Some(now);
    })
    .await?;
    Ok(match app.gateway.cancel(&order.number, order.amount, now).await {
        Outcome::Known(body) => {
            learn(app, &order.number, *body).await?;
            Heard::Cancelled
        }
        Outcome::Refused { .. } => {
            app.change(&order.number, |order| order.cancel_unknown = unknown_before).await?;
            Heard::CancelRefused
        }
        Outcome::Unknown(_) => Heard::CancelFailed,
    })
}

async fn learn(app: &App, number: &OrderNumber, body: AcquireBody) -> Result<(), store::Error> {
    let state = body.acquire_order.state(app.now());
    let pay_url = body.inter_action_params.map(|params| params.token_url);
    app.change(number, |order| order.learn(&state, pay_url)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_in_a_row_alert_once_until_all_is_well_again() {
        let mut trouble = Trouble::default();
        let rounds = [false, false, true, false, false, false, false, true, false, false, false];
        let told: Vec<bool> = rounds.into_iter().map(|went_well| trouble.is_alarming(went_well)).collect();
        let (no, yes) = (false, true);
        assert_eq!(told, [no, no, no, no, no, yes, no, no, no, no, yes]);
    }
}
