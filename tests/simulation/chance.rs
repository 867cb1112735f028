//! What can go wrong, how likely, and how often it did. All randomness of a run comes from here, and here from the seed.

use std::fmt;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;

macro_rules! faults {
    ($($name:ident $per_mille:literal $words:literal,)*) => {
        /// Something that goes wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { $($name,)* }

        /// How many thousandths of its occasions each happens at, and its name for people.
        const FAULTS: &[(Fault, u32, &str)] = &[$((Fault::$name, $per_mille, $words),)*];
    };
}

faults! {
    PageRequestLost 30 "page's request lost",
    PageAnswerLost 30 "page's answer lost",
    PageRequestTwice 20 "page's request delivered twice",
    PageDelay 30 "page's request or answer delayed past its time-out",
    PageServerError 20 "proxy answers 5xx to the page",
    PageRateLimit 15 "proxy answers 429 with Retry-After",
    PageUnreadable 20 "proxy's answer unreadable",
    PageWrongNumber 10 "answer names another order",
    PageWrongAmount 10 "answer names another amount",
    PageFalsePaid 10 "answer says paid where PayBy does not",
    CallLost 30 "call to PayBy lost",
    CallTwice 15 "call to PayBy delivered twice",
    CallDelay 25 "call to PayBy delayed past its time-out",
    CallLateCreate 15 "creation arrives minutes after 'no such order'",
    CallAnswerLost 40 "PayBy's answer lost",
    CallSystemError 30 "SYSTEM_ERROR, nothing done",
    CallSystemErrorDone 20 "SYSTEM_ERROR, and yet done",
    CallBadAnswer 25 "PayBy's answer with a wrong signature, number or amount",
    CallRateLimit 10 "PayBy's rate limit",
    CallRisk 20 "risk control refuses a creation, another time not",
    NotificationLost 250 "notification lost",
    NotificationLate 200 "notification minutes late",
    NotificationTwice 150 "notification delivered twice",
    NotificationForged 5 "forged notification",
    ProxyCrash 4 "proxy killed",
    ClockJump 2 "proxy's clock jumps",
    TabReloaded 120 "tab reloaded",
    TabClosed 60 "tab closed",
    TabDuplicated 200 "second tab",
    TabFrozen 60 "tab frozen",
    TabOffline 60 "tab offline",
    TabsApart 200 "a browser whose tabs cannot talk to each other",
    HearsayLost 50 "word to another tab lost",
    HearsayLate 50 "word to another tab seconds late",
    HearsayForged 60 "word to another tab forged: paid",
    StorageLost 100 "tab's storage lost in a reload",
    CustomerCancels 200 "customer cancels",
    CustomerRetries 100 "customer tries the same again",
    TabHidden 150 "tab hidden",
    CustomerImpatient 300 "customer presses pay again",
}

/// How often each fault happened.
#[derive(Clone, Default)]
pub struct Counts(Vec<u64>);

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.0.resize(FAULTS.len(), 0);
        for (count, more) in self.0.iter_mut().zip(&other.0) {
            *count += more;
        }
    }

    pub fn never_fired(&self) -> Vec<&'static str> {
        let counts = self.0.iter().chain(std::iter::repeat(&0));
        FAULTS.iter().zip(counts).filter(|(_, count)| **count == 0).map(|((_, _, words), _)| *words).collect()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((_, _, words), count) in FAULTS.iter().zip(&self.0) {
            writeln!(f, "{count:>12}  {words}")?;
        }
        Ok(())
    }
}

/// The seed's luck.
pub struct Chance {
    random: Pcg64Mcg,
    pub counts: Counts,
    /// Off once the faults have stopped.
    pub is_cruel: bool,
}

impl Chance {
    pub fn new(seed: u64) -> Self {
        let mut counts = Counts::default();
        counts.add(&Counts::default());
        Self { random: Pcg64Mcg::seed_from_u64(seed), counts, is_cruel: true }
    }

    /// Whether this goes wrong now.
    pub fn strikes(&mut self, fault: Fault) -> bool {
        let place = fault as usize;
        let strikes = self.is_cruel && self.random.random_range(0..1000) < FAULTS[place].1;
        self.counts.0[place] += u64::from(strikes);
        strikes
    }

    /// A whole number from `low` up to but not including `high`.
    pub fn within(&mut self, low: u64, high: u64) -> u64 {
        self.random.random_range(low..high)
    }

    /// For jitter.
    pub fn word(&mut self) -> u32 {
        self.random.random()
    }

    /// A network's delay, in milliseconds.
    pub fn delay(&mut self) -> u64 {
        self.within(5, 300)
    }
}
