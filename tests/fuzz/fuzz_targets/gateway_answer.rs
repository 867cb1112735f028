//! What PayBy answers, under any bytes and signatures: the proxy calls a gateway on a loopback address that says them, and
//! believes only what is signed and names the number, the amount and the currency that it has asked about (R10).
//!
//! ```sh
//! cargo fuzz run --fuzz-dir tests/fuzz --sanitizer none gateway_answer -- -max_total_time=600
//! ```
#![no_main]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, LazyLock, Mutex};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use payby_checkout::gateway::signature::{SigningKey, VerifyingKey};
use payby_checkout::gateway::wire::{AcquireBody, Answer, RefundBody, TransferBody};
use payby_checkout::hop::Outcome;
use payby_checkout::order::Status;
use payby_checkout::time::Millis;
use payby_checkout_fuzz::{Changes, NOW, WORDS, money, number, reads_back, refund, told_at, written_at};
use payby_proxy::alerts::Alerts;
use payby_proxy::config::{Clock, GatewayConfig};
use payby_proxy::gateway::{Gateway, RefundOutcome, Told};
use payby_proxy::metrics::Metrics;
use tokio::runtime::Runtime;

const ORDER: &str = r#"{"head":{"applyStatus":§"SUCCESS"§,"code":§"0"§,"msg":§"SUCCESS"§,"traceCode":§"843909"§},
    "body":{"acquireOrder":{"merchantOrderNo":§"M-1"§,"orderNo":§"131"§,"status":§"CREATED"§,
    "totalAmount":{"amount":§12.50§,"currency":§"AED"§},"expiredTime":§1795009000000§,"failCode":§null§,
    "revoked":§"false"§},"interActionParams":§{"tokenUrl":"https://pay.example/1"}§}}"#;

const REFUND: &str = r#"{"head":{"applyStatus":§"SUCCESS"§,"code":§"0"§,"msg":§"SUCCESS"§},
    "body":{"refundOrder":{"refundMerchantOrderNo":§"R-1"§,"orderNo":§"132"§,"originMerchantOrderNo":§"M-1"§,
    "status":§"SUCCESS"§,"amount":{"amount":§12.50§,"currency":§"AED"§},"failCode":§null§},
    "refundSummary":{"acquireAmount":{"amount":§20.00§,"currency":"AED"},"remainRefundAmount":§null§}}}"#;

const TRANSFER: &str = r#"{"head":{"applyStatus":§"SUCCESS"§,"code":§"0"§,"msg":§"SUCCESS"§},
    "body":{"transferOrder":{"merchantOrderNo":§"T-1"§,"orderNo":§"133"§,"status":§"SUCCESS"§,
    "amount":{"amount":§12.50§,"currency":§"AED"§},"beneficiaryIdentityType":§"PHONE_NO"§,
    "beneficiaryFullName":§"A. B."§}}}"#;

/// The codes that leave open what was done (R2).
const DOUBTFUL: [&str; 4] = ["402", "404", "500", "504"];

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Order,
    Refund,
    Transfer,
}

/// How an answer is sent.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Signed,
    Unsigned,
    SignedForAnother,
    WithStatus500,
}

fuzz_target!(|given: (Asked, Changes, Sent)| {
    let (asked, changes, sent) = given;
    let body = changes.made_to([ORDER, REFUND, TRANSFER][asked as usize], WORDS);
    reads_back::<Answer<AcquireBody>>(&body);
    reads_back::<Answer<RefundBody>>(&body);
    reads_back::<Answer<TransferBody>>(&body);
    World::get().says(&body, sent);
    let understood = match asked {
        Asked::Order => an_order_is_what_the_answer_says(&body),
        Asked::Refund => a_refund_is_what_the_answer_says(&body),
        Asked::Transfer => a_transfer_is_what_the_answer_says(&body),
    };
    assert!(!understood || sent == Sent::Signed, "what is not signed says nothing");
    assert!(understood || !changes.are_none() || sent != Sent::Signed, "what is right is understood");
});

/// Each answers whether the proxy has learnt anything.
fn an_order_is_what_the_answer_says(body: &[u8]) -> bool {
    let world = World::get();
    let outcome = world.runtime.block_on(world.gateway.query(&number("M-1"), money(), NOW));
    let code = told_at(body, &["head", "code"]).unwrap_or_default();
    match outcome {
        Outcome::Known { state, .. } => {
            says_yes(body);
            names(body, &["body", "acquireOrder"], "merchantOrderNo", "M-1");
            costs(body, &["body", "acquireOrder", "totalAmount"]);
            let says = told_at(body, &["body", "acquireOrder", "status"]);
            let is_paid = matches!(says.as_deref(), Some("PAID_SUCCESS" | "SETTLED"));
            assert!(is_paid || state.status() != Status::Paid);
        }
        Outcome::Taken => assert!(["62001", "62002", "62003", "62016"].contains(&&*code)),
        Outcome::Missing => assert_eq!(code, "62004"),
        Outcome::Refused { code: refused, .. } => is_a_refusal(&code, &refused),
        Outcome::Unknown => return false,
    }
    true
}

