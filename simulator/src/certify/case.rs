//! The nine cases, as PayBy runs them before a merchant goes live.

use std::str::FromStr;

use payby_checkout::money::Amount;
use payby_checkout::time::Millis;
use serde::{Serialize, Serializer};

use crate::faults::{Fault, Only, Rule};
use crate::model::{Action, Call};
use crate::payers::Payer;

/// Until the run ends.
const ALWAYS: u32 = u32::MAX;
/// How long the payer has, where the merchant can be told: cases that end in a cancel end then …
const PAY_WITHIN: Millis = Millis::from_secs(60);
/// … but for an order of which nothing is heard: it has to be given up long before.
const PAY_LATER: Millis = Millis::from_secs(600);

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

    /// The orders that it takes: two cases are about a creation that may or may not have arrived.
    #[must_use]
    pub fn trials(self) -> Vec<Trial> {
        let variants = match self {
            Self::CreateFails | Self::CreateTimesOut => &[Variant::Plain, Variant::Lost, Variant::Unknown][..],
            _ => &[Variant::Plain],
        };
        variants.iter().map(|&variant| Trial { case: self, variant }).collect()
    }
}

/// How a case is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// As PayBy does. A creation that goes wrong was processed, and the first query finds it.
    Plain,
    /// The creation never arrived: the query finds no order.
    Lost,
    /// The creation was processed, but no query is answered: it stays unknown.
    Unknown,
}

/// One order of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Of which case.
    pub case: Case,
    /// How it is tried.
    pub variant: Variant,
}

impl Trial {
    /// The case's number, and a letter if it is not tried as PayBy does: `003`, `003b`, `003c`.
    #[must_use]
    pub fn id(self) -> String {
        let letter = match self.variant {
            Variant::Plain => "",
            Variant::Lost => "b",
            Variant::Unknown => "c",
        };
        format!("{}{letter}", self.case.id())
    }

    /// What is special about it, if its case has others.
    #[must_use]
    pub const fn title(self) -> Option<&'static str> {
        match (self.case, self.variant) {
            (Case::CreateFails | Case::CreateTimesOut, Variant::Plain) => Some("it was processed"),
            (_, Variant::Plain) => None,
            (_, Variant::Lost) => Some("it never arrived"),
            (_, Variant::Unknown) => Some("it stays unknown, long before the payer's time is up"),
        }
    }

    /// What the order costs: AED 500.01, 12.02, 12.03 … 12.09; 13 and 14 dirhams where it never arrived or stays unknown. No
    /// two have the same amount.
    ///
    /// # Panics
    /// Never: these are amounts.
    #[must_use]
    pub fn amount(self) -> Amount {
        let fils = match self.case {
            Case::Paid => 50_001,
            case => 1_201 + case as u64 + 100 * self.variant as u64,
        };
        Amount::from_fils(fils).expect("more than zero and not too much")
    }

    /// How long the payer has.
    #[must_use]
    pub const fn pay_within(self) -> Millis {
        match self.variant {
            Variant::Plain | Variant::Lost => PAY_WITHIN,
            Variant::Unknown => PAY_LATER,
        }
    }

    /// What goes wrong.
    pub(super) fn faults(self) -> Vec<Rule> {
        let rule =
            |only, fault, times| Rule { times: Some(times), amount: Some(self.amount()), ..Rule::new(only, fault) };
        let call = |call, fault, times| rule(Only::One(call), fault, times);
        let is_lost = self.variant == Variant::Lost;
        let mut faults = match self.case {
            Case::Paid | Case::PayerLeaves => vec![],
            Case::CreateFails if is_lost => vec![call(Call::Place, Fault::SystemError, 1)],
            Case::CreateFails => vec![call(Call::Place, Fault::SystemErrorDone, 1)],
            Case::CreateTimesOut if is_lost => vec![call(Call::Place, Fault::HangRequest, 1)],
            Case::CreateTimesOut => vec![call(Call::Place, Fault::Hang, 1)],
            Case::CancelsAtLast => vec![call(Call::Cancel, Fault::SystemError, 2)],
            Case::CancelsNever => vec![call(Call::Cancel, Fault::SystemError, ALWAYS)],
            Case::QueriesAtLast => vec![call(Call::Get, Fault::SystemError, 2)],
            Case::QueriesNever => vec![call(Call::Get, Fault::SystemError, ALWAYS)],
            Case::Notified => vec![rule(Only::Notification, Fault::WrongSignature, 1)],
        };
        if self.variant == Variant::Unknown {
            faults.push(call(Call::Get, Fault::SystemError, ALWAYS));
        }
        if self.case != Case::Notified {
            // What the merchant learns, it is to learn by asking.
            faults.push(rule(Only::Notification, Fault::LostRequest, ALWAYS));
        }
        faults
    }

    /// Who pays by themselves.
    pub(super) fn payer(self) -> Option<Payer> {
        let after_queries = match self.case {
            Case::Paid => 2,
            Case::QueriesAtLast => 0,
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
    fn every_trial_has_a_number_and_an_amount_of_its_own() {
        let trials = Case::ALL.into_iter().flat_map(Case::trials);
        let told: Vec<_> = trials.map(|trial| format!("{} {}", trial.id(), trial.amount())).collect();
        let expected = "001 500.01, 002 12.02, 003 12.03, 003b 13.03, 003c 14.03, 004 12.04, 004b 13.04, 004c 14.04, \
                        005 12.05, 006 12.06, 007 12.07, 008 12.08, 009 12.09";
        assert_eq!(told.join(", "), expected);
        assert_eq!("005".parse(), Ok(Case::CancelsAtLast));
        assert_eq!("5".parse::<Case>().unwrap_err(), "there is no case \"5\": they are 001 to 009");
    }
}
