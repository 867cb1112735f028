//! The project's only build scripts: `cargo xtask build | demo | test`.
//!
//! A newcomer needs Rust, Node and git; whatever else a command needs, it installs, or it says what to install. This
//! crate builds and checks the parts. It is no part of what ships, and nothing in the other crates depends on it.
//!
//! | to find | look in |
//! |---|---|
//! | how the npm package is made | [`build`] |
//! | how the module becomes JavaScript text | [`inline`] |
//! | what a page downloads | [`sizes`] |
//! | how the demo's three servers are started and stopped | [`demo`], [`children`] |
//! | what must not be in a log or a package | [`secrets`] |
//! | what `test` runs, in which order | [`test`], [`package`] |
//! | what is installed, and how | [`tools`] |
#![allow(clippy::print_stdout, reason = "a build script talks to the person who runs it")]

mod build;
mod inline;
mod process;
mod sizes;
mod tools;

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
    /// Installs what the other commands need: the wasm target, the npm tools, a browser.
    Setup,
    /// Builds the npm package into pkg/ and prints what a page downloads.
    Build,
}

fn main() -> ExitCode {
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
    }
}
