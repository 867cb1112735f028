//! `certify` against small merchants that follow a script: a good one passes, and for each rule a bad one fails. The clock
//! stands and is moved by the script alone, so that two minutes take none.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Router, extract::State};
use payby_checkout::gateway::signature::VerifyingKey;
use payby_checkout::gateway::wire::ACKNOWLEDGEMENT;
use payby_checkout::time::{Millis, UnixMillis};
use payby_sim::certify::{
    self, CLOSING_DELAY, Case, HttpTrigger, Plan, Report, Trial, Trigger, TriggerFile, Variant, Verdict,
};
use payby_sim::clock::Clock;
use payby_sim::{Running, Settings};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::support::{Bench, KEYS, PARTNER_ID, PATIENCE, key_file, now, order};

/// What a merchant does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bad {
    DoesNothing,
    QueriesTooOften,
    QueriesTooSeldom,
    NeverQueries,
    StopsTooEarly,
    CancelsTooEarly,
    CancelsTooLate,
    NeverCancels,
    CancelsTooOften,
    CancelsTooSeldom,
    CancelsOnceMore,
    MindsOnlyThePayersTime,
    TakesAnotherNumber,
    NeverAlerts,
    AlertsTooLate,
    LeavesOutPartnerId,
    NamesPaybysNumber,
    BelievesForgeries,
    AcknowledgesNothing,
}

/// The merchant's stack: begins an order when it is told to.
struct Merchant {
    bench: Bench,
    clock: Clock,
    bad: Option<Bad>,
    public: VerifyingKey,
    notified: Notify,
    url: String,
}

impl Merchant {
    fn is(&self, bad: Bad) -> bool {
        self.bad == Some(bad)
    }

    fn pass(&self, ms: u64) {
        self.clock.pass(Millis(ms));
    }

    fn now(&self) -> u64 {
        self.clock.now().0
    }

    /// A signed call; the head's code, if an answer came.
    async fn call(&self, call: &str, biz_content: Value, partner_id: bool) -> Option<(String, Value)> {
        let body = json!({"requestTime": self.now(), "bizContent": biz_content}).to_string().into_bytes();
        let sign = self.bench.merchant.sign(&body);
        let mut headers = vec![("sign", sign.as_str())];
        if partner_id {
            headers.push(("Partner-Id", PARTNER_ID));
        }
        let raw = self.bench.post_raw(&format!("acquire2/{call}"), &headers, body).await.ok()?;
        let mut answer: Value = serde_json::from_slice(&raw.body).unwrap();
        Some((answer["head"]["code"].as_str().unwrap().to_owned(), answer["body"]["acquireOrder"].take()))
    }

    async fn place(&self, number: &str, fils: u64, hangs: bool) -> Option<Value> {
        let amount: Value = serde_json::from_str(&format!("{}.{:02}", fils / 100, fils % 100)).unwrap();
        let more = json!({"totalAmount": {"amount": amount, "currency": "AED"}, "notifyUrl": self.url});
        let placed = self.call("placeOrder", order(number, &more), true);
        let answer = if hangs {
            // Long enough, once it has arrived.
            tokio::select! {
                answer = placed => answer,
                _ = self.bench.events("call", 1) => None,
            }
        } else {
            placed.await
        };
        answer.filter(|(code, _)| code == "0").map(|(_, order)| order)
    }

    /// Whether the query was answered, and what with.
    async fn query(&self, number: &str, order_no: Option<&str>) -> Option<String> {
        let reference = match order_no {
            Some(order_no) => json!({"orderNo": order_no}),
            None => json!({"merchantOrderNo": number}),
        };
        let (code, order) = self.call("getOrder", reference, !self.is(Bad::LeavesOutPartnerId)).await?;
        (code == "0").then(|| order["status"].as_str().unwrap().to_owned())
    }

    async fn cancel(&self, number: &str) -> bool {
        let answer = self.call("cancelOrder", json!({"merchantOrderNo": number}), true).await;
        answer.is_some_and(|(code, _)| code == "0")
    }

