//! The signed calls: what is let in, and what is answered.

use payby_checkout::gateway::signature::SigningKey;
use payby_checkout::gateway::wire::ApplyStatus;
use payby_checkout::order::GatewayStatus;
use serde_json::json;

use crate::support::{Bench, PARTNER_ID, now, order};

#[tokio::test]
async fn an_order_is_placed_queried_and_cancelled() {
    let bench = Bench::start().await;
    let placed = bench.call("placeOrder", &order("M-1", &json!({}))).await;
    assert_eq!((placed.head.apply_status, placed.head.code.as_str()), (ApplyStatus::Success, "0"));
    assert_eq!(placed.head.trace_code.as_deref(), Some("000001"));
    let placed = placed.body.unwrap();
    assert!(placed.inter_action_params.unwrap().token_url.starts_with(&bench.url("/cashier/")));

    let queried = bench.call("getOrder", &json!({"orderNo": placed.acquire_order.order_no})).await.body.unwrap();
    assert_eq!(queried.acquire_order, placed.acquire_order);
    assert_eq!(queried.inter_action_params, None);

    let cancelled = bench.call("cancelOrder", &json!({"merchantOrderNo": "M-1"})).await.body.unwrap();
    assert_eq!(cancelled.acquire_order.status, GatewayStatus::Failure);
    assert_eq!(cancelled.acquire_order.fail_code.as_deref(), Some("ORDER_CANCELLED"));

    let again = bench.call("cancelOrder", &json!({"merchantOrderNo": "M-1"})).await;
    assert_eq!((again.head.apply_status, again.head.code.as_str()), (ApplyStatus::Fail, "62002"));
}

#[tokio::test]
async fn a_repeated_create_gives_the_same_order_and_another_one_is_refused() {
    let bench = Bench::start().await;
    let first = bench.call("placeOrder", &order("M-1", &json!({}))).await;
    let again = bench.call("placeOrder", &order("M-1", &json!({}))).await;
    assert_eq!(again.body, first.body);
    let other = bench.call("placeOrder", &order("M-1", &json!({"subject": "Tea"}))).await;
    assert_eq!((other.head.apply_status, other.head.code.as_str()), (ApplyStatus::Fail, "62016"));
    let orders = bench.see("orders").await;
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0]["placeOrderCalls"], 3);
}

#[tokio::test]
async fn a_body_with_any_byte_changed_is_an_error_and_changes_nothing() {
    let bench = Bench::start().await;
    let biz_content = order("M-1", &json!({}));
    let body = json!({"requestTime": now(), "bizContent": biz_content}).to_string().into_bytes();
    let sign = bench.merchant.sign(&body);
    let headers = [("Partner-Id", PARTNER_ID), ("sign", sign.as_str())];
    for place in 0..body.len() {
        let mut changed = body.clone();
        changed[place] ^= 1;
        let raw = bench.post_raw("acquire2/placeOrder", &headers, changed).await.unwrap();
        assert_eq!(bench.believe(&raw).head.apply_status, ApplyStatus::Error, "byte {place}");
    }
    assert!(bench.see("orders").await.is_empty());
    let events = bench.see("events").await;
    assert_eq!(events.len(), body.len());
    assert!(events.iter().all(|event| event["verified"] == false && event["merchantOrderNo"].is_null()));

    let raw = bench.post_raw("acquire2/placeOrder", &headers, body).await.unwrap();
    assert_eq!(bench.believe(&raw).head.apply_status, ApplyStatus::Success);
}

#[tokio::test]
async fn who_may_call() {
    let bench = Bench::start().await;
    let body = json!({"requestTime": now(), "bizContent": order("M-1", &json!({}))}).to_string().into_bytes();
    let good = bench.merchant.sign(&body);
    let (foreign_key, _) = SigningKey::generate_pem().unwrap();
    let foreign = SigningKey::from_pem(&foreign_key).unwrap().sign(&body);
    for (headers, apply_status, code) in [
        (vec![("Partner-Id", PARTNER_ID)], ApplyStatus::Error, "403"),
        (vec![("Partner-Id", PARTNER_ID), ("sign", "")], ApplyStatus::Error, "403"),
        (vec![("Partner-Id", PARTNER_ID), ("sign", "rubbish")], ApplyStatus::Error, "403"),
        (vec![("Partner-Id", PARTNER_ID), ("sign", &foreign)], ApplyStatus::Error, "403"),
        (vec![("sign", &good)], ApplyStatus::Fail, "403"),
        (vec![("Partner-Id", "200000000002"), ("sign", &good)], ApplyStatus::Fail, "403"),
        (vec![("pArTnEr-iD", PARTNER_ID), ("SIGN", &good)], ApplyStatus::Success, "0"),
    ] {
        let raw = bench.post_raw("acquire2/placeOrder", &headers, body.clone()).await.unwrap();
        let head = bench.believe(&raw).head;
        assert_eq!((head.apply_status, head.code.as_str()), (apply_status, code), "{headers:?}");
    }
}

#[tokio::test]
async fn a_signature_made_by_openssl_verifies() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("merchant_public.pem"), include_str!("golden_public_key.txt")).unwrap();
    let payby = payby_sim::start(payby_sim::Settings::new(directory.path())).await.unwrap();
    let mut bench = Bench::start().await;
    bench.stand_before(payby);
    let headers = [("Partner-Id", PARTNER_ID), ("sign", include_str!("golden_sign.txt"))];
    bench.post_raw("acquire2/placeOrder", &headers, include_bytes!("golden_body.json").to_vec()).await.unwrap();
    let event = bench.see("events").await.remove(0);
    assert_eq!(event["verified"], true);
    assert_eq!(event["merchantOrderNo"], "GOLDEN-1");
    assert_eq!(event["code"], "400", "its requestTime is long past");
    assert!(!directory.path().join("merchant_private.pem").exists(), "the merchant's public key is enough");
}

#[tokio::test]
async fn other_paths_and_other_bodies_are_refused_in_signed_answers() {
    let bench = Bench::start().await;
    let head = bench.call("refundOrder", &json!({})).await.head;
    assert_eq!((head.apply_status, head.code.as_str()), (ApplyStatus::Fail, "404"));

    let not_json = b"not JSON".to_vec();
    let sign = bench.merchant.sign(&not_json);
    let headers = [("Partner-Id", PARTNER_ID), ("sign", sign.as_str())];
    let raw = bench.post_raw("acquire2/getOrder", &headers, not_json).await.unwrap();
    assert_eq!(bench.believe(&raw).head.code, "400");

    let long = vec![b' '; 64 * 1024 + 1];
    let raw = bench.post_raw("acquire2/getOrder", &headers, long).await.unwrap();
    let head = bench.believe(&raw).head;
    assert_eq!(head.msg.as_deref(), Some("INVALID_PARAMETER: the body is too large, or broke off"));
}
