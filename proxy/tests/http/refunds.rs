//! Money that goes back: never more than was paid, never twice, and never lost sight of.

use payby_checkout::time::Millis;
use reqwest::Method;
use serde_json::{Value, json};

use crate::fake_payby::{FakePayby, Fault};
use crate::proxy::{Answer, BOUND, Proxy, send};

async fn refund(proxy: &Proxy, order: &str, refund: &str, amount: &str) -> Answer {
    let body = json!({"refundNumber": refund, "amount": amount, "reason": "broken"});
    proxy.shop(Method::POST, &format!("/v1/orders/{order}/refunds"), Some(body)).await
}

async fn read(proxy: &Proxy, refund: &str) -> Value {
    proxy.shop(Method::GET, &format!("/v1/refunds/{refund}"), None).await.body
}

/// The bytes of every creation of a refund so far.
fn placed(proxy: &Proxy) -> Vec<String> {
    let calls = proxy.payby.calls().into_iter().filter(|call| call.name == "refund/placeOrder");
    calls.map(|call| call.biz_content().to_owned()).collect()
}

/// Asks until the refund has this status; time passes, so that PayBy may be asked again.
async fn until(proxy: &Proxy, refund: &str, status: &str) -> Value {
    let asking = async {
        loop {
            let told = read(proxy, refund).await;
            if told["status"] == status {
                return told;
            }
            proxy.advance(Millis::from_secs(61));
        }
    };
    tokio::time::timeout(BOUND, asking).await.unwrap()
}

#[tokio::test]
async fn a_refund_goes_its_way_by_queries_and_notifications() {
    let proxy = Proxy::start().await;
    proxy.paid("r", "N-1").await;
    let asked = refund(&proxy, "N-1", "R-1", "5.00").await;
    let told = json!({"refundNumber": "R-1", "orderNumber": "N-1", "status": "pending",
        "amount": {"amount": "5.00", "currency": "AED"}});
    assert_eq!((asked.status.as_u16(), &asked.body), (200, &told));
    assert_eq!(
        placed(&proxy),
        ["{\"refundMerchantOrderNo\":\"R-1\",\"originMerchantOrderNo\":\"N-1\",\
          \"amount\":{\"amount\":5.00,\"currency\":\"AED\"},\"reason\":\"broken\",\
          \"notifyUrl\":\"https://pay.shop.example/payby/notifications\"}"]
    );
    proxy.payby.set_refund("R-1", "REFUNDED_SETTLED");
    until(&proxy, "R-1", "deducted").await;
    let made = FakePayby::refund_notification("n-1", "R-1", "N-1", "5.00", "SUCCESS");
    for _ in 0..2 {
        let answer = proxy.notify(&made).await;
        assert_eq!((answer.status.as_u16(), answer.body), (200, json!({"response": "SUCCESS"})));
        assert_eq!(read(&proxy, "R-1").await["status"], "refunded");
    }
    // Late news changes nothing.
    proxy.notify(&FakePayby::refund_notification("n-2", "R-1", "N-1", "5.00", "CREATED")).await;
    assert_eq!(read(&proxy, "R-1").await["status"], "refunded");
}

#[tokio::test]
async fn the_same_refund_again_is_the_same_refund_and_another_under_its_number_is_none() {
    let proxy = Proxy::start().await;
    proxy.paid("r", "N-1").await;
    proxy.paid("s", "N-2").await;
    let first = refund(&proxy, "N-1", "R-1", "5.00").await;
    assert_eq!(refund(&proxy, "N-1", "R-1", "5.00").await.body, first.body);
    assert_eq!(refund(&proxy, "N-1", "R-1", "5.01").await.problem(), (409, "refund_differs"));
    assert_eq!(refund(&proxy, "N-2", "R-1", "5.00").await.problem(), (409, "refund_differs"));
    assert_eq!(placed(&proxy).len(), 1);
}

#[tokio::test]
async fn never_more_is_refunded_than_was_paid_even_at_once() {
    let proxy = Proxy::start().await;
    proxy.paid("r", "N-1").await;
    assert_eq!(refund(&proxy, "N-1", "R-0", "12.51").await.problem(), (409, "refund_exceeds"));
    // 12.50 were paid; two of these fit.
    let (one, two, three) = tokio::join!(
        refund(&proxy, "N-1", "R-1", "5.00"),
        refund(&proxy, "N-1", "R-2", "5.00"),
        refund(&proxy, "N-1", "R-3", "5.00")
    );
    let mut statuses = [one, two, three].map(|answer| answer.status.as_u16());
    statuses.sort_unstable();
    assert_eq!((statuses, placed(&proxy).len()), ([200, 200, 409], 2));
    let rest = refund(&proxy, "N-1", "R-4", "2.51").await;
    assert_eq!(rest.problem(), (409, "refund_exceeds"));
    assert_eq!(rest.body["detail"], "that is more than is left to refund: 2.50");
    assert_eq!(refund(&proxy, "N-1", "R-4", "2.50").await.status, 200);
}

