//! Pages that wait: each holds a connection and asks again as soon as its question comes back unanswered.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::client::{Connection, Request};
use super::stand::{Proxy, Sale};

/// How many connections are opened at a time: the system's queue for them is short.
const OPENED_AT_A_TIME: usize = 64;

/// How long anybody may wait for news that are there.
const PATIENCE: Duration = Duration::from_mins(2);

/// Pages that wait at one instance.
pub(super) struct Parked {
    news: mpsc::UnboundedReceiver<News>,
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
    failure: Option<String>,
}

impl Parked {
    /// So many pages for each of these orders, all waiting when this comes back.
    pub(super) async fn at(proxy: &mut Proxy, sales: &[Sale], pages_each: usize) -> Result<Self> {
        let mut versions = Vec::new();
        let mut connection = Connection::open(proxy.address).await?;
        for sale in sales {
            let answer = connection.ask(&sale.get()).await?.ok()?;
            versions.push(sale.held(answer.header("etag").context("an order without a version")?));
        }
        let (tell, news) = mpsc::unbounded_channel();
        let mut pages = JoinSet::new();
        // In turns, so that an order's pages do not come at once.
        let mut all = (0..pages_each).flat_map(|_| versions.iter().enumerate());
        loop {
            let mut opening = JoinSet::new();
            for (order, held) in all.by_ref().take(OPENED_AT_A_TIME) {
                let (address, held) = (proxy.address, held.clone());
                opening.spawn(async move { Connection::open(address).await.map(|open| (order, held, open)) });
            }
            if opening.is_empty() {
                break;
            }
            while let Some(opened) = opening.join_next().await {
                let (order, held, connection) = opened??;
                pages.spawn(page(order, held, connection, tell.clone()));
            }
        }
        proxy.wait_for_parked(pages.len()).await?;
        Ok(Self { news, _pages: pages })
    }

    /// The next page that hears something.
    pub(super) async fn next(&mut self) -> Result<News> {
        let news =
            timeout(PATIENCE, self.news.recv()).await.context("nobody was woken")?.context("every page is gone")?;
        ensure!(news.failure.is_none(), "a page was not answered: {news:?}");
        Ok(news)
    }

    /// Fails if a page has heard something.
    pub(super) fn expect_quiet(&mut self) -> Result<()> {
        let news = self.news.try_recv();
        ensure!(news.is_err(), "a page heard something, and nothing had changed: {news:?}");
        Ok(())
    }
}

async fn page(order: usize, held: Request, mut connection: Connection, tell: mpsc::UnboundedSender<News>) {
    let failure = loop {
        match connection.ask(&held).await {
            Ok(answer) if answer.status == 304 => {}
            Ok(answer) if answer.status == 200 => break None,
            Ok(answer) => break Some(format!("{} {}", answer.status, answer.body)),
            Err(error) => break Some(format!("{error:#}")),
        }
    };
    // Whoever listened may have gone.
    let _ = tell.send(News { order, at: Instant::now(), failure });
}
