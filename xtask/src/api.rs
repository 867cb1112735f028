//! `api`: the running proxy against its own OpenAPI document. Schemathesis makes requests that the document allows and
//! requests that it forbids, and every answer must be one that the document describes, and no 5xx.
//!
//! It needs Python 3, which the project does without elsewhere, so `cargo xtask test` does not run it. It installs
//! schemathesis (PyPI) into a virtual environment under `target/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::backend::{ApiKey, PARTNER_ID, Programs, proxy_config};
use crate::children::{self, Server};
use crate::process::{output, root, run, step};

/// Kept at one version, so that a new check of its own fails nobody's build.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// One request a line. Schemathesis asks faster than any page.
const LIMITS: &str = "
[limits]
token_per_second = 1_000_000
token_burst = 1_000_000
address_per_second = 1_000_000
address_burst = 1_000_000
overall_per_second = 1_000_000
overall_burst = 1_000_000
";

/// How much to ask.
#[derive(Args)]
pub(crate) struct Options {
    /// How many requests of each kind for each call, at most
    #[arg(long, default_value_t = 100)]
    examples: u32,
}

/// Starts a simulator and a proxy, prepares what there is to ask about, and lets schemathesis ask.
pub(crate) fn api(options: &Options) -> Result<()> {
    let schemathesis = step("schemathesis", install)?;
    let programs = step("cargo build", Programs::build)?;
    let folder = tempfile::Builder::new().prefix("payby-api-").tempdir().context("no temporary folder")?;
    children::catch_interrupts()?;
    let (_servers, proxy, sim, api_key) = step("start", || start(&programs, folder.path()))?;
    let token = step("prepare", || prepare(&proxy, &sim, &api_key))?;
    let mut command = Command::new(schemathesis);
    command
        .arg("--config-file")
        .arg(root().join("proxy/tests/schemathesis.toml"))
        .args(["run", &format!("{proxy}/openapi.json"), "--request-timeout", "60"])
        .args(["--max-examples", &options.examples.to_string()])
        .env("API_KEY", &api_key)
        .env("CHECKOUT_TOKEN", token)
        .current_dir(folder.path());
    run(&mut command)
}

/// Answers the program.
fn install() -> Result<PathBuf> {
    let venv = root().join("target/schemathesis");
    let bin = venv.join(if cfg!(windows) { "Scripts" } else { "bin" });
    let is_there = output(Command::new(bin.join("python")).args(["-m", "pip", "freeze"]))
        .is_ok_and(|packages| packages.lines().any(|package| package == SCHEMATHESIS));
    if !is_there {
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv)).context("Python 3 with venv is needed")?;
        run(Command::new(bin.join("python")).args(["-m", "pip", "install", "--quiet", SCHEMATHESIS]))?;
    }
    Ok(bin.join("schemathesis"))
}

/// Answers the servers, the URLs of the proxy and of the simulator, and the shop's key.
fn start(programs: &Programs, folder: &Path) -> Result<(Vec<Server>, String, String, String)> {
    let keys = folder.join("keys");
    let mut command = Command::new(&programs.sim);
    command.args(["--listen", "127.0.0.1:0", "--partner-id", PARTNER_ID, "--keys"]).arg(&keys);
    let mut sim_server = Server::start("payby-sim", &mut command, folder, false)?;
    let sim = sim_server.url()?;
    let api_key = ApiKey::make(&programs.proxy)?;
    let config = folder.join("payby-proxy.toml");
    let port = children::free_port()?;
    let settings = proxy_config(folder, &keys, port, port, &sim, &api_key.sha256);
    fs::write(&config, settings + LIMITS)?;
    let mut command = Command::new(&programs.proxy);
    command.arg("serve").arg("--config").arg(&config);
    let mut proxy_server = Server::start("payby-proxy", &mut command, folder, false)?;
    let proxy = proxy_server.url()?;
    Ok((vec![proxy_server, sim_server], proxy, sim, api_key.key))
}

/// What is there to be asked about, by the names that `schemathesis.toml` has: the order of the document's examples, whose
/// token it answers; a paid one with a refund; and one to be revoked.
fn prepare(proxy: &str, sim: &str, api_key: &str) -> Result<String> {
    let script = "
        const { PROXY, SIM, API_KEY } = process.env;
        const ask = async (method, url, token, body) => {
            const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}`, prefer: 'wait=25' };
            const answer = await fetch(url, { method, headers, body: body && JSON.stringify(body) });
            if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status} ${await answer.text()}`);
            return answer.json();
        };
        const begin = async (number) => {
            const { token } = await ask('POST', `${PROXY}/v1/purchases`, API_KEY, { reference: number,
                amount: '12.50', currency: 'AED', subject: 'Tea', redirectUrl: 'https://shop.example/paid' });
            await ask('PUT', `${PROXY}/v1/orders/${number}`, token);
            return token;
        };
        const paid = await begin('PAID');
        await ask('POST', `${SIM}/sim/orders/PAID/pay`);
        while ((await ask('GET', `${PROXY}/v1/orders/PAID`, paid)).status !== 'paid');
        await ask('POST', `${PROXY}/v1/orders/PAID/refunds`, API_KEY, { refundNumber: 'REFUND', amount: '1.00' });
        await begin('TO-REVOKE');
        process.stdout.write(await begin('1KANPYXG085GR38E1W8124GKK'));";
    let mut node = Command::new("node");
    node.args(["--input-type=module", "--eval", script]);
    output(node.env("PROXY", proxy).env("SIM", sim).env("API_KEY", api_key))
}
