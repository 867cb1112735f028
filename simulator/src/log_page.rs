//! The event log as a page to read: newest first, one line an event, `?order=` for one order alone. No script.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};
use payby_checkout::time::{Millis, UnixMillis};
use serde::Deserialize;
use serde_json::{Value, to_value};

use crate::journal::{Entry, Event};
use crate::simulator::Simulator;

/// No page is longer.
const SHOWN: usize = 500;

#[derive(Deserialize)]
pub(crate) struct Which {
    order: Option<String>,
}

pub(crate) async fn style() -> Response {
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, include_str!("log_page/style.css")).into_response()
}

pub(crate) async fn show(State(simulator): State<Arc<Simulator>>, Query(which): Query<Which>) -> Response {
    let order = which.order.filter(|order| !order.is_empty());
    let page = {
        let state = simulator.state();
        let entries = state.journal.entries().rev();
        let wanted = entries.filter(|entry| order.is_none() || entry.event.order() == order.as_deref());
        page(wanted.take(SHOWN), order.as_deref())
    };
    let policy = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    let headers = [(CONTENT_SECURITY_POLICY, policy), (CACHE_CONTROL, "no-store"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, page).into_response()
}

fn page<'a>(entries: impl Iterator<Item = &'a Entry>, order: Option<&str>) -> Markup {
    let mut entries = entries.peekable();
    let is_empty = entries.peek().is_none();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Events · payment simulator" }
                link rel="stylesheet" href="log.css";
            }
            body {
                header {
                    h1 { "Events" }
                    form {
                        label for="order" { "Order" }
                        input #order name="order" value=[order] spellcheck="false" autocomplete="off";
                        button { "Show" }
                        a href="log" { "All" }
                        a href="events" { "JSON" }
                    }
                }
                main {
                    @if is_empty {
                        p { "Nothing has happened yet." }
                    } @else {
                        table {
                            caption { "Newest first; times are UTC" }
                            thead {
                                tr {
                                    th scope="col" { "No." }
                                    th scope="col" { "Time" }
                                    th scope="col" { "What" }
                                    th scope="col" { "Order" }
                                    th scope="col" { "What came of it" }
                                }
                            }
                            tbody { @for entry in entries { (row(entry)) } }
                        }
                    }
                }
            }
        }
    }
}

fn row(entry: &Entry) -> Markup {
    let Line { kind, what, outcome, good } = Line::of(&entry.event);
    html! {
        tr data-kind=(kind) {
            td.number { (entry.seq) }
            td { time datetime=(moment(entry.at, "%Y-%m-%dT%H:%M:%S%.3fZ")) { (moment(entry.at, "%H:%M:%S%.3f")) } }
            td { (what) }
            td.number { @if let Some(order) = entry.event.order() { a href={ "?order=" (order) } { (order) } } }
            td data-good=(good) { (outcome) }
        }
    }
}

/// An event in words.
struct Line {
    kind: &'static str,
    what: String,
    outcome: String,
    good: bool,
}

impl Line {
    fn of(event: &Event) -> Self {
        match event {
            Event::Call { path, amount, verified, fault, apply_status, code, .. } => {
                let amount = amount.map(|amount| format!(" AED {amount}")).unwrap_or_default();
                let answer = match (apply_status, code.as_deref()) {
                    (Some(status), Some(code)) => format!("{} {code}", word(status)),
                    _ => "no answer".to_owned(),
                };
                let fault = fault.as_ref().map(|fault| format!(" · on purpose: {}", word(fault))).unwrap_or_default();
                let unsigned = if *verified { "" } else { " · signature does not verify" };
                let outcome = format!("{answer}{fault}{unsigned}");
                Self { kind: "call", what: format!("{path}{amount}"), outcome, good: code.as_deref() == Some("0") }
            }
            Event::Payer { action, via, changed, status, .. } => Self {
                kind: "payer",
                what: format!("payer: {} ({})", word(action), word(via)),
                outcome: format!("{}{}", word(status), if *changed { "" } else { " · nothing changed" }),
                good: *changed,
            },
            Event::Notification { attempt, url, fault, acknowledged, result, next_in_ms, .. } => {
                let next = next_in_ms.map(|span| format!(" · again in {}", minutes(span))).unwrap_or_default();
                let fault = fault.as_ref().map(|fault| format!(" · on purpose: {}", word(fault))).unwrap_or_default();
                Self {
                    kind: "notification",
                    what: format!("notification, attempt {attempt}, to {url}"),
                    outcome: format!("{result}{fault}{next}"),
                    good: *acknowledged,
                }
            }
            Event::Alert { text, .. } => {
                Self { kind: "alert", what: "alert".to_owned(), outcome: text.clone(), good: true }
            }
        }
    }
}

/// A value's word in JSON: `pay`, `SUCCESS`, `lost_answer`.
fn word(value: impl serde::Serialize) -> String {
    match to_value(value) {
        Ok(Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

fn minutes(span: Millis) -> String {
    format!("{} min", span.0.div_ceil(60_000))
}

fn moment(at: UnixMillis, format: &str) -> String {
    let time = i64::try_from(at.0).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    time.map(|time| time.strftime(format).to_string()).unwrap_or_default()
}
