//! The pay page, as a browser gets it.

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::json;

use crate::support::Bench;

async fn page(bench: &Bench, url: &str) -> (StatusCode, HeaderMap, String) {
    let response = bench.client.get(url).send().await.unwrap();
    (response.status(), response.headers().clone(), response.text().await.unwrap())
}

async fn press(bench: &Bench, url: &str, button: &str) -> (StatusCode, String) {
    let response = bench.client.post(format!("{url}/{button}")).send().await.unwrap();
    (response.status(), response.headers()["location"].to_str().unwrap().to_owned())
}

fn pay_page() -> serde_json::Value {
    json!({"paySceneCode": "PAYPAGE", "paySceneParams": {"redirectUrl": "http://shop.example:8080/back?n=1#top"}})
}

#[tokio::test]
async fn the_page_shows_what_is_to_be_paid() {
    let bench = Bench::start().await;
    let url = bench.place("M-1", &json!({"totalAmount": {"amount": 1234.5, "currency": "AED"}})).await;
    bench.control("clock/advance", &json!({"ms": 30_000})).await;
    let (status, _, text) = page(&bench, &url).await;
    assert_eq!(status, StatusCode::OK);
    for part in ["1,234.50", "Coffee", "M-1", "1 h 59 min", "Pay AED 1,234.50", "Decline", "Simulator"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[tokio::test]
async fn the_page_may_load_its_style_and_nothing_else() {
    let bench = Bench::start().await;
    let url = bench.place("M-1", &pay_page()).await;
    let (_, headers, text) = page(&bench, &url).await;
    assert_eq!(
        headers["content-security-policy"],
        "default-src 'none'; style-src 'self'; form-action 'self' http://shop.example:8080; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    assert_eq!(headers["referrer-policy"], "no-referrer");
    assert_eq!(headers["cache-control"], "no-store");
    assert!(!text.contains("<style") && !text.contains("style=\"") && !text.contains("<script"), "{text}");
    let (status, headers, _) = page(&bench, &bench.url("/cashier/style.css")).await;
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (StatusCode::OK, "text/css; charset=utf-8"));
}

#[tokio::test]
async fn what_the_merchant_wrote_stays_text() {
    let bench = Bench::start().await;
    let url = bench.place("M-1", &json!({"subject": "<script>alert(1)</script>\"'&"})).await;
    let (_, _, text) = page(&bench, &url).await;
    assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;'&amp;"), "{text}");
    assert!(!text.contains("<script"), "{text}");
}

#[tokio::test]
async fn paying_and_declining_lead_back_to_the_shop() {
    for (button, status) in [("pay", "PAID_SUCCESS"), ("decline", "FAILURE")] {
        let bench = Bench::start().await;
        let url = bench.place("M-1", &pay_page()).await;
        let to = press(&bench, &url, button).await;
        assert_eq!(to, (StatusCode::SEE_OTHER, "http://shop.example:8080/back?n=1#top".to_owned()));
        assert_eq!(bench.status("M-1").await, status);
    }
}

#[tokio::test]
async fn an_order_with_no_way_back_shows_its_outcome() {
    for (button, outcome) in [("pay", "Paid"), ("decline", "Payment declined")] {
        let bench = Bench::start().await;
        let url = bench.place("M-1", &json!({})).await;
        let (status, to) = press(&bench, &url, button).await;
        assert_eq!(status, StatusCode::SEE_OTHER);
        let token = url.rsplit('/').next().unwrap();
        assert_eq!(to, format!("../{token}"));
        let (_, _, text) = page(&bench, &url).await;
        assert!(text.contains(outcome) && !text.contains("<form"), "{text}");
    }
}

#[tokio::test]
async fn a_decided_order_shows_its_state_and_keeps_it() {
    let bench = Bench::start().await;
    let paid = bench.place("PAID", &pay_page()).await;
    press(&bench, &paid, "pay").await;
    let cancelled = bench.place("CANCELLED", &json!({})).await;
    bench.call("cancelOrder", &json!({"merchantOrderNo": "CANCELLED"})).await;
    let expired = bench.place("EXPIRED", &json!({})).await;
    bench.advance_minutes(120).await;
    for (number, url, outcome, status) in [
        ("PAID", paid, "Paid", "PAID_SUCCESS"),
        ("CANCELLED", cancelled, "Cancelled", "FAILURE"),
        ("EXPIRED", expired, "Expired", "FAILURE"),
    ] {
        for button in ["pay", "decline"] {
            let (_, to) = press(&bench, &url, button).await;
            assert!(to.starts_with("../"), "{number} {button}: its state is shown, not the shop");
            assert_eq!(bench.status(number).await, status, "{button}");
        }
        let (_, _, text) = page(&bench, &url).await;
        assert!(text.contains(outcome) && !text.contains("<form"), "{text}");
    }
    let payer = bench.events("payer", 7).await;
    assert_eq!(payer.iter().filter(|event| event["changed"] == true).count(), 1);
}

#[tokio::test]
async fn a_wrong_token_is_no_order() {
    let bench = Bench::start().await;
    bench.place("M-1", &json!({})).await;
    for token in ["0", "M-1", "..%2Fsim", "%3Cscript%3E"] {
        let (status, headers, text) = page(&bench, &bench.url(&format!("/cashier/{token}"))).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(headers.contains_key("content-security-policy"));
        assert!(text.contains("No such payment") && !text.contains("<script"));
    }
}
