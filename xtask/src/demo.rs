//! The demo: a shop, the proxy and the simulated PayBy on this machine, each on a free port of the loopback, with keys, a
//! database and an API key made for this run alone.
//!
//! ```text
//! browser ── shop (www/server.mjs) ── payby-proxy ── payby-sim
//!     ╰────────── checkout token ─────────╯              │
//!     ╰────────────────── pay page ──────────────────────╯
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use tempfile::TempDir;

use crate::build::{self, files_under};
use crate::children::{self, Server};
use crate::process::{PARTS, cargo_build, output, root, seconds, step};
use crate::secrets::Secrets;
use crate::tools;

/// The merchant's member id at the simulated PayBy.
const PARTNER_ID: &str = "200000000001";

/// How often the start is tried: between choosing a free port and listening on it, somebody else may take it.
const ATTEMPTS: usize = 3;

/// The browser check's own limits are stricter; this one ends it when it hangs.
const CHECK_WITHIN: Duration = Duration::from_mins(5);

/// How to run the demo.
#[derive(Args, Clone, Copy)]
pub(crate) struct Options {
    /// Run the browser check, look for secrets in the logs and the package, and stop
    #[arg(long)]
    pub(crate) check: bool,
    /// Show what the servers log
    #[arg(long)]
    pub(crate) verbose: bool,
    /// Keep the folder with the logs, the keys and the database
    #[arg(long)]
    pub(crate) keep: bool,
}

/// Builds and starts everything; then waits for Ctrl-C, or checks.
pub(crate) fn demo(options: Options) -> Result<()> {
    let begun = Instant::now();
    build::make()?;
    let browser = if options.check { Some(tools::Browser::find_or_install()?) } else { None };
    let programs = step("cargo build", Programs::build)?;
    let mut folder = tempfile::Builder::new().prefix("payby-demo-").tempdir().context("no temporary folder")?;
    folder.disable_cleanup(options.keep);
    children::catch_interrupts()?;
    let mut demo = step("start", || Demo::start(&programs, &folder, options.verbose))?;
    println!("   simulated PayBy: {}\n   proxy:           {}\n   shop:            {}", demo.sim, demo.proxy, demo.shop);
    if options.keep {
        println!("   kept folder:     {}", folder.path().display());
    }
    match browser {
        Some(browser) => {
            demo.check(&browser)?;
            println!("the demo's check passed in {}", seconds(begun.elapsed()));
            Ok(())
        }
        None => demo.serve(),
    }
}

/// The servers' programs.
struct Programs {
    sim: PathBuf,
    proxy: PathBuf,
}

impl Programs {
    fn build() -> Result<Self> {
        let files = cargo_build(PARTS, &[])?;
        let program = |name: &str| {
            let found = files.iter().find(|file| file.file_stem().is_some_and(|stem| stem == name));
            found.cloned().with_context(|| format!("cargo made no {name}"))
        };
        Ok(Self { sim: program("payby-sim")?, proxy: program("payby-proxy")? })
    }
}

/// The three servers, running.
struct Demo {
    servers: Vec<Server>,
    folder: PathBuf,
    sim: String,
    proxy: String,
    shop: String,
    api_key: String,
}

impl Demo {
    /// Starts the servers; once more, if a port was taken meanwhile.
    fn start(programs: &Programs, folder: &TempDir, verbose: bool) -> Result<Self> {
        let mut attempt = 1;
        loop {
            let own = folder.path().join(format!("run-{attempt}"));
            fs::create_dir(&own)?;
            match Self::try_start(programs, &own, verbose) {
                Err(error) if attempt < ATTEMPTS && is_port_taken(&error) => attempt += 1,
                result => return result,
            }
        }
    }

    fn try_start(programs: &Programs, folder: &Path, verbose: bool) -> Result<Self> {
        // The proxy must know the shop's origin and the shop the proxy's address, so both are chosen before.
        let (proxy_port, shop_port) = (children::free_port()?, children::free_port()?);
        let keys = folder.join("keys");

        let mut command = Command::new(&programs.sim);
        command.args(["--listen", "127.0.0.1:0", "--partner-id", PARTNER_ID, "--keys"]).arg(&keys);
        let mut sim_server = Server::start("payby-sim", &mut command, folder, verbose)?;
        let sim = sim_server.url()?;

        let api_key = ApiKey::make(&programs.proxy)?;
        let config = folder.join("payby-proxy.toml");
        fs::write(&config, proxy_config(folder, &keys, proxy_port, shop_port, &sim, &api_key.sha256))?;
        let mut command = Command::new(&programs.proxy);
        command.arg("serve").arg("--config").arg(&config);
        let mut proxy_server = Server::start("payby-proxy", &mut command, folder, verbose)?;
        let proxy = proxy_server.url()?;

        let mut command = Command::new("node");
        command
            .current_dir(root())
            .arg("www/server.mjs")
            .env("PORT", shop_port.to_string())
            .env("PAYBY_PROXY_URL", &proxy)
            .env("PAYBY_PROXY_PUBLIC_URL", &proxy)
            .env("PAYBY_PROXY_API_KEY", &api_key.key);
        let mut shop_server = Server::start("shop", &mut command, folder, verbose)?;
        let shop = shop_server.url()?;

        // The shop is stopped first.
        let servers = vec![shop_server, proxy_server, sim_server];
        Ok(Self { servers, folder: folder.to_path_buf(), sim, proxy, shop, api_key: api_key.key })
    }

