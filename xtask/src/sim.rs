//! `sim`: the simulation of both hops, with many seeds or with one to look at. The simulation itself is `tests/simulation/`.

use anyhow::Result;
use clap::Args;

use crate::process::{cargo, run};

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// How many seeds
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Only this seed, with everything that happens in it
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs it, optimised.
pub(crate) fn sim(options: &Options) -> Result<()> {
    let mut command = cargo();
    command.args(["test", "--release", "--package", "payby-checkout", "--test", "simulation"]);
    command.args(["--", "--nocapture", "--test-threads=1"]);
    if let Some(seed) = options.seed {
        command.arg("whatever_happens").env("SIM_SEED", seed.to_string());
    } else {
        command.env("SIM_SEEDS", options.seeds.to_string()).env("SIM_FIRST", options.first.to_string());
    }
    run(&mut command)
}
