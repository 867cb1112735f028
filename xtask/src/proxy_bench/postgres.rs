//! A PostgreSQL for this run, on a socket in the run's folder, with its default settings: what it commits is on the disk.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context, Result, ensure};
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};

use crate::process::{output, run};
use crate::tools;

/// Runs the server until standard input ends, which it does with this process, however that dies.
const UNTIL_STDIN_ENDS: &str = r#"
    "$1"/initdb -D "$2"/data -U bench -A trust -E UTF8 --no-instructions >"$2"/initdb.log 2>&1 || exec cat "$2"/initdb.log
    "$1"/postgres -D "$2"/data -k "$2" -c listen_addresses= 2>&1 &
    read -r _
    kill -QUIT $!
    wait $!
"#;

/// The running server.
pub(super) struct Postgres {
    folder: PathBuf,
    child: Child,
    /// What it is.
    pub(super) version: String,
}

impl Postgres {
    pub(super) fn start() -> Result<Self> {
        tools::install_postgresql()?;
        let programs = tools::postgresql().context("PostgreSQL's programs")?;
        let version = output(Command::new(programs.join("postgres")).arg("--version"))?.trim().to_owned();
        // Not in the run's own folder, which is ours alone.
        let folder = tempfile::Builder::new().prefix("payby-bench-postgres-").tempdir()?.keep();
        let mut command = Command::new("sh");
        if output(Command::new("id").arg("-u"))?.trim() == "0" {
            // PostgreSQL refuses to run as root.
            run(Command::new("chown").arg("nobody").arg(&folder))?;
            command = Command::new("setpriv");
            command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "sh"]);
        }
        command.args(["-c", UNTIL_STDIN_ENDS, "sh"]).arg(programs).arg(&folder).current_dir(&folder);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines().map_while(Result::ok);
        let mut said = Vec::new();
        let is_ready = lines.by_ref().any(|line| {
            said.push(line);
            said.last().is_some_and(|line| line.contains("ready to accept connections"))
        });
        ensure!(is_ready, "PostgreSQL has not started:\n{}", said.join("\n"));
        // It must be able to go on talking.
        thread::spawn(move || lines.for_each(drop));
        Ok(Self { folder, child, version })
    }

    /// An empty database: its URL.
    pub(super) async fn database(&self, name: &str) -> Result<String> {
        sqlx::any::install_default_drivers();
        let mut connection = AnyConnection::connect(&url(&self.folder, "postgres")).await?;
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE \"{name}\""))).execute(&mut connection).await?;
        connection.close().await?;
        Ok(url(&self.folder, name))
    }
}

fn url(folder: &Path, database: &str) -> String {
    format!("postgres://bench@localhost/{database}?host={}", folder.display())
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // There is nobody left to tell.
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
