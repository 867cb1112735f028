//! What a merchant may ask for, and the words in which PayBy refuses the rest.

use std::borrow::Cow;

use payby_checkout::gateway::wire::{OrderReference, PlaceOrder, PlaceRefund, PlaceTransfer, code, path};
use payby_checkout::money::Amount;
use payby_checkout::time::{Millis, UnixMillis};
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use url::Url;

/// The scenes in which the payer goes to a page or scans a code of it.
const SCENES: [&str; 5] = ["PAYPAGE", "DYNQR", "EWALLET", "JSAPI", "INAPP"];
/// Scenes that need a product of their own, which this merchant has not applied for.
const SCENES_TO_APPLY_FOR: [&str; 3] = ["QRPAY", "AUTODEBIT", "DIRECTPAY"];
/// The wallets of the scene EWALLET.
const WALLETS: [&str; 3] = ["payby", "botim-pay", "ALIPAYPLUS"];
/// How long an order can be paid unless the merchant says otherwise.
const DEFAULT_EXPIRY: Millis = Millis::from_secs(2 * 3600);
/// How long an order can be paid at most.
const LONGEST_EXPIRY: Millis = Millis::from_secs(48 * 3600);

/// A call. Its name is its path below the base URL, without what all of its kind begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Call {
    /// Create an order.
    #[serde(rename = "placeOrder")]
    Place,
    /// Query an order.
    #[serde(rename = "getOrder")]
    Get,
    /// Cancel an order.
    #[serde(rename = "cancelOrder")]
    Cancel,
    /// Close an order, and give back what was paid.
    #[serde(rename = "revokeOrder")]
    Revoke,
    /// Change an order's end.
    #[serde(rename = "updateExpiredTime")]
    UpdateExpiredTime,
    /// Who opened a pay page.
    #[serde(rename = "getCashierUrlInfo")]
    GetCashierUrlInfo,
    /// Who paid an order.
    #[serde(rename = "getOrderPayer")]
    GetOrderPayer,
    /// The orders of some days.
    #[serde(rename = "queryOrderPage")]
    QueryOrderPage,
    /// Refund a payment.
    #[serde(rename = "refund/placeOrder")]
    PlaceRefund,
    /// Query a refund.
    #[serde(rename = "refund/getOrder")]
    GetRefund,
    /// Send money to somebody.
    #[serde(rename = "placeTransferOrder")]
    PlaceTransfer,
    /// Query a transfer.
    #[serde(rename = "getTransferOrder")]
    GetTransfer,
}

impl Call {
    /// The call that has this path below the base URL.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        match path {
            path::PLACE_ORDER => Some(Self::Place),
            path::GET_ORDER => Some(Self::Get),
            path::CANCEL_ORDER => Some(Self::Cancel),
            path::REVOKE_ORDER => Some(Self::Revoke),
            path::UPDATE_EXPIRED_TIME => Some(Self::UpdateExpiredTime),
            path::GET_CASHIER_URL_INFO => Some(Self::GetCashierUrlInfo),
            path::GET_ORDER_PAYER => Some(Self::GetOrderPayer),
            path::QUERY_ORDER_PAGE => Some(Self::QueryOrderPage),
            path::PLACE_REFUND => Some(Self::PlaceRefund),
            path::GET_REFUND => Some(Self::GetRefund),
            path::PLACE_TRANSFER => Some(Self::PlaceTransfer),
            path::GET_TRANSFER => Some(Self::GetTransfer),
            _ => None,
        }
    }
}

/// Why a call is refused: head code and message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One of [`code`].
    pub code: &'static str,
    /// PayBy's word for it; after `INVALID_PARAMETER`, what is wrong.
    pub msg: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, msg: &'static str) -> Self {
        Self { code, msg: msg.into() }
    }

    pub(crate) fn invalid(what: impl std::fmt::Display) -> Self {
        Self { code: code::INVALID_PARAMETER, msg: format!("INVALID_PARAMETER: {what}").into() }
    }
}

/// A request's envelope. Its `bizContent` stays text, since a repetition is known by its bytes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope<'a> {
    /// When the request was made: Unix milliseconds, or RFC 3339 as PayBy's PHP SDK writes it.
    #[serde(deserialize_with = "unix_or_rfc3339")]
    pub request_time: UnixMillis,
    /// The call's parameters.
    #[serde(borrow)]
    pub biz_content: &'a RawValue,
}

