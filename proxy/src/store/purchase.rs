//! Purchases and the tokens that open them to a browser.

use payby_checkout::money::{Amount, Currency, Money};
use payby_checkout::protocol::Scene;
use payby_checkout::time::{Millis, UnixMillis};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AnyExecutor, Row as _};

use super::{Result, integer, unreadable};

/// A purchase as the shop's server asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPurchase {
    /// The name that it gets if it is new.
    pub id: String,
    /// The shop's own name for it.
    pub reference: String,
    /// What it costs.
    pub amount: Money,
    /// What is bought.
    pub subject: String,
    /// How it is paid unless the page says otherwise.
    pub scene: Scene,
    /// Where PayBy's page sends the customer back to.
    pub redirect_url: Option<String>,
    /// How long an order of it can be paid; `None` leaves it to the proxy's setting.
    pub pay_within: Option<Millis>,
}

impl NewPurchase {
    /// As it is stored under this name.
    pub(super) fn row(&self, id: String) -> PurchaseRow {
        PurchaseRow {
            id,
            reference: self.reference.clone(),
            amount: self.amount,
            subject: self.subject.clone(),
            scene: self.scene,
            redirect_url: self.redirect_url.clone(),
            pay_within: self.pay_within,
        }
    }
}

/// A purchase as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurchaseRow {
    /// Its name at the proxy.
    pub id: String,
    /// The shop's own name for it.
    pub reference: String,
    /// What it costs.
    pub amount: Money,
    /// What is bought.
    pub subject: String,
    /// How it is paid unless the page says otherwise.
    pub scene: Scene,
    /// Where PayBy's page sends the customer back to.
    pub redirect_url: Option<String>,
    /// How long an order of it can be paid; `None` leaves it to the proxy's setting.
    pub pay_within: Option<Millis>,
}

impl PurchaseRow {
    /// Whether this request asks for this very purchase.
    #[must_use]
    pub fn is_opened_by(&self, new: &NewPurchase) -> bool {
        *self == new.row(self.id.clone())
    }
}

/// Writes it down unless its reference is taken, and answers whether it did.
pub(super) async fn insert(tx: &mut AnyConnection, new: &NewPurchase, now: UnixMillis) -> Result<bool> {
    let inserted = sqlx::query(
        "INSERT INTO purchases
            (id, reference, amount_fils, currency, subject, scene, redirect_url, pay_within_ms, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (reference) DO NOTHING",
    )
    .bind(&new.id)
    .bind(&new.reference)
    .bind(integer(new.amount.amount.fils()))
    .bind(currency_text(new.amount.currency))
    .bind(&new.subject)
    .bind(scene_text(new.scene))
    .bind(&new.redirect_url)
    .bind(new.pay_within.map(|span| integer(span.0)))
    .bind(integer(now.0))
    .execute(&mut *tx)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Adds a token, and sweeps out those of the purchase that have expired.
pub(super) async fn replace_tokens(
    tx: &mut AnyConnection,
    id: &str,
    token_sha256: &[u8],
    expires_at: UnixMillis,
    now: UnixMillis,
) -> Result<()> {
    sqlx::query("DELETE FROM checkout_tokens WHERE purchase_id = $1 AND expires_at <= $2")
        .bind(id)
        .bind(integer(now.0))
        .execute(&mut *tx)
        .await?;
    sqlx::query("INSERT INTO checkout_tokens (token_sha256, purchase_id, expires_at) VALUES ($1, $2, $3)")
        .bind(token_sha256)
        .bind(id)
        .bind(integer(expires_at.0))
        .execute(&mut *tx)
        .await
        .map(drop)
}

pub(super) async fn by_reference(tx: &mut AnyConnection, reference: &str) -> Result<Option<PurchaseRow>> {
    let query = sqlx::query("SELECT * FROM purchases WHERE reference = $1").bind(reference);
    query.fetch_optional(&mut *tx).await?.as_ref().map(read).transpose()
}

pub(super) async fn by_id<'c>(db: impl AnyExecutor<'c>, id: &str) -> Result<Option<PurchaseRow>> {
    let query = sqlx::query("SELECT * FROM purchases WHERE id = $1").bind(id);
    query.fetch_optional(db).await?.as_ref().map(read).transpose()
}

/// With the token's end.
pub(super) async fn by_token<'c>(
    db: impl AnyExecutor<'c>,
    token_sha256: &[u8],
    now: UnixMillis,
) -> Result<Option<(PurchaseRow, UnixMillis)>> {
    let query = sqlx::query(
        "SELECT purchases.*, checkout_tokens.expires_at FROM purchases JOIN checkout_tokens ON purchases.id = checkout_tokens.purchase_id
         WHERE checkout_tokens.token_sha256 = $1 AND checkout_tokens.expires_at > $2",
    )
    .bind(token_sha256)
    .bind(integer(now.0));
    let with_end = |row: &AnyRow| {
        let expires_at: i64 = row.try_get("expires_at")?;
        Ok((read(row)?, UnixMillis(expires_at.cast_unsigned())))
    };
    query.fetch_optional(db).await?.as_ref().map(with_end).transpose()
}

fn read(row: &AnyRow) -> Result<PurchaseRow> {
    Ok(PurchaseRow {
        id: row.try_get("id")?,
        reference: row.try_get("reference")?,
        amount: money(row)?,
        subject: row.try_get("subject")?,
        scene: scene(row)?,
        redirect_url: row.try_get("redirect_url")?,
        pay_within: row.try_get::<Option<i64>, _>("pay_within_ms")?.map(|span| Millis(span.cast_unsigned())),
    })
}

pub(super) fn money(row: &AnyRow) -> Result<Money> {
    let fils: i64 = row.try_get("amount_fils")?;
    let amount = Amount::from_fils(fils.cast_unsigned()).map_err(|error| unreadable("amount_fils", error))?;
    match row.try_get::<&str, _>("currency")? {
        "AED" => Ok(Money { amount, currency: Currency::Aed }),
        other => Err(unreadable("currency", format!("no such currency: {other:?}"))),
    }
}

pub(super) const fn currency_text(currency: Currency) -> &'static str {
    match currency {
        Currency::Aed => "AED",
    }
}

pub(super) fn scene(row: &AnyRow) -> Result<Scene> {
    match row.try_get::<&str, _>("scene")? {
        "DYNQR" => Ok(Scene::Dynqr),
        "PAYPAGE" => Ok(Scene::Paypage),
        other => Err(unreadable("scene", format!("no such scene: {other:?}"))),
    }
}

pub(super) const fn scene_text(scene: Scene) -> &'static str {
    match scene {
        Scene::Dynqr => "DYNQR",
        Scene::Paypage => "PAYPAGE",
    }
}
