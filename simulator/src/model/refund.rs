//! Refunds: what may be given back of a payment, and how it goes.
//!
//! ```text
//!           2 s                   5 s
//! CREATED ──────▶ REFUNDED_SETTLED ──▶ SUCCESS
//!    ╰── fail ──────────┴──▶ FAILURE
//! ```

use payby_checkout::gateway::wire::{PlaceRefund, RefundOrder, RefundStatus};
use payby_checkout::order_number::OrderNumber;
use payby_checkout::time::{Millis, UnixMillis};

use super::OrderId;

/// How long after its creation a refund is deducted from the merchant.
pub(super) const SETTLED_AFTER: Millis = Millis::from_secs(2);
/// How long after that it is with the payer.
pub(super) const SUCCESS_AFTER: Millis = Millis::from_secs(3);

/// A refund.
#[derive(Debug)]
pub struct Refund {
    pub(super) request: PlaceRefund,
    pub(super) biz_content: Box<str>,
    /// PayBy's number.
    pub(super) number: String,
    pub(super) order: OrderId,
    /// The two numbers of the order.
    pub(super) origin: (OrderNumber, String),
    pub(super) request_time: UnixMillis,
    pub(super) status: RefundStatus,
}

impl Refund {
    /// The refund as PayBy tells it.
    #[must_use]
    pub fn report(&self) -> RefundOrder {
        let failed = self.status == RefundStatus::Failure;
        RefundOrder {
            refund_merchant_order_no: self.request.refund_merchant_order_no.clone(),
            order_no: self.number.clone(),
            origin_merchant_order_no: Some(self.origin.0.clone()),
            origin_order_no: Some(self.origin.1.clone()),
            status: self.status,
            amount: self.request.amount,
            request_time: Some(self.request_time),
            reason: self.request.reason.clone(),
            fail_code: failed.then(|| "REFUND_FAILED".to_owned()),
            fail_des: failed.then(|| "The refund could not be made.".to_owned()),
            reserved: self.request.reserved.clone(),
        }
    }

    /// Whether it is decided.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.status, RefundStatus::Success | RefundStatus::Failure)
    }
}
