//! Money that goes back, for the shop's server: revocations, refunds, and where a transfer stands.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use payby_checkout::gateway::wire::{PlaceRefund, TransferStatus as AtPayBy, WireMoney};
use payby_checkout::money::Money;
use payby_checkout::order::Status;
use payby_checkout::order_number::OrderNumber;
use payby_checkout::protocol::{
    AskRefund, ProblemCode, Refund, RefundStatus, Refusal, Snapshot, Transfer, TransferStatus,
};

use crate::app::App;
use crate::auth::ShopServer;
use crate::body::{Json, Segment};
use crate::gateway::Told;
use crate::problem::{ApiError, ApiResult};
use crate::refunds;
use crate::store::{NewRefund, Order, RefundBegun, Way};

/// After how long PayBy is worth asking again.
const AGAIN: Duration = Duration::from_secs(3);

/// `POST /v1/orders/{orderNumber}/revoke`: writes down that it is wanted, closes an unpaid order, gives a paid one back in
/// full, and answers where it stands. The same again changes nothing more. An outcome that is not known is 202, never an
/// error; it is found out.
///
/// # Errors
/// [`ProblemCode::NotFound`], [`ProblemCode::RevokeRefused`].
#[utoipa::path(
    post, path = "/v1/orders/{orderNumber}/revoke", operation_id = "revokeOrder", tag = "shop server",
    security(("apiKey" = [])), summary = "Closes an unpaid order, gives a paid one back in full",
    description = "Idempotent. What the proxy has once taken it brings to its end by itself; the same again tells how it stands.",
    params(("orderNumber" = OrderNumber, Path, description = "The order's number.")),
    responses(
        (status = 200, description = "It is closed, or given back: `revoked` says which.", body = Snapshot),
        (
            status = 202, description = "It is written down, and PayBy has not decided it yet.", body = Snapshot,
            headers(("Retry-After" = String, description = "After how many seconds to ask again.")),
        ),
    )
)]
pub async fn revoke(_: ShopServer, State(app): State<App>, Segment(number): Segment) -> ApiResult<Response> {
    let number: OrderNumber = number.parse().map_err(|_| ApiError::not_found())?;
    if !app.store.begin_revocation(&number, app.now().moment()).await? {
        return Err(ApiError::not_found());
    }
    refunds::run(&app, Way::Revocation, &number).await;
    let order = app.store.order(&number).await?.ok_or_else(ApiError::not_found)?;
    let revocation = app.store.refund(Way::Revocation, &number).await?;
    let snapshot = axum::Json(order.snapshot(app.now()));
    match revocation.and_then(|revocation| revocation.refusal) {
        _ if order.status() == Status::Failed => Ok(snapshot.into_response()),
        Some(Refusal { code, message }) => {
            let detail = format!("PayBy will not revoke it: {code} {}", message.unwrap_or_default());
            Err(ApiError::new(ProblemCode::RevokeRefused, detail.trim_end()))
        }
        None => {
            let again = [(header::RETRY_AFTER, HeaderValue::from(AGAIN.as_secs()))];
            Ok((StatusCode::ACCEPTED, again, snapshot).into_response())
        }
    }
}

/// `POST /v1/orders/{orderNumber}/refunds`: writes the intent down, sends it, answers where it stands. An outcome that is not
/// known is `status: unknown`, never an error; it is found out.
///
/// # Errors
/// [`ProblemCode::InvalidRequest`], [`ProblemCode::NotFound`], [`ProblemCode::OrderNotPaid`],
/// [`ProblemCode::RefundDiffers`], [`ProblemCode::RefundExceeds`].
#[utoipa::path(
    post, path = "/v1/orders/{orderNumber}/refunds", operation_id = "askRefund", tag = "shop server",
    security(("apiKey" = [])), summary = "Gives money back, in part or in full",
    description = "Idempotent by `refundNumber`, which the shop makes and keeps before it asks. An outcome that is not \
                   known is `status: unknown`, never an error; the proxy finds it out.",
    params(("orderNumber" = OrderNumber, Path, description = "The order that was paid.")),
    request_body = AskRefund,
    responses((status = 200, description = "Where the refund stands.", body = Refund))
)]
pub async fn ask(
    _: ShopServer,
    State(app): State<App>,
    Segment(number): Segment,
    Json(request): Json<AskRefund>,
) -> ApiResult<impl IntoResponse> {
    let number = number.parse().map_err(|_| ApiError::not_found())?;
    let order = app.store.order(&number).await?.ok_or_else(ApiError::not_found)?;
    let new = checked(&app, &order, request)?;
    let problem = |code, detail: &str| Err(ApiError::new(code, detail));
    let refund = match app.store.begin_refund(&new).await? {
        RefundBegun::Ours(refund) => refund,
        RefundBegun::Differs => {
            return problem(ProblemCode::RefundDiffers, "this number names a refund with other parameters");
        }
        RefundBegun::NoOrder => return Err(ApiError::not_found()),
        RefundBegun::NotPaid => {
            return problem(ProblemCode::OrderNotPaid, "the order is not paid, or its payment is given back already");
        }
        RefundBegun::Exceeds { left } => {
            let detail = format!("that is more than is left to refund: {}.{:02}", left / 100, left % 100);
            return problem(ProblemCode::RefundExceeds, &detail);
        }
    };
    if refund.status == RefundStatus::Unknown {
        refunds::run(&app, Way::Refund, &refund.number).await;
    }
    let refund = app.store.refund(Way::Refund, &refund.number).await?.ok_or_else(ApiError::not_found)?;
    Ok((StatusCode::OK, axum::Json(refund.told())))
}

