//! Money that goes back: never more than was paid, never twice, and never lost sight of.

use payby_checkout::time::Millis;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};

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
    let other_reason = json!({"refundNumber": "R-1", "amount": "5.00"});
    let other = proxy.shop(Method::POST, "/v1/orders/N-1/refunds", Some(other_reason)).await;
    assert_eq!(other.problem(), (409, "refund_differs"));
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
async fn a_notification_of_another_refund_order_or_amount_or_a_contradiction_is_for_a_person() {
    let proxy = Proxy::start_with([("METRICS__LISTEN", "127.0.0.1:0".to_owned())]).await;
    proxy.paid("r", "N-1").await;
    refund(&proxy, "N-1", "R-1", "5.00").await;
    for body in [
        FakePayby::refund_notification("1", "R-9", "N-1", "5.00", "SUCCESS"),
        FakePayby::refund_notification("2", "R-1", "N-1", "5.01", "SUCCESS"),
        FakePayby::refund_notification("3", "R-1", "N-9", "5.00", "SUCCESS"),
    ] {
        assert_eq!(proxy.notify(&body).await.status, 200);
    }
    assert_eq!(read(&proxy, "R-1").await["status"], "pending");
    // PayBy need not name the order.
    let unnamed = FakePayby::refund_notification("4", "R-1", "N-1", "5.00", "FAILURE");
    proxy.notify(&unnamed.replace(r#""originMerchantOrderNo":"N-1","#, "")).await;
    assert_eq!(read(&proxy, "R-1").await["status"], "failed");
    proxy.notify(&FakePayby::refund_notification("5", "R-1", "N-1", "5.00", "SUCCESS")).await;
    assert_eq!(read(&proxy, "R-1").await["status"], "conflict");
    let metrics = proxy.metrics().await;
    for counted in [
        // Each is kept; a person is told once of each refund.
        "alerts_total{alert=\"notification_mismatch\"} 2",
        "alerts_total{alert=\"conflict\"} 1",
        "outcome=\"alert\"} 3",
    ] {
        assert!(metrics.contains(counted), "{counted}\n{metrics}");
    }
}

#[tokio::test]
async fn a_question_that_is_refused_says_nothing_of_the_refund() {
    let proxy = Proxy::start().await;
    proxy.paid("r", "N-1").await;
    refund(&proxy, "N-1", "R-1", "5.00").await;
    // So late that a refusal would be the last word.
    proxy.payby.fail("refund/getOrder", Fault::Code("403"));
    proxy.advance(Millis::from_secs(21 * 60));
    proxy.payby.called("refund/getOrder", 1).await;
    assert_eq!(read(&proxy, "R-1").await["status"], "pending");
}

async fn revoke(proxy: &Proxy, order: &str) -> Answer {
    proxy.shop(Method::POST, &format!("/v1/orders/{order}/revoke"), None).await
}

/// The calls about orders from the first revocation on.
fn revoking(proxy: &Proxy) -> Vec<String> {
    let names = proxy.payby.names().into_iter().filter(|name| !name.starts_with("refund/"));
    names.skip_while(|name| name != "revokeOrder").collect()
}

fn revocations(proxy: &Proxy) -> usize {
    revoking(proxy).iter().filter(|name| *name == "revokeOrder").count()
}

/// Asks until the order is revoked; time passes, so that PayBy may be asked again.
async fn until_revoked(proxy: &Proxy, order: &str) {
    let asking = async {
        loop {
            let told = revoke(proxy, order).await;
            if told.status == 200 {
                return assert_eq!(told.body["revoked"], true);
            }
            assert_eq!(told.status, 202);
            proxy.advance(Millis::from_secs(61));
        }
    };
    tokio::time::timeout(BOUND, asking).await.unwrap();
}

#[tokio::test]
async fn a_revocation_closes_an_unpaid_order_and_gives_a_paid_one_back() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    proxy.put(&token, "N-1").await;
    for _ in 0..2 {
        let closed = revoke(&proxy, "N-1").await;
        assert_eq!((closed.status.as_u16(), &closed.body["status"]), (200, &json!("failed")));
        assert_eq!(closed.body["revoked"], false);
    }
    assert_eq!(revocations(&proxy), 0);

    proxy.paid("s", "N-2").await;
    for _ in 0..2 {
        let revoked = revoke(&proxy, "N-2").await;
        assert_eq!((revoked.status.as_u16(), &revoked.body["status"]), (200, &json!("failed")));
        assert_eq!((&revoked.body["revoked"], &revoked.body["failure"]["reason"]), (&json!(true), &json!("revoked")));
    }
    assert_eq!(revocations(&proxy), 1);
    assert_eq!(revoke(&proxy, "N-3").await.problem(), (404, "not_found"));
    assert_eq!(revoke(&proxy, "no number").await.problem(), (404, "not_found"));
}

#[tokio::test]
async fn an_order_that_is_paid_before_it_could_be_closed_is_given_back() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    proxy.put(&token, "N-1").await;
    proxy.payby.set("N-1", "PAID_SUCCESS");
    assert_eq!(revoke(&proxy, "N-1").await.body["revoked"], true);
    assert_eq!(revocations(&proxy), 1);

    // And if that comes out later, nobody has to ask again.
    let token = proxy.token("s").await;
    proxy.put(&token, "N-2").await;
    // More than enough: the proxy may look after the order of its own accord as well.
    for call in ["getOrder", "cancelOrder", "getOrder"].repeat(3) {
        proxy.payby.fail(call, Fault::Code("500"));
    }
    let open = revoke(&proxy, "N-2").await;
    assert_eq!((open.status.as_u16(), &open.body["status"]), (202, &json!("pending")));
    proxy.payby.set("N-2", "PAID_SUCCESS");
    proxy.notify(&FakePayby::notification("n", "N-2", "PAID_SUCCESS")).await;
    proxy.payby.called("revokeOrder", 2).await;
    until_revoked(&proxy, "N-2").await;
}

