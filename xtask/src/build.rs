//! The npm package: from the core's sources to a `pkg/` that could be published as it stands.
//!
//! ```text
//! src/ ── cargo ── .wasm ── wasm-bindgen ── wasm-opt ──╮
//!                              ╰─ glue ── pkg-template/src/generated/ ── tsc (types), rolldown ── pkg/
//! ```
//!
//! The package has two modules, so that a page downloads what it uses. Each is the core with one feature that says what is
//! exported.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use wasm_bindgen_cli_support::Bindgen;

use crate::process::{cargo_build, node_tool, output, root, run, step, this_program};
use crate::sizes::{self, Size};
use crate::{inline, panics, tools};

/// The modules: each is a folder among what is generated, and the feature `wasm-…` of the core.
pub(crate) const MODULES: [&str; 2] = ["checkout", "order-number"];

/// The entries: each is a TypeScript source, and in the package a script with its types.
pub(crate) const ENTRIES: [&str; 3] = ["index", "checkout", "order-number"];

/// What else is made of the sources: what more than one entry needs, and the source maps.
pub(crate) const BESIDES: [&str; 5] =
    ["checkout.js.map", "error.d.ts", "order-number.js.map", "shared.js", "shared.js.map"];

/// The compiled module before it rides inline.
const MODULE_FILE: &str = "module.wasm";

