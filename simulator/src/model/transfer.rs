//! Transfers: money that a merchant sends to somebody. CREATED, and 5 s later SUCCESS, unless it is made to fail before.

use payby_checkout::gateway::wire::{PlaceTransfer, TransferOrder, TransferStatus, code};
use payby_checkout::time::{Millis, UnixMillis};

use super::request::Refusal;

/// How long a transfer takes.
pub(super) const SUCCESS_AFTER: Millis = Millis::from_secs(5);

/// A transfer.
#[derive(Debug)]
pub struct Transfer {
    pub(super) request: PlaceTransfer,
    /// PayBy's number.
    pub(super) number: String,
    pub(super) request_time: UnixMillis,
    pub(super) status: TransferStatus,
}

impl Transfer {
    /// The transfer as PayBy tells it. Who gets it is never told in the clear.
    #[must_use]
    pub fn report(&self) -> TransferOrder {
        let failed = self.status == TransferStatus::Failure;
        TransferOrder {
            merchant_order_no: self.request.merchant_order_no.clone(),
            order_no: self.number.clone(),
            status: self.status,
            amount: self.request.amount,
            beneficiary_identity_type: self.request.beneficiary_identity_type,
            beneficiary_full_name: self.request.beneficiary_full_name.clone(),
            request_time: Some(self.request_time),
            memo: self.request.memo.clone(),
            fail_code: failed.then(|| "TRANSFER_FAILED".to_owned()),
            fail_des: failed.then(|| "The transfer could not be made.".to_owned()),
        }
    }

    /// What a number that is taken answers.
    pub(super) fn taken(&self) -> Refusal {
        match self.status {
            TransferStatus::Created => Refusal::new(code::ORDER_CREATED, "ORDER_CREATED"),
            TransferStatus::Success => Refusal::new(code::ORDER_SUCCESS, "ORDER_SUCCESS"),
            TransferStatus::Failure => Refusal::new(code::ORDER_FAILURE, "ORDER_FAILURE"),
        }
    }
}
