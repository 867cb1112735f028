//! The rules of the cases, measured on what arrived at the simulator.
//!
//! Times are when a call arrived, so that a merchant whose calls are exactly 2 s apart can be seen a little below that: a
//! tenth of a second is let pass at either end.

use payby_checkout::time::{Millis, UnixMillis};

use super::case::{Case, Trial, Variant};
use super::report::{Finding, TrialReport, Verdict};
use crate::faults::Fault;
use crate::journal::{Entry, Event};
use crate::model::{Action, Call};

const TOLERANCE: u64 = 100;
/// Queries are so far apart, in milliseconds.
const BETWEEN_QUERIES: (u64, u64) = (2_000, 6_000);
/// Cancels are so far apart.
const BETWEEN_CANCELS: (u64, u64) = (3_000, 10_000);
/// The first cancel comes so long after the start.
const FIRST_CANCEL: (u64, u64) = (20_000, 120_000);
/// So many failures, or failures for so long, are to alert a person …
const FAILURES: usize = 3;
const FAILING_FOR: Millis = Millis::from_secs(10);
/// … and the alert may be under way so long.
const ALERT_TAKES: Millis = Millis::from_secs(10);
/// How long a case is watched after its last word.
const QUIET: Millis = Millis::from_secs(7);
/// No case is watched longer.
const LONGEST: Millis = Millis::from_secs(130);

/// What happened to an order.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// The order's number, and when its creation was first asked for.
    pub(super) order: Option<(String, UnixMillis)>,
    calls: Vec<Made>,
    paid_at: Option<UnixMillis>,
    alerts: Vec<UnixMillis>,
    notifications: Vec<Told>,
    /// When a creation for the same thing came under another number.
    others: Vec<UnixMillis>,
}

#[derive(Debug)]
struct Made {
    at: UnixMillis,
    call: Call,
    succeeded: bool,
    /// Whether it named the merchant and the merchant's number.
    named: bool,
}

#[derive(Debug)]
struct Told {
    at: UnixMillis,
    forged: bool,
    acknowledged: bool,
    attempt: usize,
    result: String,
}

impl Record {
    /// Reads the log for an order: the first one of its amount.
    pub(super) fn of(trial: Trial, partner_id: &str, entries: &[Entry]) -> Self {
        let mut creations = entries.iter().filter_map(|entry| match &entry.event {
            Event::Call { merchant_order_no: Some(number), amount: Some(amount), path, .. }
                if *amount == trial.amount() && Call::at(path) == Some(Call::Place) =>
            {
                Some((number.clone(), entry.at))
            }
            _ => None,
        });
        let Some((number, start)) = creations.next() else { return Self::default() };
        let others = creations.filter(|(other, _)| *other != number).map(|(_, at)| at).collect();
        let mut record = Self { order: Some((number.clone(), start)), others, ..Self::default() };
        let at = |entry: &Entry| entry.at;
        for entry in entries.iter().filter(|entry| entry.event.order() == Some(&*number)) {
            match &entry.event {
                Event::Call { path, partner_id: named_partner, by_order_no, code, .. } => {
                    let Some(call) = Call::at(path) else { continue };
                    let succeeded = code.as_deref() == Some("0");
                    let named = named_partner.as_deref() == Some(partner_id) && !by_order_no;
                    record.calls.push(Made { at: at(entry), call, succeeded, named });
                }
                Event::Payer { action: Action::Pay, changed: true, .. } => record.paid_at = Some(at(entry)),
                Event::Payer { .. } => {}
                Event::Notification { fault, acknowledged, attempt, result, .. } => {
                    let forged = *fault == Some(Fault::WrongSignature);
                    let (acknowledged, attempt, result) = (*acknowledged, *attempt, result.clone());
                    record.notifications.push(Told { at: at(entry), forged, acknowledged, attempt, result });
                }
                Event::Alert { .. } => record.alerts.push(at(entry)),
            }
        }
        record
    }

    /// Forgets what came later.
    pub(super) fn end_at(&mut self, end: UnixMillis) {
        self.calls.retain(|made| made.at <= end);
        self.alerts.retain(|&at| at <= end);
        self.notifications.retain(|told| told.at <= end);
        self.others.retain(|&at| at <= end);
    }

    /// When there is nothing more to see.
    pub(super) fn over_at(&self, case: Case, start: UnixMillis) -> UnixMillis {
        let last_word = match case {
            Case::Paid | Case::QueriesAtLast => self.query_that_found_it_paid().map(|at| at.plus(QUIET)),
            Case::PayerLeaves | Case::CreateFails | Case::CreateTimesOut | Case::CancelsAtLast => {
                self.times(Call::Cancel, Some(true)).first().map(|at| at.plus(QUIET))
            }
            Case::CancelsNever => self.alert_or_too_late(Call::Cancel),
            Case::QueriesNever => self.alert_or_too_late(Call::Get),
            Case::Notified => self.notifications.iter().find(|told| !told.forged).map(|told| told.at),
        };
        let longest = start.plus(LONGEST);
        last_word.map_or(longest, |at| at.min(longest))
    }

