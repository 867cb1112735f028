//! For the operator.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use payby_checkout::protocol::ProblemCode;

use crate::app::App;
use crate::metrics;
use crate::openapi::Document;
use crate::problem::{ApiError, ApiResult};

/// `GET /healthz`: the process answers.
#[utoipa::path(
    get, path = "/healthz", operation_id = "isAlive", tag = "operator", summary = "The process answers",
    responses((status = 200, description = "`ok`", body = String, content_type = "text/plain; charset=utf-8"))
)]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the proxy can serve: the database can be written, and it is not about to stop. Its keys were
/// loaded before it listened; PayBy is not asked, since a proxy without it still serves.
///
/// # Errors
/// [`ProblemCode::Unavailable`].
#[utoipa::path(
    get, path = "/readyz", operation_id = "isReady", tag = "operator",
    summary = "The database can be written, and the proxy is not about to stop",
    responses((status = 200, description = "`ready`", body = String, content_type = "text/plain; charset=utf-8"))
)]
pub async fn readyz(State(app): State<App>) -> ApiResult<&'static str> {
    if *app.stopping.borrow() {
        return Err(ApiError::new(ProblemCode::Unavailable, "the proxy is shutting down"));
    }
    match app.can_write().await {
        Ok(()) => Ok("ready\n"),
        Err(error) => {
            tracing::error!(%error, "the database cannot be written");
            app.metrics.database_failed();
            Err(ApiError::new(ProblemCode::Unavailable, "the database cannot be written"))
        }
    }
}

/// `GET /metrics`, on the operator's own listener: what is counted, as OpenMetrics has it.
pub async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let live = app.store.live_orders().await.inspect_err(|error| {
        tracing::error!(%error, "the live orders cannot be counted");
        app.metrics.database_failed();
    });
    let text = app.metrics.text(live.ok(), app.limits.parked());
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text)
}

/// `GET /openapi.json`.
pub async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], Document::text())
}

/// Any path that is none.
pub async fn not_found() -> ApiError {
    ApiError::new(ProblemCode::NotFound, "there is nothing at this path")
}

/// A path with another method.
pub async fn method_not_allowed() -> ApiError {
    ApiError::new(ProblemCode::MethodNotAllowed, "this path takes other methods; see the Allow header")
}
