//! The API's description is what the repository says it is, and says what there is.

use payby_proxy::openapi::Document;
use reqwest::Method;
use serde_json::Value;

use crate::proxy::{API_KEY, Proxy, send};

fn document() -> Value {
    serde_json::from_str(&Document::text()).unwrap()
}

#[tokio::test]
async fn the_description_is_served_as_the_repository_has_it() {
    let kept = include_str!("../../openapi.json");
    let is_kept = kept == Document::text();
    assert!(
        is_kept,
        "proxy/openapi.json differs; `cargo run -p payby-proxy -- openapi > proxy/openapi.json`, and look"
    );
    let proxy = Proxy::start().await;
    let answer = send(proxy.request(Method::GET, "/openapi.json")).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.body, document());
}

/// Whatever is described is there, takes no other method, and asks for what it says it asks for.
#[tokio::test]
async fn every_described_call_is_there() {
    let proxy = Proxy::start().await;
    for (path, item) in document()["paths"].as_object().unwrap() {
        let real = path.replace("{orderNumber}", "N-1").replace("{purchaseId}", "p").replace("{refundNumber}", "R-1");
        let real = real.replace("{transferNumber}", "T-1");
        for (method, call) in item.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let without = send(proxy.request(method.clone(), &real)).await;
            let status = without.status.as_u16().to_string();
            assert!(call["responses"].get(&status).is_some(), "{method} {path} answers {status}, undescribed");
            let asks = &call["security"];
            let is_open = asks.is_null();
            let refused = without.body["code"].as_str().unwrap_or_default().to_owned();
            if asks[0].get("apiKey").is_some() {
                assert_eq!(refused, "unauthorized", "{method} {path}");
                let with = send(proxy.request(method.clone(), &real).bearer_auth(API_KEY)).await;
                assert_ne!(with.body["code"], "unauthorized", "{method} {path}");
            } else if asks[0].get("checkoutToken").is_some() {
                assert_eq!(refused, "not_found", "{method} {path}");
                assert_eq!(without.body["detail"], "there is no such thing, or it is not for this token");
            } else {
                assert!(is_open, "{method} {path}");
            }
        }
        assert_eq!(send(proxy.request(Method::DELETE, &real)).await.problem(), (405, "method_not_allowed"), "{path}");
    }
}

/// Every problem that a call can answer is described with a schema, and every call with what can go wrong.
#[test]
fn every_answer_has_a_schema_and_every_call_its_problems() {
    for (path, item) in document()["paths"].as_object().unwrap() {
        for (method, call) in item.as_object().unwrap() {
            assert!(call["summary"].is_string() && call["operationId"].is_string(), "{method} {path}");
            for (status, response) in call["responses"].as_object().unwrap() {
                let content = response["content"].as_object();
                let names: Vec<_> = content.iter().flat_map(|content| content.keys()).collect();
                let status: u16 = status.parse().unwrap();
                assert!(response["headers"]["X-Request-Id"].is_object(), "{method} {path} {status}");
                match status {
                    304 => assert!(names.is_empty()),
                    400.. => {
                        assert_eq!(names, ["application/problem+json"], "{method} {path} {status}");
                        assert_eq!(response["headers"].get("Retry-After").is_some(), status == 429);
                    }
                    _ => assert_eq!(names.len(), 1, "{method} {path} {status}"),
                }
            }
        }
    }
}
