//! What every page needs that is to pay something: a simulated PayBy and the proxy, each on a free port of the loopback,
//! with keys, a database and an API key made for this run alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::children::{self, Server};
use crate::process::{PARTS, cargo_build, output, root};

/// The merchant's member id at the simulated PayBy.
pub(crate) const PARTNER_ID: &str = "200000000001";

/// How often the start is tried: between choosing a free port and listening on it, somebody else may take it.
const ATTEMPTS: usize = 3;

/// The servers' programs.
pub(crate) struct Programs {
    /// payby-sim.
    pub(crate) sim: PathBuf,
    /// payby-proxy.
    pub(crate) proxy: PathBuf,
}

impl Programs {
    pub(crate) fn build() -> Result<Self> {
        let files = cargo_build(PARTS, &[])?;
        let program = |name: &str| {
            let found = files.iter().find(|file| file.file_stem().is_some_and(|stem| stem == name));
            found.cloned().with_context(|| format!("cargo made no {name}"))
        };
        Ok(Self { sim: program("payby-sim")?, proxy: program("payby-proxy")? })
    }
}

/// The simulated PayBy, the proxy, and a server for the pages that may call it, running.
pub(crate) struct Backend {
    /// The one to stop first comes first.
    pub(crate) servers: Vec<Server>,
    /// Where the logs, the keys and the database are.
    pub(crate) folder: PathBuf,
    /// The simulated PayBy's URL.
    pub(crate) sim: String,
    /// The proxy's URL.
    pub(crate) proxy: String,
    /// The proxy's settings.
    pub(crate) config: PathBuf,
    /// The URL of the server for the pages.
    pub(crate) pages: String,
    /// By which the shop's server is known to the proxy.
    pub(crate) api_key: String,
}

impl Backend {
    /// Starts the servers, the one for the pages by this Node script; once more, if a port was taken meanwhile. Each
    /// attempt has a folder of its own in `folder`.
    pub(crate) fn start(programs: &Programs, pages: Pages, folder: &Path, verbose: bool) -> Result<Self> {
        let mut attempt = 1;
        loop {
            let own = folder.join(format!("run-{attempt}"));
            fs::create_dir(&own)?;
            match Self::try_start(programs, pages, &own, verbose) {
                Err(error) if attempt < ATTEMPTS && is_port_taken(&error) => attempt += 1,
                result => return result,
            }
        }
    }

    fn try_start(programs: &Programs, pages: Pages, folder: &Path, verbose: bool) -> Result<Self> {
        // The proxy must know the pages' origin and their server the proxy's address, so both are chosen before.
        let (proxy_port, pages_port) = (children::free_port()?, children::free_port()?);
        let keys = folder.join("keys");

        let mut command = Command::new(&programs.sim);
        command.args(["--listen", "127.0.0.1:0", "--partner-id", PARTNER_ID, "--keys"]).arg(&keys);
        let mut sim_server = Server::start("payby-sim", &mut command, folder, verbose)?;
        let sim = sim_server.url()?;

        let api_key = ApiKey::make(&programs.proxy)?;
        let config = folder.join("payby-proxy.toml");
        fs::write(&config, proxy_config(folder, &keys, proxy_port, pages_port, &sim, &api_key.sha256))?;
        let mut command = Command::new(&programs.proxy);
        command.arg("serve").arg("--config").arg(&config);
        let mut proxy_server = Server::start("payby-proxy", &mut command, folder, verbose)?;
        let proxy = proxy_server.url()?;

        let mut command = Command::new("node");
        command
            .current_dir(root())
            .arg(pages.script)
            .env("PORT", pages_port.to_string())
            .env("PAYBY_PROXY_URL", &proxy)
            .env("PAYBY_PROXY_PUBLIC_URL", &proxy)
            .env("PAYBY_PROXY_API_KEY", &api_key.key);
        let mut pages_server = Server::start(pages.name, &mut command, folder, verbose)?;
        let pages = pages_server.url()?;

        let servers = vec![pages_server, proxy_server, sim_server];
        Ok(Self { servers, folder: folder.to_path_buf(), sim, proxy, config, pages, api_key: api_key.key })
    }
}

/// A Node script that serves pages: it listens on `PORT`.
#[derive(Clone, Copy)]
pub(crate) struct Pages {
    /// What it calls itself.
    pub(crate) name: &'static str,
    /// From the workspace's folder.
    pub(crate) script: &'static str,
}

/// The key by which the shop's server is known to the proxy.
pub(crate) struct ApiKey {
    /// The key itself.
    pub(crate) key: String,
    /// What the proxy's settings have of it.
    pub(crate) sha256: String,
}

impl ApiKey {
    /// Has the proxy make one. It prints a line that ends in the key, and one that has the hash in quotes.
    pub(crate) fn make(proxy: &Path) -> Result<Self> {
        let printed = output(Command::new(proxy).arg("new-api-key"))?;
        let key = printed.lines().next().and_then(|line| line.rsplit(' ').next()).context("an API key")?;
        let sha256 = printed.lines().nth(1).and_then(|line| line.split('"').nth(1)).context("an API key's hash")?;
        Ok(Self { key: key.to_owned(), sha256: sha256.to_owned() })
    }
}

/// The proxy's settings for this run.
pub(crate) fn proxy_config(
    folder: &Path,
    keys: &Path,
    proxy_port: u16,
    pages_port: u16,
    sim: &str,
    api_key_sha256: &str,
) -> String {
    format!(
        r#"listen = "127.0.0.1:{proxy_port}"
public_url = "http://127.0.0.1:{proxy_port}"
allowed_origins = ["http://127.0.0.1:{pages_port}"]
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
