//! The API under `/sim`, for tests and developers: see everything, be the payer, let time pass, make things go wrong.
//! JSON, unsigned. A request with an `Origin` header is refused, so that no foreign web page can drive it.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `GET /sim/orders` | | array of [`OrderView`], oldest first |
//! | `GET /sim/refunds`, `/transfers` | | array of what PayBy tells of them, oldest first |
//! | `GET /sim/events` | | array of [`Entry`](crate::journal::Entry), oldest first; a page to read is `/sim/log` |
//! | `POST /sim/orders/{merchantOrderNo}/pay`, `/decline`, `/expire`, `/settle` | | [`OrderView`]; 404 if there is none, 409 and the [`OrderView`] if its state does not allow it |
//! | `POST /sim/refunds/{number}/fail`, `/sim/transfers/{number}/fail` | | `{}`; 409 if there is none under way |
//! | `POST /sim/clock/advance` | `{"ms": 120000}` | `{}`: [time has passed for all that waits](crate::model::Model::advance) |
//! | `POST /sim/faults` | a [`Rule`]: `{"call": "placeOrder", "fault": "lost_answer", "times": 1}` | `{}` |
//! | `GET`, `PUT`, `DELETE /sim/faults` | for `PUT` a [`Profile`] | the [`Profile`] that is left |
//! | `POST /sim/payers` | a [`Payer`]: `{"afterQueries": 2}` | `{}`; `DELETE` sends all home, `GET` tells them |
//! | `POST /sim/alerts` | whatever the merchant's stack sends to alert a person; it counts for the orders that it names | `{}` |
//!
//! A body needs `Content-Type: application/json`. What is wrong with a request stands in `{"error": "…"}`, with status 4xx.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::ORIGIN;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use payby_checkout::money::Money;
use payby_checkout::order::GatewayStatus;
use payby_checkout::time::Millis;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::faults::{Faults, Profile, Rule};
use crate::journal::{Event, Via};
use crate::log_page;
use crate::model::{Action, Model, Order, Refund, Transfer};
use crate::payers::Payer;
use crate::simulator::Simulator;

/// An order as `/sim` shows it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderView {
    /// The merchant's number.
    pub merchant_order_no: String,
    /// PayBy's number.
    pub order_no: String,
    /// Where it stands.
    pub status: GatewayStatus,
    /// Why it failed.
    pub fail_code: Option<String>,
    /// What it costs: `{"amount": "12.50", "currency": "AED"}`.
    pub amount: Money,
    /// Its pay page.
    pub token_url: String,
    /// How many `placeOrder` calls have named it.
    pub place_order_calls: u32,
}

impl OrderView {
    fn new(model: &Model, order: &Order) -> Self {
        let report = order.report();
        Self {
            merchant_order_no: order.merchant_order_no().as_str().to_owned(),
            order_no: report.order_no,
            status: report.status,
            fail_code: report.fail_code,
            amount: order.amount(),
            token_url: model.token_url(order),
            place_order_calls: order.place_order_calls(),
        }
    }
}

pub(crate) fn router() -> Router<Arc<Simulator>> {
    Router::new()
        .route("/orders", get(orders))
        .route("/orders/{merchant_order_no}/{action}", post(act))
        .route("/refunds", get(refunds))
        .route("/refunds/{number}/fail", post(fail_refund))
        .route("/transfers", get(transfers))
        .route("/transfers/{number}/fail", post(fail_transfer))
        .route("/events", get(events))
        .route("/log", get(log_page::show))
        .route("/log.css", get(log_page::style))
        .route("/clock/advance", post(advance))
        .route("/faults", get(faults).post(add_fault).put(set_faults).delete(clear_faults))
        .route("/payers", get(payers).post(add_payer).delete(clear_payers))
        .route("/alerts", post(alert))
        .layer(middleware::from_fn(refuse_web_pages))
}

async fn refuse_web_pages(request: Request, next: Next) -> Response {
    if request.headers().contains_key(ORIGIN) {
        return refused(StatusCode::FORBIDDEN, "not for web pages");
    }
    next.run(request).await
}

async fn orders(State(simulator): State<Arc<Simulator>>) -> Response {
    let mut state = simulator.state();
    state.model.catch_up(simulator.now());
    let orders: Vec<_> = state.model.orders().map(|order| OrderView::new(&state.model, order)).collect();
    axum::Json(orders).into_response()
}

async fn events(State(simulator): State<Arc<Simulator>>) -> Response {
    let entries: Vec<_> = simulator.state().journal.entries().cloned().collect();
    axum::Json(entries).into_response()
}

