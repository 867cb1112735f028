//! Pages that wait: each holds a connection and asks again as soon as its question comes back unanswered. One that is
//! refused, or not answered at all, asks again after a moment, as a page would; that is counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::client::{Connection, Request};
use super::stand::{Proxy, Sale};

/// How many pages come at a time. The system's queue of connections that the proxy has yet to accept is short, so the next come
/// when these have read their order.
const OPENED_AT_A_TIME: usize = 64;

/// How long anybody may wait for news that are there.
const PATIENCE: Duration = Duration::from_mins(2);

/// After which time a page tries again.
const MOMENT: Duration = Duration::from_secs(1);

/// Pages that wait at one instance.
pub(super) struct Parked {
    news: mpsc::UnboundedReceiver<News>,
    failures: Arc<AtomicU32>,
    /// They go away when this is dropped.
    _pages: JoinSet<()>,
}

/// A page has heard of a change.
#[derive(Debug)]
pub(super) struct News {
    /// Which order, as counted when the pages were parked.
    pub(super) order: usize,
    /// When it had read the answer.
    pub(super) at: Instant,
}

impl Parked {
    /// So many pages for each of these orders, all waiting when this comes back.
    pub(super) async fn at(proxy: &mut Proxy, sales: &[Sale], pages_each: usize) -> Result<Self> {
        let (tell, news) = mpsc::unbounded_channel();
        let failures = Arc::default();
        let mut pages = JoinSet::new();
        // In turns, so that an order's pages do not come at once.
        let mut all = (0..pages_each).flat_map(|_| sales.iter().enumerate());
        loop {
            let mut opening = JoinSet::new();
            for (order, sale) in all.by_ref().take(OPENED_AT_A_TIME) {
                let (address, tell, failures) = (proxy.address, tell.clone(), Arc::clone(&failures));
                let sale = sale.clone();
                opening.spawn(async move {
                    let mut connection = Connection::open(address).await?;
                    let answer = connection.ask(&sale.get()).await?.ok()?;
                    let held = sale.held(answer.header("etag").context("an order without a version")?);
                    anyhow::Ok(Page { order, held, address, connection, tell, failures })
                });
            }
            if opening.is_empty() {
                break;
            }
            while let Some(opened) = opening.join_next().await {
                pages.spawn(opened??.wait());
            }
        }
        proxy.wait_for_parked(pages.len()).await?;
        Ok(Self { news, failures, _pages: pages })
    }

    /// The next page that hears something.
    pub(super) async fn next(&mut self) -> Result<News> {
        timeout(PATIENCE, self.news.recv()).await.context("nobody was woken")?.context("every page is gone")
    }

    /// Fails if a page has heard something.
    pub(super) fn expect_quiet(&mut self) -> Result<()> {
        let news = self.news.try_recv();
        ensure!(news.is_err(), "a page heard something, and nothing had changed: {news:?}");
        Ok(())
    }

    /// How many questions were answered neither 200 nor 304, or not at all. The first is printed.
    pub(super) fn failures(&self) -> f64 {
        self.failures.load(Ordering::Relaxed).into()
    }
}

struct Page {
    order: usize,
    held: Request,
    address: SocketAddr,
    connection: Connection,
    tell: mpsc::UnboundedSender<News>,
    failures: Arc<AtomicU32>,
}

impl Page {
    async fn wait(mut self) {
        loop {
            match self.connection.ask(&self.held).await {
                Ok(answer) if answer.status == 304 => {}
                Ok(answer) if answer.status == 200 => break,
                Ok(answer) => self.fail(&format!("{} {}", answer.status, answer.body)).await,
                Err(error) => self.fail(&format!("{error:#}")).await,
            }
        }
        // Whoever listened may have gone.
        let _ = self.tell.send(News { order: self.order, at: Instant::now() });
    }

    async fn fail(&mut self, failure: &str) {
        if self.failures.fetch_add(1, Ordering::Relaxed) == 0 {
            println!("   a page was not answered: {failure}");
        }
        sleep(MOMENT).await;
        if let Ok(connection) = Connection::open(self.address).await {
            self.connection = connection;
        }
    }
}
