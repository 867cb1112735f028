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

/// What was to be reached: so many pages in so much memory.
const PAGES: usize = 15_000;
/// For so many live orders. Each is asked about every few seconds and every question is written down, so that with a
/// thousand of them the orders, and not the pages, are what a small machine is busy with.
const ORDERS: usize = 100;
const MOST_MEMORY: f64 = 512.0;

/// 15,000 pages, 150 for each order.
pub(super) async fn measure(bench: &Bench) -> Result<Part> {
    let hold = Duration::from_secs(bench.either(5, 40));
    let figures = park(bench, ORDERS, hold).await?;
    Ok(Part {
        name: "park".to_owned(),
        of: format!(
            "{PAGES} pages that wait (`Prefer: wait=25`, asked again when it is over), each on a connection of its own, for \
             {} s; the proxy's resident memory, the most that was seen; {}",
            hold.as_secs(),
            bench.database_name()
        ),
        figures,
    })
}

async fn park(bench: &Bench, orders: usize, hold: Duration) -> Result<Vec<Figure>> {
    const MB: f64 = 1024.0 * 1024.0;
    let mut proxy = bench.proxy(&format!("park-{orders}")).await?;
    let sales = proxy.orders(orders).await?;
    let process = proxy.process();
    let before = process.resident_memory()?;
    let mut parked = Parked::at(&mut proxy, &sales, PAGES / orders).await?;
    let begun = Instant::now();
    let asked = proxy.metric(r#"payby_proxy_gateway_calls_total{call="getOrder""#).await?;
    let used = process.processor_time()?;
    let mut most = 0;
    while begun.elapsed() < hold {
        children::check_interrupt()?;
        most = most.max(process.resident_memory()?);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    parked.expect_quiet()?;
    let seconds = begun.elapsed().as_secs_f64();
    let asked = (proxy.metric(r#"payby_proxy_gateway_calls_total{call="getOrder""#).await? - asked) / seconds;
    let used = process.processor_time_since(used)?.as_secs_f64() / seconds;
    let address = proxy.address;
    let some = &sales[..sales.len().min(50)];
    let woken = milliseconds(&waking::wake(parked, PAGES / orders, address, &bench.gateway, some).await?);
    #[allow(clippy::cast_precision_loss, reason = "bytes and pages, far below 2⁵²")]
    let (most, each) = (most as f64 / MB, (most - before) as f64 / 1024.0 / PAGES as f64);
    let name = |what: &str| format!("{orders} orders: {what}");
    Ok(vec![
        Figure::one(name("memory"), "MB", most).at_most(MOST_MEMORY),
        Figure::one(name("memory of each page"), "KB", each),
        Figure::one(name("queries of PayBy meanwhile"), "/s", asked),
        Figure::one(name("the proxy's processor time meanwhile"), "cores", used),
        Figure::one(name("one wake meanwhile, 50 %"), "ms", quantile(&woken, 50)),
        Figure::one(name("one wake meanwhile, 99 %"), "ms", quantile(&woken, 99)),
    ])
}
