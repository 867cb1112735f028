//! What goes wrong, as RFC 9457 has it: one shape for every error, whoever finds it.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use payby_checkout::protocol::{Problem, ProblemCode, Snapshot};

use crate::store;

/// An answer that is an error.
#[derive(Debug)]
pub struct ApiError {
    problem: Box<Problem>,
    /// RFC 9110 §10.2.3
    retry_after: Option<Duration>,
    is_of_database: bool,
}

/// Marks an answer that is an error because the database failed, so that it is counted.
#[derive(Clone, Copy, Debug)]
pub struct DatabaseFailed;

/// What a handler answers.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// This is wrong; `detail` says what, where, and what to do.
    #[must_use]
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        let status = code.http_status();
        let title = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
        let problem = Box::new(Problem {
            r#type: "about:blank".to_owned(),
            title: title.to_owned(),
            status,
            detail: detail.into(),
            code,
            order: None,
        });
        Self { problem, retry_after: None, is_of_database: false }
    }

    /// The one answer to a wrong token, an expired one, an unknown order and somebody else's order.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(ProblemCode::NotFound, "there is no such thing, or it is not for this token")
    }

    /// With the order that explains it.
    #[must_use]
    pub fn with_order(mut self, order: Snapshot) -> Self {
        self.problem.order = Some(order);
        self
    }

    /// With the time after which the same request is welcome.
    #[must_use]
    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Something failed here. What it was goes to the log and not to the caller.
    fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = %error, "the request failed");
        let detail = "the proxy failed; whether the request took effect is unknown, and the same request again is safe";
        Self::new(ProblemCode::Internal, detail)
    }
}

impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> Self {
        Self { is_of_database: true, ..Self::internal(&error) }
    }
}

impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(&error)
    }
}

impl From<getrandom::Error> for ApiError {
    fn from(error: getrandom::Error) -> Self {
        Self::internal(&error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self.problem)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §15.5.2
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.retry_after {
            // Whole seconds, and never too early.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, seconds.max(1).into());
        }
        if self.is_of_database {
            response.extensions_mut().insert(DatabaseFailed);
        }
        response
    }
}
