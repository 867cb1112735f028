//! The npm package: from the core's sources to a `pkg/` that could be published as it stands.
//!
//! ```text
//! src/ ── cargo ── .wasm ── wasm-bindgen ── wasm-opt ──╮
//!                              ╰─ glue ── rolldown ──── pkg-template/src/generated/ ── tsc ── pkg/
//! ```

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use wasm_bindgen_cli_support::Bindgen;

use crate::process::{cargo_build, node_tool, output, root, run, step, this_program};
use crate::sizes::{self, Size};
use crate::{inline, tools};

/// The module's file. It is in the package if an entry names it, for those who serve the file themselves.
const MODULE: &str = "payby-checkout.wasm";

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

/// What gives few brotli bytes without assuming anything. Measured on a module of 43 kB: this 18,434, `-Oz` once 18,505,
/// `-O4 -Oz --converge` 18,473, `-Os --converge` 18,429, with `--gufa` 18,434, with `--flatten --rereloop` 18,345;
/// `--low-memory-unused` (18,332) and `--traps-never-happen` (18,436) assume what nobody has proven.
const OPTIMISATIONS: &[&str] = &["-Oz", "--converge", "--strip-producers", "--strip-target-features"];

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
    let stamp_file = work_folder(&compiled)?.join("pkg.stamp");
    let stamp = fingerprint(&[&compiled, &template(), &root().join("package-lock.json")])?;
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

/// A folder for what lies between the steps, in cargo's target folder.
fn work_folder(compiled: &Path) -> Result<PathBuf> {
    let target = compiled.ancestors().nth(3).context("cargo's target folder")?;
    let folder = target.join("xtask");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The core and its browser shell, as the compiler leaves them.
fn compile() -> Result<PathBuf> {
    let arguments = ["--profile", "wasm", "--target", tools::WASM_TARGET, "--package", "payby-checkout", "--lib"];
    let files = cargo_build(&arguments)?;
    let module = files.into_iter().rfind(|file| file.extension().is_some_and(|extension| extension == "wasm"));
    module.context("cargo made no .wasm")
}

/// Everything between the compiler and `pkg/`.
fn package(compiled: &Path) -> Result<()> {
    let work = work_folder(compiled)?.join("glue");
    recreate(&work)?;
    recreate(&generated())?;
    step("wasm-bindgen", || generate_glue(compiled, &work))?;
    step("wasm-opt", || optimise(&work.join("glue_bg.wasm"), &generated().join(MODULE)))?;
    step("glue and inline module", || {
        bundle_glue(&work)?;
        inline_module()
    })?;
    step("tsc", || {
        recreate(&pkg())?;
        run(node_tool("typescript/bin/tsc").arg("--project").arg(template()))
    })?;
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
        .remove_name_section(true)
        .remove_producers_section(true);
    let mut output = bindgen.generate_output()?;
    let module = output.wasm_mut();
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

/// Makes the module small.
fn optimise(from: &Path, to: &Path) -> Result<()> {
    let mut wasm_opt = node_tool("binaryen/bin/wasm-opt");
    run(wasm_opt.args(FEATURES).args(OPTIMISATIONS).arg(from).arg("-o").arg(to))
}

/// Puts the glue among the TypeScript sources, bundled and minified, without its asynchronous initialisation.
fn bundle_glue(folder: &Path) -> Result<()> {
    let script = root().join("xtask/bundle-glue.mjs");
    let mut node = std::process::Command::new("node");
    output(node.current_dir(root()).arg(script).arg(folder.join("glue.js")).arg(generated().join("glue.js")))?;
    let types = fs::read_to_string(folder.join("glue.d.ts"))?;
    let (kept, dropped) = types.split_once("export default function").context("the glue's default export")?;
    ensure!(!dropped.contains("\nexport "), "the glue's default export is no longer the last one");
    let (kept, _) = kept.rsplit_once("/**").context("the comment on the glue's default export")?;
    fs::write(generated().join("glue.d.ts"), kept)?;
    Ok(())
}

/// Writes the module as JavaScript, and asks Node whether it is still the same.
fn inline_module() -> Result<()> {
    let module = fs::read(generated().join(MODULE))?;
    let script = generated().join("wasm.js");
    fs::write(&script, inline::javascript(&module))?;
    fs::write(generated().join("wasm.d.ts"), inline::TYPES)?;
    let check = "import(process.argv[1]).then((wasm) => process.stdout.write(wasm.bytes()))";
    let mut node = std::process::Command::new("node");
    let decoded = node.args(["--input-type=module", "--eval", check, "--"]).arg(&script).output()?;
    ensure!(decoded.stdout == module, "wasm.js does not give the module back");
    Ok(())
}

/// Adds to what the TypeScript compiler wrote whatever else the package needs.
fn assemble() -> Result<()> {
    let manifest = fs::read_to_string(template().join("package.json")).context("pkg-template/package.json")?;
    let manifest_version = serde_json::from_str::<serde_json::Value>(&manifest)?["version"].clone();
    if manifest_version != env!("CARGO_PKG_VERSION") {
        bail!("pkg-template/package.json has version {manifest_version}, Cargo.toml {}", env!("CARGO_PKG_VERSION"));
    }
    let module: &[&str] = if manifest.contains(MODULE) { &[MODULE] } else { &[] };
    let copies = [
        (template(), pkg(), &["package.json", "README.md"][..]),
        (root().to_path_buf(), pkg(), &["LICENSE-APACHE", "LICENSE-MIT"]),
        (generated(), pkg().join("generated"), &["glue.js", "glue.d.ts", "wasm.js", "wasm.d.ts"]),
        (generated(), pkg().join("generated"), module),
    ];
    for (from, to, names) in copies {
        fs::create_dir_all(&to)?;
        for name in names.iter().filter(|name| from.join(name).exists()) {
            fs::copy(from.join(name), to.join(name)).with_context(|| format!("cannot copy {name} into the package"))?;
        }
    }
    Ok(())
}

/// What a page downloads that serves the files of `pkg/` as they are.
fn report() -> Result<()> {
    let module = Size::of(&fs::read(generated().join(MODULE))?)?;
    println!("   {:<40} {:>8} {:>8} {:>8}", "the WebAssembly module alone", module.raw, module.gzip, module.brotli);
    sizes::report("the default entry, as published", &pkg(), &sizes::import_graph(&pkg().join("index.js"))?)
}

/// An empty folder.
fn recreate(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// A number that changes when one of these files changes, or a file under one of these folders, or this program.
fn fingerprint(inputs: &[&Path]) -> Result<u64> {
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
    fingerprint(&[&pkg()]).unwrap_or(0)
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
