//! How orders are written: what waits to be written is written together, and is on the disk together.
//!
//! SQLite has one writer at a time, and most of what a write costs is the way to its thread and the wait for the disk.
//! So whatever has come since the last write began goes into the next, as one transaction, which decides about each order
//! for itself. Whoever comes alone is written at once; under load a write waits a little for others ([`APART`]).
//! PostgreSQL has many writers and does the like by itself: there each order is written at once and alone.
//!
//! Orders go into a statement as one JSON text, whichever number of them there is, so that it is prepared once.

use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::Duration;

use payby_checkout::order_number::OrderNumber;
use sqlx::{AnyConnection, AnyExecutor, AnyPool, AssertSqlSafe, Row as _};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::database::Kind;
use super::order::Order;
use super::{Error, Result, unreadable};

/// How many orders are written together.
const MOST: usize = 64;

/// How far apart the transactions begin at least.
const APART: Duration = Duration::from_millis(5);

/// What an order's row has, and as what PostgreSQL finds it in the JSON text.
const COLUMNS: [(&str, &str); 23] = [
    ("order_number", "TEXT"),
    ("purchase_id", "TEXT"),
    ("scene", "TEXT"),
    ("amount_fils", "BIGINT"),
    ("currency", "TEXT"),
    ("biz_content", "TEXT"),
    ("expires_at", "BIGINT"),
    ("created_at", "BIGINT"),
    ("lease", "BIGINT"),
    ("state", "TEXT"),
    ("status", "TEXT"),
    ("pay_url", "TEXT"),
    ("version", "BIGINT"),
    ("create_unknown_at", "BIGINT"),
    ("cancel_wanted", "INTEGER"),
    ("cancel_unknown", "INTEGER"),
    ("queried_at", "BIGINT"),
    ("cancel_sent_at", "BIGINT"),
    ("due_at", "BIGINT"),
    ("awaited_until", "BIGINT"),
    ("trouble", "TEXT"),
    ("leased_until", "BIGINT"),
    ("revision", "BIGINT"),
];

/// So many of them are never changed by [`Change::Update`].
const FIXED: usize = 9;

/// What is to be written of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// All of it, unless its number is taken or its purchase has one that is live or paid. Of two at once the index of live
    /// orders lets one pass.
    Insert,
    /// What can change, unless somebody else has written it since it was read.
    Update,
}

/// What writes orders.
#[derive(Clone, Debug)]
pub(super) enum Writer {
    /// Together, by a task.
    Sqlite(mpsc::UnboundedSender<Waiting>),
    /// Each alone.
    Postgres(AnyPool),
}

/// An order on its way to the disk.
#[derive(Debug)]
pub(super) struct Waiting {
    change: Change,
    number: OrderNumber,
    row: String,
    written: oneshot::Sender<Result<bool>>,
}

impl Writer {
    pub(super) fn new(kind: Kind, pool: AnyPool) -> Self {
        match kind {
            Kind::Postgres => Self::Postgres(pool),
            Kind::Sqlite => {
                let (queue, waiting) = mpsc::unbounded_channel();
                drop(tokio::spawn(write_all(pool, waiting)));
                Self::Sqlite(queue)
            }
        }
    }

    /// Writes the order down, and answers whether it did.
    pub(super) async fn write(&self, change: Change, order: &mut Order) -> Result<bool> {
        let is_written = match self {
            Self::Sqlite(queue) => {
                let (written, answer) = oneshot::channel();
                let waiting = Waiting { change, number: order.number.clone(), row: order.row()?, written };
                // If the task has ended, the answer says so.
                let _ = queue.send(waiting);
                answer.await.map_err(|_| Error::PoolClosed)??
            }
            Self::Postgres(pool) => one(pool, Kind::Postgres, change, order).await?,
        };
        order.revision += u64::from(is_written && change == Change::Update);
        Ok(is_written)
    }
}

/// Updates an order that this transaction has locked.
pub(super) async fn update_locked(tx: &mut AnyConnection, kind: Kind, order: &mut Order) -> Result<()> {
    if !one(tx, kind, Change::Update, order).await? {
        return Err(unreadable("revision", "it has grown under a lock"));
    }
    order.revision += 1;
    Ok(())
}

async fn one<'c>(db: impl AnyExecutor<'c>, kind: Kind, change: Change, order: &Order) -> Result<bool> {
    let query = sqlx::query(AssertSqlSafe(alone(kind, change))).bind(format!("[{}]", order.row()?));
    Ok(query.fetch_optional(db).await?.is_some())
}

/// Writes what waits, until there is nobody left to bring more.
async fn write_all(pool: AnyPool, mut queue: mpsc::UnboundedReceiver<Waiting>) {
    let (mut waiting, mut not_before) = (Vec::new(), Instant::now());
    loop {
        if waiting.is_empty() && queue.recv_many(&mut waiting, MOST).await == 0 {
            return;
        }
        if Instant::now() < not_before {
            sleep_until(not_before).await;
        }
        while waiting.len() < MOST
            && let Ok(one) = queue.try_recv()
        {
            waiting.push(one);
        }
        not_before = Instant::now() + APART;
        // Of two changes of one order the second comes later, so that it is known which of them was made.
        let mut numbers = HashSet::new();
        let (some, rest) = waiting.into_iter().partition(|one: &Waiting| numbers.insert(one.number.clone()));
        waiting = rest;
        write_some(&pool, some).await;
    }
}

