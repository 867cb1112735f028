//! Orders at the gateway: what is sent, what is believed, what a page is told.

use payby_checkout::hop::Policy;
use payby_checkout::time::Millis;
use reqwest::Method;
use serde_json::json;

use crate::fake_payby::Fault;
use crate::proxy::{Proxy, purchase, send};

const LANDING_WINDOW: Millis = Policy::TO_GATEWAY.landing_window.unwrap();

#[tokio::test]
async fn an_order_is_created_notified_and_paid() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    let created = proxy.put(&token, "N-1").await;
    assert_eq!((created.status.as_u16(), created.header("etag")), (200, "\"2\""));
    let mut snapshot = created.body.clone();
    let next_poll = snapshot.as_object_mut().unwrap().remove("nextPollMs").unwrap();
    assert!(next_poll.as_u64().unwrap() >= 1_500);
    assert_eq!(
        snapshot,
        json!({
            "orderNumber": "N-1", "status": "pending", "gatewayStatus": "CREATED", "revoked": false,
            "amount": {"amount": "12.50", "currency": "AED"}, "scene": "DYNQR", "payUrl": "https://pay.example/N-1",
            "version": 2, "expiresInMs": 1_800_000,
        })
    );
    let place = &proxy.payby.calls()[0];
    assert_eq!(
        place.body,
        "{\"requestTime\":1795000000000,\"bizContent\":{\"merchantOrderNo\":\"N-1\",\"subject\":\"Tea\",\
         \"totalAmount\":{\"amount\":12.50,\"currency\":\"AED\"},\"paySceneCode\":\"DYNQR\",\
         \"expiredTime\":1795001800000,\"notifyUrl\":\"https://pay.shop.example/payby/notifications\"}}"
    );

    let body = crate::fake_payby::FakePayby::notification("1", "N-1", "PAID_SUCCESS");
    proxy.payby.set("N-1", "PAID_SUCCESS");
    let acknowledged = proxy.notify(&body).await;
    assert_eq!((acknowledged.status.as_u16(), &acknowledged.body), (200, &json!({"response": "SUCCESS"})));
    let paid = proxy.get(&token, "N-1").await;
    assert_eq!((paid.body["status"].as_str(), paid.header("etag")), (Some("paid"), "\"3\""));
    assert_eq!((paid.body.get("payUrl"), paid.body["expiresInMs"].as_u64()), (None, Some(0)));

    // R5: a start on a paid purchase answers paid.
    assert_eq!(proxy.put(&token, "N-1").await.body["status"], "paid");
    let other = proxy.put(&token, "N-2").await;
    assert_eq!(other.problem(), (409, "purchase_paid"));
    assert_eq!(other.body["order"]["orderNumber"], "N-1");
    assert_eq!(proxy.payby.names().iter().filter(|name| *name == "placeOrder").count(), 1);
}

#[tokio::test]
async fn a_second_put_creates_nothing() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    let first = proxy.put(&token, "N-1").await;
    let second = proxy.put(&token, "N-1").await;
    assert_eq!(first.body["payUrl"], second.body["payUrl"]);
    assert_eq!(first.body["version"], second.body["version"]);
    assert_eq!(proxy.payby.names().iter().filter(|name| *name == "placeOrder").count(), 1);
}

#[tokio::test]
async fn many_puts_at_once_are_one_creation() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    proxy.payby.fail("placeOrder", Fault::Held);
    let puts = async { tokio::join!(proxy.put(&token, "N-1"), proxy.put(&token, "N-1"), proxy.put(&token, "N-1")) };
    let release = async {
        proxy.payby.called("placeOrder", 1).await;
        proxy.payby.release();
    };
    let ((one, two, three), ()) = tokio::join!(puts, release);
    for answer in [one, two, three] {
        assert_eq!(answer.body["status"], "pending");
    }
    assert_eq!(proxy.payby.names().iter().filter(|name| *name == "placeOrder").count(), 1);
}

#[tokio::test]
async fn a_page_that_goes_away_cancels_nothing() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    proxy.payby.fail("placeOrder", Fault::Held);
    tokio::select! {
        _ = proxy.put(&token, "N-1") => panic!("the call is held"),
        () = proxy.payby.called("placeOrder", 1) => {}
    }
    proxy.payby.release();
    assert_eq!(proxy.until(&token, "N-1", "pending").await.body["payUrl"], "https://pay.example/N-1");
}

#[tokio::test]
async fn an_answer_that_cannot_be_believed_is_no_outcome() {
    for fault in [
        Fault::ChangedByte,
        Fault::Unsigned,
        Fault::OtherNumber,
        Fault::OtherAmount,
        Fault::TooLong,
        Fault::LostRequest,
        Fault::LostAnswer,
        Fault::BadGateway,
        Fault::Code("500"),
        Fault::Code("504"),
        Fault::Code("402"),
        Fault::Code("404"),
    ] {
        let proxy = Proxy::start().await;
        let token = proxy.token("r").await;
        // The queries fail as well, so that nothing heals behind the test's back.
        for _ in 0..50 {
            proxy.payby.fail("getOrder", Fault::Code("500"));
        }
        proxy.payby.fail("placeOrder", fault);
        let answer = proxy.put(&token, "N-1").await;
        let told = (answer.status.as_u16(), answer.body["status"].as_str(), answer.body["version"].as_u64());
        assert_eq!(told, (200, Some("unknown"), Some(1)), "{fault:?}");
        assert_eq!(answer.body["gatewayStatus"], json!(null));
    }
}

