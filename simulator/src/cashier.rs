//! The pay page, in English and Arabic: shows an order to its payer, who pays (from AED 500 on with a password), declines,
//! leaves, or lets the time run out. Plain forms; no script, no cookie, nothing from elsewhere. Whoever knows an order's
//! token is its payer.

mod page;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use maud::Markup;
use serde::Deserialize;
use url::Url;

use self::page::View;
use self::words::Language;
use crate::journal::{Event, Via};
use crate::model::{Action, State as Standing};
use crate::simulator::Simulator;

pub(crate) fn router() -> Router<Arc<Simulator>> {
    Router::new()
        .route("/style.css", get(style))
        .route("/{token}", get(show))
        .route("/{token}/password", get(ask_for_password))
        .route("/{token}/pay", post(pay))
        .route("/{token}/decline", post(decline))
        .route("/{token}/leave", post(leave))
        .route("/{token}/expire", post(expire))
}

async fn style() -> Response {
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, include_str!("cashier/style.css")).into_response()
}

/// How the payer wants the page: `?lang=` or, before they have chosen, what their browser prefers.
struct Tongue {
    language: Language,
    chosen: bool,
}

#[derive(Deserialize)]
struct Asked {
    lang: Option<String>,
    wrong: Option<String>,
}

impl Tongue {
    fn of(asked: &Asked, headers: &HeaderMap) -> Self {
        let chosen = asked.lang.as_deref().and_then(Language::from_tag);
        let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Self { language: chosen.unwrap_or_else(|| Language::accepted(accepted)), chosen: chosen.is_some() }
    }

    fn view<'a>(&self, token: &'a str, partner_id: &'a str) -> View<'a> {
        View { language: self.language, chosen: self.chosen, token, partner_id }
    }

    /// What a redirect goes on with.
    fn query(&self) -> String {
        if self.chosen { format!("?lang={}", self.language.tag()) } else { String::new() }
    }
}

async fn show(
    State(simulator): State<Arc<Simulator>>,
    Path(token): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let tongue = Tongue::of(&asked, &headers);
    let mut state = simulator.state();
    let now = simulator.now();
    state.model.catch_up(now);
    let Some(id) = state.model.by_token(&token) else {
        return answer(StatusCode::NOT_FOUND, None, page::no_such_order(tongue.language));
    };
    state.model.scan(id);
    let order = state.model.order(id);
    let page = page::order(now, order, &tongue.view(&token, &simulator.partner_id));
    answer(StatusCode::OK, order.redirect_url(), page)
}

async fn ask_for_password(
    State(simulator): State<Arc<Simulator>>,
    Path(token): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let tongue = Tongue::of(&asked, &headers);
    let mut state = simulator.state();
    state.model.catch_up(simulator.now());
    let Some(id) = state.model.by_token(&token) else {
        return answer(StatusCode::NOT_FOUND, None, page::no_such_order(tongue.language));
    };
    let order = state.model.order(id);
    if order.state() != Standing::Created {
        return Redirect::to(&format!("../{token}{}", tongue.query())).into_response();
    }
    let page = page::password(order, &tongue.view(&token, &simulator.partner_id), asked.wrong.is_some());
    answer(StatusCode::OK, order.redirect_url(), page)
}

/// What a form carries: the order's token, the language, and the fields.
type Form = (State<Arc<Simulator>>, Path<String>, Query<Asked>, HeaderMap, Bytes);

async fn pay((State(simulator), Path(token), Query(asked), headers, body): Form) -> Response {
    let tongue = Tongue::of(&asked, &headers);
    let is_refused = {
        let state = simulator.state();
        let order = state.model.by_token(&token).map(|id| state.model.order(id));
        order.is_some_and(|order| order.state() == Standing::Created && page::needs_password(order))
            && !is_password(&body)
    };
    if is_refused {
        let query = tongue.query();
        let wrong = if query.is_empty() { "?wrong".to_owned() } else { format!("{query}&wrong") };
        return Redirect::to(&format!("password{wrong}")).into_response();
    }
    act(&simulator, &token, &tongue, Action::Pay)
}

/// Six digits, but for 000000.
fn is_password(form: &[u8]) -> bool {
    let mut fields = url::form_urlencoded::parse(form);
    let password = fields.find(|(name, _)| name == "password").map(|(_, value)| value).unwrap_or_default();
    password.len() == 6 && password.bytes().all(|byte| byte.is_ascii_digit()) && password != "000000"
}

async fn decline((State(simulator), Path(token), Query(asked), headers, _): Form) -> Response {
    act(&simulator, &token, &Tongue::of(&asked, &headers), Action::Decline)
}

async fn leave((State(simulator), Path(token), Query(asked), headers, _): Form) -> Response {
    act(&simulator, &token, &Tongue::of(&asked, &headers), Action::Leave)
}

async fn expire((State(simulator), Path(token), Query(asked), headers, _): Form) -> Response {
    act(&simulator, &token, &Tongue::of(&asked, &headers), Action::Expire)
}

fn act(simulator: &Simulator, token: &str, tongue: &Tongue, action: Action) -> Response {
    let mut state = simulator.state();
    let now = simulator.now();
    let Some(id) = state.model.by_token(token) else {
        return answer(StatusCode::NOT_FOUND, None, page::no_such_order(tongue.language));
    };
    let changed = state.model.act(now, id, action);
    let order = state.model.order(id);
    let goes_back = changed || action == Action::Leave;
    let back = order.redirect_url().filter(|_| goes_back).map(Redirect::to);
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
    back.unwrap_or_else(|| Redirect::to(&format!("../{token}{}", tongue.query()))).into_response()
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
