//! The comparison as a table for people and as JSON.

use std::fmt;

use serde::Serialize;

use super::optimum::Optimum;
use super::payer;
use super::sight::Figures;

/// The whole comparison.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    orders: u32,
    seed: u64,
    model: Model,
    rows: Vec<Row>,
    fewest: Fewest,
    /// Our requests by polling alone, over the fewest.
    x_opt: f64,
    goals: Vec<Goal>,
}

/// The fewest requests that a fixed schedule needs to know as soon, on average, as ours does by polling alone.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Fewest {
    requests: f64,
    requests_paid: f64,
    requests_unpaid: f64,
    /// Seconds from a payment, where the page stays awake, to the arrival of the question that finds it out.
    wait: f64,
    /// √λ.
    pace: f64,
}

/// One front end.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
    #[serde(flatten)]
    pub(super) figures: Figures,
}

impl Row {
    pub(super) const fn new(name: &'static str, source: Option<&'static str>, figures: Figures) -> Self {
        Self { name, source, figures }
    }
}

/// What the payers are drawn from, in seconds and shares.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Model {
    time_to_pay_median: f64,
    time_to_pay_95_percent: f64,
    time_to_pay_sigma: f64,
    never_pay: f64,
    leave: f64,
    leave_after: (f64, f64),
    back_after_median: f64,
    round_trip_median: f64,
    notification_median: f64,
    sigma: f64,
    expiry: f64,
}

/// What is aimed at, and what came out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Goal {
    what: &'static str,
    at_most: f64,
    is: f64,
    is_met: bool,
}

impl Goal {
    fn new(what: &'static str, at_most: f64, is: f64) -> Self {
        Self { what, at_most, is, is_met: is <= at_most }
    }
}

impl Report {
    /// Of these rows, the first three being ours: by polling alone, held, and held without notifications.
    pub(super) fn new(orders: u32, seed: u64, rows: Vec<Row>, optimum: Optimum) -> Self {
        let model = Model {
            time_to_pay_median: payer::TIME_TO_PAY.0,
            time_to_pay_95_percent: payer::TIME_TO_PAY.1,
            time_to_pay_sigma: payer::sigma_of(payer::TIME_TO_PAY),
            never_pay: payer::NEVER_PAY,
            leave: payer::LEAVE,
            leave_after: payer::LEAVES_AFTER,
            back_after_median: payer::COMES_BACK_AFTER,
            round_trip_median: payer::ROUND_TRIP,
            notification_median: payer::NOTIFICATION,
            sigma: payer::SIGMA,
            expiry: payer::seconds(payer::EXPIRY),
        };
        let expected = optimum.expected;
        let fewest = Fewest {
            requests: expected.requests(),
            requests_paid: expected.paid,
            requests_unpaid: expected.unpaid,
            wait: expected.wait,
            pace: optimum.pace,
        };
        let x_opt = rows[0].figures.requests / fewest.requests;
        let (held, ours) = (&rows[1].figures, &rows[..3]);
        let sum = |count: fn(&Figures) -> u32| ours.iter().map(|row| f64::from(count(&row.figures))).sum();
        let goals = vec![
            Goal::new("requests over the fewest, polling alone", 1.10, x_opt),
            Goal::new("misses, ours", 0.0, sum(|figures| figures.misses)),
            Goal::new("false endings, ours", 0.0, sum(|figures| figures.false_endings)),
            Goal::new("requests per order, held, notified", 12.0, held.requests),
            Goal::new("the same, of the orders that are paid", 12.0, held.requests_paid),
            Goal::new("seconds until seen, held, notified, 95 %", 0.5, held.seen.p95),
            Goal::new("the same, of the pages that stay awake", 0.5, held.staying.p95),
        ];
        Self { orders, seed, model, rows, fewest, x_opt, goals }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Model { time_to_pay_median, time_to_pay_95_percent, never_pay, leave, .. } = &self.model;
        writeln!(
            f,
            "{} orders from seed {}, the same for every row. Time to pay: median {time_to_pay_median} s, 95 % by \
             {time_to_pay_95_percent} s; {:.0} % never pay;\n{:.0} % leave for the bank's app, and their page sleeps \
             until they are back. An order can be paid for {:.0} s. Creations are not counted.\n\
             known: seconds from the payment to the page's knowing. seen: the same, but from the page's waking if it slept.\n\
             misses: payments that the page never knew of. false endings: \"failed\" of an order that was paid or still could be.\n",
            self.orders,
            self.seed,
            never_pay * 100.0,
            leave * 100.0,
            self.model.expiry,
        )?;
        writeln!(f, "{:32}{:>27}{:>24}{:>24}{:>8}{:>9}", "", "requests per order", "known, s", "seen, s", "", "false")?;
        writeln!(
            f,
            "{:32}{:>9}{:>9}{:>9}{:>10}{:>7}{:>7}{:>10}{:>7}{:>7}{:>8}{:>9}",
            "", "all", "paid", "unpaid", "mean", "95 %", "99 %", "mean", "95 %", "99 %", "misses", "endings"
        )?;
        for Row { name, figures, .. } in &self.rows {
            let Figures { known, seen, .. } = figures;
            writeln!(
                f,
                "{name:32}{:>9.1}{:>9.1}{:>9.1}{:>10.2}{:>7.2}{:>7.2}{:>10.2}{:>7.2}{:>7.2}{:>8}{:>9}",
                figures.requests,
                figures.requests_paid,
                figures.requests_unpaid,
                known.mean,
                known.p95,
                known.p99,
                seen.mean,
                seen.p95,
                seen.p99,
                figures.misses,
                figures.false_endings,
            )?;
        }
        let Fewest { requests, requests_paid, requests_unpaid, .. } = &self.fewest;
        writeln!(
            f,
            "{:32}{requests:>9.1}{requests_paid:>9.1}{requests_unpaid:>9.1}{:>10.2}",
            "fewest for polling's mean", self.rows[0].figures.known.mean
        )?;
        writeln!(f)?;
        for goal in &self.goals {
            let verdict = if goal.is_met { "met" } else { "NOT MET" };
            writeln!(f, "{:44}{:>8.3}   at most {:<6}{verdict}", goal.what, goal.is, goal.at_most)?;
        }
        Ok(())
    }
}
