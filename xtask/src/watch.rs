//! `cargo xtask bench watch`: how payment front ends watch an order, ours and its peers, over the same payers.
//!
//! A discrete-event comparison, faster than time and from one seed: what a page asks while it waits, when it knows, and
//! what it gets wrong. Ours is the real [`Checkout`](payby_checkout::checkout::Checkout) machine; a peer is its
//! schedule, as read from its source. It sends nothing, and reads no clock.
//!
//! | to find | look in |
//! |---|---|
//! | who pays, when, and who is away meanwhile | [`payer`] |
//! | what comes of watching one order, and of many | [`sight`] |
//! | our machine over a modelled backend | [`ours`] |
//! | the peers and where each was read | [`peers`] |
//! | the fewest questions that a schedule needs | [`optimum`] |
//! | the table and the JSON | [`report`] |

mod optimum;
mod ours;
mod payer;
mod peers;
mod report;
mod sight;

use std::path::PathBuf;

use anyhow::{Context, Result};

use optimum::Optimum;
use ours::Backend;
use payer::Payer;
use peers::Peer;
use report::{Report, Row};
use sight::{Figures, Sight};

/// What to compare over.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// How many orders each front end watches
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    orders: u32,
    /// What the payers and the network are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Writes the figures to this file as well, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Prints the comparison.
pub(crate) fn run(options: &Options) -> Result<()> {
    let report = compare(options.orders, options.seed);
    print!("{report}");
    if let Some(file) = &options.json {
        let json = serde_json::to_string_pretty(&report)? + "\n";
        std::fs::write(file, json).with_context(|| format!("{} cannot be written", file.display()))?;
        println!("\nThe same as JSON: {}", file.display());
    }
    Ok(())
}

/// The same orders, watched by everyone.
fn compare(orders: u32, seed: u64) -> Report {
    let payers = payer::population(orders, seed);
    let ours = |backend: Backend| Row::new(backend.name(), None, figures(&payers, |payer| ours::watch(payer, backend)));
    let peer = |peer: &Peer| Row::new(peer.name, Some(peer.source), figures(&payers, |payer| peer.watch(payer)));
    let rows: Vec<Row> = Backend::ALL.map(ours).into_iter().chain(peers::ALL.iter().map(peer)).collect();
    let optimum = Optimum::of(rows[0].figures.staying.mean - payer::mean_way_back());
    Report::new(orders, seed, rows, optimum)
}

fn figures(payers: &[Payer], watch: impl Fn(&Payer) -> Sight) -> Figures {
    payers.iter().map(|payer| (payer, watch(payer))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
        let text = |seed| {
            let report = compare(40, seed);
            (report.to_string(), serde_json::to_string(&report).unwrap())
        };
        assert_eq!(text(5), text(5));
        assert_ne!(text(5), text(6));
    }

    #[test]
    fn ours_misses_no_payment_and_ends_no_order_falsely() {
        let payers = payer::population(400, 3);
        for backend in Backend::ALL {
            let figures = figures(&payers, |payer| ours::watch(payer, backend));
            assert_eq!((figures.misses, figures.false_endings), (0, 0), "{backend:?}");
        }
    }
}
