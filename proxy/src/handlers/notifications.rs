//! What PayBy tells on its own account.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::IntoResponse;
use payby_checkout::gateway::signature;
use payby_checkout::gateway::wire::{self, ACKNOWLEDGEMENT, Notification, RefundNotification};
use payby_checkout::protocol::ProblemCode;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::alerts::Kind;
use crate::app::App;
use crate::body::Raw;
use crate::problem::{ApiError, ApiResult};
use crate::refunds;
use crate::store::{RefundRow, RefundTaken, Taken};

/// `POST /payby/notifications`: verified over its raw bytes, read, kept and merged in one transaction, and only then
/// acknowledged (I8). The same one again is acknowledged again and changes nothing (I10).
///
/// A genuine one that names no order of ours, or another amount, is acknowledged too: it is kept in full with an alert,
/// and hearing it seven times more would tell nothing new. One that cannot be read is not acknowledged: PayBy's retries
/// give a day's time for a version that can.
///
/// # Errors
/// [`ProblemCode::Unauthorized`] if PayBy has not signed these bytes, [`ProblemCode::InvalidRequest`] if it has and
/// they cannot be read.
#[utoipa::path(
    post, path = "/payby/notifications", operation_id = "receiveNotification", tag = "PayBy",
    summary = "PayBy reports where an order stands",
    params(("Sign" = String, Header, description = "PayBy's signature over the raw body, in Base64.")),
    request_body(
        content = serde_json::Value, content_type = "application/json", description = "PayBy's own; read from its raw bytes.",
    ),
    responses((status = 200, description = "Taken: `{\"response\": \"SUCCESS\"}`.", body = serde_json::Value))
)]
pub async fn receive(State(app): State<App>, headers: HeaderMap, body: ApiResult<Raw>) -> ApiResult<impl IntoResponse> {
    let Raw(body) = body.inspect_err(|_| app.metrics.notified("oversized"))?;
    let sign = headers.get(signature::HEADER).map(HeaderValue::as_bytes).unwrap_or_default();
    if !app.gateway.has_signed(&body, sign) {
        tracing::warn!(bytes = body.len(), "a notification was refused: PayBy has not signed it");
        app.metrics.notified("forged");
        let message =
            "a notification was refused: PayBy has not signed it; somebody tries, or the public key is another";
        app.alerts.raise(Kind::NotificationForged, None, message);
        return Err(ApiError::new(ProblemCode::Unauthorized, "the signature does not verify"));
    }
    let unreadable = |error: serde_json::Error| {
        app.metrics.notified("unreadable");
        let message = format!("PayBy has signed a notification that cannot be read: {error}");
        app.alerts.raise(Kind::NotificationUnreadable, None, message);
        ApiError::new(ProblemCode::InvalidRequest, "the notification cannot be read")
    };
    let about: About = wire::read(&body).map_err(unreadable)?;
    if about.refund_order.is_some() {
        let told = wire::read(&body).map_err(unreadable)?;
        take_refund(&app, &told, &body).await?;
    } else {
        let told = wire::read(&body).map_err(unreadable)?;
        take_order(&app, &told, &body).await?;
    }
    Ok(([(header::CONTENT_TYPE, "application/json")], ACKNOWLEDGEMENT))
}

/// What a notification is about, of two things.
#[derive(Deserialize)]
struct About {
    #[serde(rename = "refundOrder")]
    refund_order: Option<IgnoredAny>,
}

async fn take_refund(app: &App, told: &RefundNotification, body: &[u8]) -> ApiResult<()> {
    let number = &told.refund_order.refund_merchant_order_no;
    let learn = |refund: &mut RefundRow| refunds::learn(refund, &told.refund_order);
    match app.store.take_refund_notification(told, body, app.now(), learn).await? {
        RefundTaken::Merged(changed) => {
            app.metrics.notified("merged");
            refunds::tell(app, &changed.0, &changed.1);
        }
        RefundTaken::Repeated => app.metrics.notified("repeated"),
        RefundTaken::Alert(why) => {
            app.metrics.notified("alert");
            let message = format!("a notification of a refund (notify_id {}): {why}", told.notify_id);
            app.alerts.raise(Kind::NotificationMismatch, Some(number), message);
        }
    }
    Ok(())
}

async fn take_order(app: &App, told: &Notification, body: &[u8]) -> ApiResult<()> {
    let number = &told.acquire_order.merchant_order_no;
    let status = told.acquire_order.status;
    match app.store.take_notification(told, body, app.now()).await? {
        Taken::Merged(changed) => {
            app.metrics.notified("merged");
            tracing::info!(%number, ?status, notify_id = told.notify_id, "PayBy has notified");
            if let Err(error) = app.tell(&changed).await {
                tracing::error!(%number, %error, "the notification is kept, but what followed from it failed");
                app.metrics.database_failed();
            }
        }
        Taken::Repeated => {
            app.metrics.notified("repeated");
            tracing::info!(%number, notify_id = told.notify_id, "PayBy has notified again");
        }
        Taken::Alert(why) => {
            app.metrics.notified("alert");
            let message = format!("a notification of {status:?} (notify_id {}): {why}", told.notify_id);
            app.alerts.raise(Kind::NotificationMismatch, Some(number), message);
        }
    }
    Ok(())
}
