//! Who waits for which order, and whose turn it is at the gateway. In memory only: a restart forgets nothing that matters.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use payby_checkout::order_number::OrderNumber;
use tokio::sync::{Notify, watch};

use payby_checkout::hop::Errand;

/// How long an order stays closely watched after the last question about it, so that a page that polls is served as well as
/// one that waits.
const LINGER: Duration = Duration::from_secs(20);

/// The orders that somebody waits for or works on.
#[derive(Debug, Default)]
pub struct Waiting {
    slots: Mutex<HashMap<OrderNumber, Held>>,
}

/// A slot and how many hold it.
#[derive(Debug, Default)]
struct Held {
    slot: Arc<Slot>,
    holders: usize,
}

/// One such order.
#[derive(Debug, Default)]
pub struct Slot {
    turn: tokio::sync::Mutex<()>,
    rounds: [AtomicU64; 4],
    version: watch::Sender<u64>,
    interest: Mutex<Interest>,
    asked: Notify,
}

#[derive(Debug, Default)]
struct Interest {
    parked: usize,
    last_asked: Option<Instant>,
    is_watched: bool,
}

impl Waiting {
    /// The order's slot, which is there as long as somebody holds it.
    #[must_use]
    pub fn lease(self: &Arc<Self>, number: &OrderNumber) -> Lease {
        let mut slots = locked(&self.slots);
        let held = slots.entry(number.clone()).or_default();
        held.holders += 1;
        let slot = Arc::clone(&held.slot);
        Lease { slot, number: number.clone(), waiting: Arc::clone(self) }
    }

    /// Wakes all who wait for this order.
    pub fn wake(&self, number: &OrderNumber, version: u64) {
        if let Some(held) = locked(&self.slots).get(number) {
            held.slot.version.send_replace(version);
        }
    }
}

/// A [`Slot`] in use.
#[derive(Debug)]
pub struct Lease {
    slot: Arc<Slot>,
    number: OrderNumber,
    waiting: Arc<Waiting>,
}

impl Deref for Lease {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        &self.slot
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut slots = locked(&self.waiting.slots);
        if let Some(held) = slots.get_mut(&self.number) {
            held.holders -= 1;
            if held.holders == 0 {
                slots.remove(&self.number);
            }
        }
    }
}

impl Slot {
    /// Waits until nobody else calls the gateway about this order. `None`: meanwhile somebody else has ended the same
    /// errand, and its result serves.
    pub async fn turn(&self, errand: Errand) -> Option<Turn<'_>> {
        let rounds = &self.rounds[errand as usize];
        let seen = rounds.load(Ordering::Acquire);
        let guard = self.turn.lock().await;
        (rounds.load(Ordering::Acquire) == seen).then_some(Turn { _guard: guard, rounds })
    }

    /// Tells of every new version from now on.
    #[must_use]
    pub fn versions(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Notes that somebody has asked.
    pub fn ask(&self) {
        locked(&self.interest).last_asked = Some(Instant::now());
        self.asked.notify_one();
    }

    /// Notes that somebody waits, as long as the answer lives.
    #[must_use]
    pub fn park(&self) -> Parked<'_> {
        locked(&self.interest).parked += 1;
        self.asked.notify_one();
        Parked(self)
    }

    /// Whether the caller is to watch the order now, because nobody does.
    #[must_use]
    pub fn begin_watching(&self) -> bool {
        !std::mem::replace(&mut locked(&self.interest).is_watched, true)
    }

    /// Whether somebody waits or has just asked.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        let interest = locked(&self.interest);
        interest.parked > 0 || interest.last_asked.is_some_and(|asked| asked.elapsed() < LINGER)
    }

    /// Comes back when somebody asks.
    pub async fn someone_comes(&self) {
        self.asked.notified().await;
    }

    /// The caller, who watched the order, has stopped.
    pub fn end_watching(&self) {
        locked(&self.interest).is_watched = false;
    }
}

/// Somebody waits.
#[derive(Debug)]
pub struct Parked<'a>(&'a Slot);

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        let mut interest = locked(&self.0.interest);
        interest.parked -= 1;
        interest.last_asked = Some(Instant::now());
    }
}

/// The right to call the gateway about one order.
#[derive(Debug)]
pub struct Turn<'a> {
    _guard: tokio::sync::MutexGuard<'a, ()>,
    rounds: &'a AtomicU64,
}

impl Turn<'_> {
    /// Says that the errand is done, to those who have come for the same one.
    pub fn done(self) {
        self.rounds.fetch_add(1, Ordering::Release);
    }
}

/// Nothing under these locks can leave its data half-changed, so a panic elsewhere does not spoil it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