#[tokio::test]
async fn what_was_unknown_is_found_out_while_somebody_waits() {
    for fault in [Fault::LostRequest, Fault::LostAnswer, Fault::Code("500"), Fault::ChangedByte] {
        let proxy = Proxy::start().await;
        let token = proxy.token("r").await;
        proxy.payby.fail("placeOrder", fault);
        assert_eq!(proxy.put(&token, "N-1").await.body["status"], "unknown", "{fault:?}");
        let found = proxy.until(&token, "N-1", "pending").await;
        assert_eq!(proxy.put(&token, "N-1").await.body["payUrl"], "https://pay.example/N-1", "{:?}", found.body);
        // R2, R3: first a query, then the very same creation.
        let calls = proxy.payby.calls();
        let places: Vec<_> = calls.iter().filter(|call| call.name == "placeOrder").collect();
        assert_eq!(calls[1].name, "getOrder");
        assert_eq!(places.len(), 2);
        assert_eq!(places[0].biz_content(), places[1].biz_content());
    }
}

#[tokio::test]
async fn a_restart_between_intent_and_answer_sends_the_same_bytes_again() {
    let mut proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    proxy.payby.fail("placeOrder", Fault::LostRequest);
    tokio::select! {
        _ = proxy.put(&token, "N-1") => {}
        () = proxy.payby.called("placeOrder", 1) => {}
    }
    proxy.restart().await;
    proxy.advance(Millis(7_000));
    let answer = proxy.put(&token, "N-1").await;
    assert_eq!(
        (answer.body["status"].as_str(), answer.body["expiresInMs"].as_u64()),
        (Some("pending"), Some(1_793_000))
    );
    let calls = proxy.payby.calls();
    let places: Vec<_> = calls.iter().filter(|call| call.name == "placeOrder").collect();
    assert_eq!(places[0].biz_content(), places[1].biz_content());
    assert_ne!(places[0].body, places[1].body); // requestTime is of its own time
}

#[tokio::test]
async fn a_refused_creation_has_failed_and_the_purchase_is_free_for_another() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    proxy.payby.fail("placeOrder", Fault::Code("601"));
    let refused = proxy.put(&token, "N-1").await;
    assert_eq!(refused.body["status"], "failed");
    assert_eq!(refused.body["failure"], json!({"reason": "declined", "code": "601", "message": "NO"}));
    assert_eq!(proxy.put(&token, "N-2").await.body["status"], "pending");
}

#[tokio::test]
async fn a_refusal_after_an_unknown_creation_is_not_final() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    proxy.payby.fail("placeOrder", Fault::Code("500"));
    proxy.payby.fail("placeOrder", Fault::Code("601"));
    proxy.payby.fail("getOrder", Fault::Code("62004"));
    assert_eq!(proxy.put(&token, "N-1").await.body["status"], "unknown");
    proxy.payby.called("placeOrder", 2).await;
    assert_eq!(proxy.until(&token, "N-1", "pending").await.status, 200);
}

#[tokio::test]
async fn a_creation_that_finds_a_finished_order_asks_what_became_of_it() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    proxy.payby.set("N-1", "PAID_SUCCESS");
    assert_eq!(proxy.put(&token, "N-1").await.body["status"], "paid");
    assert_eq!(proxy.payby.names(), ["placeOrder", "getOrder"]);
}

#[tokio::test]
async fn a_purchase_has_one_live_order() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    proxy.put(&token, "N-1").await;
    let second = proxy.put(&token, "N-2").await;
    assert_eq!(second.problem(), (409, "order_live"));
    assert_eq!(second.body["order"]["orderNumber"], "N-1");
    assert_eq!(second.body["order"]["payUrl"], "https://pay.example/N-1");
    assert_eq!(proxy.get(&token, "N-2").await.problem(), (404, "not_found"));
}

#[tokio::test]
async fn two_tabs_that_begin_at_once_get_one_live_order() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    let (one, two) = tokio::join!(proxy.put(&token, "N-1"), proxy.put(&token, "N-2"));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
}

