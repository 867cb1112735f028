//! What a new order costs the proxy.

use std::time::Duration;

use anyhow::Result;

use super::Bench;
use super::meter::signature;
use super::report::{Figure, Part};
use super::stand::{Gateway, Proxy, SIDE_BY_SIDE};

/// What was to be reached.
const MOST_SIGNATURES: f64 = 3.0;

/// The proxy's processor time for each of so many orders, from purchases that are open already. They are decided afterwards,
/// so that nobody looks after them while the next are measured.
pub(super) async fn cost(proxy: &Proxy, gateway: &Gateway, count: u32) -> Result<Duration> {
    let sales = proxy.open_purchases(count as usize).await?;
    let begun = proxy.process().processor_time()?;
    proxy.create(&sales, SIDE_BY_SIDE).await?;
    let cost = proxy.process().processor_time_since(begun)? / count;
    proxy.pay(gateway, &sales).await?;
    Ok(cost)
}

/// Against one signature, measured right before.
pub(super) async fn measure(bench: &Bench) -> Result<Part> {
    let (runs, count) = bench.either((3, 50), (15, 50));
    let proxy = bench.proxy("create").await?;
    // Connections, statements and memory are made once.
    cost(&proxy, &bench.gateway, count).await?;
    let (mut orders, mut signatures, mut ratios, mut queries) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        let signature = signature(&bench.gateway.signing).as_secs_f64() * 1e6;
        let asked = proxy.queries().await?;
        let order = cost(&proxy, &bench.gateway, count).await?.as_secs_f64() * 1e6;
        queries.push((proxy.queries().await? - asked) / f64::from(count));
        orders.push(order);
        signatures.push(signature);
        ratios.push(order / signature);
    }
    Ok(Part {
        name: "create".to_owned(),
        of: format!(
            "the proxy's processor time (user and system) for a PUT of a new order, {runs} runs of {count}, \
             {SIDE_BY_SIDE} at a time; {}",
            bench.database_name()
        ),
        figures: vec![
            Figure::median("one order", "µs", &orders),
            Figure::median("one RSA-2048 signature", "µs", &signatures),
            Figure::median("one order, in signatures", "", &ratios).at_most(MOST_SIGNATURES),
            Figure::median("queries of PayBy that fell into it, for each order", "", &queries),
        ],
    })
}
