//! The module `checkout`: open checkouts, by their handles.

use std::cell::RefCell;

use js_sys::Function;
use wasm_bindgen::prelude::*;

use super::http;
use super::plain::thrown;
use super::platform::{SecureRandom, WallClock};
use super::shell::Shell;
use crate::checkout::{Checkout, Saved};
use crate::money::{Currency, Money};
use crate::order_number::{Format, Generator};
use crate::protocol::Scene;

thread_local! {
    static GENERATOR: RefCell<Generator<WallClock, SecureRandom>> =
        const { RefCell::new(Generator::new(WallClock, SecureRandom)) };
    /// The open checkouts, each at its handle; the place of a closed one is used again.
    static SHELLS: RefCell<Vec<Option<Shell>>> = const { RefCell::new(Vec::new()) };
}

/// Opens a checkout and answers its handle. `listener(told)` hears, in their order, of every view, of alerts, of why it
/// stopped, and of what to keep: `["save", text]` is to be kept when the call returns (R1). What it hears are lists, of which
/// the first place says what they are. `fetch` is as [`Http`](super::http::Http) has it; `amount` is what the page has shown,
/// empty if it does not say.
#[wasm_bindgen]
pub fn open(listener: Function, fetch: Function, amount: &str) -> Result<usize, JsValue> {
    let amount = match amount.parse() {
        Err(_) if amount.is_empty() => None,
        Err(_) => return Err(thrown("invalid_argument", "amount is a decimal like \"12.50\", above zero", None)),
        Ok(amount) => Some(Money { amount, currency: Currency::Aed }),
    };
    let shell = Some(Shell::new(listener, fetch, amount));
    let handle = SHELLS.with_borrow_mut(|shells| {
        let free = shells.iter().position(Option::is_none);
        let handle = free.unwrap_or_else(|| {
            shells.push(None);
            shells.len() - 1
        });
        shells[handle] = shell;
        handle
    });
    Ok(handle)
}

/// What was last kept of this purchase, by this page or another; to be given before each command.
#[wasm_bindgen]
pub fn restore(handle: usize, saved: &str) {
    let saved = Saved::from_text(saved);
    with(handle, |shell| shell.command(|machine, _| machine.restore(saved)));
}

/// The customer wants to pay, with the scene of that name or, if it is empty, as the purchase says.
#[wasm_bindgen]
pub fn start(handle: usize, scene: &str) -> Result<(), JsValue> {
    let scene = match Scene::from_name(scene) {
        None if !scene.is_empty() => {
            return Err(thrown("invalid_argument", "scene is \"DYNQR\" or \"PAYPAGE\"", None));
        }
        scene => scene,
    };
    let fresh = GENERATOR
        .with_borrow_mut(|generator| generator.generate(Format::Standard, None))
        .map_err(|error| thrown(error.code(), error.message(), None))?;
    with(handle, |shell| shell.command(|machine, now| machine.start(now, fresh, scene)));
    Ok(())
}

/// Goes on after a reload or a return.
#[wasm_bindgen]
pub fn resume(handle: usize) {
    with(handle, |shell| shell.command(Checkout::resume));
}

/// The customer tries the same order again.
#[wasm_bindgen]
pub fn retry(handle: usize) {
    with(handle, |shell| shell.command(Checkout::retry));
}

/// The customer gives up.
#[wasm_bindgen]
pub fn cancel(handle: usize) {
    with(handle, |shell| shell.command(Checkout::cancel));
}

/// There is a reason to look at once.
#[wasm_bindgen]
pub fn attend(handle: usize) {
    with(handle, |shell| shell.command(Checkout::handle_attention));
}

/// The page went offline or came back online.
#[wasm_bindgen]
pub fn connect(handle: usize, online: bool) {
    with(handle, |shell| shell.command(|machine, now| machine.handle_connection(now, online)));
}

/// The page was hidden or became visible.
#[wasm_bindgen]
pub fn show(handle: usize, visible: bool) {
    with(handle, |shell| shell.command(|machine, now| machine.handle_visibility(now, visible)));
}

/// This tab asks for all from now on, or another one does.
#[wasm_bindgen]
pub fn lead(handle: usize, leads: bool) {
    with(handle, |shell| shell.command(|machine, now| machine.handle_lead(now, leads)));
}

/// What the tab that leads was told about an order. What cannot be read is nothing.
#[wasm_bindgen]
pub fn hear(handle: usize, json: &JsValue) {
    if let Some(snapshot) = http::snapshot(json) {
        with(handle, |shell| shell.command(|machine, now| machine.handle_hearsay(now, &snapshot)));
    }
}

/// Drops a checkout: its request is aborted, its timer cleared, its listener never called again.
#[wasm_bindgen]
pub fn close(handle: usize) {
    if let Some(shell) = SHELLS.with_borrow_mut(|shells| shells.get_mut(handle)?.take()) {
        shell.close();
    }
}

/// Calls with an open checkout; on a closed one nothing happens.
fn with(handle: usize, call: impl FnOnce(&Shell)) {
    // The clone is dropped before the listener can open or close another: no borrow is held during the call.
    let shell = SHELLS.with_borrow(|shells| shells.get(handle)?.clone());
    if let Some(shell) = shell {
        call(&shell);
    }
}

#[cfg(test)]
mod tests;
