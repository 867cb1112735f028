//! A stateful PayBy on your own machine, for development and tests. It never talks to the real one, and moves no money.
//!
//! It answers PayBy's signed calls, shows a pay page, and notifies the merchant: everything that a checkout needs from
//! PayBy, with the faults that a checkout must survive.
//!
//! | to find | look in |
//! |---|---|
//! | what becomes of an order, and what PayBy refuses | [`model`] |
//! | the signed calls | `gateway` |
//! | the pay page | `cashier` |
//! | the delivery of notifications | `notifier` |
//! | what tests and developers can see and do: the API under `/sim` | [`control`] |
//! | the faults, and payers who act by themselves | [`faults`], [`payers`] |
//! | the event log, and the page that shows it | [`journal`], `log_page` |
//! | the key files | [`keys`] |
//! | PayBy's acceptance cases, run against a merchant's stack | [`certify`] |
//!
//! In a test, run it in the test's own process:
//!
//! ```no_run
//! # async fn test() -> anyhow::Result<()> {
//! let payby = payby_sim::start(payby_sim::Settings::new("target/keys")).await?;
//! println!("point the proxy at {}", payby.base_url());
//! payby.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod cashier;
pub mod certify;
pub mod clock;
pub mod control;
pub mod faults;
mod gateway;
pub mod journal;
pub mod keys;
mod log_page;
pub mod model;
mod notifier;
pub mod payers;
mod server;
mod simulator;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use payby_checkout::time::Millis;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

use crate::clock::Clock;
use crate::faults::{Faults, Profile};
use crate::journal::Entry;
use crate::model::Model;
use crate::simulator::Simulator;

/// The path of the signed calls, below the public URL.
pub const BASE_PATH: &str = "/sgs/api";

/// How a simulator is to be run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the payer's browser finds this simulator. Default: `http://` and the address.
    pub public_url: Option<String>,
    /// The directory of the key files, see [`keys`].
    pub keys: PathBuf,
    /// The one merchant's `Partner-Id`.
    pub partner_id: String,
    /// What goes wrong from the beginning.
    pub faults: Profile,
    /// How long after its end PayBy takes to close an order; meanwhile it is CREATED, and cannot be paid.
    pub closing_delay: Millis,
    /// What tells the time.
    pub clock: Clock,
}

impl Settings {
    /// On a free port of this machine, for the partner `200000000001`.
    pub fn new(keys: impl Into<PathBuf>) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            public_url: None,
            keys: keys.into(),
            partner_id: "200000000001".to_owned(),
            faults: Profile::default(),
            closing_delay: Millis(0),
            clock: Clock::Wall,
        }
    }
}

/// A simulator that listens. Dropping it shuts it down as well, without waiting for that.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where the payer's browser finds it; no slash at the end.
    pub public_url: String,
    simulator: Arc<Simulator>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    /// The base URL of the signed calls, by the address.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}{BASE_PATH}", self.address)
    }

    /// The event log, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Entry> {
        self.simulator.state().journal.entries().cloned().collect()
    }

    /// Stops: takes no new calls, lets those under way end (for at most 5 s), sends no more notifications.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the simulator ended badly");
            }
        }
    }
}

/// Starts a simulator with no orders. When this returns, it listens.
///
/// # Errors
/// The keys cannot be read, made, or do not match; the address is taken; the public URL is none.
pub async fn start(settings: Settings) -> anyhow::Result<Running> {
    let keys = keys::Keys::open(&settings.keys)?;
    let listener =
        TcpListener::bind(settings.listen).await.with_context(|| format!("cannot listen on {}", settings.listen))?;
    let address = listener.local_addr().context("the listener has no address")?;
    let public_url = match settings.public_url {
        Some(url) => checked(&url)?,
        None => format!("http://{address}"),
    };

    let (stop, stopped) = watch::channel(false);
    let model = Model::new(format!("{public_url}/cashier")).closing_after(settings.closing_delay);
    let faults = Faults::new(settings.faults);
    let simulator = Arc::new(Simulator::new(keys, settings.partner_id, settings.clock, model, faults, stopped.clone()));
    let router = Router::new()
        .nest(BASE_PATH, gateway::router())
        .nest("/cashier", cashier::router())
        .nest("/sim", control::router())
        .with_state(Arc::clone(&simulator));
    let notifier = notifier::Notifier::new(Arc::clone(&simulator))?;
    let tasks =
        vec![tokio::spawn(server::serve(listener, router, stopped.clone())), tokio::spawn(notifier.run(stopped))];
    Ok(Running { address, public_url, simulator, stop, tasks })
}

fn checked(public_url: &str) -> anyhow::Result<String> {
    let url = Url::parse(public_url).with_context(|| format!("the public URL {public_url:?} is not a URL"))?;
    anyhow::ensure!(
        matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none(),
        "the public URL {public_url:?} should be like https://payby.example"
    );
    Ok(url.as_str().trim_end_matches('/').to_owned())
}
