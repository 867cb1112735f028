//! What the gateway says of an order, and how reports of it merge.
//!
//! Reports come late, twice and out of order, so they are merged and never overwritten. The merge is a join: commutative,
//! associative, idempotent; knowledge only grows. A contradiction is kept and shown as [`Status::Conflict`].

use serde::{Deserialize, Serialize};

/// PayBy's word for where an acquire order stands.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GatewayStatus {
    /// The order is open; nothing has been paid.
    Created,
    /// The order is paid.
    PaidSuccess,
    /// The order is paid and the funds are with the merchant.
    Settled,
    /// The order is cancelled or expired; with `revoked`, it was paid and the payment is being refunded.
    Failure,
}

/// Why an order was not paid.
///
/// The order of the variants is the order of their weight when reports give different reasons.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureReason {
    /// The merchant or the customer gave the order up.
    Cancelled,
    /// The payer's time ran out.
    Expired,
    /// The payment was refused.
    Declined,
    /// A payment was made and is being given back.
    Revoked,
}

/// Why an order was not paid, with the gateway's own code and words.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Failure {
    /// The reason, as a page needs it.
    pub reason: FailureReason,
    /// PayBy's `failCode`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// PayBy's `failDes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What a page needs to know of an order.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nobody knows yet whether the gateway has the order.
    Unknown,
    /// The gateway waits for the payer.
    Pending,
    /// The gateway said that the order is paid.
    Paid,
    /// The gateway said that the order was not paid, or that its payment is being given back.
    Failed,
    /// The gateway said both; a person has to settle it.
    Conflict,
}

impl Status {
    /// Whether nothing more is to be asked: the gateway has decided, or contradicted itself.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Paid | Self::Failed | Self::Conflict)
    }
}

/// Everything that the gateway has said of one order so far.
///
/// ```
/// use payby_checkout::order::{GatewayStatus, OrderState, Status};
///
/// let mut order = OrderState::default();
/// assert_eq!(order.status(), Status::Unknown);
/// order.merge(&OrderState::reported(GatewayStatus::PaidSuccess, false, None));
/// order.merge(&OrderState::reported(GatewayStatus::Created, false, None)); // late, and no news
/// assert_eq!(order.status(), Status::Paid);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a fact that was or was not reported; all 32 combinations can be"
)]
pub struct OrderState {
    created: bool,
    paid: bool,
    settled: bool,
    failed: bool,
    revoked: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

impl OrderState {
    /// The state known from one report alone.
    #[must_use]
    pub fn reported(status: GatewayStatus, revoked: bool, failure: Option<Failure>) -> Self {
        Self {
            created: true,
            paid: matches!(status, GatewayStatus::PaidSuccess | GatewayStatus::Settled),
            settled: status == GatewayStatus::Settled,
            failed: status == GatewayStatus::Failure,
            revoked,
            failure,
        }
    }

    /// The state of an order whose only creation the gateway has definitely refused: it never came to be.
    ///
    /// A refusal proves that only while no earlier creation of the same number has an unknown outcome.
    #[must_use]
    pub fn refused(code: String, message: Option<String>) -> Self {
        Self::never_created(Failure { reason: FailureReason::Declined, code: Some(code), message })
    }

    /// The state of an order that was given up before it came to be: no creation of it was ever sent, or none that was
    /// sent can take effect any more (R8).
    #[must_use]
    pub fn given_up(reason: FailureReason) -> Self {
        Self::never_created(Failure { reason, code: None, message: None })
    }

    /// The state of an order that has failed without the gateway ever having had it.
    pub(crate) fn never_created(failure: Failure) -> Self {
        Self { failed: true, failure: Some(failure), ..Self::default() }
    }

    /// Takes in what another report knows. Answers whether anything was news.
    pub fn merge(&mut self, other: &Self) -> bool {
        let before = self.clone();
        self.created |= other.created;
        self.paid |= other.paid;
        self.settled |= other.settled;
        self.failed |= other.failed;
        self.revoked |= other.revoked;
        if other.failure > self.failure {
            self.failure.clone_from(&other.failure);
        }
        *self != before
    }

    /// What a page needs to know.
    #[must_use]
    pub const fn status(&self) -> Status {
        if self.revoked {
            Status::Failed
        } else if self.paid && self.failed {
            Status::Conflict
        } else if self.paid {
            Status::Paid
        } else if self.failed {
            Status::Failed
        } else if self.created {
            Status::Pending
        } else {
            Status::Unknown
        }
    }

    /// PayBy's word for it; `None` while the gateway has said nothing. A settled order that is revoked keeps `SETTLED`.
    #[must_use]
    pub const fn gateway_status(&self) -> Option<GatewayStatus> {
        if self.settled {
            Some(GatewayStatus::Settled)
        } else if self.failed && self.created {
            Some(GatewayStatus::Failure)
        } else if self.paid {
            Some(GatewayStatus::PaidSuccess)
        } else if self.created {
            Some(GatewayStatus::Created)
        } else {
            None
        }
    }

    /// Whether a payment was made and is being given back.
    #[must_use]
    pub const fn is_revoked(&self) -> bool {
        self.revoked
    }