#[tokio::test]
async fn what_is_not_paid_is_not_refunded() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    proxy.put(&token, "N-1").await;
    assert_eq!(refund(&proxy, "N-1", "R-1", "5.00").await.problem(), (409, "order_not_paid"));
    assert_eq!(refund(&proxy, "N-9", "R-1", "5.00").await.problem(), (404, "not_found"));
    proxy.paid("s", "N-2").await;
    let revoked = proxy.shop(Method::POST, "/v1/orders/N-2/revoke", None).await;
    assert_eq!(revoked.status, 200);
    assert_eq!(refund(&proxy, "N-2", "R-1", "5.00").await.problem(), (409, "order_not_paid"));
    assert!(placed(&proxy).is_empty());
}

#[tokio::test]
async fn an_unknown_outcome_leads_to_a_query_and_never_to_another_refund() {
    for (fault, reached) in [
        (Fault::LostRequest, false),
        (Fault::LostAnswer, true),
        (Fault::Code("500"), false),
        (Fault::Code("504"), false),
        (Fault::ChangedByte, true),
        (Fault::Unsigned, true),
        (Fault::OtherNumber, true),
        (Fault::BadGateway, false),
    ] {
        let proxy = Proxy::start().await;
        proxy.paid("r", "N-1").await;
        proxy.payby.fail("refund/placeOrder", fault);
        // The query after it fails as well, so that nothing heals behind the test's back.
        proxy.payby.fail("refund/getOrder", Fault::Code("500"));
        let asked = refund(&proxy, "N-1", "R-1", "5.00").await;
        assert_eq!((asked.status.as_u16(), &asked.body["status"]), (200, &json!("unknown")), "{fault:?}");
        // What may have been given back counts.
        assert_eq!(refund(&proxy, "N-1", "R-2", "12.50").await.problem(), (409, "refund_exceeds"));
        until(&proxy, "R-1", "pending").await;
        let placed = placed(&proxy);
        assert_eq!(placed.len(), if reached { 1 } else { 2 }, "{fault:?}");
        assert!(placed.iter().all(|bytes| *bytes == placed[0]));
    }
}

#[tokio::test]
async fn a_refusal_is_final_and_frees_what_it_held_unless_an_attempt_before_it_is_unknown() {
    let proxy = Proxy::start().await;
    proxy.paid("r", "N-1").await;
    proxy.payby.fail("refund/placeOrder", Fault::Code("62045"));
    let refused = refund(&proxy, "N-1", "R-1", "12.50").await;
    assert_eq!(refused.body["status"], "failed");
    assert_eq!(refused.body["failure"], json!({"code": "62045", "message": "NO"}));

    proxy.payby.fail("refund/placeOrder", Fault::LostRequest);
    proxy.payby.fail("refund/placeOrder", Fault::Code("62045"));
    assert_eq!(refund(&proxy, "N-1", "R-2", "12.50").await.body["status"], "unknown");
    proxy.advance(Millis::from_secs(61));
    assert_eq!(read(&proxy, "R-2").await["status"], "unknown");
    until(&proxy, "R-2", "pending").await;
}

#[tokio::test]
async fn a_crash_between_the_intent_and_the_answer_loses_nothing() {
    let mut proxy = Proxy::start().await;
    proxy.paid("r", "N-1").await;
    proxy.payby.fail("refund/placeOrder", Fault::LostRequest);
    tokio::select! {
        _ = refund(&proxy, "N-1", "R-1", "5.00") => {}
        () = proxy.payby.called("refund/placeOrder", 1) => {}
    }
    proxy.restart().await;
    proxy.advance(Millis::from_secs(200));
    // Nobody asks: the proxy looks after it by itself.
    proxy.payby.called("refund/placeOrder", 2).await;
    until(&proxy, "R-1", "pending").await;
    let placed = placed(&proxy);
    assert_eq!(placed[0], placed[1]);
}

