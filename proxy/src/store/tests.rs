//! The store on real files.

use payby_checkout::gateway::wire::AcquireOrder;
use payby_checkout::money::Currency;
use payby_checkout::order::{GatewayStatus, OrderState, Status};
use payby_checkout::protocol::Scene;
use payby_checkout::time::Millis;
use tempfile::TempDir;

use super::*;

const NOW: UnixMillis = UnixMillis(1_000_000);

async fn store() -> (Store, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (open(&folder).await, folder)
}

async fn open(folder: &TempDir) -> Store {
    Store::open(&format!("sqlite://{}/proxy.db", folder.path().display())).await.unwrap()
}

fn number(text: &str) -> OrderNumber {
    text.parse().unwrap()
}

async fn purchase(store: &Store, reference: &str) -> PurchaseRow {
    let new = NewPurchase {
        id: format!("id-{reference}"),
        reference: reference.to_owned(),
        amount: payby_checkout::money::Money { amount: "12.50".parse().unwrap(), currency: Currency::Aed },
        subject: "Tea".to_owned(),
        scene: Scene::Dynqr,
        redirect_url: None,
        pay_within: None,
    };
    store.open_purchase(&new, reference.as_bytes(), NOW.plus(Millis(10)), NOW).await.unwrap();
    store.purchase(&new.id).await.unwrap().unwrap()
}

fn order_of(purchase: &PurchaseRow, text: &str) -> NewOrder {
    let notify_url = "https://pay.example/payby/notifications".to_owned();
    NewOrder::of_purchase(purchase, number(text), Scene::Dynqr, Millis(60_000), notify_url, NOW).unwrap()
}

fn told(id: &str, order: &str, amount: &str, status: GatewayStatus) -> Notification {
    let body = format!(
        r#"{{"merchantOrderNo":"{order}","orderNo":"1","status":"CREATED","totalAmount":{{"amount":{amount},"currency":"AED"}}}}"#
    );
    let order: AcquireOrder = serde_json::from_str(&body).unwrap();
    let acquire_order = AcquireOrder { status, ..order };
    Notification { notify_id: id.to_owned(), notify_timestamp: NOW, acquire_order }
}

#[tokio::test]
async fn what_is_stored_is_there_after_opening_again() {
    let (store, folder) = store().await;
    let row = purchase(&store, "r").await;
    let Begun::Ours(begun) = store.begin_order(&order_of(&row, "N-1")).await.unwrap() else { panic!() };
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
    assert_eq!(changed.before, *begun);
    store.close().await;
    let store = open(&folder).await;
    assert_eq!(store.order(&begun.number).await.unwrap(), Some(changed.after));
    assert_eq!(store.purchase(&row.id).await.unwrap(), Some(row));
}

#[tokio::test]
async fn the_version_grows_with_what_a_page_can_see_and_with_nothing_else() {
    let (store, _folder) = store().await;
    let row = purchase(&store, "r").await;
    store.begin_order(&order_of(&row, "N-1")).await.unwrap();
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

#[tokio::test]
async fn the_database_itself_refuses_a_second_live_order() {
    let (store, _folder) = store().await;
    let row = purchase(&store, "r").await;
    store.begin_order(&order_of(&row, "N-1")).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let error = order::insert(&mut tx, &order_of(&row, "N-2").intent()).await.unwrap_err();
    assert!(error.as_database_error().unwrap().is_unique_violation());
}

#[tokio::test]
async fn one_number_belongs_to_one_purchase() {
    let (store, _folder) = store().await;
    let (mine, yours) = (purchase(&store, "mine").await, purchase(&store, "yours").await);
    store.begin_order(&order_of(&yours, "N-1")).await.unwrap();
    assert!(matches!(store.begin_order(&order_of(&mine, "N-1")).await.unwrap(), Begun::Foreign));
}

#[tokio::test]
async fn what_is_sent_is_what_was_written_down_first() {
    let (store, _folder) = store().await;
    let row = purchase(&store, "r").await;
    let first = order_of(&row, "N-1");
    store.begin_order(&first).await.unwrap();
    let later = NewOrder { biz_content: "{}".to_owned(), expires_at: UnixMillis(1), ..first.clone() };
    let Begun::Ours(order) = store.begin_order(&later).await.unwrap() else { panic!() };
    assert_eq!((order.biz_content, order.at_gateway.expires_at), (first.biz_content, first.expires_at.moment()));
}

#[tokio::test]
async fn many_who_begin_at_once_get_one_order() {
    let (store, _folder) = store().await;
    let row = purchase(&store, "r").await;
    let begin = |text: String| {
        let (store, new) = (store.clone(), order_of(&row, &text));
        tokio::spawn(async move { matches!(store.begin_order(&new).await.unwrap(), Begun::Ours(_)) })
    };
    let tasks: Vec<_> = (0..20).map(|index| begin(format!("N-{index}"))).collect();
    let mut ours = 0;
    for task in tasks {
        ours += usize::from(task.await.unwrap());
    }
    assert_eq!((ours, store.orders_of(&row.id).await.unwrap().len()), (1, 1));
}

#[tokio::test]
async fn a_token_is_good_until_it_expires() {
    let (store, _folder) = store().await;
    let row = purchase(&store, "r").await;
    assert_eq!(store.purchase_of_token(b"r", NOW.plus(Millis(9))).await.unwrap(), Some(row));
    assert_eq!(store.purchase_of_token(b"r", NOW.plus(Millis(10))).await.unwrap(), None);
    assert_eq!(store.purchase_of_token(b"s", NOW).await.unwrap(), None);
}

#[tokio::test]
async fn a_notification_acts_once_and_only_on_its_own_order_and_amount() {
    let (store, _folder) = store().await;
    let row = purchase(&store, "r").await;
    store.begin_order(&order_of(&row, "N-1")).await.unwrap();
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