    /// Why the order failed; `None` unless the status is [`Status::Failed`].
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        if self.status() != Status::Failed {
            return None;
        }
        let told = self.failure.clone();
        let reason = match &told {
            _ if self.revoked => FailureReason::Revoked,
            Some(failure) => failure.reason,
            // PayBy's FAILURE without a reason means "cancelled or expired", and an expiry names itself.
            None => FailureReason::Cancelled,
        };
        let (code, message) = told.map_or((None, None), |failure| (failure.code, failure.message));
        Some(Failure { reason, code, message })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::GatewayStatus::{Created, Failure as Failed, PaidSuccess, Settled};
    use super::*;

    fn after(reports: &[(GatewayStatus, bool)]) -> OrderState {
        let mut order = OrderState::default();
        for (status, revoked) in reports {
            order.merge(&OrderState::reported(*status, *revoked, None));
        }
        order
    }

    #[test]
    fn what_a_page_is_told() {
        for (reports, status, gateway) in [
            (&[][..], Status::Unknown, None),
            (&[(Created, false)], Status::Pending, Some(Created)),
            (&[(PaidSuccess, false), (Created, false)], Status::Paid, Some(PaidSuccess)),
            (&[(Settled, false), (PaidSuccess, false)], Status::Paid, Some(Settled)),
            (&[(Failed, false)], Status::Failed, Some(Failed)),
            (&[(PaidSuccess, false), (Failed, true)], Status::Failed, Some(Failed)),
            (&[(Settled, true)], Status::Failed, Some(Settled)),
            (&[(Failed, false), (PaidSuccess, false)], Status::Conflict, Some(Failed)),
            (&[(Failed, false), (PaidSuccess, false), (Failed, true)], Status::Failed, Some(Failed)),
        ] {
            let order = after(reports);
            assert_eq!((order.status(), order.gateway_status()), (status, gateway), "{reports:?}");
        }
    }

    #[test]
    fn a_refused_creation_has_failed_though_the_gateway_has_no_such_order() {
        let order = OrderState::refused("601".into(), None);
        assert_eq!((order.status(), order.gateway_status()), (Status::Failed, None));
    }

    #[test]
    fn an_order_given_up_before_it_came_to_be_has_failed_for_that_reason() {
        let order = OrderState::given_up(FailureReason::Cancelled);
        assert_eq!((order.status(), order.gateway_status()), (Status::Failed, None));
        assert_eq!(order.failure().unwrap().reason, FailureReason::Cancelled);
    }

    #[test]
    fn a_revoked_order_says_so_whatever_else_was_told() {
        let declined = Failure { reason: FailureReason::Declined, code: None, message: None };
        let order = OrderState::reported(Failed, true, Some(declined));
        assert_eq!(order.failure().unwrap().reason, FailureReason::Revoked);
    }

    #[test]
    fn a_paid_order_has_no_failure() {
        let stray = Failure { reason: FailureReason::Expired, code: None, message: None };
        assert_eq!(OrderState::reported(PaidSuccess, false, Some(stray)).failure(), None);
    }

    fn any_state() -> impl Strategy<Value = OrderState> {
        let status = prop_oneof![Just(Created), Just(PaidSuccess), Just(Settled), Just(Failed)];
        let reason = prop_oneof![
            Just(FailureReason::Cancelled),
            Just(FailureReason::Expired),
            Just(FailureReason::Declined),
            Just(FailureReason::Revoked)
        ];
        let failure = proptest::option::of((reason, proptest::option::of("[A-B]"), proptest::option::of("[x-y]")));
        let report = (status, any::<bool>(), failure).prop_map(|(status, revoked, failure)| {
            let failure = failure.map(|(reason, code, message)| Failure { reason, code, message });
            OrderState::reported(status, revoked, failure)
        });
        proptest::collection::vec(report, 0..4).prop_map(|reports| joined(&reports))
    }

    fn joined(states: &[OrderState]) -> OrderState {
        let mut all = OrderState::default();
        for state in states {
            all.merge(state);
        }
        all
    }

    proptest! {
        #[test]
        fn merge_is_commutative(a in any_state(), b in any_state()) {
            prop_assert_eq!(joined(&[a.clone(), b.clone()]), joined(&[b, a]));
        }

        #[test]
        fn merge_is_associative(a in any_state(), b in any_state(), c in any_state()) {
            let left = joined(&[joined(&[a.clone(), b.clone()]), c.clone()]);
            prop_assert_eq!(left, joined(&[a, joined(&[b, c])]));
        }

        #[test]
        fn merge_is_idempotent_and_says_when_nothing_was_news(a in any_state()) {
            let mut twice = a.clone();
            prop_assert!(!twice.merge(&a));
            prop_assert_eq!(twice, a);
        }

        #[test]
        fn knowledge_only_grows(a in any_state(), b in any_state()) {
            let mut grown = a.clone();
            grown.merge(&b);
            prop_assert!(!a.status().is_terminal() || grown.status().is_terminal());
            prop_assert!(!grown.clone().merge(&a));
        }
    }
}
