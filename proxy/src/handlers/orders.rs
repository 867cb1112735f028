//! Orders: begun, watched and given up by the browser.

mod conditional;

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use payby_checkout::hop::{Errand, Round, Step};
use payby_checkout::order_number::OrderNumber;
use payby_checkout::protocol::{CreateOrder, ProblemCode, Scene, Snapshot};
use tokio::time::{Instant, timeout_at};

use crate::app::{App, Shared};
use crate::auth::{Customer, Token};
use crate::body::{JsonOrEmpty, Segment};
use crate::problem::{ApiError, ApiResult};
use crate::store::{Found, NewOrder, Order, PurchaseRow};
use crate::worker;

/// `PUT /v1/orders/{orderNumber}`: writes the intent down, brings the order to the gateway, answers where it stands. An
/// outcome that is not known is `status: unknown`, never an error.
///
/// # Errors
/// [`ProblemCode::InvalidRequest`], [`ProblemCode::OrderDiffers`], [`ProblemCode::OrderLive`],
/// [`ProblemCode::PurchasePaid`]; [`ProblemCode::NotFound`] if the number is another purchase's.
#[utoipa::path(
    put, path = "/v1/orders/{orderNumber}", operation_id = "createOrder", tag = "page",
    security(("checkoutToken" = [])), summary = "Creates the order, or has it sent again",
    description = "Idempotent. An outcome that is not known is `status: unknown`, never an error.",
    params(("orderNumber" = OrderNumber, Path, description = "The order's number, made by the page.")),
    request_body(content = CreateOrder, description = "May be left out."),
    responses((
        status = 200, description = "Where it stands.", body = Snapshot,
        headers(("ETag" = String, description = "The version, in quotes.")),
    ))
)]
pub async fn create(
    Customer(purchase): Customer,
    State(app): State<App>,
    Segment(number): Segment,
    JsonOrEmpty(request): JsonOrEmpty<CreateOrder>,
) -> ApiResult<Response> {
    let new = new_order(&app, &purchase, &number, request)?;
    let problem = |code, detail, order: &Order| Err(ApiError::new(code, detail).with_order(order.snapshot(app.now())));
    let number = new.number.clone();
    let order = match worker::create(&app, new).await? {
        Ok(order) => order,
        Err(Found::Ours(order)) => {
            let next = order.at_gateway.next(Round::new(Errand::Create), &app.policy, app.now().moment());
            if next == Step::Done { Some(*order) } else { worker::run(&app, &number, Errand::Create).await }
        }
        Err(Found::Differs) => {
            let detail = "the order was begun with another scene; send that one";
            return Err(ApiError::new(ProblemCode::OrderDiffers, detail));
        }
        Err(Found::Paid(order)) => {
            return problem(ProblemCode::PurchasePaid, "the purchase is paid already, by this order", &order);
        }
        Err(Found::Live(order)) => {
            return problem(ProblemCode::OrderLive, "the purchase has this live order; go on with it", &order);
        }
        Err(Found::Foreign) => return Err(ApiError::not_found()),
    };
    let order = as_it_is(&app, order, &number).await?;
    worker::asked(&app, &order, Duration::ZERO).await;
    Ok(answer(&app, &order))
}

/// `GET /v1/orders/{orderNumber}`: where the order stands.
///
/// With `Prefer: wait=N` the answer is held until the version differs from the one that `If-None-Match` names (or,
/// without that, from the one at arrival), at most N seconds and at most 25. A terminal order is held only for a
/// caller who has its version already.
///
/// # Errors
/// [`ProblemCode::NotFound`].
#[utoipa::path(
    get, path = "/v1/orders/{orderNumber}", operation_id = "readOrder", tag = "page",
    security(("checkoutToken" = [])), summary = "Where the order stands",
    description = "With `Prefer: wait=N` the answer is held until the version differs from the one that \
                   `If-None-Match` names (or, without that, from the one at arrival), at most N seconds and at most 25.",
    params(
        ("orderNumber" = OrderNumber, Path, description = "The order's number."),
        ("Prefer" = Option<String>, Header, description = "`wait=N`, in seconds (RFC 7240)."),
        ("If-None-Match" = Option<String>, Header, description = "The version that the page has, in quotes."),
    ),
    responses(
        (
            status = 200, description = "Where it stands.", body = Snapshot,
            headers(
                ("ETag" = String, description = "The version, in quotes."),
                ("Preference-Applied" = Option<String>, description = "`wait=N`, if it was ready to be held so long."),
            ),
        ),
        (
            status = 304, description = "As `If-None-Match` has it.",
            headers(
                ("ETag" = String, description = "The version, in quotes."),
                ("Preference-Applied" = Option<String>, description = "`wait=N`, if it was ready to be held so long."),
            ),
        ),
    )
)]
pub async fn read(
    token: Token,
    State(app): State<App>,
    Segment(number): Segment,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let number = number.parse().map_err(|_| ApiError::not_found())?;
    // With no place left to hold it, it is answered at once, and the page polls.
    let (order, wait) = match conditional::wait(&headers).and_then(|wait| Some((wait, app.limits.park()?))) {
        Some((wait, _place)) => (changed_within(&app, token, &number, &headers, wait).await?, Some(wait)),
        None => (own_order(&app, token, &number).await?, None),
    };
    worker::asked(&app, &order, Duration::ZERO).await;
    let mut response = if conditional::is_known(&headers, order.version) {
        (StatusCode::NOT_MODIFIED, [(header::ETAG, etag(&order))]).into_response()
    } else {
        answer(&app, &order)
    };
    if let Some(wait) = wait {
        let name = HeaderName::from_static("preference-applied");
        response.headers_mut().insert(name, conditional::applied(wait));
    }
    Ok(response)
}

