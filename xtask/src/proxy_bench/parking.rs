//! How much memory pages take that wait. All the while the proxy looks after their orders at the gateway, and each page asks
//! again after 25 s.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::Bench;
use super::meter::{milliseconds, quantile};
use super::parked::Parked;
use super::report::{Figure, Part};
use super::waking;
use crate::children;

/// What was to be reached: 15,000 pages in so much memory.
const MOST_MEMORY: f64 = 512.0;

/// So few that the proxy can ask about each as often as it has to, and the pages are what it is busy with.
const FEW_ORDERS: usize = 100;

/// How many wakes are measured while the others wait.
const WAKES: usize = 50;

/// 15,000 pages: for a few orders, and for as many.
pub(super) async fn measure(bench: &Bench) -> Result<Part> {
    let (pages, hold) = bench.either((3_000, 5), (15_000, 30));
    let span = Duration::from_secs(hold);
    let mut figures = park(bench, FEW_ORDERS, pages / FEW_ORDERS, span).await?;
    figures.extend(park(bench, pages, 1, span).await?);
    Ok(Part {
        name: "park".to_owned(),
        of: format!(
            "{pages} pages that wait (`Prefer: wait=25`, asked again when it is over), each on a connection of its own, for \
             {hold} s; memory: the proxy's resident memory, the most that was seen. Each order that a page waits for is due \
             for a query 6 s after the last at the latest (R9). {pages} orders need {} a second: where processors and disk \
             do not suffice for that, the queries are late, and the figures say by how much; {}",
            pages / 6,
            bench.database_name()
        ),
        figures,
    })
}

async fn park(bench: &Bench, orders: usize, pages_each: usize, hold: Duration) -> Result<Vec<Figure>> {
    const MB: f64 = 1024.0 * 1024.0;
    let mut proxy = bench.proxy(&format!("park-{orders}")).await?;
    let process = proxy.process();
    let created = Instant::now();
    let sales = proxy.orders(orders).await?;
    let created = created.elapsed().as_secs_f64();
    let before = process.resident_memory()?;
    let mut parked = Parked::at(&mut proxy, &sales, pages_each).await?;
    let begun = Instant::now();
    let asked = proxy.queries().await?;
    let used = process.processor_time()?;
    let mut most = 0;
    while begun.elapsed() < hold {
        children::check_interrupt()?;
        most = most.max(process.resident_memory()?);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    parked.expect_quiet()?;
    let seconds = begun.elapsed().as_secs_f64();
    let asked = (proxy.queries().await? - asked) / seconds;
    let used = process.processor_time_since(used)?.as_secs_f64() / seconds;
    let unasked = milliseconds(&proxy.since_queries().await?);
    let failures = parked.failures();
    let address = proxy.address;
    let some = &sales[..sales.len().min(WAKES)];
    let woken = milliseconds(&waking::wake(parked, pages_each, address, &bench.gateway, some).await?);
    #[allow(clippy::cast_precision_loss, reason = "bytes and pages, far below 2⁵²")]
    let (most, each) = (most as f64 / MB, (most - before) as f64 / 1024.0 / (orders * pages_each) as f64);
    let name = |what: &str| format!("{orders} orders: {what}");
    let memory = Figure::one(name("memory"), "MB", most);
    Ok(vec![
        // Fewer pages prove nothing.
        if bench.is_quick { memory } else { memory.at_most(MOST_MEMORY) },
        Figure::one(name("memory of each page"), "KB", each),
        Figure::one(name("answers neither 200 nor 304"), "", failures).at_most(0.0),
        Figure::one(name("until they were created"), "s", created),
        Figure::one(name("queries of PayBy meanwhile"), "/s", asked),
        Figure::one(name("since an order's last query, 50 %"), "s", quantile(&unasked, 50) / 1e3),
        Figure::one(name("since an order's last query, the most"), "s", quantile(&unasked, 100) / 1e3),
        Figure::one(name("the proxy's processor time meanwhile"), "cores", used),
        Figure::one(name("one wake meanwhile, 50 %"), "ms", quantile(&woken, 50)),
        Figure::one(name("one wake meanwhile, 99 %"), "ms", quantile(&woken, 99)),
    ])
}