    async fn alert(&self, number: &str) {
        if self.is(Bad::NeverAlerts) {
            return;
        }
        if self.is(Bad::AlertsTooLate) {
            self.pass(15_000);
        }
        let alert = json!({"alert": "gateway_fails", "orderNumber": number, "message": "…", "at": self.now()});
        self.bench.control("alerts", &alert).await;
    }

    async fn play(&self, trial: Trial) {
        if self.is(Bad::DoesNothing) {
            return self.pass(31_000);
        }
        let case = trial.case;
        let number = format!("CASE-{}", trial.id());
        let placed = self.place(&number, trial.amount().fils(), case == Case::CreateTimesOut).await;
        if placed.is_none() != matches!(case, Case::CreateFails | Case::CreateTimesOut) {
            // Not what this case is about: the missing queries will show it.
            return self.pass(200_000);
        }
        let order_no = placed.as_ref().map(|order| order["orderNo"].as_str().unwrap());
        let order_no = order_no.filter(|_| self.is(Bad::NamesPaybysNumber));
        let between = match self.bad {
            Some(Bad::QueriesTooOften) => 1_500,
            Some(Bad::QueriesTooSeldom) => 6_500,
            _ => 3_000,
        };
        match case {
            Case::Paid | Case::QueriesAtLast if self.is(Bad::NeverQueries) => {}
            Case::Paid | Case::QueriesAtLast => {
                let most = if self.is(Bad::StopsTooEarly) { 2 } else { 20 };
                for _ in 0..most {
                    self.pass(between);
                    if self.query(&number, order_no).await.as_deref() == Some("PAID_SUCCESS") {
                        break;
                    }
                }
            }
            Case::QueriesNever => {
                for _ in 0..if self.is(Bad::StopsTooEarly) { 2 } else { 3 } {
                    self.pass(between);
                    self.query(&number, order_no).await;
                }
                self.alert(&number).await;
            }
            Case::Notified => {
                self.pass(2_000);
                let notified = async {
                    self.notified.notified().await;
                    self.bench.events("notification", 2).await;
                };
                tokio::time::timeout(PATIENCE, notified).await.unwrap();
            }
            _ => self.wait_and_cancel(trial, &number, between, order_no).await,
        }
        self.pass(200_000);
    }

    async fn wait_and_cancel(&self, trial: Trial, number: &str, mut between: u64, order_no: Option<&str>) {
        let start = self.now();
        let patience = match self.bad {
            Some(Bad::CancelsTooEarly) => 15_000,
            Some(Bad::CancelsTooLate) => 121_000,
            Some(Bad::MindsOnlyThePayersTime) => trial.pay_within().0,
            _ => 60_000,
        };
        let mut failures = 0;
        while self.now() - start < patience {
            self.pass(between);
            if self.is(Bad::NeverQueries) || self.query(number, order_no).await.is_some() {
                continue;
            }
            failures += 1;
            if self.is(Bad::TakesAnotherNumber) && failures == 1 {
                self.place(&format!("{number}-AGAIN"), trial.amount().fils(), false).await;
            } else if trial.variant == Variant::Lost {
                self.place(number, trial.amount().fils(), false).await;
            }
            if failures == 3 {
                // A person knows now.
                between = 20_000;
            }
        }
        let between = match self.bad {
            Some(Bad::CancelsTooOften) => 1_500,
            Some(Bad::CancelsTooSeldom) => 11_000,
            _ => 5_000,
        };
        let most = match self.bad {
            Some(Bad::NeverCancels) => 0,
            Some(Bad::StopsTooEarly) => 2,
            _ => 3,
        };
        for tries in 1..=most {
            if self.cancel(number).await {
                if self.is(Bad::CancelsOnceMore) {
                    self.pass(4_000);
                    self.cancel(number).await;
                }
                return;
            }
            if tries < most {
                self.pass(between);
            }
        }
        self.alert(number).await;
    }

