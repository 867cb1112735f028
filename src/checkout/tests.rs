use super::*;
use crate::money::Currency;
use crate::order::{FailureReason, GatewayStatus};

const NUMBER: &str = "1KANPYXG085GR38E1W8124GKK";
const FRESH: &str = "1KANPYXG0A5GR38E1W8124GKZ";

fn number(text: &str) -> OrderNumber {
    text.parse().unwrap()
}

fn saved(text: &str) -> Saved {
    Saved { order_number: number(text), scene: None }
}

fn at(ms: u64) -> Now {
    Now { at: Millis(ms), random: u32::MAX / 2 }
}

fn snapshot(text: &str, status: Option<GatewayStatus>, version: u64) -> Snapshot {
    let amount = Money { amount: "12.50".parse().unwrap(), currency: Currency::Aed };
    let state = status.map_or_else(OrderState::default, |status| OrderState::reported(status, false, None));
    let plain = Snapshot::of_state(number(text), &state, amount, Scene::Dynqr, version);
    Snapshot { expires_in_ms: Millis::from_secs(600), ..plain }
}

fn pending(version: u64) -> Answer {
    Answer::Snapshot(snapshot(NUMBER, Some(GatewayStatus::Created), version))
}

const TROUBLE: Answer = Answer::Trouble { retry_after: None };

/// Drains the machine: what it sent, and when it wants to be woken.
fn drain(checkout: &mut Checkout) -> (Vec<Request>, Option<Millis>) {
    let (mut sent, mut wake_at) = (Vec::new(), None);
    while let Some(output) = checkout.poll_output() {
        match output {
            Output::Send(request) => sent.push(request),
            Output::WakeAt(time) => wake_at = time,
            _ => {}
        }
    }
    (sent, wake_at)
}

/// Lets time pass until the machine sends something.
fn next_sent(checkout: &mut Checkout) -> (Request, Millis) {
    for _ in 0..4 {
        let (sent, wake_at) = drain(checkout);
        if let [request] = &sent[..] {
            let (_, sent_at) = checkout.in_flight.as_ref().unwrap();
            return (request.clone(), *sent_at);
        }
        checkout.handle_wake(Now { at: wake_at.expect("something is due"), random: u32::MAX / 2 });
    }
    panic!("nothing was sent");
}

fn query(version: Option<u64>, hold: Option<Millis>) -> Request {
    Request::Query { order_number: number(NUMBER), version, hold }
}

fn started() -> Checkout {
    let mut checkout = Checkout::new(None);
    checkout.start(at(0), number(NUMBER), None);
    checkout
}

/// An order from before a reload, found pending, with the first held question in flight.
fn waiting() -> Checkout {
    let mut checkout = Checkout::new(Some(saved(NUMBER)));
    checkout.resume(at(0));
    drain(&mut checkout);
    checkout.handle_answer(at(100), pending(1));
    checkout
}

#[test]
fn a_number_is_saved_before_it_is_sent() {
    let mut checkout = started();
    let outputs: Vec<Output> = std::iter::from_fn(|| checkout.poll_output()).collect();
    let save = outputs.iter().position(|output| *output == Output::Save(saved(NUMBER))).unwrap();
    let send = outputs.iter().position(|output| *output == Output::Send(Request::Create(saved(NUMBER)))).unwrap();
    assert!(save < send, "{outputs:?}");
}

#[test]
fn a_pending_order_is_watched_with_a_held_question() {
    let mut checkout = waiting();
    assert_eq!(next_sent(&mut checkout), (query(Some(1), Some(HOLD)), Millis(100)));
    checkout.handle_answer(at(25_100), Answer::NotModified);
    assert_eq!(next_sent(&mut checkout), (query(Some(1), Some(HOLD)), Millis(25_100)));
    checkout.handle_answer(at(30_000), Answer::Snapshot(snapshot(NUMBER, Some(GatewayStatus::PaidSuccess), 2)));
    assert_eq!(drain(&mut checkout), (vec![], None));
    assert!(matches!(checkout.view(Millis(30_000)), View::Paid { .. }));
}

