//! Leases: an order is brought forward by one worker at a time, whichever instance it is in.
//!
//! An order that is not decided has a time at which it is due. Any instance may then take it in hand: the order's lease
//! number grows, and until the lease ends nobody else may. Who holds it makes a round of calls, each of them written down
//! on the condition that the lease is still theirs, which renews it, and then hands the order back with a new time.
//! Whoever dies in between is followed by another as soon as the lease has ended; whoever was only asleep finds that the
//! number has grown, and stops (a fencing token).

use payby_checkout::order_number::OrderNumber;
use payby_checkout::time::Millis;
use sqlx::{AnyPool, AssertSqlSafe, Row as _};

use super::database::Kind;
use super::order::{self, Order};
use super::{Result, integer};

/// The right to call the gateway about one order, and the order as it is in the hands of who has it. Not a copy of it: there
/// is one for each time that an order was taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Lease {
    pub(super) order: Order,
}

impl Lease {
    /// The order, as it was last written down by who has it in hand.
    #[must_use]
    pub const fn order(&self) -> &Order {
        &self.order
    }

    /// The order's number.
    #[must_use]
    pub const fn number(&self) -> &OrderNumber {
        &self.order.number
    }

    /// The order, which is in nobody's hands after this.
    #[must_use]
    pub fn into_order(self) -> Order {
        self.order
    }

    pub(super) const fn is_of(&self, order: &Order) -> bool {
        order.care.fence == self.order.care.fence
    }
}

const LIVE: &str = "status IN ('unknown', 'pending')";

/// Takes one order in hand, if nobody else has it and it is not decided.
pub(super) async fn claim(pool: &AnyPool, wanted: &OrderNumber, now: Millis, until: Millis) -> Result<Option<Lease>> {
    let sql = format!(
        "UPDATE orders SET lease = lease + 1, leased_until = $3, revision = revision + 1
         WHERE order_number = $1 AND leased_until <= $2 AND {LIVE}
         RETURNING *"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(wanted.as_str()).bind(integer(now.0)).bind(integer(until.0));
    let rows = query.fetch_all(pool).await?;
    rows.first().map(read).transpose()
}

/// Takes in hand what is due, the longest overdue first. Two who do so at the same time get different orders.
pub(super) async fn claim_due(
    pool: &AnyPool,
    kind: Kind,
    now: Millis,
    until: Millis,
    most: usize,
) -> Result<Vec<Lease>> {
    let lock = match kind {
        Kind::Sqlite => "",
        Kind::Postgres => "FOR UPDATE SKIP LOCKED",
    };
    let sql = format!(
        "UPDATE orders SET lease = lease + 1, leased_until = $2, revision = revision + 1
         WHERE order_number IN (
            SELECT order_number FROM orders WHERE due_at <= $1 AND leased_until <= $1 AND {LIVE}
            ORDER BY due_at LIMIT $3 {lock})
         RETURNING *"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(integer(now.0)).bind(integer(until.0));
    query.bind(i64::try_from(most).unwrap_or(i64::MAX)).fetch_all(pool).await?.iter().map(read).collect()
}

/// When the next order after this time is due.
pub(super) async fn next_due(pool: &AnyPool, after: Millis) -> Result<Option<Millis>> {
    let sql = format!("SELECT MIN(due_at) AS due_at FROM orders WHERE due_at > $1 AND {LIVE}");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(integer(after.0)).fetch_one(pool).await?;
    Ok(row.try_get::<Option<i64>, _>("due_at")?.map(|at| Millis(at.cast_unsigned())))
}

/// How many orders are not decided.
pub(super) async fn count_live(pool: &AnyPool) -> Result<usize> {
    let sql = format!("SELECT COUNT(*) AS live FROM orders WHERE {LIVE}");
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(pool).await?;
    Ok(usize::try_from(row.try_get::<i64, _>("live")?).unwrap_or_default())
}

/// Ends every lease.
pub(super) async fn end_all(pool: &AnyPool) -> Result<()> {
    let sql = "UPDATE orders SET lease = lease + 1, leased_until = 0, revision = revision + 1 WHERE leased_until > 0";
    sqlx::query(sql).execute(pool).await.map(drop)
}

fn read(row: &sqlx::any::AnyRow) -> Result<Lease> {
    Ok(Lease { order: order::read(row)? })
}
