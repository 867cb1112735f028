//! What the parts of a running simulator share, and the only place that reads the clock and the random source.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use payby_checkout::time::UnixMillis;
use tokio::sync::{Notify, watch};

use crate::faults::Faults;
use crate::journal::Journal;
use crate::keys::Keys;
use crate::model::Model;

pub(crate) struct Simulator {
    pub(crate) keys: Keys,
    pub(crate) partner_id: String,
    /// Rung whenever something may have become due earlier than was known.
    pub(crate) bell: Notify,
    stopped: watch::Receiver<bool>,
    state: Mutex<State>,
}

/// What changes. One lock: an event is in the log if and only if what it tells has happened.
pub(crate) struct State {
    pub(crate) model: Model,
    pub(crate) journal: Journal,
    pub(crate) faults: Faults,
}

impl Simulator {
    pub(crate) fn new(keys: Keys, partner_id: String, public_url: &str, stopped: watch::Receiver<bool>) -> Self {
        let model = Model::new(format!("{public_url}/cashier"));
        let state = State { model, journal: Journal::default(), faults: Faults::default() };
        Self { keys, partner_id, bell: Notify::new(), stopped, state: Mutex::new(state) }
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

/// The time on the wall.
pub(crate) fn now() -> UnixMillis {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// 128 random bits in hexadecimal.
pub(crate) fn token() -> Result<String, getrandom::Error> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bits)))
}
