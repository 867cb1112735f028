//! The pay page: shows an order to its payer, who pays or declines. Plain forms; no script, no cookie, nothing from
//! elsewhere. Whoever knows an order's token is its payer.

mod page;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use maud::Markup;
use url::Url;

use crate::journal::{Event, Via};
use crate::model::Action;
use crate::simulator::Simulator;

pub(crate) fn router() -> Router<Arc<Simulator>> {
    Router::new()
        .route("/style.css", get(style))
        .route("/{token}", get(show))
        .route("/{token}/pay", post(pay))
        .route("/{token}/decline", post(decline))
}

async fn style() -> Response {
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, include_str!("cashier/style.css")).into_response()
}

async fn show(State(simulator): State<Arc<Simulator>>, Path(token): Path<String>) -> Response {
    let mut state = simulator.state();
    let now = simulator.now();
    state.model.catch_up(now);
    let Some(id) = state.model.by_token(&token) else {
        return answer(StatusCode::NOT_FOUND, None, page::no_such_order());
    };
    let order = state.model.order(id);
    answer(StatusCode::OK, order.redirect_url(), page::order(now, order, &token, &simulator.partner_id))
}

async fn pay(state: State<Arc<Simulator>>, token: Path<String>) -> Response {
    act(&state, &token, Action::Pay)
}

async fn decline(state: State<Arc<Simulator>>, token: Path<String>) -> Response {
    act(&state, &token, Action::Decline)
}

fn act(simulator: &Simulator, token: &str, action: Action) -> Response {
    let mut state = simulator.state();
    let now = simulator.now();
    let Some(id) = state.model.by_token(token) else {
        return answer(StatusCode::NOT_FOUND, None, page::no_such_order());
    };
    let changed = state.model.act(now, id, action);
    let order = state.model.order(id);
    let back = order.redirect_url().filter(|_| changed).map(Redirect::to);
    let event = Event::Payer {
        merchant_order_no: order.merchant_order_no().as_str().to_owned(),
        action,
        via: Via::Cashier,
        changed,
        status: order.state().status(),
    };
    state.journal.record(now, event);
    drop(state);
    simulator.bell.notify_one();
    // Relative, so that it holds behind any public URL.
    back.unwrap_or_else(|| Redirect::to(&format!("../{token}"))).into_response()
}

/// `redirect_url` is where the form may lead in the end: a browser checks `form-action` on redirects too.
fn answer(status: StatusCode, redirect_url: Option<&str>, page: Markup) -> Response {
    let back = redirect_url.and_then(|url| Url::parse(url).ok()).map(|url| url.origin().ascii_serialization());
    let policy = format!(
        "default-src 'none'; style-src 'self'; form-action 'self' {}; base-uri 'none'; frame-ancestors 'none'",
        back.unwrap_or_default()
    );
    let headers: [(HeaderName, &str); 4] = [
        (CONTENT_SECURITY_POLICY, &policy),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, page).into_response()
}
