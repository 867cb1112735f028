//! What travels between a merchant's proxy and PayBy: envelopes, acquire orders, notifications, codes.
//!
//! Money is a JSON number on this wire; it is read from and written to its digits, never through a float.

use serde::de::{self, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::money::{Currency, Money};
use crate::order::{Failure, FailureReason, GatewayStatus, OrderState};
use crate::order_number::OrderNumber;
use crate::time::UnixMillis;

/// The paths of the calls, below the base URL.
pub mod path {
    /// Create, or answer with the order that the number already names.
    pub const PLACE_ORDER: &str = "acquire2/placeOrder";
    /// Query.
    pub const GET_ORDER: &str = "acquire2/getOrder";
    /// Cancel an order that is not paid.
    pub const CANCEL_ORDER: &str = "acquire2/cancelOrder";
    /// Close an unpaid order, give back a paid one.
    pub const REVOKE_ORDER: &str = "acquire2/revokeOrder";
    /// Change when an open order ends.
    pub const UPDATE_EXPIRED_TIME: &str = "acquire2/updateExpiredTime";
    /// Who scanned a code.
    pub const GET_CASHIER_URL_INFO: &str = "acquire2/getCashierUrlInfo";
    /// Who paid an order.
    pub const GET_ORDER_PAYER: &str = "acquire2/getOrderPayer";
    /// The orders of some days, by pages.
    pub const QUERY_ORDER_PAGE: &str = "acquire2Query/queryOrderPage";
    /// Give money back to a payer.
    pub const PLACE_REFUND: &str = "acquire2/refund/placeOrder";
    /// Query a refund.
    pub const GET_REFUND: &str = "acquire2/refund/getOrder";
    /// Send money to somebody.
    pub const PLACE_TRANSFER: &str = "transfer/placeTransferOrder";
    /// Query a transfer.
    pub const GET_TRANSFER: &str = "transfer/getTransferOrder";
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
    /// More is to be refunded than is left of the payment.
    pub const REFUND_AMOUNT_EXCEEDED: &str = "62006";
    /// No refund has this number.
    pub const REFUND_MERCHANT_ORDER_NO_NOT_EXIST: &str = "62007";
    /// `expiredTime` is before `requestTime`.
    pub const EXPIREDTIME_LESS_THAN_REQUESTTIME: &str = "62008";
    /// `expiredTime` is more than 48 h after `requestTime`.
    pub const EXPIREDTIME_TOO_LATER: &str = "62009";
    /// The scene is unknown or not open to this merchant.
    pub const PAYSCENECODE_ILLEGAL: &str = "62012";
    /// The order is not paid, so there is nothing to refund and no payer.
    pub const ORDER_NOT_PAID: &str = "62015";
    /// The number is taken by an order with other parameters.
    pub const MERCHANT_ORDER_NO_EXIST: &str = "62016";
    /// The number is taken by a refund with other parameters.
    pub const REFUND_MERCHANT_ORDER_NO_EXIST: &str = "62017";
    /// `payeeMid` names nobody.
    pub const PAYEEMID_NOT_EXIST: &str = "62019";
    /// The merchant has not applied for this product.
    pub const PRODUCT_IS_NOT_APPLIED: &str = "62026";
    /// Nobody has this identity.
    pub const BENEFICIARY_NOT_EXIST: &str = "62027";
    /// The number is taken by a transfer that has arrived.
    pub const ORDER_SUCCESS: &str = "62028";
    /// The number is taken by a transfer that is under way.
    pub const ORDER_CREATED: &str = "62029";
    /// No order has this number of PayBy's.
    pub const ORDER_NO_NOT_EXIST: &str = "62035";
    /// The revocation failed inside PayBy.
    pub const REVOKE_FAILURE: &str = "62039";
    /// The order is revoked, so there is nothing left to refund.
    pub const ACQUIRE_ORDER_REVOKED: &str = "62040";
    /// The order is refunded, so there is nothing left to revoke.
    pub const ACQUIRE_ORDER_REFUNDED: &str = "62041";
    /// PayBy will not refund this.
    pub const REFUND_REJECTED: &str = "62045";
    /// PayBy will not revoke this.
    pub const REVOKE_REJECTED: &str = "62046";
    /// The scene needs a `redirectUrl`.
    pub const MISSING_REDIRECT_URL: &str = "62072";
    /// `oneTimePayment` is neither "true" nor "false".
    pub const INVALID_ONE_TIME_PAYMENT: &str = "62073";
    /// The scene needs an `eWalletCode`.
    pub const MISSING_E_WALLET_CODE: &str = "62080";
    /// `eWalletCode` names no wallet.
    pub const INVALID_E_WALLET_CODE: &str = "62081";
    /// No pay page has this URL.
    pub const TOKEN_URL_NOT_EXIST: &str = "62082";
    /// The new end is not within 15 days from now.
    pub const INVALID_EXPIRED_TIME: &str = "62089";
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

/// `updateExpiredTime`'s parameters: one of an order's two numbers, and its new end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateExpiredTime {
    /// The merchant's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merchant_order_no: Option<OrderNumber>,
    /// PayBy's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_no: Option<String>,
    /// When it can no longer be paid: within 15 days from now.
    pub expired_time: UnixMillis,
}

/// `getCashierUrlInfo`'s parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CashierUrl {
    /// The pay page, or what the QR code holds.
    pub token_url: String,
}

