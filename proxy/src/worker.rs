//! Brings one order forward at the gateway: does what the core's [`gateway_hop`](payby_checkout::gateway_hop) says, and writes down what came of it.
//!
//! I9: what is about to be sent is written down first, so that a crash leaves "unknown" and never "not sent". One worker
//! at a time calls about one order, and R9's spacing counts across restarts, since the times are stored.

use std::time::Instant;

use payby_checkout::gateway_hop::{ALERT_AFTER, ALERT_AFTER_TIME, Errand, Heard, Outcome, Round, Step};
use payby_checkout::order::Status;
use payby_checkout::order_number::OrderNumber;

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
        if !slot.go_on_watching(order.at_gateway.cancel_wanted) {
            return;
        }
        let errand = if order.at_gateway.cancel_wanted { Errand::Cancel } else { Errand::Refresh };
        let now = app.now();
        let age = now.since(order.created_at);
        let pause = order.at_gateway.pause(&app.pace, now, age, trouble.failures, random::number());
        if !app.sleep(pause).await {
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
        let is_bad = self.failures >= ALERT_AFTER || since.elapsed().as_millis() >= u128::from(ALERT_AFTER_TIME.0);
        is_bad && !std::mem::replace(&mut self.is_told, true)
    }
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
        let step = order.at_gateway.next(round, app.now());
        // What is true may change meanwhile, so the decision is made anew after the rest.
        if let Some(rest) = order.at_gateway.rest_before(step, &app.pace, app.now()).filter(|_| !is_rested) {
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
    let Some((_, attempt)) = app.change(number, |order| order.at_gateway.begin(step, now)).await? else {
        return Ok(None);
    };
    let outcome = match step {
        Step::Place => app.gateway.place(number, order.amount, &order.biz_content, now).await,
        Step::Cancel => app.gateway.cancel(number, order.amount, now).await,
        _ => app.gateway.query(number, order.amount, now).await,
    };
    if outcome == Outcome::Missing && order.status() == Status::Pending {
        tracing::error!(alert = "order_lost", %number, "PayBy does not know an order that it had reported");
    }
    let finished = app.change(number, |order| order.at_gateway.finish(attempt, outcome)).await?;
    Ok(finished.map(|(_, heard)| heard))
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
