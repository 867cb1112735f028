//! The API under `/sim`.

use reqwest::StatusCode;
use serde_json::json;

use crate::support::Bench;

#[tokio::test]
async fn an_order_is_paid_and_declined_without_a_browser() {
    let bench = Bench::start().await;
    let url = bench.place("M-1", &json!({})).await;
    let (status, order) = bench.control("orders/M-1/pay", &json!({})).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        order,
        json!({
            "merchantOrderNo": "M-1",
            "orderNo": order["orderNo"],
            "status": "PAID_SUCCESS",
            "failCode": null,
            "amount": {"amount": "12.00", "currency": "AED"},
            "tokenUrl": url,
            "placeOrderCalls": 1,
        })
    );
    let (status, unchanged) = bench.control("orders/M-1/decline", &json!({})).await;
    assert_eq!((status, unchanged), (StatusCode::CONFLICT, order));
    let (status, order) = bench.control("orders/M-1/settle", &json!({})).await;
    assert_eq!((status, &order["status"]), (StatusCode::OK, &json!("SETTLED")));

    bench.place("M-2", &json!({})).await;
    let (_, order) = bench.control("orders/M-2/decline", &json!({})).await;
    assert_eq!((&order["status"], &order["failCode"]), (&json!("FAILURE"), &json!("PAYMENT_DECLINED")));
}

#[tokio::test]
async fn mistakes_are_said_in_json() {
    let bench = Bench::start().await;
    for (what, body, status) in [
        ("orders/M-9/pay", json!({}), StatusCode::NOT_FOUND),
        ("orders/M-9/steal", json!({}), StatusCode::NOT_FOUND),
        ("clock/advance", json!({"ms": -1}), StatusCode::UNPROCESSABLE_ENTITY),
        ("clock/advance", json!({"minutes": 1}), StatusCode::UNPROCESSABLE_ENTITY),
        ("faults", json!({"call": "refund", "fault": "hang"}), StatusCode::UNPROCESSABLE_ENTITY),
        ("faults", json!({"call": "*", "fault": "fire"}), StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let (answered, answer) = bench.control(what, &body).await;
        assert_eq!(answered, status, "{what} {body}");
        assert!(answer["error"].is_string(), "{what} {body}");
    }
}

#[tokio::test]
async fn web_pages_may_not_drive_it() {
    let bench = Bench::start().await;
    bench.place("M-1", &json!({})).await;
    for origin in ["https://evil.example", "null", &bench.payby.public_url] {
        let request = bench.client.post(bench.url("/sim/orders/M-1/pay")).header("Origin", origin);
        assert_eq!(request.send().await.unwrap().status(), StatusCode::FORBIDDEN, "{origin}");
        let request = bench.client.get(bench.url("/sim/orders")).header("Origin", origin);
        assert_eq!(request.send().await.unwrap().status(), StatusCode::FORBIDDEN, "{origin}");
    }
    assert_eq!(bench.status("M-1").await, "CREATED");
}

#[tokio::test]
async fn the_event_log_tells_everything_in_order_and_no_secret() {
    let bench = Bench::start().await;
    let url = bench.place("M-1", &json!({"notifyUrl": "http://127.0.0.1:1/notify"})).await;
    bench.call("getOrder", &json!({"merchantOrderNo": "M-1"})).await;
    bench.client.post(format!("{url}/pay")).send().await.unwrap();
    bench.events("notification", 1).await;
    bench.call("cancelOrder", &json!({"merchantOrderNo": "M-1"})).await;

    let events = bench.see("events").await;
    assert_eq!(events.iter().map(|event| event["seq"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    let mut cancel = events[4].clone();
    assert!(cancel["at"].take().is_u64());
    assert_eq!(
        cancel,
        json!({"seq": 5, "at": null, "kind": "call", "path": "acquire2/cancelOrder", "partnerId": "200000000001",
               "merchantOrderNo": "M-1", "verified": true, "fault": null, "applyStatus": "FAIL", "code": "62001"})
    );
    let mut paid = events[2].clone();
    paid["at"].take();
    assert_eq!(
        paid,
        json!({"seq": 3, "at": null, "kind": "payer", "merchantOrderNo": "M-1", "action": "pay", "via": "cashier",
               "changed": true, "status": "PAID_SUCCESS"})
    );
    let mut notification = events[3].clone();
    notification["at"].take();
    assert!(notification["notifyId"].take().is_string());
    assert_eq!(
        notification,
        json!({"seq": 4, "at": null, "kind": "notification", "merchantOrderNo": "M-1", "notifyId": null, "attempt": 1,
               "url": "http://127.0.0.1:1/notify", "acknowledged": false, "result": "could not connect",
               "nextInMs": 120_000})
    );
    let token = url.rsplit('/').next().unwrap();
    assert!(!json!(events).to_string().contains(token));
}
