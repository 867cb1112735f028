//! Starts and stops the proxy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use secrecy::ExposeSecret as _;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::alerts::{self, Alerts};
use crate::app::{App, Shared};
use crate::config::Config;
use crate::gateway::Gateway;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::refunds;
use crate::router::{operator_router, router};
use crate::store::{self, Store};
use crate::waiting::Waiting;
use crate::{instances, worker};

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
    /// Where `/metrics` is served, if it is.
    pub metrics_address: Option<SocketAddr>,
    app: App,
    serving: Vec<JoinHandle<std::io::Result<()>>>,
}

/// Starts the proxy. When this comes back it answers.
///
/// # Errors
/// The database, TLS or the address cannot be had.
pub async fn start(config: Config) -> Result<Running, StartError> {
    let store = Store::open(config.database_url.expose_secret()).await?;
    let (listener, address) = listen(config.listen).await?;
    let metrics_listener = match config.metrics_listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let metrics = Arc::new(Metrics::default());
    let (alerts, queue) = Alerts::new(config.clock.clone(), Arc::clone(&metrics), config.webhook.is_some());
    let (hints, told) = mpsc::unbounded_channel();
    let app = Arc::new(Shared {
        notify_url: config.notify_url(address),
        store,
        gateway: Gateway::new(config.gateway, alerts.clone(), Arc::clone(&metrics))?,
        waiting: Arc::new(Waiting::default()),
        alerts,
        metrics,
        limits: Limits::new(config.limits),
        hints,
        lease: config.lease,
        clock: config.clock,
        policy: config.policy,
        allowed_origins: config.allowed_origins,
        api_keys: config.api_keys,
        token_lifetime: config.token_lifetime,
        pay_within: config.pay_within,
        probed: tokio::sync::Mutex::default(),
        stopping: watch::Sender::new(false),
        tasks: watch::Sender::new(0),
    });
    app.store.begin_instance().await?;
    instances::start(&app, told);
    drop(app.spawn(worker::look_after(app.clone())));
    drop(app.spawn(refunds::look_after(app.clone())));
    if let (Some(webhook), Some(queue)) = (config.webhook, queue) {
        drop(app.spawn(alerts::deliver(app.clone(), webhook, queue)));
    }
    let mut serving = vec![serve(&app, listener, router(app.clone()))];
    let metrics_address = metrics_listener.as_ref().map(|(_, address)| *address);
    serving.extend(metrics_listener.map(|(listener, _)| serve(&app, listener, operator_router(app.clone()))));
    Ok(Running { address, metrics_address, app, serving })
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen { address, error };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn serve(app: &App, listener: TcpListener, router: Router) -> JoinHandle<std::io::Result<()>> {
    let stop = app.clone();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, service).with_graceful_shutdown(async move { stop.stopped().await });
    tokio::spawn(async move { server.await })
}

impl Running {
    /// Stops: parked requests are answered at once, calls to the gateway that are under way get a few seconds.
    pub async fn shutdown(self) {
        self.app.stopping.send_replace(true);
        for serving in self.serving {
            let abort = serving.abort_handle();
            if tokio::time::timeout(GRACE, serving).await.is_err() {
                abort.abort();
            }
        }
        let mut tasks = self.app.tasks.subscribe();
        let _ = tokio::time::timeout(GRACE, tasks.wait_for(|tasks| *tasks == 0)).await;
        self.app.store.close().await;
    }
}
