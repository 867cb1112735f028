//! What the proxy remembers: purchases, hashed tokens, orders, notifications. Nothing outside this module speaks SQL.
//!
//! Every change of an order goes through [`Store::change`]: read, change, write in one `BEGIN IMMEDIATE` transaction
//! (SQLite refuses to upgrade a read lock under contention). What is committed here has reached the disk.

mod order;
mod purchase;

use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use payby_checkout::gateway::wire::Notification;
use payby_checkout::order_number::OrderNumber;
use payby_checkout::time::UnixMillis;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};

pub use self::order::{NewOrder, Order};
pub use self::purchase::{NewPurchase, PurchaseRow};

/// The database failed. Whether a change took effect is unknown.
pub type Error = sqlx::Error;

type Result<T> = core::result::Result<T, Error>;

/// The proxy's memory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
}

/// What came of [`Store::open_purchase`].
#[derive(Debug, PartialEq, Eq)]
pub enum Opened {
    /// It is new.
    New(String),
    /// The reference names this one, with the same parameters.
    Same(String),
    /// The reference names one with other parameters.
    Differs,
}

/// What came of [`Store::begin_order`].
#[derive(Debug)]
pub enum Begun {
    /// The order to bring forward: the intent as just written, or the one that the number already names.
    Ours(Box<Order>),
    /// The number names an order of this purchase that was begun with another scene.
    Differs,
    /// This order has paid the purchase, or a person has to settle whether it has.
    Paid(Box<Order>),
    /// The purchase has this live order under another number.
    Live(Box<Order>),
    /// The number belongs to another purchase.
    Foreign,
}

/// An order before and after [`Store::change`].
#[derive(Debug)]
pub struct Changed {
    /// As it was.
    pub before: Order,
    /// As it is now.
    pub after: Order,
}

/// What came of [`Store::take_notification`].
#[derive(Debug)]
pub enum Taken {
    /// It was merged into its order.
    Merged(Box<Changed>),
    /// It had been taken before; nothing was done.
    Repeated,
    /// It was kept for a person to look at, and changed nothing. Why.
    Alert(String),
}

