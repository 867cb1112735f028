//! The proxy's HTTP API, version 1: what the shop's server, the browser and the merchant's proxy say to each other.
//!
//! JSON, camelCase. Errors are RFC 9457 problem documents ([`Problem`]) with a stable [`ProblemCode`]. Amounts are
//! decimal strings; durations are relative milliseconds, so that no two clocks need agree.

use serde::{Deserialize, Serialize};

use crate::money::{Amount, Currency, Money};
use crate::order::{Failure, GatewayStatus, OrderState, Status};
use crate::order_number::OrderNumber;
use crate::time::Millis;

/// How the customer pays.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Scene {
    /// The page shows a QR code of the pay URL, for the customer's phone.
    Dynqr,
    /// The browser goes to PayBy's page and comes back.
    Paypage,
}

impl Scene {
    /// PayBy's name for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dynqr => "DYNQR",
            Self::Paypage => "PAYPAGE",
        }
    }

    /// The scene of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Dynqr, Self::Paypage].into_iter().find(|scene| scene.as_str() == name)
    }
}

/// `POST /v1/purchases`: the shop's server opens a purchase. The browser never names a price.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenPurchase {
    /// The shop's own name for the purchase, 1 to 64 characters. Opening it again with the same parameters answers the
    /// same purchase with another token; with different ones, [`ProblemCode::PurchaseDiffers`].
    #[cfg_attr(
        feature = "openapi",
        schema(
            min_length = 1,
            max_length = 64,
            example = "basket-4711",
            pattern = r"^[^\u0000-\u001F\u007F-\u009F]*$"
        )
    )]
    pub reference: String,
    /// How much to pay.
    pub amount: Amount,
    /// In which currency.
    pub currency: Currency,
    /// What is bought, as the payer reads it, 1 to 128 characters.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 128, example = "Tea", pattern = r"^[^\u0000-\u001F\u007F-\u009F]*$")
    )]
    pub subject: String,
    /// How the customer pays unless the page says otherwise. Default: [`Scene::Dynqr`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scene: Option<Scene>,
    /// Where PayBy's page sends the customer back to; needed for [`Scene::Paypage`]. At most 512 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 512, format = "uri", example = "https://shop.example/paid"))]
    pub redirect_url: Option<String>,
    /// How long an order of this purchase can be paid, 60 s to 48 h. Default: the proxy's setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 60_000, maximum = 172_800_000, value_type = Option<u64>))]
    pub pay_within_ms: Option<Millis>,
}

/// The answer to [`OpenPurchase`]: the only place where a checkout token ever appears.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenedPurchase {
    /// The purchase's name at the proxy.
    pub purchase_id: String,
    /// What the browser shows to the proxy, for this purchase alone.
    pub token: String,
    /// How long the token is good for.
    pub token_expires_in_ms: Millis,
}

/// `GET /v1/purchases/{id}` (shop server: with all orders) and `GET /v1/purchase` (browser: with the live one).
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Purchase {
    /// The purchase's name at the proxy.
    pub purchase_id: String,
    /// The shop's own name for it.
    pub reference: String,
    /// What is bought.
    pub subject: String,
    /// What it costs.
    pub amount: Money,
    /// Where the purchase stands: that of its paid order, else of its newest one, else `unknown`.
    pub status: Status,
    /// Its orders, newest first. For the browser: only the one to go on with, that is the paid or the live one.
    pub orders: Vec<Snapshot>,
}

/// `PUT /v1/orders/{orderNumber}`: the browser creates the order, or has it sent again. The body may be empty.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateOrder {
    /// How the customer pays, if not as the purchase says. The same on every retry of one number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scene: Option<Scene>,
}

/// Where an order stands: the answer to every call on it. Its `version` is also its `ETag`, in quotes.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Which order.
    pub order_number: OrderNumber,
    /// What a page needs to know.
    pub status: Status,
    /// PayBy's own word; `null` while PayBy has said nothing.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub gateway_status: Option<GatewayStatus>,
    /// Why it was not paid, with `status: failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Whether a payment was made and is being given back.
    pub revoked: bool,
    /// What it costs.
    pub amount: Money,
    /// How it is paid.
    pub scene: Scene,
    /// The pay page, or what the QR code must hold, while it can be paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pay_url: Option<String>,
    /// Grows with every change that a page can see.
    pub version: u64,
    /// How long the order can still be paid; 0 when it no longer can.
    pub expires_in_ms: Millis,
    /// When the proxy suggests to ask again, if it cannot hold the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_poll_ms: Option<Millis>,
}

impl Snapshot {
    /// Fills what follows from the order's state.
    #[must_use]
    pub fn of_state(order_number: OrderNumber, state: &OrderState, amount: Money, scene: Scene, version: u64) -> Self {
        Self {
            order_number,
            status: state.status(),
            gateway_status: state.gateway_status(),
            failure: state.failure(),
            revoked: state.is_revoked(),
            amount,
            scene,
            pay_url: None,
            version,
            expires_in_ms: Millis(0),
            next_poll_ms: None,
        }
    }