    /// Says what to do, and waits until somebody has had enough.
    fn serve(mut self) -> Result<()> {
        println!(
            "\nThe demo shop is open: {shop}\n\
             Put something into the basket, check out, and pay: scan the QR code (it is a link as well), or go to PayBy's \
             page, where you are the payer and decide. No money moves.\n\
             What the simulated PayBy knows: {sim}/sim/orders; how to make it fail: simulator/src/control.rs.\n\
             Ctrl-C stops everything.",
            shop = self.shop,
            sim = self.sim,
        );
        children::wait_for_interrupt(&mut self.servers)?;
        println!("\nstopping");
        Ok(())
    }

    /// Runs the browser check, then looks for secrets in all that was said meanwhile.
    fn check(&mut self, browser: &tools::Browser) -> Result<()> {
        let answers = self.folder.join("answers");
        fs::create_dir(&answers)?;
        step("browser check", || self.run_browser_check(browser))?;
        let token = step("sample answers", || self.sample(&answers))?;
        step("search for secrets", || self.search_for_secrets(&token, &answers))
    }

    /// Asks each server what can be asked and keeps the answers. Answers the checkout token of a purchase of its own.
    fn sample(&self, answers: &Path) -> Result<String> {
        output(self.node("xtask/sample.mjs").env("API_KEY", &self.api_key).env("CAPTURE_DIR", answers))
    }

    /// A script that is told where the servers are.
    fn node(&self, script: &str) -> Command {
        let mut node = Command::new("node");
        node.current_dir(root()).arg(script);
        node.env("SHOP_URL", &self.shop).env("SIM_URL", &self.sim).env("PROXY_URL", &self.proxy);
        node
    }

    fn run_browser_check(&mut self, browser: &tools::Browser) -> Result<()> {
        let mut command = self.node("tests/demo/check.mjs");
        command.env("CHROMIUM", &browser.chromium);
        let mut check = Server::start("check", &mut command, &self.folder, true)?;
        let begun = Instant::now();
        loop {
            if let Some(status) = check.ended()? {
                ensure!(
                    status.success(),
                    "the browser check failed ({status}); the logs: `cargo xtask demo --check --keep`"
                );
                return Ok(());
            }
            for server in &mut self.servers {
                server.expect_alive()?;
            }
            ensure!(begun.elapsed() < CHECK_WITHIN, "the browser check did not end within {CHECK_WITHIN:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// I11: no key material in any log or answer, nor in the package; no checkout token in a log.
    fn search_for_secrets(&mut self, token: &str, answers: &Path) -> Result<()> {
        let mut logs: Vec<PathBuf> = self.servers.iter().map(|server| server.log.clone()).collect();
        logs.push(self.folder.join("check.log"));
        // Once they have stopped, they say and write no more.
        self.servers.clear();

        let mut secrets = Secrets::new();
        secrets.add("the shop's API key", &self.api_key);
        for name in ["merchant_private.pem", "payby_private.pem"] {
            secrets.add_private_key(&self.folder.join("keys").join(name))?;
        }
        // The answer that opens a purchase has its token by right, so answers are searched before tokens are secrets.
        let (answers, package) = (files_under(answers)?, files_under(&build::pkg())?);
        let mut found = secrets.search(&answers)?;
        let is_database = |file: &PathBuf| file.to_string_lossy().contains("payby-proxy.db");
        let database: Vec<_> = files_under(&self.folder)?.into_iter().filter(is_database).collect();
        secrets.add_tokens(&database, token)?;
        found.extend(secrets.search(&logs)?);
        found.extend(secrets.search(&package)?);

        println!(
            "   looked for {} in {} logs, {} answers and {} files of pkg/; for checkout tokens in the logs and pkg/",
            secrets.names().join(", "),
            logs.len(),
            answers.len(),
            package.len(),
        );
        if !found.is_empty() {
            bail!("secrets where none must be (--keep keeps these files):\n{}", found.join("\n"));
        }
        Ok(())
    }
}

/// The key by which the shop's server is known to the proxy.
struct ApiKey {
    key: String,
    sha256: String,
}

impl ApiKey {
    /// Has the proxy make one. It prints a line that ends in the key, and one that has the hash in quotes.
    fn make(proxy: &Path) -> Result<Self> {
        let printed = output(Command::new(proxy).arg("new-api-key"))?;
        let key = printed.lines().next().and_then(|line| line.rsplit(' ').next()).context("an API key")?;
        let sha256 = printed.lines().nth(1).and_then(|line| line.split('"').nth(1)).context("an API key's hash")?;
        Ok(Self { key: key.to_owned(), sha256: sha256.to_owned() })
    }
}

/// The proxy's settings for this run.
fn proxy_config(
    folder: &Path,
    keys: &Path,
    proxy_port: u16,
    shop_port: u16,
    sim: &str,
    api_key_sha256: &str,
) -> String {
    format!(
        r#"listen = "127.0.0.1:{proxy_port}"
public_url = "http://127.0.0.1:{proxy_port}"
allowed_origins = ["http://127.0.0.1:{shop_port}"]
api_key_sha256 = ["{api_key_sha256}"]

[database]
url = "sqlite://{database}"

[gateway]
base_url = "{sim}/sgs/api"
partner_id = "{PARTNER_ID}"
private_key_file = "{private_key}"
payby_public_key_file = "{public_key}"
"#,
        database = folder.join("payby-proxy.db").display(),
        private_key = keys.join("merchant_private.pem").display(),
        public_key = keys.join("payby_public.pem").display(),
    )
}

/// Whether a server could not listen because somebody else does.
fn is_port_taken(error: &anyhow::Error) -> bool {
    let message = format!("{error:#}").to_lowercase();
    message.contains("address already in use") || message.contains("eaddrinuse")
}
