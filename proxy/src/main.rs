//! The proxy's command line.

use std::collections::HashMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use payby_proxy::config::LogConfig;
use payby_proxy::openapi::Document;
use payby_proxy::random::{self, Hash};
use payby_proxy::store::Store;
#[cfg(feature = "otel")]
use payby_proxy::traces::Traces;
use payby_proxy::{Config, start};
use secrecy::ExposeSecret as _;
use tokio::signal::unix::{SignalKind, signal};
use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

/// The merchant's backend proxy for payby-checkout.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGINT or SIGTERM.
    Serve {
        /// The settings; those in the environment (`PAYBY_PROXY_…`) win.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Read the settings and the keys, open the database, and say what is wrong.
    Check {
        /// The settings; those in the environment (`PAYBY_PROXY_…`) win.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Bring the database's tables up to date, and say what was done. `serve` does the same before it listens.
    Migrate {
        /// The settings; those in the environment (`PAYBY_PROXY_…`) win.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Write the API's description, as `/openapi.json` serves it.
    Openapi,
    /// Make a key for a shop's server, and the line that lets it in.
    NewApiKey,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if this fails as well.
            let _ = writeln!(std::io::stderr(), "payby-proxy: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve { config } => serve(load(config).await?).await,
        Command::Check { config } => {
            load(config).await?;
            say("the configuration is good")
        }
        Command::Migrate { config } => migrate(config).await,
        Command::Openapi => say(Document::text().trim_end()),
        Command::NewApiKey => {
            let key = random::secret().context("the platform's random source failed")?;
            say(&format!("key, for the shop's server only: {key}"))?;
            say(&format!("line for the proxy's settings:   api_key_sha256 = [\"{}\"]", Hash::of(&key).to_hex()))
        }
    }
}

async fn migrate(file: Option<PathBuf>) -> anyhow::Result<()> {
    let url = Config::database_url(file.as_deref(), environment())?;
    let done = Store::migrate(url.expose_secret()).await.context("the database cannot be brought up to date")?;
    if done.is_empty() {
        return say("the tables are up to date; nothing was done");
    }
    done.iter().try_for_each(|migration| say(&format!("done: {migration}")))
}

async fn load(file: Option<PathBuf>) -> anyhow::Result<Config> {
    Ok(Config::load(file.as_deref(), environment()).await?)
}

fn environment() -> HashMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let layers = vec![log_to_stderr(&config.log)];
    #[cfg(feature = "otel")]
    let traces = config.traces.as_deref().map(Traces::to).transpose().context("traces cannot be sent")?;
    #[cfg(feature = "otel")]
    let layers: Vec<_> = layers.into_iter().chain(traces.as_ref().map(|traces| traces.layer().boxed())).collect();
    tracing_subscriber::registry().with(layers).init();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let running = start(config).await?;
    say(&format!("payby-proxy is listening on http://{}", running.address))?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("shutting down");
    running.shutdown().await;
    #[cfg(feature = "otel")]
    if let Some(traces) = traces {
        // It waits for its own thread.
        tokio::task::spawn_blocking(move || traces.shutdown()).await?;
    }
    Ok(())
}

fn log_to_stderr<S: Subscriber + for<'a> LookupSpan<'a>>(config: &LogConfig) -> Box<dyn Layer<S> + Send + Sync> {
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let filter = EnvFilter::new(&config.filter);
    if config.json { log.json().with_filter(filter).boxed() } else { log.with_filter(filter).boxed() }
}

/// What programs read.
fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}