    /// What the snapshot says the gateway said; `None` if it contradicts itself. A `status` alone is never believed:
    /// paid means that the gateway said so.
    #[must_use]
    pub fn state(&self) -> Option<OrderState> {
        let mut state = match self.gateway_status {
            Some(gateway) => OrderState::reported(gateway, self.revoked, self.failure.clone()),
            // Refused, or given up before it came to be.
            None => match (self.status, &self.failure) {
                (Status::Failed, Some(failure)) => OrderState::never_created(failure.clone()),
                _ => OrderState::default(),
            },
        };
        if self.status == Status::Conflict {
            state.merge(&OrderState::reported(GatewayStatus::PaidSuccess, false, None));
            state.merge(&OrderState::reported(GatewayStatus::Failure, false, None));
        }
        (state.status() == self.status).then_some(state)
    }
}

/// `POST /v1/orders/{orderNumber}/refunds`: the shop's server gives money back.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AskRefund {
    /// The refund's number, made by the shop, by the rule of order numbers. The same on every attempt.
    pub refund_number: OrderNumber,
    /// How much goes back, in the order's currency.
    pub amount: Amount,
    /// Why, as the payer may read it, 1 to 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 64, pattern = r"^[^\x00-\x1F\x7F-\x9F]*$"))]
    pub reason: Option<String>,
}

/// Where a refund stands.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refund {
    /// Which refund.
    pub refund_number: OrderNumber,
    /// Of which order.
    pub order_number: OrderNumber,
    /// Where it stands.
    pub status: RefundStatus,
    /// How much goes back.
    pub amount: Money,
    /// Why it was not made, with `status: failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Refusal>,
}

/// Where a refund stands. Reports come late, twice and out of order, so they are merged.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefundStatus {
    /// PayBy has said nothing of it yet.
    Unknown,
    /// PayBy has it.
    Pending,
    /// It is deducted from the merchant.
    Deducted,
    /// It is with the payer, or with their bank.
    Refunded,
    /// It was not made.
    Failed,
    /// PayBy has said both; a person has to look.
    Conflict,
}

impl RefundStatus {
    const ALL: [Self; 6] = [Self::Unknown, Self::Pending, Self::Deducted, Self::Refunded, Self::Failed, Self::Conflict];

    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Pending => "pending",
            Self::Deducted => "deducted",
            Self::Refunded => "refunded",
            Self::Failed => "failed",
            Self::Conflict => "conflict",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Whether it can no longer change.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Refunded | Self::Failed | Self::Conflict)
    }

    /// What is known when both were said, in whatever order.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        match (self.min(other), self.max(other)) {
            (Self::Refunded, Self::Failed) => Self::Conflict,
            (_, more) => more,
        }
    }
}

/// Why PayBy did not do something.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Its code.
    pub code: String,
    /// The code in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// `GET /v1/transfers/{transferNumber}`: where a transfer stands, as PayBy has just said.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transfer {
    /// Which transfer.
    pub transfer_number: OrderNumber,
    /// Where it stands.
    pub status: TransferStatus,
    /// How much.
    pub amount: Money,
    /// Why it was not made, with `status: failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Refusal>,
}

/// Where a transfer stands.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransferStatus {
    /// PayBy has it.
    Pending,
    /// It has arrived.
    Arrived,
    /// It was not made.
    Failed,
}

/// An error, as RFC 9457 has it, with a stable `code` and, where an order explains it, that order.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `about:blank`: the HTTP status and the code say it all.
    pub r#type: String,
    /// The HTTP status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, where, and what to do.
    pub detail: String,
    /// For programs.
    pub code: ProblemCode,
    /// The order to go on with ([`ProblemCode::OrderLive`], [`ProblemCode::PurchasePaid`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Snapshot>,
}

/// The stable names of what can go wrong.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// 400: the request cannot be read, or a value is out of its bounds.
    InvalidRequest,
    /// 401: no API key, or a wrong one.
    Unauthorized,
    /// 404: no such thing, or not for this token; which of the two is not told.
    NotFound,
    /// 405: the path exists, the method does not.
    MethodNotAllowed,
    /// 409: the reference names a purchase with other parameters.
    PurchaseDiffers,
    /// 409: the order was begun with another scene.
    OrderDiffers,
    /// 409: the purchase has a live order under another number; go on with that one.
    OrderLive,
    /// 409: the purchase is paid already, by that order.
    PurchasePaid,
    /// 409: the order is not paid, or its payment is given back already.
    OrderNotPaid,
    /// 409: the refund's number names a refund with other parameters.
    RefundDiffers,
    /// 409: it is more than is left of the payment.
    RefundExceeds,
    /// 409: PayBy will not revoke the order.
    RevokeRefused,
    /// 413: the body is too large.
    TooLarge,
    /// 415: the body is not JSON.
    UnsupportedMediaType,
    /// 429: too many requests; the same one again after `Retry-After`.
    RateLimited,
    /// 500: the proxy failed. Whether the request took effect is unknown; the same request again is safe.
    Internal,
    /// 503: the proxy is not ready, or shutting down; try the same again.
    Unavailable,
}