#[test]
fn the_first_question_about_a_new_order_waits_as_nobody_pays_sooner() {
    let mut checkout = started();
    drain(&mut checkout);
    checkout.handle_answer(at(100), pending(1));
    assert_eq!(next_sent(&mut checkout), (query(Some(1), Some(HOLD)), Millis(100).plus(schedule::FIRST)));
}

#[test]
fn held_questions_about_an_order_that_nobody_pays_are_spaced_by_the_law() {
    let mut checkout = waiting();
    let long =
        Snapshot { expires_in_ms: Millis::from_secs(7_200), ..snapshot(NUMBER, Some(GatewayStatus::Created), 2) };
    drain(&mut checkout);
    checkout.handle_answer(at(25_000), Answer::Snapshot(long));
    let hour = Millis::from_secs(3_600);
    let mut sent_at = Millis(0);
    while sent_at < hour {
        let (_, at) = next_sent(&mut checkout);
        sent_at = at;
        checkout.handle_answer(Now { at: at.plus(HOLD), random: u32::MAX / 2 }, Answer::NotModified);
    }
    let (_, next) = next_sent(&mut checkout);
    assert!(next.since(sent_at) > Millis::from_secs(300), "{sent_at:?} {next:?}");
}

#[test]
fn r7_an_order_whose_time_is_up_is_cancelled_at_once_though_the_law_would_wait() {
    let mut checkout = waiting();
    drain(&mut checkout);
    checkout.handle_answer(at(599_000), Answer::NotModified);
    checkout.handle_wake(at(599_500));
    drain(&mut checkout);
    checkout.handle_answer(at(599_600), Answer::NotModified); // not held: the law would wait for a while
    assert_eq!(drain(&mut checkout).1, Some(Millis(600_100)));
    checkout.handle_wake(at(600_100));
    assert_eq!(drain(&mut checkout).0, vec![Request::Cancel(number(NUMBER))]);
}

#[test]
fn a_backend_that_does_not_hold_is_polled_by_the_law() {
    let mut checkout = waiting();
    drain(&mut checkout);
    checkout.handle_answer(at(150), Answer::NotModified);
    let (_, sent_at) = next_sent(&mut checkout);
    assert!((1_500..2_200).contains(&(sent_at.0 - 150)), "{sent_at:?}");
}

#[test]
fn r2_an_unknown_creation_leads_to_a_query_of_the_same_number() {
    let mut checkout = started();
    drain(&mut checkout);
    checkout.handle_answer(at(10_000), TROUBLE);
    let (request, sent_at) = next_sent(&mut checkout);
    assert_eq!(request, query(None, None));
    assert!(sent_at.since(Millis(10_000)) >= Millis(1_000));
}

#[test]
fn r8_no_such_order_after_an_unknown_creation_sends_the_same_creation_again() {
    let mut checkout = started();
    drain(&mut checkout);
    checkout.handle_answer(at(10_000), TROUBLE);
    next_sent(&mut checkout);
    checkout.handle_answer(at(12_000), Answer::Missing);
    assert_eq!(next_sent(&mut checkout).0, Request::Create(saved(NUMBER)));
}

#[test]
fn r6_a_creation_that_stays_unknown_is_cancelled() {
    let mut checkout = started();
    let mut now = 0;
    let cancelled = loop {
        let (request, sent_at) = next_sent(&mut checkout);
        if request == Request::Cancel(number(NUMBER)) {
            break sent_at;
        }
        now = now.max(sent_at.0) + 500;
        checkout.handle_answer(at(now), TROUBLE);
    };
    assert!((20_000..=120_000).contains(&cancelled.0), "{cancelled:?}");
}

#[test]
fn r3_start_before_the_end_goes_on_with_the_same_number() {
    let mut checkout = waiting();
    drain(&mut checkout);
    checkout.handle_answer(at(200), TROUBLE);
    checkout.start(at(300), number(FRESH), None);
    assert_eq!(next_sent(&mut checkout).0, query(Some(1), Some(HOLD)));
}

#[test]
fn r4_start_after_a_failure_makes_a_new_order() {
    let mut checkout = waiting();
    drain(&mut checkout);
    checkout.handle_answer(at(200), Answer::Snapshot(snapshot(NUMBER, Some(GatewayStatus::Failure), 2)));
    assert!(matches!(checkout.view(Millis(200)), View::Failed { .. }));
    checkout.start(at(300), number(FRESH), None);
    assert_eq!(next_sent(&mut checkout).0, Request::Create(saved(FRESH)));
}

