//! The core in a page, a worker or Node: what the npm package's TypeScript calls.
//!
//! Plain data and functions cross this boundary. Nothing here decides anything about money: [`shell`] runs the
//! [machine](crate::checkout), [`http`] turns its requests into `fetch` and answers into values, [`platform`] has the
//! clocks, the random source and the storage.

// The exports must be `pub`, and nothing in Rust calls them.
#![expect(unreachable_pub)]

mod http;
mod platform;
mod shell;
mod view;

use std::cell::RefCell;

use js_sys::Function;
use serde::Serialize;
use wasm_bindgen::prelude::*;

use self::platform::{SecureRandom, WallClock};
use self::shell::Shell;
use crate::checkout::Checkout;
use crate::order_number::{Format, Generator, OrderNumber};
use crate::protocol::Scene;

/// Half the code of the standard library's allocator, for a page that makes small things.
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

thread_local! {
    static GENERATOR: RefCell<Generator<WallClock, SecureRandom>> =
        const { RefCell::new(Generator::new(WallClock, SecureRandom)) };
    /// The open checkouts, each at its handle; the place of a closed one is used again.
    static SHELLS: RefCell<Vec<Option<Shell>>> = const { RefCell::new(Vec::new()) };
}

/// One thing given to JavaScript. What belongs together crosses as a list of these, and the TypeScript side names its
/// places: an object's keys, or a serialiser for each tuple, would cost a page more than all the rest of this boundary.
#[derive(Serialize)]
#[serde(untagged)]
enum Plain<'a> {
    Nothing,
    Text(&'a str),
    Number(f64),
    Flag(bool),
}

impl<'a> Plain<'a> {
    fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Nothing, Self::Text)
    }
}

/// Gives a list to JavaScript.
fn to_js(list: &[Plain<'_>]) -> JsValue {
    // Plain data always converts. (An `expect` would bring the error's formatting into the page.)
    serde_wasm_bindgen::to_value(list).unwrap_or(JsValue::UNDEFINED)
}

/// What is thrown, `[code, message, position]`; the TypeScript side makes the package's error class of it.
#[allow(clippy::cast_precision_loss, reason = "a position in a string")]
fn thrown(code: &str, message: &str, position: Option<usize>) -> JsValue {
    let position = position.map_or(Plain::Nothing, |position| Plain::Number(position as f64));
    to_js(&[Plain::Text(code), Plain::Text(message), position])
}

/// The parts in one string.
fn concat(parts: &[&str]) -> String {
    let mut whole = String::new();
    for part in parts {
        whole.push_str(part);
    }
    whole
}

/// Makes an order number.
#[wasm_bindgen(js_name = orderNumber)]
pub fn order_number() -> Result<String, JsValue> {
    fresh().map(|number| number.as_str().to_owned())
}

fn fresh() -> Result<OrderNumber, JsValue> {
    GENERATOR
        .with_borrow_mut(|generator| generator.generate(Format::Standard, None))
        .map_err(|error| thrown(error.code(), error.message(), None))
}

/// Throws what is wrong with an order number.
#[wasm_bindgen(js_name = checkOrderNumber)]
pub fn check_order_number(text: &str) -> Result<(), JsValue> {
    text.parse::<OrderNumber>().map(drop).map_err(|error| thrown(error.code(), &error.message(), error.position()))
}

/// Whether it is an order number by PayBy's rule.
#[wasm_bindgen(js_name = isOrderNumber)]
pub fn is_order_number(text: &str) -> bool {
    text.parse::<OrderNumber>().is_ok()
}

/// Opens a checkout and answers its handle. `listener(view, stop)` hears of every change: a view, or why it stopped.
/// `fetch` is as [`http::Http`] has it.
#[wasm_bindgen]
pub fn open(token: &str, listener: Function, fetch: Function) -> usize {
    let shell = Some(Shell::new(token, listener, fetch));
    SHELLS.with_borrow_mut(|shells| {
        let free = shells.iter().position(Option::is_none);
        let handle = free.unwrap_or_else(|| {
            shells.push(None);
            shells.len() - 1
        });
        shells[handle] = shell;
        handle
    })
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
    let fresh = fresh()?;
    with(handle, |shell| shell.command(|machine, now| machine.start(now, fresh, scene)));
    Ok(())
}

/// Goes on after a reload or a return.
#[wasm_bindgen]
pub fn resume(handle: usize) {
    with(handle, |shell| shell.command(Checkout::resume));
}

/// The customer gives up.
#[wasm_bindgen]
pub fn cancel(handle: usize) {
    with(handle, |shell| shell.command(Checkout::cancel));
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