#[tokio::test]
async fn an_unknown_revocation_is_asked_about_and_made_again_only_if_it_was_not_made() {
    for (fault, reached) in [
        (Fault::LostRequest, false),
        (Fault::LostAnswer, true),
        (Fault::Code("500"), false),
        (Fault::ChangedByte, true),
        (Fault::OtherNumber, true),
        (Fault::BadGateway, false),
        // Inside PayBy; and the call itself was not accepted.
        (Fault::Code("62039"), false),
        (Fault::Code("403"), false),
    ] {
        let proxy = Proxy::start().await;
        proxy.paid("r", "N-1").await;
        proxy.payby.fail("revokeOrder", fault);
        for _ in 0..2 {
            let unknown = revoke(&proxy, "N-1").await;
            assert_eq!((unknown.status.as_u16(), &unknown.body["status"]), (202, &json!("paid")), "{fault:?}");
            assert_eq!(unknown.header("retry-after"), "3");
        }
        assert_eq!(revoking(&proxy), ["revokeOrder"], "{fault:?}: its time has not come");
        // What may have been given back counts.
        assert_eq!(refund(&proxy, "N-1", "R-1", "1.00").await.problem(), (409, "order_not_paid"));
        until_revoked(&proxy, "N-1").await;
        let again: &[_] = if reached { &["getOrder"] } else { &["getOrder", "revokeOrder"] };
        assert_eq!(revoking(&proxy)[1..], *again, "{fault:?}");
    }
}

#[tokio::test]
async fn a_refused_revocation_stays_refused_unless_an_attempt_before_it_is_unknown() {
    let proxy = Proxy::start().await;
    for (index, code) in ["62041", "62046", "601", "62002", "62003"].into_iter().enumerate() {
        let order = format!("N-{index}");
        proxy.paid(&order, &order).await;
        proxy.payby.fail("revokeOrder", Fault::Code(code));
        for _ in 0..2 {
            let refused = revoke(&proxy, &order).await;
            assert_eq!(refused.problem(), (409, "revoke_refused"), "{code}");
            let detail = refused.body["detail"].as_str().unwrap();
            assert_eq!(detail, format!("PayBy will not revoke it: {code} NO"));
            proxy.advance(Millis::from_secs(61));
        }
        assert_eq!(revocations(&proxy), index + 1);
        assert_eq!(refund(&proxy, &order, &order, "1.00").await.status, 200, "what is not given back can be refunded");
    }

    proxy.paid("s", "N-9").await;
    proxy.payby.fail("revokeOrder", Fault::LostRequest);
    proxy.payby.fail("revokeOrder", Fault::Code("62046"));
    assert_eq!(revoke(&proxy, "N-9").await.status, 202);
    proxy.advance(Millis::from_secs(61));
    proxy.payby.called("revokeOrder", 6).await;
    assert_eq!(revoke(&proxy, "N-9").await.status, 202, "the first may still be under way");
    proxy.payby.fail("revokeOrder", Fault::Code("62046"));
    proxy.advance(Millis::from_secs(21 * 60));
    proxy.payby.called("revokeOrder", 7).await;
    assert_eq!(revoke(&proxy, "N-9").await.problem(), (409, "revoke_refused"));
}

#[tokio::test]
async fn a_revocation_outlives_the_proxy_that_was_asked_for_it() {
    let mut proxy = Proxy::start().await;
    let token = proxy.paid("r", "N-1").await;
    proxy.payby.fail("revokeOrder", Fault::LostRequest);
    tokio::select! {
        _ = revoke(&proxy, "N-1") => {}
        () = proxy.payby.called("revokeOrder", 1) => {}
    }
    proxy.restart().await;
    proxy.advance(Millis::from_secs(200));
    // Nobody asks: the proxy looks after it by itself.
    proxy.payby.called("revokeOrder", 2).await;
    assert_eq!(revoking(&proxy), ["revokeOrder", "getOrder", "revokeOrder"]);
    assert_eq!(proxy.until(&token, "N-1", "failed").await.body["revoked"], true);
}

