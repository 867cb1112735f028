//! Refunds and revocations: written down before PayBy hears of them, never more than was paid.
//!
//! A revocation gives all of an order back. It is kept as a refund is, under the order's number, and is looked after once the
//! order is decided. Each is in one hand at a time, as orders are (`lease.rs`): whoever holds it writes on the condition that
//! its lease number has not grown.

use payby_checkout::gateway::wire::{PlaceRefund, RefundOrder};
use payby_checkout::hop::Trouble;
use payby_checkout::money::Money;
use payby_checkout::order_number::OrderNumber;
use payby_checkout::protocol::{Refund, RefundStatus, Refusal};
use payby_checkout::time::Millis;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AnyExecutor, AnyPool, AssertSqlSafe, Row as _};

use super::database::Kind;
use super::order::Order;
use super::purchase::{currency_text, money};
use super::{Result, integer, unreadable};

/// How money goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Under a number of the shop's, as much as it says.
    Refund,
    /// Under the order's number, all of it. What was not paid is closed.
    Revocation,
}

impl Way {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refund => "refund",
            Self::Revocation => "revocation",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Refund, Self::Revocation].into_iter().find(|way| way.as_str() == name)
    }
}

/// A refund that the shop asks for.
#[derive(Clone, Debug)]
pub struct NewRefund {
    /// Its number, which the shop has made.
    pub number: OrderNumber,
    /// The order that was paid.
    pub order_number: OrderNumber,
    /// How much goes back.
    pub amount: Money,
    /// `refund/placeOrder`'s parameters, serialised once and for all.
    pub biz_content: String,
    /// Now.
    pub created_at: Millis,
}

/// A refund or a revocation as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundRow {
    /// Which of the two.
    pub way: Way,
    /// Its number.
    pub number: OrderNumber,
    /// The order that was paid.
    pub order_number: OrderNumber,
    /// How much goes back.
    pub amount: Money,
    /// `refund/placeOrder`'s parameters: the very same bytes on every attempt. Empty for a revocation.
    pub biz_content: String,
    /// When it was asked for.
    pub created_at: Millis,
    /// Where it stands. A revocation is unknown until it is made or refused.
    pub status: RefundStatus,
    /// Why it was not made.
    pub refusal: Option<Refusal>,
    /// When it was last sent to PayBy, and not refused.
    pub sent_at: Option<Millis>,
    /// What has gone wrong in a row.
    pub trouble: Trouble,
    /// When PayBy has to be asked about it. Nobody calls before.
    pub due_at: Millis,
    /// Which lease of it was the last.
    fence: u64,
    /// When that one ends, or ended.
    pub(super) leased_until: Millis,
}

/// The right to call PayBy about one refund or revocation. There is one for each time that it was taken in hand.
#[derive(Debug, PartialEq, Eq)]
pub struct RefundLease {
    way: Way,
    number: OrderNumber,
    fence: u64,
}

impl RefundLease {
    /// Which of the two.
    #[must_use]
    pub const fn way(&self) -> Way {
        self.way
    }

    /// Its number.
    #[must_use]
    pub const fn number(&self) -> &OrderNumber {
        &self.number
    }

    pub(super) fn is_of(&self, refund: &RefundRow) -> bool {
        refund.fence == self.fence
    }
}

/// What came of asking for a refund.
#[derive(Debug)]
pub enum RefundBegun {
    /// The refund to bring forward: as just written, or the one that the number already names.
    Ours(RefundRow),
    /// The number names a refund with other parameters.
    Differs,
    /// There is no such order.
    NoOrder,
    /// The order is not paid, or its payment is given back already.
    NotPaid,
    /// So much is left to refund.
    Exceeds {
        /// In fils.
        left: u64,
    },
}

impl RefundRow {
    /// What the shop's server is told.
    #[must_use]
    pub fn told(&self) -> Refund {
        Refund {
            refund_number: self.number.clone(),
            order_number: self.order_number.clone(),
            status: self.status,
            amount: self.amount,
            failure: self.refusal.clone(),
        }
    }

    /// R10: whether the report is about this refund: under its number, of its order where the report names one.
    #[must_use]
    pub fn is_named_by(&self, report: &RefundOrder) -> bool {
        report.refund_merchant_order_no == self.number
            && report.origin_merchant_order_no.iter().all(|order| *order == self.order_number)
    }

    /// Takes in what PayBy has said.
    pub fn learn(&mut self, status: RefundStatus, refusal: Option<Refusal>) {
        self.status = self.status.merge(status);
        if self.status == RefundStatus::Failed && self.refusal.is_none() {
            self.refusal = refusal;
        }
    }

    /// Whether somebody has it in hand.
    #[must_use]
    pub fn is_held(&self, now: Millis) -> bool {
        !self.status.is_terminal() && self.leased_until > now
    }

    /// Whether the shop has asked for the same. Where PayBy notifies is the proxy's own, and may have changed meanwhile.
    fn is_begun_by(&self, new: &NewRefund) -> bool {
        let reason = |biz_content: &str| serde_json::from_str(biz_content).ok().and_then(|it: PlaceRefund| it.reason);
        self.order_number == new.order_number
            && self.amount == new.amount
            && reason(&self.biz_content) == reason(&new.biz_content)
    }
}

