//! One order as the proxy knows it, and its row.

use payby_checkout::gateway::wire::{PaySceneParams, PlaceOrder, WireMoney};
use payby_checkout::hop::{Attempt, Standing, Step, Trouble};
use payby_checkout::money::Money;
use payby_checkout::order::{Failure, GatewayStatus, OrderState, Status};
use payby_checkout::order_number::OrderNumber;
use payby_checkout::protocol::{Scene, Snapshot};
use payby_checkout::schedule;
use payby_checkout::time::{Millis, UnixMillis};
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AnyExecutor, Row as _};

use super::database::Kind;
use super::purchase::{PurchaseRow, currency_text, money, scene, scene_text};
use super::{Result, integer, unreadable, writer};
use crate::random;

/// An order that a browser asks for.
#[derive(Clone, Debug)]
pub struct NewOrder {
    /// Its number.
    pub number: OrderNumber,
    /// The purchase that it is for.
    pub purchase_id: String,
    /// How it is paid.
    pub scene: Scene,
    /// What it costs.
    pub amount: Money,
    /// `placeOrder`'s parameters, serialised once and for all.
    pub biz_content: String,
    /// When it can no longer be paid.
    pub expires_at: UnixMillis,
    /// Now.
    pub created_at: UnixMillis,
}

impl NewOrder {
    /// The order as it will be asked for: the price is the purchase's, never the browser's.
    ///
    /// # Errors
    /// The parameters cannot be written as JSON, which no purchase brings about.
    pub fn of_purchase(
        purchase: &PurchaseRow,
        number: OrderNumber,
        scene: Scene,
        pay_within: Millis,
        notify_url: String,
        now: UnixMillis,
    ) -> core::result::Result<Self, serde_json::Error> {
        let expires_at = now.plus(pay_within);
        let redirect_url = (scene == Scene::Paypage).then(|| purchase.redirect_url.clone()).flatten();
        let biz_content = serde_json::to_string(&PlaceOrder {
            merchant_order_no: number.clone(),
            subject: purchase.subject.clone(),
            total_amount: WireMoney(purchase.amount),
            pay_scene_code: scene_text(scene).to_owned(),
            pay_scene_params: redirect_url.map(|url| PaySceneParams { redirect_url: Some(url) }),
            expired_time: Some(expires_at),
            notify_url: Some(notify_url),
            reserved: None,
        })?;
        let purchase_id = purchase.id.clone();
        Ok(Self { number, purchase_id, scene, amount: purchase.amount, biz_content, expires_at, created_at: now })
    }

    /// I9: as it is written down before its creation is sent, by who has it in hand until then.
    pub(super) fn intent(&self, until: Millis) -> (Order, Attempt) {
        let now = self.created_at.moment();
        let mut at_gateway = Standing::new(now, self.expires_at.moment());
        let attempt = at_gateway.begin(Step::Place, now);
        let care =
            Care { due_at: now, awaited_until: Millis(0), trouble: Trouble::default(), fence: 1, leased_until: until };
        let order = Order {
            number: self.number.clone(),
            purchase_id: self.purchase_id.clone(),
            scene: self.scene,
            amount: self.amount,
            biz_content: self.biz_content.clone(),
            version: 1,
            at_gateway,
            care,
            revision: 1,
        };
        (order, attempt)
    }
}

/// One order as the proxy knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its number.
    pub number: OrderNumber,
    /// The purchase that it is for.
    pub purchase_id: String,
    /// How it is paid.
    pub scene: Scene,
    /// What it costs.
    pub amount: Money,
    /// `placeOrder`'s parameters. R1: the very same bytes on every attempt.
    pub biz_content: String,
    /// Grows with every change that a page can see.
    pub version: u64,
    /// Where it stands at the gateway.
    pub at_gateway: Standing,
    /// Who looks after it, and when.
    pub care: Care,
    /// Grows with every change.
    pub(super) revision: u64,
}

/// When an order is looked after, as long as it is not decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Care {
    /// When somebody has to.
    pub due_at: Millis,
    /// Until when somebody waits for news of it, or has asked so recently that they may ask again.
    pub awaited_until: Millis,
    /// What has gone wrong in a row.
    pub trouble: Trouble,
    /// Which lease of it was the last.
    pub(super) fence: u64,
    /// When that one ends, or ended.
    pub(super) leased_until: Millis,
}

impl Care {
    /// When whoever has it in hand loses it, or has lost it.
    #[must_use]
    pub const fn leased_until(&self) -> Millis {
        self.leased_until
    }

    /// Whoever has it in hand keeps it until then; a time that is past hands it back.
    pub const fn hold_until(&mut self, until: Millis) {
        self.leased_until = until;
    }
}

/// What a page can see of an order that can change.
type Visible = (Status, Option<GatewayStatus>, Option<Failure>, bool, Option<String>);

