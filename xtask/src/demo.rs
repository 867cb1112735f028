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

use crate::backend::{Backend, Pages, Programs};
use crate::build::{self, files_under};
use crate::children::{self, Server};
use crate::process::{output, root, seconds, step};
use crate::secrets::Secrets;
use crate::tools;

/// The shop.
const SHOP: Pages = Pages { name: "shop", script: "www/server.mjs" };

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
    let start = || Backend::start(&programs, SHOP, folder.path(), options.verbose);
    let mut demo = Demo { backend: step("start", start)? };
    let Backend { sim, proxy, pages: shop, .. } = &demo.backend;
    println!("   simulated PayBy: {sim}\n   proxy:           {proxy}\n   shop:            {shop}");
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

/// The three servers, running.
struct Demo {
    backend: Backend,
}

impl Demo {
    /// Says what to do, and waits until somebody has had enough.
    fn serve(mut self) -> Result<()> {
        println!(
            "\nThe demo shop is open: {shop}\n\
             Put something into the basket, check out, and pay: scan the QR code (it is a link as well), or go to PayBy's \
             page, where you are the payer and decide. No money moves.\n\
             What the simulated PayBy knows: {sim}/sim/orders; how to make it fail: simulator/src/control.rs.\n\
             Ctrl-C stops everything.",
            shop = self.backend.pages,
            sim = self.backend.sim,
        );
        children::wait_for_interrupt(&mut self.backend.servers)?;
        println!("\nstopping");
        Ok(())
    }

    /// Runs the browser check, then looks for secrets in all that was said meanwhile.
    fn check(&mut self, browser: &tools::Browser) -> Result<()> {
        let answers = self.backend.folder.join("answers");
        fs::create_dir(&answers)?;
        step("browser check", || self.run_browser_check(browser))?;
        let token = step("sample answers", || self.sample(&answers))?;
        step("search for secrets", || self.search_for_secrets(&token, &answers))
    }

    /// Asks each server what can be asked and keeps the answers. Answers the checkout token of a purchase of its own.
    fn sample(&self, answers: &Path) -> Result<String> {
        output(self.node("xtask/sample.mjs").env("API_KEY", &self.backend.api_key).env("CAPTURE_DIR", answers))
    }

    /// A script that is told where the servers are.
    fn node(&self, script: &str) -> Command {
        let mut node = Command::new("node");
        node.current_dir(root()).arg(script);
        node.env("SHOP_URL", &self.backend.pages)
            .env("SIM_URL", &self.backend.sim)
            .env("PROXY_URL", &self.backend.proxy);
        node
    }

    fn run_browser_check(&mut self, browser: &tools::Browser) -> Result<()> {
        let mut command = self.node("tests/demo/check.mjs");
        command.env("CHROMIUM", &browser.chromium);
        let mut check = Server::start("check", &mut command, &self.backend.folder, true)?;
        let begun = Instant::now();
        loop {
            if let Some(status) = check.ended()? {
                ensure!(
                    status.success(),
                    "the browser check failed ({status}); the logs: `cargo xtask demo --check --keep`"
                );
                return Ok(());
            }
            for server in &mut self.backend.servers {
                server.expect_alive()?;
            }
            ensure!(begun.elapsed() < CHECK_WITHIN, "the browser check did not end within {CHECK_WITHIN:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// I11: no key material in any log or answer, nor in the package; no checkout token in a log.
    fn search_for_secrets(&mut self, token: &str, answers: &Path) -> Result<()> {
        let mut logs: Vec<PathBuf> = self.backend.servers.iter().map(|server| server.log.clone()).collect();
        logs.push(self.backend.folder.join("check.log"));
        // Once they have stopped, they say and write no more.
        self.backend.servers.clear();

        let mut secrets = Secrets::new();
        secrets.add("the shop's API key", &self.backend.api_key);
        for name in ["merchant_private.pem", "payby_private.pem"] {
            secrets.add_private_key(&self.backend.folder.join("keys").join(name))?;
        }
        // The answer that opens a purchase has its token by right, so answers are searched before tokens are secrets.
        let (answers, package) = (files_under(answers)?, files_under(&build::pkg())?);
        let mut found = secrets.search(&answers)?;
        let is_database = |file: &PathBuf| file.to_string_lossy().contains("payby-proxy.db");
        let database: Vec<_> = files_under(&self.backend.folder)?.into_iter().filter(is_database).collect();
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