async fn act(State(simulator): State<Arc<Simulator>>, Path((number, action)): Path<(String, String)>) -> Response {
    let action = match action.as_str() {
        "pay" => Action::Pay,
        "decline" => Action::Decline,
        "expire" => Action::Expire,
        "settle" => Action::Settle,
        _ => return refused(StatusCode::NOT_FOUND, "an order can be paid, declined, expired and settled here"),
    };
    let mut state = simulator.state();
    let now = simulator.now();
    let Some(id) = state.model.by_number(&number) else {
        return refused(StatusCode::NOT_FOUND, "no order has this number");
    };
    let changed = state.model.act(now, id, action);
    let order = OrderView::new(&state.model, state.model.order(id));
    let event = Event::Payer { merchant_order_no: number, action, via: Via::Control, changed, status: order.status };
    state.journal.record(now, event);
    drop(state);
    simulator.bell.notify_one();
    let status = if changed { StatusCode::OK } else { StatusCode::CONFLICT };
    (status, axum::Json(order)).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    ms: Millis,
}

async fn advance(State(simulator): State<Arc<Simulator>>, Json(Advance { ms }): Json<Advance>) -> Response {
    simulator.state().model.advance(ms);
    simulator.bell.notify_one();
    axum::Json(json!({})).into_response()
}

async fn add_fault(State(simulator): State<Arc<Simulator>>, Json(rule): Json<Rule>) -> Response {
    simulator.state().faults.add(rule);
    axum::Json(json!({})).into_response()
}

async fn set_faults(State(simulator): State<Arc<Simulator>>, Json(profile): Json<Profile>) -> Response {
    simulator.state().faults = Faults::new(profile);
    faults(State(simulator)).await
}

async fn clear_faults(state: State<Arc<Simulator>>) -> Response {
    set_faults(state, Json(Profile::default())).await
}

async fn faults(State(simulator): State<Arc<Simulator>>) -> Response {
    axum::Json(simulator.state().faults.profile()).into_response()
}

async fn add_payer(State(simulator): State<Arc<Simulator>>, Json(payer): Json<Payer>) -> Response {
    simulator.state().payers.add(payer);
    axum::Json(json!({})).into_response()
}

async fn payers(State(simulator): State<Arc<Simulator>>) -> Response {
    axum::Json(simulator.state().payers.all()).into_response()
}

async fn clear_payers(State(simulator): State<Arc<Simulator>>) -> Response {
    simulator.state().payers.clear();
    axum::Json(json!({})).into_response()
}

async fn refunds(State(simulator): State<Arc<Simulator>>) -> Response {
    let mut state = simulator.state();
    state.model.catch_up(simulator.now());
    axum::Json(state.model.refunds().map(Refund::report).collect::<Vec<_>>()).into_response()
}

async fn transfers(State(simulator): State<Arc<Simulator>>) -> Response {
    let mut state = simulator.state();
    state.model.catch_up(simulator.now());
    axum::Json(state.model.transfers().map(Transfer::report).collect::<Vec<_>>()).into_response()
}

async fn fail_refund(State(simulator): State<Arc<Simulator>>, Path(number): Path<String>) -> Response {
    let failed = simulator.state().model.fail_refund(simulator.now(), &number);
    failed_or_not(&simulator, failed)
}

async fn fail_transfer(State(simulator): State<Arc<Simulator>>, Path(number): Path<String>) -> Response {
    let failed = simulator.state().model.fail_transfer(simulator.now(), &number);
    failed_or_not(&simulator, failed)
}

fn failed_or_not(simulator: &Simulator, failed: bool) -> Response {
    simulator.bell.notify_one();
    if failed { axum::Json(json!({})).into_response() } else { refused(StatusCode::CONFLICT, "none is under way") }
}

/// Any JSON, by any client: what it says is not looked at, but for the order numbers in it.
async fn alert(State(simulator): State<Arc<Simulator>>, body: String) -> Response {
    let mut state = simulator.state();
    let now = simulator.now();
    let is_symbol = |symbol: char| symbol.is_ascii_alphanumeric() || matches!(symbol, '-' | '_');
    let mut named: Vec<_> =
        body.split(|symbol| !is_symbol(symbol)).filter(|word| state.known.contains_key(*word)).collect();
    named.sort_unstable();
    named.dedup();
    let text: String = body.chars().take(500).collect();
    if named.is_empty() {
        state.journal.record(now, Event::Alert { merchant_order_no: None, text: text.clone() });
    }
    for number in named {
        let merchant_order_no = Some(number.to_owned());
        state.journal.record(now, Event::Alert { merchant_order_no, text: text.clone() });
    }
    axum::Json(json!({})).into_response()
}

fn refused(status: StatusCode, error: &str) -> Response {
    (status, axum::Json(json!({ "error": error }))).into_response()
}

/// A JSON body; what is wrong with it is said in JSON as well.
struct Json<T>(T);

impl<T, S> FromRequest<S> for Json<T>
where
    axum::Json<T>: FromRequest<S, Rejection = JsonRejection>,
    S: Send + Sync,
{
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        match axum::Json::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(refused(rejection.status(), &rejection.body_text())),
        }
    }
}
