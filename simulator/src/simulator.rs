//! What the parts of a running simulator share, and the only place that reads the random source.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use payby_checkout::money::Amount;
use payby_checkout::time::UnixMillis;
use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use crate::faults::Faults;
use crate::journal::Journal;
use crate::keys::Keys;
use crate::model::Model;
use crate::payers::Payers;

#[derive(Debug)]
pub(crate) struct Simulator {
    pub(crate) keys: Keys,
    pub(crate) partner_id: String,
    /// Rung whenever something may have become due earlier than was known.
    pub(crate) bell: Notify,
    pub(crate) clock: Clock,
    stopped: watch::Receiver<bool>,
    state: Mutex<State>,
}

/// What changes. One lock: an event is in the log if and only if what it tells has happened.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) model: Model,
    pub(crate) journal: Journal,
    pub(crate) faults: Faults,
    pub(crate) payers: Payers,
    pub(crate) known: HashMap<String, Known>,
}

/// What is known of an order's number since the first `placeOrder` that named it, even if that got no further.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) amount: Amount,
    /// How many queries were answered with the order.
    pub(crate) queries: u32,
}

impl Simulator {
    pub(crate) fn new(
        keys: Keys,
        partner_id: String,
        clock: Clock,
        model: Model,
        faults: Faults,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let known = HashMap::new();
        let state = State { model, journal: Journal::default(), faults, payers: Payers::default(), known };
        Self { keys, partner_id, bell: Notify::new(), clock, stopped, state: Mutex::new(state) }
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Never held over an `await`.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when the simulator is to stop.
    pub(crate) async fn stopping(&self) {
        stopping(self.stopped.clone()).await;
    }
}

/// Returns when told to stop, or when nobody is left to tell.
pub(crate) async fn stopping(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// 128 random bits in hexadecimal.
pub(crate) fn token() -> Result<String, getrandom::Error> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bits)))
}
