//! A PostgreSQL of this test run: in a temporary directory, on a socket in it, gone with this process. Each test has a
//! database of its own in it.
//!
//! Its programs are Debian's, or those on PATH. Where there are none, the tests fail and say what to install: a store that
//! was not tried is not proven.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

/// Runs the server until standard input ends, which it does with the process that holds its other end, however that dies.
/// Nothing here outlives the machine, so nothing needs to reach its disk.
const UNTIL_STDIN_ENDS: &str = r#"
    programs=$1 folder=$2
    shift 2
    "$programs"/initdb -D "$folder"/data -U test -A trust -E UTF8 --no-sync --no-instructions >"$folder"/initdb.log 2>&1 ||
        exec cat "$folder"/initdb.log
    "$programs"/postgres -D "$folder"/data -k "$folder" --fsync=off --max_connections=300 "$@" 2>&1 &
    exec >/dev/null
    read -r _
    kill -QUIT $!
    wait $!
    rm -rf "$folder"
"#;

/// An empty database: its URL.
pub(crate) async fn database() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let mut connection = PgConnection::connect(&url("postgres")).await.unwrap();
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    connection.close().await.unwrap();
    url(&name)
}

fn url(database: &str) -> String {
    format!("postgres://test@localhost/{database}?host={}", socket_folder().display())
}

fn socket_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = new_folder();
        start(&folder, &["--listen_addresses="]).unwrap_or_else(|said| panic!("PostgreSQL has not started:\n{said}"));
        folder
    })
}

/// For a server; it removes it.
pub(crate) fn new_folder() -> PathBuf {
    tempfile::Builder::new().prefix("payby-postgres-").tempdir().unwrap().keep()
}

/// Starts a server in this folder, where its socket will be, with these settings besides the usual ones. It can be used
/// then, or this is what it has said.
pub(crate) fn start(folder: &Path, settings: &[&str]) -> Result<(), String> {
    let shell = ["sh", "-c", UNTIL_STDIN_ENDS, "sh"];
    let mut command = if is_root() {
        // PostgreSQL refuses to run as root.
        assert!(Command::new("chown").args(["-R", "nobody"]).arg(folder).status().unwrap().success());
        let mut command = Command::new("setpriv");
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).args(shell);
        command
    } else {
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]);
        command
    };
    command.arg(programs()).arg(folder).args(settings).current_dir(folder);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut said = Vec::new();
    let is_ready = lines.by_ref().any(|line| {
        said.push(line);
        said.last().is_some_and(|line| line.contains("ready to accept connections"))
    });
    if !is_ready {
        child.wait().unwrap();
        return Err(said.join("\n"));
    }
    // It must be able to go on talking, and its standard input ends with this process.
    std::thread::spawn(move || lines.for_each(drop));
    std::mem::forget(child);
    Ok(())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}

/// The folder of PostgreSQL's programs, the newest if there are several.
fn programs() -> PathBuf {
    let has_both = |folder: &PathBuf| folder.join("initdb").is_file() && folder.join("postgres").is_file();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions.map(|version| version.path().join("bin")).filter(has_both);
    let newest = debian.max_by_key(|bin| bin.parent()?.file_name()?.to_str()?.parse::<u32>().ok());
    let path = env::var_os("PATH").unwrap_or_default();
    newest.or_else(|| env::split_paths(&path).find(has_both)).expect(
        "these tests need PostgreSQL: run `cargo xtask setup`, or `apt-get install postgresql`, or put its programs on PATH",
    )
}
