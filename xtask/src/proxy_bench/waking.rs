//! How long it takes from PayBy's notification to the page that waits.
//!
//! The time runs from right before the notification's first byte is sent until the page's answer is read to its end. In
//! between the proxy verifies a signature, commits, and wakes; so beside it stands what one write takes to reach the disk.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use super::Bench;
use super::client::{Connection, Request};
use super::meter::{milliseconds, quantile, write_to_disk};
use super::parked::Parked;
use super::report::{Figure, Part};
use super::stand::{Gateway, Proxy, Sale};
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
    let mut parked = Parked::at(proxy, &sales, pages).await?;
    let (notification, mut payby) = (sales[0].notification(gateway), Connection::open(proxy.address).await?);
    let begun = Instant::now();
    payby.ask(&notification).await?.ok()?;
    let mut took = Vec::new();
    for _ in 0..pages {
        took.push(parked.next().await?.at - begun);
    }
    Ok(took)
}

/// So many pages for each of these orders, which are all paid at once. Answers how long each page took from its order's own
/// notification on, and from the first.
async fn all_of_many(
    proxy: &mut Proxy,
    gateway: &Gateway,
    orders: usize,
    pages_each: usize,
) -> Result<(Vec<Duration>, Vec<Duration>)> {
    let sales = proxy.orders(orders).await?;
    let mut parked = Parked::at(proxy, &sales, pages_each).await?;
    let mut shares: Vec<Vec<(usize, Request)>> = vec![Vec::new(); DELIVERIES];
    for (order, sale) in sales.iter().enumerate() {
        shares[order % DELIVERIES].push((order, sale.notification(gateway)));
    }
    let mut deliveries = JoinSet::new();
    let begun = Instant::now();
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
    let (mut own, mut first) = (Vec::new(), Vec::new());
    for _ in 0..orders * pages_each {
        let news = parked.next().await?;
        own.extend(sent.get(&news.order).map(|at| news.at - *at));
        first.push(news.at - begun);
    }
    Ok((own, first))
}

/// One at a time, and ten thousand at once: for one order, and for many. Many are still few enough that the questions about
/// them, which each live order needs every few seconds, are not what is measured.
pub(super) async fn measure(bench: &Bench) -> Result<Part> {
    let (single, many, orders) = bench.either((60, 1_000, 20), (500, 10_000, 100));
    let mut proxy = bench.proxy("wake").await?;
    let one = milliseconds(&one_by_one_here(&mut proxy, &bench.gateway, single).await?);
    let disk = milliseconds(&write_to_disk(&bench.folder)?);
    let of_one = milliseconds(&all_of_one(&mut proxy, &bench.gateway, many).await?);
    let mut figures = vec![
        Figure::one("one wake, 50 %", "ms", quantile(&one, 50)),
        Figure::one("one wake, 99 %", "ms", quantile(&one, 99)).at_most(MOST_FOR_ONE),
        Figure::one("4 KiB written to the disk, 50 %", "ms", quantile(&disk, 50)),
        Figure::one("4 KiB written to the disk, 99 %", "ms", quantile(&disk, 99)),
        Figure::one(format!("{many} pages that wait for one order, 50 %"), "ms", quantile(&of_one, 50)),
        Figure::one(format!("{many} pages that wait for one order, 99 %"), "ms", quantile(&of_one, 99)),
    ];
    let (own, first) = all_of_many(&mut proxy, &bench.gateway, orders, many / orders).await?;
    let (own, first) = (milliseconds(&own), milliseconds(&first));
    for (what, took) in [("their own notification", own), ("the first", first)] {
        for percent in [50, 99] {
            let name = format!("{many} pages for {orders} orders, from {what}, {percent} %");
            figures.push(Figure::one(name, "ms", quantile(&took, percent)));
        }
    }
    Ok(Part {
        name: "wake".to_owned(),
        of: format!(
            "from a notification's first byte to the answer of the page that waits; one: {single} orders with a page each, \
             notified one by one; at once: over {DELIVERIES} connections; {}",
            bench.database_name()
        ),
        figures,
    })
}

async fn one_by_one_here(proxy: &mut Proxy, gateway: &Gateway, count: usize) -> Result<Vec<Duration>> {
    let address = proxy.address;
    one_by_one(proxy, address, gateway, count).await
}
