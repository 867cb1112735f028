//! How a store's connections are set: a trigger looks at it from within, set off by a write of the store's own.

use sqlx::{AssertSqlSafe, Executor as _};

use crate::store::{Database, purchase};

const LOOK_AT_SQLITE: &str = "
    CREATE TABLE seen (journal_mode TEXT, synchronous INTEGER, foreign_keys INTEGER);
    CREATE TRIGGER look AFTER INSERT ON purchases BEGIN
        INSERT INTO seen SELECT * FROM pragma_journal_mode, pragma_synchronous, pragma_foreign_keys;
    END";

const LOOK_AT_POSTGRES: &str = "
    CREATE TABLE seen (synchronous_commit TEXT);
    CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO seen VALUES (current_setting(''synchronous_commit'')); RETURN new; END';
    CREATE TRIGGER look AFTER INSERT ON purchases FOR EACH ROW EXECUTE FUNCTION look()";

#[tokio::test]
async fn sqlite_writes_beside_readers_to_the_disk_with_every_commit_and_keeps_foreign_keys() {
    let database = Database::sqlite();
    let store = database.open().await;
    let mut connection = database.connect().await;
    connection.execute(LOOK_AT_SQLITE).await.unwrap();
    purchase(&store, "r").await;
    let seen: (String, i64, i64) = sqlx::query_as("SELECT * FROM seen").fetch_one(&mut connection).await.unwrap();
    let full = 2;
    assert_eq!(seen, ("wal".to_owned(), full, 1));
}

#[tokio::test]
async fn postgresql_writes_to_the_disk_with_every_commit_even_where_that_is_off_and_keeps_what_is_stricter() {
    for (default, expected) in [("off", "on"), ("on", "on"), ("remote_apply", "remote_apply")] {
        let database = Database::postgres().await;
        database.open().await.close().await;
        let mut connection = database.connect().await;
        connection.execute(LOOK_AT_POSTGRES).await.unwrap();
        let set = format!(
            "DO 'BEGIN EXECUTE format(''ALTER DATABASE %I SET synchronous_commit = {default}'', current_database()); END'"
        );
        connection.execute(AssertSqlSafe(set)).await.unwrap();
        purchase(&database.open().await, "r").await;
        let (seen,): (String,) = sqlx::query_as("SELECT * FROM seen").fetch_one(&mut connection).await.unwrap();
        assert_eq!(seen, expected, "{default}");
    }
}
