//! Payers who act by themselves, so that nobody has to press a button. Decides when, and does nothing itself.

use payby_checkout::money::Amount;
use serde::{Deserialize, Serialize};

use crate::model::{Action, Call};

/// When a payer does what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Payer {
    /// What they do.
    #[serde(default = "pay")]
    pub action: Action,
    /// After so many queries that were answered; 0: as soon as the order is there.
    #[serde(default)]
    pub after_queries: u32,
    /// Orders of this amount only: `"12.50"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
}

const fn pay() -> Action {
    Action::Pay
}

/// All of them.
#[derive(Debug, Default)]
pub struct Payers(Vec<Payer>);

impl Payers {
    /// One more, after the others.
    pub fn add(&mut self, payer: Payer) {
        self.0.push(payer);
    }

    /// All go home.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// All of them, the first one first.
    #[must_use]
    pub fn all(&self) -> &[Payer] {
        &self.0
    }

    /// What a payer does now that this call was answered, and it was the order's `queries`th query.
    #[must_use]
    pub fn act(&self, call: Call, queries: u32, amount: Amount) -> Option<Action> {
        let answered = match call {
            Call::Place => 0,
            Call::Get => queries,
            _ => return None,
        };
        let fits =
            |payer: &&Payer| payer.after_queries == answered && payer.amount.is_none_or(|wanted| wanted == amount);
        self.0.iter().find(fits).map(|payer| payer.action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payer_acts_at_their_moment_and_on_their_amount() {
        let amount: Amount = "12.50".parse().unwrap();
        let mut payers = Payers::default();
        payers.add(Payer { action: Action::Pay, after_queries: 2, amount: Some(amount) });
        payers.add(Payer { action: Action::Decline, after_queries: 0, amount: None });
        assert_eq!(payers.act(Call::Place, 0, amount), Some(Action::Decline));
        assert_eq!(payers.act(Call::Get, 1, amount), None);
        assert_eq!(payers.act(Call::Get, 2, amount), Some(Action::Pay));
        assert_eq!(payers.act(Call::Cancel, 2, amount), None);
        assert_eq!(payers.act(Call::Get, 2, "1".parse().unwrap()), None);
    }
}