#[tokio::test]
async fn an_order_keeps_its_scene() {
    let proxy = Proxy::start().await;
    let mut request = purchase("r");
    request["redirectUrl"] = json!("https://shop.example/back");
    let token = proxy.open(&request).await.body["token"].as_str().unwrap().to_owned();
    let put = |body: &'static str| {
        let request = proxy.request(Method::PUT, "/v1/orders/N-1").bearer_auth(&token);
        send(request.header("content-type", "application/json").body(body))
    };
    assert_eq!(put(r#"{"scene":"PAYPAGE"}"#).await.body["scene"], "PAYPAGE");
    let params = r#""paySceneParams":{"redirectUrl":"https://shop.example/back"}"#;
    assert!(proxy.payby.calls()[0].body.contains(params));
    assert_eq!(put(r#"{"scene":"DYNQR"}"#).await.problem(), (409, "order_differs"));
    assert_eq!(put("").await.problem(), (409, "order_differs"));
    assert_eq!(put(r#"{"scene":"PAYPAGE"}"#).await.status, 200);
    assert_eq!(put(r#"{"scene":"CASH"}"#).await.problem(), (400, "invalid_request"));
}

#[tokio::test]
async fn a_number_that_payby_would_not_take_is_refused_with_its_mistake() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    let answer = proxy.put(&token, "A%20B").await;
    assert_eq!(answer.problem(), (400, "invalid_request"));
    let detail = "orderNumber: an order number has ' ' at position 1: only A-Z, a-z, 0-9, - and _ are allowed";
    assert_eq!(answer.body["detail"], detail);
}

#[tokio::test]
async fn a_cancelled_order_says_so_in_whatever_words_payby_puts_it() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    proxy.put(&token, "N-1").await;
    let cancelled = proxy.cancel(&token, "N-1").await;
    assert_eq!(cancelled.body["status"], "failed");
    assert_eq!(cancelled.body["failure"], json!({"reason": "cancelled", "code": "CLOSED"}));
    assert_eq!(proxy.cancel(&token, "N-1").await.body, cancelled.body);
    assert_eq!(proxy.put(&token, "N-2").await.body["status"], "pending");
}

#[tokio::test]
async fn a_payment_that_wins_the_race_against_a_cancel_is_a_payment() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    proxy.put(&token, "N-1").await;
    proxy.payby.fail("getOrder", Fault::Code("500"));
    proxy.payby.set("N-1", "PAID_SUCCESS");
    let answer = proxy.cancel(&token, "N-1").await;
    assert_eq!((answer.body["status"].as_str(), answer.body.get("failure")), (Some("paid"), None));
}

#[tokio::test]
async fn an_order_that_failed_before_its_cancel_keeps_its_reason() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    proxy.put(&token, "N-1").await;
    let body = crate::fake_payby::FakePayby::notification("1", "N-1", "FAILURE");
    let body = body.replace(r#""FAILURE""#, r#""FAILURE","failCode":"ORDER_EXPIRED""#);
    proxy.notify(&body).await;
    assert_eq!(proxy.cancel(&token, "N-1").await.body["failure"]["reason"], "expired");
}

#[tokio::test]
async fn a_cancel_that_fails_goes_on_until_it_is_done() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    proxy.put(&token, "N-1").await;
    for _ in 0..3 {
        proxy.payby.fail("cancelOrder", Fault::Code("500"));
    }
    assert_eq!(proxy.cancel(&token, "N-1").await.body["status"], "pending");
    proxy.payby.called("cancelOrder", 4).await;
    assert_eq!(proxy.until(&token, "N-1", "failed").await.body["failure"]["reason"], "cancelled");
}

#[tokio::test]
async fn a_cancel_outlives_the_process() {
    let mut proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    proxy.put(&token, "N-1").await;
    proxy.payby.fail("cancelOrder", Fault::Held);
    tokio::select! {
        _ = proxy.cancel(&token, "N-1") => {}
        () = proxy.payby.called("cancelOrder", 1) => {}
    }
    proxy.restart().await;
    proxy.payby.called("cancelOrder", 2).await;
    assert_eq!(proxy.until(&token, "N-1", "failed").await.body["failure"]["reason"], "cancelled");
}

#[tokio::test]
async fn an_order_that_may_not_exist_is_created_again_to_be_cancelled() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    proxy.payby.fail("placeOrder", Fault::LostRequest);
    for _ in 0..2 {
        proxy.payby.fail("getOrder", Fault::Code("62004"));
    }
    proxy.payby.fail("placeOrder", Fault::Code("500"));
    assert_eq!(proxy.put(&token, "N-1").await.body["status"], "unknown");
    proxy.cancel(&token, "N-1").await;
    assert_eq!(proxy.until(&token, "N-1", "failed").await.body["failure"]["reason"], "cancelled");
    assert!(proxy.payby.names().contains(&"cancelOrder".to_owned()));
}

#[tokio::test]
async fn an_order_that_can_no_longer_come_to_be_is_expired() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    for _ in 0..1_000 {
        proxy.payby.fail("placeOrder", Fault::Code("500"));
    }
    assert_eq!(proxy.put(&token, "N-1").await.body["status"], "unknown");
    proxy.advance(Millis(1_800_000 + LANDING_WINDOW.0 + 1));
    assert_eq!(proxy.until(&token, "N-1", "failed").await.body["failure"]["reason"], "expired");
}
