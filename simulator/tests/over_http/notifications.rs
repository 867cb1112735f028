//! Notifications, as the merchant's server gets them.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use payby_checkout::gateway::wire::{ACKNOWLEDGEMENT, Notification};
use payby_checkout::order::GatewayStatus;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::support::{Bench, PATIENCE};

/// A merchant's server that answers every notification in the same way.
struct Merchant {
    url: String,
    received: mpsc::UnboundedReceiver<(HeaderMap, String)>,
}

impl Merchant {
    async fn that_answers(status: u16, body: &'static str) -> Self {
        let (sender, received) = mpsc::unbounded_channel();
        let sender = Arc::new(sender);
        let notify = post(move |headers: HeaderMap, text: String| async move {
            sender.send((headers, text)).unwrap();
            (StatusCode::from_u16(status).unwrap(), body)
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/notify", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, Router::new().route("/notify", notify)).await });
        Self { url, received }
    }

    async fn next(&mut self) -> (HeaderMap, String) {
        tokio::time::timeout(PATIENCE, self.received.recv()).await.expect("no notification came").unwrap()
    }
}

#[tokio::test]
async fn a_payment_is_notified_signed_and_once_acknowledged_never_again() {
    let bench = Bench::start().await;
    let mut merchant = Merchant::that_answers(200, ACKNOWLEDGEMENT).await;
    bench.place("M-1", &json!({"notifyUrl": merchant.url})).await;
    bench.control("orders/M-1/pay", &json!({})).await;

    let (headers, body) = merchant.next().await;
    assert!(bench.is_notification_signed(headers["Sign"].to_str().unwrap(), body.as_bytes()));
    assert_eq!(headers["content-type"], "application/json");
    let notification: Notification = serde_json::from_str(&body).unwrap();
    assert_eq!(notification.acquire_order.merchant_order_no.as_str(), "M-1");
    assert_eq!(notification.acquire_order.status, GatewayStatus::PaidSuccess);
    assert!(notification.acquire_order.payment_info.is_some());

    let event = bench.events("notification", 1).await.remove(0);
    assert_eq!((&event["acknowledged"], &event["nextInMs"]), (&json!(true), &json!(null)));
    bench.advance_minutes(2_000).await;
    // What would come again comes before what is new.
    bench.place("M-2", &json!({"notifyUrl": merchant.url})).await;
    bench.control("orders/M-2/pay", &json!({})).await;
    assert!(merchant.next().await.1.contains("M-2"));
}

#[tokio::test]
async fn a_notification_that_is_not_acknowledged_comes_again_the_same_until_it_is_given_up() {
    let bench = Bench::start().await;
    let mut merchant = Merchant::that_answers(500, ACKNOWLEDGEMENT).await;
    bench.place("M-1", &json!({"notifyUrl": merchant.url})).await;
    bench.control("orders/M-1/decline", &json!({})).await;
    let (headers, body) = merchant.next().await;
    for (attempt, minutes) in [2, 10, 10, 60, 120, 360, 900].into_iter().enumerate() {
        bench.events("notification", attempt + 1).await;
        bench.advance_minutes(minutes).await;
        let (headers_again, body_again) = merchant.next().await;
        assert_eq!(body_again, body);
        assert_eq!(headers_again["sign"], headers["sign"]);
    }
    let events = bench.events("notification", 8).await;
    let last = events.last().unwrap();
    assert_eq!((&last["attempt"], &last["result"], &last["nextInMs"]), (&json!(8), &json!("HTTP 500"), &json!(null)));
}

#[tokio::test]
async fn only_200_with_response_success_acknowledges() {
    for (status, body, result) in [
        (200, r#"{"response": "SUCCESS", "more": 1}"#, "acknowledged"),
        (200, "SUCCESS", "HTTP 200, but not {\"response\":\"SUCCESS\"}"),
        (200, r#"{"response":"FAIL"}"#, "HTTP 200, but not {\"response\":\"SUCCESS\"}"),
        (200, "", "HTTP 200, but not {\"response\":\"SUCCESS\"}"),
        (201, ACKNOWLEDGEMENT, "HTTP 201"),
        (302, ACKNOWLEDGEMENT, "HTTP 302"),
    ] {
        let bench = Bench::start().await;
        let merchant = Merchant::that_answers(status, body).await;
        bench.place("M-1", &json!({"notifyUrl": merchant.url})).await;
        bench.control("orders/M-1/pay", &json!({})).await;
        let event = bench.events("notification", 1).await.remove(0);
        assert_eq!(event["result"], result, "{status} {body}");
        assert_eq!(event["acknowledged"], result == "acknowledged");
    }
}

#[tokio::test]
async fn expiry_and_cancellation_are_notified_without_being_asked() {
    let bench = Bench::start().await;
    let mut merchant = Merchant::that_answers(200, ACKNOWLEDGEMENT).await;
    for (number, fail_code) in [("M-1", "ORDER_CANCELLED"), ("M-2", "ORDER_EXPIRED")] {
        bench.place(number, &json!({"notifyUrl": merchant.url})).await;
        if number == "M-1" {
            bench.call("cancelOrder", &json!({"merchantOrderNo": number})).await;
        } else {
            bench.advance_minutes(120).await;
        }
        let notification: Notification = serde_json::from_str(&merchant.next().await.1).unwrap();
        assert_eq!(notification.acquire_order.fail_code.as_deref(), Some(fail_code));
    }
}

#[tokio::test]
async fn notifications_are_forged_doubled_and_lost_on_purpose() {
    for (fault, signed, acknowledged) in [
        ("wrong_signature", &[false, true][..], &[true, true][..]),
        ("duplicate", &[true, true], &[true, true]),
        ("lost_request", &[], &[false]),
    ] {
        let bench = Bench::start().await;
        let mut merchant = Merchant::that_answers(200, ACKNOWLEDGEMENT).await;
        bench.fault("notification", fault).await;
        bench.place("M-1", &json!({"notifyUrl": merchant.url})).await;
        bench.control("orders/M-1/pay", &json!({})).await;
        for &expected in signed {
            let (headers, body) = merchant.next().await;
            let sign = headers["Sign"].to_str().unwrap();
            assert_eq!(bench.is_notification_signed(sign, body.as_bytes()), expected, "{fault}");
        }
        let events = bench.events("notification", acknowledged.len()).await;
        let told: Vec<_> = events.iter().map(|event| event["acknowledged"].as_bool().unwrap()).collect();
        assert_eq!(told, acknowledged, "{fault}");
        assert_eq!(events[0]["fault"], fault);
    }
}

#[tokio::test]
async fn a_refund_has_a_notification_of_its_own() {
    let bench = Bench::start().await;
    let mut merchant = Merchant::that_answers(200, ACKNOWLEDGEMENT).await;
    bench.place("M-1", &json!({})).await;
    bench.control("orders/M-1/pay", &json!({})).await;
    let refund = json!({"refundMerchantOrderNo": "R-1", "originMerchantOrderNo": "M-1", "notifyUrl": merchant.url,
                        "amount": {"amount": 2, "currency": "AED"}});
    assert_eq!(bench.ask("acquire2/refund/placeOrder", &refund).await.0, "0");
    bench.advance_minutes(1).await;
    let (headers, body) = merchant.next().await;
    assert!(bench.is_notification_signed(headers["Sign"].to_str().unwrap(), body.as_bytes()));
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["refundOrder"]["refundMerchantOrderNo"], "R-1");
    assert_eq!(body["refundOrder"]["status"], "SUCCESS");
    assert_eq!(body.get("acquireOrder"), None);
}
