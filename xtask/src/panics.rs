//! Takes the making of messages that nobody can see out of a WebAssembly module.
//!
//! A panic ends in a trap there; its message goes nowhere. What puts the message together, the standard library's formatting
//! with all that it needs, is a seventh of a small module. So each function that never returns becomes a bare trap, and so does
//! each formatting function, provided that nothing but those calls it: that is checked, and the build fails if our own code
//! has begun to format.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use walrus::ir::{self, Visitor, dfs_in_order};
use walrus::{FunctionId, FunctionKind, Module};

/// The standard library's functions that never return, as far as the modules have them.
const PANICS: &[&str] = &[
    "__rustc::__rust_alloc_error_handler",
    "__rustc::rust_begin_unwind",
    "alloc::alloc::handle_alloc_error",
    "alloc::raw_vec::capacity_overflow",
    "alloc::raw_vec::handle_error",
    "core::cell::panic_already_borrowed",
    "core::cell::panic_already_mutably_borrowed",
    "core::option::expect_failed",
    "core::option::unwrap_failed",
    "core::panicking::panic",
    "core::panicking::panic_bounds_check",
    "core::panicking::panic_fmt",
    "core::result::unwrap_failed",
    "core::slice::copy_from_slice_impl::len_mismatch_fail",
    "core::slice::index::slice_index_fail",
    "core::str::slice_error_fail",
    "std::thread::local::panic_access_error",
];

/// Makes the functions that never return, and those that only they need, bare traps.
pub(crate) fn trap_at_once(module: &mut Module) -> Result<()> {
    let named = |is: &dyn Fn(&str) -> bool| -> BTreeSet<FunctionId> {
        let functions = module.funcs.iter().filter(|function| matches!(function.kind, FunctionKind::Local(_)));
        let named = functions.filter(|function| function.name.as_deref().is_some_and(|name| is(&without_hashes(name))));
        named.map(walrus::Function::id).collect()
    };
    let panics = named(&|name| PANICS.contains(&name));
    ensure!(!panics.is_empty(), "no function that panics was found: have the standard library's names changed?");
    let messages = named(&makes_messages);
    let gone: BTreeSet<FunctionId> = panics.union(&messages).copied().collect();

    for (id, function) in module.funcs.iter_local().filter(|(id, _)| !gone.contains(id)) {
        let mut calls = Calls::default();
        dfs_in_order(&mut calls, function, function.entry_block());
        if let Some(called) = calls.0.intersection(&messages).next() {
            let name = |id: FunctionId| module.funcs.get(id).name.clone().unwrap_or_default();
            bail!("{} formats ({}): put its text together without `format!` and `{{}}`", name(id), name(*called));
        }
    }
    for id in gone {
        if let FunctionKind::Local(function) = &mut module.funcs.get_mut(id).kind {
            let body = function.entry_block();
            function.block_mut(body).instrs.clear();
            function.builder_mut().func_body().unreachable();
        }
    }
    Ok(())
}

/// Formatting, and what the standard library does with a panic's message.
fn makes_messages(name: &str) -> bool {
    let of_fmt =
        name.contains(" as core::fmt::") || name.starts_with("core::fmt::") || name.starts_with("<core::fmt::");
    of_fmt || name.contains("std::panicking::")
}

/// The functions that a function calls by name.
#[derive(Default)]
struct Calls(BTreeSet<FunctionId>);

impl Visitor<'_> for Calls {
    fn visit_call(&mut self, call: &ir::Call) {
        self.0.insert(call.func);
    }
}

/// A demangled name without the hashes of its crates: `core[c5930c85]::panicking::panic_fmt`.
fn without_hashes(name: &str) -> String {
    let mut parts = name.split('[');
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        clean.push_str(part.split_once(']').map_or(part, |(_, rest)| rest));
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_crates_are_left_out() {
        let name = "<std[a543996e]::io::Error as core[c5930c85]::fmt::Debug>::fmt";
        assert_eq!(without_hashes(name), "<std::io::Error as core::fmt::Debug>::fmt");
        assert!(makes_messages(&without_hashes(name)));
        assert!(!makes_messages("payby_checkout::checkout::Checkout::start"));
    }
}