    /// The notification's acknowledgement.
    fn acknowledge(&self, headers: &HeaderMap, body: &[u8]) -> (StatusCode, &'static str) {
        let sign = headers.get("sign").map_or(&b""[..], |sign| sign.as_bytes());
        let believed = self.public.verify(body, sign).is_ok() || self.is(Bad::BelievesForgeries);
        self.notified.notify_one();
        if believed && !self.is(Bad::AcknowledgesNothing) {
            (StatusCode::OK, ACKNOWLEDGEMENT)
        } else {
            (StatusCode::FORBIDDEN, "")
        }
    }
}

async fn begin(State(merchant): State<Arc<Merchant>>, body: String) -> StatusCode {
    let trial = trials().find(|trial| body == trial.amount().fils().to_string()).unwrap();
    tokio::spawn(async move { merchant.play(trial).await });
    StatusCode::ACCEPTED
}

async fn notify(State(merchant): State<Arc<Merchant>>, headers: HeaderMap, body: Bytes) -> (StatusCode, &'static str) {
    merchant.acknowledge(&headers, &body)
}

fn trials() -> impl Iterator<Item = Trial> {
    Case::ALL.into_iter().flat_map(Case::trials)
}

async fn certified(trial: Trial, bad: Option<Bad>, expects_alerts: bool, path: &str) -> Report {
    let clock = Clock::standing_at(UnixMillis(now()));
    let settings = Settings { clock: clock.clone(), closing_delay: CLOSING_DELAY, ..Settings::new(KEYS.path()) };
    let simulator: Running = payby_sim::start(settings).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let bench = Bench::before(&simulator);
    let public = VerifyingKey::from_pem(&key_file("payby_public.pem")).unwrap();
    let url = format!("{base}/notify");
    let merchant = Arc::new(Merchant { bench, clock, bad, public, notified: Notify::new(), url });
    let router = Router::new().route("/begin", post(begin)).route("/notify", post(notify)).with_state(merchant);
    let server = tokio::spawn(async { axum::serve(listener, router).await });
    let request = HttpTrigger {
        method: "POST".into(),
        url: format!("{{merchant}}/{path}"),
        headers: [].into(),
        body: "{fils}".into(),
    };
    let file = TriggerFile { all: Some(request), ..TriggerFile::default() };
    let plan = Plan { trigger: Trigger::Http { merchant: base, file }, trials: vec![trial], expects_alerts };
    let report = tokio::time::timeout(PATIENCE, certify::run(&simulator, &plan)).await.unwrap().unwrap();
    server.abort();
    simulator.shutdown().await;
    report
}

fn verdicts(report: &Report, wanted: Verdict) -> Vec<&'static str> {
    let findings = report.cases[0].trials[0].findings.iter();
    findings.filter(|finding| finding.verdict == wanted).map(|finding| finding.rule).collect()
}

const fn plain(case: Case) -> Trial {
    Trial { case, variant: Variant::Plain }
}

const fn lost(case: Case) -> Trial {
    Trial { case, variant: Variant::Lost }
}

const fn unknown(case: Case) -> Trial {
    Trial { case, variant: Variant::Unknown }
}

#[tokio::test]
async fn a_good_merchant_passes_every_case() {
    for trial in trials() {
        let report = certified(trial, None, true, "begin").await;
        assert!(report.passed, "{report}");
        assert_eq!(report.not_observed, 0, "{report}");
        assert_eq!(report.cases[0].trials[0].order_number, Some(format!("CASE-{}", trial.id())));
    }
}

