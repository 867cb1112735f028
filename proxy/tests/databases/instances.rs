//! Two instances over one PostgreSQL do together what one does alone.

mod refunds;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use payby_checkout::hop::Step;
use payby_checkout::order_number::OrderNumber;
use payby_checkout::time::{Millis, UnixMillis};
use payby_proxy::config::{Clock, Config};
use payby_proxy::store::Store;
use sqlx::{Connection as _, PgConnection};
use tokio::time::timeout;

use crate::fake_payby::{Call, FakePayby, Fault};
use crate::instance::{Client, Shop};
use crate::is_full;
use crate::proxy::{Answer, BOUND, send};

/// Less than it takes the slow poll to find out what a hint has not told.
const AT_ONCE: Duration = Duration::from_secs(3);

fn now() -> UnixMillis {
    Clock::default().now()
}

fn number(text: &str) -> OrderNumber {
    text.parse().unwrap()
}

const fn unchanged(_: &mut Config) {}

/// A request that is held until the order changes, and is held by the time this comes back.
async fn park(store: &Store, at: &Client, token: &str, order: &str) -> tokio::task::JoinHandle<Answer> {
    let etag = send(at.get(token, order)).await.header("etag").to_owned();
    let held = send(at.get(token, order).header("prefer", "wait=18").header("if-none-match", etag));
    let held = tokio::spawn(held);
    let later = now().moment().plus(Millis(30_000));
    // Whoever waits is written down once they can be woken.
    let parked = async {
        while store.order(&number(order)).await.unwrap().unwrap().care.awaited_until < later {
            tokio::task::yield_now().await;
        }
    };
    timeout(BOUND, parked).await.unwrap();
    held
}

#[tokio::test]
async fn who_waits_at_one_instance_hears_at_once_what_another_was_told() {
    let shop = Shop::new().await;
    let (one, two, store) = (shop.start(unchanged).await, shop.start(unchanged).await, shop.store().await);
    // By chance, the slow poll may tell one of them.
    for index in 0..3 {
        let (reference, order) = (format!("r-{index}"), format!("N-{index}"));
        let token = one.client.token(&reference).await;
        send(one.client.put(&token, &order)).await;
        let held = park(&store, &one.client, &token, &order).await;
        let told = Instant::now();
        two.client.notify(&shop.payby, &FakePayby::notification(&order, &order, "PAID_SUCCESS")).await;
        assert_eq!(held.await.unwrap().body["status"], "paid");
        assert!(told.elapsed() < AT_ONCE, "{:?}", told.elapsed());
    }
}

#[tokio::test]
async fn who_has_lost_the_connection_to_the_others_misses_nothing() {
    let shop = Shop::new().await;
    let (one, two, store) = (shop.start(unchanged).await, shop.start(unchanged).await, shop.store().await);
    let mut database = PgConnection::connect(&shop.database).await.unwrap();
    for round in 0..if is_full() { 20 } else { 2 } {
        let (reference, order) = (format!("r-{round}"), format!("N-{round}"));
        let token = one.client.token(&reference).await;
        send(one.client.put(&token, &order)).await;
        let held = park(&store, &one.client, &token, &order).await;
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE datname = current_database() AND query LIKE 'LISTEN%'";
        let cut: i64 = sqlx::query_scalar(cut).fetch_one(&mut database).await.unwrap();
        assert!(cut > 0, "nobody was listening");
        two.client.notify(&shop.payby, &FakePayby::notification(&order, &order, "PAID_SUCCESS")).await;
        assert_eq!(timeout(BOUND, held).await.unwrap().unwrap().body["status"], "paid");
    }
}

/// An order in the hands of an instance that is this test.
async fn in_our_hands(shop: &Shop, client: &Client, until: Millis) -> (Store, payby_proxy::store::Lease, String) {
    let token = client.token("r").await;
    assert_eq!(send(client.put(&token, "N-1")).await.body["status"], "pending");
    let store = shop.store().await;
    let lease = loop {
        // The poller of the instance may be at it.
        if let Some(lease) = store.claim(&number("N-1"), now().moment(), until).await.unwrap() {
            break lease;
        }
        tokio::task::yield_now().await;
    };
    (store, lease, token)
}

#[tokio::test]
async fn what_another_instance_has_in_hand_is_written_down_for_it_and_awaited() {
    let shop = Shop::new().await;
    let one = shop.start(unchanged).await;
    let (store, mut lease, token) = in_our_hands(&shop, &one.client, now().moment().plus(Millis(60_000))).await;
    let calls = shop.payby.calls().len();
    let cancelled = tokio::spawn(send(one.client.cancel(&token, "N-1")));
    let wanted = async {
        while !store.order(&number("N-1")).await.unwrap().unwrap().at_gateway.cancel_wanted {
            tokio::task::yield_now().await;
        }
    };
    timeout(BOUND, wanted).await.unwrap();
    // It looks several times whether the order was handed back.
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(!cancelled.is_finished());
    assert_eq!(shop.payby.calls().len(), calls, "the order is in our hands");
    let hand_back = |order: &mut payby_proxy::store::Order| {
        order.care.due_at = now().moment();
        order.care.hold_until(Millis(0));
    };
    store.change_held(&mut lease, hand_back).await.unwrap();
    assert_eq!(cancelled.await.unwrap().body["failure"]["reason"], "cancelled");
}

