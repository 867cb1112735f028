//! The core in a page, a worker or Node: what the npm package's TypeScript calls.
//!
//! Plain data and functions cross this boundary, no objects that need to be freed. Nothing here decides anything about
//! money. The package has two modules, so that a page downloads what it uses: [`checkout`] and [`order_number`].

// The exports must be `pub`, and nothing in Rust calls them.
#![expect(unreachable_pub)]

#[cfg(feature = "wasm-checkout")]
mod checkout;
#[cfg(feature = "wasm-checkout")]
mod http;
#[cfg(feature = "wasm-order-number")]
mod order_number;
mod plain;
mod platform;
#[cfg(feature = "wasm-checkout")]
mod view;

/// 2 KB (brotli) less than the standard library's allocator, for a page that makes small things.
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();
