//! Which path leads where, and what every answer goes through.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post, put};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::Instrument as _;

use crate::app::App;
use crate::config::NOTIFICATIONS;
use crate::handlers::{health, notifications, orders, purchases, refunds};
use crate::limits;
use crate::problem::DatabaseFailed;
use crate::random;

const API_LIMIT: usize = 16 * 1024;
const NOTIFICATION_LIMIT: usize = 64 * 1024;

/// All of it.
pub fn router(app: App) -> Router {
    let browser = Router::new()
        .route("/v1/orders/{order_number}", put(orders::create).get(orders::read))
        .route("/v1/orders/{order_number}/cancel", post(orders::cancel))
        .route("/v1/purchase", get(purchases::resume))
        .method_not_allowed_fallback(health::method_not_allowed)
        // Within CORS, so that a page can read how long to wait.
        .layer(from_fn_with_state(app.clone(), limits::api))
        .layer(cors(&app));
    let shop_server = Router::new()
        .route("/v1/purchases", post(purchases::open))
        .route("/v1/purchases/{id}", get(purchases::read))
        .route("/v1/orders/{order_number}/revoke", post(refunds::revoke))
        .route("/v1/orders/{order_number}/refunds", post(refunds::ask))
        .route("/v1/refunds/{refund_number}", get(refunds::read))
        .route("/v1/transfers/{transfer_number}", get(refunds::transfer))
        .layer(from_fn_with_state(app.clone(), limits::api));
    let payby = Router::new()
        .route(NOTIFICATIONS, post(notifications::receive))
        .layer(DefaultBodyLimit::max(NOTIFICATION_LIMIT))
        .layer(from_fn_with_state(app.clone(), limits::notifications));
    Router::new()
        .merge(browser)
        .merge(shop_server)
        .layer(DefaultBodyLimit::max(API_LIMIT))
        .merge(payby)
        .route("/openapi.json", get(health::openapi))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .fallback(health::not_found)
        .method_not_allowed_fallback(health::method_not_allowed)
        .layer(from_fn_with_state(app.clone(), note))
        .with_state(app)
}

/// What only the operator sees, on a listener of its own.
pub fn operator_router(app: App) -> Router {
    Router::new().route("/metrics", get(health::metrics)).fallback(health::not_found).with_state(app)
}

/// Exact origins; a page elsewhere is answered without the headers that would let it read.
fn cors(app: &App) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(app.allowed_origins.iter().cloned()))
        .allow_methods([Method::GET, Method::PUT, Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            HeaderName::from_static("prefer"),
        ])
        .expose_headers([header::ETAG, header::RETRY_AFTER])
        .max_age(Duration::from_mins(10))
}

/// One line in the log for each request. The path is the route's, not the caller's, and no header is in it.
async fn note(State(app): State<App>, request: Request, next: Next) -> Response {
    let id = format!("{:08x}{:08x}", random::number(), random::number());
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", id, %method, path);
    async move {
        let begun = Instant::now();
        let mut response = next.run(request).await;
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(status = response.status().as_u16(), ms, "answered");
        app.metrics.answered(&method, &path, response.status().as_u16());
        if response.extensions().get::<DatabaseFailed>().is_some() {
            app.metrics.database_failed();
        }
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(id) = HeaderValue::from_str(&id) {
            headers.insert(HeaderName::from_static("x-request-id"), id);
        }
        response
    }
    .instrument(span)
    .await
}