    fn times(&self, call: Call, succeeded: Option<bool>) -> Vec<UnixMillis> {
        let fits = |made: &&Made| made.call == call && succeeded.is_none_or(|succeeded| made.succeeded == succeeded);
        self.calls.iter().filter(fits).map(|made| made.at).collect()
    }

    fn query_that_found_it_paid(&self) -> Option<UnixMillis> {
        let paid_at = self.paid_at?;
        // The query after which the payer paid found it unpaid, at the same time.
        let queries = self.times(Call::Get, Some(true));
        let before = self.calls.iter().filter(|made| made.call == Call::Get && made.succeeded && made.at <= paid_at);
        queries.into_iter().nth(before.count())
    }

    /// By when a person is to be alerted about calls of one kind.
    fn alert_due(&self, call: Call) -> Option<UnixMillis> {
        let failures = self.times(call, Some(false));
        let by_time = failures.first()?.plus(FAILING_FOR);
        Some(failures.get(FAILURES - 1).map_or(by_time, |&third| third.min(by_time)))
    }

    fn alert_or_too_late(&self, call: Call) -> Option<UnixMillis> {
        let failures = self.times(call, Some(false));
        let (first, enough) = (*failures.first()?, *failures.get(FAILURES - 1)?);
        let too_late = self.alert_due(call)?.plus(ALERT_TAKES);
        let alert = self.alerts.iter().find(|&&at| at >= first).copied();
        Some(alert.unwrap_or(too_late).max(enough))
    }
}

