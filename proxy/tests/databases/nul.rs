//! A NUL in what PayBy says: JSON can name it, PostgreSQL's text cannot hold it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::fake_payby::{FakePayby, Fault};
use crate::postgres;
use crate::proxy::Proxy;

#[tokio::test]
async fn a_nul_in_an_answer_or_a_notification_is_kept_as_another_character() {
    let proxy = Proxy::start_with([("DATABASE__URL", postgres::database().await)]).await;
    let token = proxy.paid("r", "N-1").await;
    let refund = async |number: &str| -> Value {
        let body = json!({"refundNumber": number, "amount": "5.00"});
        proxy.shop(Method::POST, "/v1/orders/N-1/refunds", Some(body)).await.body
    };
    proxy.payby.fail("refund/placeOrder", Fault::Code("62\u{0}045"));
    assert_eq!(refund("R-1").await["failure"]["code"], "62\u{fffd}045");

    refund("R-2").await;
    let failed = FakePayby::refund_notification(r"n-\u0000", "R-2", "N-1", "5.00", "FAILURE");
    let failed = failed.replace(r#""FAILURE","#, r#""FAILURE","failCode":"\u0000","failDes":"a\u0000b","#);
    let paid = FakePayby::notification(r"n-\u00001", "N-1", "SETTLED");
    for body in [failed, paid] {
        assert_eq!(proxy.notify(&body).await.status, 200, "{body}");
    }
    assert_eq!(refund("R-2").await["failure"], json!({"code": "\u{fffd}", "message": "a\u{fffd}b"}));
    assert_eq!(proxy.get(&token, "N-1").await.body["gatewayStatus"], "SETTLED");
}
