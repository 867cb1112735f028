//! What goes wrong, as RFC 9457 has it: one shape for every error, whoever finds it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use payby_checkout::protocol::{Problem, ProblemCode, Snapshot};

use crate::store;

/// An answer that is an error.
#[derive(Debug)]
pub struct ApiError(Box<Problem>);

/// What a handler answers.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// This is wrong; `detail` says what, where, and what to do.
    #[must_use]
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        let status = code.http_status();
        let title = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
        Self(Box::new(Problem {
            r#type: "about:blank".to_owned(),
            title: title.to_owned(),
            status,
            detail: detail.into(),
            code,
            order: None,
        }))
    }

    /// The one answer to a wrong token, an expired one, an unknown order and somebody else's order.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(ProblemCode::NotFound, "there is no such thing, or it is not for this token")
    }

    /// With the order that explains it.
    #[must_use]
    pub fn with_order(mut self, order: Snapshot) -> Self {
        self.0.order = Some(order);
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
        Self::internal(&error)
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
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self.0)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §15.5.2
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
