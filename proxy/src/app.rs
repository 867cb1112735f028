//! What the handlers and the workers share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::HeaderValue;
use payby_checkout::hop::Policy;
use payby_checkout::order::Status;
use payby_checkout::order_number::OrderNumber;
use payby_checkout::time::{Millis, UnixMillis};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::alerts::{Alerts, Kind};
use crate::config::Clock;
use crate::gateway::Gateway;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::random::Hash;
use crate::store::{self, Changed, Hint, Lease, Order, Store};
use crate::waiting::Waiting;

/// The running proxy. Cheap to clone.
pub type App = Arc<Shared>;

/// What the handlers and the workers share.
#[derive(Debug)]
pub struct Shared {
    /// What is remembered.
    pub store: Store,
    /// PayBy.
    pub gateway: Gateway,
    /// Who waits for which order.
    pub waiting: Arc<Waiting>,
    /// What a person has to look at.
    pub alerts: Alerts,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// How much may be asked.
    pub limits: Limits,
    /// What the other instances are told.
    pub hints: mpsc::UnboundedSender<Hint>,
    /// How long an order that was taken in hand is out of reach of others, unless that is renewed.
    pub lease: Millis,
    /// Tells the time.
    pub clock: Clock,
    /// What the hop to the gateway is like.
    pub policy: Policy,
    /// Where PayBy sends notifications.
    pub notify_url: String,
    /// The origins of the shop's pages.
    pub allowed_origins: Vec<HeaderValue>,
    /// The hashes of the keys that shop servers show.
    pub api_keys: Vec<Hash>,
    /// How long a checkout token is good for.
    pub token_lifetime: Millis,
    /// How long an order can be paid, if its purchase does not say.
    pub pay_within: Millis,
    /// When the database was last written by [`Shared::can_write`].
    pub probed: tokio::sync::Mutex<Option<Instant>>,
    /// Turns true once, at the end.
    pub stopping: watch::Sender<bool>,
    /// How many tasks are at work.
    pub tasks: watch::Sender<usize>,
}

impl Shared {
    /// The time.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Whether the database can be written. Asked again within a second, the answer is the same: anybody can ask.
    ///
    /// # Errors
    /// It cannot.
    pub async fn can_write(&self) -> Result<(), store::Error> {
        let mut probed = self.probed.lock().await;
        if probed.is_some_and(|at| at.elapsed() < Duration::from_secs(1)) {
            return Ok(());
        }
        *probed = None;
        self.store.probe(self.now()).await?;
        *probed = Some(Instant::now());
        Ok(())
    }

    /// Runs something to its end, whether or not whoever asked for it stays to see it.
    pub fn spawn<T: Send + 'static>(self: &Arc<Self>, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        let task = Task::begin(Arc::clone(self));
        tokio::spawn(async move {
            let _task = task;
            work.await
        })
    }

    /// Comes to its end when the proxy is to stop.
    pub async fn stopped(&self) {
        // An error means that the sender is gone, which is an end as well.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// Sleeps. Answers false if the proxy is to stop instead.
    pub async fn sleep(&self, span: Millis) -> bool {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(span.0)) => true,
            () = self.stopped() => false,
        }
    }

    /// Changes an order, wakes those who wait for it, and alerts if a person has to look. Answers what the change
    /// answered.
    ///
    /// # Errors
    /// The database failed.
    pub async fn change<T: Send>(
        &self,
        number: &OrderNumber,
        mut change: impl FnMut(&mut Order) -> T + Send,
    ) -> Result<Option<(Order, T)>, store::Error> {
        let mut answer = None;
        let changed = self.store.change(number, |order| answer = Some(change(order))).await?;
        let Some(changed) = changed else { return Ok(None) };
        self.tell(&changed).await?;
        Ok(answer.map(|answer| (changed.after, answer)))
    }

    /// The same, begun from the order as it was read before.
    ///
    /// # Errors
    /// The database failed.
    pub async fn change_known<T: Send>(
        &self,
        order: &Order,
        mut change: impl FnMut(&mut Order) -> T + Send,
    ) -> Result<Option<(Order, T)>, store::Error> {
        let mut answer = None;
        let changed = self.store.change_known(order, |order| answer = Some(change(order))).await?;
        let Some(changed) = changed else { return Ok(None) };
        self.tell(&changed).await?;
        Ok(answer.map(|answer| (changed.after, answer)))
    }

    /// The same for who has taken the order in hand; `None` if somebody else has it now.
    ///
    /// # Errors
    /// The database failed.
    pub async fn change_held<T: Send>(
        &self,
        lease: &mut Lease,
        mut change: impl FnMut(&mut Order) -> T + Send,
    ) -> Result<Option<T>, store::Error> {
        let mut answer = None;
        let changed = self.store.change_held(lease, |order| answer = Some(change(order))).await?;
        let Some(changed) = changed else { return Ok(None) };
        self.tell(&changed).await?;
        Ok(answer)
    }

    /// Wakes those who wait for a changed order, and alerts if a person has to look.
    ///
    /// # Errors
    /// The database failed; those who wait are awake already.
    pub async fn tell(&self, changed: &Changed) -> Result<(), store::Error> {
        let (before, after) = (&changed.before, &changed.after);
        if after.version == before.version {
            return Ok(());
        }
        self.waiting.wake(after);
        // Nobody takes them where there are no other instances.
        let _ = self.hints.send((after.number.clone(), after.version));
        let (number, was, is) = (&after.number, before.status(), after.status());
        tracing::info!(%number, ?was, ?is, version = after.version, "the order has changed");
        if is == Status::Conflict && was != Status::Conflict {
            let message = "PayBy has reported the order both as failed and as paid";
            self.alerts.raise(Kind::Conflict, Some(number), message);
        }
        if is == Status::Paid && was != Status::Paid {
            for other in self.store.orders_of(&after.purchase_id).await? {
                if other.number != *number && other.has_paid() {
                    let message = format!("the purchase is paid twice; its other paid order is {}", other.number);
                    self.alerts.raise(Kind::PaidTwice, Some(number), message);
                }
            }
        }
        Ok(())
    }
}

/// Counts as one task at work as long as it lives.
struct Task(App);

impl Task {
    fn begin(app: App) -> Self {
        app.tasks.send_modify(|tasks| *tasks += 1);
        Self(app)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.tasks.send_modify(|tasks| *tasks -= 1);
    }
}
