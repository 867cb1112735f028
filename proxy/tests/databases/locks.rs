//! Instances that reach for the same orders at the same time, held in the very middle of it.

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use crate::store::{Database, at, due};

/// Whoever takes one of these orders in hand waits for whoever has this lock.
const WAIT_IN_THE_MIDDLE: &str = "
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN new; END';
    CREATE TRIGGER wait BEFORE UPDATE ON orders FOR EACH ROW
        WHEN (new.order_number IN ('N-0', 'N-1')) EXECUTE FUNCTION wait()";

#[tokio::test]
async fn two_who_take_what_is_due_at_once_get_different_orders_and_neither_waits_for_the_other() {
    let database = Database::postgres().await;
    let store = database.open().await;
    for index in 0..4_u64 {
        let order = due(&store, &format!("N-{index}")).await;
        store.change(&order, |order| order.care.due_at = at(index)).await.unwrap();
    }
    let claim = || {
        let store = store.clone();
        async move {
            let leases = store.claim_due(at(4), at(100), 2).await.unwrap();
            let mut numbers: Vec<_> = leases.iter().map(|lease| lease.number().to_string()).collect();
            numbers.sort();
            numbers
        }
    };
    let mut middle = PgConnection::connect(&database.url).await.unwrap();
    middle.execute(AssertSqlSafe(WAIT_IN_THE_MIDDLE)).await.unwrap();
    middle.execute("SELECT pg_advisory_lock(1)").await.unwrap();
    let first = tokio::spawn(claim());
    let waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    while middle.fetch_optional(waiting).await.unwrap().is_none() {
        assert!(!first.is_finished(), "it has not come to the middle");
    }
    assert_eq!(claim().await, ["N-2", "N-3"]);
    assert!(!first.is_finished());
    middle.execute("SELECT pg_advisory_unlock(1)").await.unwrap();
    assert_eq!(first.await.unwrap(), ["N-0", "N-1"]);
}
