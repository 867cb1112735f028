//! The nine cases, as PayBy runs them before a merchant goes live.

use std::str::FromStr;

use payby_checkout::money::Amount;
use serde::{Serialize, Serializer};

use crate::faults::{Fault, Only, Rule};
use crate::model::{Action, Call};
use crate::payers::Payer;

/// Until the run ends.
const ALWAYS: u32 = u32::MAX;

/// A case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Case {
    /// 001: AED 500 or more; the payer is asked for a password, and pays.
    Paid,
    /// 002: the payer leaves, and the time runs out.
    PayerLeaves,
    /// 003: the creation answers SYSTEM_ERROR.
    CreateFails,
    /// 004: the creation times out.
    CreateTimesOut,
    /// 005: a cancel succeeds only after several tries.
    CancelsAtLast,
    /// 006: cancels keep failing.
    CancelsNever,
    /// 007: a query succeeds only after several tries.
    QueriesAtLast,
    /// 008: queries keep failing.
    QueriesNever,
    /// 009: the notification of a paid order arrives.
    Notified,
}

impl Case {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::Paid,
        Self::PayerLeaves,
        Self::CreateFails,
        Self::CreateTimesOut,
        Self::CancelsAtLast,
        Self::CancelsNever,
        Self::QueriesAtLast,
        Self::QueriesNever,
        Self::Notified,
    ];

    /// PayBy's number of it.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Paid => "001",
            Self::PayerLeaves => "002",
            Self::CreateFails => "003",
            Self::CreateTimesOut => "004",
            Self::CancelsAtLast => "005",
            Self::CancelsNever => "006",
            Self::QueriesAtLast => "007",
            Self::QueriesNever => "008",
            Self::Notified => "009",
        }
    }

    /// What happens.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Paid => "the payer is asked for a password, and pays",
            Self::PayerLeaves => "the payer leaves, and the time runs out",
            Self::CreateFails => "the creation answers SYSTEM_ERROR",
            Self::CreateTimesOut => "the creation times out",
            Self::CancelsAtLast => "a cancel succeeds only after several tries",
            Self::CancelsNever => "cancels keep failing",
            Self::QueriesAtLast => "a query succeeds only after several tries",
            Self::QueriesNever => "queries keep failing",
            Self::Notified => "the notification of a paid order arrives",
        }
    }

    /// What its order costs: AED 500.01, 12.02, 12.03 … 12.09. No two cases share an amount.
    ///
    /// # Panics
    /// Never: these are amounts.
    #[must_use]
    pub fn amount(self) -> Amount {
        let fils = if self == Self::Paid { 50_001 } else { 1_201 + self as u64 };
        Amount::from_fils(fils).expect("more than zero and not too much")
    }

    /// What goes wrong.
    pub(super) fn faults(self) -> Vec<Rule> {
        let rule =
            |only, fault, times| Rule { times: Some(times), amount: Some(self.amount()), ..Rule::new(only, fault) };
        let call = |call, fault, times| rule(Only::One(call), fault, times);
        let mut faults = match self {
            Self::Paid | Self::PayerLeaves => vec![],
            Self::CreateFails => vec![call(Call::Place, Fault::SystemErrorDone, 1)],
            Self::CreateTimesOut => vec![call(Call::Place, Fault::Hang, 1)],
            Self::CancelsAtLast => vec![call(Call::Cancel, Fault::SystemError, 2)],
            Self::CancelsNever => vec![call(Call::Cancel, Fault::SystemError, ALWAYS)],
            Self::QueriesAtLast => vec![call(Call::Get, Fault::SystemError, 2)],
            Self::QueriesNever => vec![call(Call::Get, Fault::SystemError, ALWAYS)],
            Self::Notified => vec![rule(Only::Notification, Fault::WrongSignature, 1)],
        };
        if self != Self::Notified {
            // What the merchant learns, it is to learn by asking.
            faults.push(rule(Only::Notification, Fault::LostRequest, ALWAYS));
        }
        faults
    }

    /// Who pays by themselves.
    pub(super) fn payer(self) -> Option<Payer> {
        let after_queries = match self {
            Self::Paid => 2,
            Self::QueriesAtLast => 0,
            _ => return None,
        };
        Some(Payer { action: Action::Pay, after_queries, amount: Some(self.amount()) })
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|case| case.id() == text);
        found.ok_or_else(|| format!("there is no case {text:?}: they are 001 to 009"))
    }
}

impl Serialize for Case {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_number_and_an_amount_of_its_own() {
        let told = Case::ALL.map(|case| format!("{} {}", case.id(), case.amount()));
        assert_eq!(
            told,
            [
                "001 500.01",
                "002 12.02",
                "003 12.03",
                "004 12.04",
                "005 12.05",
                "006 12.06",
                "007 12.07",
                "008 12.08",
                "009 12.09"
            ]
        );
        assert_eq!("005".parse(), Ok(Case::CancelsAtLast));
        assert_eq!("5".parse::<Case>().unwrap_err(), "there is no case \"5\": they are 001 to 009");
    }
}
