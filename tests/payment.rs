//! Payments through the real proxy and the real simulator: what a page and a shop's server see, whatever gets lost.
#![cfg(not(target_arch = "wasm32"))]

mod support;

use reqwest::StatusCode;
use serde_json::Value;

use crate::support::Stack;

const NUMBER: &str = "1KANPYXG085GR38E1W8124GKK";
const SECOND: &str = "1KANPYXG0A5GR38E1W8124GKZ";

fn field<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

#[tokio::test]
async fn a_payment_goes_through_and_every_call_is_signed_and_verified() {
    let stack = Stack::start().await;
    let purchase = stack.open_purchase("paid").await;
    let created = stack.put(&purchase, NUMBER).await;
    assert_eq!((created.status, created.order_status()), (StatusCode::OK, "pending"), "{created:?}");
    assert!(field(&created.body, "/payUrl").contains("/cashier/"), "{created:?}");
    stack.payer("pay", NUMBER).await;
    let paid = stack.decided(&purchase, NUMBER).await;
    assert_eq!((paid.order_status(), field(&paid.body, "/gatewayStatus")), ("paid", "PAID_SUCCESS"), "{paid:?}");
    assert_eq!(field(&stack.purchase(&purchase).await.body, "/status"), "paid");

    let events = stack.events_at_payby().await;
    let calls: Vec<_> = events.iter().filter(|event| event["kind"] == "call").collect();
    assert!(!calls.is_empty() && calls.iter().all(|call| call["verified"] == true), "{calls:?}");
}

#[tokio::test]
async fn a_declined_payment_ends_failed_and_a_new_order_may_follow() {
    let stack = Stack::start().await;
    let purchase = stack.open_purchase("declined").await;
    stack.put(&purchase, NUMBER).await;
    let early = stack.put(&purchase, SECOND).await;
    assert_eq!((early.status, field(&early.body, "/code")), (StatusCode::CONFLICT, "order_live"), "{early:?}");
    assert_eq!(field(&early.body, "/order/orderNumber"), NUMBER);

    stack.payer("decline", NUMBER).await;
    let failed = stack.decided(&purchase, NUMBER).await;
    assert_eq!(field(&failed.body, "/failure/reason"), "declined", "{failed:?}");

    assert_eq!(stack.put(&purchase, SECOND).await.order_status(), "pending");
    stack.payer("pay", SECOND).await;
    assert_eq!(stack.decided(&purchase, SECOND).await.order_status(), "paid");
    let late = stack.put(&purchase, "A-THIRD-ONE").await;
    assert_eq!((late.status, field(&late.body, "/code")), (StatusCode::CONFLICT, "purchase_paid"), "{late:?}");
}

#[tokio::test]
async fn cancelling_ends_failed_unless_the_payment_was_faster() {
    let stack = Stack::start().await;
    let given_up = stack.open_purchase("given up").await;
    stack.put(&given_up, NUMBER).await;
    stack.cancel(&given_up, NUMBER).await;
    let cancelled = stack.decided(&given_up, NUMBER).await;
    assert_eq!(field(&cancelled.body, "/failure/reason"), "cancelled", "{cancelled:?}");

    let raced = stack.open_purchase("raced").await;
    stack.put(&raced, SECOND).await;
    stack.payer("pay", SECOND).await;
    stack.cancel(&raced, SECOND).await;
    assert_eq!(stack.decided(&raced, SECOND).await.order_status(), "paid");
}

#[tokio::test]
async fn the_same_number_twice_is_one_order() {
    let stack = Stack::start().await;
    let purchase = stack.open_purchase("twice").await;
    let (first, second) = tokio::join!(stack.put(&purchase, NUMBER), stack.put(&purchase, NUMBER));
    assert_eq!((first.order_status(), second.order_status()), ("pending", "pending"));
    assert_eq!(stack.put(&purchase, NUMBER).await.body["payUrl"], first.body["payUrl"]);
    assert_eq!(stack.orders_at_payby().await.len(), 1);
}

#[tokio::test]
async fn whatever_happens_to_a_creation_the_same_number_again_settles_it() {
    let stack = Stack::start().await;
    for fault in ["lost_request", "lost_answer", "system_error", "corrupt_answer", "wrong_signature", "hang"] {
        let purchase = stack.open_purchase(fault).await;
        let number = format!("FAULT-{fault}");
        stack.fault("placeOrder", fault).await;
        let unknown = stack.put(&purchase, &number).await;
        assert_eq!((unknown.status, unknown.order_status()), (StatusCode::OK, "unknown"), "{fault}: {unknown:?}");
        assert_eq!(
            unknown.body["gatewayStatus"],
            Value::Null,
            "{fault}: an answer that is not believed changes nothing"
        );
        let again = stack.put(&purchase, &number).await;
        assert_eq!(again.order_status(), "pending", "{fault}: {again:?}");
        let orders = stack.orders_at_payby().await;
        let same = orders.iter().filter(|order| order["merchantOrderNo"] == *number).count();
        assert_eq!(same, 1, "{fault}");
    }
}

#[tokio::test]
async fn a_payment_is_found_when_its_notification_is_lost() {
    let mut stack = Stack::start().await;
    let purchase = stack.open_purchase("unnotified").await;
    stack.put(&purchase, NUMBER).await;
    stack.kill_proxy().await;
    stack.payer("pay", NUMBER).await;
    stack.restart_proxy().await;
    assert_eq!(stack.decided(&purchase, NUMBER).await.order_status(), "paid");
}

#[tokio::test]
async fn a_proxy_killed_between_its_intent_and_paybys_answer_leaves_one_order() {
    let mut stack = Stack::start().await;
    let purchase = stack.open_purchase("killed").await;
    // PayBy takes the creation and never answers; the proxy dies waiting.
    stack.fault("placeOrder", "hang").await;
    stack.put_and_forget(&purchase, NUMBER);
    while stack.orders_at_payby().await.is_empty() {
        tokio::task::yield_now().await;
    }
    stack.kill_proxy().await;
    stack.restart_proxy().await;

    let known = stack.get(&purchase, NUMBER).await;
    assert_eq!(known.status, StatusCode::OK, "the intent was written down first: {known:?}");
    assert_eq!(stack.put(&purchase, NUMBER).await.order_status(), "pending");
    assert_eq!(stack.put(&purchase, NUMBER).await.order_status(), "pending");
    assert_eq!(stack.orders_at_payby().await.len(), 1);
}
