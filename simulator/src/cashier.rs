//! The pay page, in English and Arabic: shows an order to its payer, who pays (from AED 500 on with a password), declines,
//! leaves, or lets the time run out. Plain forms; no script, no cookie, nothing from elsewhere. Whoever knows an order's
//! token is its payer.

mod page;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode};
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

/// A payer at the page of an order.
struct Visit {
    simulator: Arc<Simulator>,
    token: String,
    /// How they want the page: `?lang=` or, before they have chosen, what their browser prefers.
    language: Language,
    chosen: bool,
    /// Whether the password was wrong.
    is_wrong: bool,
}

#[derive(Deserialize)]
struct Asked {
    lang: Option<String>,
    wrong: Option<String>,
}

impl FromRequestParts<Arc<Simulator>> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, simulator: &Arc<Simulator>) -> Result<Self, Response> {
        type Parameters = (Path<String>, Query<Asked>);
        let (Path(token), Query(asked)) = Parameters::from_request_parts(parts, simulator).await?;
        let chosen = asked.lang.as_deref().and_then(Language::from_tag);
        let accepted = parts.headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok(Self {
            simulator: Arc::clone(simulator),
            token,
            language: chosen.unwrap_or_else(|| Language::accepted(accepted)),
            chosen: chosen.is_some(),
            is_wrong: asked.wrong.is_some(),
        })
    }
}

impl Visit {
    fn view(&self) -> View<'_> {
        let (token, partner_id) = (&*self.token, &*self.simulator.partner_id);
        View { language: self.language, chosen: self.chosen, token, partner_id }
    }

    /// To the order's page. Relative, so that it holds behind any public URL.
    fn to_the_order(&self) -> Response {
        Redirect::to(&format!("../{}{}", self.token, self.view().query())).into_response()
    }

    fn no_such_order(&self) -> Response {
        answer(StatusCode::NOT_FOUND, None, page::no_such_order(self.language))
    }

    fn act(&self, action: Action) -> Response {
        let mut state = self.simulator.state();
        let now = self.simulator.now();
        let Some(id) = state.model.by_token(&self.token) else { return self.no_such_order() };
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
        self.simulator.bell.notify_one();
        back.map_or_else(|| self.to_the_order(), Redirect::into_response)
    }
}

async fn show(visit: Visit) -> Response {
    let mut state = visit.simulator.state();
    let now = visit.simulator.now();
    state.model.catch_up(now);
    let Some(id) = state.model.by_token(&visit.token) else { return visit.no_such_order() };
    state.model.scan(id);
    let order = state.model.order(id);
    answer(StatusCode::OK, order.redirect_url(), page::order(now, order, &visit.view()))
}

async fn ask_for_password(visit: Visit) -> Response {
    let mut state = visit.simulator.state();
    state.model.catch_up(visit.simulator.now());
    let Some(id) = state.model.by_token(&visit.token) else { return visit.no_such_order() };
    let order = state.model.order(id);
    if order.state() != Standing::Created {
        return visit.to_the_order();
    }
    answer(StatusCode::OK, order.redirect_url(), page::password(order, &visit.view(), visit.is_wrong))
}

async fn pay(visit: Visit, form: Bytes) -> Response {
    let is_refused = {
        let state = visit.simulator.state();
        let order = state.model.by_token(&visit.token).map(|id| state.model.order(id));
        order.is_some_and(|order| order.state() == Standing::Created && page::needs_password(order))
            && !is_password(&form)
    };
    if is_refused {
        let query = visit.view().query();
        let wrong = if query.is_empty() { "?wrong".to_owned() } else { format!("{query}&wrong") };
        return Redirect::to(&format!("password{wrong}")).into_response();
    }
    visit.act(Action::Pay)
}

/// Six digits, but for 000000.
fn is_password(form: &[u8]) -> bool {
    let mut fields = url::form_urlencoded::parse(form);
    let password = fields.find(|(name, _)| name == "password").map(|(_, value)| value).unwrap_or_default();
    password.len() == 6 && password.bytes().all(|byte| byte.is_ascii_digit()) && password != "000000"
}

async fn decline(visit: Visit) -> Response {
    visit.act(Action::Decline)
}

async fn leave(visit: Visit) -> Response {
    visit.act(Action::Leave)
}

async fn expire(visit: Visit) -> Response {
    visit.act(Action::Expire)
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