impl Store {
    /// Opens the database, makes it if there is none (readable by its owner only), and brings its tables up to date.
    ///
    /// # Errors
    /// The URL is not `sqlite://…`, or the database cannot be opened or migrated.
    pub async fn open(url: &str) -> Result<Self> {
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5));
        create_private(options.get_filename())?;
        let pool = SqlitePoolOptions::new().max_connections(8).connect_with(options).await?;
        sqlx::migrate!().run(&pool).await?;
        Ok(Self { pool })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map(drop)
    }

    /// Closes every connection, once their work is done.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Opens the purchase, or finds the same one, and adds a token to it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn open_purchase(
        &self,
        new: &NewPurchase,
        token_sha256: &[u8],
        expires_at: UnixMillis,
        now: UnixMillis,
    ) -> Result<Opened> {
        let mut tx = self.begin().await?;
        let opened = match purchase::by_reference(&mut tx, &new.reference).await? {
            None => {
                purchase::insert(&mut tx, new, now).await?;
                Opened::New(new.id.clone())
            }
            Some(row) if row.is_opened_by(new) => Opened::Same(row.id),
            Some(_) => return Ok(Opened::Differs),
        };
        let (Opened::New(id) | Opened::Same(id)) = &opened else { return Ok(opened) };
        purchase::replace_tokens(&mut tx, id, token_sha256, expires_at, now).await?;
        tx.commit().await?;
        Ok(opened)
    }

    /// The purchase of this name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn purchase(&self, id: &str) -> Result<Option<PurchaseRow>> {
        purchase::by_id(&self.pool, id).await
    }

    /// The purchase that the token of this hash is good for at this time.
    ///
    /// # Errors
    /// The database failed.
    pub async fn purchase_of_token(&self, token_sha256: &[u8], now: UnixMillis) -> Result<Option<PurchaseRow>> {
        purchase::by_token(&self.pool, token_sha256, now).await
    }

    /// The orders of a purchase, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn orders_of(&self, purchase_id: &str) -> Result<Vec<Order>> {
        order::of_purchase(&self.pool, purchase_id).await
    }

    /// One order.
    ///
    /// # Errors
    /// The database failed.
    pub async fn order(&self, number: &OrderNumber) -> Result<Option<Order>> {
        order::by_number(&self.pool, number).await
    }

    /// The orders that are not decided yet.
    ///
    /// # Errors
    /// The database failed.
    pub async fn live_orders(&self) -> Result<Vec<OrderNumber>> {
        order::live(&self.pool).await
    }

    /// Decides what a `PUT` of this number means, and writes the intent down if the order is new.
    ///
    /// # Errors
    /// The database failed.
    pub async fn begin_order(&self, new: &NewOrder) -> Result<Begun> {
        let mut tx = self.begin().await?;
        let orders = order::of_purchase(&mut *tx, &new.purchase_id).await?;
        let is_other = |order: &&Order| order.number != new.number;
        if let Some(paid) = orders.iter().filter(is_other).find(|order| order.has_paid()) {
            return Ok(Begun::Paid(Box::new(paid.clone())));
        }
        if let Some(same) = order::by_number(&mut *tx, &new.number).await? {
            return Ok(match same {
                same if same.purchase_id != new.purchase_id => Begun::Foreign,
                same if same.scene != new.scene => Begun::Differs,
                same => Begun::Ours(Box::new(same)),
            });
        }
        // R4: while one order is live there is no other.
        if let Some(live) = orders.iter().find(|order| !order.status().is_terminal()) {
            return Ok(Begun::Live(Box::new(live.clone())));
        }
        let order = new.intent();
        order::insert(&mut tx, &order).await?;
        tx.commit().await?;
        Ok(Begun::Ours(Box::new(order)))
    }

    /// Changes an order and answers it before and after; `None` if there is no such order. The version grows if a
    /// page can see the change.
    ///
    /// # Errors
    /// The database failed.
    pub async fn change(
        &self,
        number: &OrderNumber,
        change: impl FnOnce(&mut Order) + Send,
    ) -> Result<Option<Changed>> {
        let mut tx = self.begin().await?;
        let changed = order::change(&mut tx, number, change).await?;
        tx.commit().await?;
        Ok(changed)
    }

    /// Takes a verified notification: kept with its bytes, acted on the first time only, in one transaction. R10: one
    /// that names no order of ours, or another amount, changes nothing and is kept with the reason.
    ///
    /// # Errors
    /// The database failed; the notification must not be acknowledged.
    pub async fn take_notification(&self, told: &Notification, body: &[u8], now: UnixMillis) -> Result<Taken> {
        let mut tx = self.begin().await?;
        let report = &told.acquire_order;
        let order = order::by_number(&mut *tx, &report.merchant_order_no).await?;
        let alert = match &order {
            None => Some("it names an order that is not in this database".to_owned()),
            Some(order) if order.amount != report.total_amount.0 => {
                Some(format!("it names {}, the order is over {}", report.total_amount.0, order.amount))
            }
            Some(_) => None,
        };
        let inserted = sqlx::query(
            "INSERT INTO notifications (notify_id, order_number, received_at, body, alert) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (notify_id) DO NOTHING",
        )
        .bind(&told.notify_id)
        .bind(report.merchant_order_no.as_str())
        .bind(integer(now.0))
        .bind(body)
        .bind(&alert)
        .execute(&mut *tx)
        .await?;
        if inserted.rows_affected() == 0 {
            return Ok(Taken::Repeated);
        }
        let taken = if let Some(alert) = alert {
            Taken::Alert(alert)
        } else {
            let state = report.state(told.notify_timestamp);
            let changed =
                order::change(&mut tx, &report.merchant_order_no, |order| order.at_gateway.learn(&state, None)).await?;
            Taken::Merged(Box::new(changed.ok_or(Error::RowNotFound)?))
        };
        tx.commit().await?;
        Ok(taken)
    }

    async fn begin(&self) -> Result<Transaction<'static, Sqlite>> {
        self.pool.begin_with("BEGIN IMMEDIATE").await
    }
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

/// SQL has no unsigned integers. No time, version or amount comes near the difference.
const fn integer(value: u64) -> i64 {
    value.cast_signed()
}

/// A stored text or number that this version cannot read.
fn unreadable(column: &str, why: impl core::fmt::Display) -> Error {
    Error::ColumnDecode { index: column.to_owned(), source: why.to_string().into() }
}

#[cfg(test)]
mod tests;
