//! No secret in the log, however much is logged: ten thousand lines, at the level `debug` of everything and `trace` of the
//! proxy itself, while it is used well and badly.
#![allow(clippy::unwrap_used, reason = "these are tests, and so is what helps them")]

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "http/fake_payby.rs"]
mod fake_payby;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "http/proxy.rs"]
mod proxy;

use std::io::Write;
use std::sync::{Arc, Mutex};

use reqwest::Method;
use serde_json::json;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::fake_payby::{FakePayby, Fault, keys};
use crate::proxy::{API_KEY, Proxy, purchase, send};

const LINES: usize = 10_000;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn ten_thousand_lines_of_log_hold_no_secret() {
    let log = Log::default();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("debug,payby_proxy=trace"))
        .with_writer(log.clone())
        .init();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "the-secret-that-alerts-are-signed-with").unwrap();
    let settings = [
        ("ALERTS__WEBHOOK_URL", "http://127.0.0.1:9/alerts?key=webhook-key".to_owned()),
        ("ALERTS__WEBHOOK_SECRET_FILE", secret.path().to_str().unwrap().to_owned()),
    ];
    let proxy = Proxy::start_with(settings).await;
    let mut tokens = Vec::new();
    for index in 0.. {
        let (reference, order, refund) = (format!("r-{index}"), format!("N-{index}"), format!("R-{index}"));
        if index % 3 == 0 {
            let fault = [Fault::ChangedByte, Fault::Code("500"), Fault::Code("403")][index / 3 % 3];
            proxy.payby.fail("placeOrder", fault);
        }
        tokens.push(proxy.paid(&reference, &order).await);
        let token = &tokens[index];
        proxy.get(token, &order).await;
        proxy.get(&format!("{token}-wrong"), &order).await;
        proxy.cancel(token, &order).await;
        proxy.notify_signed(FakePayby::notification("x", &order, "PAID_SUCCESS").as_bytes(), "Zm9yZ2Vk").await;
        let body = json!({"refundNumber": refund, "amount": "1.00"});
        proxy.shop(Method::POST, &format!("/v1/orders/{order}/refunds"), Some(body)).await;
        let wrong = proxy.request(Method::POST, "/v1/purchases").bearer_auth(format!("{API_KEY}-wrong"));
        send(wrong.body(purchase(&reference).to_string())).await;
        if log.text().lines().count() >= LINES {
            break;
        }
    }
    let log = log.text();
    assert!(log.contains("answered") && log.contains("PayBy told the order"), "it is the proxy's log");
    let mut secrets = vec![API_KEY, "the-secret-that-alerts", "webhook-key", "Bearer", "PRIVATE KEY", "Zm9yZ2Vk"];
    // Each line of the key, and each token.
    let pem = keys().merchant_private.lines().filter(|line| !line.starts_with('-'));
    secrets.extend(pem.filter(|line| line.len() >= 16).chain(tokens.iter().map(String::as_str)));
    for secret in secrets {
        let found = log.lines().find(|line| line.contains(secret));
        assert_eq!(found, None, "{secret}");
    }
}
