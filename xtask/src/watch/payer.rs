//! The payers, drawn from one seed: when each pays, how long its page sleeps, how fast its network is.
//!
//! Times count from the moment when the page shows what is to be paid.

use payby_checkout::time::Millis;
use rand_distr::{Distribution, LogNormal, Uniform};
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};

/// How long an order can be paid.
pub(super) const EXPIRY: Millis = Millis::from_secs(2 * 60 * 60);

/// How long the page stays open if it never knows.
pub(super) const CLOSES: Millis = EXPIRY.plus(Millis::from_secs(10 * 60));

/// How many never pay.
pub(super) const NEVER_PAY: f64 = 0.15;

/// How many leave for the bank's app on the same phone; meanwhile their page does nothing.
pub(super) const LEAVE: f64 = 0.60;

/// Median and 95 % quantile of the time to pay, in seconds: a log-normal distribution.
pub(super) const TIME_TO_PAY: (f64, f64) = (25.0, 180.0);

/// A payer who leaves does so this many seconds after the start (uniform), at the latest half-way to paying.
pub(super) const LEAVES_AFTER: (f64, f64) = (1.0, 3.0);

/// Median of the seconds from paying to being back on the page. Who never pays is back after as long as another
/// payer would have taken.
pub(super) const COMES_BACK_AFTER: f64 = 2.0;

/// Median of the seconds from the page to its backend and back, and from the backend to the gateway and back.
pub(super) const ROUND_TRIP: f64 = 0.150;

/// Median of the seconds from the gateway's decision to the backend's having its notification.
pub(super) const NOTIFICATION: f64 = 0.200;

/// The sigma of the last three, which are log-normal: 95 % are within 2.3 times the median.
pub(super) const SIGMA: f64 = 0.5;

/// The standard normal distribution's 95 % quantile.
const Z_95: f64 = 1.644_853_626_951_472_7;

/// One order's payer, and what its page lives through.
#[derive(Clone, Debug)]
pub(super) struct Payer {
    /// `None`: never.
    pub(super) pays_at: Option<Millis>,
    /// From when until when the page sleeps.
    pub(super) away: Option<(Millis, Millis)>,
    /// How long after the gateway's decision the backend has its notification.
    pub(super) notified_after: Millis,
    network: Network,
    gateway: Network,
}

impl Payer {
    /// One who stays on the page, 200 ms of notification and always that long a round trip.
    #[cfg(test)]
    pub(super) fn staying(pays_at: Option<Millis>, round_trip: Millis) -> Self {
        let network = Network { rng: Pcg64Mcg::seed_from_u64(0), round_trip: log_normal(seconds(round_trip), 0.0) };
        Self { pays_at, away: None, notified_after: Millis(200), gateway: network.clone(), network }
    }

    /// The same payer, away from the first to the second time.
    #[cfg(test)]
    pub(super) fn leaving(self, left: Millis, back: Millis) -> Self {
        Self { away: Some((left, back)), ..self }
    }

    /// When the gateway has decided: paid, or expired.
    pub(super) fn decided_at(&self) -> Millis {
        self.pays_at.unwrap_or(EXPIRY)
    }

    /// When the page does what is due at this time: at once, or when it wakes.
    pub(super) fn awake_at(&self, due: Millis) -> Millis {
        match self.away {
            Some((left, back)) if left <= due && due < back => back,
            _ => due,
        }
    }

    /// What lies between page and backend: to each watcher its own, all the same.
    pub(super) fn network(&self) -> Network {
        self.network.clone()
    }

    /// What lies between backend and gateway.
    pub(super) fn gateway(&self) -> Network {
        self.gateway.clone()
    }
}

/// Where round trips, and a machine's jitter, come from.
#[derive(Clone, Debug)]
pub(super) struct Network {
    rng: Pcg64Mcg,
    round_trip: LogNormal<f64>,
}

impl Network {
    /// The next request's way there and back.
    pub(super) fn legs(&mut self) -> (Millis, Millis) {
        let whole = millis(self.round_trip.sample(&mut self.rng));
        let there = Millis(whole.0 / 2);
        (there, whole.since(there))
    }

