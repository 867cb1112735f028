//! Takes out of a WebAssembly module what nobody can see or call.
//!
//! A panic ends in a trap there; its message goes nowhere. What puts the message together, the standard library's formatting
//! with all that it needs, is a seventh of a small module. So each function that never returns becomes a bare trap, and so does
//! each formatting function, provided that nothing but those calls it: that is checked, and the build fails if our own code
//! has begun to format. With them goes what they would have said: their texts, the names of source
//! files, and where in them.
//!
//! wasm-bindgen leaves in the function table what it described closures and futures with. A closure is invoked from JavaScript
//! by an export, a future is polled by an executor that is exported; what is not among the exports is never called.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use walrus::ir::{self, Visitor, dfs_in_order};
use walrus::{ExportItem, FunctionId, FunctionKind, Module};

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

/// What the standard library would say, and what it would put numbers together with. Only the functions that are taken out
/// read it; what is missing here is only a few bytes too many.
const TEXTS: &[&[u8]] = &[
    b"\x16slice index starts at \xc0\r but ends at \xc0\0",
    b" index out of bounds: the len is \xc0\x12 but the index is \xc0\0",
    b"\x12range start index \xc0\" out of range for slice of length \xc0\0",
    b"\x10range end index \xc0\" out of range for slice of length \xc0\0",
    b"\x11min > max. min = \xc0\x08, max = \xc0\0",
    b"Hcannot access a Thread Local Storage value during or after destruction: \xc0\0",
    b"&copy_from_slice: source slice length (\xc0+) does not match destination slice length (\xc0\x01)",
    b"Tried to shrink to a larger capacity",
    b"AccessError",
    b"capacity overflow",
    b"RefCell already mutably borrowed",
    b"RefCell already borrowed",
    b"0123456789abcdef} }",
    b"0x0123456789ABCDEF",
    b"0001020304050607080910111213141516171819\
      2021222324252627282930313233343536373839\
      4041424344454647484950515253545556575859\
      6061626364656667686970717273747576777879\
      8081828384858687888990919293949596979899",
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

    for (caller, called) in calls(module, &gone) {
        if let Some(message) = called.intersection(&messages).next() {
            let name = |id: FunctionId| module.funcs.get(id).name.clone().unwrap_or_default();
            bail!("{} formats ({}): put its text together without `format!` and `{{}}`", name(caller), name(*message));
        }
    }
    let gone = gone.union(&uncalled(module, named(&is_for_javascript))).copied().collect::<BTreeSet<_>>();
    for id in gone {
        if let FunctionKind::Local(function) = &mut module.funcs.get_mut(id).kind {
            let body = function.entry_block();
            function.block_mut(body).instrs.clear();
            function.builder_mut().func_body().unreachable();
        }
    }
    forget_messages(module);
    Ok(())
}

/// Blanks what panics would have said, the places that they would have named, `{file, its length, line, column}`, and the
/// files' names.
fn forget_messages(module: &mut Module) {
    let all: Vec<_> = module.data.iter().map(walrus::Data::id).collect();
    for id in all {
        let data = module.data.get_mut(id);
        if let Some(base) = address(data) {
            blank_places(&mut data.value, base);
            for text in TEXTS {
                blank(&mut data.value, text);
            }
        }
    }
}

/// The same for the bytes at this address.
fn blank_places(bytes: &mut [u8], base: usize) {
    let word = |at: usize| {
        let word = bytes.get(at..at + 4)?;
        usize::try_from(u32::from_le_bytes(word.try_into().ok()?)).ok()
    };
    let file = |at: usize| {
        let start = word(at)?.checked_sub(base)?;
        let end = start.checked_add(word(at + 4)?)?;
        (bytes.get(start..=end)?.ends_with(b".rs\0")).then_some(start..end)
    };
    let places = (0..bytes.len()).step_by(4).filter_map(|at| Some([at..at + 16, file(at)?]));
    for range in places.flatten().collect::<Vec<_>>() {
        bytes[range].fill(0);
    }
}

/// Blanks a text wherever it is among the bytes.
fn blank(bytes: &mut [u8], text: &[u8]) {
    while let Some(at) = bytes.windows(text.len()).position(|window| window == text) {
        bytes[at..at + text.len()].fill(0);
    }
}

/// Where the data is put.
pub(crate) fn address(data: &walrus::Data) -> Option<usize> {
    match &data.kind {
        walrus::DataKind::Active { offset: walrus::ConstExpr::Value(ir::Value::I32(at)), .. } => {
            usize::try_from(*at).ok()
        }
        _ => None,
    }
}

/// What wasm-bindgen has for calls from JavaScript.
fn is_for_javascript(name: &str) -> bool {
    name.contains("wasm_bindgen::convert::closures::_::invoke") || name.contains("js_sys::futures::")
}

/// Those of the functions that are neither exported nor called by name, but by each other.
fn uncalled(module: &Module, mut functions: BTreeSet<FunctionId>) -> BTreeSet<FunctionId> {
    for export in module.exports.iter() {
        if let ExportItem::Function(id) = export.item {
            functions.remove(&id);
        }
    }
    loop {
        let called: BTreeSet<_> = calls(module, &functions).flat_map(|(_, called)| called).collect();
        let left: BTreeSet<_> = functions.difference(&called).copied().collect();
        if left.len() == functions.len() {
            return left;
        }
        functions = left;
    }
}

/// Each function but these, with those that it calls by name.
fn calls<'a>(
    module: &'a Module,
    but: &'a BTreeSet<FunctionId>,
) -> impl Iterator<Item = (FunctionId, BTreeSet<FunctionId>)> + 'a {
    module.funcs.iter_local().filter(|(id, _)| !but.contains(id)).map(|(id, function)| {
        let mut calls = Calls::default();
        dfs_in_order(&mut calls, function, function.entry_block());
        (id, calls.0)
    })
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
    fn places_are_blanked_and_nothing_else() {
        let name = b"paysrc/a.rs\0DYN";
        let mut bytes = [0x103_u32, 8, 7, 9, 0x103, 3, 5, 6].map(u32::to_le_bytes).concat();
        bytes.splice(0..0, name.iter().copied().chain([0; 1]));
        let mut blank = bytes.clone();
        blank_places(&mut blank, 0x100);
        bytes[3..11].fill(0);
        bytes[16..32].fill(0);
        assert_eq!(blank, bytes);
    }

    #[test]
    fn a_text_is_blanked_wherever_it_is() {
        let mut bytes = *b"a text, the text";
        blank(&mut bytes, b"text");
        assert_eq!(&bytes, b"a \0\0\0\0, the \0\0\0\0");
    }

    #[test]
    fn hashes_of_crates_are_left_out() {
        let name = "<std[a543996e]::io::Error as core[c5930c85]::fmt::Debug>::fmt";
        assert_eq!(without_hashes(name), "<std::io::Error as core::fmt::Debug>::fmt");
        assert!(makes_messages(&without_hashes(name)));
        assert!(!makes_messages("payby_checkout::checkout::Checkout::start"));
    }
}
