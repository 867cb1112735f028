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
    for origin in ["https://evil.example", "null", &bench.url("")] {
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

#[tokio::test]
async fn a_payer_acts_by_themselves_when_it_is_their_turn() {
    let bench = Bench::start().await;
    bench.control("payers", &json!({"afterQueries": 2, "amount": "12.00"})).await;
    bench.control("payers", &json!({"action": "decline", "amount": "13.00"})).await;
    bench.place("M-1", &json!({})).await;
    for expected in ["CREATED", "CREATED", "PAID_SUCCESS"] {
        let (_, body) = bench.ask("acquire2/getOrder", &json!({"merchantOrderNo": "M-1"})).await;
        assert_eq!(body["acquireOrder"]["status"], expected);
    }
    bench.place("M-2", &json!({"totalAmount": {"amount": 13, "currency": "AED"}})).await;
    assert_eq!(bench.status("M-2").await, "FAILURE");
    assert_eq!(bench.events("payer", 2).await[0]["via"], "auto");
    bench.client.delete(bench.url("/sim/payers")).send().await.unwrap();
    assert!(bench.see("payers").await.is_empty());
}

#[tokio::test]
async fn refunds_and_transfers_are_seen_and_can_be_made_to_fail() {
    let bench = Bench::start().await;
    bench.place("M-1", &json!({})).await;
    bench.control("orders/M-1/pay", &json!({})).await;
    let refund = json!({"refundMerchantOrderNo": "R-1", "originMerchantOrderNo": "M-1",
                        "amount": {"amount": 12, "currency": "AED"}});
    let (code, body) = bench.ask("acquire2/refund/placeOrder", &refund).await;
    assert_eq!((code.as_str(), &body["refundOrder"]["status"]), ("0", &json!("CREATED")));
    assert_eq!(bench.control("refunds/R-1/fail", &json!({})).await.0, StatusCode::OK);
    assert_eq!(bench.control("refunds/R-1/fail", &json!({})).await.0, StatusCode::CONFLICT);
    assert_eq!(bench.see("refunds").await[0]["status"], "FAILURE");
    assert_eq!(bench.control("transfers/T-1/fail", &json!({})).await.0, StatusCode::CONFLICT);
}

#[tokio::test]
async fn an_alert_counts_for_the_orders_that_it_names() {
    let bench = Bench::start().await;
    bench.place("M-1", &json!({})).await;
    bench.place("M-10", &json!({})).await;
    bench.control("alerts", &json!({"alert": "gateway_fails", "orderNumber": "M-1", "at": 1})).await;
    bench.control("alerts", &json!("unrelated")).await;
    let alerts = bench.events("alert", 2).await;
    assert_eq!(alerts.iter().map(|alert| &alert["merchantOrderNo"]).collect::<Vec<_>>(), [&json!("M-1"), &json!(null)]);
}

#[tokio::test]
async fn the_log_is_a_page_to_read_and_what_others_wrote_stays_text() {
    let bench = Bench::start().await;
    let page = async |query: &str| {
        let answer = bench.client.get(bench.url(&format!("/sim/log{query}"))).send().await.unwrap();
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; style-src 'self';"), "{policy}");
        answer.text().await.unwrap()
    };
    assert!(page("").await.contains("Nothing has happened yet."));
    bench.place("M-1", &json!({})).await;
    bench.place("M-2", &json!({})).await;
    bench.fault("getOrder", "lost_answer").await;
    assert!(bench.try_call("getOrder", &json!({"merchantOrderNo": "M-1"})).await.is_err());
    bench.control("alerts", &json!("<script>alert(1)</script>")).await;
    let text = page("").await;
    for part in ["acquire2/placeOrder AED 12.00", "SUCCESS 0 · on purpose: lost_answer", "M-2", "&lt;script&gt;"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("<script"), "{text}");
    assert!(text.find("getOrder").unwrap() < text.find("placeOrder").unwrap(), "newest first");
    let text = page("?order=M-1").await;
    assert!(text.contains("value=\"M-1\"") && !text.contains("M-2"), "{text}");
    let style = bench.client.get(bench.url("/sim/log.css")).send().await.unwrap();
    assert_eq!(style.headers()["content-type"], "text/css; charset=utf-8");
}
