//! What the pay page says and shows. Escaping is maud's; nothing here is raw.

use maud::{DOCTYPE, Markup, html};
use payby_checkout::money::Amount;
use payby_checkout::time::{Millis, UnixMillis};

use crate::model::{Failed, Order, State};

/// The page of an order, for its payer: `token` is what they know it by.
pub(super) fn order(now: UnixMillis, order: &Order, token: &str, partner_id: &str) -> Markup {
    let left = order.expires_at().since(now);
    let open = order.state() == State::Created;
    let amount = grouped(order.amount().amount);
    let title = heading(order.state());
    // The next minute is the next time that this page says something new.
    let refresh = open.then(|| left.0 % 60_000 / 1000 + 1);
    frame(
        title,
        refresh,
        &html! {
            section.card data-outcome=(outcome(order.state())) {
                p.outcome role="status" { (title) }
                p.amount { span.currency { "AED" } " " span.digits { (amount) } }
                p.subject { (order.request().subject) }
                dl {
                    div { dt { "Merchant" } dd.number { (partner_id) } }
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
                        button.pay type="submit" { "Pay AED " (amount) }
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
        State::Revoked { .. } => "Given back",
        State::Failed(Failed::Declined) => "Payment declined",
        State::Failed(Failed::Cancelled) => "Cancelled",
        State::Failed(Failed::Expired) => "Expired",
    }
}

/// What the style sheet tells apart.
const fn outcome(state: State) -> &'static str {
    match state {
        State::Created => "open",
        State::Paid { .. } | State::Settled { .. } => "paid",
        State::Revoked { .. } | State::Failed(_) => "failed",
    }
}

/// `1234567.50` as `1,234,567.50`.
fn grouped(amount: Amount) -> String {
    let plain = amount.to_string();
    let whole = plain.find('.').unwrap_or(plain.len());
    let mut text = String::new();
    for (place, digit) in plain.char_indices() {
        if place > 0 && place < whole && (whole - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn time_left(left: Millis) -> String {
    let minutes = left.0 / 60_000;
    match (minutes / 60, minutes % 60) {
        (0, 0) => "less than a minute".to_owned(),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_grouped_by_thousands() {
        for (plain, text) in [
            ("0.05", "0.05"),
            ("12.5", "12.50"),
            ("999", "999.00"),
            ("1000", "1,000.00"),
            ("148500.25", "148,500.25"),
            ("999999999999.99", "999,999,999,999.99"),
        ] {
            assert_eq!(grouped(plain.parse().unwrap()), text);
        }
    }

    #[test]
    fn the_time_left_is_told_in_whole_minutes() {
        for (seconds, text) in [
            (0, "less than a minute"),
            (59, "less than a minute"),
            (60, "1 min"),
            (3599, "59 min"),
            (7200, "2 h 0 min"),
        ] {
            assert_eq!(time_left(Millis::from_secs(seconds)), text);
        }
    }
}
