//! How long news take from the instance that PayBy notifies to a page that waits at another.

use anyhow::Result;

use super::Bench;
use super::meter::{milliseconds, quantile};
use super::postgres::Postgres;
use super::report::{Figure, Part};
use super::stand::Proxy;
use super::waking::one_by_one;

/// What was to be reached, in ms.
const MOST_ACROSS: f64 = 250.0;

/// Two instances over one PostgreSQL, in turns.
pub(super) async fn measure(bench: &Bench) -> Result<Part> {
    let (runs, count) = bench.either((2, 30), (5, 100));
    let own;
    let postgres = if let Some(postgres) = &bench.postgres {
        postgres
    } else {
        own = Postgres::start()?;
        &own
    };
    let database = postgres.database("instances").await?;
    let notified = Proxy::start(&bench.gateway, "instance-1", &database)?;
    let mut waits_at = Proxy::start(&bench.gateway, "instance-2", &database)?;
    let (here, there) = (waits_at.address, notified.address);
    let (mut same, mut across) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        same.extend(one_by_one(&mut waits_at, here, &bench.gateway, count).await?);
        across.extend(one_by_one(&mut waits_at, there, &bench.gateway, count).await?);
    }
    let (same, across) = (milliseconds(&same), milliseconds(&across));
    Ok(Part {
        name: "instances".to_owned(),
        of: format!(
            "one wake with two instances over one database, {runs} runs of {count} orders; the page waits at the instance \
             that is notified, or at the other; {}",
            postgres.version
        ),
        figures: vec![
            Figure::one("the same instance, 50 %", "ms", quantile(&same, 50)),
            Figure::one("the same instance, 99 %", "ms", quantile(&same, 99)),
            Figure::one("across two, 50 %", "ms", quantile(&across, 50)),
            Figure::one("across two, 99 %", "ms", quantile(&across, 99)).at_most(MOST_ACROSS),
        ],
    })
}
