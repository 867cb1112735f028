//! What the proxy remembers: purchases, hashed tokens, orders, notifications. Nothing outside this module speaks SQL.
//!
//! In SQLite for one instance, in PostgreSQL for several ([`database`] has what differs). Every change of an order goes
//! through [`Store::change`] or, by who has taken it in hand, [`Store::change_held`]. Each is one statement: it writes what
//! follows from the order as it was read, unless somebody else has written it since; then it is read and decided anew.
//! What is committed here has reached the disk.

mod database;
mod hints;
mod lease;
mod order;
mod purchase;
mod refund;
mod writer;

use std::sync::Arc;

use payby_checkout::gateway::wire::{Notification, RefundNotification};
use payby_checkout::hop::Attempt;
use payby_checkout::order::Status;
use payby_checkout::order_number::OrderNumber;
use payby_checkout::time::{Millis, UnixMillis};
use quick_cache::sync::Cache;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{Any, AnyConnection, AnyPool, Transaction};

use self::database::Kind;
pub use self::hints::{Hint, Listener};
pub use self::lease::Lease;
pub use self::order::{Care, NewOrder, Order};
pub use self::purchase::{NewPurchase, PurchaseRow};
pub use self::refund::{NewRefund, RefundBegun, RefundLease, RefundRow, Way};
use self::writer::{Change, Writer};

/// The database failed. Whether a change took effect is unknown.
pub type Error = sqlx::Error;

type Result<T> = core::result::Result<T, Error>;

/// How many purchases are kept at hand.
const REMEMBERED: usize = 10_000;

/// The proxy's memory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    /// What changes go through.
    writers: AnyPool,
    /// What orders go through, unless a change of something else goes with them.
    orders: Writer,
    /// What was opened or asked for lately, by the hash of its token, with the token's end: none of it ever changes.
    purchases: Arc<Cache<Vec<u8>, (PurchaseRow, UnixMillis)>>,
    kind: Kind,
    /// It may hold a password.
    url: SecretString,
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

/// What [`Store::begin_order`] has found in the place of a new order.
#[derive(Debug)]
pub enum Found {
    /// The number names this order of the purchase already.
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

/// What came of [`Store::take_refund_notification`].
#[derive(Debug)]
pub enum RefundTaken {
    /// It was merged into its refund: before and after.
    Merged(Box<(RefundRow, RefundRow)>),
    /// It had been taken before; nothing was done.
    Repeated,
    /// It was kept for a person to look at, and changed nothing. Why.
    Alert(String),
}

impl Store {
    /// Opens the database and brings its tables up to date. An SQLite file is made if there is none, readable by its owner
    /// only.
    ///
    /// # Errors
    /// The URL is neither `sqlite://…` nor `postgres://…`, or the database cannot be opened or migrated.
    pub async fn open(url: &str) -> Result<Self> {
        let kind = Kind::of(url)?;
        let (pool, writers) = kind.open(url).await?;
        let orders = Writer::new(kind, writers.clone());
        let purchases = Arc::new(Cache::new(REMEMBERED));
        Ok(Self { pool, writers, orders, purchases, kind, url: url.into() })
    }

    /// Brings the tables up to date and answers what was done to them, in order; nothing, if they were.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn migrate(url: &str) -> Result<Vec<String>> {
        Kind::of(url)?.migrate(url).await
    }

    /// Whether the database can be written.
    ///
    /// # Errors
    /// It cannot.
    pub async fn probe(&self, now: UnixMillis) -> Result<()> {
        let sql = "INSERT INTO probe (id, at) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET at = excluded.at";
        sqlx::query(sql).bind(integer(now.0)).execute(&self.writers).await.map(drop)
    }

