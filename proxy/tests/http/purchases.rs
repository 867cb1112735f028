//! Purchases and their tokens.

use payby_checkout::time::Millis;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::json;

use crate::proxy::{API_KEY, Proxy, purchase, send};

#[tokio::test]
async fn the_same_reference_is_the_same_purchase_with_another_token() {
    let proxy = Proxy::start().await;
    let first = proxy.open(&purchase("r")).await;
    let second = proxy.open(&purchase("r")).await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 200));
    assert_eq!(first.body["purchaseId"], second.body["purchaseId"]);
    assert_ne!(first.body["token"], second.body["token"]);
    assert_eq!(first.body["tokenExpiresInMs"], 86_400_000);
    for answer in [first, second] {
        let token = answer.body["token"].as_str().unwrap();
        assert_eq!(proxy.put(token, "N-1").await.status, 200);
    }
}

#[tokio::test]
async fn the_same_reference_with_another_parameter_is_refused() {
    let proxy = Proxy::start().await;
    proxy.open(&purchase("r")).await;
    for (key, value) in [
        ("amount", json!("12.51")),
        ("subject", json!("Coffee")),
        ("redirectUrl", json!("https://shop.example/back")),
        ("payWithinMs", json!(60_000)),
    ] {
        let mut other = purchase("r");
        other[key] = value;
        assert_eq!(proxy.open(&other).await.problem(), (409, "purchase_differs"), "{key}");
    }
}

#[tokio::test]
async fn a_value_out_of_its_bounds_is_refused_by_name() {
    let proxy = Proxy::start().await;
    for (key, value) in [
        ("reference", json!("")),
        ("reference", json!("r".repeat(65))),
        ("subject", json!("a\nb")),
        ("amount", json!("0")),
        ("amount", json!(12.5)),
        ("currency", json!("USD")),
        ("scene", json!("PAYPAGE")),
        ("redirectUrl", json!("javascript:alert(1)")),
        ("payWithinMs", json!(59_999)),
        ("payWithinMs", json!(172_800_001)),
        ("price", json!(1)),
    ] {
        let mut wrong = purchase("r");
        wrong[key] = value.clone();
        let answer = proxy.open(&wrong).await;
        assert_eq!(answer.problem(), (400, "invalid_request"), "{key} {value}");
    }
}

#[tokio::test]
async fn only_an_api_key_opens_and_reads_purchases() {
    let proxy = Proxy::start().await;
    let id = proxy.open(&purchase("r")).await.body["purchaseId"].as_str().unwrap().to_owned();
    let path = format!("/v1/purchases/{id}");
    let token = proxy.token("r").await;
    for request in [
        proxy.request(Method::GET, &path),
        proxy.request(Method::GET, &path).bearer_auth("wrong"),
        proxy.request(Method::GET, &path).bearer_auth(&token),
        proxy.request(Method::GET, &path).header("authorization", API_KEY),
        proxy.request(Method::POST, "/v1/purchases").body(purchase("r").to_string()),
    ] {
        assert_eq!(send(request).await.problem(), (401, "unauthorized"));
    }
    proxy.put(&token, "N-1").await;
    let read = send(proxy.request(Method::GET, &path).bearer_auth(API_KEY)).await;
    assert_eq!(
        (read.body["status"].as_str(), read.body["orders"][0]["orderNumber"].as_str()),
        (Some("pending"), Some("N-1"))
    );
    assert_eq!(read.body["amount"], json!({"amount": "12.50", "currency": "AED"}));
}

/// All that a caller is told, byte for byte, but for the request's own name and the time.
async fn told(request: RequestBuilder) -> (StatusCode, HeaderMap, String) {
    let response = request.send().await.unwrap();
    let (status, mut headers) = (response.status(), response.headers().clone());
    for own in ["x-request-id", "date"] {
        headers.remove(own).unwrap();
    }
    (status, headers, response.text().await.unwrap())
}

#[tokio::test]
async fn what_is_not_for_a_token_looks_like_what_is_not() {
    let proxy = Proxy::start().await;
    let expired = proxy.token("yours").await;
    assert_eq!(proxy.put(&expired, "YOURS").await.status, 200);
    proxy.advance(Millis(86_400_000));
    let mine = proxy.token("mine").await;
    let create = (Method::PUT, "/v1/orders/YOURS");
    let read = (Method::GET, "/v1/orders/YOURS");
    let cancel = (Method::POST, "/v1/orders/YOURS/cancel");
    let resume = (Method::GET, "/v1/purchase");
    let read_none = (Method::GET, "/v1/orders/NOBODYS");
    let cancel_none = (Method::POST, "/v1/orders/NOBODYS/cancel");
    let read_no_number = (Method::GET, "/v1/orders/no%20number");
    let every = [&create, &read, &cancel, &resume, &read_none, &cancel_none, &read_no_number];
    let (_, headers, body) = told(proxy.request(Method::GET, "/v1/purchase")).await;
    for (token, calls) in [
        (Some(mine.as_str()), &[&create, &read, &cancel, &read_none, &cancel_none, &read_no_number][..]),
        (Some(expired.as_str()), &every),
        (Some("wrong"), &every),
        (None, &every),
    ] {
        for (method, path) in calls {
            let request = proxy.request(method.clone(), path);
            let request = token.into_iter().fold(request, RequestBuilder::bearer_auth);
            let expected = (StatusCode::NOT_FOUND, headers.clone(), body.clone());
            assert_eq!(told(request).await, expected, "{method} {path} {token:?}");
        }
    }
}

#[tokio::test]
async fn a_browser_resumes_with_the_order_to_go_on_with() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    let resume = || send(proxy.request(Method::GET, "/v1/purchase").bearer_auth(&token));
    let empty = resume().await;
    assert_eq!((empty.body["status"].as_str(), empty.body["orders"].as_array().unwrap().len()), (Some("unknown"), 0));

    proxy.put(&token, "N-1").await;
    assert_eq!(resume().await.body["orders"][0]["orderNumber"], "N-1");

    proxy.cancel(&token, "N-1").await;
    let given_up = resume().await;
    assert_eq!(
        (given_up.body["status"].as_str(), given_up.body["orders"].as_array().unwrap().len()),
        (Some("failed"), 0)
    );
}

#[tokio::test]
async fn the_database_holds_no_token_and_is_its_owners_alone() {
    let mut proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    proxy.put(&token, "N-1").await;
    let mut files = 0;
    for stop in [false, true] {
        if stop {
            proxy.stop().await;
        }
        for entry in std::fs::read_dir(proxy.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with("proxy.db") {
                files += 1;
                let bytes = std::fs::read(&path).unwrap();
                assert!(!bytes.windows(token.len()).any(|window| window == token.as_bytes()), "{path:?}");
                let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
                assert_eq!(mode & 0o777, 0o600, "{path:?}");
            }
        }
    }
    assert!(files >= 2);
}
