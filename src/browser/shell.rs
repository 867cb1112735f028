//! Runs one checkout machine over `fetch` and one timer. It makes no decision: it does what the machine says.

use std::cell::RefCell;
use std::rc::Rc;

use gloo_timers::callback::Timeout;
use js_sys::Function;
use wasm_bindgen::JsValue;
use web_sys::AbortController;

use super::plain::{Plain, to_js};
use super::{http, platform, view};
use crate::checkout::{Alert, Answer, Checkout, Now, Output, Request};
use crate::money::Money;
use crate::time::Millis;

/// The longest time that a timer can be set to.
const LONGEST_TIMER: u64 = i32::MAX as u64;

/// One open checkout. Clones are the same one.
#[derive(Clone)]
pub(super) struct Shell(Rc<RefCell<Inner>>);

struct Inner {
    machine: Checkout,
    http: http::Http,
    /// `None` once closed.
    listener: Option<Function>,
    timer: Option<Timeout>,
    in_flight: Option<InFlight>,
    sent: u32,
}

/// Aborts its request when dropped, unless the answer has come.
struct InFlight {
    serial: u32,
    controller: AbortController,
    _deadline: Timeout,
}

impl Shell {
    pub(super) fn new(listener: Function, fetch: Function, amount: Option<Money>) -> Self {
        let machine = Checkout::new(None);
        let machine = if let Some(amount) = amount { machine.expecting(amount) } else { machine };
        Self(Rc::new(RefCell::new(Inner {
            machine,
            http: http::Http::new(fetch),
            listener: Some(listener),
            timer: None,
            in_flight: None,
            sent: 0,
        })))
    }

    /// Gives the machine an input, then does what it wants done.
    pub(super) fn command(&self, input: impl FnOnce(&mut Checkout, Now)) {
        input(&mut self.0.borrow_mut().machine, platform::now());
        self.drain();
    }

    pub(super) fn close(&self) {
        let mut inner = self.0.borrow_mut();
        inner.listener = None;
        inner.timer = None;
        inner.abort();
    }

    fn drain(&self) {
        loop {
            // No borrow is held while JavaScript runs: a listener may call back in.
            let mut inner = self.0.borrow_mut();
            if inner.listener.is_none() {
                return;
            }
            let Some(output) = inner.machine.poll_output() else { return };
            let told = match output {
                Output::Send(request) => {
                    drop(inner);
                    self.send(request);
                    continue;
                }
                Output::Abort => {
                    inner.abort();
                    continue;
                }
                Output::WakeAt(at) => {
                    inner.timer = at.map(|at| self.timer(at));
                    continue;
                }
                Output::Save(saved) => to_js(&[Plain::Text("save"), Plain::Text(&saved.to_text())]),
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
            };
            let listener = inner.listener.clone();
            drop(inner);
            // What it throws is its own affair and must not stop the watch.
            if let Some(listener) = listener {
                let _ = listener.call1(&JsValue::UNDEFINED, &told);
            }
        }
    }

    fn timer(&self, at: Millis) -> Timeout {
        let shell = self.clone();
        timeout(at.since(platform::now().at), move || shell.command(Checkout::handle_wake))
    }

    fn send(&self, request: Request) {
        let Ok(controller) = AbortController::new() else { return };
        let signal = controller.signal();
        let mut inner = self.0.borrow_mut();
        inner.sent = inner.sent.wrapping_add(1);
        let serial = inner.sent;
        let deadline = {
            let controller = controller.clone();
            timeout(http::time_limit(&request), move || controller.abort())
        };
        inner.in_flight = Some(InFlight { serial, controller, _deadline: deadline });
        let http = inner.http.clone();
        drop(inner);
        let shell = self.clone();
        http.send(request, &signal, move |answer| shell.answered(serial, answer));
    }

    fn answered(&self, serial: u32, answer: Answer) {
        let mut inner = self.0.borrow_mut();
        if inner.in_flight.as_ref().is_none_or(|in_flight| in_flight.serial != serial) {
            return; // aborted: the machine has moved on
        }
        inner.in_flight = None;
        drop(inner);
        self.command(|machine, now| machine.handle_answer(now, answer));
    }
}

impl Inner {
    fn abort(&mut self) {
        if let Some(in_flight) = self.in_flight.take() {
            in_flight.controller.abort();
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "below 2³¹")]
fn timeout(after: Millis, call: impl FnOnce() + 'static) -> Timeout {
    Timeout::new(after.0.min(LONGEST_TIMER) as u32, call)
}
