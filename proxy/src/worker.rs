//! Brings one order forward at the gateway: does what the core's [`hop`](payby_checkout::hop) says, and writes down what came of it.
//!
//! I9: what is about to be sent is written down first, so that a crash leaves "unknown" and never "not sent". One worker
//! at a time calls about one order, and R9's spacing counts across restarts, since the times are stored.

use payby_checkout::hop::{Errand, Heard, Outcome, Round, Step, Trouble};
use payby_checkout::order::Status;
use payby_checkout::order_number::OrderNumber;
use payby_checkout::schedule;

use crate::alerts::Kind;
use crate::app::App;
use crate::random;
use crate::store::{self, Order};
use crate::waiting::Lease;

/// Runs an errand in a task of its own and waits for it: if whoever waits goes away, the errand goes on. Comes back
/// early when the proxy is to stop.
pub async fn run(app: &App, number: &OrderNumber, errand: Errand) {
    let task = app.spawn(go(app.clone(), number.clone(), errand));
    tokio::select! {
        _ = task => {}
        () = app.stopped() => {}
    }
}

/// Somebody has asked about the order, which is watched the more closely for it.
pub fn asked(app: &App, order: &Order) {
    if !order.status().is_terminal() {
        app.waiting.lease(&order.number).ask();
        watch(app, order);
    }
}

/// Makes sure that the order is watched until it is decided: closely while somebody waits or has just asked.
pub fn watch(app: &App, order: &Order) {
    if order.status().is_terminal() {
        return;
    }
    let slot = app.waiting.lease(&order.number);
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
                tracing::error!(%number, %error, "the order cannot be read");
                app.metrics.database_failed();
                trouble.note(&app.policy, app.now().moment());
                if app.sleep(schedule::back_off(trouble.failures(), None, random::number())).await {
                    continue;
                }
                break;
            }
        };
        let now = app.now().moment();
        let (is_awaited, failures) = (slot.is_awaited(), trouble.failures());
        let pause = order.at_gateway.pause(&app.policy, now, is_awaited, failures, random::number());
        tokio::select! {
            has_slept = app.sleep(pause) => if !has_slept { break },
            // Somebody has come who waits: the pause is another one now.
            () = slot.someone_comes(), if !is_awaited => continue,
        }
        let errand = if order.at_gateway.cancel_wanted { Errand::Cancel } else { Errand::Refresh };
        if go(app.clone(), number.clone(), errand).await {
            trouble.ends();
        } else if trouble.note(&app.policy, app.now().moment()) {
            app.alerts.raise(Kind::GatewayFails, Some(&number), "nothing certain can be learnt of the order");
        }
    }
    slot.end_watching();
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
            app.metrics.database_failed();
            false
        }
    }
}

async fn round(app: &App, number: &OrderNumber, errand: Errand) -> Result<bool, store::Error> {
    let mut round = Round::new(errand);
    let mut went_well = true;
    let mut is_rested = false;
    while let Some(order) = app.store.order(number).await? {
        let now = app.now().moment();
        if order.at_gateway.deadline(&app.policy).is_some_and(|deadline| deadline <= now) {
            app.change(number, |order| order.at_gateway.mind_the_deadline(&app.policy, now)).await?;
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
                app.change(number, |order| order.at_gateway.close(reason)).await?;
                break;
            }
            Step::Query | Step::Place | Step::Cancel => {
                let Some(heard) = call(app, &order, step).await? else { break };
                round.note(step, heard);
                // A refusal is certain, but no progress: if the order is still live after it, a person should know.
                went_well &= heard.is_progress();
            }
        }
    }
    Ok(went_well)
}

/// Writes down that the step is taken, takes it, and writes down what came of it.
async fn call(app: &App, order: &Order, step: Step) -> Result<Option<Heard>, store::Error> {
    let (number, now) = (&order.number, app.now());
    let Some((_, attempt)) = app.change(number, |order| order.at_gateway.begin(step, now.moment())).await? else {
        return Ok(None);
    };
    let outcome = match step {
        Step::Place => app.gateway.place(number, order.amount, &order.biz_content, now).await,
        Step::Cancel => app.gateway.cancel(number, order.amount, now).await,
        _ => app.gateway.query(number, order.amount, now).await,
    };
    if outcome == Outcome::Missing && order.status() == Status::Pending {
        app.alerts.raise(Kind::OrderLost, Some(number), "PayBy does not know an order that it had reported");
    }
    let finished = app.change(number, |order| order.at_gateway.finish(attempt, outcome)).await?;
    Ok(finished.map(|(_, heard)| heard))
}
