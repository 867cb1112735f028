//! The program `payby-sim`: reads its options, runs a simulator until it is told to stop, or the acceptance cases. Standard
//! output is one line, for programs that wait for it, or the report; the log goes to standard error.

use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use payby_sim::Settings;
use payby_sim::certify::{self, CLOSING_DELAY, Case, Plan, Trigger, TriggerFile};
use payby_sim::faults::Profile;
use secrecy::SecretString;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A stateful PayBy on your own machine: signed API, pay page and notifications. No money moves.
#[derive(Parser)]
#[command(version)]
struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Subcommand)]
enum Command {
    /// Runs until told to stop; the same as no command
    Serve,
    /// Runs PayBy's acceptance cases against a merchant's stack, which uses this simulator as its PayBy
    Certify(Certify),
}

#[derive(Args)]
struct Certify {
    /// The base URL of the merchant's stack
    #[arg(long, value_name = "URL")]
    merchant: String,
    /// payby-proxy's API key of the shop; for another stack, give --trigger
    #[arg(
        long,
        env = "PAYBY_SIM_API_KEY",
        value_name = "KEY",
        hide_env_values = true,
        required_unless_present = "trigger"
    )]
    api_key: Option<SecretString>,
    /// How another stack than payby-proxy is made to begin an order: a TOML file
    #[arg(long, value_name = "FILE")]
    trigger: Option<PathBuf>,
    /// Only these cases: 001,005
    #[arg(long, value_name = "CASES", value_delimiter = ',')]
    only: Vec<Case>,
    /// How long the stack may take until it answers, before the cases begin: 90s, 2m; 0 begins at once
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = seconds)]
    wait: Duration,
    /// The stack's alerts come to /sim/alerts: one that does not come is a failure
    #[arg(long)]
    alerts: bool,
    /// JSON on standard output, in place of the table
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Serve {
    /// Where to listen; port 0 takes a free one
    #[arg(long, global = true, env = "PAYBY_SIM_LISTEN", default_value = "127.0.0.1:8100")]
    listen: SocketAddr,
    /// Where the payer's browser finds this simulator [default: http:// and the address]
    #[arg(long, global = true, env = "PAYBY_SIM_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// The directory of the key files; what is missing is made
    #[arg(long, global = true, env = "PAYBY_SIM_KEYS", value_name = "DIR", default_value = "payby-sim-keys")]
    keys: PathBuf,
    /// The merchant's Partner-Id
    #[arg(long, global = true, env = "PAYBY_SIM_PARTNER_ID", value_name = "ID", default_value = "200000000001")]
    partner_id: String,
    /// What goes wrong from the beginning: a TOML file with a seed and faults
    #[arg(long, global = true, env = "PAYBY_SIM_FAULTS", value_name = "FILE")]
    faults: Option<PathBuf>,
    /// How the log is written; what is logged, RUST_LOG says
    #[arg(long, global = true, env = "PAYBY_SIM_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    let (number, unit) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let number: u32 = number.parse().map_err(|_| "a time is like 30s or 2m")?;
    Ok(Duration::from_secs(u64::from(number) * unit))
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let Options { command, serve: options } = Options::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    match options.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }

    let settings = Settings {
        listen: options.listen,
        public_url: options.public_url,
        partner_id: options.partner_id,
        faults: options.faults.as_deref().map(Profile::read).transpose()?.unwrap_or_default(),
        ..Settings::new(options.keys)
    };
    match command {
        None | Some(Command::Serve) => serve(settings).await,
        Some(Command::Certify(options)) => certify(settings, options).await,
    }
}

async fn serve(settings: Settings) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let running = payby_sim::start(settings).await?;
    say(&format!("payby-sim is listening on http://{}\n", running.address))?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping");
    running.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

async fn certify(settings: Settings, options: Certify) -> anyhow::Result<ExitCode> {
    let merchant = options.merchant.trim_end_matches('/').to_owned();
    let trigger = match (options.trigger, options.api_key) {
        (Some(file), _) => Trigger::Http { merchant: merchant.clone(), file: TriggerFile::read(&file)? },
        (None, Some(api_key)) => Trigger::Proxy { merchant: merchant.clone(), api_key },
        (None, None) => bail!("--api-key or --trigger is needed"),
    };
    let cases = if options.only.is_empty() { Case::ALL.to_vec() } else { options.only };
    let trials = cases.into_iter().flat_map(Case::trials).collect();
    let plan = Plan { trigger, trials, expects_alerts: options.alerts };
    let running = payby_sim::start(Settings { closing_delay: CLOSING_DELAY, ..settings }).await?;
    tracing::info!("payby-sim is listening on http://{}; a run takes one to two minutes", running.address);
    if !options.wait.is_zero() {
        let tell = |why: &str| tracing::info!("waiting for {merchant}: {why}");
        certify::wait_for(&merchant, options.wait, tell).await?;
    }
    let report = certify::run(&running, &plan).await?;
    running.shutdown().await;
    let text = if options.json { serde_json::to_string_pretty(&report)? + "\n" } else { report.to_string() };
    say(&text)?;
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn say(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
