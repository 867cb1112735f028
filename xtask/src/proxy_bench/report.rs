//! The figures as a table for people and as JSON.

use std::fmt;
use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use serde::Serialize;

use super::meter::quantile;
use crate::process::{output, root};

/// Everything that was measured, and on what.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) machine: Machine,
    pub(super) is_quick: bool,
    pub(super) parts: Vec<Part>,
}

/// What was measured on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Machine {
    processor: String,
    cores: usize,
    memory_mb: u64,
    kernel: String,
    load_before: String,
    rustc: String,
    commit: String,
}

impl Machine {
    /// This one.
    pub(super) fn this() -> Self {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let said = |command: &mut Command| output(command).unwrap_or_default().trim().to_owned();
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        Self {
            processor: field(&read("/proc/cpuinfo"), "model name"),
            cores: available_parallelism().map_or(0, usize::from),
            memory_mb: memory.split(' ').next().and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_before: read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "),
            rustc: said(Command::new("rustc").arg("--version")),
            commit: said(Command::new("git").current_dir(root()).args(["describe", "--always", "--dirty"])),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processor, cores, memory_mb, kernel, load_before, rustc, commit } = self;
        write!(
            f,
            "{processor}, {cores} cores, {memory_mb} MB, Linux {kernel}; {rustc}; commit {commit}\n\
             Load before: {load_before}. Client, simulator, proxy and database share the cores, so rates and times are what \
             is\nleft to the proxy; the ratios and its processor time are what another machine can be compared by."
        )
    }
}

/// What one measurement found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part {
    pub(super) name: String,
    /// What exactly was measured.
    pub(super) of: String,
    pub(super) figures: Vec<Figure>,
}

/// One line of the table: a median over runs, or a quantile of many samples.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Figure {
    what: String,
    unit: &'static str,
    value: f64,
    /// Of all runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<(f64, f64)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_most: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_met: Option<bool>,
}

impl Figure {
    pub(super) fn one(what: impl Into<String>, unit: &'static str, value: f64) -> Self {
        Self { what: what.into(), unit, value, range: None, at_most: None, is_met: None }
    }

    /// The median of several runs.
    pub(super) fn median(what: impl Into<String>, unit: &'static str, runs: &[f64]) -> Self {
        let mut runs = runs.to_vec();
        runs.sort_by(f64::total_cmp);
        let range = runs.first().copied().zip(runs.last().copied());
        Self { range, ..Self::one(what, unit, quantile(&runs, 50)) }
    }

    /// What is to be reached.
    pub(super) fn at_most(self, most: f64) -> Self {
        let is_met = self.value <= most;
        Self { at_most: Some(most), is_met: Some(is_met), ..self }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}: {}", self.name, self.of)?;
        for Figure { what, unit, value, range, at_most, is_met } in &self.figures {
            let digits = if *value < 10.0 { 2 } else { 0 };
            write!(f, "  {what:58}{value:>10.digits$} {unit:14}")?;
            if let Some((least, most)) = range {
                write!(f, "{:24}", format!("({least:.digits$} to {most:.digits$})"))?;
            }
            if let (Some(at_most), Some(is_met)) = (at_most, is_met) {
                write!(f, "at most {at_most}: {}", if *is_met { "met" } else { "NOT MET" })?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
