//! Tests the package in a real browser, against the real proxy and the simulated PayBy: what a customer, a network or a
//! bad backend can do to a checkout. The tests are in `tests/browser`.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::backend::{Backend, Pages, Programs};
use crate::process::{count_passed, root, step};
use crate::{build, children, tools};

/// The tests' folder.
const TESTS: &str = "tests/browser";

/// Serves the package, and a page that uses it.
const PAGES: Pages = Pages { name: "page", script: "tests/browser/page-server.mjs" };

/// Builds everything, starts the servers and runs the tests; answers how many passed.
pub(crate) fn test(name: Option<&str>) -> Result<usize> {
    build::make()?;
    let browser = tools::Browser::find_or_install()?;
    let programs = step("cargo build", Programs::build)?;
    let mut folder = tempfile::Builder::new().prefix("payby-browser-").tempdir().context("no temporary folder")?;
    children::catch_interrupts()?;
    let backend = step("start", || Backend::start(&programs, PAGES, folder.path(), false))?;
    let passed = step("in a browser", || count_passed(&mut node(&backend, &programs, &browser, name)?));
    if passed.is_err() && !children::is_interrupted() {
        folder.disable_cleanup(true);
        println!("   the servers' logs: {}", backend.folder.display());
    }
    passed
}

/// Node's test runner over the folder. The tests wait much more than they compute, so two files run at once. One of them
/// starts a proxy of its own, to kill it.
fn node(backend: &Backend, programs: &Programs, browser: &tools::Browser, name: Option<&str>) -> Result<Command> {
    let mut node = Command::new("node");
    // The limit is for a file; a test has a stricter one.
    node.args(["--test", "--test-reporter=spec", "--test-timeout=240000", "--test-concurrency=2"]);
    if let Some(name) = name {
        node.args(["--test-name-pattern", name]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(root().join(TESTS))? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".test.mjs") {
            files.push(path);
        }
    }
    files.sort();
    node.args(files)
        .current_dir(root())
        .env("PAGE_URL", &backend.pages)
        .env("PROXY_URL", &backend.proxy)
        .env("SIM_URL", &backend.sim)
        .env("API_KEY", &backend.api_key)
        .env("PROXY_PROGRAM", &programs.proxy)
        .env("PROXY_CONFIG", &backend.config)
        .env("CHROMIUM", &browser.chromium);
    Ok(node)
}
