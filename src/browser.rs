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

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use js_sys::Function;
use serde::Serialize;
use wasm_bindgen::prelude::*;

use self::platform::{SecureRandom, WallClock};
use self::shell::Shell;
use crate::checkout::Checkout;
use crate::order_number::{Generator, OrderNumber};
use crate::protocol::Scene;

thread_local! {
    static GENERATOR: RefCell<Generator<WallClock, SecureRandom>> =
        const { RefCell::new(Generator::new(WallClock, SecureRandom)) };
    static SHELLS: RefCell<BTreeMap<u32, Shell>> = const { RefCell::new(BTreeMap::new()) };
    static OPENED: Cell<u32> = const { Cell::new(0) };
}

/// What is thrown; the TypeScript side makes the package's error class of it.
#[derive(Serialize)]
struct Thrown<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u32>,
}

/// Gives plain data to JavaScript.
fn to_js(value: &impl Serialize) -> JsValue {
    serde_wasm_bindgen::to_value(value).expect("plain structs and strings always convert")
}

/// Makes an order number.
#[wasm_bindgen(js_name = orderNumber)]
pub fn order_number() -> Result<String, JsValue> {
    fresh().map(|number| number.as_str().to_owned())
}

fn fresh() -> Result<OrderNumber, JsValue> {
    GENERATOR
        .with_borrow_mut(Generator::generate)
        .map_err(|error| to_js(&Thrown { code: error.code(), message: &error.to_string(), position: None }))
}

/// Throws what is wrong with an order number.
#[wasm_bindgen(js_name = checkOrderNumber)]
pub fn check_order_number(text: &str) -> Result<(), JsValue> {
    text.parse::<OrderNumber>().map(drop).map_err(|error| {
        let position = error.position().and_then(|position| u32::try_from(position).ok());
        to_js(&Thrown { code: error.code(), message: &error.to_string(), position })
    })
}

/// Whether it is an order number by PayBy's rule.
#[wasm_bindgen(js_name = isOrderNumber)]
pub fn is_order_number(text: &str) -> bool {
    text.parse::<OrderNumber>().is_ok()
}

/// Opens a checkout and answers its handle. `listener(view, stop)` hears of every change: a view, or why it stopped.
#[wasm_bindgen]
pub fn open(proxy: String, token: &str, listener: Function) -> u32 {
    let handle = OPENED.get().wrapping_add(1);
    OPENED.set(handle);
    SHELLS.with_borrow_mut(|shells| shells.insert(handle, Shell::new(proxy, token, listener)));
    handle
}

/// The customer wants to pay, with the scene of that name or, if it is empty, as the purchase says.
#[wasm_bindgen]
pub fn start(handle: u32, scene: &str) -> Result<(), JsValue> {
    let scene = match Scene::from_name(scene) {
        None if !scene.is_empty() => {
            let message = "scene is \"DYNQR\" or \"PAYPAGE\"";
            return Err(to_js(&Thrown { code: "invalid_argument", message, position: None }));
        }
        scene => scene,
    };
    let fresh = fresh()?;
    with(handle, |shell| shell.command(|machine, now| machine.start(now, fresh, scene)));
    Ok(())
}

/// Goes on after a reload or a return.
#[wasm_bindgen]
pub fn resume(handle: u32) {
    with(handle, |shell| shell.command(Checkout::resume));
}

/// The customer gives up.
#[wasm_bindgen]
pub fn cancel(handle: u32) {
    with(handle, |shell| shell.command(Checkout::cancel));
}

/// Drops a checkout: its request is aborted, its timer cleared, its listener never called again.
#[wasm_bindgen]
pub fn close(handle: u32) {
    if let Some(shell) = SHELLS.with_borrow_mut(|shells| shells.remove(&handle)) {
        shell.close();
    }
}

/// Calls with an open checkout; on a closed one nothing happens.
fn with(handle: u32, call: impl FnOnce(&Shell)) {
    // The clone is dropped before the listener can open or close another: no borrow is held during the call.
    let shell = SHELLS.with_borrow(|shells| shells.get(&handle).cloned());
    if let Some(shell) = shell {
        call(&shell);
    }
}
