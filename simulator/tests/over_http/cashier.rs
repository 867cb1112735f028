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

fn dear() -> serde_json::Value {
    json!({"totalAmount": {"amount": 1234.5, "currency": "AED"}})
}

#[tokio::test]
async fn the_page_shows_what_is_to_be_paid() {
    let bench = Bench::start().await;
    let url = bench.place("M-1", &dear()).await;
    bench.control("clock/advance", &json!({"ms": 30_000})).await;
    let (status, _, text) = page(&bench, &url).await;
    assert_eq!(status, StatusCode::OK);
    for part in ["1,234.50", "Coffee", "M-1", "1 h 59 min", "Pay AED 1,234.50", "Decline", "Simulator"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(text.contains("<html lang=\"en\" dir=\"ltr\">"), "{text}");
}

#[tokio::test]
async fn the_page_is_arabic_for_who_prefers_or_chooses_that_and_stays_so() {
    let bench = Bench::start().await;
    let url = bench.place("M-1", &dear()).await;
    let token = url.rsplit('/').next().unwrap();
    let accepted = bench.client.get(&url).header("accept-language", "ar-AE,ar;q=0.9,en;q=0.8").send().await.unwrap();
    let accepted = accepted.text().await.unwrap();
    let (_, _, chosen) = page(&bench, &format!("{url}?lang=ar")).await;
    for text in [&accepted, &chosen] {
        assert!(text.contains("<html lang=\"ar\" dir=\"rtl\">"), "{text}");
        for part in ["بانتظار الدفع", "ادفع 1,234.50 درهم", "<bdi>M-1</bdi>", "lang=\"en\"", "?lang=en"]
        {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
    assert!(!accepted.contains("decline?lang"), "it was not chosen");
    assert!(chosen.contains(&format!("{token}/decline?lang=ar")), "{chosen}");
    let (_, _, asked) = page(&bench, &format!("{url}/password?lang=ar")).await;
    assert!(asked.contains("dir=\"rtl\"") && asked.contains("action=\"pay?lang=ar\""), "{asked}");
    let (_, to) = press(&bench, &url, "decline?lang=ar").await;
    assert_eq!(to, format!("../{token}?lang=ar"));
    let (_, _, text) = page(&bench, &format!("{url}?lang=ar")).await;
    assert!(text.contains("رُفضت عملية الدفع"), "{text}");
}

#[tokio::test]
async fn from_500_dirhams_on_a_password_is_asked_for() {
    for (amount, asks) in [("499.99", false), ("500", true)] {
        let bench = Bench::start().await;
        let amount: serde_json::Value = serde_json::from_str(amount).unwrap();
        let url = bench.place("M-1", &json!({"totalAmount": {"amount": amount, "currency": "AED"}})).await;
        let (_, _, text) = page(&bench, &url).await;
        assert_eq!(text.contains("/password\""), asks, "{text}");
        let (_, to) = press(&bench, &url, "pay").await;
        assert_eq!(to == "password?wrong", asks, "{to}");
        assert_eq!(bench.status("M-1").await, if asks { "CREATED" } else { "PAID_SUCCESS" });
    }

    let bench = Bench::start().await;
    let url = bench.place("M-1", &dear()).await;
    let (_, _, text) = page(&bench, &format!("{url}/password")).await;
    assert!(text.contains("for=\"password\"") && text.contains("type=\"password\""), "{text}");
    assert!(!text.contains("role=\"alert\""), "{text}");
    let (_, _, text) = page(&bench, &format!("{url}/password?wrong")).await;
    assert!(text.contains("role=\"alert\"") && text.contains("aria-describedby=\"hint wrong\""), "{text}");
    for (password, is_right) in [("", false), ("000000", false), ("12345", false), ("abcdef", false), ("123456", true)]
    {
        let request = bench.client.post(format!("{url}/pay")).body(format!("password={password}"));
        let answer = request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
        assert_eq!(answer.headers()["location"] == "password?wrong", !is_right, "{password}");
    }
    assert_eq!(bench.status("M-1").await, "PAID_SUCCESS");
    let (status, to) = (page(&bench, &format!("{url}/password")).await.0, url.rsplit('/').next().unwrap());
    assert_eq!(status, StatusCode::SEE_OTHER, "there is nothing left to pay: ../{to}");
}

#[tokio::test]
async fn who_leaves_decides_nothing_and_the_time_can_be_made_to_run_out() {
    let bench = Bench::start().await;
    let url = bench.place("M-1", &pay_page()).await;
    assert_eq!(press(&bench, &url, "leave").await.1, "http://shop.example:8080/back?n=1#top");
    assert_eq!(bench.status("M-1").await, "CREATED");
    press(&bench, &url, "expire").await;
    assert_eq!(bench.see("orders").await[0]["failCode"], "ORDER_EXPIRED");
    let payer = bench.events("payer", 2).await;
    assert_eq!((&payer[0]["action"], &payer[0]["changed"]), (&json!("leave"), &json!(false)));
    assert_eq!((&payer[1]["action"], &payer[1]["changed"]), (&json!("expire"), &json!(true)));
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
