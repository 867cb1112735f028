//! What came of a run, as a table for people and as JSON for programs.

use std::fmt;

use serde::Serialize;

use super::case::Case;

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether no rule was broken.
    pub passed: bool,
    /// How many rules could not be observed.
    pub not_observed: usize,
    /// Case by case.
    pub cases: Vec<CaseReport>,
}

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseReport {
    /// Which one.
    pub case: Case,
    /// What happens in it.
    pub title: &'static str,
    /// Whether no rule was broken.
    pub passed: bool,
    /// Order by order.
    pub trials: Vec<TrialReport>,
}

/// What came of one order of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialReport {
    /// What is special about it, if its case has others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<&'static str>,
    /// The order that was made for it.
    pub order_number: Option<String>,
    /// Rule by rule.
    pub findings: Vec<Finding>,
}

/// What came of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule, in PayBy's words.
    pub rule: &'static str,
    /// What was seen.
    pub seen: String,
    /// Whether it was kept.
    pub verdict: Verdict,
}

/// Whether a rule was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was kept.
    Pass,
    /// It was broken.
    Fail,
    /// It cannot be said.
    NotObserved,
}

impl Report {
    pub(super) fn of(cases: Vec<CaseReport>) -> Self {
        let findings = cases.iter().flat_map(|case| &case.trials).flat_map(|trial| &trial.findings);
        let not_observed = findings.filter(|finding| finding.verdict == Verdict::NotObserved).count();
        Self { passed: cases.iter().all(|case| case.passed), not_observed, cases }
    }
}

impl CaseReport {
    pub(super) fn of(case: Case, trials: Vec<TrialReport>) -> Self {
        let mut findings = trials.iter().flat_map(|trial| &trial.findings);
        let passed = findings.all(|finding| finding.verdict != Verdict::Fail);
        Self { case, title: case.title(), passed, trials }
    }
}

impl TrialReport {
    fn number(&self) -> String {
        self.order_number.as_deref().map(|number| format!(" ({number})")).unwrap_or_default()
    }
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::NotObserved => "not observed",
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.cases {
            let verdict = if case.passed { Verdict::Pass } else { Verdict::Fail };
            // An order with a title has a line of its own.
            let number = case.trials.iter().find(|trial| trial.title.is_none()).map(TrialReport::number);
            let title = format!("{}{}", case.title, number.unwrap_or_default());
            writeln!(f, "{:4}{title:<88}{}", case.case.id(), verdict.word())?;
            for trial in &case.trials {
                if let Some(title) = trial.title {
                    writeln!(f, "  {title}{}", trial.number())?;
                }
                for Finding { rule, seen, verdict } in &trial.findings {
                    writeln!(f, "    {rule:<50}{seen:<38}{}", verdict.word())?;
                }
            }
        }
        let passed = self.cases.iter().filter(|case| case.passed).count();
        write!(f, "\n{passed} of {} cases passed", self.cases.len())?;
        if self.not_observed > 0 {
            write!(f, "; {} rules were not observed", self.not_observed)?;
        }
        writeln!(f)
    }
}