impl<'a> Envelope<'a> {
    /// Reads a request's body.
    ///
    /// # Errors
    /// 400, with what is wrong.
    pub fn read(body: &'a [u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(body).map_err(Refusal::invalid)
    }
}

fn unix_or_rfc3339<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UnixMillis, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "requestTime is Unix milliseconds")]
    enum Either {
        Unix(UnixMillis),
        Rfc3339(String),
    }
    match Either::deserialize(deserializer)? {
        Either::Unix(time) => Ok(time),
        Either::Rfc3339(text) => {
            let millis = text.parse().map(jiff::Timestamp::as_millisecond);
            let millis = millis.ok().and_then(|millis| u64::try_from(millis).ok());
            millis.map(UnixMillis).ok_or_else(|| D::Error::custom("requestTime is Unix milliseconds"))
        }
    }
}

/// What only the simulator looks at.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Extra {
    payee_mid: Option<String>,
    pay_scene_params: Option<ExtraParams>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ExtraParams {
    one_time_payment: Option<String>,
    e_wallet_code: Option<String>,
}

/// Reads `placeOrder`'s parameters, all but the rules on time.
pub(super) fn place_order(biz_content: &str) -> Result<PlaceOrder, Refusal> {
    let request: PlaceOrder = read(biz_content)?;
    let redirect_url = request.pay_scene_params.as_ref().and_then(|params| params.redirect_url.as_deref());

    length("subject", Some(&request.subject), 1, 128)?; // The documentation says 12; its own samples are longer.
    length("notifyUrl", request.notify_url.as_deref(), 1, 200)?;
    length("reserved", request.reserved.as_deref(), 0, 200)?;
    let scene = request.pay_scene_code.as_str();
    if SCENES_TO_APPLY_FOR.contains(&scene) {
        return Err(Refusal::new(code::PRODUCT_IS_NOT_APPLIED, "PRODUCT_IS_NOT_APPLIED"));
    }
    if !SCENES.contains(&scene) {
        return Err(Refusal::new(code::PAYSCENECODE_ILLEGAL, "PAYSCENECODE_ILLEGAL"));
    }
    if scene == "PAYPAGE" && redirect_url.is_none_or(str::is_empty) {
        return Err(Refusal::new(code::MISSING_REDIRECT_URL, "MISSING_REDIRECT_URL"));
    }
    length("paySceneParams.redirectUrl", redirect_url, 0, 512)?;
    web_url("notifyUrl", request.notify_url.as_deref())?;
    web_url("paySceneParams.redirectUrl", redirect_url)?;
    extra(scene, &read(biz_content)?)?;
    Ok(request)
}

fn extra(scene: &str, extra: &Extra) -> Result<(), Refusal> {
    let params = extra.pay_scene_params.as_ref();
    let one_time_payment = params.and_then(|params| params.one_time_payment.as_deref());
    if one_time_payment.is_some_and(|text| !matches!(text, "true" | "false")) {
        return Err(Refusal::new(code::INVALID_ONE_TIME_PAYMENT, "INVALID_ONE_TIME_PAYMENT"));
    }
    if scene == "EWALLET" {
        let Some(wallet) = params.and_then(|params| params.e_wallet_code.as_deref()) else {
            return Err(Refusal::new(code::MISSING_E_WALLET_CODE, "MISSING_EWALLET_CODE"));
        };
        if !WALLETS.contains(&wallet) {
            return Err(Refusal::new(code::INVALID_E_WALLET_CODE, "INVALID_EWALLET_CODE"));
        }
    }
    let is_mid = |text: &str| (1..=12).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if extra.payee_mid.as_deref().is_some_and(|mid| !is_mid(mid)) {
        return Err(Refusal::new(code::PAYEEMID_NOT_EXIST, "PAYEEMID_NOT_EXIST"));
    }
    Ok(())
}

/// Reads `refund/placeOrder`'s parameters.
pub(super) fn place_refund(biz_content: &str) -> Result<PlaceRefund, Refusal> {
    let request: PlaceRefund = read(biz_content)?;
    length("reason", request.reason.as_deref(), 0, 64)?;
    length("operatorName", request.operator_name.as_deref(), 0, 200)?;
    length("reserved", request.reserved.as_deref(), 0, 200)?;
    length("notifyUrl", request.notify_url.as_deref(), 1, 200)?;
    web_url("notifyUrl", request.notify_url.as_deref())?;
    Ok(request)
}

