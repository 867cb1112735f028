//! What the other commands need besides Rust, Node and git, and how it comes onto the machine.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process::{output, root, run, step};

/// Where our WebAssembly runs: in browsers, Node and workers.
pub(crate) const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// The names under which the browser is installed, ours first.
const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

/// What Debian calls them.
const DEBIAN_PACKAGES: &[&str] = &["chromium", "chromium-driver"];

/// Installs everything that some command needs.
pub(crate) fn install_all() -> Result<()> {
    install_wasm_target()?;
    install_npm_tools()?;
    install_postgresql()?;
    let browser = Browser::find_or_install()?;
    println!("browser: {}\ndriver:  {}", browser.chromium.display(), browser.driver.display());
    Ok(())
}

/// Installs the standard library for [`WASM_TARGET`], if it is missing.
pub(crate) fn install_wasm_target() -> Result<()> {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let libraries = output(rustc.current_dir(root()).args(["--print", "target-libdir", "--target", WASM_TARGET]))?;
    if Path::new(libraries.trim()).exists() {
        return Ok(());
    }
    if which("rustup").is_none() {
        bail!(
            "Rust's library for {WASM_TARGET} is missing: install it (Debian: apt-get install libstd-rust-dev-wasm32)"
        );
    }
    step("rustup target add", || run(Command::new("rustup").current_dir(root()).args(["target", "add", WASM_TARGET])))
}

/// Installs the npm packages of the lock file, if they are missing or other ones are there.
pub(crate) fn install_npm_tools() -> Result<()> {
    if npm_tools_are_fresh().unwrap_or(false) {
        return Ok(());
    }
    step("npm ci", || run(npm()?.args(["ci", "--no-audit", "--no-fund"]).current_dir(root())))
}

/// npm, the program.
pub(crate) fn npm() -> Result<Command> {
    which("npm").map(Command::new).context("npm is missing: install Node 20 or newer with npm, https://nodejs.org")
}

/// Whether `node_modules` holds what the lock file names. Contents are compared, not times: a checkout makes new times.
fn npm_tools_are_fresh() -> Result<bool> {
    let read = |path: &str| -> Result<Value> { Ok(serde_json::from_slice(&fs::read(root().join(path))?)?) };
    let (wanted, installed) = (read("package-lock.json")?, read("node_modules/.package-lock.json")?);
    let packages = wanted["packages"].as_object().context("the lock file names no packages")?;
    // The entry without a name is the workspace itself; an optional package may be for another system.
    Ok(packages.iter().filter(|(name, package)| !name.is_empty() && package["optional"] != true).all(
        |(name, package)| {
            let found = &installed["packages"][name];
            found["version"] == package["version"] && found["integrity"] == package["integrity"]
        },
    ))
}

/// Installs PostgreSQL's programs, which the proxy's tests start themselves, if they are missing.
pub(crate) fn install_postgresql() -> Result<()> {
    if postgresql().is_some() {
        return Ok(());
    }
    if !can_apt_get() {
        bail!("no PostgreSQL: run `sudo apt-get install postgresql`, or put `initdb` and `postgres` on PATH");
    }
    apt_get_install(&["postgresql"])
}

/// The folder of PostgreSQL's programs. Debian's, of which there can be several, are not on PATH; the newest is taken.
pub(crate) fn postgresql() -> Option<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let versions = debian.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").is_file());
    let newest = versions.max_by_key(|bin| bin.parent()?.file_name()?.to_str()?.parse::<u32>().ok());
    newest.or_else(|| Some(which("initdb")?.parent()?.to_owned()))
}

/// A Chromium and the driver of the same version.
pub(crate) struct Browser {
    /// The browser's program.
    pub(crate) chromium: PathBuf,
    /// The WebDriver server's program.
    pub(crate) driver: PathBuf,
}

impl Browser {
    /// Finds a browser: by `CHROMIUM` and `CHROMEDRIVER`, else on PATH, else by installing Debian's.
    pub(crate) fn find_or_install() -> Result<Self> {
        if let Some(found) = Self::find() {
            return Ok(found);
        }
        if !can_apt_get() {
            bail!(
                "no Chromium with its driver: run `sudo apt-get install {}`, or name the two programs in CHROMIUM and \
                 CHROMEDRIVER",
                DEBIAN_PACKAGES.join(" ")
            );
        }
        apt_get_install(DEBIAN_PACKAGES)?;
        Self::find().context("Chromium was installed, and is still not on PATH")
    }

    fn find() -> Option<Self> {
        let named = |variable: &str| env::var_os(variable).map(PathBuf::from);
        let chromium = named("CHROMIUM").or_else(|| BROWSERS.iter().find_map(|name| which(name)))?;
        let driver = named("CHROMEDRIVER").or_else(|| which("chromedriver"))?;
        Some(Self { chromium, driver })
    }
}

/// Whether this is a Debian where we may install packages.
fn can_apt_get() -> bool {
    let is_root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    is_root && which("apt-get").is_some()
}

/// Installs Debian's packages.
fn apt_get_install(packages: &[&str]) -> Result<()> {
    step(&format!("apt-get install {}", packages.join(" ")), || {
        let apt_get = || {
            let mut command = Command::new("apt-get");
            command.env("DEBIAN_FRONTEND", "noninteractive");
            command
        };
        run(apt_get().args(["update", "-qq"]))?;
        run(apt_get().args(["install", "-qq", "-y", "--no-install-recommends"]).args(packages))
    })
}

/// The path of a program on PATH.
fn which(name: &str) -> Option<PathBuf> {
    let paths = env::var_os("PATH")?;
    // npm is a script on Windows.
    let suffixes: &[&str] = if cfg!(windows) { &[".exe", ".cmd"] } else { &[""] };
    env::split_paths(&paths)
        .flat_map(|folder| suffixes.iter().map(move |suffix| folder.join(format!("{name}{suffix}"))))
        .find(|path| path.is_file())
}