/// The WebAssembly features that Rust's compiler uses by default, and that Node 20 and the browsers of 2022 have.
/// Never all that wasm-opt knows: it would use those that they reject.
const FEATURES: &[&str] = &[
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-call-indirect-overlong",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// What gives few brotli bytes. Measured on a module of 43 kB: `-Oz --converge` 18,434, `-Oz` once 18,505, `-O4 -Oz --converge`
/// 18,473, `-Os --converge` 18,429, with `--gufa` 18,434, with `--flatten --rereloop` 18,345, with `--low-memory-unused` 18,332.
/// That one is true of what Rust's linker makes, whose memory begins with the stack's far end: [`low_memory_is_unused`] looks.
/// `--traps-never-happen` (18,436) assumes what nobody has proven.
const OPTIMISATIONS: &[&str] =
    &["-Oz", "--low-memory-unused", "--converge", "--strip-debug", "--strip-producers", "--strip-target-features"];

/// What `--low-memory-unused` takes to be unused, in bytes.
const LOW_MEMORY: usize = 1024;

/// Builds the package, prints what a page downloads, and fails if that is over the budget.
pub(crate) fn build() -> Result<()> {
    make()?;
    report()
}

/// Builds the package into `pkg/`, unless nothing changed.
pub(crate) fn make() -> Result<()> {
    tools::install_wasm_target()?;
    tools::install_npm_tools()?;
    let compiled = step("cargo build (WebAssembly)", compile)?;
    let work = compiled.first().and_then(|module| module.parent()).context("a compiled module")?;
    let stamp_file = work.join("pkg.stamp");
    let mut inputs = vec![template(), root().join("package-lock.json")];
    inputs.extend(compiled.iter().cloned());
    let stamp = fingerprint(&inputs)?;
    if fs::read_to_string(&stamp_file).is_ok_and(|old| old == format!("{stamp} {}", pkg_fingerprint())) {
        println!("   pkg/ is up to date");
    } else {
        package(&compiled)?;
        fs::write(&stamp_file, format!("{stamp} {}", pkg_fingerprint()))?;
    }
    Ok(())
}

/// The npm package, ready to be published.
pub(crate) fn pkg() -> PathBuf {
    root().join("pkg")
}

/// The package's source.
pub(crate) fn template() -> PathBuf {
    root().join("pkg-template")
}

/// Where the package's TypeScript finds what is generated.
fn generated() -> PathBuf {
    template().join("src/generated")
}

/// The modules as the compiler leaves them, in a folder of cargo's target folder, in the order of [`MODULES`].
fn compile() -> Result<Vec<PathBuf>> {
    MODULES
        .iter()
        .map(|module| {
            let feature = format!("wasm-{module}");
            let arguments =
                ["--profile", "wasm", "--target", tools::WASM_TARGET, "--package", "payby-checkout", "--lib"];
            let files = cargo_build(&[&arguments[..], &["--features", &feature]].concat(), &[without_paths()?])?;
            let made = files.into_iter().rfind(|file| file.extension().is_some_and(|extension| extension == "wasm"));
            let made = made.context("cargo made no .wasm")?;
            let folder = made.ancestors().nth(3).context("cargo's target folder")?.join("xtask");
            fs::create_dir_all(&folder)?;
            let kept = folder.join(format!("{module}.wasm"));
            fs::copy(made, &kept)?;
            Ok(kept)
        })
        .collect()
}

/// Keeps this machine's paths out of the modules: panics name the file that they come from.
fn without_paths() -> Result<(&'static str, String)> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).context("cargo's home")?;
    let registries = home.join("registry/src");
    let mut flags = vec![format!("--remap-path-prefix={}=", root().display())];
    for registry in fs::read_dir(&registries).with_context(|| format!("cannot read {}", registries.display()))? {
        flags.push(format!("--remap-path-prefix={}=", registry?.path().display()));
    }
    Ok(("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags.join(" ")))
}

/// Everything between the compiler and `pkg/`.
fn package(compiled: &[PathBuf]) -> Result<()> {
    recreate(&generated())?;
    for (module, file) in MODULES.iter().zip(compiled) {
        let work = file.with_extension("glue");
        let folder = generated().join(module);
        recreate(&work)?;
        recreate(&folder)?;
        step(&format!("wasm-bindgen ({module})"), || generate_glue(file, &work))?;
        step(&format!("wasm-opt ({module})"), || optimise(&work.join("glue_bg.wasm"), &folder.join(MODULE_FILE)))?;
        step(&format!("inline module ({module})"), || inline_module(&work, &folder))?;
    }
    recreate(&pkg())?;
    step("tsc", || run(node_tool("typescript/bin/tsc").arg("--project").arg(template())))?;
    step("rolldown", bundle)?;
    assemble()
}

/// What wasm-bindgen makes of the module: a smaller module, the JavaScript that goes with it, and its types.
fn generate_glue(compiled: &Path, folder: &Path) -> Result<()> {
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(compiled)
        .web(true)?
        .out_name("glue")
        .omit_default_module_path(true)
        .typescript(true)
        .remove_producers_section(true);
    let mut output = bindgen.generate_output()?;
    let glue = output.js().to_owned();
    let module = output.wasm_mut();
    // Exports that the glue does not call would keep their code alive.
    let unused = |name: &str| !glue.contains(&format!("wasm.{name}"));
    let unused: Vec<_> = module.exports.iter().filter(|export| unused(&export.name)).map(walrus::Export::id).collect();
    for export in unused {
        module.exports.delete(export);
    }
    panics::trap_at_once(module)?;
    low_memory_is_unused(module)?;
    let imports = module.imports.iter_mut().map(|import| &mut import.name);
    let exports = module.exports.iter_mut().map(|export| &mut export.name);
    let names = shorten_names(imports.chain(exports));
    output.emit(folder)?;
    for file in ["glue.js", "glue.d.ts"] {
        let path = folder.join(file);
        let text = fs::read_to_string(&path)?;
        let text = names.iter().fold(text, |text, (long, short)| text.replace(long, short));
        fs::write(&path, text)?;
    }
    Ok(())
}

/// Shortens the names that end in a hash, wasm-bindgen's own, and answers the long and the short ones. They are in the
/// module and in the glue, and a hash is what compresses worst.
fn shorten_names<'a>(all: impl Iterator<Item = &'a mut String>) -> Vec<(String, String)> {
    let mut names = Vec::new();
    for name in all {
        if name.len() > 16 && name.bytes().rev().take(16).all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
            let short = format!("_{}", names.len());
            names.push((std::mem::replace(name, short.clone()), short));
        }
    }
    names
}

/// Looks that nothing lies in the lowest memory, which only an overflowing stack would reach.
fn low_memory_is_unused(module: &walrus::Module) -> Result<()> {
    for data in module.data.iter() {
        let at = panics::address(data).context("a data segment whose place is not constant")?;
        ensure!(at >= LOW_MEMORY, "a data segment begins at {at}: `--low-memory-unused` would not be true");
    }
    Ok(())
}

/// Makes the module small.
fn optimise(from: &Path, to: &Path) -> Result<()> {
    let mut wasm_opt = node_tool("binaryen/bin/wasm-opt");
    run(wasm_opt.args(FEATURES).args(OPTIMISATIONS).arg(from).arg("-o").arg(to))
}

/// Puts the glue among the TypeScript sources, and the module as JavaScript; asks Node whether that is still the same.
fn inline_module(glue: &Path, folder: &Path) -> Result<()> {
    for name in ["glue.js", "glue.d.ts"] {
        fs::copy(glue.join(name), folder.join(name))?;
    }
    let module = fs::read(folder.join(MODULE_FILE))?;
    let home = std::env::home_dir().context("the home folder")?;
    for path in [root(), &home] {
        let path = path.to_string_lossy();
        let found = module.windows(path.len()).any(|bytes| bytes == path.as_bytes());
        ensure!(!found, "the module names {path}, a folder of this machine");
    }
    let script = folder.join("wasm.js");
    fs::write(&script, inline::javascript(&module))?;
    fs::write(folder.join("wasm.d.ts"), inline::TYPES)?;
    let check = "import(process.argv[1]).then((wasm) => process.stdout.write(wasm.bytes()))";
    let mut node = std::process::Command::new("node");
    let decoded = node.args(["--input-type=module", "--eval", check, "--"]).arg(&script).output()?;
    ensure!(decoded.stdout == module, "wasm.js does not give the module back");
    Ok(())
}

/// The entries, bundled and minified, each with its source map.
fn bundle() -> Result<()> {
    let mut node = std::process::Command::new("node");
    node.current_dir(root()).arg("xtask/bundle.mjs").arg(template().join("src")).arg(pkg()).args(ENTRIES);
    output(&mut node).map(drop)
}

/// Adds to what the TypeScript compiler wrote whatever else the package needs.
fn assemble() -> Result<()> {
    let manifest = fs::read_to_string(template().join("package.json")).context("pkg-template/package.json")?;
    let manifest_version = serde_json::from_str::<serde_json::Value>(&manifest)?["version"].clone();
    if manifest_version != env!("CARGO_PKG_VERSION") {
        bail!("pkg-template/package.json has version {manifest_version}, Cargo.toml {}", env!("CARGO_PKG_VERSION"));
    }
    for (from, names) in
        [(template(), ["package.json", "README.md"]), (root().into(), ["LICENSE-APACHE", "LICENSE-MIT"])]
    {
        for name in names {
            fs::copy(from.join(name), pkg().join(name))
                .with_context(|| format!("cannot copy {name} into the package"))?;
        }
    }
    // Types that none of the entries' types name.
    for file in files_under(&pkg())?.iter().filter(|file| file.to_string_lossy().ends_with(".d.ts")) {
        let name = file.strip_prefix(pkg())?.to_string_lossy();
        let stem = name.trim_end_matches(".d.ts");
        if !ENTRIES.contains(&stem) && !BESIDES.contains(&&*name) {
            fs::remove_file(file)?;
        }
    }
    Ok(())
}

/// What a page downloads that serves the files of `pkg/` as they are.
fn report() -> Result<()> {
    for module in MODULES {
        let size = Size::of(&fs::read(generated().join(module).join(MODULE_FILE))?)?;
        println!("   {:<40} {:>8} {:>8} {:>8}", format!("the module {module} alone"), size.raw, size.gzip, size.brotli);
    }
    for (entry, budget) in [("checkout.js", sizes::BUDGET), ("order-number.js", usize::MAX), ("index.js", usize::MAX)] {
        let title = format!("{entry}, as published");
        sizes::report(&title, &pkg(), &sizes::import_graph(&pkg().join(entry))?, budget)?;
    }
    Ok(())
}

/// An empty folder.
fn recreate(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// A number that changes when one of these files changes, or a file under one of these folders, or this program.
fn fingerprint(inputs: &[PathBuf]) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    fs::metadata(this_program())?.modified()?.hash(&mut hasher);
    for input in inputs {
        // What is generated is an output.
        for file in files_under(input)?.iter().filter(|file| !file.starts_with(generated())) {
            file.hash(&mut hasher);
            fs::read(file)?.hash(&mut hasher);
        }
    }
    Ok(hasher.finish())
}

/// The same for the package as it stands, so that a file that somebody changed or deleted is made again.
fn pkg_fingerprint() -> u64 {
    fingerprint(&[pkg()]).unwrap_or(0)
}

/// A file, or all files under a folder, in a stable order.
pub(crate) fn files_under(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut entries = fs::read_dir(path)
        .with_context(|| format!("cannot read {}", path.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    entries.sort();
    let mut files = Vec::new();
    for entry in entries {
        files.extend(files_under(&entry)?);
    }
    Ok(files)
}
