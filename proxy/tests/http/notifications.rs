//! What PayBy tells on its own account.

use serde_json::json;

use crate::fake_payby::FakePayby;
use crate::proxy::Proxy;

#[tokio::test]
async fn a_notification_with_any_byte_changed_is_refused_and_changes_nothing() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    let before = proxy.put(&token, "N-1").await;
    let body = FakePayby::notification("1", "N-1", "PAID_SUCCESS");
    let sign = proxy.payby.sign(body.as_bytes());
    for index in 0..body.len() {
        let mut changed = body.clone().into_bytes();
        changed[index] ^= 1;
        let answer = proxy.notify_signed(&changed, &sign).await;
        assert_eq!(answer.problem(), (401, "unauthorized"), "byte {index}");
    }
    for sign in ["", "AAAA", "not Base64"] {
        assert_eq!(proxy.notify_signed(body.as_bytes(), sign).await.problem(), (401, "unauthorized"));
    }
    assert_eq!(proxy.get(&token, "N-1").await.body["version"], before.body["version"]);
    // None of them has used up the notification's name.
    assert_eq!(proxy.notify_signed(body.as_bytes(), &sign).await.status, 200);
    assert_eq!(proxy.get(&token, "N-1").await.body["status"], "paid");
}

#[tokio::test]
async fn the_same_notification_twice_is_acknowledged_twice_and_acted_on_once() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    proxy.put(&token, "N-1").await;
    let body = FakePayby::notification("1", "N-1", "PAID_SUCCESS");
    let mut versions = Vec::new();
    for _ in 0..2 {
        let answer = proxy.notify(&body).await;
        assert_eq!((answer.status.as_u16(), answer.body), (200, json!({"response": "SUCCESS"})));
        versions.push(proxy.get(&token, "N-1").await.body["version"].as_u64());
    }
    assert_eq!(versions, [Some(3), Some(3)]);
}

#[tokio::test]
async fn reports_out_of_order_are_merged() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    proxy.put(&token, "N-1").await;
    for (id, status) in [("1", "SETTLED"), ("2", "PAID_SUCCESS"), ("3", "CREATED")] {
        assert_eq!(proxy.notify(&FakePayby::notification(id, "N-1", status)).await.status, 200);
    }
    let answer = proxy.get(&token, "N-1").await;
    assert_eq!(
        (answer.body["status"].as_str(), answer.body["gatewayStatus"].as_str()),
        (Some("paid"), Some("SETTLED"))
    );
}

#[tokio::test]
async fn a_contradiction_is_kept_and_shown() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    proxy.put(&token, "N-1").await;
    proxy.notify(&FakePayby::notification("1", "N-1", "FAILURE")).await;
    assert_eq!(proxy.get(&token, "N-1").await.body["status"], "failed");
    proxy.notify(&FakePayby::notification("2", "N-1", "PAID_SUCCESS")).await;
    assert_eq!(proxy.get(&token, "N-1").await.body["status"], "conflict");
    // A person has to look before anything more is paid.
    assert_eq!(proxy.put(&token, "N-2").await.problem(), (409, "purchase_paid"));
}

#[tokio::test]
async fn a_notification_of_another_amount_or_order_is_kept_and_changes_nothing() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    let before = proxy.put(&token, "N-1").await;
    let other_amount = FakePayby::notification("1", "N-1", "PAID_SUCCESS").replace("12.50", "12.51");
    let other_order = FakePayby::notification("2", "N-2", "PAID_SUCCESS");
    for body in [other_amount, other_order] {
        assert_eq!(proxy.notify(&body).await.status, 200);
    }
    assert_eq!(proxy.get(&token, "N-1").await.body["version"], before.body["version"]);
    assert_eq!(proxy.get(&token, "N-2").await.problem(), (404, "not_found"));
}

#[tokio::test]
async fn a_signed_notification_that_cannot_be_read_is_not_acknowledged() {
    let proxy = Proxy::start().await;
    for body in ["", "{}", r#"{"notify_id":"1","notify_timestamp":1,"refundOrder":{}}"#] {
        assert_eq!(proxy.notify(body).await.problem(), (400, "invalid_request"), "{body}");
    }
    assert_eq!(proxy.notify(&" ".repeat(64 * 1024 + 1)).await.problem(), (413, "too_large"));
}
