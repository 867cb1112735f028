//! The time on the wall, or one that a test sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use payby_checkout::time::{Millis, UnixMillis};

/// What tells a simulator the time.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The time on the wall.
    #[default]
    Wall,
    /// A time that stands until it is set. Nothing wakes up by itself when it is.
    Set(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that stands.
    #[must_use]
    pub fn standing_at(now: UnixMillis) -> Self {
        Self::Set(Arc::new(AtomicU64::new(now.0)))
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        match self {
            Self::Wall => {
                let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                UnixMillis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
            }
            Self::Set(now) => UnixMillis(now.load(Ordering::SeqCst)),
        }
    }

    /// Moves a clock that stands; the one on the wall goes its own way.
    pub fn pass(&self, span: Millis) {
        if let Self::Set(now) = self {
            now.fetch_add(span.0, Ordering::SeqCst);
        }
    }
}