/// Writes these orders, of which no two are the same.
async fn write_some(pool: &AnyPool, some: Vec<Waiting>) {
    match together(pool, &some).await {
        Ok(written) => {
            for one in some {
                // Whoever has gone away need not be told.
                let _ = one.written.send(Ok(written.contains(one.number.as_str())));
            }
        }
        // One of them may be to blame: each gets an answer of its own.
        Err(error) if some.len() > 1 => {
            tracing::warn!(orders = some.len(), %error, "orders could not be written together; each is written alone");
            for one in some {
                let written = together(pool, std::slice::from_ref(&one)).await;
                let _ = one.written.send(written.map(|written| !written.is_empty()));
            }
        }
        Err(error) => {
            if let Some(one) = some.into_iter().next() {
                let _ = one.written.send(Err(error));
            }
        }
    }
}

/// In one transaction. Answers which were written.
async fn together(pool: &AnyPool, some: &[Waiting]) -> Result<HashSet<String>> {
    static TRANSACTION: LazyLock<String> = LazyLock::new(|| {
        let [insert, update] =
            [(Change::Insert, 1), (Change::Update, 2)].map(|(change, rows)| statement(Kind::Sqlite, change, rows));
        format!("BEGIN IMMEDIATE; {insert}; {update}; COMMIT")
    });
    let rows = |change| {
        let rows: Vec<_> = some.iter().filter(|one| one.change == change).map(|one| one.row.as_str()).collect();
        (!rows.is_empty()).then(|| format!("[{}]", rows.join(",")))
    };
    let query = match (rows(Change::Insert), rows(Change::Update)) {
        (Some(inserts), Some(updates)) => sqlx::query(TRANSACTION.as_str()).bind(inserts).bind(updates),
        (Some(inserts), None) => sqlx::query(alone(Kind::Sqlite, Change::Insert)).bind(inserts),
        (None, updates) => sqlx::query(alone(Kind::Sqlite, Change::Update)).bind(updates),
    };
    let mut connection = pool.acquire().await?;
    match query.fetch_all(&mut *connection).await {
        Ok(written) => written.iter().map(|row| row.try_get("order_number")).collect(),
        Err(error) => {
            // Rolls back, whatever of it was done.
            connection.close().await?;
            Err(error)
        }
    }
}

/// The statement that makes one kind of change, whose only argument is the rows.
fn alone(kind: Kind, change: Change) -> &'static str {
    static STATEMENTS: LazyLock<[[String; 2]; 2]> = LazyLock::new(|| {
        [Kind::Sqlite, Kind::Postgres]
            .map(|kind| [Change::Insert, Change::Update].map(|change| statement(kind, change, 1)))
    });
    &STATEMENTS[kind as usize][change as usize]
}

/// Writes the rows of which this argument has the JSON text, and answers the numbers of those that were written.
fn statement(kind: Kind, change: Change, argument: usize) -> String {
    let value = |name: &str| match (kind, name) {
        (Kind::Sqlite, "biz_content") => format!("CAST(value ->> '{name}' AS BLOB)"),
        (Kind::Sqlite, _) => format!("value ->> '{name}'"),
        (Kind::Postgres, "biz_content") => format!("convert_to(r.{name}, 'UTF8')"),
        (Kind::Postgres, _) => format!("r.{name}"),
    };
    let rows = match kind {
        Kind::Sqlite => format!("json_each(${argument})"),
        Kind::Postgres => {
            let columns: Vec<_> = COLUMNS.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
            format!("json_to_recordset(CAST(${argument} AS json)) AS r({})", columns.join(", "))
        }
    };
    let (number, purchase, revision) = (value("order_number"), value("purchase_id"), value("revision"));
    match change {
        Change::Insert => {
            let names = COLUMNS.map(|(name, _)| name).join(", ");
            let values = COLUMNS.map(|(name, _)| value(name)).join(", ");
            format!(
                "INSERT INTO orders ({names}) SELECT {values} FROM {rows}
                 WHERE NOT EXISTS (SELECT 1 FROM orders WHERE orders.purchase_id = {purchase} AND orders.status <> 'failed')
                 ON CONFLICT DO NOTHING RETURNING order_number"
            )
        }
        Change::Update => {
            let changes: Vec<_> =
                COLUMNS[FIXED..].iter().map(|(name, _)| format!("{name} = {}", value(name))).collect();
            format!(
                "UPDATE orders SET {}, revision = orders.revision + 1 FROM {rows}
                 WHERE orders.order_number = {number} AND orders.revision = {revision} RETURNING orders.order_number",
                changes[..changes.len() - 1].join(", ")
            )
        }
    }
}