/// `GET /v1/refunds/{refundNumber}`: where the refund stands. PayBy is asked, if it is not decided and has not just been asked.
///
/// # Errors
/// [`ProblemCode::NotFound`].
#[utoipa::path(
    get, path = "/v1/refunds/{refundNumber}", operation_id = "readRefund", tag = "shop server",
    security(("apiKey" = [])), summary = "Where a refund stands",
    params(("refundNumber" = OrderNumber, Path, description = "The refund's number.")),
    responses((status = 200, description = "Where it stands.", body = Refund))
)]
pub async fn read(_: ShopServer, State(app): State<App>, Segment(number): Segment) -> ApiResult<axum::Json<Refund>> {
    let number: OrderNumber = number.parse().map_err(|_| ApiError::not_found())?;
    refunds::run(&app, Way::Refund, &number).await;
    let refund = app.store.refund(Way::Refund, &number).await?.ok_or_else(ApiError::not_found)?;
    Ok(axum::Json(refund.told()))
}

/// `GET /v1/transfers/{transferNumber}`: where a transfer stands, as PayBy says it now. Nothing of it is kept here.
///
/// # Errors
/// [`ProblemCode::NotFound`]; [`ProblemCode::Unavailable`] if PayBy said nothing certain.
#[utoipa::path(
    get, path = "/v1/transfers/{transferNumber}", operation_id = "readTransfer", tag = "shop server",
    security(("apiKey" = [])), summary = "Where a transfer stands, as PayBy says it now",
    description = "Transfers are not made here; this asks PayBy about one that the merchant has made.",
    params(("transferNumber" = OrderNumber, Path, description = "The transfer's number.")),
    responses((status = 200, description = "Where it stands.", body = Transfer))
)]
pub async fn transfer(
    _: ShopServer,
    State(app): State<App>,
    Segment(number): Segment,
) -> ApiResult<axum::Json<Transfer>> {
    let number: OrderNumber = number.parse().map_err(|_| ApiError::not_found())?;
    let told = match app.gateway.query_transfer(&number, app.now()).await {
        Told::Known(told) => told,
        Told::Missing => return Err(ApiError::not_found()),
        Told::Unknown => {
            let problem = ApiError::new(ProblemCode::Unavailable, "PayBy has said nothing certain; ask again");
            return Err(problem.retry_after(AGAIN));
        }
    };
    let status = match told.status {
        AtPayBy::Created => TransferStatus::Pending,
        AtPayBy::Success => TransferStatus::Arrived,
        AtPayBy::Failure => TransferStatus::Failed,
    };
    let failure = told.fail_code.map(|code| Refusal { code, message: told.fail_des });
    Ok(axum::Json(Transfer { transfer_number: number, status, amount: told.amount.0, failure }))
}

fn checked(app: &App, order: &Order, request: AskRefund) -> ApiResult<NewRefund> {
    let is_text = |text: &String| (1..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if !request.reason.iter().all(is_text) {
        return Err(ApiError::new(ProblemCode::InvalidRequest, "reason: 1 to 64 characters, no control characters"));
    }
    let amount = Money { amount: request.amount, currency: order.amount.currency };
    let biz_content = serde_json::to_string(&PlaceRefund {
        refund_merchant_order_no: request.refund_number.clone(),
        origin_merchant_order_no: Some(order.number.clone()),
        origin_order_no: None,
        amount: WireMoney(amount),
        reason: request.reason,
        operator_name: None,
        notify_url: Some(app.notify_url.clone()),
        reserved: None,
    })?;
    let (number, order_number) = (request.refund_number, order.number.clone());
    Ok(NewRefund { number, order_number, amount, biz_content, created_at: app.now().moment() })
}
