//! Brings refunds forward at the gateway, until PayBy has decided them.
//!
//! The shop names a refund by a number of its own, which is written down with the bytes that PayBy will get, before PayBy is
//! called (I9). After an unknown outcome PayBy is asked; if it does not know the refund, the same bytes are sent again under
//! the same number, never under another. Reports are merged, so two who ask at the same time do no harm.

use payby_checkout::gateway::wire::{self, RefundOrder};
use payby_checkout::order_number::OrderNumber;
use payby_checkout::protocol::{RefundStatus, Refusal};
use payby_checkout::schedule;
use payby_checkout::time::Millis;

use crate::alerts::Kind;
use crate::app::App;
use crate::gateway::RefundOutcome;
use crate::random;
use crate::store::{Error, RefundRow};

/// How long nobody else asks about a refund that somebody has in hand: longer than two calls take.
const IN_HAND: Millis = Millis::from_secs(150);

/// How often it is looked for refunds that are due.
const POLL: Millis = Millis::from_secs(1);

/// How many are taken in hand at once.
const BATCH: usize = 20;

/// Brings a refund forward, in a task of its own: if whoever waits goes away, it goes on.
pub async fn run(app: &App, number: &OrderNumber) {
    let task = app.spawn(go(app.clone(), number.clone()));
    tokio::select! {
        _ = task => {}
        () = app.stopped() => {}
    }
}

/// Looks after all refunds that are not decided, until the proxy is to stop.
pub async fn look_after(app: App) {
    loop {
        match app.store.due_refunds(app.now().moment(), BATCH).await {
            Ok(numbers) => {
                for number in numbers {
                    go(app.clone(), number).await;
                }
            }
            Err(error) => {
                app.metrics.database_failed();
                tracing::error!(%error, "the refunds that are due cannot be read");
            }
        }
        if !app.sleep(POLL).await {
            return;
        }
    }
}

async fn go(app: App, number: OrderNumber) {
    if let Err(error) = bring_forward(&app, &number).await {
        app.metrics.database_failed();
        tracing::error!(refund = %number, %error, "the database failed in the middle of a refund");
    }
}

async fn bring_forward(app: &App, number: &OrderNumber) -> Result<(), Error> {
    let now = app.now().moment();
    if !app.store.claim_refund(number, now, now.plus(IN_HAND)).await? {
        return Ok(());
    }
    let Some(refund) = app.store.refund(number).await? else { return Ok(()) };
    let heard = match refund.sent_at {
        None => send(app, &refund).await?,
        Some(_) => match app.gateway.query_refund(&refund, app.now()).await {
            // What was sent may still be on its way; the same bytes create nothing twice.
            RefundOutcome::Missing if refund.status == RefundStatus::Unknown => send(app, &refund).await?,
            heard => heard,
        },
    };
    finish(app, &refund, heard).await
}

/// Writes down that it is sent, and sends it.
async fn send(app: &App, refund: &RefundRow) -> Result<RefundOutcome, Error> {
    let now = app.now();
    app.store.change_refund(&refund.number, |refund| refund.sent_at = Some(now.moment())).await?;
    Ok(app.gateway.place_refund(refund, now).await)
}

async fn finish(app: &App, refund: &RefundRow, heard: RefundOutcome) -> Result<(), Error> {
    let now = app.now().moment();
    // Until then an earlier attempt whose outcome is unknown can still be under way.
    let (policy, before) = (app.policy, refund.sent_at);
    let window = policy.landing_window.unwrap_or_default();
    let is_last_word = before.is_none_or(|sent| now.since(sent) > window);
    let mut is_certain = true;
    let changed = app.store.change_refund(&refund.number, |refund| {
        match heard {
            RefundOutcome::Known(report) => learn(refund, &report),
            RefundOutcome::Refused(refusal) if is_last_word => refund.learn(RefundStatus::Failed, Some(refusal)),
            // This attempt has done nothing, so what was unknown before it is what is unknown now.
            RefundOutcome::Refused(_) => {
                refund.sent_at = before;
                is_certain = false;
            }
            RefundOutcome::Missing | RefundOutcome::Unknown => is_certain = false,
        }
        refund.failures = if is_certain { 0 } else { refund.failures.saturating_add(1) };
        let pause = match refund.failures {
            0..=2 => schedule::pause(now.since(refund.created_at), random::number()).max(policy.query_min),
            failures => schedule::back_off(failures, None, random::number()).max(policy.query_min),
        };
        refund.due_at = now.plus(pause);
    });
    if let Some((before, after)) = changed.await? {
        tell(app, &before, &after);
        if after.failures == policy.alert_after && !after.status.is_terminal() {
            let message = format!("nothing certain can be learnt of refund {}", after.number);
            app.alerts.raise(Kind::GatewayFails, Some(&after.number), message);
        }
    }
    Ok(())
}

/// Takes in what PayBy has said of it.
pub fn learn(refund: &mut RefundRow, report: &RefundOrder) {
    let status = match report.status {
        wire::RefundStatus::Created => RefundStatus::Pending,
        wire::RefundStatus::RefundedSettled => RefundStatus::Deducted,
        wire::RefundStatus::Success => RefundStatus::Refunded,
        wire::RefundStatus::Failure => RefundStatus::Failed,
    };
    let refusal = report.fail_code.clone().map(|code| Refusal { code, message: report.fail_des.clone() });
    refund.learn(status, refusal);
}

/// Says what has changed, and alerts if a person has to look.
pub fn tell(app: &App, before: &RefundRow, after: &RefundRow) {
    if before.status == after.status {
        return;
    }
    let (was, is) = (before.status, after.status);
    tracing::info!(refund = %after.number, number = %after.order_number, ?was, ?is, "the refund has changed");
    if is == RefundStatus::Conflict {
        let message = format!("PayBy has reported refund {} both as made and as failed", after.number);
        app.alerts.raise(Kind::Conflict, Some(&after.number), message);
    }
}
