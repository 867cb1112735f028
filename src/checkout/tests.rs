use super::*;
use crate::money::Currency;
use crate::order::{FailureReason, GatewayStatus};

const NUMBER: &str = "1KANPYXG085GR38E1W8124GKK";
const FRESH: &str = "1KANPYXG0A5GR38E1W8124GKZ";

fn number(text: &str) -> OrderNumber {
    text.parse().unwrap()
}

fn saved(text: &str) -> Saved {
    Saved { order_number: number(text), scene: None, cancel_wanted: false }
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
            return (request.clone(), checkout.in_flight.as_ref().unwrap().sent_at);
        }
        checkout.handle_wake(Now { at: wake_at.expect("something is due"), random: u32::MAX / 2 });
    }
    panic!("nothing was sent");
}

fn query(version: Option<u64>, hold: Option<Millis>) -> Request {
    Request::Query { order_number: number(NUMBER), version, hold }
}

/// The question before a cancel (R7), and the cancel.
fn asked_and_cancelled(checkout: &mut Checkout) -> Millis {
    let (request, sent_at) = next_sent(checkout);
    assert!(matches!(request, Request::Query { hold: None, .. }), "{request:?}");
    checkout.handle_answer(Now { at: sent_at.plus(Millis(20)), random: 0 }, pending(2));
    let (request, sent_at) = next_sent(checkout);
    assert_eq!(request, Request::Cancel(number(NUMBER)));
    sent_at
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
    assert!(next.since(sent_at) >= Millis::from_secs(250), "{sent_at:?} {next:?}");
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
    assert_eq!(asked_and_cancelled(&mut checkout), Millis(600_120));
}

