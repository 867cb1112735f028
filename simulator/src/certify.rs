//! PayBy's acceptance cases, run against a merchant's stack: has it make orders, lets things go wrong, watches the calls that
//! arrive, and judges.
//!
//! Each order has an amount of its own; by that it is known, whoever makes the number. So all cases run at once.
//!
//! | to find | look in |
//! |---|---|
//! | the cases, and the orders that each takes: what goes wrong, who pays | [`Case`], [`Trial`] |
//! | how a merchant is made to begin an order | [`Trigger`] |
//! | the rules, and how they are measured | `judge` |
//! | the table and the JSON | [`Report`] |

mod case;
mod judge;
mod report;
mod trigger;
mod wait;

use std::time::Duration;

use payby_checkout::time::{Millis, UnixMillis};
use tokio::task::JoinHandle;

pub use self::case::{Case, Trial, Variant};
use self::judge::Record;
pub use self::report::{CaseReport, Finding, Report, TrialReport, Verdict};
pub use self::trigger::{Errand, HttpTrigger, Trigger, TriggerFile};
pub use self::wait::wait_for;
use crate::Running;
use crate::journal::{Entry, Event, Via};
use crate::model::Action;

/// How often the log is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long a merchant may take to begin an order.
const BEGINS_WITHIN: Millis = Millis::from_secs(30);
/// How long after the creation the payer of case 009 pays: PayBy cannot be paid before its answer has arrived.
const PAYS_AFTER: Millis = Millis::from_secs(1);
/// How long after its end PayBy takes to close an order while cases run: who cancels in time finds it open.
pub const CLOSING_DELAY: Millis = Millis::from_secs(600);

/// What is to be run.
#[derive(Debug)]
pub struct Plan {
    /// How the merchant is made to begin an order.
    pub trigger: Trigger,
    /// The orders to be made: those of the cases ([`Case::trials`]).
    pub trials: Vec<Trial>,
    /// Whether the merchant's alerts go to `/sim/alerts`. If not, and none comes, alerts are "not observed".
    pub expects_alerts: bool,
}

/// Runs the cases, all at once. The merchant's stack must use `simulator` as PayBy, with [`CLOSING_DELAY`].
///
/// # Errors
/// The machine's random source or HTTP client failed. Whatever a merchant does is in the report instead.
pub async fn run(simulator: &Running, plan: &Plan) -> anyhow::Result<Report> {
    let inner = &simulator.simulator;
    {
        let mut state = inner.state();
        for trial in &plan.trials {
            trial.faults().into_iter().for_each(|rule| state.faults.add(rule));
            trial.payer().into_iter().for_each(|payer| state.payers.add(payer));
        }
    }
    let began_at = inner.now();
    let run = crate::simulator::token()?[..8].to_owned();
    let mut courses = Vec::new();
    for &trial in &plan.trials {
        courses.push(Course { trial, errand: plan.trigger.begin(trial, &run)?, end: None, paid: false });
    }
    while courses.iter().any(|course| course.end.is_none()) {
        tokio::time::sleep(LOOK).await;
        // The time first: what happens by then is in the events.
        let (now, events) = (inner.now(), simulator.events());
        for course in &mut courses {
            if course.end.is_none() {
                course.go_on(simulator, &events, began_at, now).await;
                if course.end.is_some() {
                    tracing::info!("case {} is over", course.trial.id());
                }
            }
        }
    }

    let events = simulator.events();
    let alerted = events.iter().any(|entry| matches!(entry.event, Event::Alert { .. }));
    let expects_alerts = plan.expects_alerts || alerted;
    let judged = |course: &Course| {
        let mut record = Record::of(course.trial, &inner.partner_id, &events);
        let why = match &course.end {
            Some(End::Never(why)) => Some(&**why),
            Some(End::At(at)) => {
                record.end_at(*at);
                None
            }
            None => None,
        };
        judge::judge(course.trial, &record, expects_alerts, why)
    };
    let mut cases: Vec<_> = plan.trials.iter().map(|trial| trial.case).collect();
    cases.dedup();
    let reports = cases.into_iter().map(|case| {
        let trials = courses.iter().filter(|course| course.trial.case == case).map(judged);
        CaseReport::of(case, trials.collect())
    });
    Ok(Report::of(reports.collect()))
}

/// An order under way.
struct Course {
    trial: Trial,
    errand: JoinHandle<Result<(), String>>,
    end: Option<End>,
    paid: bool,
}

enum End {
    /// It was over at this time.
    At(UnixMillis),
    /// No order came, and this is why.
    Never(String),
}

impl Course {
    async fn go_on(&mut self, simulator: &Running, events: &[Entry], began_at: UnixMillis, now: UnixMillis) {
        let inner = &simulator.simulator;
        let record = Record::of(self.trial, &inner.partner_id, events);
        if let Some((number, start)) = &record.order {
            if self.trial.case == Case::Notified && !self.paid && now.since(*start) >= PAYS_AFTER {
                self.paid = true;
                let mut state = inner.state();
                if let Some(id) = state.model.by_number(number) {
                    let changed = state.model.act(now, id, Action::Pay);
                    let status = state.model.order(id).state().status();
                    let merchant_order_no = number.clone();
                    let event =
                        Event::Payer { merchant_order_no, action: Action::Pay, via: Via::Auto, changed, status };
                    state.journal.record(now, event);
                }
                drop(state);
                inner.bell.notify_one();
            }
            let at = record.over_at(self.trial.case, *start);
            if at <= now {
                self.end = Some(End::At(at));
                self.errand.abort();
            }
        } else if self.errand.is_finished()
            && let Ok(Err(why)) = (&mut self.errand).await
        {
            self.end = Some(End::Never(why));
        } else if now.since(began_at) >= BEGINS_WITHIN {
            self.end = Some(End::Never(format!("no placeOrder of AED {} arrived", self.trial.amount())));
            self.errand.abort();
        }
    }
}