/// What is stored of the only refund or revocation: its way, when it was sent, and when it is due.
async fn stored(proxy: &Proxy) -> (String, Option<i64>, i64) {
    let url = format!("sqlite://{}", proxy.folder.path().join("proxy.db").display());
    let mut database = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query_as("SELECT way, sent_at, due_at FROM refunds").fetch_one(&mut database).await.unwrap()
}

#[tokio::test]
async fn i9_what_is_about_to_be_sent_was_written_down_before() {
    for (way, call) in [("revocation", "revokeOrder"), ("refund", "refund/placeOrder")] {
        let proxy = Proxy::start().await;
        proxy.paid("r", "N-1").await;
        proxy.payby.fail(call, Fault::Held);
        let asking = async {
            match way {
                "refund" => refund(&proxy, "N-1", "R-1", "5.00").await,
                _ => revoke(&proxy, "N-1").await,
            }
        };
        let looking = async {
            proxy.payby.called(call, 1).await;
            let (stored_way, sent_at, due_at) = stored(&proxy).await;
            assert_eq!(stored_way, way);
            // Whoever comes after a crash neither sends it again unasked nor calls at once.
            assert!(sent_at.is_some_and(|sent_at| due_at > sent_at), "{sent_at:?}, {due_at}");
            proxy.payby.release();
        };
        let (answer, ()) = tokio::join!(asking, looking);
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn who_asks_while_another_worker_calls_waits_until_it_is_handed_back() {
    let proxy = Proxy::start().await;
    proxy.paid("r", "N-1").await;
    proxy.payby.fail("revokeOrder", Fault::LostRequest);
    let second = async {
        proxy.payby.called("revokeOrder", 1).await;
        let answer = revoke(&proxy, "N-1").await;
        let url = format!("sqlite://{}", proxy.folder.path().join("proxy.db").display());
        let mut database = SqliteConnection::connect(&url).await.unwrap();
        let held: i64 = sqlx::query_scalar("SELECT leased_until FROM refunds").fetch_one(&mut database).await.unwrap();
        (answer.status.as_u16(), held)
    };
    let (first, second) = tokio::join!(revoke(&proxy, "N-1"), second);
    assert_eq!((first.status.as_u16(), second), (202, (202, 0)));
}

#[tokio::test]
async fn one_that_is_slow_keeps_no_other_waiting() {
    // So long that the others would be too late behind it.
    let proxy = Proxy::start_with([("GATEWAY__TIMEOUT_MS", "15000".to_owned())]).await;
    proxy.paid("r", "N-1").await;
    for number in ["R-1", "R-2", "R-3"] {
        assert_eq!(refund(&proxy, "N-1", number, "1.00").await.body["status"], "pending");
        proxy.payby.fail("refund/getOrder", Fault::Held);
    }
    proxy.advance(Millis::from_secs(61));
    proxy.payby.called("refund/getOrder", 3).await;
    proxy.payby.release();
}

#[tokio::test]
async fn whoever_stops_while_much_is_due_takes_nothing_more_in_hand() {
    let mut proxy = Proxy::start_with([("GATEWAY__TIMEOUT_MS", "15000".to_owned())]).await;
    proxy.paid("r", "N-1").await;
    // It makes 64 rounds of calls side by side, and more than that is due.
    for index in 0..70 {
        assert_eq!(refund(&proxy, "N-1", &format!("R-{index}"), "0.01").await.body["status"], "pending");
        proxy.payby.fail("refund/getOrder", Fault::Held);
    }
    proxy.advance(Millis::from_secs(61));
    let payby = proxy.payby.clone();
    payby.called("refund/getOrder", 64).await;
    tokio::join!(proxy.stop(), async { payby.release() });
    assert_eq!(payby.names().iter().filter(|name| *name == "refund/getOrder").count(), 64);
}

#[tokio::test]
async fn a_revocation_of_which_nothing_can_be_learnt_is_for_a_person_once() {
    let proxy = Proxy::start_with([("METRICS__LISTEN", "127.0.0.1:0".to_owned())]).await;
    proxy.paid("r", "N-1").await;
    for call in ["revokeOrder", "getOrder", "getOrder", "getOrder"] {
        proxy.payby.fail(call, Fault::Code("500"));
    }
    let alerts = async || proxy.metrics().await.contains("alerts_total{alert=\"gateway_fails\"} 1");
    assert_eq!(revoke(&proxy, "N-1").await.status, 202);
    assert!(!alerts().await, "one failure is none");
    until_revoked(&proxy, "N-1").await;
    assert!(alerts().await, "{}", proxy.metrics().await);
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