async fn insert(tx: &mut AnyConnection, way: Way, new: &NewRefund) -> Result<bool> {
    let inserted = sqlx::query(
        "INSERT INTO refunds
            (way, refund_number, order_number, amount_fils, currency, biz_content, created_at, status, due_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (way, refund_number) DO NOTHING",
    )
    .bind(way.as_str())
    .bind(new.number.as_str())
    .bind(new.order_number.as_str())
    .bind(integer(new.amount.amount.fils()))
    .bind(currency_text(new.amount.currency))
    .bind(new.biz_content.as_bytes())
    .bind(integer(new.created_at.0))
    .bind(RefundStatus::Unknown.as_str())
    .bind(integer(new.created_at.0))
    .execute(&mut *tx)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Decides what a request for a refund means. The order is locked, so that two at once cannot both fit.
pub(super) async fn begin(tx: &mut AnyConnection, new: &NewRefund, paid: Option<Money>) -> Result<RefundBegun> {
    if let Some(same) = by_number(&mut *tx, Way::Refund, &new.number).await? {
        return Ok(if same.is_begun_by(new) { RefundBegun::Ours(same) } else { RefundBegun::Differs });
    }
    let Some(paid) = paid else { return Ok(RefundBegun::NotPaid) };
    // What may have been given back counts as given back.
    let given = of_order(&mut *tx, &new.order_number).await?;
    let given: Vec<_> = given.iter().filter(|refund| refund.status != RefundStatus::Failed).collect();
    if given.iter().any(|refund| refund.way == Way::Revocation) {
        return Ok(RefundBegun::NotPaid);
    }
    let given: u64 = given.iter().map(|refund| refund.amount.amount.fils()).sum();
    let left = paid.amount.fils().saturating_sub(given);
    if new.amount.currency != paid.currency || new.amount.amount.fils() > left {
        return Ok(RefundBegun::Exceeds { left });
    }
    if !insert(tx, Way::Refund, new).await? {
        return Ok(RefundBegun::Differs);
    }
    let written = by_number(&mut *tx, Way::Refund, &new.number).await?;
    Ok(written.map_or(RefundBegun::NoOrder, RefundBegun::Ours))
}

/// Writes down that the order, which is locked and has not failed, is to be revoked. One that was refused stays refused.
pub(super) async fn begin_revocation(tx: &mut AnyConnection, kind: Kind, order: &Order, now: Millis) -> Result<()> {
    let (number, order_number) = (order.number.clone(), order.number.clone());
    let new = NewRefund { number, order_number, amount: order.amount, biz_content: String::new(), created_at: now };
    if insert(tx, Way::Revocation, &new).await? {
        return Ok(());
    }
    // The order had failed, so that nothing was left to give back; now it is said to be paid.
    let made = lock(tx, kind, Way::Revocation, &order.number).await?;
    if let Some(made) = made.filter(|made| made.status == RefundStatus::Refunded) {
        update(tx, &RefundRow { status: RefundStatus::Unknown, due_at: now, ..made }).await?;
    }
    Ok(())
}

const BY_NUMBER: &str = "SELECT * FROM refunds WHERE way = $1 AND refund_number = $2";

pub(super) async fn by_number<'c>(
    db: impl AnyExecutor<'c>,
    way: Way,
    number: &OrderNumber,
) -> Result<Option<RefundRow>> {
    let query = sqlx::query(BY_NUMBER).bind(way.as_str()).bind(number.as_str());
    query.fetch_optional(db).await?.as_ref().map(read).transpose()
}

pub(super) async fn lock(
    tx: &mut AnyConnection,
    kind: Kind,
    way: Way,
    number: &OrderNumber,
) -> Result<Option<RefundRow>> {
    let query = sqlx::query(kind.locking(BY_NUMBER)).bind(way.as_str()).bind(number.as_str());
    query.fetch_optional(&mut *tx).await?.as_ref().map(read).transpose()
}

async fn of_order(tx: &mut AnyConnection, order_number: &OrderNumber) -> Result<Vec<RefundRow>> {
    let query = sqlx::query("SELECT * FROM refunds WHERE order_number = $1").bind(order_number.as_str());
    query.fetch_all(&mut *tx).await?.iter().map(read).collect()
}

/// Changes a locked refund, and answers it before and after.
pub(super) async fn change(
    tx: &mut AnyConnection,
    before: RefundRow,
    change: impl FnOnce(&mut RefundRow) + Send,
) -> Result<(RefundRow, RefundRow)> {
    let mut after = before.clone();
    change(&mut after);
    update(tx, &after).await?;
    Ok((before, after))
}

async fn update(tx: &mut AnyConnection, refund: &RefundRow) -> Result<()> {
    let trouble = serde_json::to_string(&refund.trouble).map_err(|error| unreadable("trouble", error))?;
    sqlx::query(
        "UPDATE refunds SET status = $3, fail_code = $4, fail_message = $5, sent_at = $6, trouble = $7, due_at = $8,
            leased_until = $9
         WHERE way = $1 AND refund_number = $2",
    )
    .bind(refund.way.as_str())
    .bind(refund.number.as_str())
    .bind(refund.status.as_str())
    .bind(refund.refusal.as_ref().map(|refusal| refusal.code.clone()))
    .bind(refund.refusal.as_ref().and_then(|refusal| refusal.message.clone()))
    .bind(refund.sent_at.map(|at| integer(at.0)))
    .bind((refund.trouble != Trouble::default()).then_some(trouble))
    .bind(integer(refund.due_at.0))
    .bind(integer(refund.leased_until.0))
    .execute(&mut *tx)
    .await
    .map(drop)
}

/// What can be taken in hand at `$1`: it is due, nobody has it, it is not decided, and its order is.
const FREE: &str = "due_at <= $1 AND leased_until <= $1 AND status IN ('unknown', 'pending', 'deducted')
    AND NOT EXISTS (SELECT 1 FROM orders
        WHERE orders.order_number = refunds.order_number AND orders.status IN ('unknown', 'pending'))";

/// Takes one in hand, if it can be.
pub(super) async fn claim(
    pool: &AnyPool,
    way: Way,
    wanted: &OrderNumber,
    now: Millis,
    until: Millis,
) -> Result<Option<RefundLease>> {
    let sql = format!(
        "UPDATE refunds SET lease = lease + 1, leased_until = $2
         WHERE way = $3 AND refund_number = $4 AND {FREE}
         RETURNING way, refund_number, lease"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(integer(now.0)).bind(integer(until.0));
    let rows = query.bind(way.as_str()).bind(wanted.as_str()).fetch_all(pool).await?;
    rows.first().map(read_lease).transpose()
}

/// Takes in hand what can be, the longest overdue first. Two who do so at the same time get different ones.
pub(super) async fn claim_due(
    pool: &AnyPool,
    kind: Kind,
    now: Millis,
    until: Millis,
    most: usize,
) -> Result<Vec<RefundLease>> {
    let lock = match kind {
        Kind::Sqlite => "",
        Kind::Postgres => "FOR UPDATE SKIP LOCKED",
    };
    let sql = format!(
        "UPDATE refunds SET lease = lease + 1, leased_until = $2
         WHERE (way, refund_number) IN (
            SELECT way, refund_number FROM refunds WHERE {FREE} ORDER BY due_at LIMIT $3 {lock})
         RETURNING way, refund_number, lease"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(integer(now.0)).bind(integer(until.0));
    query.bind(i64::try_from(most).unwrap_or(i64::MAX)).fetch_all(pool).await?.iter().map(read_lease).collect()
}

/// Ends every lease.
pub(super) async fn end_all(pool: &AnyPool) -> Result<()> {
    let sql = "UPDATE refunds SET lease = lease + 1, leased_until = 0 WHERE leased_until > 0";
    sqlx::query(sql).execute(pool).await.map(drop)
}

fn read_lease(row: &AnyRow) -> Result<RefundLease> {
    Ok(RefundLease { way: way(row)?, number: number(row, "refund_number")?, fence: fence(row)? })
}

fn read(row: &AnyRow) -> Result<RefundRow> {
    let time = |column: &str| row.try_get::<i64, _>(column).map(|at| Millis(at.cast_unsigned()));
    let status: &str = row.try_get("status")?;
    let refusal = row.try_get::<Option<String>, _>("fail_code")?;
    let message = row.try_get("fail_message")?;
    Ok(RefundRow {
        way: way(row)?,
        number: number(row, "refund_number")?,
        order_number: number(row, "order_number")?,
        amount: money(row)?,
        biz_content: String::from_utf8(row.try_get("biz_content")?)
            .map_err(|error| unreadable("biz_content", error))?,
        created_at: time("created_at")?,
        status: RefundStatus::from_name(status)
            .ok_or_else(|| unreadable("status", format!("no such status: {status:?}")))?,
        refusal: refusal.map(|code| Refusal { code, message }),
        sent_at: row.try_get::<Option<i64>, _>("sent_at")?.map(|at| Millis(at.cast_unsigned())),
        trouble: match row.try_get::<Option<&str>, _>("trouble")? {
            Some(text) => serde_json::from_str(text).map_err(|error| unreadable("trouble", error))?,
            None => Trouble::default(),
        },
        due_at: time("due_at")?,
        fence: fence(row)?,
        leased_until: time("leased_until")?,
    })
}

fn way(row: &AnyRow) -> Result<Way> {
    let name: &str = row.try_get("way")?;
    Way::from_name(name).ok_or_else(|| unreadable("way", format!("no such way: {name:?}")))
}

fn fence(row: &AnyRow) -> Result<u64> {
    row.try_get::<i64, _>("lease").map(i64::cast_unsigned)
}

fn number(row: &AnyRow, column: &str) -> Result<OrderNumber> {
    row.try_get::<&str, _>(column)?.parse().map_err(|error| unreadable(column, error))
}
