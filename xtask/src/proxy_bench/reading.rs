//! How many times a second the proxy says where an order stands, beside a server that always says the same.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::bare;
use super::client::{Connection, Request, ask_for};
use super::meter::{Process, milliseconds, quantile};
use super::report::{Figure, Part};
use super::{Bench, stand};
use crate::children::{self, Server};
use crate::process::this_program;

/// How many connections ask, each with one question at a time.
const CONNECTIONS: usize = 16;

/// What came of reading for a while.
pub(super) struct Reads {
    pub(super) a_second: f64,
    /// The server's processor time for each, in µs.
    pub(super) cost: f64,
    /// In ms, sorted.
    took: Vec<f64>,
}

/// Reads these for so long.
pub(super) async fn read(
    address: std::net::SocketAddr,
    process: Process,
    requests: &[Request],
    span: Duration,
) -> Result<Reads> {
    let begun = process.processor_time()?;
    let took = ask_for(span, address, CONNECTIONS, requests).await?;
    let used = process.processor_time_since(begun)?;
    #[allow(clippy::cast_precision_loss, reason = "a count of requests")]
    let count = took.len() as f64;
    Ok(Reads {
        a_second: count / span.as_secs_f64(),
        cost: used.as_secs_f64() * 1e6 / count,
        took: milliseconds(&took),
    })
}

/// The proxy and the bare server in turns.
pub(super) async fn measure(bench: &Bench) -> Result<Part> {
    let (runs, seconds) = bench.either((3, 1), (9, 3));
    let span = Duration::from_secs(seconds);
    let proxy = bench.proxy("read").await?;
    let sales = proxy.orders(100).await?;
    proxy.pay(&bench.gateway, &sales).await?;
    let requests: Vec<_> = sales.iter().map(stand::Sale::get).collect();

    let answer = Connection::open(proxy.address).await?.ask(&requests[0]).await?.ok()?;
    let file = bench.folder.join("answer");
    bare::prescribe(&answer, &file)?;
    let mut command = Command::new(this_program());
    let mut server = Server::start(bare::NAME, command.args(["bench", "bare"]).arg(&file), &bench.folder, false)?;
    let (bare, process) = (server.url()?.trim_start_matches("http://").parse()?, Process::of(&server));

    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..=runs {
        children::check_interrupt()?;
        ours.push(read(proxy.address, proxy.process(), &requests, span).await?);
        floor.push(read(bare, process, &requests, span).await?);
    }
    // The first are to warm up.
    let (ours, floor) = (&ours[1..], &floor[1..]);
    let each = |reads: &[Reads], figure: fn(&Reads) -> f64| reads.iter().map(figure).collect::<Vec<_>>();
    let ratio = |figure: fn(&Reads) -> f64| -> Vec<f64> {
        ours.iter().zip(floor).map(|(ours, floor)| figure(ours) / figure(floor)).collect()
    };
    Ok(Part {
        name: "read".to_owned(),
        of: format!(
            "GET of a paid order, unheld, {CONNECTIONS} connections that are kept, {runs} runs of {seconds} s, in turns with \
             a bare axum handler that answers the same bytes; {}",
            bench.database_name()
        ),
        figures: vec![
            Figure::median("reads", "/s", &each(ours, |reads| reads.a_second)),
            Figure::median("reads, bare handler", "/s", &each(floor, |reads| reads.a_second)),
            Figure::median("reads, of the bare handler's", "", &ratio(|reads| reads.a_second)),
            Figure::median("the proxy's processor time for one", "µs", &each(ours, |reads| reads.cost)),
            Figure::median("the bare handler's", "µs", &each(floor, |reads| reads.cost)),
            Figure::median("an answer, 50 %", "ms", &each(ours, |reads| quantile(&reads.took, 50))),
            Figure::median("an answer, 99 %", "ms", &each(ours, |reads| quantile(&reads.took, 99))),
        ],
    })
}