#[test]
fn r4_start_while_cancelling_waits_for_the_failure() {
    let mut checkout = waiting();
    checkout.cancel(at(200));
    drain(&mut checkout);
    checkout.start(at(300), number(FRESH), None);
    assert_eq!(drain(&mut checkout).0, vec![]);
    checkout.handle_answer(at(400), Answer::Snapshot(snapshot(NUMBER, Some(GatewayStatus::Failure), 2)));
    assert_eq!(drain(&mut checkout).0, vec![Request::Create(saved(FRESH))]);
}

#[test]
fn r5_start_on_a_paid_purchase_sends_nothing() {
    let mut checkout = waiting();
    drain(&mut checkout);
    checkout.handle_answer(at(200), Answer::Snapshot(snapshot(NUMBER, Some(GatewayStatus::PaidSuccess), 2)));
    checkout.start(at(300), number(FRESH), None);
    assert_eq!(drain(&mut checkout), (vec![], None));
    assert!(matches!(checkout.view(Millis(300)), View::Paid { .. }));
}

#[test]
fn r7_a_cancel_that_loses_to_the_payment_ends_paid() {
    let mut checkout = waiting();
    drain(&mut checkout);
    checkout.cancel(at(200));
    let outputs: Vec<Output> = std::iter::from_fn(|| checkout.poll_output()).collect();
    assert!(outputs.contains(&Output::Abort), "the question in flight is dropped: {outputs:?}");
    assert!(outputs.contains(&Output::Send(Request::Cancel(number(NUMBER)))), "{outputs:?}");
    checkout.handle_answer(at(300), Answer::Snapshot(snapshot(NUMBER, Some(GatewayStatus::PaidSuccess), 2)));
    assert!(matches!(checkout.view(Millis(300)), View::Paid { .. }));
}

#[test]
fn r7_an_order_whose_time_is_up_is_cancelled() {
    let mut checkout = waiting();
    let (_, wake_at) = drain(&mut checkout);
    assert_eq!(wake_at, Some(Millis(600_100)));
    checkout.handle_wake(at(600_100));
    assert_eq!(drain(&mut checkout).0, vec![Request::Cancel(number(NUMBER))]);
}

#[test]
fn r9_cancels_are_3_to_10_seconds_apart() {
    let mut checkout = waiting();
    drain(&mut checkout);
    checkout.cancel(at(200));
    let mut last = next_sent(&mut checkout).1;
    for _ in 0..6 {
        checkout.handle_answer(Now { at: last.plus(Millis(50)), random: u32::MAX }, TROUBLE);
        let (request, sent_at) = next_sent(&mut checkout);
        assert_eq!(request, Request::Cancel(number(NUMBER)));
        assert!((3_000..=10_050).contains(&sent_at.since(last).0), "{last:?} {sent_at:?}");
        last = sent_at;
    }
}

#[test]
fn r10_an_answer_about_another_order_or_amount_changes_nothing() {
    let mut other_amount = snapshot(NUMBER, Some(GatewayStatus::PaidSuccess), 2);
    other_amount.amount.amount = "12.51".parse().unwrap();
    let other_number = snapshot(FRESH, Some(GatewayStatus::PaidSuccess), 2);
    let mut contradiction = snapshot(NUMBER, Some(GatewayStatus::Created), 2);
    contradiction.status = Status::Paid;
    // What a proxy says of an order that it never sent on; this one the gateway has had.
    let never_created = OrderState::given_up(FailureReason::Cancelled);
    let amount = snapshot(NUMBER, None, 2).amount;
    let lost = Snapshot::of_state(number(NUMBER), &never_created, amount, Scene::Dynqr, 2);
    for wrong in [other_amount, other_number, contradiction, lost] {
        let mut checkout = waiting();
        drain(&mut checkout);
        checkout.handle_answer(at(200), Answer::Snapshot(wrong.clone()));
        assert!(matches!(checkout.view(Millis(200)), View::Pending { .. }), "{wrong:?}");
        assert_eq!(next_sent(&mut checkout).0, query(Some(1), Some(HOLD)));
    }
}

