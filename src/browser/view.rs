//! What a page shows, as plain data in fixed places.

use wasm_bindgen::JsValue;

use super::plain::Plain::{self, Flag, Nothing, Number, Text};
use super::plain::to_js;
use crate::checkout::{Stop, View};
use crate::order::FailureReason;

/// `[status, orderNumber, amount, currency, scene, payUrl, expiresInMs, cancelling, reason, code, message]`, as far as the
/// status has them.
pub(super) fn of_view(view: &View) -> JsValue {
    let (status, order_number, amount) = match view {
        View::Idle => return to_js(&[Text("idle")]),
        View::Unknown { order_number } => return to_js(&[Text("unknown"), Text(order_number)]),
        View::Pending { order_number, amount, .. } => ("pending", order_number, amount),
        View::Paid { order_number, amount } => ("paid", order_number, amount),
        View::Failed { order_number, amount, .. } => ("failed", order_number, amount),
        View::Conflict { order_number, amount } => ("conflict", order_number, amount),
    };
    let [mut scene, mut url, mut expires_in_ms, mut is_cancelling] = [Nothing, Nothing, Nothing, Nothing];
    let [mut reason, mut code, mut message] = [Nothing, Nothing, Nothing];
    match view {
        View::Pending { scene: by, pay_url, expires_in_ms: left, cancelling, .. } => {
            scene = Text(by.as_str());
            url = Plain::text(pay_url.as_deref());
            expires_in_ms = Plain::number(Some(left.0));
            is_cancelling = Flag(*cancelling);
        }
        View::Failed { failure, .. } => {
            reason = Text(match failure.reason {
                FailureReason::Cancelled => "cancelled",
                FailureReason::Expired => "expired",
                FailureReason::Declined => "declined",
                FailureReason::Revoked => "revoked",
            });
            code = Plain::text(failure.code.as_deref());
            message = Plain::text(failure.message.as_deref());
        }
        _ => {}
    }
    let (number, decimal) = (Text(order_number), amount.amount.text());
    let currency = Text(amount.currency.as_str());
    to_js(&[
        Text(status),
        number,
        Text(&decimal),
        currency,
        scene,
        url,
        expires_in_ms,
        is_cancelling,
        reason,
        code,
        message,
    ])
}

/// `["stop", code, httpStatus, problem, detail]`.
pub(super) fn of_stop(why: &Stop) -> JsValue {
    match why {
        Stop::TokenRejected => to_js(&[Text("stop"), Text("token_rejected"), Number(404.0)]),
        Stop::Refused(refusal) => to_js(&[
            Text("stop"),
            Text("refused"),
            Number(refusal.http_status.into()),
            Plain::text(refusal.code.as_deref()),
            Plain::text(refusal.detail.as_deref()),
        ]),
    }
}
