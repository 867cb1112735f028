//! What came of watching one order, and of watching many.

use payby_checkout::time::Millis;
use serde::Serialize;

use super::payer::{EXPIRY, Payer, seconds};

/// What came of watching one order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sight {
    /// Requests after the creation.
    pub(super) requests: u32,
    /// When the page knew what the gateway had decided.
    pub(super) known_at: Option<Millis>,
    /// When the page said that it failed, without knowing.
    pub(super) gave_up_at: Option<Millis>,
}

/// What came of watching many.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Figures {
    /// Requests per order.
    pub(super) requests: f64,
    /// Requests per order that is paid.
    pub(super) requests_paid: f64,
    /// Requests per order that is never paid.
    pub(super) requests_unpaid: f64,
    /// Seconds from the payment to the page's knowing.
    pub(super) known: Times,
    /// The same, but where the page slept meanwhile, from its waking: what the payer who looks at it sees.
    pub(super) seen: Times,
    /// Seconds from the payment to the page's knowing, of the pages that never slept.
    pub(super) staying: Times,
    /// Payments that the page never knew of.
    pub(super) misses: u32,
    /// "Failed" said of an order that was paid or still could be.
    pub(super) false_endings: u32,
    /// Those of them that were paid, before or after.
    pub(super) false_endings_paid: u32,
}

/// How long something took, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Times {
    pub(super) mean: f64,
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
}

impl Times {
    fn of(mut times: Vec<Millis>) -> Self {
        if times.is_empty() {
            return Self::default();
        }
        times.sort_unstable();
        // The nearest rank.
        let quantile = |percent: usize| seconds(times[(times.len() * percent).div_ceil(100) - 1]);
        let sum: u64 = times.iter().map(|time| time.0).sum();
        Self { mean: mean(sum, times.len()) / 1_000.0, p50: quantile(50), p95: quantile(95), p99: quantile(99) }
    }
}

impl<'a> FromIterator<(&'a Payer, Sight)> for Figures {
    fn from_iter<I: IntoIterator<Item = (&'a Payer, Sight)>>(sights: I) -> Self {
        let (mut known, mut seen, mut staying) = (Vec::new(), Vec::new(), Vec::new());
        let (mut orders, mut requests) = ([0, 0], [0, 0]);
        let (mut misses, mut false_endings, mut false_endings_paid) = (0, 0, 0);
        for (payer, sight) in sights {
            let is_paid = payer.pays_at.is_some();
            orders[usize::from(is_paid)] += 1;
            requests[usize::from(is_paid)] += u64::from(sight.requests);
            if let Some(pays_at) = payer.pays_at {
                match sight.known_at {
                    Some(known_at) => {
                        known.push(known_at.since(pays_at));
                        seen.push(known_at.since(payer.awake_at(pays_at)));
                        if payer.away.is_none() {
                            staying.push(known_at.since(pays_at));
                        }
                    }
                    None => misses += 1,
                }
            }
            if sight.gave_up_at.is_some_and(|at| is_paid || at < EXPIRY) {
                false_endings += 1;
                false_endings_paid += u32::from(is_paid);
            }
        }
        Self {
            requests: mean(requests[0] + requests[1], orders[0] + orders[1]),
            requests_paid: mean(requests[1], orders[1]),
            requests_unpaid: mean(requests[0], orders[0]),
            known: Times::of(known),
            seen: Times::of(seen),
            staying: Times::of(staying),
            misses,
            false_endings,
            false_endings_paid,
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "far below 2⁵²")]
fn mean(sum: u64, count: usize) -> f64 {
    if count == 0 { 0.0 } else { sum as f64 / count as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payer(pays_at: Option<u64>) -> Payer {
        Payer::staying(pays_at.map(Millis), Millis(100))
    }

    #[test]
    fn times_are_ranked_and_averaged() {
        let times = Times::of((1..=100).rev().map(|i| Millis(i * 1_000)).collect());
        assert_eq!(times, Times { mean: 50.5, p50: 50.0, p95: 95.0, p99: 99.0 });
    }

    #[test]
    fn a_sleeping_page_is_late_by_the_clock_but_not_to_who_looks_at_it() {
        let sleeper = payer(Some(4_000)).leaving(Millis(1_000), Millis(9_000));
        let sight = Sight { requests: 3, known_at: Some(Millis(9_100)), gave_up_at: None };
        let figures = Figures::from_iter([(&sleeper, sight)]);
        assert_eq!(figures.staying, Times::default());
        assert!((figures.known.mean - 5.1).abs() < 1e-9 && (figures.seen.mean - 0.1).abs() < 1e-9, "{figures:?}");
    }

    #[test]
    fn misses_and_false_endings_are_counted_as_what_they_are() {
        let (paid, unpaid) = (payer(Some(4_000)), payer(None));
        let silent = Sight { requests: 10, ..Sight::default() };
        let gave_up = Sight { gave_up_at: Some(Millis(300_000)), ..silent };
        let in_time = Sight { gave_up_at: Some(EXPIRY), ..silent };
        let sights = [(&paid, silent), (&paid, gave_up), (&unpaid, gave_up), (&unpaid, in_time), (&unpaid, silent)];
        let figures = Figures::from_iter(sights);
        assert_eq!((figures.misses, figures.false_endings, figures.false_endings_paid), (2, 2, 1));
        assert!((figures.requests - 10.0).abs() < 1e-9);
    }
}
