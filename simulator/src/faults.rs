//! What goes wrong on purpose: a list of rules, each for the calls that it fits. Decides what, and does nothing itself.
//!
//! A profile is the list and a seed, in JSON over the API or in a TOML file:
//!
//! ```toml
//! seed = 7
//!
//! [[faults]]
//! call = "getOrder"
//! fault = "lost_answer"
//! probability = 0.2
//!
//! [[faults]]
//! call = "placeOrder"
//! fault = { code = { code = "402" } }
//! times = 2
//! ```
//!
//! Every rule has its own random source, made of the seed and its place in the list. So what one rule does depends on
//! nothing but the calls that it fits, and the same calls meet the same faults in every run.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use payby_checkout::gateway::wire::code;
use payby_checkout::money::Amount;
use payby_checkout::time::Millis;
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};

use crate::model::Call;

/// One way in which a call, or the delivery of a notification, goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The connection is closed; the call is not processed.
    LostRequest,
    /// The call is processed; then the connection is closed without an answer.
    LostAnswer,
    /// The call is not processed; the answer is 500 SYSTEM_ERROR, signed.
    SystemError,
    /// The call is processed; the answer is 500 SYSTEM_ERROR all the same, signed.
    SystemErrorDone,
    /// The call is not processed; the answer is 402 RATE_LIMIT_REJECT, signed.
    RateLimit,
    /// The call is processed; one byte of the answer is changed after it was signed.
    CorruptAnswer,
    /// The call is processed; the signature of the answer is over other bytes. A notification comes once with such a
    /// signature, and then as it should.
    WrongSignature,
    /// The call is processed; the answer does not come until the client goes away, or for 120 s.
    Hang,
    /// The call is not processed; no answer comes until the client goes away, or for 120 s.
    HangRequest,
    /// The call arrives twice; the second answer is the one that is given. A notification comes twice.
    Duplicate,
    /// The call is processed; the answer comes so much later.
    Delay {
        /// How much, in milliseconds.
        ms: Millis,
    },
    /// The call is processed so much later, even if the client has gone away by then.
    DelayRequest {
        /// How much, in milliseconds.
        ms: Millis,
    },
    /// The answer has this code, signed.
    Code {
        /// The head's code.
        code: String,
        /// The head's message. Default: PayBy's word for the code, if it is known here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        msg: Option<String>,
        /// Whether the call is processed all the same.
        #[serde(default)]
        done: bool,
    },
}

impl Fault {
    /// Whether the call does what it asks for.
    #[must_use]
    pub const fn is_processed(&self) -> bool {
        !self.is_lost() && !matches!(self, Self::SystemError | Self::RateLimit | Self::Code { done: false, .. })
    }

    /// Whether the call never gets to PayBy.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        matches!(self, Self::LostRequest | Self::HangRequest)
    }

    /// The code and message that are answered in place of the true ones.
    #[must_use]
    pub fn answer(&self) -> Option<(Cow<'static, str>, Cow<'static, str>)> {
        let told = |code: &'static str| Some((code.into(), word(code).into()));
        match self {
            Self::LostRequest | Self::SystemError | Self::SystemErrorDone => told(code::SYSTEM_ERROR),
            Self::RateLimit => told(code::RATE_LIMIT_REJECT),
            Self::Code { code, msg, .. } => {
                let msg = msg.clone().map_or_else(|| word(code).into(), Cow::Owned);
                Some((code.clone().into(), msg))
            }
            _ => None,
        }
    }
}

/// PayBy's word for a code that is its own business.
fn word(code: &str) -> &'static str {
    match code {
        code::INVALID_PARAMETER => "INVALID_PARAMETER",
        code::RATE_LIMIT_REJECT => "RATE_LIMIT_REJECT",
        code::UNAUTHORIZED => "UNAUTHORIZED",
        code::SERVICE_NOT_AVAILABLE => "SERVICE_NOT_AVAILABLE",
        code::SYSTEM_ERROR => "SYSTEM_ERROR",
        code::SERVICE_TIMEOUT => "SERVICE_TIMEOUT",
        code::RISK_FAIL => "RISK_FAIL",
        code::REVOKE_FAILURE => "REVOKE_FAILURE",
        code::REFUND_REJECTED => "REFUND_REJECTED",
        code::REVOKE_REJECTED => "REVOKE_REJECTED",
        _ => "refused on purpose",
    }
}

