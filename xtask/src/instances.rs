//! `instances`: several instances of the proxy over one PostgreSQL, at full size: a thousand watched orders, a thousand times
//! `kill -9`. The tests are `proxy/tests/databases/`, which run smaller among the others.

use anyhow::Result;

use crate::process::{cargo, run};
use crate::tools;

/// Runs them, optimised, one after the other, and shows their figures. It takes some ten minutes.
pub(crate) fn instances() -> Result<()> {
    tools::install_postgresql()?;
    let mut command = cargo();
    command.args(["test", "--release", "--package", "payby-proxy", "--test", "databases"]);
    command.args(["--", "--nocapture", "--test-threads=1", "instances"]).env("PAYBY_TESTS", "full");
    run(&mut command)
}
