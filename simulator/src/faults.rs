//! What goes wrong on purpose: a queue of faults, each for the next call that it fits. Decides what, and does nothing itself.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::model::Call;

/// One way in which a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The connection is closed; the call is not processed.
    LostRequest,
    /// The call is processed; then the connection is closed without an answer.
    LostAnswer,
    /// The call is not processed; the answer is 500 SYSTEM_ERROR, signed.
    SystemError,
    /// The call is processed; one byte of the answer is changed after it was signed.
    CorruptAnswer,
    /// The call is processed; the signature of the answer is over other bytes.
    WrongSignature,
    /// The call is processed; the answer does not come until the client goes away, or for 120 s.
    Hang,
}

/// The calls that a fault fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Only {
    /// Every call: `"*"`.
    #[serde(rename = "*")]
    Any,
    /// Calls of one kind: its name.
    #[serde(untagged)]
    One(Call),
}

/// The faults to come.
#[derive(Debug, Default)]
pub struct Faults(VecDeque<(Only, Fault, u32)>);

impl Faults {
    /// From now on, the next `times` calls that fit and that no earlier fault takes go wrong.
    pub fn add(&mut self, only: Only, fault: Fault, times: u32) {
        if times > 0 {
            self.0.push_back((only, fault, times));
        }
    }

    /// What goes wrong with this call, if anything does.
    pub fn take(&mut self, call: Call) -> Option<Fault> {
        let found = self.0.iter().position(|&(only, ..)| only == Only::Any || only == Only::One(call))?;
        let (_, fault, times) = &mut self.0[found];
        let fault = *fault;
        *times -= 1;
        if *times == 0 {
            self.0.remove(found);
        }
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_takes_the_first_fault_that_fits_it() {
        let mut faults = Faults::default();
        faults.add(Only::One(Call::Get), Fault::LostAnswer, 1);
        faults.add(Only::Any, Fault::SystemError, 2);
        faults.add(Only::One(Call::Place), Fault::Hang, 0);
        assert_eq!(faults.take(Call::Place), Some(Fault::SystemError));
        assert_eq!(faults.take(Call::Get), Some(Fault::LostAnswer));
        assert_eq!(faults.take(Call::Get), Some(Fault::SystemError));
        assert_eq!(faults.take(Call::Get), None);
        assert_eq!(faults.take(Call::Place), None);
    }
}