/// What a rule fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Only {
    /// Every call: `"*"`.
    #[serde(rename = "*")]
    Any,
    /// The delivery of notifications: `"notification"`. `lost_request`, `duplicate`, `delay` and `wrong_signature` do
    /// something to it.
    #[serde(rename = "notification")]
    Notification,
    /// Calls of one kind: its name.
    #[serde(untagged)]
    One(Call),
}

/// When something goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it fits.
    #[serde(rename = "call")]
    pub only: Only,
    /// What goes wrong.
    pub fault: Fault,
    /// How often, at most. Default: once; without bound if there is a probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// How probable it is for each call that fits. Default: certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// How many calls that fit are let through before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub after: u32,
    /// It fits this order (the merchant's number) only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// It fits orders of this amount only: `"12.50"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Rule {
    /// Once, whatever order the call is about.
    #[must_use]
    pub const fn new(only: Only, fault: Fault) -> Self {
        Self { only, fault, times: None, probability: None, after: 0, order: None, amount: None }
    }

    fn fits(&self, event: Only, order: Option<&str>, amount: Option<Amount>) -> bool {
        let called = self.only == event || (self.only == Only::Any && matches!(event, Only::One(_)));
        let is_named = self.order.as_deref().is_none_or(|wanted| order == Some(wanted));
        called && is_named && self.amount.is_none_or(|wanted| amount == Some(wanted))
    }
}

/// A seed and rules: what a file holds, and `PUT /sim/faults`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// What the dice are made of.
    pub seed: u64,
    /// The rules, in the order in which they are asked.
    pub faults: Vec<Rule>,
}

impl Profile {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// It cannot be read, or holds something else.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        toml::from_str(&text).with_context(|| file.display().to_string())
    }
}

/// The faults to come.
#[derive(Debug, Default)]
pub struct Faults {
    seed: u64,
    added: u64,
    rules: Vec<Armed>,
}

#[derive(Debug)]
struct Armed {
    rule: Rule,
    dice: Pcg64Mcg,
}