#[tokio::test]
async fn what_a_dead_instance_had_in_hand_is_taken_over_when_its_lease_ends() {
    let shop = Shop::new().await;
    let one = shop.start(unchanged).await;
    shop.payby.fail("placeOrder", Fault::Code("500"));
    let token = one.client.token("r").await;
    assert_eq!(send(one.client.put(&token, "N-1")).await.body["status"], "unknown");
    let store = shop.store().await;
    let (died, until) = (now().moment(), now().moment().plus(Millis(1_000)));
    let mut lease = loop {
        if let Some(lease) = store.claim(&number("N-1"), died, until).await.unwrap() {
            break lease;
        }
        tokio::task::yield_now().await;
    };
    // It has written down that it sends the creation again, and that was its end.
    let begin = |order: &mut payby_proxy::store::Order| _ = order.at_gateway.begin(Step::Place, died);
    store.change_held(&mut lease, begin).await.unwrap();
    let before = shop.payby.calls().len();
    shop.payby.called("placeOrder", 2).await;
    let late = now().moment().since(died).0;
    let calls = shop.payby.calls();
    let after: Vec<_> = calls[before..].iter().map(|call| call.name.as_str()).collect();
    assert_eq!(after[..2], ["getOrder", "placeOrder"], "R2: first a query");
    assert!((1_000..6_000).contains(&late), "{late} ms after");
    let places: Vec<_> = calls.iter().filter(|call| call.name == "placeOrder").map(Call::biz_content).collect();
    assert_eq!(places[0], places[1]);
}

/// The least and the longest time between two queries about the same order, as they arrived.
pub(crate) fn distances(calls: &[Call]) -> (Duration, Duration) {
    let mut before: HashMap<&str, Instant> = HashMap::new();
    let (mut shortest, mut longest) = (Duration::MAX, Duration::ZERO);
    for call in calls.iter().filter(|call| call.name == "getOrder") {
        if let Some(before) = before.insert(call.biz_content(), call.at) {
            let distance = call.at.duration_since(before);
            (shortest, longest) = (shortest.min(distance), longest.max(distance));
        }
    }
    (shortest, longest)
}

#[tokio::test(flavor = "multi_thread")]
async fn r9_two_instances_ask_together_no_more_often_than_one() {
    let (orders, watched) = if is_full() { (1_000, Duration::from_mins(1)) } else { (20, Duration::from_secs(6)) };
    let shop = Shop::new().await;
    let instances = [shop.start(unchanged).await, shop.start(unchanged).await];
    let mut tokens = Vec::new();
    for index in 0..orders {
        let token = instances[index % 2].client.token(&format!("r-{index}")).await;
        send(instances[index % 2].client.put(&token, &format!("N-{index}"))).await;
        tokens.push(token);
    }
    let mut watchers = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        for instance in instances.iter().flat_map(|instance| [instance; 3]) {
            let (client, token) = (instance.client.clone(), token.clone());
            let watch = async move { (client.decided(&token, &format!("N-{index}")).await, Instant::now()) };
            watchers.push(tokio::spawn(watch));
        }
    }
    // What is looked at is the passing of time.
    let began = shop.payby.calls().len();
    tokio::time::sleep(watched).await;
    let calls = &shop.payby.calls()[began..];
    let (shortest, longest) = distances(calls);
    let queries = calls.iter().filter(|call| call.name == "getOrder").count();
    let paid_at = Instant::now();
    for index in 0..orders {
        assert!(shop.payby.pay(&format!("N-{index}")));
    }
    let mut last_heard = paid_at;
    for watcher in watchers {
        let (status, at) = watcher.await.unwrap();
        assert_eq!(status, "paid");
        last_heard = last_heard.max(at);
    }
    let heard = last_heard.duration_since(paid_at);
    println!(
        "{orders} orders, {} watchers, {queries} queries in {watched:?}: between two of an order {shortest:?} to \
         {longest:?}; all have heard {heard:?} after the payments",
        orders * 6
    );
    let (after, _) = distances(&shop.payby.calls());
    assert!(shortest.min(after) >= Duration::from_secs(2), "{shortest:?}, {after:?}");
    assert!(queries >= orders, "every order was asked about");
    for instance in instances {
        instance.stop().await;
    }
}
