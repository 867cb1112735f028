//! The fewest questions: the best schedule that is fixed beforehand, for who knows how the payers behave but not what
//! this one does.
//!
//! Asked at intervals δ(t), a decision is found out δ/2 later on average. The rate of decisions at time t among the
//! orders that are still undecided is the hazard h(t). Fewest questions for a given mean wait: minimise ∫ S/δ + λ⁻¹ ∫ S·h·δ/2
//! over δ, where S(t) orders are undecided; each t stands for itself, so δ(t) = √(2λ/h(t)).
//!
//! Payers who leave are found when their page wakes, whatever the schedule; so S and h are those of the pages awake.
//! What comes of a schedule is integrated, not sampled: few late payers would decide it otherwise.

use super::payer::{EXPIRY, LEAVE, LEAVES_AFTER, NEVER_PAY, Point, TimeToPay, seconds};

/// The best schedule for a mean wait, and what it takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Optimum {
    /// √λ, which sets the pace.
    pub(super) pace: f64,
    pub(super) expected: Expected,
}

/// What a schedule takes on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Expected {
    /// Questions per order that is paid.
    pub(super) paid: f64,
    /// Questions per order that is never paid.
    pub(super) unpaid: f64,
    /// Seconds from a payment, where the page stays awake, to the arrival of the question that finds it out.
    pub(super) wait: f64,
}

impl Expected {
    /// Questions per order.
    pub(super) fn requests(&self) -> f64 {
        (1.0 - NEVER_PAY) * self.paid + NEVER_PAY * self.unpaid
    }
}

impl Optimum {
    /// The best schedule for that mean wait, in seconds.
    pub(super) fn of(wait: f64) -> Self {
        let times = TimeToPay::new();
        let questions = Questions::of(times.points().iter().map(hazard));
        let expected = |pace| expected(&times, &questions.schedule(pace));
        // A larger λ asks less and waits longer.
        let (mut low, mut high) = (1e-3_f64, 1e3_f64);
        for _ in 0..60 {
            let pace = (low * high).sqrt();
            if expected(pace).wait < wait { low = pace } else { high = pace }
        }
        Self { pace: low, expected: expected(low) }
    }
}

/// ∫ √(h/2) dt over time: for √λ = 1 the number of questions asked so far.
struct Questions(Vec<(f64, f64)>);

impl Questions {
    /// Integrates `(t, h(t))`, which is given at growing times.
    fn of(hazard: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let mut points = vec![(0.0, 0.0)];
        let (mut before, mut rate_before, mut sum) = (0.0, 0.0, 0.0);
        for (t, hazard) in hazard {
            let rate = (hazard / 2.0).sqrt();
            sum += f64::midpoint(rate, rate_before) * (t - before);
            points.push((t, sum));
            (before, rate_before) = (t, rate);
        }
        Self(points)
    }

    /// When to ask, in seconds: wherever the number of questions reaches the next whole one.
    fn schedule(&self, pace: f64) -> Vec<f64> {
        let mut asked_at = Vec::new();
        let mut next = pace;
        for pair in self.0.windows(2) {
            let ((t0, sum0), (t1, sum1)) = (pair[0], pair[1]);
            while sum1 >= next {
                asked_at.push(t0 + (t1 - t0) * (next - sum0) / (sum1 - sum0));
                next += pace;
            }
        }
        asked_at
    }
}

/// The share of those who leave that has left by `t`.
fn left(t: f64) -> f64 {
    ((t - LEAVES_AFTER.0) / (LEAVES_AFTER.1 - LEAVES_AFTER.0)).clamp(0.0, 1.0)
}

/// The hazard of the pages awake: `(t, h(t))`.
fn hazard(Point { t, density, paid, .. }: &Point) -> (f64, f64) {
    // Undecided and awake: who stays; who has not left yet; who has come back without having paid.
    let staying = (1.0 - LEAVE) * (1.0 - (1.0 - NEVER_PAY) * paid);
    let awake = staying + LEAVE * (1.0 - left(*t) + NEVER_PAY * paid);
    (*t, (1.0 - LEAVE) * (1.0 - NEVER_PAY) * density / awake)
}

