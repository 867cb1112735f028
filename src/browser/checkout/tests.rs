//! Runs in a real browser: `cargo xtask test wasm`.

use js_sys::{Array, JSON};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

use std::cell::Cell;

use gloo_timers::future::TimeoutFuture;
use wasm_bindgen::JsCast as _;

use super::*;

wasm_bindgen_test_configure!(run_in_browser);

const PENDING: &str = r#"{"orderNumber":"NUMBER","status":"pending","gatewayStatus":"CREATED","revoked":false,
    "amount":{"amount":"12.50","currency":"AED"},"scene":"DYNQR","payUrl":"https://pay.example/1","version":1,"expiresInMs":60000}"#;
const PAID: &str = r#"{"orderNumber":"NUMBER","status":"paid","gatewayStatus":"PAID_SUCCESS","revoked":false,
    "amount":{"amount":"12.50","currency":"AED"},"scene":"DYNQR","version":2,"expiresInMs":0}"#;

/// A stand-in for the page and its proxy: it notes what it is told and what is asked, and answers when it is told to.
#[derive(Default)]
struct Page {
    heard: RefCell<Vec<String>>,
    asked: RefCell<Vec<String>>,
    /// What it was told to keep.
    kept: RefCell<String>,
    /// The request in flight: its order number, and what aborts it.
    in_flight: RefCell<Option<(String, AbortController)>>,
    /// How soon it wants to be woken, in milliseconds.
    wake_after: Cell<Option<f64>>,
    handle: usize,
}

impl Page {
    fn open() -> Self {
        Self::expecting("")
    }

    fn expecting(amount: &str) -> Self {
        let mut page = Self::default();
        page.handle = open(amount).unwrap();
        page
    }

    /// A page that has started, with its first request answered.
    fn started(status: u16, json: &str) -> Self {
        let page = Self::open();
        page.run(|handle| start(handle, "").unwrap());
        page.answer(status, json);
        page
    }

    /// Gives an input, then does what is wanted.
    fn run(&self, input: impl FnOnce(usize)) {
        input(self.handle);
        loop {
            let wanted = poll(self.handle);
            if wanted.is_undefined() {
                return;
            }
            let wanted = list(&wanted);
            let text = |place: usize| wanted.get(place).and_then(JsValue::as_string).unwrap_or_default();
            match &*text(0) {
                "save" => {
                    assert!(!self.is_asking(), "kept before it is sent (R1)");
                    self.kept.replace(text(1));
                }
                "send" => {
                    let number = text(2).split('/').nth(3).unwrap_or("none").to_owned();
                    let parts = [text(1), text(2).replace(&number, "NUMBER"), text(3), text(4), text(5)];
                    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
                    self.asked.borrow_mut().push(parts.join(" "));
                    assert!(!self.is_asking(), "one request at a time");
                    self.in_flight.replace(Some((number, wanted[6].clone().unchecked_into())));
                }
                "wake" => self.wake_after.set(wanted[1].as_f64()),
                _ => self
                    .heard
                    .borrow_mut()
                    .push(String::from(Array::from(&wanted.into_iter().collect::<Array>()).join(" "))),
            }
        }
    }

    /// Answers the request in flight; `NUMBER` in `json` is the order number that was asked for.
    fn answer(&self, status: u16, json: &str) {
        let (number, _) = self.in_flight.take().expect("a request is in flight");
        let json = JSON::parse(&json.replace("NUMBER", &number)).unwrap_or(JsValue::UNDEFINED);
        self.run(|handle| answer(handle, status, "", &json));
    }

    fn is_asking(&self) -> bool {
        self.in_flight.borrow().as_ref().is_some_and(|(_, controller)| !controller.signal().aborted())
    }

    fn asked(&self) -> Vec<String> {
        self.asked.take()
    }

    fn last_heard(&self) -> String {
        self.heard.borrow().last().cloned().unwrap_or_default()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        close(self.handle);
    }
}

fn list(value: &JsValue) -> Vec<JsValue> {
    Array::from(value).to_vec()
}