#[test]
fn r10_an_amount_that_the_page_knows_must_be_named_from_the_first_answer_on() {
    let mut checkout =
        Checkout::new(None).expecting(Money { amount: "12.51".parse().unwrap(), currency: Currency::Aed });
    checkout.start(at(0), number(NUMBER), None);
    drain(&mut checkout);
    checkout.handle_answer(at(100), pending(1));
    assert_eq!(checkout.view(Millis(100)), View::Unknown { order_number: number(NUMBER) });
}

#[test]
fn r12_after_a_reload_the_saved_number_is_queried_first() {
    let mut checkout = Checkout::new(Some(saved(NUMBER)));
    checkout.resume(at(0));
    assert_eq!(next_sent(&mut checkout).0, query(None, None));
}

#[test]
fn start_after_a_reload_makes_a_new_order_only_if_the_saved_one_failed() {
    for (status, then) in [
        (GatewayStatus::Failure, Some(Request::Create(saved(FRESH)))),
        (GatewayStatus::PaidSuccess, None),
        (GatewayStatus::Created, Some(query(Some(1), Some(HOLD)))),
    ] {
        let mut checkout = Checkout::new(Some(saved(NUMBER)));
        checkout.start(at(0), number(FRESH), None);
        assert_eq!(next_sent(&mut checkout).0, query(None, None));
        checkout.handle_answer(at(100), Answer::Snapshot(snapshot(NUMBER, Some(status), 1)));
        assert_eq!(drain(&mut checkout).0, then.into_iter().collect::<Vec<_>>(), "{status:?}");
    }
}

#[test]
fn a_live_order_that_start_took_up_and_that_fails_later_is_told_and_not_replaced() {
    let mut checkout = Checkout::new(Some(saved(NUMBER)));
    checkout.start(at(0), number(FRESH), None);
    drain(&mut checkout);
    checkout.handle_answer(at(100), pending(1));
    drain(&mut checkout);
    checkout.handle_answer(at(200), Answer::Snapshot(snapshot(NUMBER, Some(GatewayStatus::Failure), 2)));
    assert_eq!(drain(&mut checkout), (vec![], None));
    assert!(matches!(checkout.view(Millis(200)), View::Failed { order_number, .. } if order_number == number(NUMBER)));
}

#[test]
fn a_cancel_takes_back_what_start_wanted_next() {
    let mut checkout = Checkout::new(Some(saved(NUMBER)));
    checkout.start(at(0), number(FRESH), None);
    checkout.cancel(at(50));
    drain(&mut checkout);
    checkout.handle_answer(at(100), Answer::Snapshot(snapshot(NUMBER, Some(GatewayStatus::Failure), 1)));
    assert_eq!(drain(&mut checkout), (vec![], None));
    assert!(matches!(checkout.view(Millis(100)), View::Failed { .. }));
}

#[test]
fn resume_without_a_saved_number_asks_the_backend() {
    let mut checkout = Checkout::new(None);
    checkout.resume(at(0));
    assert_eq!(drain(&mut checkout).0, vec![Request::Find]);
    checkout.handle_answer(at(100), Answer::Missing);
    assert_eq!((drain(&mut checkout), checkout.view(Millis(100))), ((vec![], None), View::Idle));
}

#[test]
fn a_live_order_elsewhere_is_gone_on_with() {
    let mut checkout = started();
    drain(&mut checkout);
    checkout.handle_answer(at(100), Answer::Elsewhere(snapshot(FRESH, Some(GatewayStatus::Created), 3)));
    let outputs: Vec<Output> = std::iter::from_fn(|| checkout.poll_output()).collect();
    let adopted = Saved { order_number: number(FRESH), scene: Some(Scene::Dynqr) };
    assert!(outputs.contains(&Output::Save(adopted)), "{outputs:?}");
    let held = Request::Query { order_number: number(FRESH), version: Some(3), hold: Some(HOLD) };
    assert!(outputs.contains(&Output::Send(held)), "{outputs:?}");
}