impl Order {
    /// What a page needs to know.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.at_gateway.status()
    }

    /// Whether the purchase must not be paid again: it is paid, or a person has to settle whether it is.
    #[must_use]
    pub const fn has_paid(&self) -> bool {
        matches!(self.status(), Status::Paid | Status::Conflict)
    }

    /// What a page is told.
    #[must_use]
    pub fn snapshot(&self, now: UnixMillis) -> Snapshot {
        let live = !self.status().is_terminal();
        Snapshot {
            failure: self.at_gateway.failure(),
            pay_url: self.shown_pay_url(),
            expires_in_ms: if live { self.at_gateway.expires_at.since(now.moment()) } else { Millis(0) },
            next_poll_ms: live.then(|| self.next_poll(now)),
            ..Snapshot::of_state(self.number.clone(), &self.at_gateway.state, self.amount, self.scene, self.version)
        }
    }

    /// The order after the change.
    pub(super) fn changed(&self, mut change: impl FnMut(&mut Self)) -> Self {
        let mut after = self.clone();
        change(&mut after);
        if after.visible() != self.visible() {
            after.version += 1;
        }
        after
    }

    fn next_poll(&self, now: UnixMillis) -> Millis {
        let age = now.moment().since(self.at_gateway.since);
        let first = Millis(schedule::FIRST.0.saturating_sub(age.0));
        schedule::pause(age, random::number()).max(first)
    }

    fn shown_pay_url(&self) -> Option<String> {
        self.at_gateway.pay_url.clone().filter(|_| self.status() == Status::Pending)
    }

    fn visible(&self) -> Visible {
        let state = &self.at_gateway.state;
        (state.status(), state.gateway_status(), self.at_gateway.failure(), state.is_revoked(), self.shown_pay_url())
    }
}

/// The order, which nobody else changes until the transaction ends.
pub(super) async fn lock(tx: &mut AnyConnection, kind: Kind, number: &OrderNumber) -> Result<Option<Order>> {
    let query = sqlx::query(kind.locking(BY_NUMBER)).bind(number.as_str());
    query.fetch_optional(&mut *tx).await?.as_ref().map(read).transpose()
}

/// Changes an order that this transaction has [locked](lock).
pub(super) async fn change_locked(
    tx: &mut AnyConnection,
    kind: Kind,
    before: Order,
    change: impl FnMut(&mut Order),
) -> Result<super::Changed> {
    let mut after = before.changed(change);
    if after != before {
        writer::update_locked(tx, kind, &mut after).await?;
    }
    Ok(super::Changed { before, after })
}

/// An order's row, as it is written.
#[derive(Serialize)]
struct Row<'a> {
    order_number: &'a str,
    purchase_id: &'a str,
    scene: &'static str,
    amount_fils: u64,
    currency: &'static str,
    biz_content: &'a str,
    expires_at: u64,
    created_at: u64,
    lease: u64,
    state: String,
    status: &'static str,
    pay_url: Option<&'a str>,
    version: u64,
    create_unknown_at: Option<u64>,
    cancel_wanted: u8,
    cancel_unknown: u8,
    queried_at: Option<u64>,
    cancel_sent_at: Option<u64>,
    due_at: u64,
    awaited_until: u64,
    trouble: Option<String>,
    leased_until: u64,
    revision: u64,
}

impl Order {
    /// Its row, as JSON. No number in it comes near what SQL has no room for.
    pub(super) fn row(&self) -> Result<String> {
        let Self { at_gateway, care, .. } = self;
        let row = Row {
            order_number: self.number.as_str(),
            purchase_id: &self.purchase_id,
            scene: scene_text(self.scene),
            amount_fils: self.amount.amount.fils(),
            currency: currency_text(self.amount.currency),
            biz_content: &self.biz_content,
            expires_at: at_gateway.expires_at.0,
            created_at: at_gateway.since.0,
            lease: care.fence,
            state: state_text(&at_gateway.state)?,
            status: status_text(self.status()),
            pay_url: at_gateway.pay_url.as_deref(),
            version: self.version,
            create_unknown_at: at_gateway.create_unknown_at.map(|at| at.0),
            cancel_wanted: at_gateway.cancel_wanted.into(),
            cancel_unknown: at_gateway.cancel_unknown.into(),
            queried_at: at_gateway.queried_at.map(|at| at.0),
            cancel_sent_at: at_gateway.cancel_sent_at.map(|at| at.0),
            due_at: care.due_at.0,
            awaited_until: care.awaited_until.0,
            trouble: trouble_text(care.trouble)?,
            leased_until: care.leased_until.0,
            revision: self.revision,
        };
        serde_json::to_string(&row).map_err(|error| unreadable("state", error))
    }
}

const BY_NUMBER: &str = "SELECT * FROM orders WHERE order_number = $1";

pub(super) async fn by_number<'c>(db: impl AnyExecutor<'c>, number: &OrderNumber) -> Result<Option<Order>> {
    let query = sqlx::query(BY_NUMBER).bind(number.as_str());
    query.fetch_optional(db).await?.as_ref().map(read).transpose()
}

