//! Too much is refused with the time to wait; what a page does is never too much.

use reqwest::Method;

use crate::fake_payby::FakePayby;
use crate::proxy::{API_KEY, Answer, Proxy, purchase, send};

/// So much at once, and hardly anything after it while a test runs.
fn limit(name: &'static str, burst: u32) -> [(&'static str, String); 2] {
    let keys = match name {
        "token" => ("LIMITS__TOKEN_BURST", "LIMITS__TOKEN_PER_SECOND"),
        "address" => ("LIMITS__ADDRESS_BURST", "LIMITS__ADDRESS_PER_SECOND"),
        _ => ("LIMITS__OVERALL_BURST", "LIMITS__OVERALL_PER_SECOND"),
    };
    [(keys.0, burst.to_string()), (keys.1, "1".to_owned())]
}

fn refused(answer: &Answer) {
    assert_eq!(answer.problem(), (429, "rate_limited"));
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!(wait >= 1, "{wait}");
}

/// Asks until it is refused, and answers how often it was not. A second gives one more back, so the count may be a little
/// more than the burst on a slow machine, never less.
async fn until_refused(proxy: &Proxy, token: &str, address: Option<&str>) -> usize {
    for count in 0..1_000 {
        let mut request = proxy.get_request(token, "N-1");
        if let Some(address) = address {
            request = request.header("x-forwarded-for", address);
        }
        let answer = send(request).await;
        if answer.status == 429 {
            refused(&answer);
            return count;
        }
    }
    panic!("nothing was ever refused");
}

#[tokio::test]
async fn one_token_that_asks_too_much_is_refused_and_another_is_not() {
    let proxy = Proxy::start_with(limit("token", 10)).await;
    let (one, other) = (proxy.token("r").await, proxy.token("s").await);
    proxy.put(&other, "N-2").await;
    assert!(until_refused(&proxy, &one, None).await >= 10);
    assert_eq!(proxy.get(&other, "N-2").await.status, 200);
}

#[tokio::test]
async fn one_address_that_asks_too_much_is_refused_and_another_is_not() {
    let trusted = [("LIMITS__TRUSTED_PROXIES", "127.0.0.0/8,::1".to_owned())];
    let proxy = Proxy::start_with(limit("address", 10).into_iter().chain(trusted)).await;
    // A new token each time would not help it.
    assert!(until_refused(&proxy, "any", Some("198.51.100.7")).await >= 10);
    let other = send(proxy.get_request("any", "N-1").header("x-forwarded-for", "198.51.100.8")).await;
    assert_eq!(other.problem(), (404, "not_found"));
    // What it writes there itself is not believed.
    let forged = send(proxy.get_request("any", "N-1").header("x-forwarded-for", "203.0.113.1, 198.51.100.7")).await;
    refused(&forged);
}

#[tokio::test]
async fn nobodys_x_forwarded_for_is_believed_unless_it_is_trusted() {
    let proxy = Proxy::start_with(limit("address", 10)).await;
    until_refused(&proxy, "any", Some("198.51.100.7")).await;
    refused(&send(proxy.get_request("any", "N-1").header("x-forwarded-for", "198.51.100.8")).await);
}

#[tokio::test]
async fn all_together_that_ask_too_much_are_refused_but_paybys_notifications_and_the_operator_are_not() {
    let proxy = Proxy::start_with(limit("overall", 10)).await;
    let token = proxy.token("r").await;
    proxy.put(&token, "N-1").await;
    until_refused(&proxy, &token, None).await;
    refused(&proxy.open(&purchase("s")).await);
    assert_eq!(proxy.notify(&FakePayby::notification("1", "N-1", "PAID_SUCCESS")).await.status, 200);
    assert_eq!(send(proxy.request(Method::GET, "/readyz")).await.status, 200);
}

#[tokio::test]
async fn a_shops_server_is_not_limited_like_a_page() {
    let proxy = Proxy::start_with(limit("token", 5).into_iter().chain(limit("address", 5))).await;
    for index in 0..20 {
        let answer = proxy.open(&purchase(&format!("r-{index}"))).await;
        assert_eq!(answer.status, 201, "{index}");
    }
    let wrong = || send(proxy.request(Method::GET, "/v1/purchases/x").bearer_auth(format!("{API_KEY}-not")));
    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(wrong().await.status.as_u16());
    }
    assert!(answers.starts_with(&[401; 5]) && answers.contains(&429), "{answers:?}");
}

#[tokio::test]
async fn a_page_can_read_how_long_to_wait() {
    let proxy = Proxy::start_with(limit("token", 1)).await;
    let token = proxy.token("r").await;
    until_refused(&proxy, &token, None).await;
    let answer = send(proxy.get_request(&token, "N-1").header("origin", "https://shop.example")).await;
    refused(&answer);
    assert_eq!(answer.header("access-control-allow-origin"), "https://shop.example");
    assert!(answer.header("access-control-expose-headers").contains("retry-after"));
}

/// Ten times what a page asks for one order, at once.
#[tokio::test]
async fn the_defaults_let_a_genuine_page_through() {
    let proxy = Proxy::start().await;
    let token = proxy.token("r").await;
    proxy.put(&token, "N-1").await;
    for index in 0..99 {
        assert_eq!(proxy.get(&token, "N-1").await.status, 200, "{index}");
    }
}

#[tokio::test]
async fn a_request_that_finds_no_place_to_be_held_is_answered_at_once() {
    let proxy = Proxy::start_with([("LIMITS__PARKED_REQUESTS", "1".to_owned())]).await;
    let token = proxy.token("r").await;
    let etag = proxy.put(&token, "N-1").await.header("etag").to_owned();
    let ask = || send(proxy.get_request(&token, "N-1").header("if-none-match", &etag).header("prefer", "wait=25"));
    let one_of_them_at_once = async {
        // The first of the two to be refused a place comes back; the other is held.
        let answer = tokio::select! { answer = ask() => answer, answer = ask() => answer };
        assert_eq!((answer.status.as_u16(), answer.header("preference-applied")), (304, ""));
    };
    tokio::time::timeout(crate::proxy::BOUND, one_of_them_at_once).await.unwrap();
}
