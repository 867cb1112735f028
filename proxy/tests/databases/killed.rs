//! Two instances that are killed at any moment, over one PostgreSQL: no intent is lost, nothing is paid twice, and every order
//! is decided in the end.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use payby_proxy::random;
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::fake_payby::{FakePayby, Fault};
use crate::instance::{Client, Process, Shop, attempt};
use crate::instances::distances;
use crate::is_full;
use crate::proxy::Answer;

/// What the customers have seen, and where they can ask.
struct World {
    payby: FakePayby,
    instances: [Mutex<Client>; 2],
    is_over: AtomicBool,
    purchases: AtomicUsize,
    /// The orders that an answer has named, with their purchase's number and a token for it.
    orders: Mutex<BTreeMap<String, (usize, String)>>,
}

fn below(bound: u32) -> u32 {
    random::number() % bound
}

impl World {
    /// Either instance.
    fn client(&self) -> Client {
        self.instances[below(2) as usize].lock().unwrap().clone()
    }

    /// The answer of whoever is alive.
    async fn ask(&self, request: impl Fn(&Client) -> reqwest::RequestBuilder) -> Answer {
        loop {
            match attempt(request(&self.client())).await {
                Some(answer) if !answer.status.is_server_error() => return answer,
                // Nobody hammers at a door that is shut.
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Customers come, one after the other.
    async fn customers(self: Arc<Self>) {
        while !self.is_over.load(Ordering::Relaxed) {
            let purchase = self.purchases.fetch_add(1, Ordering::Relaxed);
            self.customer(purchase).await;
        }
    }

    /// Somebody who pays, gives up, begins anew or goes away.
    async fn customer(&self, purchase: usize) {
        let opened = self.ask(|at| at.open(&format!("r-{purchase}"))).await;
        let token = opened.body["token"].as_str().unwrap().to_owned();
        for attempt in 0..3 {
            let number = format!("N-{purchase}-{attempt}");
            self.begin(&token, &number).await;
            self.orders.lock().unwrap().insert(number.clone(), (purchase, token.clone()));
            match below(4) {
                0 => return,
                1 => drop(self.ask(|at| at.cancel(&token, &number)).await),
                _ => drop(self.payby.pay(&number)),
            }
            if self.decided(&token, &number).await == "paid" {
                return;
            }
        }
    }

    /// Begins the order. Whoever gets no answer asks again, or has had enough at once.
    async fn begin(&self, token: &str, number: &str) {
        if attempt(self.client().put(token, number)).await.is_none() && below(2) == 0 {
            let given_up = self.ask(|at| at.cancel(token, number)).await;
            assert!(given_up.status == 200 || given_up.status == 404, "{:?}", given_up.body);
        }
        let begun = self.ask(|at| at.put(token, number)).await;
        assert_eq!(begun.status, 200, "{:?}", begun.body);
    }

    /// How the order was decided; one that cannot be paid yet is given up.
    async fn decided(&self, token: &str, number: &str) -> String {
        loop {
            let answer = self.ask(|at| at.get(token, number).header("prefer", "wait=1")).await;
            match answer.body["status"].as_str() {
                Some(status @ ("paid" | "failed" | "conflict")) => return status.to_owned(),
                Some("unknown" | "pending") => drop(self.ask(|at| at.cancel(token, number)).await),
                _ => panic!("the intent is lost: {number}: {} {:?}", answer.status, answer.body),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_are_killed_lose_no_intent_and_let_nothing_be_paid_twice() {
    let (kills, customers) = if is_full() { (1_000, 24) } else { (10, 6) };
    let shop = Shop::new().await;
    let mut processes = [shop.spawn(), shop.spawn()];
    let world = Arc::new(World {
        payby: shop.payby.clone(),
        instances: [0, 1].map(|index: usize| Mutex::new(processes[index].client.clone())),
        is_over: AtomicBool::new(false),
        purchases: AtomicUsize::new(0),
        orders: Mutex::default(),
    });
    let customers: Vec<_> = (0..customers).map(|_| tokio::spawn(Arc::clone(&world).customers())).collect();
    for _ in 0..kills {
        assert!(!customers.iter().any(JoinHandle::is_finished), "a customer has met with what must not be");
        kill_one(&shop, &world, &mut processes).await;
    }
    world.is_over.store(true, Ordering::Relaxed);
    for customer in customers {
        timeout(Duration::from_mins(1), customer).await.expect("customers come to an end").unwrap();
    }
    let ended = Instant::now();
    check(&shop, &world).await;
    let (orders, calls) = (world.orders.lock().unwrap().len(), shop.payby.calls());
    let (least, _) = distances(&calls);
    println!(
        "{kills} kills, {orders} orders of {} purchases, {} calls: all decided {:?} after the last customer, {least:?} at least \
         between two queries of an order",
        world.purchases.load(Ordering::Relaxed),
        calls.len(),
        ended.elapsed()
    );
    assert!(least >= Duration::from_secs(2), "R9: {least:?}");
}

/// At a moment of chance, in the middle of whatever it does, such as waiting for PayBy; the other goes on, and a new one begins.
async fn kill_one(shop: &Shop, world: &World, processes: &mut [Process; 2]) {
    let call = ["placeOrder", "placeOrder", "getOrder", "cancelOrder"][below(4) as usize];
    shop.payby.fail(call, [Fault::LostAnswer, Fault::LostRequest, Fault::Code("500")][below(3) as usize]);
    tokio::time::sleep(Duration::from_millis(u64::from(below(300)))).await;
    let index = below(2) as usize;
    processes[index].kill();
    processes[index] = shop.spawn();
    *world.instances[index].lock().unwrap() = processes[index].client.clone();
}

async fn check(shop: &Shop, world: &Arc<World>) {
    // Those who went away come back, and find their order; one that they can still pay, they give up.
    let orders = world.orders.lock().unwrap().clone();
    let mut paid: HashMap<usize, Vec<&str>> = HashMap::new();
    let asking: Vec<_> = orders
        .iter()
        .map(|(number, (purchase, token))| {
            let (world, number, token) = (Arc::clone(world), number.clone(), token.clone());
            let decided = async move { timeout(Duration::from_mins(2), world.decided(&token, &number)).await };
            (purchase, tokio::spawn(decided))
        })
        .collect();
    for (number, (purchase, asking)) in orders.keys().zip(asking) {
        let status = asking.await.unwrap().expect("it is decided");
        let is_paid = shop.payby.status(number) == Some("PAID_SUCCESS");
        assert_eq!(status == "paid", is_paid, "{number}: {status}");
        assert_ne!(shop.payby.status(number), Some("CREATED"), "{number} can still be paid");
        if is_paid {
            paid.entry(*purchase).or_default().push(number);
        }
    }
    assert!(paid.values().all(|orders| orders.len() == 1), "paid twice: {paid:?}");
    assert!(!paid.is_empty(), "somebody has paid");
    // And those that nobody ever heard of: the number of a request whose answer was lost.
    let mut database = PgConnection::connect(&shop.database).await.unwrap();
    let live: Vec<String> =
        sqlx::query_scalar("SELECT order_number FROM orders WHERE status IN ('unknown', 'pending')")
            .fetch_all(&mut database)
            .await
            .unwrap();
    assert_eq!(live, [""; 0], "not decided");
    let mut contents: HashMap<String, String> = HashMap::new();
    for call in shop.payby.calls().iter().filter(|call| call.name == "placeOrder") {
        let request: serde_json::Value = serde_json::from_str(&call.body).unwrap();
        let number = request["bizContent"]["merchantOrderNo"].as_str().unwrap().to_owned();
        let content = contents.entry(number).or_insert_with(|| call.biz_content().to_owned());
        assert_eq!(content, call.biz_content(), "I4");
    }
    assert!(!shop.log().contains("panicked"), "{}", shop.log());
}
