//! A database with many old orders. Each is a copy of one that was really begun and paid, under names of its own, made by
//! the database itself: as plausible as that one, in the tables as they are, and a million in a minute.

use anyhow::{Context, Result};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Column, Connection as _, Row as _};

/// What a table's columns are in a copy, where they are not the first row's. `names` has one row for each copy.
const COPIES: [(&str, &[(&str, &str)]); 4] = [
    ("purchases", &[("id", "names.purchase"), ("reference", "'old-' || names.n")]),
    ("checkout_tokens", &[("token_sha256", "names.hash"), ("purchase_id", "names.purchase")]),
    ("orders", &[("order_number", "names.number"), ("purchase_id", "names.purchase")]),
    ("notifications", &[("notify_id", "'old-' || names.n"), ("order_number", "names.number")]),
];

/// Purchases and tokens have random names. Order numbers are as long as ours, and sort by time, before those to come.
const SQLITE_NAMES: &str = "
    PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -1000000;
    CREATE TEMP TABLE names AS
    WITH RECURSIVE count (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < {count})
    SELECT n, lower(hex(randomblob(11))) AS purchase, randomblob(32) AS hash, printf('%025d', n) AS number FROM count";

const POSTGRES_NAMES: &str = "
    SET synchronous_commit = off;
    CREATE TEMP TABLE names AS
    SELECT n, substr(md5(n::text), 1, 22) AS purchase, sha256(n::text::bytea) AS hash, lpad(n::text, 25, '0') AS number
    FROM generate_series(1, {count}) AS n";

/// So many orders, copies of the one that is there. The proxy must not be running.
pub(super) async fn fill(database: &str, count: usize) -> Result<()> {
    sqlx::any::install_default_drivers();
    let is_sqlite = database.starts_with("sqlite:");
    let (names, done) = if is_sqlite {
        (SQLITE_NAMES, "PRAGMA wal_checkpoint(TRUNCATE)")
    } else {
        // As the server itself would in time, but not in the middle of a measurement.
        (POSTGRES_NAMES, "VACUUM ANALYZE")
    };
    let mut connection = AnyConnection::connect(database).await?;
    run(&mut connection, names.replace("{count}", &count.to_string())).await?;
    for (table, own) in COPIES {
        let first = format!("SELECT * FROM {table} LIMIT 1");
        let row: AnyRow = sqlx::query(AssertSqlSafe(first.clone())).fetch_one(&mut connection).await?;
        let columns: Vec<_> = row.columns().iter().map(Column::name).collect();
        let value = |column: &&str| match own.iter().find(|(name, _)| name == column) {
            Some((_, value)) => (*value).to_owned(),
            None => format!("first.{column}"),
        };
        let values: Vec<_> = columns.iter().map(value).collect();
        let (columns, values) = (columns.join(", "), values.join(", "));
        let copy = format!("INSERT INTO {table} ({columns}) SELECT {values} FROM names, ({first}) AS first");
        run(&mut connection, copy).await.with_context(|| format!("{table} cannot be filled"))?;
    }
    run(&mut connection, done.to_owned()).await?;
    Ok(connection.close().await?)
}

async fn run(connection: &mut AnyConnection, sql: String) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}
