//! One acquire order: what was asked for, where it stands, and how PayBy tells it.

use payby_checkout::gateway::wire::{AcquireOrder, Payer, PaymentInfo, PlaceOrder, WireBool, WireMoney, code};
use payby_checkout::money::Money;
use payby_checkout::order::GatewayStatus;
use payby_checkout::order_number::OrderNumber;
use payby_checkout::time::UnixMillis;
use serde::{Deserialize, Serialize};

use super::request::Refusal;

/// An acquire order.
#[derive(Debug)]
pub struct Order {
    pub(super) request: PlaceOrder,
    pub(super) biz_content: Box<str>,
    /// PayBy's number.
    pub(super) number: String,
    pub(super) token: String,
    pub(super) request_time: UnixMillis,
    /// As the merchant gave it.
    pub(super) expired_time: UnixMillis,
    /// The same, but for the time that was made to pass.
    pub(super) expires_at: UnixMillis,
    pub(super) state: State,
    pub(super) place_order_calls: u32,
    /// Whether somebody has opened its pay page.
    pub(super) scanned: bool,
    /// What refunds have taken, or are to take, of its payment, in fils.
    pub(super) refunded: u64,
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It can be paid.
    Created,
    /// It is paid.
    Paid {
        /// When the payer paid.
        at: UnixMillis,
    },
    /// It is paid, and the merchant has the money.
    Settled {
        /// When the payer paid.
        paid_at: UnixMillis,
        /// Whether the payment is given back all the same.
        revoked: bool,
    },
    /// It was paid, and the payment is given back.
    Revoked {
        /// When the payer paid.
        paid_at: UnixMillis,
    },
    /// It was not paid, and no longer can be.
    Failed(Failed),
}

/// Why an order was not paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The merchant cancelled it.
    Cancelled,
    /// The payment was refused.
    Declined,
    /// The payer's time ran out.
    Expired,
}

/// What is done to an order other than by the merchant's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The payer pays.
    Pay,
    /// The payment is refused.
    Decline,
    /// The payer goes away without a decision.
    Leave,
    /// The payer's time is up, whenever it would have been.
    Expire,
    /// PayBy hands a payment over to the merchant.
    Settle,
}

/// Who the payer is, as far as a merchant may know: always the same one, and the digits are nobody's.
pub(super) fn payer() -> Payer {
    Payer { mobile_number_mask: Some("+971-50*****00".to_owned()) }
}

impl Order {
    /// The merchant's number.
    #[must_use]
    pub fn merchant_order_no(&self) -> &OrderNumber {
        &self.request.merchant_order_no
    }

    /// PayBy's number.
    #[must_use]
    pub fn order_no(&self) -> &str {
        &self.number
    }

    /// What the merchant asked for.
    #[must_use]
    pub fn request(&self) -> &PlaceOrder {
        &self.request
    }

    /// What it costs.
    #[must_use]
    pub fn amount(&self) -> Money {
        self.request.total_amount.0
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// When it can no longer be paid.
    #[must_use]
    pub fn expires_at(&self) -> UnixMillis {
        self.expires_at
    }

    /// How many `placeOrder` calls have named it.
    #[must_use]
    pub fn place_order_calls(&self) -> u32 {
        self.place_order_calls
    }

    /// Where the pay page sends the payer back to, if the scene has that.
    #[must_use]
    pub fn redirect_url(&self) -> Option<&str> {
        let url = self.request.pay_scene_params.as_ref()?.redirect_url.as_deref()?;
        (self.request.pay_scene_code == "PAYPAGE").then_some(url)
    }

    /// The order as PayBy tells it.
    #[must_use]
    pub fn report(&self) -> AcquireOrder {
        let failed = if let State::Failed(failed) = self.state { Some(failed) } else { None };
        AcquireOrder {
            merchant_order_no: self.request.merchant_order_no.clone(),
            order_no: self.number.clone(),
            status: self.state.status(),
            request_time: Some(self.request_time),
            expired_time: Some(self.expired_time),
            total_amount: self.request.total_amount,
            subject: Some(self.request.subject.clone()),
            pay_scene_code: Some(self.request.pay_scene_code.clone()),
            notify_url: self.request.notify_url.clone(),
            payment_info: self.state.paid_at().map(|at| PaymentInfo {
                paid_amount: Some(WireMoney(self.amount())),
                paid_time: Some(at),
                pay_channel: Some("BALANCE".to_owned()),
            }),
            fail_code: failed.map(|failed| failed.code().to_owned()),
            fail_des: failed.map(|failed| failed.description().to_owned()),
            revoked: Some(WireBool(self.state.is_revoked())),
            reserved: self.request.reserved.clone(),
        }
    }
}

impl State {
    /// PayBy's word for it.
    #[must_use]
    pub const fn status(self) -> GatewayStatus {
        match self {
            Self::Created => GatewayStatus::Created,
            Self::Paid { .. } => GatewayStatus::PaidSuccess,
            Self::Settled { .. } => GatewayStatus::Settled,
            Self::Revoked { .. } | Self::Failed(_) => GatewayStatus::Failure,
        }
    }

    /// Whether it was paid and the payment is given back.
    #[must_use]
    pub const fn is_revoked(self) -> bool {
        matches!(self, Self::Revoked { .. } | Self::Settled { revoked: true, .. })
    }

    pub(super) const fn paid_at(self) -> Option<UnixMillis> {
        match self {
            Self::Paid { at } | Self::Settled { paid_at: at, .. } | Self::Revoked { paid_at: at } => Some(at),
            Self::Created | Self::Failed(_) => None,
        }
    }

    /// What a finished order answers to those who would go on with it.
    pub(super) fn must_be_open(self) -> Result<(), Refusal> {
        match self {
            Self::Created => Ok(()),
            Self::Paid { .. } => Err(Refusal::new(code::ORDER_PAID, "ORDER_PAID")),
            Self::Settled { .. } => Err(Refusal::new(code::ORDER_SETTLED, "ORDER_SETTLED")),
            Self::Revoked { .. } | Self::Failed(_) => Err(Refusal::new(code::ORDER_FAILURE, "ORDER_FAILURE")),
        }
    }

    /// What an order without a payment answers to those who would give it back.
    pub(super) fn must_be_paid(self) -> Result<(), Refusal> {
        match self {
            Self::Paid { .. } | Self::Settled { revoked: false, .. } => Ok(()),
            Self::Settled { revoked: true, .. } | Self::Revoked { .. } => {
                Err(Refusal::new(code::ACQUIRE_ORDER_REVOKED, "ACQUIRE_ORDER_REVOKED"))
            }
            Self::Created => Err(Refusal::new(code::ORDER_NOT_PAID, "ORDER_NOT_PAID")),
            Self::Failed(_) => Err(Refusal::new(code::ORDER_FAILURE, "ORDER_FAILURE")),
        }
    }
}

impl Failed {
    /// The order's `failCode`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Cancelled => "ORDER_CANCELLED",
            Self::Declined => "PAYMENT_DECLINED",
            Self::Expired => "ORDER_EXPIRED",
        }
    }

    /// The order's `failDes`.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Cancelled => "The merchant cancelled the order.",
            Self::Declined => "The payment was declined.",
            Self::Expired => "The order was not paid in time.",
        }
    }
}
