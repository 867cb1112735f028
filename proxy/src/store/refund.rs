//! Refunds: written down before PayBy hears of them, never more than was paid.

use payby_checkout::money::Money;
use payby_checkout::order_number::OrderNumber;
use payby_checkout::protocol::{Refund, RefundStatus, Refusal};
use payby_checkout::time::Millis;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AnyExecutor, AssertSqlSafe, Row as _};

use super::database::Kind;
use super::purchase::{currency_text, money};
use super::{Result, integer, unreadable};

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

/// A refund as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundRow {
    /// Its number.
    pub number: OrderNumber,
    /// The order that was paid.
    pub order_number: OrderNumber,
    /// How much goes back.
    pub amount: Money,
    /// `refund/placeOrder`'s parameters: the very same bytes on every attempt.
    pub biz_content: String,
    /// When it was asked for.
    pub created_at: Millis,
    /// Where it stands.
    pub status: RefundStatus,
    /// Why it was not made.
    pub refusal: Option<Refusal>,
    /// When it was last sent to PayBy.
    pub sent_at: Option<Millis>,
    /// How many calls in a row have said nothing certain.
    pub failures: u32,
    /// When PayBy has to be asked about it.
    pub due_at: Millis,
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

    /// Takes in what PayBy has said.
    pub fn learn(&mut self, status: RefundStatus, refusal: Option<Refusal>) {
        self.status = self.status.merge(status);
        if self.status == RefundStatus::Failed && self.refusal.is_none() {
            self.refusal = refusal;
        }
    }

    /// Whether it was begun by these parameters.
    fn is_begun_by(&self, new: &NewRefund) -> bool {
        self.order_number == new.order_number && self.amount == new.amount && self.biz_content == new.biz_content
    }
}

const OPEN: &str = "status IN ('unknown', 'pending', 'deducted')";

pub(super) async fn insert(tx: &mut AnyConnection, new: &NewRefund) -> Result<bool> {
    let inserted = sqlx::query(
        "INSERT INTO refunds
            (refund_number, order_number, amount_fils, currency, biz_content, created_at, status, due_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (refund_number) DO NOTHING",
    )
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
    if let Some(same) = by_number(&mut *tx, &new.number).await? {
        return Ok(if same.is_begun_by(new) { RefundBegun::Ours(same) } else { RefundBegun::Differs });
    }
    let Some(paid) = paid else { return Ok(RefundBegun::NotPaid) };
    let refunds = of_order(&mut *tx, &new.order_number).await?;
    // What may have been given back counts as given back.
    let given = refunds.iter().filter(|refund| refund.status != RefundStatus::Failed);
    let given: u64 = given.map(|refund| refund.amount.amount.fils()).sum();
    let left = paid.amount.fils().saturating_sub(given);
    if new.amount.currency != paid.currency || new.amount.amount.fils() > left {
        return Ok(RefundBegun::Exceeds { left });
    }
    if !insert(tx, new).await? {
        return Ok(RefundBegun::Differs);
    }
    let written = by_number(&mut *tx, &new.number).await?;
    Ok(written.map_or(RefundBegun::NoOrder, RefundBegun::Ours))
}

const BY_NUMBER: &str = "SELECT * FROM refunds WHERE refund_number = $1";

pub(super) async fn by_number<'c>(db: impl AnyExecutor<'c>, number: &OrderNumber) -> Result<Option<RefundRow>> {
    let query = sqlx::query(BY_NUMBER).bind(number.as_str());
    query.fetch_optional(db).await?.as_ref().map(read).transpose()
}

pub(super) async fn lock(tx: &mut AnyConnection, kind: Kind, number: &OrderNumber) -> Result<Option<RefundRow>> {
    let query = sqlx::query(kind.locking(BY_NUMBER)).bind(number.as_str());
    query.fetch_optional(&mut *tx).await?.as_ref().map(read).transpose()
}

async fn of_order(tx: &mut AnyConnection, order_number: &OrderNumber) -> Result<Vec<RefundRow>> {
    let query = sqlx::query("SELECT * FROM refunds WHERE order_number = $1").bind(order_number.as_str());
    query.fetch_all(&mut *tx).await?.iter().map(read).collect()
}

pub(super) async fn update(tx: &mut AnyConnection, refund: &RefundRow) -> Result<()> {
    sqlx::query(
        "UPDATE refunds SET status = $2, fail_code = $3, fail_message = $4, sent_at = $5, failures = $6, due_at = $7
         WHERE refund_number = $1",
    )
    .bind(refund.number.as_str())
    .bind(refund.status.as_str())
    .bind(refund.refusal.as_ref().map(|refusal| refusal.code.clone()))
    .bind(refund.refusal.as_ref().and_then(|refusal| refusal.message.clone()))
    .bind(refund.sent_at.map(|at| integer(at.0)))
    .bind(i64::from(refund.failures))
    .bind(integer(refund.due_at.0))
    .execute(&mut *tx)
    .await
    .map(drop)
}

/// Takes the refund in hand if it is due and open: until then nobody else does.
pub(super) async fn claim<'c>(
    db: impl AnyExecutor<'c>,
    number: &OrderNumber,
    now: Millis,
    until: Millis,
) -> Result<bool> {
    let sql = format!("UPDATE refunds SET due_at = $3 WHERE refund_number = $1 AND due_at <= $2 AND {OPEN}");
    let query = sqlx::query(AssertSqlSafe(sql)).bind(number.as_str()).bind(integer(now.0)).bind(integer(until.0));
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// The refunds that are due.
pub(super) async fn due<'c>(db: impl AnyExecutor<'c>, now: Millis, most: usize) -> Result<Vec<OrderNumber>> {
    let sql = format!("SELECT refund_number FROM refunds WHERE due_at <= $1 AND {OPEN} ORDER BY due_at LIMIT $2");
    let query = sqlx::query(AssertSqlSafe(sql)).bind(integer(now.0)).bind(i64::try_from(most).unwrap_or(i64::MAX));
    query.fetch_all(db).await?.iter().map(|row| number(row, "refund_number")).collect()
}

fn read(row: &AnyRow) -> Result<RefundRow> {
    let status: &str = row.try_get("status")?;
    let refusal = row.try_get::<Option<String>, _>("fail_code")?;
    let message = row.try_get("fail_message")?;
    Ok(RefundRow {
        number: number(row, "refund_number")?,
        order_number: number(row, "order_number")?,
        amount: money(row)?,
        biz_content: String::from_utf8(row.try_get("biz_content")?)
            .map_err(|error| unreadable("biz_content", error))?,
        created_at: Millis(row.try_get::<i64, _>("created_at")?.cast_unsigned()),
        status: RefundStatus::from_name(status)
            .ok_or_else(|| unreadable("status", format!("no such status: {status:?}")))?,
        refusal: refusal.map(|code| Refusal { code, message }),
        sent_at: row.try_get::<Option<i64>, _>("sent_at")?.map(|at| Millis(at.cast_unsigned())),
        failures: u32::try_from(row.try_get::<i64, _>("failures")?).unwrap_or(u32::MAX),
        due_at: Millis(row.try_get::<i64, _>("due_at")?.cast_unsigned()),
    })
}

fn number(row: &AnyRow, column: &str) -> Result<OrderNumber> {
    row.try_get::<&str, _>(column)?.parse().map_err(|error| unreadable(column, error))
}