impl Faults {
    /// Exactly these.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        let mut faults = Self { seed: profile.seed, added: 0, rules: Vec::new() };
        profile.faults.into_iter().for_each(|rule| faults.add(rule));
        faults
    }

    /// One more, after the others.
    pub fn add(&mut self, mut rule: Rule) {
        if rule.times.is_none() && rule.probability.is_none() {
            rule.times = Some(1);
        }
        let place = self.added;
        self.added += 1;
        let dice = Pcg64Mcg::seed_from_u64(self.seed ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        self.rules.push(Armed { rule, dice });
    }

    /// What is left.
    #[must_use]
    pub fn profile(&self) -> Profile {
        let left = self.rules.iter().map(|armed| armed.rule.clone());
        Profile { seed: self.seed, faults: left.filter(|rule| rule.times != Some(0)).collect() }
    }

    /// What goes wrong with this, if anything does: the first rule that fits and strikes decides.
    pub fn take(&mut self, event: Only, order: Option<&str>, amount: Option<Amount>) -> Option<Fault> {
        for Armed { rule, dice } in &mut self.rules {
            if rule.times == Some(0) || !rule.fits(event, order, amount) {
                continue;
            }
            if rule.after > 0 {
                rule.after -= 1;
                continue;
            }
            if rule.probability.is_some_and(|probability| !dice.random_bool(probability.clamp(0.0, 1.0))) {
                continue;
            }
            rule.times = rule.times.map(|times| times - 1);
            return Some(rule.fault.clone());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Only = Only::One(Call::Place);
    const GET: Only = Only::One(Call::Get);

    fn times(only: Only, fault: Fault, times: u32) -> Rule {
        Rule { times: Some(times), ..Rule::new(only, fault) }
    }

    #[test]
    fn each_call_takes_the_first_fault_that_fits_it() {
        let mut faults = Faults::default();
        faults.add(Rule::new(GET, Fault::LostAnswer));
        faults.add(times(Only::Any, Fault::SystemError, 2));
        faults.add(times(PLACE, Fault::Hang, 0));
        assert_eq!(faults.take(PLACE, None, None), Some(Fault::SystemError));
        assert_eq!(faults.take(GET, None, None), Some(Fault::LostAnswer));
        assert_eq!(faults.take(Only::Notification, None, None), None, "it is no call");
        assert_eq!(faults.take(GET, None, None), Some(Fault::SystemError));
        assert_eq!(faults.take(GET, None, None), None);
        assert_eq!(faults.take(PLACE, None, None), None);
        assert_eq!(faults.profile().faults, []);
    }

    #[test]
    fn a_rule_can_be_for_one_order_or_one_amount_and_let_some_calls_through() {
        let amount = |text: &str| Some(text.parse().unwrap());
        let mut faults = Faults::default();
        faults.add(Rule { order: Some("M-1".into()), ..Rule::new(Only::Any, Fault::LostAnswer) });
        faults.add(Rule { amount: amount("12.50"), after: 1, ..Rule::new(GET, Fault::Duplicate) });
        assert_eq!(faults.take(GET, Some("M-2"), None), None);
        assert_eq!(faults.take(GET, Some("M-2"), amount("12.5")), None, "one is let through");
        assert_eq!(faults.take(GET, Some("M-2"), amount("12.5")), Some(Fault::Duplicate));
        assert_eq!(faults.take(PLACE, Some("M-1"), amount("1")), Some(Fault::LostAnswer));
    }

    #[test]
    fn the_dice_are_the_same_in_every_run_and_each_rule_has_its_own() {
        let rule = |only| Rule { probability: Some(0.5), ..Rule::new(only, Fault::LostAnswer) };
        let strikes = |seed, others: usize| {
            let mut faults = Faults::new(Profile { seed, faults: vec![rule(GET), rule(PLACE)] });
            let strike = |faults: &mut Faults| {
                (0..others).for_each(|_| drop(faults.take(PLACE, None, None)));
                faults.take(GET, None, None).is_some()
            };
            (0..64).map(|_| strike(&mut faults)).collect::<Vec<_>>()
        };
        assert_eq!(strikes(7, 0), strikes(7, 3), "other calls do not turn these dice");
        assert_ne!(strikes(7, 0), strikes(8, 0));
        let count = strikes(7, 0).iter().filter(|&&strikes| strikes).count();
        assert!((16..=48).contains(&count), "{count} of 64");
    }

    #[test]
    fn a_profile_is_read_from_toml_and_what_is_wrong_with_it_is_said() {
        let profile: Profile = toml::from_str(
            r#"
            seed = 7
            [[faults]]
            call = "*"
            fault = { code = { code = "402" } }
            probability = 0.25
            [[faults]]
            call = "refund/placeOrder"
            fault = { delay = { ms = 1500 } }
            amount = "12.50"
            "#,
        )
        .unwrap();
        assert_eq!((profile.seed, profile.faults.len()), (7, 2));
        assert_eq!(profile.faults[0].fault.answer().unwrap(), ("402".into(), "RATE_LIMIT_REJECT".into()));
        assert_eq!(profile.faults[1].only, Only::One(Call::PlaceRefund));
        assert_eq!(profile.faults[1].fault, Fault::Delay { ms: Millis(1500) });
        let error = toml::from_str::<Profile>("[[faults]]\ncall = \"*\"\nfault = \"fire\"").unwrap_err();
        assert!(error.to_string().contains("unknown variant `fire`"), "{error}");
    }
}
