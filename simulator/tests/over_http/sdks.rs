//! Requests as PayBy's own SDKs send them, down to the headers: they must be able to talk to the simulator as to PayBy.

use aws_lc_rs::rsa::{Pkcs1PublicEncryptingKey, PublicEncryptingKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{Bench, PARTNER_ID, Raw, key_file, now};

/// The Java SDK 1.4.3: `partner-id` in lower case, `api-version`, no `Content-Language`.
async fn java(bench: &Bench, path: &str, biz_content: &Value) -> Raw {
    // Jackson's order of fields is that of the class: bizContent first.
    let body = format!(r#"{{"bizContent":{biz_content},"requestTime":{}}}"#, now()).into_bytes();
    let sign = bench.merchant.sign(&body);
    let headers = [
        ("content-type", "application/json; charset=utf-8"),
        ("partner-id", PARTNER_ID),
        ("api-version", "v1"),
        ("sign", &sign),
        ("user-agent", "okhttp/3.14.9"),
        ("accept-encoding", "gzip"),
    ];
    bench.post_raw(path, &headers, body).await.unwrap()
}

/// The PHP SDK 1.0.1: `requestTime` as RFC 3339 with milliseconds, `partnerId` in the body, a charset in the type.
async fn php(bench: &Bench, path: &str, biz_content: &Value) -> Raw {
    let time = jiff::Timestamp::from_millisecond(now().try_into().unwrap()).unwrap();
    let time = jiff::tz::offset(4).to_datetime(time).strftime("%Y-%m-%dT%H:%M:%S%.3f+04:00").to_string();
    let body = json!({"requestTime": time, "partnerId": PARTNER_ID, "bizContent": biz_content}).to_string();
    // json_encode escapes slashes, and the signature is over that.
    let body = body.replace('/', "\\/").into_bytes();
    let sign = bench.merchant.sign(&body);
    let headers = [
        ("Content-Language", "en"),
        ("Content-type", "application/json;charset=UTF-8"),
        ("sign", &*sign),
        ("Partner-Id", PARTNER_ID),
        ("Expect", ""),
    ];
    bench.post_raw(path, &headers, body).await.unwrap()
}

fn order(number: &str) -> Value {
    json!({
        "merchantOrderNo": number,
        "subject": "SDK",
        "totalAmount": {"currency": "AED", "amount": 0.1},
        "paySceneCode": "PAYPAGE",
        "paySceneParams": {"redirectUrl": "https://shop.example/back", "appId": null},
        "notifyUrl": "http://127.0.0.1:1/notify",
        "accessoryContent": {"amountDetail": {"vatAmount": {"currency": "AED", "amount": 0.01}}, "goodsDetail": null},
        "reserved": null,
        "payeeMid": null,
    })
}

fn value(bench: &Bench, raw: &Raw) -> Value {
    assert!(bench.is_signed(raw));
    assert_eq!(raw.headers["content-type"], "application/json");
    serde_json::from_slice(&raw.body).unwrap()
}

#[tokio::test]
async fn both_sdks_place_query_and_cancel() {
    let bench = Bench::start().await;
    for (number, is_java) in [("JAVA-1", true), ("PHP-1", false)] {
        let ask = async |path: &str, biz_content: &Value| {
            let raw =
                if is_java { java(&bench, path, biz_content).await } else { php(&bench, path, biz_content).await };
            value(&bench, &raw)
        };
        let placed = ask("acquire2/placeOrder", &order(number)).await;
        assert_eq!(
            (&placed["head"]["applyStatus"], &placed["head"]["code"]),
            (&json!("SUCCESS"), &json!("0")),
            "{placed}"
        );
        assert_eq!(placed["body"]["acquireOrder"]["totalAmount"]["amount"], json!(0.10));
        assert!(placed["body"]["interActionParams"]["tokenUrl"].is_string());
        let again = ask("acquire2/placeOrder", &order(number)).await;
        assert_eq!(again["body"], placed["body"], "the SDK's retry");
        let reference = json!({"merchantOrderNo": number, "orderNo": null});
        let queried = ask("acquire2/getOrder", &reference).await;
        assert_eq!(queried["body"]["acquireOrder"]["status"], "CREATED");
        let cancelled = ask("acquire2/cancelOrder", &reference).await;
        assert_eq!(cancelled["body"]["acquireOrder"]["status"], "FAILURE");
    }
    let events = bench.see("events").await;
    assert!(events.iter().all(|event| event["kind"] != "call" || event["partnerId"] == PARTNER_ID));
}

/// What the PHP SDK has put on the wire, but for the time.
fn php_bytes(biz_content: &str) -> Vec<u8> {
    let time = jiff::Timestamp::from_millisecond(now().try_into().unwrap()).unwrap().strftime("%Y-%m-%dT%H:%M:%S.000");
    format!(r#"{{"requestTime":"{time}+00:00","partnerId":"200000000001","bizContent":{biz_content}}}"#).into_bytes()
}

/// Sends these very bytes, signed, with the headers of the PHP SDK.
async fn php_sent(bench: &Bench, path: &str, biz_content: &str) -> Value {
    let body = php_bytes(biz_content);
    let sign = bench.merchant.sign(&body);
    let headers = [
        ("Accept", "*/*"),
        ("X-PayBy-Client-User-Agent", r#"{"bindings_version":"0.0.9","lang":"php","publisher":"payby"}"#),
        ("User-Agent", "PayBy/v1 PhpBindings/0.0.9"),
        ("Content-Language", "en"),
        ("Partner-Id", PARTNER_ID),
        ("Content-type", "application/json;charset=UTF-8"),
        ("sign", &*sign),
    ];
    value(bench, &bench.post_raw(path, &headers, body).await.unwrap())
}

#[tokio::test]
async fn the_samples_of_the_php_sdk_write_amounts_as_strings() {
    const ORDER: &str = concat!(
        r#"{"merchantOrderNo":"PHP-1","subject":"iPhone","totalAmount":{"currency":"AED","amount":"0.3"},"#,
        r#""paySceneCode":"DYNQR","notifyUrl":"http:\/\/127.0.0.1:1\/notification","#,
        r#""accessoryContent":{"amountDetail":{"vatAmount":{"currency":"AED","amount":"0.3"}},"#,
        r#""goodsDetail":{"body":"Gifts","goodsName":"candy flower","goodsId":"GI1005"},"#,
        r#""terminalDetail":{"merchantName":"candy home"}}}"#,
    );
    const REFUND: &str = concat!(
        r#"{"refundMerchantOrderNo":"PHP-R1","originMerchantOrderNo":"PHP-1","#,
        r#""amount":{"currency":"AED","amount":"0.1"},"reason":"x"}"#,
    );
    let bench = Bench::start().await;
    bench.rule(&json!({"call": "placeOrder", "amount": "0.30", "fault": "rate_limit"})).await;
    let refused = php_sent(&bench, "acquire2/placeOrder", ORDER).await;
    assert_eq!(refused["head"]["code"], "402", "its amount is known to the faults");
    let placed = php_sent(&bench, "acquire2/placeOrder", ORDER).await;
    assert_eq!(placed["head"]["code"], "0", "{placed}");
    assert_eq!(placed["body"]["acquireOrder"]["totalAmount"]["amount"], json!(0.30), "a number all the same");
    assert_eq!(php_sent(&bench, "acquire2/placeOrder", ORDER).await["body"], placed["body"]);
    bench.control("orders/PHP-1/pay", &json!({})).await;
    let refunded = php_sent(&bench, "acquire2/refund/placeOrder", REFUND).await;
    assert_eq!(refunded["body"]["refundSummary"]["remainRefundAmount"]["amount"], json!(0.20), "{refunded}");
    for wrong in ["", "0.333", "three"] {
        let order = ORDER.replace("PHP-1", "PHP-2").replace("0.3", wrong);
        let answer = php_sent(&bench, "acquire2/placeOrder", &order).await;
        assert_eq!(answer["head"]["code"], "400", "{wrong}: {answer}");
    }
}

#[tokio::test]
async fn paybys_sample_without_an_sdk_ends_its_body_in_a_line_break() {
    let bench = Bench::start().await;
    let biz_content = order("SAMPLE-1");
    let body = format!("{{\"bizContent\":{biz_content},\"requestTime\":{}}}\r\n", now()).into_bytes();
    let sign = bench.merchant.sign(&body);
    let headers = [
        ("Content-type", "application/json; charset=utf-8"),
        ("Accept", "application/json"),
        ("partner-id", PARTNER_ID),
        ("api-version", "v1"),
        ("sign", &*sign),
    ];
    let answer = value(&bench, &bench.post_raw("acquire2/placeOrder", &headers, body).await.unwrap());
    assert_eq!(answer["head"]["code"], "0", "{answer}");
}

#[tokio::test]
async fn a_transfers_beneficiary_is_encrypted_with_paybys_key() {
    let bench = Bench::start().await;
    let public = PublicEncryptingKey::from_der(pem::parse(key_file("payby_public.pem")).unwrap().contents()).unwrap();
    let public = Pkcs1PublicEncryptingKey::new(public).unwrap();
    let encrypted = |plain: &[u8]| {
        let mut ciphertext = vec![0; public.ciphertext_size()];
        STANDARD.encode(public.encrypt(plain, &mut ciphertext).unwrap())
    };
    for (number, identity, code) in [
        ("T-1", encrypted(b"+971-585812341"), "0"),
        ("T-2", encrypted(b""), "62027"),
        ("T-3", "+971-585812341".to_owned(), "400"),
        ("T-4", STANDARD.encode([7; 256]), "400"),
    ] {
        // The sample of the Java SDK encrypts the name as well.
        let transfer = json!({
            "merchantOrderNo": number,
            "beneficiaryIdentityType": "PHONE_NO",
            "beneficiaryIdentity": identity,
            "beneficiaryFullName": encrypted(b"JACKMA"),
            "amount": {"currency": "AED", "amount": 1},
            "memo": "SDK",
        });
        let answer = value(&bench, &java(&bench, "transfer/placeTransferOrder", &transfer).await);
        assert_eq!(answer["head"]["code"], code, "{number}: {answer}");
    }
    let transfers = bench.see("transfers").await;
    assert_eq!(transfers.len(), 1);
    assert!(!json!(transfers).to_string().contains("585812341"));
}
