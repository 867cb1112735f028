//! What comes from PayBy, under any bytes: notifications and answers are read or refused, never worse; what is read is
//! written and read back the same, and what it says can be merged again and again.
//!
//! ```sh
//! cargo fuzz run --fuzz-dir tests/fuzz --sanitizer none gateway_wire -- -max_total_time=600
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use payby_checkout::gateway::wire::{
    AcquireBody, AcquireOrder, Answer, Notification, RefundBody, RefundNotification, TransferBody,
};
use payby_checkout::order::OrderState;
use payby_checkout::time::UnixMillis;
use serde::Serialize;
use serde::de::DeserializeOwned;

fuzz_target!(|bytes: &[u8]| {
    if let Some(told) = reads_back::<Notification>(bytes) {
        says_something_that_can_be_merged(&told.acquire_order, told.notify_timestamp);
    }
    if let Some(Answer { body: Some(body), .. }) = reads_back::<Answer<AcquireBody>>(bytes) {
        says_something_that_can_be_merged(&body.acquire_order, UnixMillis(1_795_000_000_000));
    }
    reads_back::<RefundNotification>(bytes);
    reads_back::<Answer<RefundBody>>(bytes);
    reads_back::<Answer<TransferBody>>(bytes);
});

fn reads_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(bytes).ok()?;
    let written = serde_json::to_vec(&read).expect("what was read can be written");
    assert_eq!(serde_json::from_slice::<T>(&written).expect("what was written can be read"), read);
    Some(read)
}

fn says_something_that_can_be_merged(order: &AcquireOrder, at: UnixMillis) {
    let state = order.state(at);
    let mut known = OrderState::default();
    known.merge(&state);
    let once = known.clone();
    known.merge(&state);
    assert_eq!(known, once);
}
