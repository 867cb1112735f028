//! What travels between a merchant's proxy and PayBy: envelopes, acquire orders, notifications, codes.
//!
//! Money is a JSON number on this wire; it is read from and written to its digits, never through a float.

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::money::{Currency, Money};
use crate::order::{Failure, FailureReason, GatewayStatus, OrderState};
use crate::order_number::OrderNumber;
use crate::time::UnixMillis;

/// The paths of the calls on acquire orders, below the base URL.
pub mod path {
    /// Create, or answer with the order that the number already names.
    pub const PLACE_ORDER: &str = "acquire2/placeOrder";
    /// Query.
    pub const GET_ORDER: &str = "acquire2/getOrder";
    /// Cancel an order that is not paid.
    pub const CANCEL_ORDER: &str = "acquire2/cancelOrder";
}

/// The values of [`Head::code`] that decide something.
pub mod code {
    /// All is well.
    pub const SUCCESS: &str = "0";
    /// A parameter is wrong, or `requestTime` is more than 15 minutes from PayBy's clock.
    pub const INVALID_PARAMETER: &str = "400";
    /// Too many requests; nothing was done.
    pub const RATE_LIMIT_REJECT: &str = "402";
    /// The merchant may not do this.
    pub const UNAUTHORIZED: &str = "403";
    /// No such service.
    pub const SERVICE_NOT_AVAILABLE: &str = "404";
    /// The outcome is unknown.
    pub const SYSTEM_ERROR: &str = "500";
    /// The outcome is unknown.
    pub const SERVICE_TIMEOUT: &str = "504";
    /// Refused by risk control.
    pub const RISK_FAIL: &str = "601";
    /// The order is paid.
    pub const ORDER_PAID: &str = "62001";
    /// The order is cancelled or expired.
    pub const ORDER_FAILURE: &str = "62002";
    /// The order is paid and settled.
    pub const ORDER_SETTLED: &str = "62003";
    /// No order has this number. After a creation with an unknown outcome this is not final.
    pub const MERCHANT_ORDER_NO_NOT_EXIST: &str = "62004";
    /// `expiredTime` is before `requestTime`.
    pub const EXPIREDTIME_LESS_THAN_REQUESTTIME: &str = "62008";
    /// `expiredTime` is more than 48 h after `requestTime`.
    pub const EXPIREDTIME_TOO_LATER: &str = "62009";
    /// The scene is unknown or not open to this merchant.
    pub const PAYSCENECODE_ILLEGAL: &str = "62012";
    /// The number is taken by an order with other parameters.
    pub const MERCHANT_ORDER_NO_EXIST: &str = "62016";
    /// The scene needs a `redirectUrl`.
    pub const MISSING_REDIRECT_URL: &str = "62072";
}

/// The envelope of a request. `bizContent` is kept as raw text: the signature is over its bytes, and a retry sends the
/// very same ones.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request<'a> {
    /// When the request was made. PayBy refuses one more than 15 minutes from its own clock.
    pub request_time: UnixMillis,
    /// The call's parameters.
    #[serde(borrow)]
    pub biz_content: &'a RawValue,
}

/// The envelope of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer<B> {
    /// Whether the call was taken.
    pub head: Head,
    /// What it gave; only with `SUCCESS` and code `"0"`.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub body: Option<B>,
}

/// The head of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// Whether the call was taken.
    pub apply_status: ApplyStatus,
    /// One of [`code`], at most 10 characters.
    pub code: String,
    /// The code in words.
    #[serde(default)]
    pub msg: Option<String>,
    /// PayBy's name for this call, for its support.
    #[serde(default)]
    pub trace_code: Option<String>,
}

/// Whether PayBy took a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ApplyStatus {
    /// Taken; [`Head::code`] says what came of it.
    Success,
    /// Refused; [`Head::code`] says why.
    Fail,
    /// The signature did not verify.
    Error,
}

