//! What requests carry: bodies, bounded, JSON by name and by content; and the name in the path.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use payby_checkout::protocol::ProblemCode;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::problem::ApiError;

/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// A JSON body.
#[derive(Debug)]
pub struct Json<T>(pub T);

/// A JSON body, or none: then the default.
#[derive(Debug)]
pub struct JsonOrEmpty<T>(pub T);

/// A body as it came, within the route's limit.
#[derive(Debug)]
pub struct Raw(pub Bytes);

/// The name in the path.
#[derive(Debug)]
pub struct Segment(pub String);

impl FromRequestParts<App> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        // What is not UTF-8 names nothing here.
        let path = Path::from_request_parts(parts, app).await.map_err(|_| ApiError::not_found())?;
        Ok(Self(path.0))
    }
}

impl FromRequest<App> for Raw {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        read(request, app).await.map(Self)
    }
}

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let is_json = is_json(request.headers());
        let Raw(body) = Raw::from_request(request, app).await?;
        if !is_json {
            let detail = "send the body as Content-Type: application/json";
            return Err(ApiError::new(ProblemCode::UnsupportedMediaType, detail));
        }
        parse(&body).map(Self)
    }
}

impl<T: DeserializeOwned + Default> FromRequest<App> for JsonOrEmpty<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let headers = request.headers().clone();
        let Raw(body) = Raw::from_request(request, app).await?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        let request = axum::http::Request::new(axum::body::Body::from(body));
        let (mut parts, body) = request.into_parts();
        parts.headers = headers;
        Json::from_request(Request::from_parts(parts, body), app).await.map(|Json(value)| Self(value))
    }
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    let invalid = |detail| ApiError::new(ProblemCode::InvalidRequest, detail);
    let Ok(read) = tokio::time::timeout(PATIENCE, Bytes::from_request(request, state)).await else {
        return Err(invalid("the body has not come to its end in time"));
    };
    read.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(ProblemCode::TooLarge, "the body is too large"),
        _ => invalid("the body cannot be read to its end"),
    })
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        ApiError::new(ProblemCode::InvalidRequest, format!("the body is not what this call takes: {error}"))
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use axum::body::{Body, HttpBody};
    use axum::response::IntoResponse as _;
    use tokio::time::Instant;

    use super::*;

    /// A body of which nothing ever comes.
    struct Never;

    impl HttpBody for Never {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for_for_ever() {
        let begun = Instant::now();
        let error = read(Request::new(Body::new(Never)), &()).await.unwrap_err();
        assert_eq!((begun.elapsed(), error.into_response().status()), (PATIENCE, StatusCode::BAD_REQUEST));
    }
}
