//! The module `checkout`: open checkouts, by their handles.
//!
//! Each input is a call; what the machine wants done is then asked for with [`poll`] until there is nothing more. The timer, the
//! requests and the storage are TypeScript's: there a timer and a promise are words of the language, here closures, an executor
//! and a queue would come along.

use std::cell::RefCell;

use wasm_bindgen::prelude::*;
use web_sys::AbortController;

use super::plain::{Plain, thrown, to_js};
use super::platform::{SecureRandom, WallClock};
use super::{http, platform, view};
use crate::checkout::{Alert, Checkout, Now, Output, Request, Saved};
use crate::money::{Currency, Money};
use crate::order_number::{Format, Generator};
use crate::protocol::Scene;

struct Open {
    machine: Checkout,
    /// Of the newest request.
    controller: Option<AbortController>,
    /// Whether the request in flight looks for an order, and not after one.
    finds: bool,
}

impl Open {
    fn abort(&self) {
        if let Some(controller) = &self.controller {
            controller.abort();
        }
    }
}

thread_local! {
    static GENERATOR: RefCell<Generator<WallClock, SecureRandom>> =
        const { RefCell::new(Generator::new(WallClock, SecureRandom)) };
    /// The open checkouts, each at its handle; the place of a closed one is used again.
    static CHECKOUTS: RefCell<Vec<Option<Open>>> = const { RefCell::new(Vec::new()) };
}

/// Opens a checkout and answers its handle. `amount` is what the page has shown, empty if it does not say.
#[wasm_bindgen]
pub fn open(amount: &str) -> Result<usize, JsValue> {
    let machine = Checkout::new(None);
    let machine = match amount.parse() {
        Err(_) if amount.is_empty() => machine,
        Err(_) => return Err(thrown("invalid_argument", "amount is a decimal like \"12.50\", above zero", None)),
        Ok(amount) => machine.expecting(Money { amount, currency: Currency::Aed }),
    };
    let opened = Some(Open { machine, controller: None, finds: false });
    let handle = CHECKOUTS.with_borrow_mut(|checkouts| {
        let free = checkouts.iter().position(Option::is_none);
        let handle = free.unwrap_or_else(|| {
            checkouts.push(None);
            checkouts.len() - 1
        });
        checkouts[handle] = opened;
        handle
    });
    Ok(handle)
}

/// What the machine wants done next, as a list of which the first place says what it is; `undefined` when there is nothing until
/// the next input.
///
/// - `["save", text]`: keep this before anything that comes after it (R1); it is what [`restore`] takes.
/// - `["send", method, path, body, ifNoneMatch, prefer, timeLimit]`: give what comes of it back to [`answer`].
/// - `["abort"]`: drop the request in flight; its answer is not wanted.
/// - `["wake", after]`: call [`wake`] in so many milliseconds; without them, not at all.
/// - `["alert", code]`, `["stop", …]`, or a view: for the page.
#[wasm_bindgen]
pub fn poll(handle: usize) -> JsValue {
    let told = with(handle, |open, now| {
        loop {
            return Some(match open.machine.poll_output()? {
                Output::Save(saved) => to_js(&[Plain::Text("save"), Plain::Text(&saved.to_text())]),
                Output::Send(request) => {
                    open.finds = request == Request::Find;
                    open.controller = Some(AbortController::new().ok()?);
                    http::of_request(&request, open.controller.as_ref()?)
                }
                Output::Abort => {
                    open.abort();
                    continue;
                }
                Output::WakeAt(at) => to_js(&[Plain::Text("wake"), Plain::number(at.map(|at| at.since(now.at).0))]),
                Output::Alert(alert) => to_js(&[
                    Plain::Text("alert"),
                    Plain::Text(match alert {
                        Alert::Failing => "failing",
                        Alert::Mismatch => "mismatch",
                        Alert::Conflict => "conflict",
                    }),
                ]),
                Output::Tell(view) => view::of_view(&view),
                Output::Stop(why) => view::of_stop(&why),
            });
        }
    });
    told.flatten().unwrap_or_default()
}

/// What was last kept of this purchase, by this page or another; to be given before each command.
#[wasm_bindgen]
pub fn restore(handle: usize, saved: &str) {
    let saved = Saved::from_text(saved);
    with(handle, |open, _| open.machine.restore(saved));
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
    with(handle, |open, now| open.machine.start(now, fresh, scene));
    Ok(())
}

/// Goes on after a reload or a return.
#[wasm_bindgen]
pub fn resume(handle: usize) {
    with(handle, |open, now| open.machine.resume(now));
}

/// The customer tries the same order again.
#[wasm_bindgen]
pub fn retry(handle: usize) {
    with(handle, |open, now| open.machine.retry(now));
}

/// The customer gives up.
#[wasm_bindgen]
pub fn cancel(handle: usize) {
    with(handle, |open, now| open.machine.cancel(now));
}

/// The time has come.
#[wasm_bindgen]
pub fn wake(handle: usize) {
    with(handle, |open, now| open.machine.handle_wake(now));
}

/// What came of the request in flight: `status` 0 when no answer came, `retry_after` its header of that name, `json`
/// undefined when none could be read.
#[wasm_bindgen]
pub fn answer(handle: usize, status: u16, retry_after: &str, json: &JsValue) {
    with(handle, |open, now| open.machine.handle_answer(now, http::read(open.finds, status, retry_after, json)));
}

/// There is a reason to look at once.
#[wasm_bindgen]
pub fn attend(handle: usize) {
    with(handle, |open, now| open.machine.handle_attention(now));
}

/// The page went offline or came back online.
#[wasm_bindgen]
pub fn connect(handle: usize, online: bool) {
    with(handle, |open, now| open.machine.handle_connection(now, online));
}

/// The page was hidden or became visible.
#[wasm_bindgen]
pub fn show(handle: usize, visible: bool) {
    with(handle, |open, now| open.machine.handle_visibility(now, visible));
}

/// This tab asks for all from now on, or another one does.
#[wasm_bindgen]
pub fn lead(handle: usize, leads: bool) {
    with(handle, |open, now| open.machine.handle_lead(now, leads));
}

/// What the tab that leads was told about an order. What cannot be read is nothing.
#[wasm_bindgen]
pub fn hear(handle: usize, json: &JsValue) {
    if let Some(snapshot) = http::snapshot(json) {
        with(handle, |open, now| open.machine.handle_hearsay(now, &snapshot));
    }
}

/// Drops a checkout.
#[wasm_bindgen]
pub fn close(handle: usize) {
    with(handle, |open, _| open.abort());
    CHECKOUTS.with_borrow_mut(|checkouts| checkouts.get_mut(handle).map(Option::take));
}

/// Calls with an open checkout; on a closed one nothing happens.
fn with<T>(handle: usize, call: impl FnOnce(&mut Open, Now) -> T) -> Option<T> {
    CHECKOUTS.with_borrow_mut(|checkouts| Some(call(checkouts.get_mut(handle)?.as_mut()?, platform::now())))
}

#[cfg(test)]
mod tests;