    /// Closes every connection, once their work is done.
    pub async fn close(&self) {
        self.pool.close().await;
        self.writers.close().await;
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
        let opened = if purchase::insert(&mut tx, new, now).await? {
            Opened::New(new.id.clone())
        } else {
            match purchase::by_reference(&mut tx, &new.reference).await? {
                Some(row) if row.is_opened_by(new) => Opened::Same(row.id),
                _ => return Ok(Opened::Differs),
            }
        };
        let (Opened::New(id) | Opened::Same(id)) = &opened else { return Ok(opened) };
        purchase::replace_tokens(&mut tx, id, token_sha256, expires_at, now).await?;
        tx.commit().await?;
        self.purchases.insert(token_sha256.to_owned(), (new.row(id.clone()), expires_at));
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
        if let Some((purchase, expires_at)) = self.purchases.get(token_sha256) {
            return Ok((expires_at > now).then_some(purchase));
        }
        let Some(found) = purchase::by_token(&self.pool, token_sha256, now).await? else { return Ok(None) };
        self.purchases.insert(token_sha256.to_owned(), found.clone());
        Ok(Some(found.0))
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

    /// One order, if the token of this hash is good for it at this time. One statement whatever is asked for, so that what is
    /// denied takes as long as what is not there.
    ///
    /// # Errors
    /// The database failed.
    pub async fn order_of_token(
        &self,
        token_sha256: &[u8],
        number: &OrderNumber,
        now: UnixMillis,
    ) -> Result<Option<Order>> {
        order::by_token(&self.pool, token_sha256, number, now).await
    }

    /// Writes down the intent to create this order, which is then in the caller's hands until that time, its creation to be
    /// sent; or answers what was found in its place.
    ///
    /// # Errors
    /// The database failed.
    pub async fn begin_order(
        &self,
        new: &NewOrder,
        until: Millis,
    ) -> Result<core::result::Result<(Lease, Attempt), Found>> {
        let (mut order, attempt) = new.intent(until);
        // R4: while one order is live there is no other; and none after one that has paid.
        while !self.orders.write(Change::Insert, &mut order).await? {
            let orders = self.orders_of(&new.purchase_id).await?;
            let is_other = |order: &&Order| order.number != new.number;
            if let Some(paid) = orders.iter().filter(is_other).find(|order| order.has_paid()) {
                return Ok(Err(Found::Paid(Box::new(paid.clone()))));
            }
            if let Some(same) = self.order(&new.number).await? {
                return Ok(Err(match same {
                    same if same.purchase_id != new.purchase_id => Found::Foreign,
                    same if same.scene != new.scene => Found::Differs,
                    same => Found::Ours(Box::new(same)),
                }));
            }
            if let Some(live) = orders.iter().find(|order| !order.status().is_terminal()) {
                return Ok(Err(Found::Live(Box::new(live.clone()))));
            }
            // What was in the way has just been decided.
        }
        Ok(Ok((Lease { order }, attempt)))
    }

    /// Changes an order and answers it before and after; `None` if there is no such order. The version grows if a
    /// page can see the change. The change is made again if somebody else's came first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn change(&self, number: &OrderNumber, change: impl FnMut(&mut Order) + Send) -> Result<Option<Changed>> {
        match self.order(number).await? {
            Some(order) => self.change_from(order, |_| true, change).await,
            None => Ok(None),
        }
    }

    /// The same, begun from the order as it was read before.
    ///
    /// # Errors
    /// The database failed.
    pub async fn change_known(&self, order: &Order, change: impl FnMut(&mut Order) + Send) -> Result<Option<Changed>> {
        self.change_from(order.clone(), |_| true, change).await
    }

    /// The same for who holds the order. `None`, and nothing is changed, if meanwhile somebody else has taken it in hand.
    ///
    /// # Errors
    /// The database failed.
    pub async fn change_held(
        &self,
        lease: &mut Lease,
        change: impl FnMut(&mut Order) + Send,
    ) -> Result<Option<Changed>> {
        let changed = self.change_from(lease.order.clone(), |order| lease.is_of(order), change).await?;
        if let Some(Changed { after, .. }) = &changed {
            lease.order = after.clone();
        }
        Ok(changed)
    }

    async fn change_from(
        &self,
        mut before: Order,
        may: impl Fn(&Order) -> bool + Send,
        mut change: impl FnMut(&mut Order) + Send,
    ) -> Result<Option<Changed>> {
        loop {
            let mut after = before.changed(&mut change);
            if after == before || self.orders.write(Change::Update, &mut after).await? {
                return Ok(Some(Changed { before, after }));
            }
            match self.order(&before.number).await? {
                Some(order) if may(&order) => before = order,
                _ => return Ok(None),
            }
        }
    }

    /// Takes one order in hand, if nobody has it and it is not decided.
    ///
    /// # Errors
    /// The database failed.
    pub async fn claim(&self, number: &OrderNumber, now: Millis, until: Millis) -> Result<Option<Lease>> {
        lease::claim(&self.writers, number, now, until).await
    }

    /// Takes in hand what is due and nobody has, the longest overdue first, so many at most.
    ///
    /// # Errors
    /// The database failed.
    pub async fn claim_due(&self, now: Millis, until: Millis, most: usize) -> Result<Vec<Lease>> {
        lease::claim_due(&self.writers, self.kind, now, until, most).await
    }

    /// How many orders are not decided.
    ///
    /// # Errors
    /// The database failed.
    pub async fn live_orders(&self) -> Result<usize> {
        lease::count_live(&self.pool).await
    }

    /// When the next order after this time is due.
    ///
    /// # Errors
    /// The database failed.
    pub async fn next_due(&self, after: Millis) -> Result<Option<Millis>> {
        lease::next_due(&self.pool, after).await
    }

