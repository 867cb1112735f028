//! All tests, from the fastest to those that need everything: each step can be run alone.

use std::fmt;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::process::{PARTS, cargo, cargo_build, count_passed, root, seconds, step};
use crate::{browser, build, demo, package, tools, wasm_test_runner};

/// The steps, in their order.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Step {
    /// The Rust tests of the whole workspace
    Rust,
    /// The core's WebAssembly tests, in a browser
    Wasm,
    /// The packed npm package, as Node and a page use it
    Package,
    /// The demo with its browser check
    Demo,
    /// The package in a browser, with all that can happen to it there
    Browser,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "rust",
            Self::Wasm => "wasm",
            Self::Package => "package",
            Self::Demo => "demo",
            Self::Browser => "browser",
        })
    }
}

impl Step {
    /// Runs it, and answers how many tests passed.
    fn run(self, name: Option<&str>) -> Result<usize> {
        match self {
            Self::Rust => rust(),
            Self::Wasm => wasm(),
            Self::Package => package::test(),
            Self::Demo => demo(),
            Self::Browser => browser::test(name),
        }
    }
}

/// Runs one step, or all, and stops at the first that fails. The last line is `N passed, 0 failed`.
pub(crate) fn test(only: Option<Step>, name: Option<&str>) -> Result<()> {
    let steps = only.map_or_else(|| Step::value_variants().to_vec(), |step| vec![step]);
    let mut passed = 0;
    for step in steps {
        println!("═══ {step}");
        let begun = Instant::now();
        let in_step = step
            .run(name)
            .with_context(|| format!("step `{step}` failed; to run it alone: cargo xtask test {step}"))?;
        println!("═══ {step}: {in_step} passed in {}", seconds(begun.elapsed()));
        passed += in_step;
    }
    println!("{passed} passed, 0 failed");
    Ok(())
}

/// The parts are built as one, which turns the core's feature `gateway` on. This program is left out of that: with other
/// features for what it shares with them it would be built anew while it runs.
fn rust() -> Result<usize> {
    tools::install_postgresql()?;
    // Some tests start the programs.
    step("cargo build", || cargo_build(PARTS, &[]).map(drop))?;
    let parts = step("cargo test", || count_passed(cargo().arg("test").args(PARTS)))?;
    let own = step("cargo test (xtask)", || count_passed(cargo().args(["test", "--package", "xtask"])))?;
    Ok(parts + own)
}

fn wasm() -> Result<usize> {
    tools::install_wasm_target()?;
    let browser = tools::Browser::find_or_install()?;
    let folder = tempfile::tempdir()?;
    step("cargo test (WebAssembly)", || count_passed(&mut wasm_test_runner::cargo_test(&browser, folder.path())?))
}

/// The shop's own tests, then the whole demo: its browser check and the search for secrets.
fn demo() -> Result<usize> {
    // The shop's server serves the package; without it, its tests would be skipped.
    build::make()?;
    let shop =
        step("the shop's tests", || count_passed(node_tests(&["tests/demo/shop.test.mjs"]).current_dir(root())))?;
    demo::demo(demo::Options { check: true, verbose: false, keep: false })?;
    Ok(shop + 2)
}

/// Node's test runner over these files.
pub(crate) fn node_tests(files: &[&str]) -> Command {
    let mut node = Command::new("node");
    // No test takes long; one that waits for ever is an error.
    node.args(["--test", "--test-reporter=spec", "--test-timeout=60000"]).args(files);
    node
}
