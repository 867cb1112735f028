//! What every endpoint keeps to: problems, CORS, caching, health.

use reqwest::Method;

use crate::proxy::{API_KEY, Proxy, purchase, send};

#[tokio::test]
async fn every_mistake_of_a_caller_is_a_problem_with_a_code() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    let open = || proxy.request(Method::POST, "/v1/purchases").bearer_auth(API_KEY);
    let json = |request: reqwest::RequestBuilder| request.header("content-type", "application/json");
    let put = || proxy.request(Method::PUT, "/v1/orders/N-1").bearer_auth(&token);
    for (request, problem) in [
        (proxy.request(Method::GET, "/nowhere"), (404, "not_found")),
        (proxy.request(Method::PUT, "/v1/orders/%FF").bearer_auth(&token), (404, "not_found")),
        (proxy.request(Method::DELETE, "/v1/orders/N-1"), (405, "method_not_allowed")),
        (proxy.request(Method::GET, "/v1/purchases"), (405, "method_not_allowed")),
        (proxy.request(Method::GET, "/payby/notifications"), (405, "method_not_allowed")),
        (open().body(purchase("r").to_string()), (415, "unsupported_media_type")),
        (json(open()).body("{"), (400, "invalid_request")),
        (json(open()).body(" ".repeat(16 * 1024 + 1)), (413, "too_large")),
        (put().body("{}"), (415, "unsupported_media_type")),
        (json(put()).body(r#"{"amount":"1"}"#), (400, "invalid_request")),
        (json(put()).body(" ".repeat(16 * 1024 + 1)), (413, "too_large")),
    ] {
        let answer = send(request).await;
        assert_eq!(answer.problem(), problem);
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-request-id").len(), 16);
        assert_eq!(answer.body["type"], "about:blank");
    }
    let wrong_method = send(proxy.request(Method::DELETE, "/v1/orders/N-1")).await;
    let allowed = wrong_method.header("allow");
    assert!(allowed.contains("PUT") && allowed.contains("GET"), "{allowed}");
}

#[tokio::test]
async fn the_shops_pages_may_read_answers_and_problems() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    for origin in ["https://shop.example", "http://127.0.0.1:3000"] {
        let request = proxy.request(Method::PUT, "/v1/orders/N-1").bearer_auth(&token).header("origin", origin);
        let missing = proxy.get_request(&token, "N-9").header("origin", origin);
        for answer in [send(request).await, send(missing).await] {
            assert_eq!(answer.header("access-control-allow-origin"), origin);
            assert_eq!(answer.header("access-control-expose-headers"), "etag,retry-after");
            assert!(answer.header("vary").contains("origin"));
        }
        let preflight = proxy.request(Method::OPTIONS, "/v1/orders/N-1").header("origin", origin);
        let preflight = preflight.header("access-control-request-method", "PUT");
        let answer = send(preflight.header("access-control-request-headers", "authorization,content-type")).await;
        assert!(answer.status.is_success());
        assert_eq!(answer.header("access-control-allow-origin"), origin);
        assert_eq!(answer.header("access-control-allow-methods"), "GET,PUT,POST");
        assert_eq!(answer.header("access-control-allow-headers"), "authorization,content-type,if-none-match,prefer");
        assert_eq!(answer.header("access-control-max-age"), "600");
    }
}

#[tokio::test]
async fn a_foreign_page_may_read_nothing() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    for origin in ["https://evil.example", "https://shop.example.evil.example", "http://shop.example", "null"] {
        let answer = send(proxy.get_request(&token, "N-1").header("origin", origin)).await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
        let preflight = proxy.request(Method::OPTIONS, "/v1/orders/N-1").header("origin", origin);
        let answer = send(preflight.header("access-control-request-method", "PUT")).await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
    }
    let shop_server = proxy.request(Method::POST, "/v1/purchases").header("origin", "https://shop.example");
    assert_eq!(send(shop_server).await.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn the_operator_is_told_that_all_is_well() {
    let proxy = Proxy::start().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(send(proxy.request(Method::GET, path)).await.status, 200);
    }
}

#[tokio::test]
async fn a_proxy_whose_database_cannot_be_written_is_alive_and_not_ready() {
    let proxy = Proxy::start().await;
    proxy.break_database().await;
    assert_eq!(send(proxy.request(Method::GET, "/readyz")).await.problem(), (503, "unavailable"));
    assert_eq!(send(proxy.request(Method::GET, "/healthz")).await.status, 200);
}
