//! Asking where an order stands, once and held.

use std::time::Duration;

use crate::fake_payby::FakePayby;
use crate::proxy::{Proxy, send};

#[tokio::test]
async fn a_version_that_the_page_has_is_not_sent_again() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    let etag = proxy.put(&token, "N-1").await.header("etag").to_owned();
    let known = send(proxy.get_request(&token, "N-1").header("if-none-match", &etag)).await;
    assert_eq!((known.status.as_u16(), known.header("etag")), (304, etag.as_str()));
    assert_eq!(known.body, "");
    let news = send(proxy.get_request(&token, "N-1").header("if-none-match", "\"1\"")).await;
    assert_eq!(news.status, 200);
}

#[tokio::test]
async fn a_held_request_is_answered_when_a_notification_comes() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    let etag = proxy.put(&token, "N-1").await.header("etag").to_owned();
    let held = send(proxy.get_request(&token, "N-1").header("if-none-match", &etag).header("prefer", "wait=20"));
    let held = tokio::spawn(held);
    // It is parked once the proxy asks PayBy on its account.
    proxy.payby.called("getOrder", 1).await;
    assert!(!held.is_finished());
    proxy.notify(&FakePayby::notification("1", "N-1", "PAID_SUCCESS")).await;
    let answer = held.await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body["status"].as_str()), (200, Some("paid")));
    assert_eq!(answer.header("preference-applied"), "wait=20");
}

#[tokio::test]
async fn a_held_request_is_answered_when_a_query_finds_news() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    let etag = proxy.put(&token, "N-1").await.header("etag").to_owned();
    proxy.payby.set("N-1", "PAID_SUCCESS");
    let held = proxy.get_request(&token, "N-1").header("if-none-match", &etag).header("prefer", "wait=20");
    assert_eq!(send(held).await.body["status"], "paid");
}

#[tokio::test]
async fn a_page_that_only_polls_hears_of_a_payment_too() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    proxy.put(&token, "N-1").await;
    proxy.payby.set("N-1", "PAID_SUCCESS");
    let polling = async { while proxy.get(&token, "N-1").await.body["status"] != "paid" {} };
    tokio::time::timeout(Duration::from_secs(20), polling).await.unwrap();
}

#[tokio::test]
async fn a_held_request_ends_without_news_when_its_time_is_up() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    let etag = proxy.put(&token, "N-1").await.header("etag").to_owned();
    let request = || proxy.get_request(&token, "N-1").header("prefer", "wait=0");
    let known = send(request().header("if-none-match", etag)).await;
    assert_eq!((known.status.as_u16(), known.header("preference-applied")), (304, "wait=0"));
    assert_eq!(send(request()).await.status, 200);
}

#[tokio::test]
async fn a_terminal_order_is_told_at_once_to_who_does_not_have_it() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    proxy.put(&token, "N-1").await;
    proxy.cancel(&token, "N-1").await;
    let calls = proxy.payby.calls().len();
    let answer = send(proxy.get_request(&token, "N-1").header("prefer", "wait=20")).await;
    assert_eq!(answer.body["status"], "failed");
    assert_eq!(proxy.payby.calls().len(), calls);
}

#[tokio::test]
async fn held_requests_are_answered_at_once_when_the_proxy_stops() {
    let mut proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    let etag = proxy.put(&token, "N-1").await.header("etag").to_owned();
    let held = send(proxy.get_request(&token, "N-1").header("if-none-match", &etag).header("prefer", "wait=25"));
    let held = tokio::spawn(held);
    proxy.payby.called("getOrder", 1).await;
    proxy.stop().await;
    assert_eq!(held.await.unwrap().status, 304);
}