fn a_refund_is_what_the_answer_says(body: &[u8]) -> bool {
    let world = World::get();
    let code = told_at(body, &["head", "code"]).unwrap_or_default();
    match world.runtime.block_on(world.gateway.query_refund(&refund(), NOW)) {
        RefundOutcome::Known(_) => {
            says_yes(body);
            names(body, &["body", "refundOrder"], "refundMerchantOrderNo", "R-1");
            costs(body, &["body", "refundOrder", "amount"]);
            let order = written_at(body, &["body", "refundOrder", "originMerchantOrderNo"]);
            if order.is_some_and(|order| order != "null") {
                names(body, &["body", "refundOrder"], "originMerchantOrderNo", "M-1");
            }
        }
        RefundOutcome::Missing => assert_eq!(code, "62007"),
        RefundOutcome::Refused(refusal) => is_a_refusal(&code, &refusal.code),
        RefundOutcome::Unknown => return false,
    }
    true
}

fn a_transfer_is_what_the_answer_says(body: &[u8]) -> bool {
    let world = World::get();
    match world.runtime.block_on(world.gateway.query_transfer(&number("T-1"), NOW)) {
        Told::Known(_) => {
            says_yes(body);
            names(body, &["body", "transferOrder"], "merchantOrderNo", "T-1");
        }
        Told::Missing => assert_eq!(told_at(body, &["head", "code"]).as_deref(), Some("62004")),
        Told::Unknown => return false,
    }
    true
}

fn says_yes(body: &[u8]) {
    assert_eq!(told_at(body, &["head", "applyStatus"]).as_deref(), Some("SUCCESS"));
    assert_eq!(told_at(body, &["head", "code"]).as_deref(), Some("0"));
}

fn is_a_refusal(code: &str, refused: &str) {
    assert_eq!(code, refused);
    assert!(code != "0" && !DOUBTFUL.contains(&code));
}

fn names(body: &[u8], path: &[&str], name: &str, number: &str) {
    assert_eq!(told_at(body, &[path, &[name]].concat()).as_deref(), Some(number));
}

fn costs(body: &[u8], path: &[&str]) {
    let amount = written_at(body, &[path, &["amount"]].concat());
    assert!(matches!(amount.as_deref(), Some("12.5" | "12.50")), "{amount:?}");
    assert_eq!(told_at(body, &[path, &["currency"]].concat()).as_deref(), Some("AED"));
}

/// The proxy's way to the gateway, and a gateway at its end.
struct World {
    runtime: Runtime,
    gateway: Gateway,
    signing: SigningKey,
    /// What is answered next, head and all.
    next: Arc<Mutex<Vec<u8>>>,
}

impl World {
    fn get() -> &'static Self {
        static WORLD: LazyLock<World> = LazyLock::new(World::new);
        &WORLD
    }

    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (private, public) = SigningKey::generate_pem().expect("a key");
        let key = || SigningKey::from_pem(&private).expect("a key");
        let config = GatewayConfig {
            base_url: format!("http://{}", listener.local_addr().expect("an address")),
            partner_id: "200000000001".to_owned(),
            private_key: key(),
            payby_public_key: VerifyingKey::from_pem(&public).expect("a key"),
            timeout: Millis(10_000),
        };
        let metrics = Arc::new(Metrics::default());
        let (alerts, _) = Alerts::new(Clock::new(|| NOW), Arc::clone(&metrics), false);
        let next = Arc::new(Mutex::default());
        let answers = Arc::clone(&next);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answers = Arc::clone(&answers);
                std::thread::spawn(move || answer(stream, &answers));
            }
        });
        Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"),
            gateway: Gateway::new(config, alerts, metrics).expect("a client"),
            signing: key(),
            next,
        }
    }

    fn says(&self, body: &[u8], sent: Sent) {
        let status = if sent == Sent::WithStatus500 { "500 Internal Server Error" } else { "200 OK" };
        let sign = match sent {
            Sent::Unsigned => String::new(),
            Sent::SignedForAnother => format!("sign: {}\r\n", self.signing.sign(&[body, b" "].concat())),
            Sent::Signed | Sent::WithStatus500 => format!("sign: {}\r\n", self.signing.sign(body)),
        };
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{sign}\r\n", body.len());
        *self.next.lock().expect("nobody panics with it") = [head.as_bytes(), body].concat();
    }
}

/// Reads requests and answers them, until the other side goes away.
fn answer(stream: TcpStream, next: &Mutex<Vec<u8>>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(&stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            let read = reader.read_line(&mut line).ok()?;
            match line.trim_end().split_once(": ") {
                _ if read == 0 => return None,
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().ok()?,
                None if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        reader.read_exact(&mut vec![0; length]).ok()?;
        (&stream).write_all(&next.lock().ok()?).ok()?;
    }
}