#[tokio::test]
async fn for_each_rule_a_bad_merchant_fails_by_that_rule_alone() {
    const QUERIES: &str = "queries 2 to 6 s apart";
    const CANCELS: &str = "cancels 3 to 10 s apart";
    const FIRST_QUERIES: &str = "queries 2 to 6 s apart, until 3 have failed";
    const OTHER: &str = "no other number before it is cancelled";
    const IN_TIME: &str = "cancel 20 to 120 s after the start";
    const NAMED: &str = "Partner-Id and merchantOrderNo in each request";
    const ALERT: &str = "alert after 3 failures, or 10 s of failures";
    const THREE: &str = "at least 3 cancels, only the last succeeds";
    const FOUND: &str = "the last query finds it paid";
    let once = "query at least once";
    for (trial, bad, rules) in [
        (plain(Case::Paid), Bad::DoesNothing, &["an order is created"][..]),
        (plain(Case::Paid), Bad::NeverQueries, &[once, FOUND]),
        (plain(Case::Paid), Bad::StopsTooEarly, &[FOUND]),
        (plain(Case::Paid), Bad::QueriesTooOften, &[QUERIES]),
        (plain(Case::Paid), Bad::QueriesTooSeldom, &[QUERIES]),
        (plain(Case::Paid), Bad::LeavesOutPartnerId, &[NAMED, FOUND]),
        (plain(Case::Paid), Bad::NamesPaybysNumber, &[NAMED]),
        (plain(Case::PayerLeaves), Bad::NeverQueries, &[once]),
        (plain(Case::PayerLeaves), Bad::CancelsTooEarly, &[IN_TIME]),
        (plain(Case::PayerLeaves), Bad::CancelsTooLate, &[IN_TIME]),
        (plain(Case::PayerLeaves), Bad::NeverCancels, &[IN_TIME]),
        (plain(Case::CreateFails), Bad::CancelsTooEarly, &[IN_TIME]),
        (plain(Case::CreateFails), Bad::QueriesTooSeldom, &[QUERIES]),
        (plain(Case::CreateTimesOut), Bad::NeverCancels, &[IN_TIME]),
        (lost(Case::CreateFails), Bad::TakesAnotherNumber, &[OTHER]),
        (lost(Case::CreateFails), Bad::NeverQueries, &[once]),
        (lost(Case::CreateTimesOut), Bad::CancelsTooLate, &[IN_TIME]),
        (unknown(Case::CreateFails), Bad::MindsOnlyThePayersTime, &[IN_TIME]),
        (unknown(Case::CreateFails), Bad::QueriesTooOften, &[FIRST_QUERIES]),
        (unknown(Case::CreateTimesOut), Bad::MindsOnlyThePayersTime, &[IN_TIME]),
        (unknown(Case::CreateTimesOut), Bad::TakesAnotherNumber, &[OTHER]),
        (plain(Case::CancelsAtLast), Bad::CancelsTooOften, &[CANCELS]),
        (plain(Case::CancelsAtLast), Bad::CancelsTooSeldom, &[CANCELS]),
        (plain(Case::CancelsAtLast), Bad::StopsTooEarly, &[THREE]),
        (plain(Case::CancelsAtLast), Bad::CancelsOnceMore, &[THREE]),
        (plain(Case::CancelsNever), Bad::NeverAlerts, &[ALERT]),
        (plain(Case::CancelsNever), Bad::AlertsTooLate, &[ALERT]),
        (plain(Case::CancelsNever), Bad::StopsTooEarly, &["at least 3 cancels"]),
        (plain(Case::CancelsNever), Bad::CancelsTooOften, &[CANCELS]),
        (plain(Case::QueriesAtLast), Bad::StopsTooEarly, &["at least 3 queries", FOUND]),
        (plain(Case::QueriesAtLast), Bad::QueriesTooOften, &[QUERIES]),
        (plain(Case::QueriesNever), Bad::StopsTooEarly, &["at least 3 queries"]),
        (plain(Case::QueriesNever), Bad::QueriesTooSeldom, &[QUERIES]),
        (plain(Case::QueriesNever), Bad::NeverAlerts, &[ALERT]),
        (plain(Case::QueriesNever), Bad::AlertsTooLate, &[ALERT]),
        (plain(Case::Notified), Bad::BelievesForgeries, &["a forged one is not acknowledged"]),
        (plain(Case::Notified), Bad::AcknowledgesNothing, &["the true one is answered SUCCESS"]),
    ] {
        let report = certified(trial, Some(bad), true, "begin").await;
        assert_eq!(verdicts(&report, Verdict::Fail), rules, "{} {bad:?}\n{report}", trial.id());
        assert!(!report.passed && !report.cases[0].passed);
    }
}

