//! Who waits for which order in this instance. In memory only: a restart forgets nothing that matters.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use payby_checkout::hop::Errand;
use payby_checkout::order_number::OrderNumber;
use payby_checkout::time::Millis;
use tokio::sync::watch;

use crate::store::Order;

/// The orders that somebody waits for or works on, and when this instance looks after the next one.
#[derive(Debug)]
pub struct Waiting {
    slots: Mutex<HashMap<OrderNumber, Shared>>,
    wake_at: watch::Sender<Millis>,
}

/// A slot and how many hold it.
#[derive(Debug, Default)]
struct Shared {
    slot: Arc<Slot>,
    holders: usize,
}

/// One such order.
#[derive(Debug, Default)]
pub struct Slot {
    news: watch::Sender<News>,
    rounds: [AtomicU64; 4],
    handed_back: watch::Sender<()>,
}

/// What those who wait are told.
#[derive(Clone, Debug, Default)]
pub struct News {
    /// The order has this version.
    pub version: u64,
    /// The order as it is in this version, if this instance knows it.
    pub order: Option<Arc<Order>>,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { slots: Mutex::default(), wake_at: watch::Sender::new(Millis(u64::MAX)) }
    }
}

impl Waiting {
    /// The order's slot, which is there as long as somebody holds it.
    #[must_use]
    pub fn at(self: &Arc<Self>, number: &OrderNumber) -> Held {
        let mut slots = self.slots();
        let shared = slots.entry(number.clone()).or_default();
        shared.holders += 1;
        let slot = Arc::clone(&shared.slot);
        Held { slot, number: number.clone(), waiting: Arc::clone(self) }
    }

    /// Tells all who wait for this order how it is now.
    pub fn wake(&self, order: &Order) {
        self.send(&order.number, order.version, || Some(Arc::new(order.clone())));
    }

    /// Tells all who wait for this order, unless they know it, that there is this version of it.
    pub fn hint(&self, number: &OrderNumber, version: u64) {
        self.send(number, version, || None);
    }

    fn send(&self, number: &OrderNumber, version: u64, order: impl FnOnce() -> Option<Arc<Order>>) {
        if let Some(shared) = self.slots().get(number) {
            shared.slot.news.send_if_modified(|news| {
                let is_news = version > news.version;
                if is_news {
                    *news = News { version, order: order() };
                }
                is_news
            });
        }
    }

    /// The orders that somebody waits for.
    #[must_use]
    pub fn numbers(&self) -> Vec<OrderNumber> {
        let slots = self.slots();
        slots
            .iter()
            .filter(|(_, shared)| shared.slot.news.receiver_count() > 0)
            .map(|(number, _)| number.clone())
            .collect()
    }

    /// When to look after the next order. Whoever does so sets it, and others may set it to an earlier time.
    #[must_use]
    pub const fn wake_at(&self) -> &watch::Sender<Millis> {
        &self.wake_at
    }

    /// An order is due then.
    pub fn is_due(&self, at: Millis) {
        self.wake_at.send_if_modified(|wake_at| at < *wake_at && std::mem::replace(wake_at, at) > at);
    }

    /// Nothing under this lock can leave its data half-changed, so a panic elsewhere does not spoil it.
    fn slots(&self) -> MutexGuard<'_, HashMap<OrderNumber, Shared>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A [`Slot`] in use.
#[derive(Debug)]
pub struct Held {
    slot: Arc<Slot>,
    number: OrderNumber,
    waiting: Arc<Waiting>,
}

impl Deref for Held {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        &self.slot
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut slots = self.waiting.slots();
        if let Some(shared) = slots.get_mut(&self.number) {
            shared.holders -= 1;
            if shared.holders == 0 {
                slots.remove(&self.number);
            }
        }
    }
}

impl Slot {
    /// Tells of every new version from now on.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<News> {
        self.news.subscribe()
    }

    /// Tells of every end of a round of calls that this instance has made.
    #[must_use]
    pub fn rounds(&self) -> watch::Receiver<()> {
        self.handed_back.subscribe()
    }

    /// How many rounds for this errand have ended.
    #[must_use]
    pub fn ended(&self, errand: Errand) -> u64 {
        self.rounds[errand as usize].load(Ordering::Acquire)
    }

    /// A round for this errand has ended.
    pub fn end(&self, errand: Errand) {
        self.rounds[errand as usize].fetch_add(1, Ordering::Release);
        self.handed_back.send_replace(());
    }
}