/// The body of an answer to `getCashierUrlInfo` and `getOrderPayer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayerBody {
    /// Who it is; nobody, while nobody has opened the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payer: Option<Payer>,
}

/// A payer, as far as a merchant may know them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payer {
    /// Like `+971-58*****92`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mobile_number_mask: Option<String>,
}

/// `queryOrderPage`'s parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueryOrderPage {
    /// The first day, `YYYY-MM-DD`.
    pub start_date: String,
    /// The last day, `YYYY-MM-DD`.
    pub end_date: String,
    /// Orders of these statuses only; of every status, if there are none.
    #[serde(default)]
    pub include_status_list: Vec<GatewayStatus>,
    /// Which page.
    pub sort_page_param: SortPageParam,
}

/// Which page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SortPageParam {
    /// From 0.
    pub number: usize,
    /// How many orders a page has.
    pub size: usize,
}

/// The body of an answer to `queryOrderPage`, as PayBy's Java SDK has a page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderPageBody {
    /// The page's orders, oldest first.
    pub items: Vec<AcquireOrder>,
    /// How many orders there are on all pages.
    pub total_elements: usize,
    /// How many pages there are.
    pub total_pages: usize,
    /// Which page it is.
    pub sort_page_param: SortPageParam,
}

/// `refund/placeOrder`'s parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlaceRefund {
    /// The refund's number.
    pub refund_merchant_order_no: OrderNumber,
    /// The merchant's number of the order that was paid, or …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_merchant_order_no: Option<OrderNumber>,
    /// … PayBy's; never both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_order_no: Option<String>,
    /// How much goes back.
    pub amount: WireMoney,
    /// Why, at most 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// By whom, at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_name: Option<String>,
    /// Where PayBy sends its notifications, at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify_url: Option<String>,
    /// The merchant's own note, given back as it is, at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<String>,
}

/// Names a refund by one of its two numbers, never by both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefundReference {
    /// The merchant's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_merchant_order_no: Option<OrderNumber>,
    /// PayBy's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_no: Option<String>,
}

/// The body of an answer about one refund.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefundBody {
    /// The refund.
    pub refund_order: RefundOrder,
    /// What is left to refund.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_summary: Option<RefundSummary>,
}

/// One refund as PayBy tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefundOrder {
    /// The merchant's number.
    pub refund_merchant_order_no: OrderNumber,
    /// PayBy's number.
    pub order_no: String,
    /// The merchant's number of the order that was paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_merchant_order_no: Option<OrderNumber>,
    /// PayBy's number of that order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_order_no: Option<String>,
    /// Where it stands.
    pub status: RefundStatus,
    /// How much goes back.
    pub amount: WireMoney,
    /// When it was first asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_time: Option<UnixMillis>,
    /// Why it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_code: Option<String>,
    /// Why it failed, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_des: Option<String>,
    /// The merchant's own note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<String>,
}

/// Where a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RefundStatus {
    /// Asked for.
    Created,
    /// Deducted from the merchant.
    RefundedSettled,
    /// With the payer, or with their bank.
    Success,
    /// Not made.
    Failure,
}

/// What is left of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefundSummary {
    /// What was paid.
    pub acquire_amount: WireMoney,
    /// What can still be refunded; `None` if that is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remain_refund_amount: Option<WireMoney>,
}

