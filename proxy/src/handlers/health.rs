//! For the operator.

use axum::extract::State;
use payby_checkout::protocol::ProblemCode;

use crate::app::App;
use crate::problem::{ApiError, ApiResult};

/// `GET /healthz`: the process answers.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the proxy can serve: the database answers, and it is not about to stop.
///
/// # Errors
/// [`ProblemCode::Unavailable`].
pub async fn readyz(State(app): State<App>) -> ApiResult<&'static str> {
    if *app.stopping.borrow() {
        return Err(ApiError::new(ProblemCode::Unavailable, "the proxy is shutting down"));
    }
    match app.store.ping().await {
        Ok(()) => Ok("ready\n"),
        Err(error) => {
            tracing::error!(%error, "the database does not answer");
            Err(ApiError::new(ProblemCode::Unavailable, "the database does not answer"))
        }
    }
}

/// Any path that is none.
pub async fn not_found() -> ApiError {
    ApiError::new(ProblemCode::NotFound, "there is nothing at this path")
}

/// A path with another method.
pub async fn method_not_allowed() -> ApiError {
    ApiError::new(ProblemCode::MethodNotAllowed, "this path takes other methods; see the Allow header")
}
