//! The two databases, as far as they differ: how they are opened, how a transaction begins, how a row is locked.
//!
//! | | SQLite, for one instance | PostgreSQL, for several |
//! |---|---|---|
//! | a change begins with | `BEGIN IMMEDIATE`: it has the whole database | `READ COMMITTED`, and a lock on the row that it is about |
//! | committed is on the disk | `synchronous = FULL` | `synchronous_commit` is not off |
//! | who waits too long for a lock | fails after 5 s | fails after 5 s |
//! | connections | 8 that read and 1 that writes, in this process | 16 for each instance, and one that listens |
//!
//! With those locks nothing has to be tried again: a transaction sees the rows as they will be when it writes them. Most
//! changes of an order need no transaction: a single statement writes it unless it has another revision by then
//! ([`writer`](super::writer)).

use std::collections::HashSet;
use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Any, AnyPool, AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, Transaction};

use super::{Error, Result};

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sqlite,
    Postgres,
}

/// SQLite takes a lock for writing at once: it refuses to upgrade one for reading under contention. Side by side with
/// readers, and on the disk with every commit.
const OPEN_SQLITE: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
     PRAGMA foreign_keys = ON";

/// An instance that stops in the middle of a transaction must not hold its locks for longer than a lease lasts.
const OPEN_POSTGRES: &str = "SET lock_timeout = '5s'; SET statement_timeout = '10s';
     SET idle_in_transaction_session_timeout = '5s';
     SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// A connection that was not used for so long may have been closed by the other side.
const RESTED: Duration = Duration::from_secs(1);

impl Kind {
    pub(super) fn of(url: &str) -> Result<Self> {
        match url.split_once("://") {
            Some(("sqlite", _)) => Ok(Self::Sqlite),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres),
            // The text stays out of the message: it might hold a password.
            _ => Err(Error::Configuration("it is neither sqlite://… nor postgres://…".into())),
        }
    }

    /// Connects, and brings the tables up to date. Answers what reads go through, and what writes do: SQLite has one writer at
    /// a time, and those who wait for a connection wait in turn, where those who wait for its lock try again and again.
    pub(super) async fn open(self, url: &str) -> Result<(AnyPool, AnyPool)> {
        let writers = self.connect(url, if self == Self::Sqlite { 1 } else { 16 }).await?;
        self.migrator().run(&writers).await?;
        let readers = if self == Self::Sqlite { self.connect(url, 8).await? } else { writers.clone() };
        Ok((readers, writers))
    }

    /// Brings the tables up to date, and answers what was done.
    pub(super) async fn migrate(self, url: &str) -> Result<Vec<String>> {
        let pool = self.connect(url, 1).await?;
        // Before the first migration there is no such table.
        let rows = sqlx::query("SELECT version FROM _sqlx_migrations").fetch_all(&pool).await.unwrap_or_default();
        let before = rows.iter().map(|row| row.try_get("version")).collect::<Result<HashSet<i64>>>()?;
        let migrator = self.migrator();
        migrator.run(&pool).await?;
        pool.close().await;
        let done = migrator.iter().filter(|one| !before.contains(&one.version));
        Ok(done.map(|one| format!("{:04} {}", one.version, one.description)).collect())
    }

    fn migrator(self) -> Migrator {
        match self {
            Self::Sqlite => sqlx::migrate!("./migrations/sqlite"),
            Self::Postgres => sqlx::migrate!("./migrations/postgres"),
        }
    }

    async fn connect(self, url: &str, most: u32) -> Result<AnyPool> {
        sqlx::any::install_default_drivers();
        let settings = match self {
            Self::Sqlite => OPEN_SQLITE,
            Self::Postgres => OPEN_POSTGRES,
        };
        if self == Self::Sqlite {
            create_private(SqliteConnectOptions::from_str(url)?.get_filename())?;
        } else {
            check_authority(&PgConnectOptions::from_str(url)?)?;
        }
        // What is asked is not logged: it is the same few statements, and their values are the customers'.
        let options = AnyConnectOptions::from_str(url)?.disable_statement_logging();
        AnyPoolOptions::new()
            .max_connections(most)
            .acquire_timeout(Duration::from_secs(5))
            // Whether a connection is still there is asked of those that have rested, not before every statement.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for >= RESTED {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(move |connection, _| Box::pin(async move { run(connection, settings).await }))
            .connect_with(options)
            .await
    }

    /// Begins a change.
    pub(super) async fn begin(self, pool: &AnyPool) -> Result<Transaction<'static, Any>> {
        pool.begin_with(match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED",
        })
        .await
    }

    /// Put behind a `SELECT`: nobody else may change what it finds before the transaction ends. In SQLite nobody can.
    pub(super) fn locking(self, select: &str) -> AssertSqlSafe<String> {
        match self {
            Self::Sqlite => AssertSqlSafe(select.to_owned()),
            Self::Postgres => AssertSqlSafe(format!("{select} FOR UPDATE")),
        }
    }
}

async fn run(connection: &mut sqlx::AnyConnection, settings: &'static str) -> Result<()> {
    sqlx::raw_sql(settings).execute(connection).await.map(drop)
}

/// The file is read with each connection, by code that does not say which one it could not read.
fn check_authority(options: &PgConnectOptions) -> Result<()> {
    if !matches!(options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull) {
        return Ok(());
    }
    let url = options.to_url_lossy();
    let named = url.query_pairs().find_map(|(name, value)| (name == "sslrootcert").then_some(value));
    // The certificate itself may stand there as well.
    let Some(path) = named.as_deref().and_then(|named| named.strip_prefix("file: ")) else { return Ok(()) };
    let in_words = |error| {
        format!(
            "sslrootcert names {path}, which cannot be read: {error}; name the PEM file of the authority that has \
             certified the database's server, or leave it out if that is a public one"
        )
    };
    std::fs::File::open(path).map(drop).map_err(|error| Error::Configuration(in_words(error).into()))
}

/// Makes an empty database file that only its owner can read; SQLite gives its side files the same mode.
fn create_private(path: &Path) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}