#[tokio::test]
async fn a_notification_of_another_refund_or_amount_or_a_contradiction_is_for_a_person() {
    let proxy = Proxy::start_with([("METRICS__LISTEN", "127.0.0.1:0".to_owned())]).await;
    proxy.paid("r", "N-1").await;
    refund(&proxy, "N-1", "R-1", "5.00").await;
    for body in [
        FakePayby::refund_notification("1", "R-9", "N-1", "5.00", "SUCCESS"),
        FakePayby::refund_notification("2", "R-1", "N-1", "5.01", "SUCCESS"),
    ] {
        assert_eq!(proxy.notify(&body).await.status, 200);
    }
    assert_eq!(read(&proxy, "R-1").await["status"], "pending");
    proxy.notify(&FakePayby::refund_notification("3", "R-1", "N-1", "5.00", "FAILURE")).await;
    assert_eq!(read(&proxy, "R-1").await["status"], "failed");
    proxy.notify(&FakePayby::refund_notification("4", "R-1", "N-1", "5.00", "SUCCESS")).await;
    assert_eq!(read(&proxy, "R-1").await["status"], "conflict");
    let metrics = proxy.metrics().await;
    for counted in [
        "alerts_total{alert=\"notification_mismatch\"} 2",
        "alerts_total{alert=\"conflict\"} 1",
        "outcome=\"alert\"} 2",
    ] {
        assert!(metrics.contains(counted), "{counted}\n{metrics}");
    }
}

#[tokio::test]
async fn a_revocation_closes_an_unpaid_order_and_gives_a_paid_one_back() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    proxy.put(&token, "N-1").await;
    let closed = proxy.shop(Method::POST, "/v1/orders/N-1/revoke", None).await;
    assert_eq!((&closed.body["status"], &closed.body["revoked"]), (&json!("failed"), &json!(false)));

    proxy.paid("s", "N-2").await;
    for fault in [Fault::LostAnswer, Fault::Code("500")] {
        proxy.payby.fail("revokeOrder", fault);
        let unknown = proxy.shop(Method::POST, "/v1/orders/N-2/revoke", None).await;
        assert_eq!(unknown.problem(), (503, "unavailable"));
        assert_eq!(unknown.header("retry-after"), "3");
    }
    for code in ["62039", "62041", "62046"] {
        proxy.payby.fail("revokeOrder", Fault::Code(code));
        let refused = proxy.shop(Method::POST, "/v1/orders/N-2/revoke", None).await;
        assert_eq!(refused.problem(), (409, "revoke_refused"), "{code}");
    }
    for _ in 0..2 {
        let revoked = proxy.shop(Method::POST, "/v1/orders/N-2/revoke", None).await;
        assert_eq!((&revoked.body["status"], &revoked.body["revoked"]), (&json!("failed"), &json!(true)));
        assert_eq!(revoked.body["failure"]["reason"], "revoked");
    }
    assert_eq!(proxy.payby.names().iter().filter(|name| *name == "revokeOrder").count(), 7);
}

#[tokio::test]
async fn where_a_transfer_stands_is_asked_of_payby() {
    let proxy = Proxy::start().await;
    for (status, told) in [("CREATED", "pending"), ("SUCCESS", "arrived"), ("FAILURE", "failed")] {
        proxy.payby.set("T-1", status);
        let answer = proxy.shop(Method::GET, "/v1/transfers/T-1", None).await;
        let transfer =
            json!({"transferNumber": "T-1", "status": told, "amount": {"amount": "12.50", "currency": "AED"}});
        assert_eq!(answer.body, transfer);
    }
    assert_eq!(proxy.shop(Method::GET, "/v1/transfers/T-2", None).await.problem(), (404, "not_found"));
    for fault in [Fault::LostRequest, Fault::ChangedByte, Fault::OtherNumber, Fault::Code("500")] {
        proxy.payby.fail("transfer/getTransferOrder", fault);
        let answer = proxy.shop(Method::GET, "/v1/transfers/T-1", None).await;
        assert_eq!(answer.problem(), (503, "unavailable"), "{fault:?}");
    }
}

#[tokio::test]
async fn only_the_shops_server_gives_money_back() {
    let proxy = Proxy::start().await;
    let token = proxy.paid("r", "N-1").await;
    for (method, path) in [
        (Method::POST, "/v1/orders/N-1/revoke"),
        (Method::POST, "/v1/orders/N-1/refunds"),
        (Method::GET, "/v1/refunds/R-1"),
        (Method::GET, "/v1/transfers/T-1"),
    ] {
        let request = proxy.request(method, path).bearer_auth(&token).header("origin", "https://shop.example");
        let answer = send(request).await;
        assert_eq!(answer.problem(), (401, "unauthorized"), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
    }
    assert!(!proxy.payby.names().iter().any(|name| name == "revokeOrder"));
}
