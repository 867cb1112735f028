//! What many stored orders do to the costs.

use std::time::Duration;

use anyhow::Result;

use super::Bench;
use super::fill::fill;
use super::meter::{milliseconds, quantile};
use super::report::{Figure, Part};
use super::stand::{Proxy, Sale};
use super::{creating, reading, waking};
use crate::children;
use crate::process::seconds;

/// What was to be reached: the costs with the most orders over those with the fewest.
const MOST: f64 = 1.3;

/// What operations cost, each with its unit.
const COSTS: [(&str, &str); 4] = [
    ("the proxy's time for one order", "µs"),
    ("the proxy's time for one read", "µs"),
    ("reads", "/s"),
    ("one wake, 50 %", "ms"),
];

/// A proxy over a database with so many old orders, and some that are read.
struct Filled {
    count: usize,
    proxy: Proxy,
    sales: Vec<Sale>,
    /// By cost, each run's.
    runs: [Vec<f64>; 4],
}

impl Filled {
    async fn with(bench: &Bench, count: usize) -> Result<Self> {
        let name = format!("stored-{count}");
        let database = bench.database(&name).await?;
        let begun = std::time::Instant::now();
        {
            let proxy = Proxy::start(&bench.gateway, &name, &database)?;
            let first = proxy.orders(1).await?;
            proxy.pay(&bench.gateway, &first).await?;
        }
        fill(&database, count).await?;
        println!("   {count} orders stored in {}", seconds(begun.elapsed()));
        let proxy = Proxy::start(&bench.gateway, &name, &database)?;
        let sales = proxy.orders(200).await?;
        proxy.pay(&bench.gateway, &sales).await?;
        Ok(Self { count, proxy, sales, runs: Default::default() })
    }

    async fn run(&mut self, bench: &Bench) -> Result<()> {
        let (orders, span, wakes) = bench.either((50, 1, 20), (50, 2, 50));
        let order = creating::cost(&self.proxy, &bench.gateway, orders).await?.as_secs_f64() * 1e6;
        let requests: Vec<_> = self.sales.iter().map(Sale::get).collect();
        let (address, process) = (self.proxy.address, self.proxy.process());
        let reads = reading::read(address, process, &requests, Duration::from_secs(span)).await?;
        let wakes = waking::one_by_one(&mut self.proxy, address, &bench.gateway, wakes).await?;
        let wake = quantile(&milliseconds(&wakes), 50);
        for (runs, cost) in self.runs.iter_mut().zip([order, reads.cost, reads.a_second, wake]) {
            runs.push(cost);
        }
        Ok(())
    }
}

/// The same at each size, in turns.
pub(super) async fn measure(bench: &Bench) -> Result<Part> {
    let sizes: &[usize] = bench.either(&[10_000, 100_000], &[10_000, 100_000, 1_000_000]);
    let runs = bench.either(3, 7);
    let mut all = Vec::new();
    for &count in sizes {
        all.push(Filled::with(bench, count).await?);
    }
    for run in 0..=runs {
        for filled in &mut all {
            children::check_interrupt()?;
            filled.run(bench).await?;
            if run == 0 {
                // That was to warm up.
                filled.runs = Default::default();
            }
        }
    }
    let mut figures = Vec::new();
    for (cost, (what, unit)) in COSTS.into_iter().enumerate() {
        for filled in &all {
            figures.push(Figure::median(format!("{what}, {} stored", filled.count), unit, &filled.runs[cost]));
        }
        let (Some(few), Some(many)) = (all.first(), all.last()) else { continue };
        let pairs = few.runs[cost].iter().zip(&many.runs[cost]);
        // Of a rate, fewer is dearer.
        let ratios: Vec<_> = pairs.map(|(few, many)| if unit == "/s" { few / many } else { many / few }).collect();
        figures.push(Figure::median(format!("{what}, {} over {}", many.count, few.count), "", &ratios).at_most(MOST));
    }
    Ok(Part {
        name: "store".to_owned(),
        of: format!(
            "what operations cost with so many paid orders in the database, {runs} runs at each size in turns, ratios by run \
             (of reads a second, the inverse); new orders are created and waited for, of 200 recent ones all are read; {}",
            bench.database_name()
        ),
        figures,
    })
}