#[test]
fn an_order_that_the_proxy_does_not_know_the_outcome_of_is_sent_again() {
    let mut checkout = started();
    drain(&mut checkout);
    checkout.handle_answer(at(100), Answer::Snapshot(snapshot(NUMBER, None, 1)));
    assert_eq!(checkout.view(Millis(100)), View::Unknown { order_number: number(NUMBER) });
    let (request, sent_at) = next_sent(&mut checkout);
    assert_eq!(request, Request::Create(saved(NUMBER)));
    assert!(sent_at >= Millis(1_100));
}

#[test]
fn a_rejected_token_stops_the_machine_and_a_command_tries_again() {
    let mut checkout = started();
    drain(&mut checkout);
    checkout.handle_answer(at(100), Answer::Missing);
    let outputs: Vec<Output> = std::iter::from_fn(|| checkout.poll_output()).collect();
    assert_eq!(outputs, [Output::WakeAt(None), Output::Stop(Stop::TokenRejected)]);
    checkout.resume(at(200));
    assert_eq!(drain(&mut checkout).0, vec![query(None, None)]);
}

#[test]
fn retry_after_is_obeyed() {
    let mut checkout = waiting();
    drain(&mut checkout);
    checkout.handle_answer(at(200), Answer::Trouble { retry_after: Some(Millis::from_secs(90)) });
    assert_eq!(next_sent(&mut checkout).1, Millis(90_200));
}

#[test]
fn a_failure_tells_its_reason() {
    let mut failed = snapshot(NUMBER, Some(GatewayStatus::Failure), 2);
    failed.failure = Some(Failure { reason: FailureReason::Declined, code: None, message: None });
    let mut checkout = waiting();
    drain(&mut checkout);
    checkout.handle_answer(at(200), Answer::Snapshot(failed));
    let View::Failed { failure, .. } = checkout.view(Millis(200)) else { panic!("not failed") };
    assert_eq!(failure.reason, FailureReason::Declined);
}

#[test]
fn nothing_is_asked_while_offline_and_at_once_when_back() {
    let mut checkout = waiting();
    drain(&mut checkout);
    checkout.handle_connection(at(200), false);
    checkout.handle_answer(at(300), TROUBLE);
    assert_eq!(drain(&mut checkout).1, Some(Millis(600_100)), "only the payer's time is minded");
    checkout.handle_wake(at(60_000));
    assert_eq!(drain(&mut checkout).0, vec![]);
    checkout.handle_connection(at(60_300), true);
    assert_eq!(drain(&mut checkout).0, vec![query(Some(1), Some(HOLD))]);
}

#[test]
fn a_page_that_becomes_visible_asks_at_once() {
    let mut checkout = waiting();
    drain(&mut checkout);
    checkout.handle_answer(at(200), Answer::NotModified); // this backend does not hold: the next question would wait
    drain(&mut checkout);
    checkout.handle_attention(at(300));
    assert_eq!(drain(&mut checkout).0, vec![query(Some(1), Some(HOLD))]);
}

#[test]
fn a_question_that_a_sleeping_page_left_in_flight_is_asked_anew() {
    let mut checkout = waiting();
    drain(&mut checkout);
    checkout.handle_attention(at(1_000));
    assert_eq!(drain(&mut checkout).0, vec![], "it was only just asked");
    checkout.handle_attention(at(90_000));
    let outputs: Vec<Output> = std::iter::from_fn(|| checkout.poll_output()).collect();
    assert_eq!(outputs[..2], [Output::Abort, Output::Send(query(Some(1), Some(HOLD)))]);
}

#[test]
fn attention_does_not_outdo_retry_after_nor_the_spacing_of_cancels() {
    let mut checkout = waiting();
    drain(&mut checkout);
    checkout.handle_answer(at(200), Answer::Trouble { retry_after: Some(Millis::from_secs(30)) });
    drain(&mut checkout);
    checkout.handle_attention(at(1_000));
    assert_eq!(drain(&mut checkout), (vec![], Some(Millis(30_200))));

    let mut checkout = waiting();
    checkout.cancel(at(200));
    drain(&mut checkout);
    checkout.handle_answer(at(300), TROUBLE);
    drain(&mut checkout);
    checkout.handle_attention(at(400));
    let (sent, wake_at) = drain(&mut checkout);
    assert_eq!(sent, vec![]);
    assert!(wake_at.unwrap() >= Millis(3_300));
}
