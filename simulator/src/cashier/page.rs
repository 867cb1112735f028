//! What the pay page says and shows. Escaping is maud's; nothing here is raw.

use maud::{DOCTYPE, Markup, html};
use payby_checkout::money::Amount;
use payby_checkout::time::UnixMillis;

use super::words::Language;
use crate::model::{Order, State};

/// From here on the payer is asked for a password: AED 500, in fils.
const PASSWORD_FROM: u64 = 50_000;

/// Who looks at the page, and how.
pub(super) struct View<'a> {
    pub(super) language: Language,
    /// Whether the language was chosen on the page; then links and forms go on with it.
    pub(super) chosen: bool,
    /// What the payer knows the order by.
    pub(super) token: &'a str,
    pub(super) partner_id: &'a str,
}

impl View<'_> {
    /// What links, forms and redirects go on with.
    pub(super) fn query(&self) -> String {
        if self.chosen { format!("?lang={}", self.language.tag()) } else { String::new() }
    }

    /// A part of the page, relative to the page.
    fn link(&self, part: &str) -> String {
        format!("{}/{part}{}", self.token, self.query())
    }
}

/// Whether the payer of an order is asked for a password.
pub(super) fn needs_password(order: &Order) -> bool {
    order.amount().amount.fils() >= PASSWORD_FROM
}

/// The page of an order, for its payer.
pub(super) fn order(now: UnixMillis, order: &Order, view: &View<'_>) -> Markup {
    let words = view.language.words();
    let left = order.expires_at().since(now);
    let open = order.state() == State::Created;
    let title = words.heading(order.state());
    let pay = html! { button.pay type="submit" { (words.pay) " " (money(view.language, order)) } };
    let button = |part: &str, class: &str, text: &str| {
        html! { form method="post" action=(view.link(part)) { button class=(class) type="submit" { (text) } } }
    };
    let card = html! {
        section.card data-outcome=(outcome(order.state())) {
            h1.outcome { (title) }
            (price(view.language, order))
            dl {
                div { dt { (words.merchant) } dd.number { bdi { (view.partner_id) } } }
                div { dt { (words.order) } dd.number { bdi { (order.merchant_order_no()) } } }
                @if open {
                    div { dt { (words.time_left) } dd { (view.language.time_left(left)) } }
                }
                @if let State::Failed(failed) = order.state() {
                    div { dt { (words.reason) } dd { (words.why(failed)) } }
                }
            }
            @if open {
                @if needs_password(order) {
                    form method="get" action={ (view.token) "/password" } {
                        @if view.chosen { input type="hidden" name="lang" value=(view.language.tag()); }
                        (pay)
                    }
                } @else {
                    form method="post" action=(view.link("pay")) { (pay) }
                }
                (button("decline", "decline", words.decline))
            } @else if let Some(url) = order.redirect_url() {
                a.back href=(url) rel="noreferrer" { (words.back) }
            } @else {
                p.hint { (words.close) }
            }
        }
        @if open {
            div.aside {
                (button("leave", "plain", words.leave))
                (button("expire", "plain", words.expire))
            }
        }
    };
    // The next minute is the next time that this page says something new.
    let refresh = open.then(|| left.0 % 60_000 / 1000 + 1);
    frame(view.language, title, view.token, ".", refresh, &card)
}

/// The page that asks for the password.
pub(super) fn password(order: &Order, view: &View<'_>, is_wrong: bool) -> Markup {
    let words = view.language.words();
    let query = view.query();
    let described_by = if is_wrong { "hint wrong" } else { "hint" };
    let card = html! {
        section.card data-outcome="open" {
            h1.outcome { (words.password_title) }
            (price(view.language, order))
            form method="post" action={ "pay" (query) } {
                label for="password" { (words.password) }
                input #password name="password" type="password" inputmode="numeric" autocomplete="off" maxlength="32"
                    required autofocus dir="ltr" aria-describedby=(described_by) aria-invalid=[is_wrong.then_some("true")];
                @if is_wrong { p.wrong #wrong role="alert" { (words.password_wrong) } }
                p.hint #hint { (words.password_hint) }
                button.pay type="submit" { (words.pay) " " (money(view.language, order)) }
            }
            a.cancel href={ "../" (view.token) (query) } { (words.cancel) }
        }
    };
    frame(view.language, words.password_title, "password", "..", None, &card)
}

/// The page of no order.
pub(super) fn no_such_order(language: Language) -> Markup {
    let words = language.words();
    let card = html! {
        section.card {
            h1.outcome { (words.no_payment) }
            p.hint { (words.no_payment_hint) }
        }
    };
    frame(language, words.no_payment, "", ".", None, &card)
}

fn price(language: Language, order: &Order) -> Markup {
    let currency = html! { span.currency { (language.words().currency) } };
    let digits = html! { bdi.digits { (grouped(order.amount().amount)) } };
    html! {
        p.amount {
            @match language {
                Language::English => { (currency) " " (digits) }
                Language::Arabic => { (digits) " " (currency) }
            }
        }
        p.subject { bdi { (order.request().subject) } }
    }
}

fn money(language: Language, order: &Order) -> String {
    let (currency, digits) = (language.words().currency, grouped(order.amount().amount));
    match language {
        Language::English => format!("{currency} {digits}"),
        Language::Arabic => format!("{digits} {currency}"),
    }
}

/// `page` is the page's own name, relative to itself; `root` is where the style sheet is.
fn frame(language: Language, title: &str, page: &str, root: &str, refresh: Option<u64>, content: &Markup) -> Markup {
    let words = language.words();
    let other = language.other();
    html! {
        (DOCTYPE)
        html lang=(language.tag()) dir=(language.direction()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                @if let Some(seconds) = refresh {
                    meta http-equiv="refresh" content=(seconds);
                }
                title { (title) " · " (words.simulator) }
                link rel="stylesheet" href={ (root) "/style.css" };
            }
            body {
                header {
                    p.brand { bdi { "payby-sim" } }
                    p.notice { (words.notice) }
                    a.language href={ (page) "?lang=" (other.tag()) } lang=(other.tag()) hreflang=(other.tag()) {
                        (other.words().name)
                    }
                }
                main { (content) }
            }
        }
    }
}

/// What the style sheet tells apart.
const fn outcome(state: State) -> &'static str {
    match state {
        State::Created => "open",
        State::Paid { .. } | State::Settled { revoked: false, .. } => "paid",
        State::Settled { revoked: true, .. } | State::Revoked { .. } | State::Failed(_) => "failed",
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
}