#[tokio::test]
async fn an_alert_that_nobody_sends_anywhere_is_said_to_be_not_observed() {
    let report = certified(plain(Case::QueriesNever), Some(Bad::NeverAlerts), false, "begin").await;
    assert!(report.passed);
    assert_eq!(report.not_observed, 1);
    let unseen = verdicts(&report, Verdict::NotObserved);
    assert_eq!(unseen, ["alert after 3 failures, or 10 s of failures"]);
}

#[tokio::test]
async fn a_merchant_that_cannot_be_asked_is_said_to_be_so() {
    let report = certified(plain(Case::Paid), None, false, "elsewhere").await;
    assert!(!report.passed);
    let finding = &report.cases[0].trials[0].findings[0];
    assert_eq!((finding.rule, &*finding.seen), ("an order is created", "the merchant answered HTTP 404: "));
}

#[tokio::test]
async fn a_merchant_that_minds_only_the_payers_time_passes_where_that_is_what_ends_the_order() {
    for trial in [plain(Case::PayerLeaves), plain(Case::CreateFails), lost(Case::CreateTimesOut)] {
        let report = certified(trial, Some(Bad::MindsOnlyThePayersTime), true, "begin").await;
        assert!(report.passed, "{report}");
    }
}

#[tokio::test]
async fn a_stack_that_is_still_starting_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stack = async {
        drop(listener.accept().await.unwrap());
        for status in ["503 Service Unavailable", "503 Service Unavailable", "404 Not Found"] {
            let (mut connection, _) = listener.accept().await.unwrap();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            assert_ne!(connection.read(&mut [0; 4096]).await.unwrap(), 0);
            connection.write_all(answer.as_bytes()).await.unwrap();
        }
    };
    let mut told = Vec::new();
    let waited = certify::wait_for(&url, PATIENCE, |why| told.push(why.to_owned()));
    let (waited, ()) = tokio::join!(waited, stack);
    waited.unwrap();
    assert_eq!(told.len(), 2, "each reason once: {told:?}");
    assert_eq!(told[1], "HTTP 503 Service Unavailable");
}

#[tokio::test]
async fn the_orders_of_a_case_stand_under_it_in_the_report() {
    let report = certified(lost(Case::CreateFails), Some(Bad::NeverQueries), true, "begin").await;
    let table = report.to_string();
    let expected = "\
003 the creation answers SYSTEM_ERROR                                                       FAIL
  it never arrived (CASE-003b)
    Partner-Id and merchantOrderNo in each request    4 calls                               pass
    query at least once                               0 queries                             FAIL
";
    assert!(table.starts_with(expected), "{table}");
    assert_eq!(serde_json::to_value(&report).unwrap()["cases"][0]["trials"][0]["title"], "it never arrived");
}

#[tokio::test]
async fn the_report_is_a_table_and_json() {
    let report = certified(plain(Case::PayerLeaves), Some(Bad::NeverCancels), true, "begin").await;
    let table = report.to_string();
    let expected = "\
002 the payer leaves, and the time runs out (CASE-002)                                      FAIL
    Partner-Id and merchantOrderNo in each request    21 calls                              pass
    query at least once                               20 queries                            pass
    queries 2 to 6 s apart                            3.0 s to 3.0 s                        pass
    cancel 20 to 120 s after the start                no cancel                             FAIL

0 of 1 cases passed
";
    assert_eq!(table, expected);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["passed"], false);
    assert_eq!(json["cases"][0]["case"], "002");
    assert_eq!(
        json["cases"][0]["trials"][0]["findings"][3],
        json!({"rule": "cancel 20 to 120 s after the start", "seen": "no cancel", "verdict": "fail"})
    );
}
