//! What the targets share: texts that begin right and go wrong in one place or in many, and ways to read them that know
//! nothing of what they mean.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use payby_checkout::money::{Amount, Currency, Money};
use payby_checkout::order_number::OrderNumber;
use payby_checkout::protocol::Scene;
use payby_checkout::time::{Millis, UnixMillis};
use payby_proxy::store::{Error, NewOrder, NewPurchase, NewRefund, RefundBegun, RefundRow, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// What is done to a right text. Nothing at all is the likeliest.
#[derive(Arbitrary, Debug)]
pub struct Changes {
    values: Vec<(u8, Word)>,
    splices: Vec<Splice>,
}

/// What stands where a value stood.
#[derive(Arbitrary, Debug)]
pub enum Word {
    /// One that matters somewhere.
    Known(u8),
    /// A text in quotes.
    Quoted(String),
    /// Anything.
    Raw(String),
}

/// Bytes in place of others.
#[derive(Arbitrary, Debug)]
struct Splice {
    at: u16,
    cut: u8,
    put: Vec<u8>,
}

impl Changes {
    /// Whether the text stays as it is.
    pub fn are_none(&self) -> bool {
        self.values.is_empty() && self.splices.is_empty()
    }

    /// Changes a text whose values stand between `§` and `§`; others are chosen from `words`, which it parts.
    pub fn made_to(&self, text: &str, words: &str) -> Vec<u8> {
        let mut pieces: Vec<String> = text.split('§').map(str::to_owned).collect();
        let values = pieces.len() / 2;
        for (place, word) in &self.values {
            pieces[usize::from(*place) % values * 2 + 1] = word.text(words);
        }
        let mut bytes = pieces.concat().into_bytes();
        for Splice { at, cut, put } in &self.splices {
            let start = usize::from(*at) % (bytes.len() + 1);
            let end = bytes.len().min(start + usize::from(*cut));
            bytes.splice(start..end, put.iter().copied());
        }
        bytes
    }
}

impl Word {
    /// What it says, with these to choose from, which `§` parts.
    pub fn text(&self, words: &str) -> String {
        match self {
            Self::Known(which) => {
                let words: Vec<&str> = words.split('§').collect();
                words[usize::from(*which) % words.len()].trim().to_owned()
            }
            Self::Quoted(text) => format!("{text:?}"),
            Self::Raw(text) => text.clone(),
        }
    }
}

/// Values that matter somewhere in PayBy's messages.
pub const WORDS: &str = r#"
"CREATED"§"PAID_SUCCESS"§"SETTLED"§"FAILURE"§"REFUNDED_SETTLED"§"SUCCESS"§"\u0050AID_SUCCESS"§"paid_success"§"FAIL"§
"ERROR"§"true"§"false"§true§false§null§{}§[]§""§"0"§0§"400"§"402"§"403"§"404"§"500"§"504"§"601"§"62001"§"62002"§
"62003"§"62004"§"62007"§"62015"§"62016"§"62017"§12.5§12.50§12.51§12.500§1250e-2§-12.50§"12.50"§125§999999999999.99§
1e999§"AED"§"USD"§"aed"§"M-1"§"M-2"§"R-1"§"R-2"§"T-1"§"EXPIRED"§"CANCELLED"§18446744073709551615§
18446744073709551616§-1§"\u0000"§"\ud800"§"PAID_SUCCESS","status":"FAILURE"§"M-2","merchantOrderNo":"M-1""#;

/// Reads, and sees that what is written of it is read the same.
pub fn reads_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(bytes).ok()?;
    let written = serde_json::to_vec(&read).expect("what was read can be written");
    assert_eq!(serde_json::from_slice::<T>(&written).expect("what was written can be read"), read);
    Some(read)
}

/// The value at the end of a path, as it is written. Knows nothing of what the messages mean.
pub fn written_at(body: &[u8], path: &[&str]) -> Option<String> {
    let mut value = String::from_utf8_lossy(body).into_owned();
    for name in path {
        let object: BTreeMap<String, &RawValue> = serde_json::from_str(&value).ok()?;
        value = object.get(*name)?.get().to_owned();
    }
    Some(value)
}

/// The text at the end of a path.
pub fn told_at(body: &[u8], path: &[&str]) -> Option<String> {
    serde_json::from_str(&written_at(body, path)?).ok()
}

/// The clock of all that happens here.
pub const NOW: UnixMillis = UnixMillis(1_795_000_000_000);

/// A number that is right.
pub fn number(text: &str) -> OrderNumber {
    text.parse().expect("a number")
}

/// What the order M-1 costs, and the refund R-1 gives back.
pub fn money() -> Money {
    Money { amount: Amount::from_fils(1250).expect("an amount"), currency: Currency::Aed }
}

/// The refund R-1, over all of the order M-1, as the proxy writes it down.
pub fn refund() -> RefundRow {
    static REFUND: LazyLock<RefundRow> = LazyLock::new(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let folder = std::env::temp_dir().join(format!("payby-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let url = format!("sqlite://{}/proxy.db", folder.display());
        let refund = runtime.block_on(begin_refund(&url)).expect("a database");
        std::fs::remove_dir_all(&folder).expect("the folder is ours");
        refund
    });
    REFUND.clone()
}

async fn begin_refund(url: &str) -> Result<RefundRow, Error> {
    let store = Store::open(url).await?;
    let purchase = NewPurchase {
        id: "P-1".to_owned(),
        reference: "1".to_owned(),
        amount: money(),
        subject: "Tea".to_owned(),
        scene: Scene::Paypage,
        redirect_url: None,
        pay_within: None,
    };
    store.open_purchase(&purchase, b"token", NOW, NOW).await?;
    let order = NewOrder {
        number: number("M-1"),
        purchase_id: purchase.id,
        scene: purchase.scene,
        amount: money(),
        biz_content: "{}".to_owned(),
        expires_at: NOW,
        created_at: NOW,
    };
    store.begin_order(&order, NOW.moment()).await?.expect("a new order");
    let paid = r#"{"notify_id":"N-1","notify_timestamp":1,"acquireOrder":{"merchantOrderNo":"M-1","orderNo":"131",
        "status":"PAID_SUCCESS","totalAmount":{"amount":12.50,"currency":"AED"}}}"#;
    let told = serde_json::from_str(paid).expect("a notification");
    store.take_notification(&told, paid.as_bytes(), NOW).await?;
    let refund = NewRefund {
        number: number("R-1"),
        order_number: order.number,
        amount: money(),
        biz_content: "{}".to_owned(),
        created_at: Millis(0),
    };
    match store.begin_refund(&refund).await? {
        RefundBegun::Ours(refund) => Ok(refund),
        other => panic!("a paid order can be refunded: {other:?}"),
    }
}
