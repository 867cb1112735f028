//! What a store has to keep, whichever it is: each rule is tried on SQLite and on PostgreSQL.

use std::sync::Arc;

use payby_checkout::gateway::wire::{AcquireOrder, Notification};
use payby_checkout::hop::{Policy, Step};
use payby_checkout::money::{Currency, Money};
use payby_checkout::order::{GatewayStatus, OrderState, Status};
use payby_checkout::order_number::OrderNumber;
use payby_checkout::protocol::{RefundStatus, Scene};
use payby_checkout::time::{Millis, UnixMillis};
use payby_proxy::store::{
    Found, Lease, NewOrder, NewPurchase, NewRefund, Opened, Order, PurchaseRow, RefundBegun, RefundLease, RefundRow,
    Store, Taken, Way,
};
use sqlx::{AnyConnection, Connection as _};
use tempfile::TempDir;

use crate::postgres;

const NOW: UnixMillis = UnixMillis(1_000_000);

/// A database that is there for one test.
pub(crate) struct Database {
    pub(crate) url: String,
    _folder: Option<TempDir>,
}

impl Database {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { url: format!("sqlite://{}/proxy.db", folder.path().display()), _folder: Some(folder) }
    }

    pub(crate) async fn postgres() -> Self {
        Self { url: postgres::database().await, _folder: None }
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.url).await.unwrap()
    }

    pub(crate) async fn connect(&self) -> AnyConnection {
        AnyConnection::connect(&self.url).await.unwrap()
    }
}