impl ProblemCode {
    /// The HTTP status that goes with it.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::Unauthorized => 401,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::PurchaseDiffers
            | Self::OrderDiffers
            | Self::OrderLive
            | Self::PurchasePaid
            | Self::OrderNotPaid
            | Self::RefundDiffers
            | Self::RefundExceeds
            | Self::RevokeRefused => 409,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::order::FailureReason;

    #[test]
    fn a_snapshot_on_the_wire() {
        let money = Money { amount: "12.5".parse().unwrap(), currency: Currency::Aed };
        let state = OrderState::reported(GatewayStatus::Created, false, None);
        let number = "1KANPYXG085GR38E1W8124GKK".parse().unwrap();
        let snapshot = Snapshot {
            pay_url: Some("https://pay.example/t/1".into()),
            expires_in_ms: Millis(90_000),
            ..Snapshot::of_state(number, &state, money, Scene::Dynqr, 2)
        };
        let wire = json!({
            "orderNumber": "1KANPYXG085GR38E1W8124GKK",
            "status": "pending",
            "gatewayStatus": "CREATED",
            "revoked": false,
            "amount": {"amount": "12.50", "currency": "AED"},
            "scene": "DYNQR",
            "payUrl": "https://pay.example/t/1",
            "version": 2,
            "expiresInMs": 90_000,
        });
        assert_eq!(serde_json::to_value(&snapshot).unwrap(), wire);
        assert_eq!(serde_json::from_value::<Snapshot>(wire).unwrap(), snapshot);
    }

    #[test]
    fn a_snapshot_that_contradicts_itself_says_nothing() {
        use GatewayStatus::{Created, Failure as Failed, PaidSuccess, Settled};

        let money = Money { amount: "12.5".parse().unwrap(), currency: Currency::Aed };
        for (status, gateway_status, revoked, believed) in [
            (Status::Unknown, None, false, true),
            (Status::Pending, Some(Created), false, true),
            (Status::Paid, Some(PaidSuccess), false, true),
            (Status::Paid, Some(Settled), false, true),
            (Status::Failed, Some(Failed), false, true),
            (Status::Failed, Some(Failed), true, true),
            (Status::Failed, Some(Settled), true, true),
            (Status::Conflict, Some(Failed), false, true),
            (Status::Paid, None, false, false),
            (Status::Paid, Some(Created), false, false),
            (Status::Paid, Some(Failed), false, false),
            (Status::Pending, None, false, false),
            (Status::Failed, None, false, false),
            (Status::Failed, Some(PaidSuccess), false, false),
        ] {
            let number = "M-1".parse().unwrap();
            let plain = Snapshot::of_state(number, &OrderState::default(), money, Scene::Dynqr, 1);
            let snapshot = Snapshot { status, gateway_status, revoked, ..plain };
            assert_eq!(snapshot.state().is_some(), believed, "{status:?} with {gateway_status:?}");
        }
    }

    #[test]
    fn an_order_that_the_gateway_never_had_can_have_failed() {
        let money = Money { amount: "12.5".parse().unwrap(), currency: Currency::Aed };
        for state in [OrderState::refused("601".into(), None), OrderState::given_up(FailureReason::Cancelled)] {
            let snapshot = Snapshot::of_state("M-1".parse().unwrap(), &state, money, Scene::Dynqr, 2);
            assert_eq!(snapshot.state(), Some(state));
        }
    }

    #[test]
    fn what_is_known_of_a_refund_does_not_depend_on_the_order_of_the_reports() {
        use RefundStatus::{Conflict, Deducted, Failed, Pending, Refunded, Unknown};

        for (one, other, both) in [
            (Unknown, Pending, Pending),
            (Pending, Deducted, Deducted),
            (Deducted, Failed, Failed),
            (Deducted, Refunded, Refunded),
            (Refunded, Failed, Conflict),
            (Conflict, Refunded, Conflict),
        ] {
            assert_eq!((one.merge(other), other.merge(one), both.merge(one)), (both, both, both), "{one:?} {other:?}");
        }
        for one in RefundStatus::ALL {
            assert_eq!((one.merge(one), RefundStatus::from_name(one.as_str())), (one, Some(one)));
            for (two, three) in
                RefundStatus::ALL.into_iter().flat_map(|two| RefundStatus::ALL.map(|three| (two, three)))
            {
                assert_eq!(one.merge(two).merge(three), one.merge(two.merge(three)));
            }
        }
    }

    #[test]
    fn an_unknown_field_of_a_purchase_is_refused_by_name() {
        let request = json!({"reference": "r", "amount": "1", "currency": "AED", "subject": "s", "price": 3});
        let error = serde_json::from_value::<OpenPurchase>(request).unwrap_err().to_string();
        assert!(error.contains("unknown field `price`"), "{error}");
    }
}
