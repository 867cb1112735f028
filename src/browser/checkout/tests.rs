//! Runs in a real browser: `cargo xtask test wasm`.

use std::rc::Rc;

use js_sys::{Array, JSON};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

use super::*;

wasm_bindgen_test_configure!(run_in_browser);

const PENDING: &str = r#"{"orderNumber":"NUMBER","status":"pending","gatewayStatus":"CREATED","revoked":false,
    "amount":{"amount":"12.50","currency":"AED"},"scene":"DYNQR","payUrl":"https://pay.example/1","version":1,"expiresInMs":60000}"#;
const PAID: &str = r#"{"orderNumber":"NUMBER","status":"paid","gatewayStatus":"PAID_SUCCESS","revoked":false,
    "amount":{"amount":"12.50","currency":"AED"},"scene":"DYNQR","version":2,"expiresInMs":0}"#;

type Listener = dyn FnMut(JsValue, JsValue);
type Fetch = dyn FnMut(String, String, Option<String>, Option<String>, Option<String>, JsValue, Function);

/// A stand-in for the page and its proxy: it notes what it hears and what is asked, and answers when it is told to.
struct Page {
    heard: Rc<RefCell<Vec<String>>>,
    asked: Rc<RefCell<Vec<String>>>,
    /// The request in flight: its order number, and how to answer it.
    in_flight: Rc<RefCell<Option<(String, Function)>>>,
    handle: usize,
    _kept: (Closure<Listener>, Closure<Fetch>),
}

impl Page {
    fn open(token: &str) -> Self {
        Self::expecting(token, "")
    }

    fn expecting(token: &str, amount: &str) -> Self {
        let (heard, asked, in_flight) =
            <(Rc<RefCell<Vec<String>>>, Rc<RefCell<Vec<String>>>, Rc<RefCell<_>>)>::default();
        let hear = heard.clone();
        let listener = Closure::<Listener>::new(move |view: JsValue, stop: JsValue| {
            let list = if view.is_undefined() { stop } else { view };
            hear.borrow_mut().push(String::from(Array::from(&list).join(" ")));
        });
        let (ask, send) = (asked.clone(), in_flight.clone());
        let fetch = Closure::<Fetch>::new(move |method, path: String, body, version, prefer, _, done| {
            let number = path.split('/').nth(3).unwrap_or("none").to_owned();
            let parts = [Some(method), Some(path.replace(&number, "NUMBER")), body, version, prefer];
            ask.borrow_mut().push(parts.into_iter().flatten().collect::<Vec<_>>().join(" "));
            send.replace(Some((number, done)));
        });
        let handle =
            open(token, listener.as_ref().clone().unchecked_into(), fetch.as_ref().clone().unchecked_into(), amount)
                .unwrap();
        Self { heard, asked, in_flight, handle, _kept: (listener, fetch) }
    }

    /// A page that has started, with its first request answered.
    fn started(token: &str, status: u16, json: &str) -> Self {
        let page = Self::open(token);
        start(page.handle, "").unwrap();
        page.answer(status, json);
        page
    }

    /// Answers the request in flight; `NUMBER` in `json` is the order number that was asked for.
    fn answer(&self, status: u16, json: &str) {
        let (number, done) = self.in_flight.take().expect("a request is in flight");
        let json = JSON::parse(&json.replace("NUMBER", &number)).unwrap_or(JsValue::UNDEFINED);
        done.call3(&JsValue::NULL, &status.into(), &JsValue::NULL, &json).unwrap();
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
    let page = Page::open("a-payment");
    start(page.handle, "DYNQR").unwrap();
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
    attend(page.handle);
    assert_eq!(page.asked(), [r#"GET /v1/orders/NUMBER "1" wait=25"#]);
    page.answer(200, PAID);
    assert_eq!(page.last_heard().trim_end(), format!("paid {number} 12.50 AED"));
    resume(page.handle);
    assert_eq!(page.asked(), [""; 0], "nothing is asked about a paid order");
}

#[wasm_bindgen_test]
fn a_backend_that_does_not_hold_is_not_asked_again_at_once() {
    let page = Page::started("not-held", 200, PENDING);
    attend(page.handle);
    page.asked();
    page.answer(304, "");
    assert_eq!(page.asked(), [""; 0]);
}

#[wasm_bindgen_test]
fn the_number_outlives_the_page() {
    let first = Page::started("reloaded", 200, PENDING);
    let number = first.last_heard().split(' ').nth(1).unwrap().to_owned();
    drop(first);
    let second = Page::open("reloaded");
    resume(second.handle);
    assert_eq!(second.asked(), ["GET /v1/orders/NUMBER"]);
    second.answer(200, PAID);
    assert_eq!(second.last_heard().split(' ').nth(1), Some(&number[..]));
}

#[wasm_bindgen_test]
fn another_token_finds_nothing_of_it_in_the_storage() {
    let _mine = Page::started("mine", 200, PENDING);
    let other = Page::open("not-mine");
    resume(other.handle);
    assert_eq!(other.asked(), ["GET /v1/purchase"]);
    other.answer(404, "");
    assert_eq!(other.last_heard(), "idle");
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
        // A token of its own: the last one's number is still in the storage.
        let page = Page::started(&format!("unreadable-{status}-{}", json.len()), status, json);
        assert!(page.last_heard().starts_with("unknown "), "{status} {json}: {}", page.last_heard());
    }
}

#[wasm_bindgen_test]
fn an_amount_other_than_the_shown_one_is_not_believed() {
    let page = Page::expecting("shown", "12.51");
    start(page.handle, "").unwrap();
    page.answer(200, PENDING);
    assert!(page.last_heard().starts_with("unknown "), "{}", page.last_heard());
}

#[wasm_bindgen_test]
fn a_refusal_is_heard_with_what_the_proxy_said() {
    let page = Page::started("refused", 400, r#"{"code":"invalid_request","detail":"no"}"#);
    assert_eq!(page.last_heard(), "refused 400 invalid_request no");
    let page = Page::started("rejected", 404, "");
    assert_eq!(page.last_heard(), "token_rejected 404");
}

#[wasm_bindgen_test]
fn an_order_under_another_number_is_gone_on_with() {
    let live = PENDING.replace("NUMBER", "LIVE-1");
    let conflict = format!(r#"{{"code":"order_live","order":{live}}}"#);
    let page = Page::started("elsewhere", 409, &conflict);
    assert!(page.last_heard().starts_with("pending LIVE-1 "), "{}", page.last_heard());
}

#[wasm_bindgen_test]
fn a_closed_checkout_hears_and_asks_nothing_more() {
    let page = Page::open("closed");
    start(page.handle, "").unwrap();
    close(page.handle);
    page.heard.take();
    page.asked();
    cancel(page.handle);
    resume(page.handle);
    assert_eq!((page.heard.take().len(), page.asked().len()), (0, 0));
}

#[wasm_bindgen_test]
fn a_scene_that_does_not_exist_is_refused() {
    let page = Page::open("scene");
    let thrown = list(&start(page.handle, "CASH").unwrap_err());
    assert_eq!(thrown[0], "invalid_argument");
    assert_eq!(page.asked(), [""; 0]);
}
