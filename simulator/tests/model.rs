//! PayBy's rules, checked on the model alone: no socket, no clock, no waiting.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use payby_checkout::gateway::wire::{
    AcquireBody, Notification, RefundBody, RefundNotification, RefundStatus, TransferBody, TransferStatus, WireBool,
};
use payby_checkout::order::GatewayStatus;
use payby_checkout::time::{Millis, UnixMillis};
use payby_sim::model::{Action, Delivery, Envelope, Model, RETRY_DELAYS, Refusal, Reply};
use proptest::prelude::*;

const START: UnixMillis = UnixMillis(1_700_000_000_000);
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// A model and a time, with everything asked for at that time.
struct Bench {
    model: Model,
    now: UnixMillis,
    tokens: u32,
}

impl Bench {
    fn new() -> Self {
        Self { model: Model::new("https://sim.example/cashier".to_owned()), now: START, tokens: 0 }
    }

    fn place(&mut self, biz_content: &str) -> Reply {
        self.tokens += 1;
        self.model.place_order(self.now, self.now, biz_content, format!("token{}", self.tokens))
    }

    fn get(&mut self, number: &str) -> Reply {
        self.model.get_order(self.now, self.now, &format!(r#"{{"merchantOrderNo":"{number}"}}"#))
    }

    fn cancel(&mut self, number: &str) -> Reply {
        self.model.cancel_order(self.now, self.now, &format!(r#"{{"merchantOrderNo":"{number}"}}"#))
    }

    fn revoke(&mut self, number: &str) -> Reply {
        self.model.revoke_order(self.now, self.now, &format!(r#"{{"merchantOrderNo":"{number}"}}"#))
    }

    fn refund(&mut self, biz_content: &str) -> Reply<RefundBody> {
        self.model.place_refund(self.now, self.now, biz_content)
    }

    fn get_refund(&mut self, number: &str) -> Reply<RefundBody> {
        self.model.get_refund(self.now, self.now, &format!(r#"{{"refundMerchantOrderNo":"{number}"}}"#))
    }

    fn act(&mut self, number: &str, action: Action) -> bool {
        let id = self.model.by_number(number).unwrap();
        self.model.act(self.now, id, action)
    }

    fn status(&mut self, number: &str) -> GatewayStatus {
        self.get(number).unwrap().acquire_order.status
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now.plus(Millis(ms));
    }

    fn due(&mut self) -> Vec<Delivery> {
        self.model.take_due(self.now)
    }

    /// An order that has come to that end.
    fn finish(&mut self, number: &str, end: End) {
        self.place(&order(number)).unwrap();
        match end {
            End::Paid => assert!(self.act(number, Action::Pay)),
            End::Settled => assert!(self.act(number, Action::Pay) && self.act(number, Action::Settle)),
            End::Declined => assert!(self.act(number, Action::Decline)),
            End::Cancelled => drop(self.cancel(number).unwrap()),
            End::Expired => self.pass(2 * HOUR),
            End::Revoked => {
                assert!(self.act(number, Action::Pay));
                drop(self.revoke(number).unwrap());
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum End {
    Revoked,
    Paid,
    Settled,
    Declined,
    Cancelled,
    Expired,
}

/// `placeOrder`'s bizContent with more fields, which begin with a comma.
fn order_with(number: &str, more: &str) -> String {
    format!(
        r#"{{"merchantOrderNo":"{number}","subject":"Coffee","totalAmount":{{"amount":12.50,"currency":"AED"}},"paySceneCode":"DYNQR"{more}}}"#
    )
}

fn order(number: &str) -> String {
    order_with(number, "")
}

fn notified(number: &str) -> String {
    order_with(number, r#","notifyUrl":"http://shop.example/notify""#)
}

fn code<B>(reply: Reply<B>) -> String {
    match reply {
        Ok(_) => "0".to_owned(),
        Err(refusal) => refusal.code.to_owned(),
    }
}

fn msg(reply: Reply) -> String {
    reply.unwrap_err().msg.into_owned()
}

fn token_url(reply: Reply) -> Option<String> {
    reply.unwrap().inter_action_params.map(|params| params.token_url)
}

#[test]
fn a_new_order_is_open_and_says_where_to_pay() {
    let mut bench = Bench::new();
    let AcquireBody { acquire_order, inter_action_params } =
        bench.place(&order_with("M-1", r#","reserved":"note","unknownField":[1]"#)).unwrap();
    assert_eq!(acquire_order.merchant_order_no.as_str(), "M-1");
    assert_eq!(acquire_order.status, GatewayStatus::Created);
    assert_eq!(acquire_order.total_amount.0.amount.fils(), 1250);
    assert_eq!(acquire_order.request_time, Some(START));
    assert_eq!(
        acquire_order.expired_time,
        Some(START.plus(Millis(2 * HOUR))),
        "2 h unless the merchant says otherwise"
    );
    assert_eq!(acquire_order.reserved.as_deref(), Some("note"));
    assert_eq!(acquire_order.payment_info, None);
    assert_eq!(inter_action_params.unwrap().token_url, "https://sim.example/cashier/token1");
}

#[test]
fn the_same_bytes_again_create_nothing() {
    let mut bench = Bench::new();
    let first = bench.place(&order("M-1")).unwrap();
    bench.pass(3 * MINUTE); // So that its requestTime is another one, too.
    assert_eq!(bench.place(&order("M-1")).unwrap(), first);
    assert_eq!(bench.model.orders().map(payby_sim::model::Order::place_order_calls).collect::<Vec<_>>(), [2]);
}

#[test]
fn other_bytes_under_the_same_number_are_refused_whatever_became_of_the_order() {
    for end in [None, Some(End::Paid), Some(End::Cancelled)] {
        let mut bench = Bench::new();
        match end {
            None => drop(bench.place(&order("M-1")).unwrap()),
            Some(end) => bench.finish("M-1", end),
        }
        for other in [order("M-1").replace("12.50", "12.51"), order("M-1").replace("12.50", "12.5"), order("M-1") + " "]
        {
            assert_eq!(code(bench.place(&other)), "62016", "{end:?} {other}");
        }
        assert_eq!(bench.model.orders().count(), 1);
    }
}

#[test]
fn a_finished_order_cannot_be_opened_again_nor_cancelled() {
    for (end, expected) in [
        (End::Paid, "62001"),
        (End::Settled, "62003"),
        (End::Declined, "62002"),
        (End::Cancelled, "62002"),
        (End::Expired, "62002"),
        (End::Revoked, "62002"),
    ] {
        let mut bench = Bench::new();
        bench.finish("M-1", end);
        let before = bench.get("M-1").unwrap();
        assert_eq!(code(bench.place(&order("M-1"))), expected, "{end:?}");
        assert_eq!(code(bench.cancel("M-1")), expected, "{end:?}");
        assert!(!bench.act("M-1", Action::Decline), "{end:?}");
        assert_eq!(bench.get("M-1").unwrap(), before, "{end:?}");
    }
}

#[test]
fn only_an_answer_to_place_order_says_where_to_pay() {
    let mut bench = Bench::new();
    bench.place(&order("M-1")).unwrap();
    assert_eq!(token_url(bench.get("M-1")), None);
    assert_eq!(token_url(bench.cancel("M-1")), None);
}

#[test]
fn how_an_order_ended_is_told() {
    for (end, status, fail_code, paid) in [
        (End::Paid, GatewayStatus::PaidSuccess, None, true),
        (End::Settled, GatewayStatus::Settled, None, true),
        (End::Declined, GatewayStatus::Failure, Some("PAYMENT_DECLINED"), false),
        (End::Cancelled, GatewayStatus::Failure, Some("ORDER_CANCELLED"), false),
        (End::Expired, GatewayStatus::Failure, Some("ORDER_EXPIRED"), false),
        (End::Revoked, GatewayStatus::Failure, None, true),
    ] {
        let mut bench = Bench::new();
        bench.finish("M-1", end);
        let order = bench.get("M-1").unwrap().acquire_order;
        assert_eq!(order.status, status, "{end:?}");
        assert_eq!(order.fail_code.as_deref(), fail_code, "{end:?}");
        assert_eq!(order.fail_des.is_some(), fail_code.is_some(), "{end:?}");
        assert_eq!(order.revoked, Some(WireBool(matches!(end, End::Revoked))), "{end:?}");
        let paid_amount = order.payment_info.and_then(|info| info.paid_amount);
        assert_eq!(paid_amount, paid.then_some(order.total_amount), "{end:?}");
    }
}

#[test]
fn a_request_may_be_15_minutes_from_the_clock() {
    let window = 15 * MINUTE;
    for (request_time, expected) in [
        (START.0 - window - 1, Err("REQUESTTIME_TOO_EARLY")),
        (START.0 - window, Ok(())),
        (START.0 + window, Ok(())),
        (START.0 + window + 1, Err("REQUESTTIME_TOO_LATER")),
    ] {
        let mut bench = Bench::new();
        bench.place(&order("M-1")).unwrap();
        let request_time = UnixMillis(request_time);
        let reference = r#"{"merchantOrderNo":"M-1"}"#;
        for reply in [
            bench.model.place_order(START, request_time, &order("M-2"), "t".to_owned()),
            bench.model.get_order(START, request_time, reference),
            bench.model.cancel_order(START, request_time, reference),
        ] {
            let outcome = reply.map(drop).map_err(|refusal| (refusal.code, refusal.msg));
            assert_eq!(outcome, expected.map_err(|msg| ("400", msg.into())), "{request_time:?}");
        }
    }
}

#[test]
fn expired_time_is_between_request_time_and_48_hours_later() {
    for (expired_time, expected) in
        [(START.0 - 1, "62008"), (START.0 + 1, "0"), (START.0 + 48 * HOUR, "0"), (START.0 + 48 * HOUR + 1, "62009")]
    {
        let reply = Bench::new().place(&order_with("M-1", &format!(r#","expiredTime":{expired_time}"#)));
        assert_eq!(code(reply), expected, "{expired_time}");
    }
}

#[test]
fn a_request_that_comes_too_late_for_its_own_expiry_is_an_expired_order() {
    let mut bench = Bench::new();
    let biz_content = order_with("M-1", &format!(r#","expiredTime":{}"#, START.0 + MINUTE));
    bench.pass(2 * MINUTE);
    let body = bench.model.place_order(bench.now, START, &biz_content, "t".to_owned()).unwrap();
    assert_eq!(body.acquire_order.fail_code.as_deref(), Some("ORDER_EXPIRED"));
    assert_eq!(body.inter_action_params, None);
}

#[test]
fn what_is_wrong_with_an_order_is_said() {
    let long = |n| "x".repeat(n);
    for (biz_content, expected) in [
        (
            order("M 1"),
            "INVALID_PARAMETER: merchantOrderNo: an order number has ' ' at position 1: only A-Z, a-z, 0-9, - and _ are allowed",
        ),
        (
            order(&long(65)),
            "INVALID_PARAMETER: merchantOrderNo: an order number has 65 symbols: at most 64 are allowed",
        ),
        (order("M-1").replace(r#""subject":"Coffee","#, ""), "INVALID_PARAMETER: bizContent: missing field `subject`"),
        (order("M-1").replace("Coffee", ""), "INVALID_PARAMETER: subject: 0 characters, allowed are 1 to 128"),
        (
            order("M-1").replace("Coffee", &long(129)),
            "INVALID_PARAMETER: subject: 129 characters, allowed are 1 to 128",
        ),
        (
            order("M-1").replace("12.50", "12.505"),
            "INVALID_PARAMETER: totalAmount: an amount has at most two digits after the point",
        ),
        (order("M-1").replace("12.50", "0"), "INVALID_PARAMETER: totalAmount: an amount is more than zero"),
        (
            order("M-1").replace("12.50", "\"twelve\""),
            "INVALID_PARAMETER: totalAmount: an amount is digits with at most two more after a point, like 12.50",
        ),
        (
            order("M-1").replace("AED", "USD"),
            "INVALID_PARAMETER: totalAmount.currency: unknown variant `USD`, expected `AED`",
        ),
        (
            order_with("M-1", r#","expiredTime":"soon""#),
            "INVALID_PARAMETER: expiredTime: invalid type: string \"soon\", expected u64",
        ),
        (
            order_with("M-1", &format!(r#","reserved":"{}""#, long(201))),
            "INVALID_PARAMETER: reserved: 201 characters, allowed are 0 to 200",
        ),
        (
            order_with("M-1", &format!(r#","notifyUrl":"http://a/{}""#, long(192))),
            "INVALID_PARAMETER: notifyUrl: 201 characters, allowed are 1 to 200",
        ),
        (order_with("M-1", r#","notifyUrl":"ftp://a/""#), "INVALID_PARAMETER: notifyUrl: not an http or https URL"),
        (order("M-1").replace("DYNQR", "SMOKE"), "PAYSCENECODE_ILLEGAL"),
        (order("M-1").replace("DYNQR", "PAYPAGE"), "MISSING_REDIRECT_URL"),
        (
            String::from("[]"),
            "INVALID_PARAMETER: bizContent: invalid length 0, expected struct PlaceOrder with 8 elements",
        ),
        (String::from("7"), "INVALID_PARAMETER: bizContent: invalid type: integer `7`, expected struct PlaceOrder"),
    ] {
        let mut bench = Bench::new();
        let said = msg(bench.place(&biz_content));
        let said = said.split(" at line ").next().unwrap();
        assert_eq!(said, expected, "{biz_content}");
        assert_eq!(bench.model.orders().count(), 0);
    }
}

#[test]
fn a_pay_page_needs_a_way_back_that_a_browser_may_be_sent() {
    for (redirect_url, expected) in [
        ("https://shop.example/back?order=1", "0"),
        ("http://127.0.0.1:3000/back", "0"),
        ("", "62072"),
        ("/back", "400"),
        ("javascript:alert(1)", "400"),
        ("data:text/html,x", "400"),
        ("https://user:pass@shop.example/", "400"),
        ("https://shop.example;script-src/", "400"),
        ("https://*/", "400"),
    ] {
        let biz_content = order_with("M-1", &format!(r#","paySceneParams":{{"redirectUrl":"{redirect_url}"}}"#));
        let reply = Bench::new().place(&biz_content.replace("DYNQR", "PAYPAGE"));
        assert_eq!(code(reply), expected, "{redirect_url}");
    }
}

#[test]
fn an_order_is_named_by_exactly_one_of_its_numbers() {
    let mut bench = Bench::new();
    let order_no = bench.place(&order("M-1")).unwrap().acquire_order.order_no;
    for (reference, expected) in [
        (r#"{"merchantOrderNo":"M-1"}"#.to_owned(), "0"),
        (format!(r#"{{"orderNo":"{order_no}"}}"#), "0"),
        (format!(r#"{{"merchantOrderNo":"M-1","orderNo":"{order_no}"}}"#), "400"),
        ("{}".to_owned(), "400"),
        (r#"{"merchantOrderNo":"M-2"}"#.to_owned(), "62004"),
        (r#"{"orderNo":"1"}"#.to_owned(), "62035"),
        (r#"{"merchantOrderNo":7}"#.to_owned(), "400"),
    ] {
        assert_eq!(code(bench.model.get_order(START, START, &reference)), expected, "get {reference}");
        let unchanged = matches!(expected, "0") || code(bench.model.cancel_order(START, START, &reference)) == expected;
        assert!(unchanged, "cancel {reference}");
    }
    assert_eq!(bench.status("M-1"), GatewayStatus::Created);
}

#[test]
fn an_order_can_be_paid_until_it_expires_and_not_at_that_moment() {
    for (wait, paid) in [(2 * HOUR - 1, true), (2 * HOUR, false)] {
        let mut bench = Bench::new();
        bench.place(&order("M-1")).unwrap();
        assert_eq!(bench.model.next_due(), Some(START.plus(Millis(2 * HOUR))));
        bench.pass(wait);
        assert_eq!(bench.act("M-1", Action::Pay), paid, "after {wait} ms");
    }
}

#[test]
fn what_can_be_done_to_an_order() {
    for (end, allowed) in [
        (None, &[Action::Pay, Action::Decline, Action::Expire][..]),
        (Some(End::Paid), &[Action::Settle]),
        (Some(End::Settled), &[]),
        (Some(End::Cancelled), &[]),
    ] {
        for action in [Action::Pay, Action::Decline, Action::Expire, Action::Leave, Action::Settle] {
            let mut bench = Bench::new();
            match end {
                None => drop(bench.place(&order("M-1")).unwrap()),
                Some(end) => bench.finish("M-1", end),
            }
            assert_eq!(bench.act("M-1", action), allowed.contains(&action), "{end:?} {action:?}");
        }
    }
}

#[test]
fn every_end_but_settlement_is_notified_once() {
    for end in [End::Paid, End::Settled, End::Declined, End::Cancelled, End::Expired] {
        let mut bench = Bench::new();
        bench.place(&notified("M-1")).unwrap();
        assert_eq!(bench.due(), [], "an open order is no news");
        match end {
            End::Paid => assert!(bench.act("M-1", Action::Pay)),
            End::Settled => assert!(bench.act("M-1", Action::Pay) && bench.act("M-1", Action::Settle)),
            End::Declined => assert!(bench.act("M-1", Action::Decline)),
            End::Cancelled => drop(bench.cancel("M-1").unwrap()),
            End::Expired => bench.pass(2 * HOUR),
            End::Revoked => unreachable!("it is not in the list"),
        }
        let due = bench.due();
        assert_eq!(due.len(), 1, "{end:?}");
        assert_eq!(due[0].url, "http://shop.example/notify");
        let notification: Notification = serde_json::from_str(&due[0].body).unwrap();
        assert_eq!(notification.notify_id, due[0].notify_id);
        assert_eq!(notification.notify_timestamp, bench.now);
        let told = bench.get("M-1").unwrap().acquire_order.status;
        let expected = if matches!(end, End::Settled) { GatewayStatus::PaidSuccess } else { told };
        assert_eq!(notification.acquire_order.status, expected, "{end:?}");
        assert_eq!(bench.due(), [], "it is under way");
    }
}

#[test]
fn a_notification_has_paybys_deprecated_fields_as_well() {
    let mut bench = Bench::new();
    bench.place(&notified("M-1")).unwrap();
    bench.act("M-1", Action::Pay);
    let due = bench.due();
    // 2023-11-14T22:13:20Z, and four hours later in the Emirates.
    let beginning = r#"{"_input_charset":"UTF-8","notify_time":"20231115021320","notify_id":"1700000000000000000","notify_timestamp":1700000000000,"acquireOrder":{"merchantOrderNo":"M-1","#;
    assert!(due[0].body.starts_with(beginning), "{}", due[0].body);
}

#[test]
fn an_order_without_notify_url_is_not_notified() {
    let mut bench = Bench::new();
    bench.finish("M-1", End::Paid);
    assert_eq!(bench.due(), []);
    assert_eq!(bench.model.next_due(), None);
}

#[test]
fn a_notification_is_delivered_again_on_paybys_schedule_and_then_given_up() {
    let mut bench = Bench::new();
    bench.place(&notified("M-1")).unwrap();
    bench.act("M-1", Action::Pay);
    let mut delivery = bench.due().remove(0);
    let first = delivery.clone();
    assert_eq!(RETRY_DELAYS.map(|pause| pause.0 / MINUTE), [2, 10, 10, 60, 120, 360, 900]);
    for (attempt, pause) in (2..).zip(RETRY_DELAYS) {
        bench.pass(10_000); // The merchant took its time to fail.
        assert_eq!(bench.model.delivered(bench.now, &delivery, false), Some(pause));
        bench.pass(pause.0 - 1);
        assert_eq!(bench.due(), [], "attempt {attempt} comes not before its time");
        bench.pass(1);
        assert_eq!(bench.model.next_due(), Some(bench.now));
        delivery = bench.due().remove(0);
        assert_eq!(delivery.attempt, attempt);
        assert_eq!((&delivery.notify_id, &delivery.body), (&first.notify_id, &first.body));
    }
    assert_eq!(bench.model.delivered(bench.now, &delivery, false), None);
    assert_eq!(bench.model.next_due(), None);
}

#[test]
fn an_acknowledged_notification_is_not_delivered_again() {
    let mut bench = Bench::new();
    bench.place(&notified("M-1")).unwrap();
    bench.act("M-1", Action::Decline);
    let delivery = bench.due().remove(0);
    assert_eq!(bench.model.delivered(bench.now, &delivery, true), None);
    assert_eq!(bench.model.next_due(), None);
}

#[test]
fn advancing_lets_time_pass_for_what_waits_and_leaves_the_clock() {
    let mut bench = Bench::new();
    bench.place(&notified("M-1")).unwrap();
    bench.model.advance(Millis(2 * HOUR - 1));
    assert_eq!(bench.status("M-1"), GatewayStatus::Created);
    bench.model.advance(Millis(1));
    let expired = bench.get("M-1").unwrap().acquire_order;
    assert_eq!(expired.fail_code.as_deref(), Some("ORDER_EXPIRED"));
    assert_eq!(expired.expired_time, Some(START.plus(Millis(2 * HOUR))), "as the merchant gave it");
    let delivery = bench.due().remove(0);
    bench.model.delivered(bench.now, &delivery, false);
    bench.model.advance(Millis(2 * MINUTE - 1));
    assert_eq!(bench.due(), []);
    bench.model.advance(Millis(1));
    assert_eq!(bench.due().len(), 1);
    assert_eq!(code(bench.place(&order("M-2"))), "0", "the merchant's clock is still right");
}

#[test]
fn an_envelope_takes_unix_milliseconds_and_rfc_3339() {
    let read = |time: &str| {
        let body = format!(r#"{{"requestTime":{time},"partnerId":"1","bizContent":{{ "a" : 1.10 }}}}"#);
        let envelope = Envelope::read(body.as_bytes());
        envelope.map(|envelope| (envelope.request_time.0, envelope.biz_content.get().to_owned()))
    };
    let raw = r#"{ "a" : 1.10 }"#.to_owned();
    for time in ["1700000000123", r#""2023-11-14T22:13:20.123Z""#, r#""2023-11-15T02:13:20.123+04:00""#] {
        assert_eq!(read(time), Ok((1_700_000_000_123, raw.clone())), "{time}");
    }
    for time in ["null", "-1", "1.5", r#""yesterday""#, r#""1960-01-01T00:00:00Z""#] {
        let Refusal { code, msg } = read(time).unwrap_err();
        assert_eq!(code, "400");
        assert!(msg.starts_with("INVALID_PARAMETER: requestTime is Unix milliseconds"), "{time}: {msg}");
    }
    assert_eq!(Envelope::read(b"{").unwrap_err().code, "400");
    assert_eq!(Envelope::read(b"{\"requestTime\":1}").unwrap_err().code, "400");
}

#[test]
fn who_may_be_revoked_and_what_becomes_of_them() {
    for (end, expected, status, revoked) in [
        (None, "0", GatewayStatus::Failure, false),
        (Some(End::Paid), "0", GatewayStatus::Failure, true),
        (Some(End::Settled), "0", GatewayStatus::Settled, true),
        (Some(End::Revoked), "62041", GatewayStatus::Failure, true),
        (Some(End::Cancelled), "62002", GatewayStatus::Failure, false),
    ] {
        let mut bench = Bench::new();
        match end {
            None => drop(bench.place(&order("M-1")).unwrap()),
            Some(end) => bench.finish("M-1", end),
        }
        assert_eq!(code(bench.revoke("M-1")), expected, "{end:?}");
        let order = bench.get("M-1").unwrap().acquire_order;
        assert_eq!((order.status, order.revoked), (status, Some(WireBool(revoked))), "{end:?}");
    }
    assert_eq!(code(Bench::new().revoke("M-1")), "62004");
    let mut bench = Bench::new();
    bench.finish("M-1", End::Paid);
    bench.refund(&refund("R-1", "M-1", "1")).unwrap();
    assert_eq!(code(bench.revoke("M-1")), "62041", "part of it is refunded");
}

#[test]
fn an_orders_end_can_be_moved_within_15_days() {
    let day = 24 * HOUR;
    let update = |bench: &mut Bench, number: &str, expired_time: u64| {
        let biz_content = format!(r#"{{"merchantOrderNo":"{number}","expiredTime":{expired_time}}}"#);
        bench.model.update_expired_time(bench.now, bench.now, &biz_content)
    };
    for (expired_time, expected) in
        [(START.0, "62089"), (START.0 + 1, "0"), (START.0 + 15 * day, "0"), (START.0 + 15 * day + 1, "62089")]
    {
        let mut bench = Bench::new();
        bench.place(&order("M-1")).unwrap();
        assert_eq!(code(update(&mut bench, "M-1", expired_time)), expected, "{expired_time}");
    }
    let mut bench = Bench::new();
    bench.place(&order("M-1")).unwrap();
    let told = update(&mut bench, "M-1", START.0 + 3 * HOUR).unwrap().acquire_order;
    assert_eq!(told.expired_time, Some(UnixMillis(START.0 + 3 * HOUR)));
    bench.pass(3 * HOUR - 1);
    assert_eq!(bench.status("M-1"), GatewayStatus::Created);
    bench.pass(1);
    assert_eq!(bench.status("M-1"), GatewayStatus::Failure);
    let later = bench.now.0 + 1;
    assert_eq!(code(update(&mut bench, "M-1", later)), "62002");
    assert_eq!(code(update(&mut bench, "M-2", later)), "62004");
}

#[test]
fn a_slow_payby_closes_an_order_late_and_it_cannot_be_paid_meanwhile() {
    let mut bench = Bench::new();
    bench.model = bench.model.closing_after(Millis(5 * MINUTE));
    bench.place(&order("M-1")).unwrap();
    bench.model.advance(Millis(2 * HOUR));
    assert!(!bench.act("M-1", Action::Pay));
    assert_eq!(bench.status("M-1"), GatewayStatus::Created);
    bench.pass(5 * MINUTE);
    assert_eq!(bench.status("M-1"), GatewayStatus::Failure);
    bench.place(&order("M-2")).unwrap();
    assert_eq!(bench.cancel("M-2").unwrap().acquire_order.status, GatewayStatus::Failure);
}

#[test]
fn the_payer_is_told_to_those_who_may_ask() {
    let mut bench = Bench::new();
    let url = token_url(bench.place(&order("M-1"))).unwrap();
    let id = bench.model.by_number("M-1").unwrap();
    let scanned = |bench: &mut Bench, url: &str| {
        let biz_content = format!(r#"{{"tokenUrl":"{url}"}}"#);
        bench.model.get_cashier_url_info(bench.now, bench.now, &biz_content).map(|body| body.payer.is_some())
    };
    assert_eq!(scanned(&mut bench, &url), Ok(false));
    bench.model.scan(id);
    assert_eq!(scanned(&mut bench, &url), Ok(true));
    for url in ["", "https://elsewhere.example/token1", &format!("{url}1")] {
        assert_eq!(scanned(&mut bench, url).unwrap_err().code, "62082", "{url}");
    }

    let payer = |bench: &mut Bench, number: &str| {
        let biz_content = format!(r#"{{"merchantOrderNo":"{number}"}}"#);
        bench.model.get_order_payer(bench.now, bench.now, &biz_content)
    };
    assert_eq!(code(payer(&mut bench, "M-1")), "62015");
    assert!(bench.act("M-1", Action::Pay));
    let mask = payer(&mut bench, "M-1").unwrap().payer.unwrap().mobile_number_mask.unwrap();
    assert_eq!(mask, "+971-50*****00");
    assert_eq!(code(payer(&mut bench, "M-2")), "62004");
}

#[test]
fn orders_are_listed_by_days_and_pages() {
    let mut bench = Bench::new();
    for number in ["M-1", "M-2", "M-3"] {
        bench.place(&order(number)).unwrap(); // 2023-11-15 02:13 in the Emirates.
    }
    bench.act("M-2", Action::Pay);
    let mut list = |days: (&str, &str), more: &str| {
        let biz_content = format!(r#"{{"startDate":"{}","endDate":"{}",{more}}}"#, days.0, days.1);
        bench.model.query_order_page(bench.now, bench.now, &biz_content).map(|page| {
            let numbers: Vec<_> = page.items.iter().map(|order| order.merchant_order_no.as_str().to_owned()).collect();
            (numbers.join(" "), page.total_elements, page.total_pages)
        })
    };
    let told = |numbers: &str, elements, pages| Ok((numbers.to_owned(), elements, pages));
    let all = r#""sortPageParam":{"number":0,"size":10}"#;
    assert_eq!(list(("2023-11-15", "2023-11-15"), all), told("M-1 M-2 M-3", 3, 1));
    assert_eq!(list(("2023-11-14", "2023-11-14"), all), told("", 0, 0));
    assert_eq!(list(("2023-11-01", "2023-11-30"), r#""sortPageParam":{"number":1,"size":2}"#), told("M-3", 3, 2));
    let paid = format!(r#""includeStatusList":["PAID_SUCCESS"],{all}"#);
    assert_eq!(list(("2023-11-15", "2023-11-15"), &paid), told("M-2", 1, 1));
    for (days, more) in
        [(("yesterday", "2023-11-15"), all), (("2023-11-15", "2023-11-15"), r#""sortPageParam":{"number":0,"size":0}"#)]
    {
        assert_eq!(list(days, more).unwrap_err().code, "400");
    }
}

#[test]
fn every_scene_asks_for_what_is_its_own() {
    for (scene, more, expected) in [
        ("QRPAY", "", "62026"),
        ("EWALLET", "", "62080"),
        ("EWALLET", r#","paySceneParams":{"eWalletCode":"purse"}"#, "62081"),
        ("EWALLET", r#","paySceneParams":{"eWalletCode":"botim-pay"}"#, "0"),
        ("DYNQR", r#","paySceneParams":{"oneTimePayment":"yes"}"#, "62073"),
        ("DYNQR", r#","paySceneParams":{"oneTimePayment":"true"}"#, "0"),
        ("DYNQR", r#","payeeMid":"nobody""#, "62019"),
        ("DYNQR", r#","payeeMid":"200000000009""#, "0"),
    ] {
        let reply = Bench::new().place(&order_with("M-1", more).replace("DYNQR", scene));
        assert_eq!(code(reply), expected, "{scene} {more}");
    }
}

fn refund(number: &str, origin: &str, amount: &str) -> String {
    format!(
        r#"{{"refundMerchantOrderNo":"{number}","originMerchantOrderNo":"{origin}","amount":{{"amount":{amount},"currency":"AED"}},"notifyUrl":"http://shop.example/notify"}}"#
    )
}

#[test]
fn a_refund_goes_through_and_is_notified_once() {
    let mut bench = Bench::new();
    bench.finish("M-1", End::Settled);
    let body = bench.refund(&refund("R-1", "M-1", "2.50")).unwrap();
    assert_eq!(body.refund_order.status, RefundStatus::Created);
    let summary = body.refund_summary.unwrap();
    assert_eq!(summary.acquire_amount.0.amount.fils(), 1250);
    assert_eq!(summary.remain_refund_amount.unwrap().0.amount.fils(), 1000);
    for (ms, status) in [
        (1_999, RefundStatus::Created),
        (1, RefundStatus::RefundedSettled),
        (2_999, RefundStatus::RefundedSettled),
        (1, RefundStatus::Success),
    ] {
        bench.pass(ms);
        assert_eq!(bench.get_refund("R-1").unwrap().refund_order.status, status);
    }
    let due = bench.due();
    assert_eq!(due.len(), 1);
    let notification: RefundNotification = serde_json::from_str(&due[0].body).unwrap();
    assert_eq!(notification.refund_order, bench.get_refund("R-1").unwrap().refund_order);
    assert_eq!(notification.refund_order.origin_merchant_order_no.unwrap().as_str(), "M-1");
    bench.refund(&refund("R-2", "M-1", "10")).unwrap();
    let left = bench.get_refund("R-2").unwrap().refund_summary.unwrap().remain_refund_amount;
    assert_eq!(left, None, "nothing is left");
}

#[test]
fn what_cannot_be_refunded() {
    for (end, expected) in
        [(None, "62015"), (Some(End::Cancelled), "62002"), (Some(End::Revoked), "62040"), (Some(End::Paid), "0")]
    {
        let mut bench = Bench::new();
        match end {
            None => drop(bench.place(&order("M-1")).unwrap()),
            Some(end) => bench.finish("M-1", end),
        }
        assert_eq!(code(bench.refund(&refund("R-1", "M-1", "12.50"))), expected, "{end:?}");
    }
    let mut bench = Bench::new();
    bench.finish("M-1", End::Paid);
    assert_eq!(code(bench.refund(&refund("R-1", "M-9", "1"))), "62004");
    assert_eq!(code(bench.refund(&refund("R-1", "M-1", "12.51"))), "62006");
    let first = bench.refund(&refund("R-1", "M-1", "12")).unwrap();
    assert_eq!(bench.refund(&refund("R-1", "M-1", "12")), Ok(first), "the same again creates nothing");
    assert_eq!(code(bench.refund(&refund("R-1", "M-1", "11"))), "62017");
    assert_eq!(code(bench.refund(&refund("R-2", "M-1", "0.51"))), "62006", "what is under way counts");
    assert_eq!(code(bench.get_refund("R-2")), "62007");
    let both = refund("R-3", "M-1", "0.10").replace(r#""amount""#, r#""originOrderNo":"1","amount""#);
    assert_eq!(code(bench.refund(&both)), "400");
    assert_eq!(code(bench.model.get_refund(START, START, r#"{"orderNo":"1"}"#)), "62035");
    assert_eq!(code(bench.model.get_refund(START, START, "{}")), "400");
}

#[test]
fn a_refund_that_fails_gives_its_amount_free_again() {
    let mut bench = Bench::new();
    bench.finish("M-1", End::Paid);
    bench.refund(&refund("R-1", "M-1", "12.50")).unwrap();
    bench.pass(3_000);
    assert!(bench.model.fail_refund(bench.now, "R-1"));
    assert!(!bench.model.fail_refund(bench.now, "R-1"), "it is over");
    let body = bench.get_refund("R-1").unwrap();
    assert_eq!((body.refund_order.status, body.refund_order.fail_code.is_some()), (RefundStatus::Failure, true));
    assert_eq!(body.refund_summary.unwrap().remain_refund_amount.unwrap().0.amount.fils(), 1250);
    assert_eq!(bench.due().len(), 1);
    bench.pass(HOUR);
    assert_eq!(bench.get_refund("R-1").unwrap().refund_order.status, RefundStatus::Failure);
}

#[test]
fn a_transfer_arrives_and_its_number_is_taken() {
    let transfer = |number: &str| {
        format!(
            r#"{{"merchantOrderNo":"{number}","beneficiaryIdentityType":"PHONE_NO","beneficiaryIdentity":"x","beneficiaryFullName":"A. B.","amount":{{"amount":5.00,"currency":"AED"}},"memo":"wages","notifyUrl":"http://shop.example/notify"}}"#
        )
    };
    let mut bench = Bench::new();
    let place = |bench: &mut Bench, number: &str| bench.model.place_transfer(bench.now, bench.now, &transfer(number));
    let get = |bench: &mut Bench, reference: &str| bench.model.get_transfer(bench.now, bench.now, reference);
    let TransferBody { transfer_order } = place(&mut bench, "T-1").unwrap();
    assert_eq!(transfer_order.status, TransferStatus::Created);
    assert_eq!(code(place(&mut bench, "T-1")), "62029");
    bench.pass(5_000);
    let by_order_no = format!(r#"{{"orderNo":"{}"}}"#, transfer_order.order_no);
    assert_eq!(get(&mut bench, &by_order_no).unwrap().transfer_order.status, TransferStatus::Success);
    assert_eq!(code(place(&mut bench, "T-1")), "62028");
    place(&mut bench, "T-2").unwrap();
    assert!(bench.model.fail_transfer(bench.now, "T-2"));
    let failed = get(&mut bench, r#"{"merchantOrderNo":"T-2"}"#).unwrap().transfer_order;
    assert_eq!((failed.status, failed.fail_code.is_some()), (TransferStatus::Failure, true));
    assert_eq!(code(place(&mut bench, "T-2")), "62002");
    assert_eq!(code(get(&mut bench, r#"{"merchantOrderNo":"T-3"}"#)), "62004");
    assert_eq!(code(get(&mut bench, r#"{"orderNo":"1"}"#)), "62035");
    let due = bench.due();
    assert_eq!(due.len(), 2);
    assert!(due.iter().all(|delivery| delivery.body.contains(r#""transferOrder":{"merchantOrderNo":"T-"#)));
}

#[derive(Clone, Debug)]
enum Step {
    Place(u8),
    Cancel(u8),
    Act(u8, Action),
    Pass(u64),
    Advance(u64),
    Deliver(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let number = || 0..3_u8;
    let action = prop_oneof![Just(Action::Pay), Just(Action::Decline), Just(Action::Settle)];
    prop_oneof![
        number().prop_map(Step::Place),
        number().prop_map(Step::Cancel),
        (number(), action).prop_map(|(number, action)| Step::Act(number, action)),
        (0..HOUR).prop_map(Step::Pass),
        (0..HOUR).prop_map(Step::Advance),
        any::<bool>().prop_map(Step::Deliver),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_a_decision_stands_and_is_notified_once(steps in prop::collection::vec(step(), 0..40)) {
        let mut bench = Bench::new();
        let mut decided = std::collections::HashMap::new();
        let mut notify_ids = std::collections::HashMap::new();
        for step in steps {
            match step {
                Step::Place(n) => drop(bench.place(&notified(&n.to_string()))),
                Step::Cancel(n) => drop(bench.cancel(&n.to_string())),
                Step::Act(n, action) => {
                    if let Some(id) = bench.model.by_number(&n.to_string()) {
                        bench.model.act(bench.now, id, action);
                    }
                }
                Step::Pass(ms) => bench.pass(ms),
                Step::Advance(ms) => bench.model.advance(Millis(ms)),
                Step::Deliver(acknowledged) => {
                    for delivery in bench.due() {
                        let id = notify_ids.entry(delivery.merchant_order_no.clone()).or_insert(delivery.notify_id.clone());
                        prop_assert_eq!(&*id, &delivery.notify_id);
                        bench.model.delivered(bench.now, &delivery, acknowledged);
                    }
                }
            }
            bench.model.catch_up(bench.now);
            for order in bench.model.orders() {
                let failed = match order.state().status() {
                    GatewayStatus::Created => continue,
                    GatewayStatus::Failure => true,
                    GatewayStatus::PaidSuccess | GatewayStatus::Settled => false,
                };
                prop_assert_eq!(*decided.entry(order.order_no().to_owned()).or_insert(failed), failed);
            }
        }
    }
}