/// What it takes to ask at these times while the page is awake, when it wakes, and when time is up.
fn expected(times: &TimeToPay, asked_at: &[f64]) -> Expected {
    // Of who stays and pays, of who stays and does not, and of who leaves: at the start, and after coming back.
    let (mut paid, mut unpaid, mut before, mut after) = (0.0, 0.0, 0.0, 0.0);
    let (mut wait, mut last) = (0.0, Point::default());
    for t in asked_at.iter().copied().chain([seconds(EXPIRY)]) {
        let now = times.at(t);
        // Asked of those who have not been found by the question before.
        paid += 1.0 - last.paid;
        unpaid += 1.0;
        before += 1.0 - left(t);
        after += now.paid;
        wait += t * (now.paid - last.paid) - (now.paid_seconds - last.paid_seconds);
        last = now;
    }
    Expected {
        paid: (1.0 - LEAVE) * paid + LEAVE * (before + 1.0),
        unpaid: (1.0 - LEAVE) * unpaid + LEAVE * (before + 1.0 + after),
        wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_hazard_is_asked_at_constant_intervals() {
        // δ = √(2λ/h): with h = 0.02/s and λ = 1 it is 10 s.
        let questions = Questions::of((0..=1_000).map(|t| (f64::from(t), 0.02)));
        let intervals = |pace| -> Vec<f64> {
            // The integral rises from nothing over the first point.
            questions.schedule(pace)[1..].windows(2).map(|pair| pair[1] - pair[0]).collect()
        };
        assert!(intervals(1.0).len() > 90);
        assert!(intervals(1.0).iter().all(|interval| (interval - 10.0).abs() < 1e-6));
        assert!(intervals(2.0).iter().all(|interval| (interval - 20.0).abs() < 1e-6), "twice the pace");
    }

    #[test]
    fn intervals_grow_as_the_hazard_falls() {
        let questions = Questions::of(TimeToPay::new().points().iter().map(hazard));
        let late: Vec<f64> = questions.schedule(0.2).into_iter().filter(|t| *t > 20.0).collect();
        assert!(late.windows(3).all(|three| three[1] - three[0] <= three[2] - three[1]));
    }

    #[test]
    fn what_a_schedule_takes() {
        let times = TimeToPay::new();
        // Nothing but the question when time is up, and one by each page that wakes.
        let never = expected(&times, &[]);
        assert!((never.paid - 1.0).abs() < 1e-6 && (never.unpaid - (1.0 + LEAVE)).abs() < 1e-6, "{never:?}");
        // Once more at 25 s: half of those who pay and stay are asked again; so is each of the others who is awake.
        let once = expected(&times, &[25.0]);
        assert!((once.paid - never.paid - (1.0 - LEAVE) * 0.5).abs() < 1e-3, "{once:?}");
        assert!((once.unpaid - never.unpaid - (1.0 - LEAVE) - LEAVE * 0.5).abs() < 1e-3, "{once:?}");
        // Every 2 s: 1 s of wait.
        let often: Vec<f64> = (1..3_600).map(|i| f64::from(i) * 2.0).collect();
        assert!((expected(&times, &often).wait - 1.0).abs() < 1e-3);
    }

    #[test]
    fn the_optimum_waits_as_long_as_it_was_told_to_and_asks_less_than_an_even_schedule() {
        let optimum = Optimum::of(1.0);
        assert!((optimum.expected.wait - 1.0).abs() < 1e-3, "{optimum:?}");
        let even: Vec<f64> = (1..3_600).map(|i| f64::from(i) * 2.0).collect();
        assert!(optimum.expected.requests() * 5.0 < expected(&TimeToPay::new(), &even).requests());
    }
}