#[test]
fn a_backend_that_does_not_hold_is_polled_by_the_law() {
    let mut checkout = waiting();
    drain(&mut checkout);
    checkout.handle_answer(at(150), Answer::NotModified);
    let (_, sent_at) = next_sent(&mut checkout);
    assert!((1_250..1_750).contains(&(sent_at.0 - 100)), "by their beginnings: {sent_at:?}");
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
    let cancelled = loop {
        let (request, sent_at) = next_sent(&mut checkout);
        if request == Request::Cancel(number(NUMBER)) {
            break sent_at;
        }
        checkout.handle_answer(at(sent_at.0 + 500), TROUBLE);
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
    checkout.handle_answer(at(350), pending(1));
    assert_eq!(drain(&mut checkout).0, vec![Request::Cancel(number(NUMBER))]);
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
    assert!(outputs.contains(&Output::Send(query(Some(1), None))), "{outputs:?}");
    checkout.handle_answer(at(220), pending(1));
    assert_eq!(next_sent(&mut checkout).0, Request::Cancel(number(NUMBER)));
    checkout.handle_answer(at(300), Answer::Snapshot(snapshot(NUMBER, Some(GatewayStatus::PaidSuccess), 2)));
    assert!(matches!(checkout.view(Millis(300)), View::Paid { .. }));
}

#[test]
fn r7_an_order_whose_time_is_up_is_cancelled() {
    let mut checkout = waiting();
    drain(&mut checkout);
    checkout.handle_answer(at(25_100), Answer::NotModified);
    while let (_, Some(wake_at)) = drain(&mut checkout) {
        checkout.handle_wake(at(wake_at.0));
        if wake_at == Millis(600_100) {
            break;
        }
    }
    asked_and_cancelled(&mut checkout);
}

#[test]
fn an_answer_that_does_not_come_is_given_up_5_s_after_the_hold_and_after_10_s_where_nothing_is_held() {
    for (mut checkout, sent_at, limit) in [(waiting(), 100, 30_000), (started(), 0, 10_000)] {
        assert_eq!(drain(&mut checkout).1, Some(Millis(sent_at + limit)));
        checkout.handle_wake(at(sent_at + limit - 1));
        assert!(!checkout.outputs.contains(&Output::Abort));
        drain(&mut checkout);
        checkout.handle_wake(at(sent_at + limit));
        assert!(checkout.outputs.contains(&Output::Abort));
        assert!(next_sent(&mut checkout).1 > Millis(sent_at + limit), "it is asked again, after a while");
    }
}

#[test]
fn r9_cancels_are_3_to_10_seconds_apart() {
    let mut checkout = waiting();
    drain(&mut checkout);
    checkout.cancel(at(200));
    let mut last = asked_and_cancelled(&mut checkout);
    for _ in 0..6 {
        checkout.handle_answer(Now { at: last.plus(Millis(50)), random: u32::MAX }, pending(3)); // not cancelled yet
        let asked_at = next_sent(&mut checkout).1;
        checkout.handle_answer(Now { at: asked_at.plus(Millis(50)), random: u32::MAX }, pending(3));
        let sent_at = asked_and_cancelled(&mut checkout);
        assert!((3_000..=10_000).contains(&sent_at.since(last).0), "{last:?} {sent_at:?}");
        last = sent_at;
    }
}

#[test]
fn r9_three_failures_in_a_row_alert_a_person_once() {
    let mut checkout = waiting();
    let mut alerts = 0;
    for _ in 0..8 {
        let (_, sent_at) = next_sent(&mut checkout);
        checkout.handle_answer(at(sent_at.0 + 50), TROUBLE);
        alerts += checkout.outputs.iter().filter(|output| **output == Output::Alert(Alert::Failing)).count();
    }
    assert_eq!(alerts, 1);
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
        assert!(checkout.outputs.contains(&Output::Alert(Alert::Mismatch)), "{wrong:?}");
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
    let outputs: Vec<Output> = std::iter::from_fn(|| checkout.poll_output()).collect();
    assert_eq!(outputs, [Output::Tell(View::Idle), Output::WakeAt(None)]);
}

#[test]
fn a_live_order_elsewhere_is_gone_on_with() {
    let mut checkout = started();
    drain(&mut checkout);
    checkout.handle_answer(at(100), Answer::Elsewhere(snapshot(FRESH, Some(GatewayStatus::Created), 3)));
    let outputs: Vec<Output> = std::iter::from_fn(|| checkout.poll_output()).collect();
    let adopted = Saved { order_number: number(FRESH), scene: Some(Scene::Dynqr), cancel_wanted: false };
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
    assert_eq!(request, query(Some(1), None));
    assert!(sent_at >= Millis(1_100));
    checkout.handle_answer(at(1_200), Answer::Snapshot(snapshot(NUMBER, None, 1)));
    assert_eq!(next_sent(&mut checkout).0, Request::Create(saved(NUMBER)));
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
fn neither_attention_nor_a_command_outdoes_retry_after_nor_the_spacing_of_cancels() {
    for input in [Checkout::handle_attention, Checkout::resume, Checkout::retry] {
        let mut checkout = waiting();
        drain(&mut checkout);
        checkout.handle_answer(at(200), Answer::Trouble { retry_after: Some(Millis::from_secs(30)) });
        drain(&mut checkout);
        input(&mut checkout, at(1_000));
        assert_eq!(drain(&mut checkout), (vec![], Some(Millis(30_200))));
    }
    for input in [Checkout::handle_attention, Checkout::resume, Checkout::cancel] {
        let mut checkout = waiting();
        drain(&mut checkout);
        checkout.cancel(at(200));
        let cancelled = asked_and_cancelled(&mut checkout);
        checkout.handle_answer(at(cancelled.0 + 50), pending(3));
        let (_, asked_at) = next_sent(&mut checkout);
        checkout.handle_answer(at(asked_at.0 + 50), pending(3));
        input(&mut checkout, at(asked_at.0 + 100));
        assert!(asked_and_cancelled(&mut checkout).since(cancelled) >= Millis(3_000));
    }
}

#[test]
fn a_new_order_does_not_wait_for_the_spacing_of_the_old_ones_cancels() {
    let mut checkout = waiting();
    drain(&mut checkout);
    checkout.cancel(at(200));
    let cancelled = asked_and_cancelled(&mut checkout);
    checkout.start(at(cancelled.0 + 10), number(FRESH), None);
    let failed = Answer::Snapshot(snapshot(NUMBER, Some(GatewayStatus::Failure), 3));
    checkout.handle_answer(at(cancelled.0 + 50), failed);
    let outputs: Vec<Output> = std::iter::from_fn(|| checkout.poll_output()).collect();
    let ended = outputs.iter().position(|output| matches!(output, Output::Tell(View::Failed { .. })));
    let begun = outputs.iter().position(|output| *output == Output::Send(Request::Create(saved(FRESH))));
    assert!(ended.is_some() && ended < begun, "the first one's end is told: {outputs:?}");
}

#[test]
fn r3_a_retry_asks_and_sends_the_same_creation_again() {
    let mut checkout = waiting();
    drain(&mut checkout);
    checkout.retry(at(5_000));
    assert_eq!(next_sent(&mut checkout).0, query(Some(1), None));
    checkout.handle_answer(at(5_100), pending(1));
    assert_eq!(next_sent(&mut checkout).0, Request::Create(saved(NUMBER)));
    checkout.handle_answer(at(5_200), pending(1));
    assert_eq!(next_sent(&mut checkout).0, query(Some(1), Some(HOLD)));
}

#[test]
fn r12_what_was_given_up_before_a_reload_is_given_up_after_it() {
    let mut checkout = waiting();
    checkout.cancel(at(200));
    let kept = std::iter::from_fn(|| checkout.poll_output())
        .filter_map(|output| if let Output::Save(saved) = output { Some(saved) } else { None })
        .last();
    let mut checkout = Checkout::new(Saved::from_text(&kept.unwrap().to_text()));
    checkout.resume(at(0));
    asked_and_cancelled(&mut checkout);
}

#[test]
fn what_is_kept_can_be_read_back_and_nothing_else_can() {
    for scene in [None, Some(Scene::Dynqr), Some(Scene::Paypage)] {
        for cancel_wanted in [false, true] {
            let saved = Saved { order_number: number("A_b-9"), scene, cancel_wanted };
            assert_eq!(Saved::from_text(&saved.to_text()), Some(saved));
        }
    }
    for text in
        ["", "1", "1 M-1", "1 M-1 -", "2 M-1 - pay", "1 M-1 - pays", "1 M-1 - pay x", "1 M!1 - pay", "1 M-1 QR pay"]
    {
        assert_eq!(Saved::from_text(text), None, "{text}");
    }
}

#[test]
fn a_cancel_while_the_order_is_still_looked_for_cancels_what_is_found() {
    let mut checkout = Checkout::new(None);
    checkout.resume(at(0));
    checkout.cancel(at(10));
    drain(&mut checkout);
    let found = snapshot(NUMBER, Some(GatewayStatus::Created), 1);
    checkout.handle_answer(at(100), Answer::Found(Some(Box::new(found))));
    asked_and_cancelled(&mut checkout);
}

#[test]
fn a_hidden_page_asks_once_a_minute_and_at_once_when_it_is_seen() {
    let mut checkout = waiting();
    drain(&mut checkout);
    checkout.handle_visibility(at(200), false);
    checkout.handle_answer(at(25_100), Answer::NotModified);
    assert_eq!(next_sent(&mut checkout).1, Millis(60_100));
    checkout.handle_answer(at(85_100), Answer::NotModified);
    checkout.handle_visibility(at(86_000), true);
    assert_eq!(next_sent(&mut checkout).1, Millis(86_000));
}

/// A tab that has the pending order and has lost the lead.
fn following() -> Checkout {
    let mut checkout = waiting();
    drain(&mut checkout);
    checkout.handle_lead(at(1_000), false);
    let outputs: Vec<Output> = std::iter::from_fn(|| checkout.poll_output()).collect();
    assert_eq!(outputs, [Output::Abort, Output::WakeAt(None)]);
    checkout
}

#[test]
fn a_tab_that_follows_asks_nothing_and_shows_what_the_leader_was_told() {
    let mut checkout = following();
    checkout.handle_attention(at(2_000));
    let news =
        Snapshot { pay_url: Some("https://pay.example/2".into()), ..snapshot(NUMBER, Some(GatewayStatus::Created), 2) };
    checkout.handle_hearsay(at(3_000), &news);
    assert_eq!(drain(&mut checkout), (vec![], None));
    let View::Pending { pay_url, .. } = checkout.view(Millis(3_000)) else { panic!("not pending") };
    assert_eq!(pay_url.as_deref(), Some("https://pay.example/2"));
    checkout.handle_lead(at(4_000), true);
    assert_eq!(drain(&mut checkout).0, vec![query(Some(2), Some(HOLD))]);
}

#[test]
fn r11_a_tab_that_hears_paid_from_another_one_asks_before_it_shows_it() {
    let mut checkout = following();
    let paid = snapshot(NUMBER, Some(GatewayStatus::PaidSuccess), 2);
    checkout.handle_hearsay(at(3_000), &paid);
    checkout.handle_hearsay(at(3_001), &paid);
    assert!(matches!(checkout.view(Millis(3_000)), View::Pending { .. }));
    assert_eq!(drain(&mut checkout).0, vec![query(Some(1), None)]);
    checkout.handle_answer(at(3_100), Answer::NotModified); // it was not true
    assert_eq!(drain(&mut checkout), (vec![], None));
    checkout.handle_hearsay(at(4_000), &paid);
    drain(&mut checkout);
    checkout.handle_answer(at(4_100), Answer::Snapshot(paid));
    assert!(matches!(checkout.view(Millis(4_100)), View::Paid { .. }));
}

#[test]
fn a_tab_that_follows_goes_on_with_the_order_that_the_leader_made_after_a_failure() {
    let mut checkout = following();
    checkout.handle_hearsay(at(3_000), &snapshot(NUMBER, Some(GatewayStatus::Failure), 2));
    drain(&mut checkout);
    checkout.handle_answer(at(3_100), Answer::Snapshot(snapshot(NUMBER, Some(GatewayStatus::Failure), 2)));
    let heard = snapshot(FRESH, Some(GatewayStatus::Created), 1);
    checkout.handle_hearsay(at(4_000), &heard);
    assert_eq!(drain(&mut checkout).0, vec![], "nobody has kept such an order");
    checkout.restore(Some(saved(FRESH)));
    checkout.handle_hearsay(at(4_000), &heard);
    let (request, _) = next_sent(&mut checkout);
    assert_eq!(request, Request::Query { order_number: number(FRESH), version: None, hold: None });
}

#[test]
fn hearsay_about_another_amount_is_not_taken() {
    let mut checkout = following();
    let mut wrong = snapshot(NUMBER, Some(GatewayStatus::Created), 9);
    wrong.amount.amount = "99.00".parse().unwrap();
    wrong.pay_url = Some("https://evil.example".into());
    checkout.handle_hearsay(at(3_000), &wrong);
    let View::Pending { pay_url: None, .. } = checkout.view(Millis(3_000)) else { panic!("it was taken") };
}

#[test]
fn start_after_a_failure_goes_on_with_the_order_that_another_tab_has_begun_meanwhile() {
    let mut checkout = waiting();
    drain(&mut checkout);
    checkout.handle_answer(at(200), Answer::Snapshot(snapshot(NUMBER, Some(GatewayStatus::Failure), 2)));
    drain(&mut checkout);
    let other = "1KANPYXG0A5GR38E1W8124HAB";
    checkout.restore(Some(saved(other)));
    checkout.start(at(300), number(FRESH), None);
    let (request, _) = next_sent(&mut checkout);
    assert_eq!(request, Request::Query { order_number: number(other), version: None, hold: None });
}