/// Reads `transfer/placeTransferOrder`'s parameters.
pub(super) fn place_transfer(biz_content: &str) -> Result<PlaceTransfer, Refusal> {
    let request: PlaceTransfer = read(biz_content)?;
    // The sample of PayBy's Java SDK encrypts it, like the identity.
    length("beneficiaryFullName", Some(&request.beneficiary_full_name), 1, 512)?;
    length("notifyUrl", request.notify_url.as_deref(), 1, 200)?;
    web_url("notifyUrl", request.notify_url.as_deref())?;
    Ok(request)
}

/// When the first of some days begins and the last one ends, in the Emirates.
pub(super) fn days(first: &str, last: &str) -> Result<(UnixMillis, UnixMillis), Refusal> {
    let begins = |field: &str, text: &str, plus: i64| {
        let date = text.parse::<jiff::civil::Date>().ok();
        let date = date.and_then(|date| date.checked_add(jiff::Span::new().days(plus)).ok());
        let moment = date.and_then(|date| jiff::tz::offset(4).to_timestamp(date.at(0, 0, 0, 0)).ok());
        let millis = moment.and_then(|moment| u64::try_from(moment.as_millisecond()).ok());
        millis.map(UnixMillis).ok_or_else(|| Refusal::invalid(format_args!("{field}: not a day like 2026-01-31")))
    };
    Ok((begins("startDate", first, 0)?, begins("endDate", last, 1)?))
}

/// When an order ends, by the rules on `expiredTime`.
pub(super) fn expired_time(request: &PlaceOrder, request_time: UnixMillis) -> Result<UnixMillis, Refusal> {
    let Some(expired_time) = request.expired_time else {
        return Ok(request_time.plus(DEFAULT_EXPIRY));
    };
    if expired_time < request_time {
        Err(Refusal::new(code::EXPIREDTIME_LESS_THAN_REQUESTTIME, "EXPIREDTIME_LESS_THAN_REQUESTTIME"))
    } else if expired_time > request_time.plus(LONGEST_EXPIRY) {
        Err(Refusal::new(code::EXPIREDTIME_TOO_LATER, "EXPIREDTIME_TOO_LATER"))
    } else {
        Ok(expired_time)
    }
}

/// Reads which order a call is about.
pub(super) fn reference(biz_content: &str) -> Result<OrderReference, Refusal> {
    read(biz_content)
}

/// Reads a call's parameters.
pub(super) fn read<T: DeserializeOwned>(biz_content: &str) -> Result<T, Refusal> {
    let bare = with_bare_amounts(biz_content);
    let mut reader = serde_json::Deserializer::from_str(&bare);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| match error.path().iter().next() {
        Some(_) => Refusal::invalid(&error),
        None => Refusal::invalid(format_args!("bizContent: {}", error.inner())),
    })
}

/// The same with each `"amount":"12.50"` as `"amount":12.50`: the samples of PayBy's PHP SDK write amounts as strings.
fn with_bare_amounts(biz_content: &str) -> String {
    let mut parts = biz_content.split(r#""amount":""#);
    let mut bare = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        bare.push_str(r#""amount":"#);
        match part.split_once('"') {
            Some((digits, rest)) if digits.parse::<Amount>().is_ok() => bare.extend([digits, rest]),
            _ => bare.extend(["\"", part]),
        }
    }
    bare
}

fn length(field: &str, value: Option<&str>, least: usize, most: usize) -> Result<(), Refusal> {
    match value.map(|value| value.chars().count()) {
        Some(length) if !(least..=most).contains(&length) => {
            Err(Refusal::invalid(format_args!("{field}: {length} characters, allowed are {least} to {most}")))
        }
        _ => Ok(()),
    }
}

/// A URL that a browser or a client may be sent to. Its origin goes into a Content-Security-Policy, where some of the
/// characters that a host may have would mean something.
fn web_url(field: &str, value: Option<&str>) -> Result<(), Refusal> {
    let good = |text: &str| {
        Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.username().is_empty()
                && url.password().is_none()
                && url.host_str().is_some_and(|host| !host.contains([';', ',', '\'', '"', '*']))
        })
    };
    match value {
        Some(text) if !text.is_empty() && !good(text) => {
            Err(Refusal::invalid(format_args!("{field}: not an http or https URL")))
        }
        _ => Ok(()),
    }
}