/// Judges an order. `why` is why none came, if so.
pub(super) fn judge(trial: Trial, record: &Record, expects_alerts: bool, why: Option<&str>) -> TrialReport {
    let mut findings = Findings::default();
    let Some((number, start)) = &record.order else {
        findings.add("an order is created", false, why.unwrap_or("none").to_owned());
        return TrialReport { title: trial.title(), order_number: None, findings: findings.0 };
    };
    findings.named(record);
    let queries = record.times(Call::Get, None);
    let cancels = record.times(Call::Cancel, None);
    let cancels_in_time = |findings: &mut Findings| {
        let first = cancels.first().map(|at| at.since(*start).0);
        let seen = first.map_or("no cancel".to_owned(), |ms| format!("first cancel after {}", seconds(ms)));
        findings.add("cancel 20 to 120 s after the start", first.is_some_and(|ms| is_within(ms, FIRST_CANCEL)), seen);
    };
    match trial.case {
        Case::Paid => {
            let created = record.times(Call::Place, Some(true));
            findings.add("the creation answers CREATED", !created.is_empty(), count(created.len(), "creation"));
            findings.at_least("query at least once", &queries, 1, "query");
            findings.apart("queries 2 to 6 s apart", &queries, BETWEEN_QUERIES);
            findings.found_paid(record);
        }
        Case::PayerLeaves => {
            findings.at_least("query at least once", &queries, 1, "query");
            findings.apart("queries 2 to 6 s apart", &queries, BETWEEN_QUERIES);
            cancels_in_time(&mut findings);
        }
        Case::CreateFails | Case::CreateTimesOut => {
            findings.at_least("query at least once", &queries, 1, "query");
            if trial.variant == Variant::Unknown {
                // After that a person has been alerted, and queries may come more slowly.
                let first = &queries[..queries.len().min(FAILURES)];
                findings.apart("queries 2 to 6 s apart, until 3 have failed", first, BETWEEN_QUERIES);
            } else {
                findings.apart("queries 2 to 6 s apart", &queries, BETWEEN_QUERIES);
            }
            cancels_in_time(&mut findings);
            findings.one_number(record);
        }
        Case::CancelsAtLast => {
            findings.at_least("query at least once", &queries, 1, "query");
            findings.apart("queries 2 to 6 s apart", &queries, BETWEEN_QUERIES);
            cancels_in_time(&mut findings);
            findings.apart("cancels 3 to 10 s apart", &cancels, BETWEEN_CANCELS);
            let succeeded = record.times(Call::Cancel, Some(true));
            let only_the_last = succeeded.first() == cancels.last();
            let seen = format!("{}, {} succeeded", count(cancels.len(), "cancel"), succeeded.len());
            findings.add("at least 3 cancels, only the last succeeds", cancels.len() >= 3 && only_the_last, seen);
        }
        Case::CancelsNever => {
            findings.at_least("query at least once", &queries, 1, "query");
            findings.apart("queries 2 to 6 s apart", &queries, BETWEEN_QUERIES);
            cancels_in_time(&mut findings);
            findings.at_least("at least 3 cancels", &cancels, FAILURES, "cancel");
            findings.apart("cancels 3 to 10 s apart", &cancels, BETWEEN_CANCELS);
            findings.alert(record, Call::Cancel, expects_alerts);
        }
        Case::QueriesAtLast => {
            findings.at_least("at least 3 queries", &queries, 3, "query");
            findings.apart("queries 2 to 6 s apart", &queries, BETWEEN_QUERIES);
            findings.found_paid(record);
        }
        Case::QueriesNever => {
            findings.at_least("at least 3 queries", &queries, FAILURES, "query");
            findings.apart("queries 2 to 6 s apart", &queries, BETWEEN_QUERIES);
            findings.alert(record, Call::Get, expects_alerts);
        }
        Case::Notified => findings.notified(record),
    }
    TrialReport { title: trial.title(), order_number: Some(number.clone()), findings: findings.0 }
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, rule: &'static str, holds: bool, seen: String) {
        let verdict = if holds { Verdict::Pass } else { Verdict::Fail };
        self.0.push(Finding { rule, seen, verdict });
    }

    fn named(&mut self, record: &Record) {
        let unnamed = record.calls.iter().filter(|made| !made.named).count();
        let all = count(record.calls.len(), "call");
        let seen = if unnamed == 0 { all } else { format!("{all}, {unnamed} without") };
        self.add("Partner-Id and merchantOrderNo in each request", unnamed == 0, seen);
    }

    fn one_number(&mut self, record: &Record) {
        let cancelled = record.times(Call::Cancel, Some(true)).first().copied();
        let too_soon = record.others.iter().filter(|at| cancelled.is_none_or(|cancelled| **at < cancelled));
        let too_soon = too_soon.count();
        self.add("no other number before it is cancelled", too_soon == 0, count(too_soon, "other creation"));
    }

    fn at_least(&mut self, rule: &'static str, times: &[UnixMillis], least: usize, what: &str) {
        self.add(rule, times.len() >= least, count(times.len(), what));
    }

    fn apart(&mut self, rule: &'static str, times: &[UnixMillis], bounds: (u64, u64)) {
        let spans: Vec<u64> = times.windows(2).map(|pair| pair[1].since(pair[0]).0).collect();
        let seen = match (spans.iter().min(), spans.iter().max()) {
            (Some(least), Some(most)) => format!("{} to {}", seconds(*least), seconds(*most)),
            _ => "nothing to measure".to_owned(),
        };
        self.add(rule, spans.iter().all(|&span| is_within(span, bounds)), seen);
    }

    fn found_paid(&mut self, record: &Record) {
        let found = record.query_that_found_it_paid();
        let seen = match (record.paid_at, found) {
            (None, _) => "the payer never paid".to_owned(),
            (Some(_), None) => "no query after the payment was answered".to_owned(),
            (Some(paid_at), Some(at)) => format!("{} after the payment", seconds(at.since(paid_at).0)),
        };
        self.add("the last query finds it paid", found.is_some(), seen);
    }

    fn alert(&mut self, record: &Record, call: Call, expects_alerts: bool) {
        let first = record.times(call, Some(false)).first().copied();
        let alert = first.and_then(|first| record.alerts.iter().find(|&&at| at >= first).copied());
        let due = record.alert_due(call);
        let (verdict, seen) = match (first, due, alert) {
            (Some(first), Some(due), Some(at)) => {
                let seen = format!("alert {} after the first failure", seconds(at.since(first).0));
                (if at <= due.plus(ALERT_TAKES) { Verdict::Pass } else { Verdict::Fail }, seen)
            }
            (_, _, _) if expects_alerts => (Verdict::Fail, "no alert".to_owned()),
            _ => (Verdict::NotObserved, "no alert came to /sim/alerts".to_owned()),
        };
        self.0.push(Finding { rule: "alert after 3 failures, or 10 s of failures", seen, verdict });
    }

    fn notified(&mut self, record: &Record) {
        let forged = record.notifications.iter().find(|told| told.forged);
        let seen = forged.map_or("not sent".to_owned(), |told| told.result.clone());
        self.add("a forged one is not acknowledged", forged.is_some_and(|told| !told.acknowledged), seen);
        let true_one = record.notifications.iter().find(|told| !told.forged);
        let seen = true_one.map_or("not sent".to_owned(), |told| format!("attempt {}: {}", told.attempt, told.result));
        self.add("the true one is answered SUCCESS", true_one.is_some_and(|told| told.acknowledged), seen);
    }
}

const fn is_within(ms: u64, (least, most): (u64, u64)) -> bool {
    ms + TOLERANCE >= least && ms <= most + TOLERANCE
}

fn count(n: usize, what: &str) -> String {
    match (n, what) {
        (1, _) => format!("1 {what}"),
        (_, "query") => format!("{n} queries"),
        _ => format!("{n} {what}s"),
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}
