//! Money that goes back, by two instances over one PostgreSQL: by one hand at a time, and by another if that one dies.

use std::time::{Duration, Instant};

use payby_checkout::protocol::RefundStatus;
use payby_proxy::store::Way;
use reqwest::Method;
use tokio::time::timeout;

use super::{number, unchanged};
use crate::fake_payby::{Call, FakePayby, Fault};
use crate::instance::{Client, Shop, attempt};
use crate::proxy::{API_KEY, Answer, BOUND, send};

/// Two paid orders: one that is to be revoked, and one of which a part is to be refunded.
async fn paid(shop: &Shop, client: &Client) {
    for order in ["N-1", "N-2"] {
        let token = client.token(order).await;
        send(client.put(&token, order)).await;
        assert!(shop.payby.pay(order));
        client.notify(&shop.payby, &FakePayby::notification(order, order, "PAID_SUCCESS")).await;
    }
}

async fn revoke(client: &Client) -> Option<Answer> {
    attempt(client.request(Method::POST, "/v1/orders/N-1/revoke").bearer_auth(API_KEY)).await
}

async fn refund(client: &Client) -> Option<Answer> {
    let request = client.request(Method::POST, "/v1/orders/N-2/refunds").bearer_auth(API_KEY);
    let body = r#"{"refundNumber":"R-1","amount":"5.00"}"#;
    attempt(request.header("content-type", "application/json").body(body)).await
}

/// The calls about money that goes back, in the order in which they arrived.
fn giving_back(shop: &Shop, names: [&str; 2]) -> Vec<Call> {
    shop.payby.calls().into_iter().filter(|call| names.contains(&call.name.as_str())).collect()
}

const REVOKING: [&str; 2] = ["revokeOrder", "getOrder"];
const REFUNDING: [&str; 2] = ["refund/placeOrder", "refund/getOrder"];

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_give_money_back_with_one_hand() {
    let shop = Shop::new().await;
    let instances = [shop.start(unchanged).await, shop.start(unchanged).await];
    paid(&shop, &instances[0].client).await;
    let before = giving_back(&shop, REVOKING).len();
    // While they last, nothing certain can be learnt.
    for call in [REVOKING, REFUNDING].as_flattened() {
        shop.payby.fail(call, Fault::LostRequest);
    }
    let asking = instances.iter().flat_map(|instance| [&instance.client; 4]).map(|client| {
        let client = client.clone();
        tokio::spawn(async move { (revoke(&client).await.unwrap().status, refund(&client).await.unwrap().status) })
    });
    for asking in asking.collect::<Vec<_>>() {
        let (revoked, refunded) = asking.await.unwrap();
        assert_eq!((revoked.as_u16(), refunded.as_u16()), (202, 200));
    }
    shop.payby.called("revokeOrder", 2).await;
    shop.payby.called("refund/placeOrder", 2).await;
    for (names, calls) in
        [(REVOKING, &giving_back(&shop, REVOKING)[before..]), (REFUNDING, &giving_back(&shop, REFUNDING))]
    {
        let said: Vec<_> = calls.iter().map(|call| call.name.as_str()).collect();
        let [sent, asked] = names;
        assert_eq!(said, [sent, asked, asked, sent], "R2");
        assert_eq!(calls[0].biz_content(), calls[3].biz_content());
        let distance = |a: usize, b: usize| calls[b].at.duration_since(calls[a].at);
        let least = distance(0, 1).min(distance(1, 2));
        println!("{sent}: {least:?} at least between two rounds");
        assert!(least >= Duration::from_secs(3), "R9: {least:?}");
    }
    for instance in instances {
        instance.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_instance_was_giving_back_is_taken_over_when_its_lease_ends() {
    let shop = Shop::new().await;
    let mut first = shop.spawn();
    paid(&shop, &first.client).await;
    let before = giving_back(&shop, REVOKING).len();
    for call in ["revokeOrder", "refund/placeOrder"] {
        shop.payby.fail(call, Fault::LostRequest);
    }
    let client = first.client.clone();
    let asking = tokio::spawn(async move { tokio::join!(revoke(&client), refund(&client)) });
    shop.payby.called("revokeOrder", 1).await;
    shop.payby.called("refund/placeOrder", 1).await;
    first.kill();
    let died = Instant::now();
    let (revoked, refunded) = asking.await.unwrap();
    assert!(revoked.is_none() && refunded.is_none(), "nobody was answered");
    let second = shop.start(unchanged).await;
    shop.payby.called("revokeOrder", 2).await;
    shop.payby.called("refund/placeOrder", 2).await;
    let late = died.elapsed();
    println!("taken over {late:?} after");
    // The gateway's time-out and 5 s, and a second until it is seen.
    assert!((Duration::from_secs(4)..Duration::from_secs(9)).contains(&late), "{late:?}");
    assert_eq!(revoke(&second.client).await.unwrap().body["revoked"], true);
    assert_eq!(refund(&second.client).await.unwrap().body["status"], "pending");
    for (names, calls) in
        [(REVOKING, &giving_back(&shop, REVOKING)[before..]), (REFUNDING, &giving_back(&shop, REFUNDING))]
    {
        let said: Vec<_> = calls.iter().map(|call| call.name.as_str()).collect();
        assert_eq!(said, [names[0], names[1], names[0]], "R2: first a query");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_slept_while_another_gave_money_back_changes_nothing() {
    let shop = Shop::new().await;
    let first = shop.spawn();
    paid(&shop, &first.client).await;
    shop.payby.fail("revokeOrder", Fault::LostRequest);
    let client = first.client.clone();
    let asking = tokio::spawn(async move { revoke(&client).await });
    shop.payby.called("revokeOrder", 1).await;
    first.signal("STOP");
    let second = shop.start(unchanged).await;
    shop.payby.called("revokeOrder", 2).await;
    assert_eq!(revoke(&second.client).await.unwrap().body["revoked"], true);
    let store = shop.store().await;
    let made = store.refund(Way::Revocation, &number("N-1")).await.unwrap().unwrap();
    assert_eq!((made.status, made.trouble.failures()), (RefundStatus::Refunded, 0));
    first.signal("CONT");
    // Its call has timed out meanwhile, and so it would say that nothing certain is known.
    assert_eq!(asking.await.unwrap().unwrap().body["revoked"], true);
    let told = async {
        while !shop.log().contains("the refund was taken over by another worker") {
            tokio::task::yield_now().await;
        }
    };
    timeout(BOUND, told).await.expect("it finds that it has lost it");
    assert_eq!(store.refund(Way::Revocation, &number("N-1")).await.unwrap(), Some(made));
}
