//! Starts and stops the proxy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::{App, Shared};
use crate::config::Config;
use crate::gateway::Gateway;
use crate::router::router;
use crate::store::{self, Store};
use crate::waiting::Waiting;
use crate::worker;

/// How long calls to the gateway that are under way may take to end. One that is cut off leaves "unknown", which is true.
const GRACE: Duration = Duration::from_secs(5);

/// Why the proxy could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be opened.
    #[error("the database cannot be opened: {0}")]
    Database(#[from] store::Error),
    /// TLS cannot be set up.
    #[error("the gateway's client cannot be set up: {0}")]
    Gateway(#[from] reqwest::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
}

/// A proxy that answers.
#[derive(Debug)]
pub struct Running {
    /// Where it listens, with the port that it got.
    pub address: SocketAddr,
    app: App,
    serving: JoinHandle<std::io::Result<()>>,
}

/// Starts the proxy. When this comes back it answers.
///
/// # Errors
/// The database, TLS or the address cannot be had.
pub async fn start(config: Config) -> Result<Running, StartError> {
    let store = Store::open(&config.database_url).await?;
    let listen = |error| StartError::Listen { address: config.listen, error };
    let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let app = Arc::new(Shared {
        notify_url: config.notify_url(address),
        store,
        gateway: Gateway::new(config.gateway)?,
        waiting: Arc::new(Waiting::default()),
        clock: config.clock,
        policy: config.policy,
        allowed_origins: config.allowed_origins,
        api_keys: config.api_keys,
        token_lifetime: config.token_lifetime,
        pay_within: config.pay_within,
        stopping: watch::Sender::new(false),
        tasks: watch::Sender::new(0),
    });
    for number in app.store.live_orders().await? {
        if let Some(order) = app.store.order(&number).await? {
            worker::watch(&app, &order);
        }
    }
    let stop = app.clone();
    let server = axum::serve(listener, router(app.clone())).with_graceful_shutdown(async move { stop.stopped().await });
    let serving = tokio::spawn(async move { server.await });
    Ok(Running { address, app, serving })
}

impl Running {
    /// Stops: parked requests are answered at once, calls to the gateway that are under way get a few seconds.
    pub async fn shutdown(self) {
        self.app.stopping.send_replace(true);
        let abort = self.serving.abort_handle();
        if tokio::time::timeout(GRACE, self.serving).await.is_err() {
            abort.abort();
        }
        let mut tasks = self.app.tasks.subscribe();
        let _ = tokio::time::timeout(GRACE, tasks.wait_for(|tasks| *tasks == 0)).await;
        self.app.store.close().await;
    }
}