/// `placeOrder`'s parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlaceOrder {
    /// The order's number.
    pub merchant_order_no: OrderNumber,
    /// What is bought.
    pub subject: String,
    /// What it costs.
    pub total_amount: WireMoney,
    /// How it is paid.
    pub pay_scene_code: String,
    /// More about how it is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pay_scene_params: Option<PaySceneParams>,
    /// When it can no longer be paid: default 2 h after `requestTime`, at most 48 h after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired_time: Option<UnixMillis>,
    /// Where PayBy sends its notifications, at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify_url: Option<String>,
    /// The merchant's own note, given back as it is, at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<String>,
}

/// More about how an order is paid. Booleans among these travel as the strings "true" and "false".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaySceneParams {
    /// Where the pay page sends the payer back to, at most 512 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_url: Option<String>,
}

/// Names an order by one of its two numbers, never by both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderReference {
    /// The merchant's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merchant_order_no: Option<OrderNumber>,
    /// PayBy's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_no: Option<String>,
}

/// The body of an answer about one acquire order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AcquireBody {
    /// The order.
    pub acquire_order: AcquireOrder,
    /// How the payer goes on; in the answer to `placeOrder`, while the order is CREATED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inter_action_params: Option<InterActionParams>,
}

/// How the payer goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InterActionParams {
    /// The pay page, or what the QR code must hold.
    pub token_url: String,
}

/// One order as PayBy tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AcquireOrder {
    /// The merchant's number.
    pub merchant_order_no: OrderNumber,
    /// PayBy's number.
    pub order_no: String,
    /// Where it stands.
    pub status: GatewayStatus,
    /// When it was first asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_time: Option<UnixMillis>,
    /// When it can no longer be paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired_time: Option<UnixMillis>,
    /// What it costs.
    pub total_amount: WireMoney,
    /// What is bought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// How it is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pay_scene_code: Option<String>,
    /// Where PayBy sends its notifications.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify_url: Option<String>,
    /// The payment, once there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_info: Option<PaymentInfo>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_code: Option<String>,
    /// Why it failed, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_des: Option<String>,
    /// "true" if a payment was made and is being given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<WireBool>,
    /// The merchant's own note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<String>,
}

impl AcquireOrder {
    /// What this report says of the order, with the reason of a failure as far as the report tells it:
    /// revoked if it says so; expired if the report was made (`reported_at`) past `expiredTime` or its code names expiry;
    /// cancelled if its code names that or there is none; else declined.
    #[must_use]
    pub fn state(&self, reported_at: UnixMillis) -> OrderState {
        let revoked = self.revoked == Some(WireBool(true));
        let failure = (self.status == GatewayStatus::Failure).then(|| {
            let named =
                |word: &str| self.fail_code.as_ref().is_some_and(|code| code.to_ascii_uppercase().contains(word));
            let reason = if revoked {
                FailureReason::Revoked
            } else if named("EXPIRE") {
                FailureReason::Expired
            } else if named("CANCEL") {
                FailureReason::Cancelled
            } else if self.fail_code.is_some() {
                FailureReason::Declined
            } else if self.expired_time.is_some_and(|end| end <= reported_at) {
                FailureReason::Expired
            } else {
                FailureReason::Cancelled
            };
            Failure { reason, code: self.fail_code.clone(), message: self.fail_des.clone() }
        });
        OrderState::reported(self.status, revoked, failure)
    }
}

/// How an order was paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentInfo {
    /// How much was paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_amount: Option<WireMoney>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_time: Option<UnixMillis>,
    /// By which channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pay_channel: Option<String>,
}

/// What PayBy posts to `notifyUrl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// The same on every delivery of one notification.
    pub notify_id: String,
    /// When it was made.
    pub notify_timestamp: UnixMillis,
    /// The order that it is about.
    #[serde(rename = "acquireOrder")]
    pub acquire_order: AcquireOrder,
}

/// What acknowledges a notification, with HTTP 200. Anything else is an invitation to try again.
pub const ACKNOWLEDGEMENT: &str = r#"{"response":"SUCCESS"}"#;

/// [`Money`] as PayBy writes it: the amount is a JSON number, read from and written to its digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireMoney(pub Money);

impl Serialize for WireMoney {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits = RawValue::from_string(self.0.amount.to_string()).expect("an amount is a JSON number");
        let mut money = serializer.serialize_struct("Money", 2)?;
        money.serialize_field("amount", &digits)?;
        money.serialize_field("currency", &self.0.currency)?;
        money.end()
    }
}

