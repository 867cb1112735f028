//! The project's only build scripts: `cargo xtask build | demo | test | bench`.
//!
//! A newcomer needs Rust, Node and git; whatever else a command needs, it installs, or it says what to install. This
//! crate builds and checks the parts. It is no part of what ships, and nothing in the other crates depends on it.
//!
//! | to find | look in |
//! |---|---|
//! | how the npm package is made | [`build`] |
//! | how the module becomes JavaScript text | [`inline`] |
//! | what a page downloads | [`sizes`] |
//! | how the demo's three servers are started and stopped | [`demo`], [`backend`], [`children`] |
//! | what must not be in a log or a package | [`secrets`] |
//! | what `test` runs, in which order | [`mod@test`], [`package`], [`browser`] |
//! | how WebAssembly tests run in a browser | [`wasm_test_runner`] |
//! | how the proxy's API is held against its description | [`api`] |
//! | how the simulation is run | [`sim`] |
//! | how several proxies are tried together | [`instances`] |
//! | what is measured against what | [`mod@bench`] |
//! | how ours and other front ends watch an order | [`watch`] |
//! | what the proxy costs | `proxy_bench`, with the feature `proxy-bench`, which `bench proxy` turns on |
//! | what is installed, and how | [`tools`] |
#![allow(clippy::print_stdout, reason = "a build script talks to the person who runs it")]

mod api;
mod backend;
mod bench;
mod browser;
mod build;
mod children;
mod demo;
mod inline;
mod instances;
mod package;
mod panics;
mod process;
#[cfg(feature = "proxy-bench")]
mod proxy_bench;
mod secrets;
mod sim;
mod sizes;
mod test;
mod tools;
mod wasm_test_runner;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The project's build scripts.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs what the other commands need: the wasm target, the npm tools, PostgreSQL, a browser.
    Setup,
    /// Builds the npm package into pkg/ and prints what a page downloads.
    Build,
    /// Runs the demo shop, the proxy and a simulated PayBy on this machine, until Ctrl-C.
    Demo(demo::Options),
    /// Runs all tests, or one step of them.
    Test {
        /// Only this step
        step: Option<test::Step>,
        /// Of the step `browser`, only the tests whose names match this regular expression
        #[arg(requires = "step")]
        name: Option<String>,
    },
    /// Holds the running proxy against its OpenAPI document, with schemathesis; needs Python 3.
    Api(api::Options),
    /// Runs page, proxy and gateway in one simulation, with faults, from many seeds.
    Sim(sim::Options),
    /// Runs two proxies over one PostgreSQL at full size, killing them.
    Instances,
    /// Measures the package against what shops use in its place, and the proxy.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Runs a WebAssembly test program in a headless browser; cargo calls this.
    #[command(hide = true)]
    WasmTestRunner {
        /// The program and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    process::this_program();
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Setup => tools::install_all(),
        Command::Build => build::build(),
        Command::Demo(options) => demo::demo(options),
        Command::Test { step, name } => test::test(step, name.as_deref()),
        Command::Api(options) => api::api(&options),
        Command::Sim(options) => sim::sim(&options),
        Command::Instances => instances::instances(),
        Command::Bench(what) => bench::bench(what),
        Command::WasmTestRunner { arguments } => wasm_test_runner::run(arguments),
    }
}
