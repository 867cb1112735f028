//! `cargo xtask bench proxy`: what the proxy costs, beside references that are measured in the same run.
//!
//! The real programs, built with `--release`: payby-proxy with the settings of its example (the limits apart), payby-sim as
//! PayBy, and this program as the customers, the shop's server and the sender of PayBy's notifications. Every request goes
//! over HTTP and the loopback. All share the machine's processors, so a rate here is what is left to the proxy; its
//! processor time, which the system counts for that process alone, and the ratios are what can be compared. Runs of what is
//! compared alternate, and figures are medians; of single wakes, quantiles of all.
//!
//! | part | what | how |
//! |---|---|---|
//! | [`creating`] | processor time of a new order, in RSA signatures | `/proc/…/schedstat` around PUTs; a thread's clock around signatures |
//! | [`reading`] | reads a second | against [`bare`], an axum handler that answers the same bytes |
//! | [`waking`] | from PayBy's notification to the page | one by one; ten thousand at once, of one order and of as many |
//! | [`parking`] | memory of pages that wait | `VmRSS` with 15,000 connections, for 100 live orders and for 15,000 |
//! | [`storing`] | the same with 10⁴ to 10⁶ stored orders | databases side by side, [filled](fill) with copies of a real order |
//! | [`instances`] | across two instances | two proxies over a PostgreSQL that is started for it |
//!
//! What is not measured: TLS, a network, a PayBy that takes its time.

mod bare;
mod client;
mod creating;
mod fill;
mod instances;
mod meter;
mod parked;
mod parking;
mod postgres;
mod reading;
mod report;
mod stand;
mod storing;
mod waking;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;

use crate::bench::{ProxyOptions, ProxyPart};
use crate::children;
use crate::process::seconds;
use postgres::Postgres;
use report::{Machine, Part, Report};
use stand::{Gateway, Proxy};

/// 15,000 connections and what else a program has open.
const OPEN_FILES: u64 = 16_384;

/// What all measurements share.
struct Bench {
    is_quick: bool,
    folder: PathBuf,
    gateway: Gateway,
    /// Instead of SQLite.
    postgres: Option<Postgres>,
}

impl Bench {
    fn either<T>(&self, quick: T, full: T) -> T {
        if self.is_quick { quick } else { full }
    }

    fn database_name(&self) -> &str {
        self.postgres.as_ref().map_or("SQLite", |postgres| &postgres.version)
    }

    /// An empty database: its URL.
    async fn database(&self, name: &str) -> Result<String> {
        match &self.postgres {
            Some(postgres) => postgres.database(name).await,
            None => stand::sqlite(&self.folder, name),
        }
    }

    /// A proxy over a database of its own.
    async fn proxy(&self, name: &str) -> Result<Proxy> {
        Proxy::start(&self.gateway, name, &self.database(name).await?)
    }

    async fn part(&self, part: ProxyPart) -> Result<Part> {
        match part {
            ProxyPart::Create => creating::measure(self).await,
            ProxyPart::Read => reading::measure(self).await,
            ProxyPart::Wake => waking::measure(self).await,
            ProxyPart::Park => parking::measure(self).await,
            ProxyPart::Store => storing::measure(self).await,
            ProxyPart::Instances => instances::measure(self).await,
        }
    }
}

/// Measures, and prints each part's figures when it has them.
pub(crate) fn run(options: &ProxyOptions) -> Result<()> {
    let machine = Machine::this();
    println!("{machine}");
    children::catch_interrupts()?;
    meter::open_files(OPEN_FILES)?;
    let folder = tempfile::Builder::new().prefix("payby-bench-").tempdir().context("no temporary folder")?;
    let bench = Bench {
        is_quick: options.quick,
        folder: folder.path().to_owned(),
        gateway: Gateway::start(folder.path())?,
        postgres: if options.postgres { Some(Postgres::start()?) } else { None },
    };
    let mut report = Report { machine, is_quick: options.quick, parts: Vec::new() };
    let runtime = Runtime::new()?;
    for part in options.parts() {
        let begun = Instant::now();
        let part = runtime.block_on(bench.part(part))?;
        println!("{part}  in {}", seconds(begun.elapsed()));
        report.parts.push(part);
    }
    if let Some(file) = &options.json {
        let json = serde_json::to_string_pretty(&report)? + "\n";
        fs::write(file, json).with_context(|| format!("{} cannot be written", file.display()))?;
        println!("\nThe same as JSON: {}", file.display());
    }
    Ok(())
}

/// Serves what [`bare::prescribe`] has written.
pub(crate) fn serve_bare(answer: &Path) -> Result<()> {
    Runtime::new()?.block_on(bare::serve(answer))
}
