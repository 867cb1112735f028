//! What a person has to look at reaches the merchant's webhook: signed, once, and again until it is taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use payby_checkout::time::Millis;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::fake_payby::{FakePayby, Fault};
use crate::proxy::{BOUND, Proxy, purchase, send};

const SECRET: &str = "a-secret-of-forty-eight-characters-for-the-hmac!";

/// The merchant's end of the webhook.
#[derive(Clone)]
struct Webhook {
    url: String,
    taken: watch::Sender<Vec<Taken>>,
    /// What it answers next; 200 after that.
    next: Arc<AtomicU16>,
}

#[derive(Clone, Debug)]
struct Taken {
    signature: String,
    body: String,
}

impl Taken {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Webhook {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/alerts", listener.local_addr().unwrap());
        let webhook = Self { url, taken: watch::Sender::default(), next: Arc::new(AtomicU16::new(200)) };
        let router = Router::new().route("/alerts", post(take)).with_state(webhook.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        webhook
    }

    async fn proxy(&self) -> Proxy {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), format!("{SECRET}\n")).unwrap();
        let settings = [
            ("ALERTS__WEBHOOK_URL", self.url.clone()),
            ("ALERTS__WEBHOOK_SECRET_FILE", secret.path().to_str().unwrap().to_owned()),
            ("METRICS__LISTEN", "127.0.0.1:0".to_owned()),
        ];
        Proxy::start_with(settings).await
    }

    /// Waits until this many have come.
    async fn taken(&self, count: usize) -> Vec<Taken> {
        let mut taken = self.taken.subscribe();
        let taken = tokio::time::timeout(BOUND, taken.wait_for(|taken| taken.len() >= count)).await;
        taken.unwrap().unwrap().clone()
    }
}

async fn take(State(webhook): State<Webhook>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signature = headers["payby-proxy-signature"].to_str().unwrap().to_owned();
    assert_eq!(headers["content-type"], "application/json");
    let body = String::from_utf8(body.to_vec()).unwrap();
    webhook.taken.send_modify(|taken| taken.push(Taken { signature, body }));
    StatusCode::from_u16(webhook.next.swap(200, Ordering::Relaxed)).unwrap()
}

#[tokio::test]
async fn an_alert_is_signed_over_its_raw_body_and_told_once_an_hour() {
    let webhook = Webhook::start().await;
    let proxy = webhook.proxy().await;
    let token = proxy.token("r").await;
    proxy.put(&token, "N-1").await;
    // Twice the same of one order, then one of another.
    for (id, number) in [("1", "N-1"), ("2", "N-1"), ("3", "N-2")] {
        let other_amount = FakePayby::notification(id, number, "PAID_SUCCESS").replace("12.50", "12.51");
        assert_eq!(proxy.notify(&other_amount).await.status, 200);
    }
    let told = webhook.taken(2).await;
    let first = told[0].json();
    assert_eq!(
        first,
        json!({
            "alert": "notification_mismatch", "orderNumber": "N-1", "at": 1_795_000_000_000_u64,
            "message": "a notification of PaidSuccess (notify_id 1): it names AED 12.51, the order is over AED 12.50",
        })
    );
    assert_eq!(told[1].json()["orderNumber"], "N-2");
    // Verified here as docs/operators.md tells a merchant to.
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
    for Taken { signature, body } in &told {
        let tag = aws_lc_rs::hmac::sign(&key, body.as_bytes());
        let digits = signature.strip_prefix("sha256=").unwrap();
        let bytes = (0..64).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap());
        assert_eq!((digits.len(), bytes.collect::<Vec<_>>()), (64, tag.as_ref().to_vec()));
    }

    proxy.advance(Millis(60 * 60_000));
    let again = FakePayby::notification("4", "N-1", "PAID_SUCCESS").replace("12.50", "12.51");
    proxy.notify(&again).await;
    assert_eq!(webhook.taken(3).await[2].json()["orderNumber"], "N-1");
    let metrics = proxy.metrics().await;
    assert!(metrics.contains("payby_proxy_alerts_total{alert=\"notification_mismatch\"} 3"), "{metrics}");
}

#[tokio::test]
async fn an_alert_that_is_not_taken_is_sent_again_and_keeps_no_order_waiting() {
    let webhook = Webhook::start().await;
    let proxy = webhook.proxy().await;
    webhook.next.store(500, Ordering::Relaxed);
    proxy.notify_signed(b"{}", "AAAA").await;
    webhook.taken(1).await;
    // It waits to be sent again; orders do not.
    let token = proxy.token("r").await;
    assert_eq!(proxy.put(&token, "N-1").await.body["status"], "pending");
    let told = webhook.taken(2).await;
    assert_eq!((&told[0].body, &told[0].signature), (&told[1].body, &told[1].signature));
    assert_eq!(told[1].json()["alert"], "notification_forged");
}

#[tokio::test]
async fn what_goes_wrong_at_the_gateway_is_told() {
    let webhook = Webhook::start().await;
    for (fault, alert) in [
        (Fault::Code("403"), "gateway_rejects_us"),
        (Fault::OtherAmount, "amount_mismatch"),
        (Fault::Code("62004"), "order_lost"),
        (Fault::Code("500"), "gateway_fails"),
    ] {
        let proxy = webhook.proxy().await;
        let token = proxy.token("r").await;
        proxy.put(&token, "N-1").await;
        for _ in 0..20 {
            proxy.payby.fail("getOrder", fault);
        }
        // Somebody waits, so PayBy is asked.
        let held = proxy.get_request(&token, "N-1").header("prefer", "wait=25");
        let is_told = |taken: &Vec<Taken>| taken.iter().any(|taken| taken.json()["alert"] == alert);
        let mut told = webhook.taken.subscribe();
        tokio::select! {
            _ = send(held) => panic!("{alert}: the order has changed"),
            within = tokio::time::timeout(BOUND, told.wait_for(is_told)) => drop(within.unwrap().unwrap()),
        }
    }
}

#[tokio::test]
async fn a_contradiction_and_a_second_payment_are_told() {
    let webhook = Webhook::start().await;
    let proxy = webhook.proxy().await;
    let token = proxy.token("r").await;
    proxy.put(&token, "N-1").await;
    proxy.payby.set("N-1", "FAILURE");
    proxy.notify(&FakePayby::notification("1", "N-1", "FAILURE")).await;
    proxy.put(&token, "N-2").await;
    proxy.notify(&FakePayby::notification("2", "N-1", "PAID_SUCCESS")).await;
    assert_eq!(webhook.taken(1).await[0].json()["alert"], "conflict");
    proxy.notify(&FakePayby::notification("3", "N-2", "PAID_SUCCESS")).await;
    let told = webhook.taken(2).await[1].json();
    assert_eq!((told["alert"].as_str(), told["orderNumber"].as_str()), (Some("paid_twice"), Some("N-2")));
    assert!(told["message"].as_str().unwrap().contains("N-1"), "{told}");
}

#[tokio::test]
async fn without_a_webhook_nothing_is_sent_and_nothing_waits() {
    let proxy = Proxy::start().await;
    for _ in 0..300 {
        proxy.notify_signed(b"{}", "AAAA").await;
    }
    assert_eq!(proxy.open(&purchase("r")).await.status, 201);
}
