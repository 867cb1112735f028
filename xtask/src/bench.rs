//! What is measured: the package against what shops use in its place, in Node and in a browser (the benches are in
//! `xtask/bench`), and the proxy against what it cannot do without.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};

use crate::process::{root, run};
#[cfg(feature = "proxy-bench")]
use crate::proxy_bench::run as proxy;
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
    /// What the proxy costs: time, memory and delay, beside references of the same run. Linux only.
    Proxy(ProxyOptions),
    /// A server that always answers the same; `bench proxy` starts it.
    #[cfg(feature = "proxy-bench")]
    #[command(hide = true)]
    Bare {
        /// The answer
        answer: PathBuf,
    },
}

/// What of the proxy to measure.
#[derive(Args)]
pub(crate) struct ProxyOptions {
    /// Fewer and shorter runs, in about a minute where all of it takes eight: to see that it works
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only this part
    #[arg(long, value_name = "PART")]
    pub(crate) only: Option<ProxyPart>,
    /// Over PostgreSQL instead of SQLite
    #[arg(long)]
    pub(crate) postgres: bool,
    /// Writes the figures to this file as well, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[cfg(feature = "proxy-bench")]
impl ProxyOptions {
    /// The parts to measure, in their order.
    pub(crate) fn parts(&self) -> Vec<ProxyPart> {
        self.only.map_or_else(|| ProxyPart::value_variants().to_vec(), |part| vec![part])
    }
}

/// What is measured of the proxy.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum ProxyPart {
    /// The processor time of a new order
    Create,
    /// Reads a second
    Read,
    /// From a notification to the page that waits
    Wake,
    /// The memory of pages that wait
    Park,
    /// All of it with many stored orders
    Store,
    /// From one instance to a page at another, over PostgreSQL
    Instances,
}

/// Runs a bench, which prints what it finds.
pub(crate) fn bench(what: Bench) -> Result<()> {
    match what {
        Bench::OrderNumber { json, rounds, unique } => order_number(json, rounds, unique),
        Bench::Watch(options) => watch::run(&options),
        Bench::Proxy(options) => proxy(&options),
        #[cfg(feature = "proxy-bench")]
        Bench::Bare { answer } => crate::proxy_bench::serve_bare(&answer),
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

/// Builds the programs as they ship, and this one likewise, which then does what it was told here. Other commands do without
/// what it takes to measure.
#[cfg(not(feature = "proxy-bench"))]
fn proxy(_: &ProxyOptions) -> Result<()> {
    use crate::process::{PARTS, cargo, cargo_build, step};

    step("cargo build --release", || cargo_build(&[PARTS, &["--release"]].concat(), &[]).map(drop))?;
    let mut command = cargo();
    command.args(["run", "--release", "--package", "xtask", "--features", "proxy-bench", "--"]);
    run(command.args(std::env::args_os().skip(1)))
}