/// Makes of each rule a test on either store.
macro_rules! on_both {
    ($($rule:ident)*) => {
        mod sqlite {
            use super::Database;
            $(#[tokio::test] async fn $rule() { super::$rule(Database::sqlite()).await; })*
        }
        mod postgresql {
            use super::Database;
            $(#[tokio::test] async fn $rule() { super::$rule(Database::postgres().await).await; })*
        }
    };
}

on_both! {
    what_is_stored_is_there_after_opening_again
    the_version_grows_with_what_a_page_can_see_and_with_nothing_else
    the_database_itself_refuses_a_second_live_order
    one_number_belongs_to_one_purchase
    what_is_sent_is_what_was_written_down_first
    many_who_begin_at_once_get_one_order
    a_token_is_good_until_it_expires
    a_notification_acts_once_and_only_on_its_own_order_and_amount
    refunds_at_once_never_exceed_what_was_paid
    a_refund_is_in_one_hand_until_it_is_due_again
    whoever_has_lost_a_refund_writes_nothing_more
    refunds_that_are_due_are_shared_out_the_longest_overdue_first
    a_revocation_is_written_down_once_and_gives_an_open_order_up
    a_revocation_waits_until_its_order_is_decided
    an_order_that_is_being_revoked_is_not_refunded
    a_revocation_begins_anew_only_if_its_order_had_failed
    the_leases_of_one_that_was_alone_end_with_it
    an_order_is_in_one_hand_at_a_time
    whoever_has_lost_an_order_writes_nothing_more
    an_order_that_was_handed_back_is_free_and_due_when_it_was_said
    an_order_that_cannot_be_written_keeps_no_other_from_it
    what_is_due_is_shared_out_the_longest_overdue_first
    a_decided_order_is_never_due
    changes_at_once_are_all_kept
    the_same_notification_at_once_acts_once
    the_same_reference_at_once_is_one_purchase
    one_number_at_once_belongs_to_one_purchase
    trouble_outlives_whoever_had_it
    versions_are_told_for_those_that_there_are
}

fn number(text: &str) -> OrderNumber {
    text.parse().unwrap()
}

fn new_purchase(reference: &str) -> NewPurchase {
    NewPurchase {
        id: format!("id-{reference}"),
        reference: reference.to_owned(),
        amount: Money { amount: "12.50".parse().unwrap(), currency: Currency::Aed },
        subject: "Tea".to_owned(),
        scene: Scene::Dynqr,
        redirect_url: None,
        pay_within: None,
    }
}

pub(crate) async fn purchase(store: &Store, reference: &str) -> PurchaseRow {
    let new = new_purchase(reference);
    store.open_purchase(&new, reference.as_bytes(), NOW.plus(Millis(10)), NOW).await.unwrap();
    store.purchase(&new.id).await.unwrap().unwrap()
}

fn order_of(purchase: &PurchaseRow, text: &str) -> NewOrder {
    let notify_url = "https://pay.example/payby/notifications".to_owned();
    NewOrder::of_purchase(purchase, number(text), Scene::Dynqr, Millis(60_000), notify_url, NOW).unwrap()
}

/// Writes a new order down, and has nobody hold it after that.
async fn begin(store: &Store, new: &NewOrder) -> Result<Lease, Found> {
    store.begin_order(new, NOW.moment()).await.unwrap().map(|(lease, _)| lease)
}

fn told(id: &str, order: &str, amount: &str, status: GatewayStatus) -> Notification {
    let body = format!(
        r#"{{"merchantOrderNo":"{order}","orderNo":"1","status":"CREATED","totalAmount":{{"amount":{amount},"currency":"AED"}}}}"#
    );
    let order: AcquireOrder = serde_json::from_str(&body).unwrap();
    let acquire_order = AcquireOrder { status, ..order };
    Notification { notify_id: id.to_owned(), notify_timestamp: NOW, acquire_order }
}

async fn what_is_stored_is_there_after_opening_again(database: Database) {
    let store = database.open().await;
    let row = purchase(&store, "r").await;
    let begun = begin(&store, &order_of(&row, "N-1")).await.unwrap().into_order();
    let paid = OrderState::reported(GatewayStatus::PaidSuccess, false, None);
    let changed = store
        .change(&begun.number, |order| {
            order.at_gateway.learn(&paid, Some("https://pay.example/1".to_owned()));
            (order.at_gateway.create_unknown_at, order.at_gateway.cancel_wanted, order.at_gateway.cancel_unknown) =
                (Some(NOW.moment()), true, true);
            (order.at_gateway.queried_at, order.at_gateway.cancel_sent_at) = (Some(Millis(7)), Some(Millis(8)));
        })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(changed.before, begun);
    store.close().await;
    let store = database.open().await;
    assert_eq!(store.order(&begun.number).await.unwrap(), Some(changed.after));
    assert_eq!(store.purchase(&row.id).await.unwrap(), Some(row));
}

async fn the_version_grows_with_what_a_page_can_see_and_with_nothing_else(database: Database) {
    let store = database.open().await;
    let row = purchase(&store, "r").await;
    begin(&store, &order_of(&row, "N-1")).await.unwrap();
    let created = OrderState::reported(GatewayStatus::Created, false, None);
    let version = async |change: fn(&mut Order, &OrderState)| {
        store.change(&number("N-1"), |order| change(order, &created)).await.unwrap().unwrap().after.version
    };
    assert_eq!(version(|order, _| order.at_gateway.queried_at = Some(NOW.moment())).await, 1);
    assert_eq!(version(|order, state| order.at_gateway.learn(state, None)).await, 2);
    assert_eq!(version(|order, state| order.at_gateway.learn(state, None)).await, 2);
    assert_eq!(
        version(|order, state| order.at_gateway.learn(state, Some("https://pay.example/1".to_owned()))).await,
        3
    );
    assert_eq!(version(|order, state| order.at_gateway.learn(state, None)).await, 3);
}

async fn the_database_itself_refuses_a_second_live_order(database: Database) {
    let store = database.open().await;
    let row = purchase(&store, "r").await;
    begin(&store, &order_of(&row, "N-1")).await.unwrap();
    let copy = "INSERT INTO orders (order_number, purchase_id, scene, amount_fils, currency, biz_content, expires_at,
                    created_at, state, status, version, due_at, awaited_until)
                SELECT 'N-2', purchase_id, scene, amount_fils, currency, biz_content, expires_at, created_at, state,
                    status, version, due_at, awaited_until FROM orders";
    let error = sqlx::query(copy).execute(&mut database.connect().await).await.unwrap_err();
    assert!(error.as_database_error().unwrap().is_unique_violation());
}

async fn one_number_belongs_to_one_purchase(database: Database) {
    let store = database.open().await;
    let (mine, yours) = (purchase(&store, "mine").await, purchase(&store, "yours").await);
    begin(&store, &order_of(&yours, "N-1")).await.unwrap();
    assert!(matches!(begin(&store, &order_of(&mine, "N-1")).await, Err(Found::Foreign)));
}

async fn what_is_sent_is_what_was_written_down_first(database: Database) {
    let store = database.open().await;
    let row = purchase(&store, "r").await;
    let first = order_of(&row, "N-1");
    begin(&store, &first).await.unwrap();
    let later = NewOrder { biz_content: "{}".to_owned(), expires_at: UnixMillis(1), ..first.clone() };
    let Err(Found::Ours(order)) = begin(&store, &later).await else { panic!() };
    assert_eq!((order.biz_content, order.at_gateway.expires_at), (first.biz_content, first.expires_at.moment()));
}

async fn many_who_begin_at_once_get_one_order(database: Database) {
    let store = database.open().await;
    let row = purchase(&store, "r").await;
    let begin = |text: String| {
        let (store, new) = (store.clone(), order_of(&row, &text));
        tokio::spawn(async move { begin(&store, &new).await.is_ok() })
    };
    let tasks: Vec<_> = (0..20).map(|index| begin(format!("N-{index}"))).collect();
    let mut ours = 0;
    for task in tasks {
        ours += usize::from(task.await.unwrap());
    }
    assert_eq!((ours, store.orders_of(&row.id).await.unwrap().len()), (1, 1));
}

async fn a_token_is_good_until_it_expires(database: Database) {
    let store = database.open().await;
    let row = purchase(&store, "r").await;
    // In the first it was opened; the second reads it, and has it at hand then.
    for store in [store, database.open().await] {
        for _ in 0..2 {
            assert_eq!(store.purchase_of_token(b"r", NOW.plus(Millis(10))).await.unwrap(), None);
            assert_eq!(store.purchase_of_token(b"r", NOW.plus(Millis(9))).await.unwrap().as_ref(), Some(&row));
        }
        assert_eq!(store.purchase_of_token(b"s", NOW).await.unwrap(), None);
    }
}

async fn a_notification_acts_once_and_only_on_its_own_order_and_amount(database: Database) {
    let store = database.open().await;
    let row = purchase(&store, "r").await;
    begin(&store, &order_of(&row, "N-1")).await.unwrap();
    let status = async || store.order(&number("N-1")).await.unwrap().unwrap().status();

    let other_amount = told("1", "N-1", "12.51", GatewayStatus::PaidSuccess);
    let Taken::Alert(why) = store.take_notification(&other_amount, b"{}", NOW).await.unwrap() else { panic!() };
    assert_eq!(why, "it names AED 12.51, the order is over AED 12.50");
    let other_order = told("2", "N-2", "12.50", GatewayStatus::PaidSuccess);
    let Taken::Alert(why) = store.take_notification(&other_order, b"{}", NOW).await.unwrap() else { panic!() };
    assert_eq!(why, "it names an order that is not in this database");
    assert_eq!(status().await, Status::Unknown);

    let genuine = told("3", "N-1", "12.50", GatewayStatus::PaidSuccess);
    assert!(matches!(store.take_notification(&genuine, b"{}", NOW).await.unwrap(), Taken::Merged(_)));
    assert!(matches!(store.take_notification(&genuine, b"{}", NOW).await.unwrap(), Taken::Repeated));
    assert_eq!(status().await, Status::Paid);
}

fn refund_of(order: &str, refund: &str, amount: &str) -> NewRefund {
    let amount = Money { amount: amount.parse().unwrap(), currency: Currency::Aed };
    let biz_content = format!("{{{refund} {amount}}}");
    NewRefund { number: number(refund), order_number: number(order), amount, biz_content, created_at: NOW.moment() }
}

async fn paid(store: &Store) {
    let row = purchase(store, "r").await;
    begin(store, &order_of(&row, "N-1")).await.unwrap();
    let told = told("1", "N-1", "12.50", GatewayStatus::PaidSuccess);
    store.take_notification(&told, b"{}", NOW).await.unwrap();
}

async fn refunds_at_once_never_exceed_what_was_paid(database: Database) {
    let store = database.open().await;
    let early = store.begin_refund(&refund_of("N-1", "R-0", "1.00")).await.unwrap();
    assert!(matches!(early, RefundBegun::NoOrder));
    paid(&store).await;
    let tasks: Vec<_> = (0..10)
        .map(|index| {
            let (store, new) = (store.clone(), refund_of("N-1", &format!("R-{index}"), "5.00"));
            tokio::spawn(async move { store.begin_refund(&new).await.unwrap() })
        })
        .collect();
    let (mut begun, mut refused) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            RefundBegun::Ours(_) => begun += 1,
            RefundBegun::Exceeds { left: 250 | 750 } => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((begun, refused), (2, 8));
    // What was not made can be made again, under another number.
    let first = (0..10).map(|index| number(&format!("R-{index}")));
    for number in first {
        store.change_refund(Way::Refund, &number, |refund| refund.learn(RefundStatus::Failed, None)).await.unwrap();
    }
    let again = store.begin_refund(&refund_of("N-1", "R-10", "12.50")).await.unwrap();
    assert!(matches!(again, RefundBegun::Ours(_)), "{again:?}");
}

async fn a_refund_is_in_one_hand_until_it_is_due_again(database: Database) {
    let store = database.open().await;
    paid(&store).await;
    store.begin_refund(&refund_of("N-1", "R-1", "5.00")).await.unwrap();
    let tasks: Vec<_> = (0..20)
        .map(|index| {
            let store = store.clone();
            tokio::spawn(async move {
                match index % 2 {
                    0 => store.claim_refund(Way::Refund, &number("R-1"), at(0), at(100)).await.unwrap().is_some(),
                    _ => !store.claim_due_refunds(at(0), at(100), 9).await.unwrap().is_empty(),
                }
            })
        })
        .collect();
    let mut holders = 0;
    for task in tasks {
        holders += usize::from(task.await.unwrap());
    }
    assert_eq!(holders, 1);
    assert!(refund(&store, Way::Refund, "R-1").await.is_held(at(99)));
    assert_eq!(claim_refund(&store, Way::Refund, "R-1", 99).await, None);
    assert_eq!(store.claim_due_refunds(at(99), at(200), 9).await.unwrap(), []);
    assert!(!refund(&store, Way::Refund, "R-1").await.is_held(at(100)));
    let lease = claim_refund(&store, Way::Refund, "R-1", 100).await.unwrap();
    // Handed back, and not yet due.
    store.change_refund_held(&lease, Millis(0), |refund| refund.due_at = at(150)).await.unwrap();
    assert_eq!(claim_refund(&store, Way::Refund, "R-1", 149).await, None);
    assert_eq!(store.claim_due_refunds(at(149), at(200), 9).await.unwrap(), []);
    let lease = store.claim_due_refunds(at(150), at(200), 9).await.unwrap().remove(0);
    assert_eq!((lease.way(), lease.number()), (Way::Refund, &number("R-1")));
    let learn = |refund: &mut RefundRow| refund.learn(RefundStatus::Refunded, None);
    store.change_refund_held(&lease, Millis(0), learn).await.unwrap();
    assert_eq!(claim_refund(&store, Way::Refund, "R-1", 500).await, None);
    assert_eq!(store.claim_due_refunds(at(500), at(600), 9).await.unwrap(), []);
}

async fn whoever_has_lost_a_refund_writes_nothing_more(database: Database) {
    let store = database.open().await;
    paid(&store).await;
    store.begin_refund(&refund_of("N-1", "R-1", "5.00")).await.unwrap();
    let asleep = claim_refund(&store, Way::Refund, "R-1", 0).await.unwrap();
    // Nobody else has come: it is still theirs, and lasts longer for it.
    let sent = |ms| move |refund: &mut RefundRow| refund.sent_at = Some(at(ms));
    assert!(store.change_refund_held(&asleep, at(250), sent(150)).await.unwrap().is_some());
    assert_eq!(claim_refund(&store, Way::Refund, "R-1", 249).await, None);
    let awake = claim_refund(&store, Way::Refund, "R-1", 250).await.unwrap();
    assert_eq!(store.change_refund_held(&asleep, at(900), sent(260)).await.unwrap(), None);
    let now = refund(&store, Way::Refund, "R-1").await;
    assert_eq!((now.sent_at, now.is_held(at(350))), (Some(at(150)), false));
    assert!(store.change_refund_held(&awake, at(400), sent(270)).await.unwrap().is_some());
}

async fn refunds_that_are_due_are_shared_out_the_longest_overdue_first(database: Database) {
    let store = database.open().await;
    paid(&store).await;
    for index in 0..10 {
        let new = refund_of("N-1", &format!("R-{index}"), "1.00");
        store.begin_refund(&NewRefund { created_at: at(10 - index), ..new }).await.unwrap();
    }
    let numbers = |leases: &[RefundLease]| {
        let mut numbers: Vec<_> = leases.iter().map(|lease| lease.number().to_string()).collect();
        numbers.sort();
        numbers
    };
    assert_eq!(numbers(&store.claim_due_refunds(at(10), at(100), 3).await.unwrap()), ["R-7", "R-8", "R-9"]);
    let mut shares = Vec::new();
    for share in [(); 4].map(|()| {
        let store = store.clone();
        tokio::spawn(async move { store.claim_due_refunds(at(10), at(100), 2).await.unwrap() })
    }) {
        shares.extend(share.await.unwrap());
    }
    assert_eq!(numbers(&shares), ["R-0", "R-1", "R-2", "R-3", "R-4", "R-5", "R-6"]);
}

async fn a_revocation_is_written_down_once_and_gives_an_open_order_up(database: Database) {
    let store = database.open().await;
    assert!(!store.begin_revocation(&number("N-1"), at(0)).await.unwrap());
    let order = due(&store, "N-1").await;
    store.change(&order, |order| order.care.due_at = at(900)).await.unwrap();
    assert!(store.begin_revocation(&order, at(5)).await.unwrap());
    let given_up = store.order(&order).await.unwrap().unwrap();
    assert_eq!((given_up.at_gateway.cancel_wanted, given_up.care.due_at), (true, at(5)));
    let first = refund(&store, Way::Revocation, "N-1").await;
    assert_eq!((first.amount, first.status, first.sent_at), (given_up.amount, RefundStatus::Unknown, None));
    assert!(store.begin_revocation(&order, at(6)).await.unwrap());
    assert_eq!(refund(&store, Way::Revocation, "N-1").await, first);
    // A refund may have an order's number; it is another thing.
    assert_eq!(store.refund(Way::Refund, &order).await.unwrap(), None);
}

async fn a_revocation_waits_until_its_order_is_decided(database: Database) {
    let store = database.open().await;
    let order = due(&store, "N-1").await;
    store.begin_revocation(&order, at(0)).await.unwrap();
    assert_eq!(claim_refund(&store, Way::Revocation, "N-1", 1).await, None);
    assert_eq!(store.claim_due_refunds(at(1), at(100), 9).await.unwrap(), []);
    let paid = OrderState::reported(GatewayStatus::PaidSuccess, false, None);
    store.change(&order, |order| order.at_gateway.learn(&paid, None)).await.unwrap();
    let leases = store.claim_due_refunds(at(1), at(100), 9).await.unwrap();
    assert_eq!(leases.iter().map(RefundLease::way).collect::<Vec<_>>(), [Way::Revocation]);
}

async fn an_order_that_is_being_revoked_is_not_refunded(database: Database) {
    let store = database.open().await;
    paid(&store).await;
    let order = number("N-1");
    store.begin_revocation(&order, at(0)).await.unwrap();
    let new = refund_of("N-1", "N-1", "1.00");
    assert!(matches!(store.begin_refund(&new).await.unwrap(), RefundBegun::NotPaid));
    let refuse = |revocation: &mut RefundRow| revocation.learn(RefundStatus::Failed, None);
    store.change_refund(Way::Revocation, &order, refuse).await.unwrap();
    assert!(matches!(store.begin_refund(&new).await.unwrap(), RefundBegun::Ours(_)));
    // Refused once, it stays so.
    store.begin_revocation(&order, at(1)).await.unwrap();
    assert_eq!(refund(&store, Way::Revocation, "N-1").await.status, RefundStatus::Failed);
}

async fn a_revocation_begins_anew_only_if_its_order_had_failed(database: Database) {
    let store = database.open().await;
    let order = due(&store, "N-1").await;
    store.begin_revocation(&order, at(0)).await.unwrap();
    let learn = |refund: &mut RefundRow| refund.learn(RefundStatus::Refunded, None);
    store.change_refund(Way::Revocation, &order, learn).await.unwrap();
    for status in [GatewayStatus::Failure, GatewayStatus::PaidSuccess] {
        let state = OrderState::reported(status, false, None);
        store.change(&order, |order| order.at_gateway.learn(&state, None)).await.unwrap();
        store.begin_revocation(&order, at(7)).await.unwrap();
        let now = refund(&store, Way::Revocation, "N-1").await;
        let expected = match status {
            GatewayStatus::Failure => (RefundStatus::Refunded, at(0)),
            _ => (RefundStatus::Unknown, at(7)),
        };
        assert_eq!((now.status, now.due_at), expected, "{status:?}");
    }
}

async fn the_leases_of_one_that_was_alone_end_with_it(database: Database) {
    let store = database.open().await;
    paid(&store).await;
    store.begin_refund(&refund_of("N-1", "R-1", "5.00")).await.unwrap();
    let dead = claim_refund(&store, Way::Refund, "R-1", 0).await.unwrap();
    store.begin_instance().await.unwrap();
    let is_over = store.change_refund_held(&dead, Millis(0), |_| {}).await.unwrap().is_none();
    assert_eq!(is_over, !store.is_shared(), "another instance's go on");
}

async fn refund(store: &Store, way: Way, text: &str) -> RefundRow {
    store.refund(way, &number(text)).await.unwrap().unwrap()
}

/// For 100 ms from then on.
async fn claim_refund(store: &Store, way: Way, text: &str, ms: u64) -> Option<RefundLease> {
    store.claim_refund(way, &number(text), at(ms), at(ms + 100)).await.unwrap()
}

/// An order that is due at once.
pub(crate) async fn due(store: &Store, text: &str) -> OrderNumber {
    let row = purchase(store, text).await;
    begin(store, &order_of(&row, text)).await.unwrap();
    store.change(&number(text), |order| order.care.due_at = NOW.moment()).await.unwrap();
    number(text)
}

pub(crate) fn at(ms: u64) -> Millis {
    NOW.moment().plus(Millis(ms))
}

async fn an_order_is_in_one_hand_at_a_time(database: Database) {
    let store = database.open().await;
    let order = due(&store, "N-1").await;
    let claim = |_| {
        let (store, order) = (store.clone(), order.clone());
        tokio::spawn(async move { store.claim(&order, at(0), at(100)).await.unwrap().is_some() })
    };
    let tasks: Vec<_> = (0..20).map(claim).collect();
    let mut holders = 0;
    for task in tasks {
        holders += usize::from(task.await.unwrap());
    }
    assert_eq!(holders, 1);
    assert_eq!(store.claim(&order, at(99), at(200)).await.unwrap(), None);
    assert_eq!(store.claim_due(at(99), at(200), 10).await.unwrap(), []);
    assert!(store.claim(&order, at(100), at(200)).await.unwrap().is_some());
}

async fn whoever_has_lost_an_order_writes_nothing_more(database: Database) {
    let store = database.open().await;
    let order = due(&store, "N-1").await;
    let mut asleep = store.claim(&order, at(0), at(100)).await.unwrap().unwrap();
    // Nobody else has come: it is still theirs, and lasts longer for it.
    let query = |order: &mut Order| {
        order.care.hold_until(at(250));
        _ = order.at_gateway.begin(Step::Query, at(150));
    };
    assert!(store.change_held(&mut asleep, query).await.unwrap().is_some());
    assert_eq!(store.claim(&order, at(249), at(400)).await.unwrap(), None);
    let mut awake = store.claim(&order, at(250), at(400)).await.unwrap().unwrap();
    let cancel = |order: &mut Order| _ = order.at_gateway.begin(Step::Cancel, at(260));
    assert!(store.change_held(&mut asleep, cancel).await.unwrap().is_none());
    let now = store.order(&order).await.unwrap().unwrap().at_gateway;
    assert_eq!((now.queried_at, now.cancel_sent_at), (Some(at(150)), None));
    assert!(store.change_held(&mut awake, cancel).await.unwrap().is_some());
}

async fn an_order_that_was_handed_back_is_free_and_due_when_it_was_said(database: Database) {
    let store = database.open().await;
    let order = due(&store, "N-1").await;
    let mut lease = store.claim(&order, at(0), at(100)).await.unwrap().unwrap();
    let hand_back = |order: &mut Order| {
        order.care.due_at = at(50);
        order.care.hold_until(Millis(0));
    };
    store.change_held(&mut lease, hand_back).await.unwrap();
    assert_eq!(store.next_due(at(0)).await.unwrap(), Some(at(50)));
    assert_eq!(store.claim_due(at(49), at(200), 10).await.unwrap(), []);
    let again = store.claim_due(at(50), at(200), 10).await.unwrap();
    assert_eq!(again.iter().map(Lease::number).collect::<Vec<_>>(), [&order]);
}

async fn what_is_due_is_shared_out_the_longest_overdue_first(database: Database) {
    let store = database.open().await;
    for index in 0..10_u64 {
        let order = due(&store, &format!("N-{index}")).await;
        store.change(&order, |order| order.care.due_at = at(10 - index)).await.unwrap();
    }
    let numbers = |leases: &[Lease]| {
        let mut numbers: Vec<_> = leases.iter().map(|lease| lease.number().to_string()).collect();
        numbers.sort();
        numbers
    };
    assert_eq!(numbers(&store.claim_due(at(10), at(100), 3).await.unwrap()), ["N-7", "N-8", "N-9"]);
    let mut shares = Vec::new();
    for share in [(); 4].map(|()| {
        let store = store.clone();
        tokio::spawn(async move { store.claim_due(at(10), at(100), 2).await.unwrap() })
    }) {
        shares.extend(share.await.unwrap());
    }
    assert_eq!(numbers(&shares), ["N-0", "N-1", "N-2", "N-3", "N-4", "N-5", "N-6"]);
}

async fn an_order_that_cannot_be_written_keeps_no_other_from_it(database: Database) {
    let store = database.open().await;
    let mut orders = Vec::new();
    // More than are written together.
    for index in 0..150 {
        orders.push(order_of(&purchase(&store, &format!("r-{index}")).await, &format!("N-{index}")));
    }
    "nobody's".clone_into(&mut orders[7].purchase_id);
    let begin = |new: NewOrder| {
        let store = store.clone();
        tokio::spawn(async move { store.begin_order(&new, NOW.moment()).await })
    };
    for (index, task) in orders.into_iter().map(begin).collect::<Vec<_>>().into_iter().enumerate() {
        let written = task.await.unwrap();
        let is_there = store.order(&number(&format!("N-{index}"))).await.unwrap().is_some();
        if index == 7 {
            assert!(written.unwrap_err().as_database_error().unwrap().is_foreign_key_violation());
            assert!(!is_there);
        } else {
            assert!(written.unwrap().is_ok() && is_there, "N-{index}");
        }
    }
}

async fn a_decided_order_is_never_due(database: Database) {
    let store = database.open().await;
    let order = due(&store, "N-1").await;
    assert_eq!(store.live_orders().await.unwrap(), 1);
    let failed = OrderState::reported(GatewayStatus::Failure, false, None);
    store.change(&order, |order| order.at_gateway.learn(&failed, None)).await.unwrap();
    assert_eq!(store.claim(&order, at(0), at(1)).await.unwrap(), None);
    assert_eq!(store.claim_due(at(0), at(1), 10).await.unwrap(), []);
    assert_eq!((store.next_due(Millis(0)).await.unwrap(), store.live_orders().await.unwrap()), (None, 0));
}

async fn changes_at_once_are_all_kept(database: Database) {
    let store = database.open().await;
    let order = due(&store, "N-1").await;
    let change = |_| {
        let (store, order) = (store.clone(), order.clone());
        let add = |order: &mut Order| order.care.due_at = order.care.due_at.plus(Millis(1));
        tokio::spawn(async move { store.change(&order, add).await.unwrap() })
    };
    for task in (0..40).map(change).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(store.order(&order).await.unwrap().unwrap().care.due_at, at(40));
}

async fn the_same_notification_at_once_acts_once(database: Database) {
    let store = database.open().await;
    due(&store, "N-1").await;
    let paid = Arc::new(told("1", "N-1", "12.50", GatewayStatus::PaidSuccess));
    let tell = |_| {
        let (store, paid) = (store.clone(), Arc::clone(&paid));
        tokio::spawn(
            async move { matches!(store.take_notification(&paid, b"{}", NOW).await.unwrap(), Taken::Merged(_)) },
        )
    };
    let mut acted = 0;
    for task in (0..20).map(tell).collect::<Vec<_>>() {
        acted += usize::from(task.await.unwrap());
    }
    assert_eq!(acted, 1);
}

async fn the_same_reference_at_once_is_one_purchase(database: Database) {
    let store = database.open().await;
    let open = |index: u8| {
        let (store, new) = (store.clone(), NewPurchase { id: format!("id-{index}"), ..new_purchase("r") });
        tokio::spawn(async move { store.open_purchase(&new, &[index], NOW.plus(Millis(10)), NOW).await.unwrap() })
    };
    let mut ids = Vec::new();
    for task in (0..20).map(open).collect::<Vec<_>>() {
        let (Opened::New(id) | Opened::Same(id)) = task.await.unwrap() else { panic!() };
        ids.push(id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    let dearer = Money { amount: "12.51".parse().unwrap(), currency: Currency::Aed };
    let other = NewPurchase { amount: dearer, ..new_purchase("r") };
    assert_eq!(store.open_purchase(&other, b"x", NOW, NOW).await.unwrap(), Opened::Differs);
}

async fn one_number_at_once_belongs_to_one_purchase(database: Database) {
    let store = database.open().await;
    let mut tasks = Vec::new();
    for index in 0..10 {
        let new = order_of(&purchase(&store, &format!("r-{index}")).await, "N-1");
        let store = store.clone();
        tasks.push(tokio::spawn(async move { begin(&store, &new).await }));
    }
    let mut begun = Vec::new();
    for task in tasks {
        begun.push(task.await.unwrap());
    }
    assert_eq!(begun.iter().filter(|begun| begun.is_ok()).count(), 1);
    assert_eq!(begun.iter().filter(|begun| matches!(begun, Err(Found::Foreign))).count(), 9);
}

async fn trouble_outlives_whoever_had_it(database: Database) {
    let store = database.open().await;
    let order = due(&store, "N-1").await;
    for at in [at(0), at(1)] {
        store.change(&order, |order| _ = order.care.trouble.note(&Policy::TO_GATEWAY, at)).await.unwrap();
    }
    let store = database.open().await;
    let mut trouble = store.order(&order).await.unwrap().unwrap().care.trouble;
    assert!(trouble.note(&Policy::TO_GATEWAY, at(2)), "the third failure in a row alerts");
    store.change(&order, |order| order.care.trouble.ends()).await.unwrap();
    assert_eq!(store.order(&order).await.unwrap().unwrap().care.trouble.failures(), 0);
}

async fn versions_are_told_for_those_that_there_are(database: Database) {
    let store = database.open().await;
    let (one, two) = (due(&store, "N-1").await, due(&store, "N-2").await);
    let created = OrderState::reported(GatewayStatus::Created, false, None);
    store.change(&two, |order| order.at_gateway.learn(&created, None)).await.unwrap();
    let mut versions = store.versions(&[two.clone(), number("N-3"), one.clone()]).await.unwrap();
    versions.sort();
    assert_eq!(versions, [(one, 1), (two, 2)]);
    assert_eq!(store.versions(&[]).await.unwrap(), []);
}
