//! What the pay page says and shows. Escaping is maud's; nothing here is raw.

use maud::{DOCTYPE, Markup, html};
use payby_checkout::time::{Millis, UnixMillis};

use crate::model::{Failed, Order, State};

/// The page of an order.
pub(super) fn order(now: UnixMillis, order: &Order, token: &str) -> Markup {
    let left = order.expires_at().since(now);
    let open = order.state() == State::Created;
    let status = order.state().status();
    let title = heading(order.state());
    // The next minute is the next time that this page says something new.
    let refresh = open.then(|| left.0 % 60_000 / 1000 + 1);
    frame(
        title,
        refresh,
        &html! {
            section.card data-status=[serde_json::to_value(status).ok().as_ref().and_then(|s| s.as_str())] {
                p.outcome role="status" { (title) }
                p.amount { span.currency { "AED" } " " (order.amount().amount) }
                p.subject { (order.request().subject) }
                dl {
                    div { dt { "Order" } dd.number { (order.merchant_order_no()) } }
                    @if open {
                        div { dt { "Time left" } dd { (time_left(left)) } }
                    }
                    @if let State::Failed(failed) = order.state() {
                        div { dt { "Reason" } dd { (failed.description()) } }
                    }
                }
                @if open {
                    form method="post" action={ (token) "/pay" } {
                        button.pay type="submit" { "Pay AED " (order.amount().amount) }
                    }
                    form method="post" action={ (token) "/decline" } {
                        button.decline type="submit" { "Decline" }
                    }
                } @else if let Some(url) = order.redirect_url() {
                    a.back href=(url) rel="noreferrer" { "Back to the shop" }
                } @else {
                    p.hint { "You can close this page." }
                }
            }
        },
    )
}

/// The page of no order.
pub(super) fn no_such_order() -> Markup {
    frame(
        "No such payment",
        None,
        &html! {
            section.card {
                p.outcome { "No such payment" }
                p.hint { "This link is not, or no longer, good. Go back to the shop and start again." }
            }
        },
    )
}

fn frame(title: &str, refresh: Option<u64>, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                @if let Some(seconds) = refresh {
                    meta http-equiv="refresh" content=(seconds);
                }
                title { (title) " · payment simulator" }
                link rel="stylesheet" href="style.css";
            }
            body {
                header { p.brand { "payby-sim" } p.notice { "Simulator: no money moves" } }
                main { (content) }
            }
        }
    }
}

const fn heading(state: State) -> &'static str {
    match state {
        State::Created => "Waiting for your payment",
        State::Paid { .. } | State::Settled { .. } => "Paid",
        State::Failed(Failed::Declined) => "Payment declined",
        State::Failed(Failed::Cancelled) => "Cancelled",
        State::Failed(Failed::Expired) => "Expired",
    }
}

fn time_left(left: Millis) -> String {
    let minutes = left.0 / 60_000;
    match (minutes / 60, minutes % 60) {
        (0, 0) => "less than a minute".to_owned(),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}
