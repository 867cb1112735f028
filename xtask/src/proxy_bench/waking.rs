//! How long it takes from PayBy's notification to the page that waits.
//!
//! The time runs from right before the notification's first byte is sent until the page's answer is read to its end. In
//! between the proxy verifies a signature, commits, and wakes; so beside it stands what one write takes to reach the disk.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::task::JoinSet;

use super::Bench;
use super::client::{Connection, Request};
use super::meter::{milliseconds, quantile, write_to_disk};
use super::parked::Parked;
use super::report::{Figure, Part};
use super::stand::{CREATED_AT_A_TIME, Gateway, Proxy, Sale};
use crate::children;

/// What was to be reached, in ms.
const MOST_FOR_ONE: f64 = 50.0;

/// PayBy's deliveries come side by side, so many at a time.
const DELIVERIES: usize = 32;

/// Parks a page for each of so many orders at one instance, and has PayBy notify another (or the same) of one after the
/// other.
pub(super) async fn one_by_one(
    waits_at: &mut Proxy,
    notified: SocketAddr,
    gateway: &Gateway,
    count: usize,
) -> Result<Vec<Duration>> {
    let sales = waits_at.orders(count).await?;
    let parked = Parked::at(waits_at, &sales, 1).await?;
    wake(parked, 1, notified, gateway, &sales).await
}

/// Notifies of one order after the other, for each of which so many pages wait.
pub(super) async fn wake(
    mut parked: Parked,
    pages_each: usize,
    notified: SocketAddr,
    gateway: &Gateway,
    sales: &[Sale],
) -> Result<Vec<Duration>> {
    let mut payby = Connection::open(notified).await?;
    let mut took = Vec::new();
    for (order, sale) in sales.iter().enumerate() {
        children::check_interrupt()?;
        let notification = sale.notification(gateway);
        parked.expect_quiet()?;
        let begun = Instant::now();
        payby.ask(&notification).await?.ok()?;
        for _ in 0..pages_each {
            let news = parked.next().await?;
            ensure!(news.order == order, "a page heard something of its order {}, and nothing had changed", news.order);
            took.push(news.at - begun);
        }
        // The next is not to meet what this one still has to do.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(took)
}

/// One order, for which so many pages wait.
async fn all_of_one(proxy: &mut Proxy, gateway: &Gateway, pages: usize) -> Result<Vec<Duration>> {
    let sales = proxy.orders(1).await?;
    let parked = Parked::at(proxy, &sales, pages).await?;
    let address = proxy.address;
    wake(parked, pages, address, gateway, &sales).await
}

/// What came of paying many orders at once, for each of which a page waits.
struct Burst {
    /// From each order's own notification to its page.
    took: Vec<Duration>,
    /// From the first notification to the last page.
    in_all: Duration,
    /// How often PayBy was asked about an order meanwhile.
    queries: f64,
    /// How many of the pages' questions were not answered as they should.
    failures: f64,
}

/// So many orders are paid at once.
async fn all_of_many(proxy: &mut Proxy, gateway: &Gateway, orders: usize) -> Result<Burst> {
    let sales = proxy.open_purchases(orders).await?;
    // Signed before there is anything to look after.
    let mut shares: Vec<Vec<(usize, Request)>> = vec![Vec::new(); DELIVERIES];
    for (order, sale) in sales.iter().enumerate() {
        shares[order % DELIVERIES].push((order, sale.notification(gateway)));
    }
    proxy.create(&sales, CREATED_AT_A_TIME).await?;
    let mut parked = Parked::at(proxy, &sales, 1).await?;
    let queries = proxy.queries().await?;
    let mut deliveries = JoinSet::new();
    for share in shares {
        let mut payby = Connection::open(proxy.address).await?;
        deliveries.spawn(async move {
            let mut sent = Vec::new();
            for (order, notification) in share {
                sent.push((order, Instant::now()));
                payby.ask(&notification).await?.ok()?;
            }
            anyhow::Ok(sent)
        });
    }
    let mut sent = HashMap::new();
    while let Some(some) = deliveries.join_next().await {
        sent.extend(some??);
    }
    let (mut took, mut heard) = (Vec::new(), Vec::new());
    for _ in 0..orders {
        let news = parked.next().await?;
        took.extend(sent.get(&news.order).map(|at| news.at - *at));
        heard.push(news.at);
    }
    let queries = proxy.queries().await? - queries;
    let (first, last) = sent.values().min().zip(heard.iter().max()).context("no orders")?;
    Ok(Burst { took, in_all: *last - *first, queries, failures: parked.failures() })
}

/// One at a time, and ten thousand at once: for one order, and for as many.
pub(super) async fn measure(bench: &Bench) -> Result<Part> {
    let (runs, single, many) = bench.either((2, 30, 1_000), (10, 50, 10_000));
    let mut proxy = bench.proxy("wake").await?;
    let mut one = Vec::new();
    for _ in 0..runs {
        one.extend(one_by_one_here(&mut proxy, &bench.gateway, single).await?);
    }
    let one = milliseconds(&one);
    let disk = milliseconds(&write_to_disk(&bench.folder)?);
    let of_one = milliseconds(&all_of_one(&mut proxy, &bench.gateway, many).await?);
    let burst = all_of_many(&mut proxy, &bench.gateway, many).await?;
    let (took, in_all) = (milliseconds(&burst.took), burst.in_all.as_secs_f64());
    let of_many = |what: &str| format!("{many} orders with a page each: {what}");
    Ok(Part {
        name: "wake".to_owned(),
        of: format!(
            "from a notification's first byte to the answer of the page that waits; one: {runs} runs of {single} \
             orders with a page each, notified one by one; {many} orders: all notified at once, over {DELIVERIES} \
             connections as fast as they are taken, while the proxy goes on to ask about the others; {}",
            bench.database_name()
        ),
        figures: vec![
            Figure::one("one wake, 50 %", "ms", quantile(&one, 50)),
            Figure::one("one wake, 99 %", "ms", quantile(&one, 99)).at_most(MOST_FOR_ONE),
            Figure::one("4 KiB written to the disk, 50 %", "ms", quantile(&disk, 50)),
            Figure::one("4 KiB written to the disk, 99 %", "ms", quantile(&disk, 99)),
            Figure::one(format!("one order with {many} pages, 50 %"), "ms", quantile(&of_one, 50)),
            Figure::one(format!("one order with {many} pages, 99 %"), "ms", quantile(&of_one, 99)),
            Figure::one(of_many("50 %"), "ms", quantile(&took, 50)),
            Figure::one(of_many("99 %"), "ms", quantile(&took, 99)),
            Figure::one(of_many("in all"), "s", in_all),
            Figure::one(of_many("queries of PayBy meanwhile"), "/s", burst.queries / in_all),
            Figure::one(of_many("answers neither 200 nor 304"), "", burst.failures).at_most(0.0),
        ],
    })
}

async fn one_by_one_here(proxy: &mut Proxy, gateway: &Gateway, count: usize) -> Result<Vec<Duration>> {
    let address = proxy.address;
    one_by_one(proxy, address, gateway, count).await
}
