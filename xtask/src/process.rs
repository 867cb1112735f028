//! Running other programs, one step at a time, so that a reader sees which one is running and how long it took.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The folder of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask/ is a folder of the workspace")
}

/// Every package but this one. Always these together: another selection has other features, and builds anew.
pub(crate) const PARTS: &[&str] = &["--workspace", "--exclude", "xtask"];

/// This program. Asked for first in `main`: once the file has been replaced by a newer one, the system does not tell.
pub(crate) fn this_program() -> &'static Path {
    static THIS: LazyLock<PathBuf> = LazyLock::new(|| std::env::current_exe().unwrap_or_else(|_| "xtask".into()));
    &THIS
}

/// Runs one named step, and prints its name before and its time after.
pub(crate) fn step<T>(name: &str, body: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("── {name}");
    let begun = Instant::now();
    let result = body()?;
    println!("   {name}: {}", seconds(begun.elapsed()));
    Ok(result)
}

/// A duration as people read it.
pub(crate) fn seconds(elapsed: Duration) -> impl fmt::Display {
    format!("{:.1} s", elapsed.as_secs_f64())
}

/// Runs a program to its end, on this terminal. An exit status other than zero is an error that names the command.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs a program to its end and answers what it printed. What it said on stderr goes into the error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {}", shown(command)))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed ({})\n{stdout}{stderr}", shown(command), output.status);
    }
    Ok(stdout)
}

/// The cargo that runs us, else the one on PATH; in the workspace's folder.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a script of Node's that lies in the workspace's `node_modules`, without the shims of `.bin`, which differ from
/// system to system.
pub(crate) fn node_tool(script: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(root().join("node_modules").join(script)).current_dir(root());
    command
}

/// `cargo build` with these arguments, and these variables in its environment; answers the files that it made or found fresh: libraries and programs.
pub(crate) fn cargo_build(arguments: &[&str], environment: &[(&str, String)]) -> Result<Vec<PathBuf>> {
    let mut command = cargo();
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.arg("build").args(arguments).arg("--message-format=json-render-diagnostics").stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {}", shown(&command)))?;
    let mut files = Vec::new();
    for line in BufReader::new(child.stdout.take().context("cargo's output")?).lines() {
        let message: serde_json::Value = serde_json::from_str(&line?).context("cargo's messages")?;
        if message["reason"] == "compiler-artifact" {
            let made = message["filenames"].as_array().into_iter().flatten().filter_map(|file| file.as_str());
            files.extend(made.map(PathBuf::from));
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{} failed ({status})", shown(&command));
    }
    Ok(files)
}

/// A command as one would type it.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

/// Runs tests, shows what they print, and answers how many passed, as cargo, wasm-bindgen or Node counted them.
pub(crate) fn count_passed(command: &mut Command) -> Result<usize> {
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {}", shown(command)))?;
    let mut passed = 0;
    for line in BufReader::new(child.stdout.take().context("its output is piped")?).lines() {
        let line = line?;
        println!("{line}");
        passed += passed_in(&line);
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{} failed ({status})", shown(command));
    }
    Ok(passed)
}

/// How many tests passed by this line: `test result: ok. 3 passed; …` or `ℹ pass 3`.
fn passed_in(line: &str) -> usize {
    let count = line.strip_prefix("test result: ok. ").or_else(|| line.strip_prefix("ℹ pass "));
    count.and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_tests_are_counted_whoever_counts() {
        assert_eq!(passed_in("test result: ok. 3 passed; 0 failed; 0 ignored"), 3);
        assert_eq!(passed_in("ℹ pass 12"), 12);
        assert_eq!(passed_in("test schedule::tests::pass ... ok"), 0);
    }
}