/// `POST /v1/orders/{orderNumber}/cancel`: query, cancel, query (R7). If the payment won the race, the order is paid.
/// What is not done by the time of the answer goes on after it, until the order is terminal.
///
/// # Errors
/// [`ProblemCode::NotFound`].
#[utoipa::path(
    post, path = "/v1/orders/{orderNumber}/cancel", operation_id = "cancelOrder", tag = "page",
    security(("checkoutToken" = [])), summary = "Gives the order up",
    description = "Query, cancel, query. If the payment won the race, the order is paid. What is not done by the time \
                   of the answer goes on after it.",
    params(("orderNumber" = OrderNumber, Path, description = "The order's number.")),
    responses((
        status = 200, description = "Where it stands.", body = Snapshot,
        headers(("ETag" = String, description = "The version, in quotes.")),
    ))
)]
pub async fn cancel(token: Token, State(app): State<App>, Segment(number): Segment) -> ApiResult<Response> {
    let number = number.parse().map_err(|_| ApiError::not_found())?;
    let order = own_order(&app, token, &number).await?;
    let order = if order.status().is_terminal() {
        order
    } else {
        app.change_known(&order, |order| order.at_gateway.cancel_wanted = true).await?;
        let order = worker::run(&app, &number, Errand::Cancel).await;
        as_it_is(&app, order, &number).await?
    };
    worker::asked(&app, &order, Duration::ZERO).await;
    Ok(answer(&app, &order))
}

fn new_order(app: &App, purchase: &PurchaseRow, number: &str, request: CreateOrder) -> ApiResult<NewOrder> {
    let invalid = |detail: String| ApiError::new(ProblemCode::InvalidRequest, detail);
    let number: OrderNumber = number.parse().map_err(|error| invalid(format!("orderNumber: {error}")))?;
    let scene = request.scene.unwrap_or(purchase.scene);
    if scene == Scene::Paypage && purchase.redirect_url.is_none() {
        return Err(invalid("scene: PAYPAGE needs the purchase to have a redirectUrl".to_owned()));
    }
    let pay_within = purchase.pay_within.unwrap_or(app.pay_within);
    Ok(NewOrder::of_purchase(purchase, number, scene, pay_within, app.notify_url.clone(), app.now())?)
}

async fn own_order(app: &Shared, Token(hash): Token, number: &OrderNumber) -> ApiResult<Order> {
    app.store.order_of_token(hash.as_bytes(), number, app.now()).await?.ok_or_else(ApiError::not_found)
}

/// The order as it was told, or, if it was not, as it stands in the database.
async fn as_it_is(app: &Shared, order: Option<Order>, number: &OrderNumber) -> ApiResult<Order> {
    match order {
        Some(order) => Ok(order),
        None => app.store.order(number).await?.ok_or_else(|| {
            ApiError::new(ProblemCode::Unavailable, "it is not known yet what became of the order; send it again")
        }),
    }
}

/// Holds the request until the order has news for the caller, the time is up, or the proxy is to stop.
async fn changed_within(
    app: &App,
    token: Token,
    number: &OrderNumber,
    headers: &HeaderMap,
    wait: Duration,
) -> ApiResult<Order> {
    let until = Instant::now() + wait;
    let slot = app.waiting.at(number);
    let mut news = slot.news();
    // Read after the subscription, so that no change falls between the two.
    let mut order = own_order(app, token, number).await?;
    let at_arrival = order.version;
    let asks_for_change = headers.contains_key(header::IF_NONE_MATCH);
    loop {
        let is_news = if asks_for_change {
            !conditional::is_known(headers, order.version)
        } else {
            order.version != at_arrival || order.status().is_terminal()
        };
        if is_news {
            return Ok(order);
        }
        worker::asked(app, &order, until.saturating_duration_since(Instant::now())).await;
        tokio::select! {
            woken = timeout_at(until, news.changed()) => {
                if woken.is_err() {
                    return Ok(order);
                }
            }
            () = app.stopped() => return Ok(order),
        }
        let told = news.borrow_and_update().order.clone();
        order = as_it_is(app, told.map(|told| Order::clone(&told)), number).await?;
    }
}

fn answer(app: &Shared, order: &Order) -> Response {
    ([(header::ETAG, etag(order))], axum::Json(order.snapshot(app.now()))).into_response()
}

fn etag(order: &Order) -> HeaderValue {
    conditional::quoted(order.version)
}