#[wasm_bindgen_test]
fn a_payment_from_its_creation_to_paid() {
    let page = Page::open();
    page.run(|handle| start(handle, "DYNQR").unwrap());
    assert!(page.last_heard().starts_with("unknown "), "{}", page.last_heard());
    assert_eq!(page.asked(), [r#"PUT /v1/orders/NUMBER {"scene":"DYNQR"}"#]);
    page.answer(200, PENDING);
    let number = page.last_heard().split(' ').nth(1).unwrap_or_default().to_owned();
    // The clock is the browser's: what is left of the minute is a little less than it was.
    let heard = page.last_heard();
    let (before, left) = heard.trim_end().trim_end_matches(" false").rsplit_once(' ').unwrap();
    assert_eq!(before, format!("pending {number} 12.50 AED DYNQR https://pay.example/1"));
    assert!((1..=60_000).contains(&left.parse::<u32>().unwrap()), "{heard}");
    assert_eq!(page.asked(), [""; 0], "nobody pays within the first seconds");
    page.run(attend);
    assert_eq!(page.asked(), [r#"GET /v1/orders/NUMBER "1" wait=25"#]);
    page.answer(200, PAID);
    assert_eq!(page.last_heard().trim_end(), format!("paid {number} 12.50 AED"));
    page.run(resume);
    assert_eq!(page.asked(), [""; 0], "nothing is asked about a paid order");
}

#[wasm_bindgen_test]
fn a_backend_that_does_not_hold_is_not_asked_again_at_once() {
    let page = Page::started(200, PENDING);
    page.run(attend);
    page.asked();
    page.answer(304, "");
    assert_eq!(page.asked(), [""; 0]);
}

#[wasm_bindgen_test]
async fn it_asks_again_when_it_is_woken_at_the_time_that_it_has_asked_for() {
    let page = Page::open();
    page.run(|handle| start(handle, "").unwrap());
    page.answer(503, "");
    page.asked();
    let after = page.wake_after.get().expect("it wants to be woken");
    assert!((900.0..=2_000.0).contains(&after), "{after} ms");
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as just seen")]
    TimeoutFuture::new(after as u32 + 1).await;
    page.run(wake);
    assert_eq!(page.asked(), ["GET /v1/orders/NUMBER"]);
}

#[wasm_bindgen_test]
fn what_is_closed_is_aborted() {
    let page = Page::open();
    page.run(|handle| start(handle, "").unwrap());
    assert!(page.is_asking());
    close(page.handle);
    assert!(!page.is_asking());
}

#[wasm_bindgen_test]
fn the_number_outlives_the_page() {
    let first = Page::started(200, PENDING);
    let number = first.last_heard().split(' ').nth(1).unwrap().to_owned();
    let second = Page::open();
    restore(second.handle, &first.kept.borrow());
    second.run(resume);
    assert_eq!(second.asked(), ["GET /v1/orders/NUMBER"]);
    second.answer(200, PAID);
    assert_eq!(second.last_heard().split(' ').nth(1), Some(&number[..]));
}

#[wasm_bindgen_test]
fn what_is_kept_and_cannot_be_read_is_nothing() {
    for kept in ["", "1 <script> DYNQR"] {
        let page = Page::open();
        restore(page.handle, kept);
        page.run(resume);
        assert_eq!(page.asked(), ["GET /v1/purchase"]);
        page.answer(404, "");
        assert_eq!(page.last_heard(), "idle");
    }
}

#[wasm_bindgen_test]
fn what_cannot_be_read_or_believed_is_no_outcome() {
    for (status, json) in [
        (0, ""),
        (200, ""),
        (200, "[]"),
        (200, r#"{"status":"paid"}"#),
        (
            200,
            r#"{"orderNumber":"OTHER","status":"paid","gatewayStatus":"PAID_SUCCESS","amount":{"amount":"12.50","currency":"AED"},"version":1,"expiresInMs":0}"#,
        ),
        (
            200,
            r#"{"orderNumber":"NUMBER","status":"paid","gatewayStatus":"CREATED","amount":{"amount":"12.50","currency":"AED"},"version":1,"expiresInMs":0}"#,
        ),
        (
            200,
            r#"{"orderNumber":"NUMBER","status":"paid","gatewayStatus":"PAID_SUCCESS","amount":{"amount":12.5,"currency":"AED"},"version":1,"expiresInMs":0}"#,
        ),
        (302, PAID),
        (429, PAID),
        (500, PAID),
    ] {
        let page = Page::started(status, json);
        assert!(page.heard.borrow()[0].starts_with("unknown "), "{status} {json}");
        assert!(page.heard.borrow()[1..].iter().all(|heard| heard == "alert mismatch"), "{status} {json}");
    }
}

#[wasm_bindgen_test]
fn an_amount_other_than_the_shown_one_is_not_believed() {
    let page = Page::expecting("12.51");
    page.run(|handle| start(handle, "").unwrap());
    page.answer(200, PENDING);
    assert!(page.heard.borrow()[0].starts_with("unknown "), "{}", page.heard.borrow()[0]);
    assert_eq!(page.heard.borrow()[1..], ["alert mismatch"]);
}

#[wasm_bindgen_test]
fn a_refusal_is_heard_with_what_the_proxy_said() {
    let page = Page::started(400, r#"{"code":"invalid_request","detail":"no"}"#);
    assert_eq!(page.last_heard(), "stop refused 400 invalid_request no");
    let page = Page::started(409, r#"{"code":"order_differs"}"#);
    assert_eq!(page.last_heard().trim_end(), "stop refused 409 order_differs");
    let page = Page::started(404, "");
    assert_eq!(page.last_heard(), "stop token_rejected 404");
}

#[wasm_bindgen_test]
fn a_refusal_that_is_not_the_proxys_is_trouble() {
    for (status, json) in [(403, ""), (401, "{}"), (400, "null"), (409, r#"{"code":7}"#), (451, r#""code""#)] {
        let page = Page::started(status, json);
        assert!(page.last_heard().starts_with("unknown "), "{status} {json}: {}", page.last_heard());
        page.run(attend);
        assert_eq!(page.asked().len(), 2, "{status} {json}: it is asked again");
    }
}

#[wasm_bindgen_test]
fn a_conflict_is_told_and_alerts() {
    let conflict = PAID.replace("\"paid\"", "\"conflict\"");
    let page = Page::started(200, &conflict);
    let heard = page.heard.take();
    assert_eq!(heard[heard.len() - 2], "alert conflict");
    assert!(heard[heard.len() - 1].starts_with("conflict "), "{heard:?}");
}

#[wasm_bindgen_test]
fn failures_in_a_row_alert() {
    let page = Page::started(500, "");
    for _ in 0..2 {
        page.run(attend);
        page.answer(500, "");
    }
    assert_eq!(page.last_heard(), "alert failing");
}

#[wasm_bindgen_test]
fn a_retry_asks_and_sends_the_same_creation_again() {
    let page = Page::started(200, PENDING);
    page.asked();
    page.run(retry);
    page.answer(200, PENDING);
    assert_eq!(page.asked(), [r#"GET /v1/orders/NUMBER "1""#, "PUT /v1/orders/NUMBER {}"]);
}

#[wasm_bindgen_test]
fn every_view_is_heard_in_its_order_when_a_cancel_is_followed_by_a_start() {
    let page = Page::started(200, PENDING);
    page.run(cancel);
    page.run(|handle| start(handle, "").unwrap());
    page.answer(200, PENDING);
    page.heard.take();
    let failed = PAID.replace("\"paid\"", "\"failed\"").replace("PAID_SUCCESS", "FAILURE");
    page.answer(200, &failed);
    let heard = page.heard.take();
    let heard: Vec<_> = heard.iter().map(|heard| heard.split(' ').collect::<Vec<_>>()).collect();
    assert_eq!((heard[0][0], heard[1][0], heard.len()), ("failed", "unknown", 2), "{heard:?}");
    assert_ne!(heard[0][1], heard[1][1], "another order");
}

#[wasm_bindgen_test]
fn a_tab_that_follows_hears_what_can_be_read_and_asks_before_it_believes_an_end() {
    let page = Page::started(200, PENDING);
    let number = page.last_heard().split(' ').nth(1).unwrap().to_owned();
    let told = |json: &str| {
        page.run(|handle| hear(handle, &JSON::parse(&json.replace("NUMBER", &number)).unwrap()));
    };
    page.run(|handle| lead(handle, false));
    page.asked();
    page.heard.take();
    for json in ["null", "7", "\"paid\"", "[]", "{}", r#"{"orderNumber":"NUMBER","status":"paid"}"#] {
        told(json);
    }
    page.run(attend);
    assert_eq!((page.heard.take().len(), page.asked().len()), (0, 0), "nonsense says nothing, and the leader asks");
    told(&PENDING.replace("pay.example/1", "pay.example/2").replace("\"version\":1", "\"version\":2"));
    assert!(page.last_heard().contains("pay.example/2"), "{}", page.last_heard());
    assert_eq!(page.asked(), [""; 0]);
    told(PAID);
    assert!(page.last_heard().starts_with("pending "), "{}", page.last_heard());
    assert_eq!(page.asked(), [r#"GET /v1/orders/NUMBER "2""#]);
    page.answer(200, &PAID.replace("\"version\":2", "\"version\":3"));
    assert!(page.last_heard().starts_with("paid "), "{}", page.last_heard());
}

#[wasm_bindgen_test]
fn a_page_that_becomes_visible_or_leads_again_asks_at_once() {
    for tell in [show, lead as fn(usize, bool)] {
        let page = Page::started(200, PENDING);
        page.asked();
        page.run(|handle| tell(handle, false));
        assert_eq!(page.asked(), [""; 0]);
        page.run(|handle| tell(handle, true));
        assert_eq!(page.asked(), [r#"GET /v1/orders/NUMBER "1" wait=25"#]);
    }
}

#[wasm_bindgen_test]
fn an_order_under_another_number_is_gone_on_with() {
    let live = PENDING.replace("NUMBER", "LIVE-1");
    let conflict = format!(r#"{{"code":"order_live","order":{live}}}"#);
    let page = Page::started(409, &conflict);
    assert!(page.last_heard().starts_with("pending LIVE-1 "), "{}", page.last_heard());
}

#[wasm_bindgen_test]
fn a_closed_checkout_hears_and_asks_nothing_more() {
    let page = Page::open();
    page.run(|handle| start(handle, "").unwrap());
    close(page.handle);
    page.heard.take();
    page.asked();
    page.run(cancel);
    page.run(resume);
    assert_eq!((page.heard.take().len(), page.asked().len()), (0, 0));
}

#[wasm_bindgen_test]
fn a_scene_that_does_not_exist_is_refused() {
    let page = Page::open();
    let thrown = list(&start(page.handle, "CASH").unwrap_err());
    assert_eq!(thrown[0], "invalid_argument");
    assert_eq!(page.asked(), [""; 0]);
}
