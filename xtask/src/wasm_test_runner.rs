//! Runs the core's WebAssembly tests in a headless Chromium.
//!
//! `cargo test` for [`WASM_TARGET`] gives each test program to a runner. Ours is this program
//! itself, with wasm-bindgen's runner as a library, so that it is of the same version as the library that the tests use.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use crate::process::{cargo, this_program};
use crate::tools::{Browser, WASM_TARGET};

/// How long all tests of one program may take, in seconds.
const TIMEOUT: &str = "120";

/// Quiet, without a window, and nobody else's business: no updates, no syncing, no other hosts.
const FLAGS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
];

/// The `cargo test` command whose tests run in this browser. The folder is for the driver's settings.
pub(crate) fn cargo_test(browser: &Browser, folder: &Path) -> Result<Command> {
    let settings = folder.join("webdriver.json");
    let capabilities = json!({ "goog:chromeOptions": { "binary": browser.chromium, "args": FLAGS } });
    fs::write(&settings, capabilities.to_string()).context("cannot write the driver's settings")?;
    let mut command = cargo();
    command
        // No doctests: they are the same on every target.
        .args(["test", "--package", "payby-checkout", "--lib", "--tests", "--target", WASM_TARGET])
        .args(["--features", "wasm-checkout,wasm-order-number"])
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", format!("{} wasm-test-runner", this_program().display()))
        .env("CHROMEDRIVER", &browser.driver)
        .env("WASM_BINDGEN_TEST_WEBDRIVER_JSON", settings)
        .env("WASM_BINDGEN_TEST_TIMEOUT", TIMEOUT);
    Ok(command)
}

/// What cargo calls: the test program and its arguments.
pub(crate) fn run(arguments: Vec<OsString>) -> Result<()> {
    let arguments = std::iter::once("wasm-bindgen-test-runner".into()).chain(arguments);
    wasm_bindgen_cli::wasm_bindgen_test_runner::run_cli_with_args(arguments)
}
