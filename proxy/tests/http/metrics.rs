//! What is counted, and what never gets into a count.

use crate::fake_payby::{FakePayby, Fault};
use crate::proxy::{API_KEY, Proxy, send};

fn counted() -> [(&'static str, String); 1] {
    [("METRICS__LISTEN", "127.0.0.1:0".to_owned())]
}

#[tokio::test]
async fn what_happens_is_counted() {
    let proxy = Proxy::start_with(counted()).await;
    let token = proxy.token("r").await;
    proxy.payby.fail("placeOrder", Fault::Code("500"));
    proxy.put(&token, "N-1").await;
    proxy.until(&token, "N-1", "pending").await;
    let text = proxy.metrics().await;
    for line in [
        "payby_proxy_requests_total{method=\"POST\",route=\"/v1/purchases\",status=\"201\"} 1",
        "payby_proxy_requests_total{method=\"PUT\",route=\"/v1/orders/{order_number}\",status=\"200\"} 1",
        "payby_proxy_gateway_calls_total{call=\"placeOrder\",outcome=\"unknown\"} 1",
        "payby_proxy_gateway_calls_total{call=\"placeOrder\",outcome=\"known\"} 1",
        "payby_proxy_gateway_call_seconds_count{call=\"placeOrder\"} 2",
        "payby_proxy_live_orders 1",
        "payby_proxy_parked_requests 0",
        "payby_proxy_database_errors_total 0",
        "# EOF",
    ] {
        assert!(text.lines().any(|counted| counted == line), "{line}\n{text}");
    }

    let paid = FakePayby::notification("1", "N-1", "PAID_SUCCESS");
    proxy.payby.set("N-1", "PAID_SUCCESS");
    proxy.notify(&paid).await;
    proxy.notify(&paid).await;
    proxy.notify("{}").await;
    proxy.notify(&FakePayby::notification("2", "N-9", "PAID_SUCCESS")).await;
    proxy.notify_signed(paid.as_bytes(), "AAAA").await;
    proxy.notify(&" ".repeat(64 * 1024 + 1)).await;
    let text = proxy.metrics().await;
    for outcome in ["merged", "repeated", "unreadable", "alert", "forged", "oversized"] {
        let line = format!("payby_proxy_notifications_total{{outcome=\"{outcome}\"}} 1");
        assert!(text.contains(&line), "{line}\n{text}");
    }
    for alert in ["notification_unreadable", "notification_mismatch", "notification_forged"] {
        let line = format!("payby_proxy_alerts_total{{alert=\"{alert}\"}} 1");
        assert!(text.contains(&line), "{line}\n{text}");
    }
    assert!(text.contains("payby_proxy_live_orders 0"), "{text}");
}

#[tokio::test]
async fn no_order_number_token_or_path_of_a_caller_gets_into_a_label() {
    let proxy = Proxy::start_with(counted()).await;
    let token = proxy.token("a-reference").await;
    proxy.put(&token, "N-SECRET").await;
    proxy.cancel(&token, "N-SECRET").await;
    for path in ["/no-such-path", "/v1/orders/N-OTHER", "/v1/purchases/some-id"] {
        send(proxy.request(reqwest::Method::GET, path).bearer_auth("some-token")).await;
    }
    let method = reqwest::Method::from_bytes(b"BREW").unwrap();
    send(proxy.request(method, "/healthz")).await;
    let text = proxy.metrics().await;
    let told = [&token, API_KEY, "a-reference", "N-SECRET", "N-OTHER", "no-such-path", "some-", "BREW", "127.0.0.1"];
    for word in told {
        assert!(!text.contains(word), "{word}\n{text}");
    }
}

#[tokio::test]
async fn metrics_are_not_for_everybody() {
    let proxy = Proxy::start_with(counted()).await;
    let answer = send(proxy.request(reqwest::Method::GET, "/metrics").bearer_auth(API_KEY)).await;
    assert_eq!(answer.problem(), (404, "not_found"));
}

#[tokio::test]
async fn a_database_that_fails_is_counted_and_no_notification_is_acknowledged() {
    let proxy = Proxy::start_with(counted()).await;
    let token = proxy.token("r").await;
    proxy.put(&token, "N-1").await;
    proxy.break_database().await;
    assert_eq!(proxy.get(&token, "N-1").await.problem(), (500, "internal"));
    let answer = proxy.notify(&FakePayby::notification("1", "N-1", "PAID_SUCCESS")).await;
    assert_eq!(answer.problem(), (500, "internal"));
    let text = proxy.metrics().await;
    assert!(text.contains("payby_proxy_database_errors_total 2\n"), "{text}");
}
