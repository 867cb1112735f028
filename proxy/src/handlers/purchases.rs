//! Purchases: opened and read by the shop's server, resumed by the browser.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use payby_checkout::money::Money;
use payby_checkout::order::Status;
use payby_checkout::protocol::{OpenPurchase, OpenedPurchase, ProblemCode, Purchase, Scene};
use payby_checkout::time::Millis;
use reqwest::Url;

use crate::app::App;
use crate::auth::{Customer, ShopServer};
use crate::body::{Json, Segment};
use crate::problem::{ApiError, ApiResult};
use crate::random::{self, Hash};
use crate::store::{NewPurchase, Opened, Order, PurchaseRow};

/// `POST /v1/purchases`.
///
/// # Errors
/// [`ProblemCode::InvalidRequest`], [`ProblemCode::PurchaseDiffers`].
#[utoipa::path(
    post, path = "/v1/purchases", operation_id = "openPurchase", tag = "shop server", security(("apiKey" = [])),
    summary = "Opens a purchase",
    description = "The same again under one reference answers the same purchase, with another token.",
    request_body = OpenPurchase,
    responses(
        (status = 201, description = "It is new.", body = OpenedPurchase),
        (status = 200, description = "It was opened before.", body = OpenedPurchase),
    )
)]
pub async fn open(
    _: ShopServer,
    State(app): State<App>,
    Json(request): Json<OpenPurchase>,
) -> ApiResult<impl IntoResponse> {
    let new = checked(request)?;
    let token = random::secret()?;
    let now = app.now();
    let expires_at = now.plus(app.token_lifetime);
    let (status, purchase_id) =
        match app.store.open_purchase(&new, Hash::of(&token).as_bytes(), expires_at, now).await? {
            Opened::New(id) => (StatusCode::CREATED, id),
            Opened::Same(id) => (StatusCode::OK, id),
            Opened::Differs => {
                let detail = "this reference names a purchase with other parameters; use a new reference";
                return Err(ApiError::new(ProblemCode::PurchaseDiffers, detail));
            }
        };
    Ok((status, axum::Json(OpenedPurchase { purchase_id, token, token_expires_in_ms: app.token_lifetime })))
}

/// `GET /v1/purchases/{id}`: the purchase and all its orders.
///
/// # Errors
/// [`ProblemCode::NotFound`].
#[utoipa::path(
    get, path = "/v1/purchases/{purchaseId}", operation_id = "readPurchase", tag = "shop server",
    security(("apiKey" = [])), summary = "The purchase and all its orders",
    params(("purchaseId" = String, Path, description = "The purchase's name at the proxy.")),
    responses((status = 200, description = "Here it is.", body = Purchase))
)]
pub async fn read(_: ShopServer, State(app): State<App>, Segment(id): Segment) -> ApiResult<axum::Json<Purchase>> {
    let purchase = app.store.purchase(&id).await?.ok_or_else(ApiError::not_found)?;
    let orders = app.store.orders_of(&purchase.id).await?;
    Ok(axum::Json(told(&app, purchase, &orders, |_| true)))
}

/// `GET /v1/purchase`: the token's purchase and the order to go on with.
///
/// # Errors
/// [`ProblemCode::NotFound`].
#[utoipa::path(
    get, path = "/v1/purchase", operation_id = "resumePurchase", tag = "page", security(("checkoutToken" = [])),
    summary = "The token's purchase and the order to go on with",
    responses((status = 200, description = "Here it is.", body = Purchase))
)]
pub async fn resume(Customer(purchase): Customer, State(app): State<App>) -> ApiResult<axum::Json<Purchase>> {
    let orders = app.store.orders_of(&purchase.id).await?;
    let paid = orders.iter().find(|order| order.has_paid());
    let goes_on = paid.or_else(|| orders.iter().find(|order| !order.status().is_terminal()));
    let number = goes_on.map(|order| order.number.clone());
    Ok(axum::Json(told(&app, purchase, &orders, |order| Some(&order.number) == number.as_ref())))
}

fn told(app: &App, purchase: PurchaseRow, orders: &[Order], is_shown: impl Fn(&Order) -> bool) -> Purchase {
    let decisive = orders.iter().find(|order| order.has_paid()).or_else(|| orders.first());
    Purchase {
        status: decisive.map_or(Status::Unknown, Order::status),
        orders: orders.iter().filter(|order| is_shown(order)).map(|order| order.snapshot(app.now())).collect(),
        purchase_id: purchase.id,
        reference: purchase.reference,
        subject: purchase.subject,
        amount: purchase.amount,
    }
}

/// The bounds that the types do not keep.
fn checked(request: OpenPurchase) -> ApiResult<NewPurchase> {
    let invalid = |detail: &str| Err(ApiError::new(ProblemCode::InvalidRequest, detail));
    let is_text =
        |text: &str, most: usize| (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    let is_web = |url: &String| {
        url.chars().count() <= 512 && Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
    };
    let scene = request.scene.unwrap_or(Scene::Dynqr);
    if !is_text(&request.reference, 64) {
        return invalid("reference: 1 to 64 characters, no control characters");
    }
    if !is_text(&request.subject, 128) {
        return invalid("subject: 1 to 128 characters, no control characters");
    }
    if !request.redirect_url.iter().all(is_web) {
        return invalid("redirectUrl: an http or https URL of at most 512 characters");
    }
    if scene == Scene::Paypage && request.redirect_url.is_none() {
        return invalid("redirectUrl: PAYPAGE needs it, to send the customer back");
    }
    if request.pay_within_ms.is_some_and(|span| !(Millis(60_000)..=Millis(172_800_000)).contains(&span)) {
        return invalid("payWithinMs: 60000 (a minute) to 172800000 (48 hours)");
    }
    Ok(NewPurchase {
        id: random::name()?,
        reference: request.reference,
        amount: Money { amount: request.amount, currency: request.currency },
        subject: request.subject,
        scene,
        redirect_url: request.redirect_url,
        pay_within: request.pay_within_ms,
    })
}
