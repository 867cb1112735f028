//! Each fault, as the merchant's client meets it.

use payby_sim::Settings;
use payby_sim::faults::Profile;
use serde_json::json;

use crate::support::{Bench, KEYS, PATIENCE, order};

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
async fn a_hanging_call_is_processed_or_not_and_does_not_keep_the_simulator_from_stopping() {
    for (fault, status, code) in [("hang", "FAILURE", json!("0")), ("hang_request", "CREATED", json!(null))] {
        let bench = Bench::start().await;
        bench.fault("cancelOrder", fault).await;
        bench.place("M-1", &json!({})).await;
        let reference = json!({"merchantOrderNo": "M-1"});
        let calls = {
            let mut hanging = std::pin::pin!(bench.try_call("cancelOrder", &reference));
            let arrived = bench.events("call", 2);
            tokio::select! {
                _ = &mut hanging => panic!("it was answered"),
                calls = arrived => calls,
            }
        };
        assert_eq!((bench.status("M-1").await, &calls[1]["code"]), (status.to_owned(), &code), "{fault}");
        tokio::time::timeout(PATIENCE, bench.payby.unwrap().shutdown()).await.unwrap();
    }
}

#[tokio::test]
async fn a_fault_leaves_other_calls_alone() {
    let bench = Bench::start().await;
    bench.fault("getOrder", "lost_answer").await;
    bench.place("M-1", &json!({})).await;
    assert!(bench.try_call("getOrder", &json!({"merchantOrderNo": "M-1"})).await.is_err());
}

#[tokio::test]
async fn an_answer_can_have_any_code_with_the_call_done_or_not() {
    for (fault, code, msg, done) in [
        (json!("rate_limit"), "402", "RATE_LIMIT_REJECT", false),
        (json!("system_error_done"), "500", "SYSTEM_ERROR", true),
        (json!({"code": {"code": "504"}}), "504", "SERVICE_TIMEOUT", false),
        (json!({"code": {"code": "504", "done": true}}), "504", "SERVICE_TIMEOUT", true),
        (json!({"code": {"code": "404"}}), "404", "SERVICE_NOT_AVAILABLE", false),
        (json!({"code": {"code": "601"}}), "601", "RISK_FAIL", false),
        (json!({"code": {"code": "403"}}), "403", "UNAUTHORIZED", false),
        (json!({"code": {"code": "62046"}}), "62046", "REVOKE_REJECTED", false),
        (json!({"code": {"code": "7", "msg": "seven"}}), "7", "seven", false),
    ] {
        let bench = Bench::start().await;
        bench.rule(&json!({"call": "placeOrder", "fault": fault})).await;
        let answer = bench.try_call("placeOrder", &order("M-1", &json!({}))).await.unwrap();
        assert!(bench.is_signed(&answer));
        let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((&answer["head"]["code"], &answer["head"]["msg"]), (&json!(code), &json!(msg)), "{fault}");
        assert_eq!(answer["head"]["applyStatus"], "FAIL");
        assert_eq!(answer.get("body"), None);
        assert_eq!(bench.see("orders").await.len(), usize::from(done), "{fault}");
    }
}

#[tokio::test]
async fn a_duplicate_arrives_twice_and_the_second_answer_is_given() {
    let bench = Bench::start().await;
    bench.place("M-1", &json!({})).await;
    bench.fault("cancelOrder", "duplicate").await;
    assert_eq!(bench.call("cancelOrder", &json!({"merchantOrderNo": "M-1"})).await.head.code, "62002");
    let events = bench.events("call", 3).await;
    assert_eq!((&events[1]["code"], &events[2]["code"]), (&json!("0"), &json!("62002")));
}

#[tokio::test]
async fn a_delayed_answer_comes_and_a_delayed_request_arrives_though_its_sender_has_gone() {
    let bench = Bench::start().await;
    bench.rule(&json!({"call": "placeOrder", "fault": {"delay": {"ms": 1}}})).await;
    assert_eq!(bench.call("placeOrder", &order("M-1", &json!({}))).await.head.code, "0");

    bench.rule(&json!({"call": "placeOrder", "fault": {"delay_request": {"ms": 150}}})).await;
    let late = order("M-2", &json!({}));
    {
        let mut under_way = std::pin::pin!(bench.try_call("placeOrder", &late));
        let struck = async {
            while bench.faults_left().await > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = &mut under_way => panic!("it was answered at once"),
            () = struck => {}
        }
    }
    bench.events("call", 2).await;
    assert_eq!(bench.status("M-2").await, "CREATED");
}

#[tokio::test]
async fn a_profile_is_set_seen_and_cleared() {
    let bench = Bench::start().await;
    let url = bench.url("/sim/faults");
    let profile = json!({"seed": 7, "faults": [
        {"call": "getOrder", "fault": "lost_answer", "times": 2, "order": "M-1"},
        {"call": "*", "fault": "rate_limit", "probability": 0.5, "amount": "1.00"},
    ]});
    let body = profile.to_string();
    let answer = bench.client.put(&url).header("content-type", "application/json").body(body).send().await.unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&answer.text().await.unwrap()).unwrap(), profile);
    bench.place("M-1", &json!({})).await;
    bench.place("M-2", &json!({})).await;
    assert!(bench.try_call("getOrder", &json!({"merchantOrderNo": "M-1"})).await.is_err());
    assert!(bench.try_call("getOrder", &json!({"merchantOrderNo": "M-2"})).await.is_ok());
    let left = bench.client.get(&url).send().await.unwrap().text().await.unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&left).unwrap()["faults"][0]["times"], 1);
    bench.client.delete(&url).send().await.unwrap();
    assert!(bench.try_call("getOrder", &json!({"merchantOrderNo": "M-1"})).await.is_ok());
}

#[tokio::test]
async fn a_simulator_can_have_its_faults_from_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faults.toml");
    std::fs::write(&file, "[[faults]]\ncall = \"*\"\nfault = \"rate_limit\"").unwrap();
    let faults = Profile::read(&file).unwrap();
    let payby = payby_sim::start(Settings { faults, ..Settings::new(KEYS.path()) }).await.unwrap();
    let bench = Bench::before(&payby);
    assert_eq!(bench.call("placeOrder", &order("M-1", &json!({}))).await.head.code, "402");
    assert_eq!(bench.call("placeOrder", &order("M-1", &json!({}))).await.head.code, "0");
}
