//! Measures the package against what shops use in its place, in Node and in a browser. The benches are in `xtask/bench`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Subcommand;

use crate::process::{root, run};
use crate::{build, tools, watch};

/// What is measured.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Order numbers against the makers of identifiers: time, and what each adds to a page.
    OrderNumber {
        /// Writes the results to this file as well
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// How many samples each figure is the median of
        #[arg(long, default_value_t = 21, conflicts_with = "unique")]
        rounds: u32,
        /// Instead of measuring, makes ten million numbers of one millisecond and looks for duplicates and order
        #[arg(long, conflicts_with = "json")]
        unique: bool,
    },
    /// How payment front ends watch an order, ours and its peers, over the same simulated payers.
    Watch(watch::Options),
}

/// Runs a bench, which prints what it finds.
pub(crate) fn bench(what: Bench) -> Result<()> {
    match what {
        Bench::OrderNumber { json, rounds, unique } => order_number(json, rounds, unique),
        Bench::Watch(options) => watch::run(&options),
    }
}

/// Builds the package and measures it in Node and a browser.
fn order_number(json: Option<PathBuf>, rounds: u32, unique: bool) -> Result<()> {
    build::make()?;
    let mut node = Command::new("node");
    node.current_dir(root()).env("PKG", build::pkg());
    if unique {
        return run(node.arg("xtask/bench/unique.mjs"));
    }
    let browser = tools::Browser::find_or_install()?;
    node.arg("xtask/bench/order-number.mjs").arg("--rounds").arg(rounds.to_string());
    if let Some(file) = json {
        node.arg("--json").arg(std::path::absolute(file).context("the file's folder")?);
    }
    run(node.env("CHROMIUM", &browser.chromium))
}