    /// To be called by an instance that begins. SQLite has one instance: whoever held an order before is dead.
    ///
    /// # Errors
    /// The database failed.
    pub async fn begin_instance(&self) -> Result<()> {
        match self.kind {
            Kind::Sqlite => {
                lease::end_all(&self.writers).await?;
                refund::end_all(&self.writers).await
            }
            Kind::Postgres => Ok(()),
        }
    }

    /// The versions of these orders.
    ///
    /// # Errors
    /// The database failed.
    pub async fn versions(&self, numbers: &[OrderNumber]) -> Result<Vec<Hint>> {
        order::versions(&self.pool, self.kind, numbers).await
    }

    /// Whether there can be other instances.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.kind == Kind::Postgres
    }

    /// Listens to the other instances; `None` if there can be none.
    ///
    /// # Errors
    /// The database failed.
    pub async fn listen(&self) -> Result<Option<Listener>> {
        match self.kind {
            Kind::Sqlite => Ok(None),
            Kind::Postgres => Listener::open(self.url.expose_secret()).await.map(Some),
        }
    }

    /// Tells the other instances of new versions.
    ///
    /// # Errors
    /// The database failed.
    pub async fn send_hints(&self, hints: &[Hint]) -> Result<()> {
        hints::send(&self.pool, hints).await
    }

    /// Takes a verified notification: kept with its bytes, acted on the first time only, in one transaction. R10: one
    /// that names no order of ours, or another amount, changes nothing and is kept with the reason.
    ///
    /// # Errors
    /// The database failed; the notification must not be acknowledged.
    pub async fn take_notification(&self, told: &Notification, body: &[u8], now: UnixMillis) -> Result<Taken> {
        let mut tx = self.begin().await?;
        let report = &told.acquire_order;
        let order = order::lock(&mut tx, self.kind, &report.merchant_order_no).await?;
        let order = match order {
            None => Err("it names an order that is not in this database".to_owned()),
            Some(order) if order.amount != report.total_amount.0 => {
                Err(format!("it names {}, the order is over {}", report.total_amount.0, order.amount))
            }
            Some(order) => Ok(order),
        };
        let number = &report.merchant_order_no;
        if !keep_notification(&mut tx, &told.notify_id, number, body, order.as_ref().err(), now).await? {
            return Ok(Taken::Repeated);
        }
        let taken = match order {
            Ok(order) => {
                let state = report.state(told.notify_timestamp);
                let learn = |order: &mut Order| order.at_gateway.learn(&state, None);
                Taken::Merged(Box::new(order::change_locked(&mut tx, self.kind, order, learn).await?))
            }
            Err(why) => Taken::Alert(why),
        };
        tx.commit().await?;
        Ok(taken)
    }

    /// Decides what a request for a refund means, and writes the intent down if it is new: never more than was paid.
    ///
    /// # Errors
    /// The database failed.
    pub async fn begin_refund(&self, new: &NewRefund) -> Result<RefundBegun> {
        let mut tx = self.begin().await?;
        let Some(order) = order::lock(&mut tx, self.kind, &new.order_number).await? else {
            return Ok(RefundBegun::NoOrder);
        };
        let is_paid = order.status() == Status::Paid && !order.at_gateway.state.is_revoked();
        let begun = refund::begin(&mut tx, new, is_paid.then_some(order.amount)).await?;
        tx.commit().await?;
        Ok(begun)
    }

    /// Writes down that the order is to be revoked, and that it is given up if it can still be paid; nothing, if it has
    /// failed. Answers whether there is such an order.
    ///
    /// # Errors
    /// The database failed.
    pub async fn begin_revocation(&self, number: &OrderNumber, now: Millis) -> Result<bool> {
        let mut tx = self.begin().await?;
        let Some(order) = order::lock(&mut tx, self.kind, number).await? else { return Ok(false) };
        if order.status() != Status::Failed {
            refund::begin_revocation(&mut tx, self.kind, &order, now).await?;
        }
        if !order.status().is_terminal() {
            let give_up = |order: &mut Order| {
                order.at_gateway.cancel_wanted = true;
                order.care.due_at = order.care.due_at.min(now);
            };
            order::change_locked(&mut tx, self.kind, order, give_up).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// One refund, or the revocation of the order of this number.
    ///
    /// # Errors
    /// The database failed.
    pub async fn refund(&self, way: Way, number: &OrderNumber) -> Result<Option<RefundRow>> {
        refund::by_number(&self.pool, way, number).await
    }

    /// Changes a refund or a revocation and answers it before and after; `None` if there is none.
    ///
    /// # Errors
    /// The database failed.
    pub async fn change_refund(
        &self,
        way: Way,
        number: &OrderNumber,
        change: impl FnOnce(&mut RefundRow) + Send,
    ) -> Result<Option<(RefundRow, RefundRow)>> {
        let mut tx = self.begin().await?;
        let Some(refund) = refund::lock(&mut tx, self.kind, way, number).await? else { return Ok(None) };
        let changed = refund::change(&mut tx, refund, change).await?;
        tx.commit().await?;
        Ok(Some(changed))
    }

    /// The same for who holds it, as [`Store::change_held`] does for an order. `None`, and nothing is changed, if meanwhile
    /// somebody else has taken it in hand.
    ///
    /// # Errors
    /// The database failed.
    pub async fn change_refund_held(
        &self,
        lease: &RefundLease,
        until: Millis,
        change: impl FnOnce(&mut RefundRow) + Send,
    ) -> Result<Option<(RefundRow, RefundRow)>> {
        let mut tx = self.begin().await?;
        let refund = refund::lock(&mut tx, self.kind, lease.way(), lease.number()).await?;
        let Some(refund) = refund.filter(|refund| lease.is_of(refund)) else { return Ok(None) };
        let changed = refund::change(&mut tx, refund, |refund| {
            refund.leased_until = until;
            change(refund);
        });
        let changed = changed.await?;
        tx.commit().await?;
        Ok(Some(changed))
    }

    /// Takes a refund or a revocation in hand, if it is due, nobody has it, it is not decided, and its order is.
    ///
    /// # Errors
    /// The database failed.
    pub async fn claim_refund(
        &self,
        way: Way,
        number: &OrderNumber,
        now: Millis,
        until: Millis,
    ) -> Result<Option<RefundLease>> {
        refund::claim(&self.writers, way, number, now, until).await
    }

    /// Takes in hand what of both can be, the longest overdue first, so many at most.
    ///
    /// # Errors
    /// The database failed.
    pub async fn claim_due_refunds(&self, now: Millis, until: Millis, most: usize) -> Result<Vec<RefundLease>> {
        refund::claim_due(&self.writers, self.kind, now, until, most).await
    }

    /// Takes a verified notification of a refund, as [`Store::take_notification`] does one of an order.
    ///
    /// # Errors
    /// The database failed; the notification must not be acknowledged.
    pub async fn take_refund_notification(
        &self,
        told: &RefundNotification,
        body: &[u8],
        now: UnixMillis,
        learn: impl FnOnce(&mut RefundRow) + Send,
    ) -> Result<RefundTaken> {
        let mut tx = self.begin().await?;
        let report = &told.refund_order;
        let refund = match refund::lock(&mut tx, self.kind, Way::Refund, &report.refund_merchant_order_no).await? {
            None => Err("it names a refund that is not in this database".to_owned()),
            Some(refund) if !refund.is_named_by(report) => {
                Err(format!("it names another order, the refund is of order {}", refund.order_number))
            }
            Some(refund) if refund.amount != report.amount.0 => {
                Err(format!("it names {}, the refund is over {}", report.amount.0, refund.amount))
            }
            Some(refund) => Ok(refund),
        };
        let number = &report.refund_merchant_order_no;
        if !keep_notification(&mut tx, &told.notify_id, number, body, refund.as_ref().err(), now).await? {
            return Ok(RefundTaken::Repeated);
        }
        let taken = match refund {
            Ok(refund) => RefundTaken::Merged(Box::new(refund::change(&mut tx, refund, learn).await?)),
            Err(why) => RefundTaken::Alert(why),
        };
        tx.commit().await?;
        Ok(taken)
    }

    async fn begin(&self) -> Result<Transaction<'static, Any>> {
        self.kind.begin(&self.writers).await
    }
}

/// Keeps a notification with its bytes. Answers false if it was kept before.
async fn keep_notification(
    tx: &mut AnyConnection,
    notify_id: &str,
    number: &OrderNumber,
    body: &[u8],
    alert: Option<&String>,
    now: UnixMillis,
) -> Result<bool> {
    let inserted = sqlx::query(
        "INSERT INTO notifications (notify_id, order_number, received_at, body, alert) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (notify_id) DO NOTHING",
    )
    .bind(notify_id)
    .bind(number.as_str())
    .bind(integer(now.0))
    .bind(body)
    .bind(alert)
    .execute(&mut *tx)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// SQL has no unsigned integers. No time, version or amount comes near the difference.
const fn integer(value: u64) -> i64 {
    value.cast_signed()
}

/// A stored text or number that this version cannot read.
fn unreadable(column: &str, why: impl core::fmt::Display) -> Error {
    Error::ColumnDecode { index: column.to_owned(), source: why.to_string().into() }
}
