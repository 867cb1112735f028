//! The program `payby-sim`: reads its options, runs a simulator until it is told to stop. Standard output is one line,
//! for programs that wait for it; the log goes to standard error.

use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use payby_sim::Settings;
use payby_sim::faults::Profile;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A stateful PayBy on your own machine: signed API, pay page and notifications. No money moves.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Where to listen; port 0 takes a free one
    #[arg(long, env = "PAYBY_SIM_LISTEN", default_value = "127.0.0.1:8100")]
    listen: SocketAddr,
    /// Where the payer's browser finds this simulator [default: http:// and the address]
    #[arg(long, env = "PAYBY_SIM_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// The directory of the key files; what is missing is made
    #[arg(long, env = "PAYBY_SIM_KEYS", value_name = "DIR", default_value = "payby-sim-keys")]
    keys: PathBuf,
    /// The merchant's Partner-Id
    #[arg(long, env = "PAYBY_SIM_PARTNER_ID", value_name = "ID", default_value = "200000000001")]
    partner_id: String,
    /// What goes wrong from the beginning: a TOML file with a seed and faults
    #[arg(long, env = "PAYBY_SIM_FAULTS", value_name = "FILE")]
    faults: Option<PathBuf>,
    /// How the log is written; what is logged, RUST_LOG says
    #[arg(long, env = "PAYBY_SIM_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    match options.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }

    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let running = payby_sim::start(Settings {
        listen: options.listen,
        public_url: options.public_url,
        partner_id: options.partner_id,
        faults: options.faults.as_deref().map(Profile::read).transpose()?.unwrap_or_default(),
        ..Settings::new(options.keys)
    })
    .await?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "payby-sim is listening on http://{}", running.address)?;
    stdout.flush()?;
    drop(stdout);

    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping");
    running.shutdown().await;
    Ok(())
}