impl<'de> Deserialize<'de> for WireMoney {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = WireMoney;

            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str("money, like {\"amount\": 12.50, \"currency\": \"AED\"}")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WireMoney, A::Error> {
                let (mut amount, mut currency) = (None, None);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "amount" if amount.is_none() => amount = Some(map.next_value::<Box<RawValue>>()?),
                        "currency" if currency.is_none() => currency = Some(map.next_value::<Currency>()?),
                        "amount" | "currency" => return Err(de::Error::custom("a field of money stands twice")),
                        _ => drop(map.next_value::<de::IgnoredAny>()?),
                    }
                }
                let amount = amount.ok_or_else(|| de::Error::missing_field("amount"))?;
                let currency = currency.ok_or_else(|| de::Error::missing_field("currency"))?;
                let amount = amount.get().parse().map_err(de::Error::custom)?;
                Ok(WireMoney(Money { amount, currency }))
            }
        }

        deserializer.deserialize_struct("Money", &["amount", "currency"], Fields)
    }
}

/// A boolean that travels as the string "true" or "false"; a JSON boolean is taken as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireBool(pub bool);

impl Serialize for WireBool {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0 { "true" } else { "false" })
    }
}

impl<'de> Deserialize<'de> for WireBool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Boolean(bool),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Boolean(value) => Ok(Self(value)),
            Either::Text(text) if text == "true" => Ok(Self(true)),
            Either::Text(text) if text == "false" => Ok(Self(false)),
            Either::Text(_) => Err(de::Error::custom("expected \"true\" or \"false\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"head":{"applyStatus":"SUCCESS","code":"0","msg":"SUCCESS","traceCode":"843909","success":true},
        "body":{"acquireOrder":{"merchantOrderNo":"M-1","orderNo":"131","status":"FAILURE","totalAmount":{"currency":"AED",
        "amount":12.30},"expiredTime":2000,"revoked":"false","somethingNew":[1]}}}"#;

    #[test]
    fn an_answer_is_read_by_its_digits_and_unknown_fields_are_ignored() {
        let answer: Answer<AcquireBody> = serde_json::from_str(ANSWER).unwrap();
        let order = answer.body.unwrap().acquire_order;
        assert_eq!(order.total_amount.0.amount.fils(), 1230);
        assert_eq!(order.revoked, Some(WireBool(false)));
    }

    #[test]
    fn money_is_written_with_its_digits() {
        let money = WireMoney(Money { amount: "99999999.10".parse().unwrap(), currency: Currency::Aed });
        assert_eq!(serde_json::to_string(&money).unwrap(), r#"{"amount":99999999.10,"currency":"AED"}"#);
    }

    #[test]
    fn money_that_is_not_a_plain_decimal_is_refused() {
        for amount in ["12.345", "-1", "1e3", "\"12\"", "0", "null"] {
            let text = format!(r#"{{"amount":{amount},"currency":"AED"}}"#);
            assert!(serde_json::from_str::<WireMoney>(&text).is_err(), "{amount}");
        }
    }

    #[test]
    fn why_an_order_failed() {
        let order = serde_json::from_str::<Answer<AcquireBody>>(ANSWER).unwrap().body.unwrap().acquire_order;
        let reason = |fail_code: Option<&str>, revoked: bool, at: u64| {
            let report = AcquireOrder {
                fail_code: fail_code.map(Into::into),
                revoked: Some(WireBool(revoked)),
                ..order.clone()
            };
            report.state(UnixMillis(at)).failure().unwrap().reason
        };
        assert_eq!(reason(None, false, 1999), FailureReason::Cancelled);
        assert_eq!(reason(None, false, 2000), FailureReason::Expired);
        assert_eq!(reason(Some("ORDER_EXPIRED"), false, 0), FailureReason::Expired);
        assert_eq!(reason(Some("PAYMENT_DECLINED"), false, 2000), FailureReason::Declined);
        assert_eq!(reason(Some("MERCHANT_CANCEL"), false, 2000), FailureReason::Cancelled);
        assert_eq!(reason(None, true, 2000), FailureReason::Revoked);
    }
}