    /// Uniform over all of `u32`.
    pub(super) fn random(&mut self) -> u32 {
        self.rng.next_u32()
    }
}

/// That many payers. Times to pay are drawn one from each of as many equally likely ranges, and the shares are exact:
/// what few late payers would do to a mean is the same for every seed.
pub(super) fn population(orders: u32, seed: u64) -> Vec<Payer> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let times = TimeToPay::new();
    let never_pay = share(orders, NEVER_PAY);
    let mut payers = Vec::new();
    for (pays, count) in [(true, orders - never_pay), (false, never_pay)] {
        let leave = share(count, LEAVE);
        for (leaves, count) in [(true, leave), (false, count - leave)] {
            payers.extend((0..count).map(|i| {
                let chance = (f64::from(i) + uniform(0.0, 1.0).sample(&mut rng)) / f64::from(count);
                draw(&mut rng, pays, leaves, times.quantile(chance))
            }));
        }
    }
    payers
}

/// One who takes that many seconds to pay, or would.
fn draw(rng: &mut Pcg64Mcg, pays: bool, leaves: bool, takes: f64) -> Payer {
    let leaves_after = uniform(LEAVES_AFTER.0, LEAVES_AFTER.1).sample(rng).min(takes / 2.0);
    let back_after = takes + log_normal(COMES_BACK_AFTER, SIGMA).sample(rng);
    let notified_after = log_normal(NOTIFICATION, SIGMA).sample(rng);
    let mut hop =
        || Network { rng: Pcg64Mcg::seed_from_u64(rng.next_u64()), round_trip: log_normal(ROUND_TRIP, SIGMA) };
    Payer {
        pays_at: pays.then(|| millis(takes)),
        away: leaves.then(|| (millis(leaves_after), millis(back_after))),
        notified_after: millis(notified_after),
        network: hop(),
        gateway: hop(),
    }
}

/// So many of them.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a u32")]
fn share(of: u32, share: f64) -> u32 {
    (f64::from(of) * share).round() as u32
}

/// How the time to pay is distributed, for who pays: log-normal, and within the expiry (one in a million is not).
pub(super) struct TimeToPay(Vec<Point>);

/// A time, with what has happened by then.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Point {
    /// In seconds.
    pub(super) t: f64,
    /// How many pay, per second.
    pub(super) density: f64,
    /// The share that has paid by then.
    pub(super) paid: f64,
    /// The sum of their times to pay.
    pub(super) paid_seconds: f64,
}

impl TimeToPay {
    const POINTS: u32 = 20_000;
    const FIRST: f64 = 0.01;

    /// Integrated over points that grow further apart.
    pub(super) fn new() -> Self {
        let sigma = sigma_of(TIME_TO_PAY);
        let step = (seconds(EXPIRY) / Self::FIRST).powf(1.0 / f64::from(Self::POINTS - 1));
        let mut points = vec![Point::default()];
        let mut before = Point::default();
        for i in 0..Self::POINTS {
            let t = Self::FIRST * step.powf(f64::from(i));
            let z = (t / TIME_TO_PAY.0).ln() / sigma;
            let density = (-z * z / 2.0).exp() / (t * sigma * std::f64::consts::TAU.sqrt());
            let pay = f64::midpoint(before.density, density) * (t - before.t);
            let paid_seconds = before.paid_seconds + pay * f64::midpoint(before.t, t);
            before = Point { t, density, paid: before.paid + pay, paid_seconds };
            points.push(before);
        }
        let all = before.paid;
        for point in &mut points {
            point.density /= all;
            point.paid /= all;
            point.paid_seconds /= all;
        }
        Self(points)
    }

    /// Its points, at growing times.
    pub(super) fn points(&self) -> &[Point] {
        &self.0
    }

