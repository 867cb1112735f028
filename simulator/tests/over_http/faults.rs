//! Each fault, as the merchant's client meets it.

use serde_json::json;

use crate::support::{Bench, PATIENCE, order};

#[tokio::test]
async fn a_lost_request_never_arrived() {
    let bench = Bench::start().await;
    bench.fault("placeOrder", "lost_request").await;
    let lost = bench.try_call("placeOrder", &order("M-1", &json!({}))).await;
    assert!(lost.is_err_and(|error| !error.is_timeout() && !error.is_connect()));
    assert!(bench.see("orders").await.is_empty());
    let event = bench.see("events").await.remove(0);
    assert_eq!(event["fault"], "lost_request");
    assert_eq!(event["merchantOrderNo"], "M-1");
    assert_eq!((&event["applyStatus"], &event["code"]), (&json!(null), &json!(null)));
}

#[tokio::test]
async fn a_lost_answer_was_given() {
    let bench = Bench::start().await;
    bench.fault("*", "lost_answer").await;
    assert!(bench.try_call("placeOrder", &order("M-1", &json!({}))).await.is_err());
    assert_eq!(bench.status("M-1").await, "CREATED");
    assert_eq!(bench.call("placeOrder", &order("M-1", &json!({}))).await.head.code, "0", "it was for one call");
}

#[tokio::test]
async fn a_system_error_is_signed_and_nothing_was_done() {
    let bench = Bench::start().await;
    bench.fault("placeOrder", "system_error").await;
    let head = bench.call("placeOrder", &order("M-1", &json!({}))).await.head;
    assert_eq!((head.code.as_str(), head.msg.as_deref()), ("500", Some("SYSTEM_ERROR")));
    assert!(bench.see("orders").await.is_empty());
}

#[tokio::test]
async fn a_corrupt_answer_and_one_with_a_wrong_signature_do_not_verify() {
    for fault in ["corrupt_answer", "wrong_signature"] {
        let bench = Bench::start().await;
        bench.fault("placeOrder", fault).await;
        let raw = bench.try_call("placeOrder", &order("M-1", &json!({}))).await.unwrap();
        assert!(!bench.is_signed(&raw), "{fault}");
        assert_eq!(bench.status("M-1").await, "CREATED", "{fault}");
    }
}

#[tokio::test]
async fn a_hanging_call_is_processed_and_does_not_keep_the_simulator_from_stopping() {
    let bench = Bench::start().await;
    bench.fault("cancelOrder", "hang").await;
    bench.place("M-1", &json!({})).await;
    let reference = json!({"merchantOrderNo": "M-1"});
    {
        let mut hanging = std::pin::pin!(bench.try_call("cancelOrder", &reference));
        let processed = bench.events("call", 2);
        tokio::select! {
            _ = &mut hanging => panic!("it was answered"),
            _ = processed => {}
        }
    }
    assert_eq!(bench.status("M-1").await, "FAILURE");
    tokio::time::timeout(PATIENCE, bench.payby.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_fault_leaves_other_calls_alone() {
    let bench = Bench::start().await;
    bench.fault("getOrder", "lost_answer").await;
    bench.place("M-1", &json!({})).await;
    assert!(bench.try_call("getOrder", &json!({"merchantOrderNo": "M-1"})).await.is_err());
}