/// `transfer/placeTransferOrder`'s parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlaceTransfer {
    /// The transfer's number.
    pub merchant_order_no: OrderNumber,
    /// What `beneficiaryIdentity` is.
    pub beneficiary_identity_type: IdentityType,
    /// Who gets it, encrypted with PayBy's public key and in Base64.
    pub beneficiary_identity: String,
    /// Their name.
    pub beneficiary_full_name: String,
    /// How much.
    pub amount: WireMoney,
    /// What for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memo: Option<String>,
    /// Where PayBy sends its notifications, at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify_url: Option<String>,
}

/// By what a beneficiary is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum IdentityType {
    /// A mobile number.
    PhoneNo,
    /// A member id at PayBy.
    MemberId,
}

/// The body of an answer about one transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransferBody {
    /// The transfer.
    pub transfer_order: TransferOrder,
}

/// One transfer as PayBy tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransferOrder {
    /// The merchant's number.
    pub merchant_order_no: OrderNumber,
    /// PayBy's number.
    pub order_no: String,
    /// Where it stands.
    pub status: TransferStatus,
    /// How much.
    pub amount: WireMoney,
    /// What the beneficiary is named by.
    pub beneficiary_identity_type: IdentityType,
    /// Their name.
    pub beneficiary_full_name: String,
    /// When it was first asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_time: Option<UnixMillis>,
    /// What for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memo: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_code: Option<String>,
    /// Why it failed, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_des: Option<String>,
}

/// Where a transfer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TransferStatus {
    /// Asked for.
    Created,
    /// Arrived.
    Success,
    /// Not made.
    Failure,
}

/// What PayBy posts to a refund's `notifyUrl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundNotification {
    /// The same on every delivery of one notification.
    pub notify_id: String,
    /// When it was made.
    pub notify_timestamp: UnixMillis,
    /// The refund that it is about.
    #[serde(rename = "refundOrder")]
    pub refund_order: RefundOrder,
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

/// Reads what PayBy has signed, an answer or a notification. A NUL, which JSON can name and PostgreSQL's text cannot hold, is
/// read as U+FFFD: what could not be kept could never be acknowledged.
///
/// # Errors
/// It is not such JSON.
pub fn read<T: DeserializeOwned>(signed: &[u8]) -> serde_json::Result<T> {
    let text = core::str::from_utf8(signed).map_err(de::Error::custom)?;
    // In JSON two backslashes are one, and escape nothing after them.
    let parts: Vec<_> = text.split(r"\\").map(|part| part.replace(r"\u0000", r"\ufffd")).collect();
    serde_json::from_str(&parts.join(r"\\"))
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
    fn a_nul_is_read_as_another_character_and_nothing_else_is() {
        let text = r#"["\u0000", "a\u0000\u0000b", "\\u0000", "\\\u0000", "\"\u0000", "u0000", "\n\\"]"#;
        let read: Vec<String> = read(text.as_bytes()).unwrap();
        assert_eq!(read, ["\u{fffd}", "a\u{fffd}\u{fffd}b", r"\u0000", "\\\u{fffd}", "\"\u{fffd}", "u0000", "\n\\"]);
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
    fn refunds_and_transfers_are_read_and_written_by_paybys_names() {
        let refund = r#"{"refundOrder":{"refundMerchantOrderNo":"R-1","orderNo":"7","originMerchantOrderNo":"M-1","status":"REFUNDED_SETTLED","amount":{"amount":2.50,"currency":"AED"},"failDes":"none"},"refundSummary":{"acquireAmount":{"amount":12.50,"currency":"AED"}}}"#;
        let body: RefundBody = serde_json::from_str(refund).unwrap();
        assert_eq!(body.refund_order.status, RefundStatus::RefundedSettled);
        assert_eq!(body.refund_summary.unwrap().remain_refund_amount, None);
        assert_eq!(serde_json::to_string(&body).unwrap(), refund);
        let transfer = r#"{"transferOrder":{"merchantOrderNo":"T-1","orderNo":"8","status":"SUCCESS","amount":{"amount":1.00,"currency":"AED"},"beneficiaryIdentityType":"PHONE_NO","beneficiaryFullName":"A. B."}}"#;
        let body: TransferBody = serde_json::from_str(transfer).unwrap();
        assert_eq!(body.transfer_order.status, TransferStatus::Success);
        assert_eq!(serde_json::to_string(&body).unwrap(), transfer);
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
