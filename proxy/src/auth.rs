//! Who may ask. Shop servers show an API key, browsers a checkout token, both as `Authorization: Bearer`.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use payby_checkout::protocol::ProblemCode;

use crate::app::App;
use crate::problem::ApiError;
use crate::random::Hash;
use crate::store::PurchaseRow;

/// The caller is one of the shop's servers.
#[derive(Debug)]
pub struct ShopServer;

/// The caller is a browser with a valid token for this purchase.
#[derive(Debug)]
pub struct Customer(pub PurchaseRow);

/// The caller shows something that may be a checkout token: its hash. Whether it opens anything is asked with what is asked
/// for.
#[derive(Clone, Copy, Debug)]
pub struct Token(pub Hash);

impl FromRequestParts<App> for ShopServer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        match bearer(&parts.headers) {
            Some(hash) if hash.is_one_of(&app.api_keys) => Ok(Self),
            Some(_) => Err(ApiError::new(ProblemCode::Unauthorized, "this API key is not known here")),
            None => Err(ApiError::new(ProblemCode::Unauthorized, "send the API key as Authorization: Bearer")),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Token {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        bearer(&parts.headers).map(Self).ok_or_else(ApiError::not_found)
    }
}

impl FromRequestParts<App> for Customer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Token(hash) = Token::from_request_parts(parts, app).await?;
        let purchase = app.store.purchase_of_token(hash.as_bytes(), app.now()).await?;
        purchase.map(Self).ok_or_else(ApiError::not_found)
    }
}

/// The hash of what the caller shows; the text itself goes no further.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<Hash> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| Hash::of(secret.trim()))
}