pub(super) async fn by_token<'c>(
    db: impl AnyExecutor<'c>,
    token_sha256: &[u8],
    number: &OrderNumber,
    now: UnixMillis,
) -> Result<Option<Order>> {
    let query = sqlx::query(
        "SELECT orders.* FROM checkout_tokens JOIN orders ON orders.purchase_id = checkout_tokens.purchase_id
         WHERE checkout_tokens.token_sha256 = $1 AND checkout_tokens.expires_at > $2 AND orders.order_number = $3",
    )
    .bind(token_sha256)
    .bind(integer(now.0))
    .bind(number.as_str());
    query.fetch_optional(db).await?.as_ref().map(read).transpose()
}

pub(super) async fn of_purchase<'c>(db: impl AnyExecutor<'c>, purchase_id: &str) -> Result<Vec<Order>> {
    let query = sqlx::query("SELECT * FROM orders WHERE purchase_id = $1 ORDER BY created_at DESC, order_number DESC")
        .bind(purchase_id);
    query.fetch_all(db).await?.iter().map(read).collect()
}

/// The versions of these orders.
pub(super) async fn versions<'c>(
    db: impl AnyExecutor<'c>,
    kind: Kind,
    numbers: &[OrderNumber],
) -> Result<Vec<(OrderNumber, u64)>> {
    let names: Vec<_> = numbers.iter().map(OrderNumber::as_str).collect();
    let names = serde_json::to_string(&names).map_err(|error| unreadable("order_number", error))?;
    let query = sqlx::query(match kind {
        Kind::Sqlite => {
            "SELECT order_number, version FROM orders WHERE order_number IN (SELECT value FROM json_each($1))"
        }
        Kind::Postgres => {
            "SELECT order_number, version FROM orders
             WHERE order_number IN (SELECT json_array_elements_text(CAST($1 AS TEXT)::json))"
        }
    });
    query.bind(names).fetch_all(db).await?.iter().map(|row| Ok((number(row)?, version(row)?))).collect()
}

pub(super) fn read(row: &AnyRow) -> Result<Order> {
    let time = |column: &str| row.try_get::<i64, _>(column).map(|at| Millis(at.cast_unsigned()));
    let maybe_time =
        |column: &str| row.try_get::<Option<i64>, _>(column).map(|at| at.map(|at| Millis(at.cast_unsigned())));
    let flag = |column: &str| row.try_get::<i64, _>(column).map(|flag| flag != 0);
    Ok(Order {
        number: number(row)?,
        purchase_id: row.try_get("purchase_id")?,
        scene: scene(row)?,
        amount: money(row)?,
        biz_content: String::from_utf8(row.try_get("biz_content")?)
            .map_err(|error| unreadable("biz_content", error))?,
        version: version(row)?,
        at_gateway: Standing {
            state: serde_json::from_str(row.try_get("state")?).map_err(|error| unreadable("state", error))?,
            pay_url: row.try_get("pay_url")?,
            since: time("created_at")?,
            expires_at: time("expires_at")?,
            create_unknown_at: maybe_time("create_unknown_at")?,
            cancel_wanted: flag("cancel_wanted")?,
            cancel_unknown: flag("cancel_unknown")?,
            queried_at: maybe_time("queried_at")?,
            cancel_sent_at: maybe_time("cancel_sent_at")?,
        },
        care: Care {
            due_at: time("due_at")?,
            awaited_until: time("awaited_until")?,
            trouble: match row.try_get::<Option<&str>, _>("trouble")? {
                Some(text) => serde_json::from_str(text).map_err(|error| unreadable("trouble", error))?,
                None => Trouble::default(),
            },
            fence: row.try_get::<i64, _>("lease")?.cast_unsigned(),
            leased_until: time("leased_until")?,
        },
        revision: row.try_get::<i64, _>("revision")?.cast_unsigned(),
    })
}

fn version(row: &AnyRow) -> Result<u64> {
    row.try_get::<i64, _>("version").map(i64::cast_unsigned)
}

pub(super) fn number(row: &AnyRow) -> Result<OrderNumber> {
    row.try_get::<&str, _>("order_number")?.parse().map_err(|error| unreadable("order_number", error))
}

fn state_text(state: &OrderState) -> Result<String> {
    serde_json::to_string(state).map_err(|error| unreadable("state", error))
}

fn trouble_text(trouble: Trouble) -> Result<Option<String>> {
    let text = || serde_json::to_string(&trouble).map_err(|error| unreadable("trouble", error));
    (trouble != Trouble::default()).then(text).transpose()
}

const fn status_text(status: Status) -> &'static str {
    match status {
        Status::Unknown => "unknown",
        Status::Pending => "pending",
        Status::Paid => "paid",
        Status::Failed => "failed",
        Status::Conflict => "conflict",
    }
}
