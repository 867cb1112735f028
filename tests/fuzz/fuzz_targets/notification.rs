//! What PayBy notifies, under any bytes that it may have signed: an order's or a refund's state learns what the text says,
//! once and for all, and nothing else.
//!
//! ```sh
//! cargo fuzz run --fuzz-dir tests/fuzz --sanitizer none notification -- -max_total_time=600
//! ```
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use payby_checkout::gateway::wire::{Notification, RefundNotification};
use payby_checkout::order::{GatewayStatus, OrderState, Status};
use payby_checkout::protocol::RefundStatus;
use payby_checkout_fuzz::{Changes, WORDS, reads_back, refund, told_at, written_at};
use payby_proxy::refunds;

const ORDER: &str = r#"{"notify_id":§"N-1"§,"notify_timestamp":§1795000000000§,"acquireOrder":{"merchantOrderNo":§"M-1"§,
    "orderNo":§"131"§,"status":§"CREATED"§,"requestTime":§1794999000000§,"expiredTime":§1795009000000§,
    "totalAmount":{"amount":§12.50§,"currency":§"AED"§},"subject":§"Tea"§,"paymentInfo":{"paidAmount":{"amount":§12.50§,
    "currency":"AED"},"paidTime":§1795000000000§,"payChannel":§"CARD"§},"failCode":§null§,"failDes":§null§,
    "revoked":§"false"§,"reserved":§"note"§,"more":§1§}}"#;

const REFUND: &str = r#"{"notify_id":§"N-2"§,"notify_timestamp":§1795000000000§,"refundOrder":{"refundMerchantOrderNo":§"R-1"§,
    "orderNo":§"132"§,"originMerchantOrderNo":§"M-1"§,"originOrderNo":§"131"§,"status":§"CREATED"§,
    "amount":{"amount":§2.50§,"currency":§"AED"§},"requestTime":§1795000000000§,"reason":§"late"§,"failCode":§null§,
    "failDes":§null§,"reserved":§"note"§,"more":§1§}}"#;

#[derive(Arbitrary, Debug)]
enum Body {
    Order(Changes),
    Refund(Changes),
    Any(Vec<u8>),
}

/// What was known before, of an order that nobody has called paid.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    Created,
    Failed,
}

fuzz_target!(|given: (Before, Body)| {
    let (before, body) = given;
    let is_right = matches!(&body, Body::Order(changes) | Body::Refund(changes) if changes.are_none());
    let body = match body {
        Body::Order(changes) => changes.made_to(ORDER, WORDS),
        Body::Refund(changes) => changes.made_to(REFUND, WORDS),
        Body::Any(bytes) => bytes,
    };
    let (order, refund) = (reads_back::<Notification>(&body), reads_back::<RefundNotification>(&body));
    assert!(!is_right || order.is_some() || refund.is_some(), "what is right is read");
    if let Some(told) = order {
        an_order_learns_what_the_text_says(before, &told, &body);
    }
    if let Some(told) = refund {
        a_refund_learns_what_the_text_says(&told, &body);
    }
});

fn an_order_learns_what_the_text_says(before: Before, told: &Notification, body: &[u8]) {
    let report = told.acquire_order.state(told.notify_timestamp);
    let mut order = match before {
        Before::Nothing => OrderState::default(),
        Before::Created => OrderState::reported(GatewayStatus::Created, false, None),
        Before::Failed => OrderState::reported(GatewayStatus::Failure, false, None),
    };
    let mut other_way_round = report.clone();
    other_way_round.merge(&order);
    order.merge(&report);
    assert_eq!(order, other_way_round);
    assert!(!order.clone().merge(&report), "twice is as good as once");

    let revoked = written_at(body, &["acquireOrder", "revoked"]);
    let is_revoked = revoked.is_some_and(|revoked| {
        revoked == "true" || serde_json::from_str::<String>(&revoked).is_ok_and(|text| text == "true")
    });
    let expected = match (told_at(body, &["acquireOrder", "status"]).as_deref(), before) {
        _ if is_revoked => Status::Failed,
        (Some("PAID_SUCCESS" | "SETTLED"), Before::Failed) => Status::Conflict,
        (Some("PAID_SUCCESS" | "SETTLED"), _) => Status::Paid,
        (Some("FAILURE"), _) | (Some("CREATED"), Before::Failed) => Status::Failed,
        (Some("CREATED"), _) => Status::Pending,
        other => panic!("{other:?} says nothing of an order"),
    };
    assert_eq!(order.status(), expected);
    assert_eq!(order.failure().is_some(), expected == Status::Failed);
}

fn a_refund_learns_what_the_text_says(told: &RefundNotification, body: &[u8]) {
    let report = &told.refund_order;
    let mut refund = refund();
    refunds::learn(&mut refund, report);
    let once = refund.clone();
    refunds::learn(&mut refund, report);
    assert_eq!(refund, once);

    let expected = match told_at(body, &["refundOrder", "status"]).as_deref() {
        Some("CREATED") => RefundStatus::Pending,
        Some("REFUNDED_SETTLED") => RefundStatus::Deducted,
        Some("SUCCESS") => RefundStatus::Refunded,
        Some("FAILURE") => RefundStatus::Failed,
        other => panic!("{other:?} says nothing of a refund"),
    };
    assert_eq!(refund.status, expected);
    assert!(refund.refusal.is_none() || expected == RefundStatus::Failed);
}
