//! What a page downloads: the files of an entry's import graph, as they are and compressed as servers do it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;

/// What a checkout may cost its page, brotli 11: served as it is, and bundled.
pub(crate) const BUDGET: usize = 22_000;

/// The size of something: as it is, gzip -9, brotli 11.
#[derive(Clone, Copy, Default)]
pub(crate) struct Size {
    /// As it is.
    pub(crate) raw: usize,
    /// With gzip -9.
    pub(crate) gzip: usize,
    /// With brotli, quality 11, window 22.
    pub(crate) brotli: usize,
}

impl Size {
    /// Measures these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Result<Self> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(bytes)?;
        let mut brotli = Vec::new();
        brotli::CompressorWriter::new(&mut brotli, 4096, 11, 22).write_all(bytes)?;
        Ok(Self { raw: bytes.len(), gzip: gzip.finish()?.len(), brotli: brotli.len() })
    }
}

/// Prints a table of these files with their total, and fails if the total is over `budget` bytes of brotli.
pub(crate) fn report(title: &str, folder: &Path, files: &[PathBuf], budget: usize) -> Result<()> {
    let line = |name: &str, size: Size| println!("   {name:<40} {:>8} {:>8} {:>8}", size.raw, size.gzip, size.brotli);
    println!("   {title:<40} {:>8} {:>8} {:>8}", "raw", "gzip", "brotli");
    let folder = folder.canonicalize()?;
    let mut total = Size::default();
    for file in files {
        let size = Size::of(&fs::read(file).with_context(|| format!("cannot read {}", file.display()))?)?;
        line(&file.strip_prefix(&folder).unwrap_or(file).to_string_lossy(), size);
        total.raw += size.raw;
        total.gzip += size.gzip;
        total.brotli += size.brotli;
    }
    line("total", total);
    if total.brotli > budget {
        bail!("{title}: {} bytes of brotli are over the budget of {budget}", total.brotli);
    }
    Ok(())
}

/// The entry and every file of ours that it imports, directly or not.
pub(crate) fn import_graph(entry: &Path) -> Result<Vec<PathBuf>> {
    let (mut seen, mut waiting) = (BTreeSet::new(), vec![entry.to_path_buf()]);
    let mut files = Vec::new();
    while let Some(file) = waiting.pop() {
        let file = file.canonicalize().with_context(|| format!("no file {}", file.display()))?;
        if !seen.insert(file.clone()) {
            continue;
        }
        let source = fs::read_to_string(&file)?;
        let folder = file.parent().unwrap_or(Path::new(""));
        waiting.extend(relative_imports(&source).map(|import| folder.join(import)));
        files.push(file);
    }
    Ok(files)
}

/// The relative paths that a module's text imports: `from "./x.js"`, `import "./x.js"`, `import("./x.js")`.
fn relative_imports(source: &str) -> impl Iterator<Item = &str> {
    source.match_indices(['"', '\'', '`']).filter_map(|(at, quote)| {
        let import = source[at + 1..].split(quote).next()?;
        let before = source[..at].trim_end();
        let before = before.strip_suffix('(').unwrap_or(before).trim_end();
        let imports = before.ends_with("from") || before.ends_with("import");
        (imports && import.starts_with('.')).then_some(import)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_found_in_every_spelling() {
        let source = r#"import a from "./a.js"; import{b}from'./b.js';import "./c.js"; export * from "../d.js";
            const e = await import(`./e.js`); import f from "elsewhere"; const g = "./g.js";"#;
        let found: Vec<_> = relative_imports(source).collect();
        assert_eq!(found, ["./a.js", "./b.js", "./c.js", "../d.js", "./e.js"]);
    }
}