    /// What has happened by that time.
    pub(super) fn at(&self, t: f64) -> Point {
        let after = self.0.partition_point(|point| point.t <= t).clamp(1, self.0.len() - 1);
        let (low, high) = (self.0[after - 1], self.0[after]);
        let part = ((t - low.t) / (high.t - low.t)).clamp(0.0, 1.0);
        let between = |of: fn(Point) -> f64| of(low) + (of(high) - of(low)) * part;
        Point {
            t,
            density: between(|point| point.density),
            paid: between(|point| point.paid),
            paid_seconds: between(|point| point.paid_seconds),
        }
    }

    /// By when that share of them has paid, in seconds.
    fn quantile(&self, share: f64) -> f64 {
        let after = self.0.partition_point(|point| point.paid <= share).clamp(1, self.0.len() - 1);
        let (low, high) = (self.0[after - 1], self.0[after]);
        low.t + (high.t - low.t) * ((share - low.paid) / (high.paid - low.paid)).clamp(0.0, 1.0)
    }
}

/// The mean of the seconds that an answer is under way.
pub(super) fn mean_way_back() -> f64 {
    ROUND_TRIP * (SIGMA * SIGMA / 2.0).exp() / 2.0
}

/// The sigma of a log-normal distribution with that median and 95 % quantile.
pub(super) fn sigma_of((median, quantile_95): (f64, f64)) -> f64 {
    (quantile_95 / median).ln() / Z_95
}

fn log_normal(median: f64, sigma: f64) -> LogNormal<f64> {
    LogNormal::new(median.ln(), sigma).expect("the constants are finite and no sigma is negative")
}

fn uniform(low: f64, high: f64) -> Uniform<f64> {
    Uniform::new(low, high).expect("the constants are finite and in order")
}

/// Whole milliseconds.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds are positive and few")]
pub(super) fn millis(seconds: f64) -> Millis {
    Millis((seconds * 1_000.0).round() as u64)
}

/// In seconds.
#[allow(clippy::cast_precision_loss, reason = "far below 2⁵²")]
pub(super) fn seconds(time: Millis) -> f64 {
    time.0 as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value below which that share of the values is.
    fn quantile(mut values: Vec<f64>, percent: usize) -> f64 {
        values.sort_by(f64::total_cmp);
        values[values.len() * percent / 100]
    }

    fn close(value: f64, expected: f64) -> bool {
        (value / expected - 1.0).abs() < 0.02
    }

    #[test]
    fn the_times_to_pay_have_the_median_and_the_95_percent_quantile() {
        assert!((sigma_of(TIME_TO_PAY) - 1.2002).abs() < 1e-4);
        let payers = population(50_000, 1);
        let times: Vec<f64> = payers.iter().filter_map(|payer| payer.pays_at).map(seconds).collect();
        assert!(close(quantile(times.clone(), 50), 25.0));
        assert!(close(quantile(times.clone(), 95), 180.0));
        assert_eq!(times.len(), 42_500); // 85 %
    }

    #[test]
    fn round_trips_have_their_median_and_spread() {
        let mut network = population(1, 1)[0].network();
        let trips: Vec<f64> = std::iter::repeat_with(|| network.legs())
            .map(|(there, back)| seconds(there.plus(back)))
            .take(50_000)
            .collect();
        assert!(close(quantile(trips.clone(), 50), ROUND_TRIP));
        assert!(close(quantile(trips, 95), ROUND_TRIP * (Z_95 * SIGMA).exp()));
    }

    #[test]
    fn who_leaves_does_so_before_paying_and_is_back_after_it() {
        let payers = population(5_000, 1);
        let away = payers.iter().filter(|payer| payer.away.is_some()).count();
        assert_eq!(away, 3_000); // 60 %
        for payer in &payers {
            if let (Some(pays_at), Some((left, back))) = (payer.pays_at, payer.away) {
                assert!(left < pays_at && pays_at < back, "{payer:?}");
            }
        }
    }

    #[test]
    fn a_sleeping_page_does_what_is_due_when_it_wakes() {
        let payer = Payer::staying(None, Millis(1)).leaving(Millis(10), Millis(20));
        for (due, done) in [(9, 9), (10, 20), (19, 20), (20, 20), (21, 21)] {
            assert_eq!(payer.awake_at(Millis(due)), Millis(done));
        }
    }
}
