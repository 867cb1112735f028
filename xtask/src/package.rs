//! Tests what would be published: the packed tarball, installed into a project outside the workspace, as Node, a bundled
//! page, TypeScript and the registry's linters see it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::build::{self, files_under};
use crate::process::{count_passed, node_tool, output, root, run, step};
use crate::secrets::Secrets;
use crate::test::node_tests;
use crate::{sizes, tools};

/// Builds, packs, installs and tests the package; answers how many tests passed.
pub(crate) fn test() -> Result<usize> {
    build::build()?;
    let browser = tools::Browser::find_or_install()?;
    let project = Project::install()?;
    let mut passed = 0;
    let mut check = |name: &str, body: &dyn Fn(&Project) -> Result<()>| -> Result<()> {
        step(name, || body(&project))?;
        passed += 1;
        Ok(())
    };
    check("the tarball's files", &Project::check_files)?;
    check("publint", &Project::check_with_publint)?;
    check("are the types wrong?", &Project::check_types)?;
    check("code in the READMEs", &Project::check_readmes)?;
    check("vite build", &Project::build_page)?;
    check("what the bundled page downloads", &Project::check_size)?;
    passed += step("in Node", || project.test_in_node())?;
    passed += step("in a page", || project.test_in_page(&browser))?;
    Ok(passed)
}

/// A project that has the packed package installed and nothing else.
struct Project {
    folder: TempDir,
    tarball: PathBuf,
    /// The files in the tarball, as npm lists them.
    files: BTreeSet<String>,
}

impl Project {
    fn install() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("payby-package-").tempdir().context("no temporary folder")?;
        let path = folder.path();
        let mut npm = tools::npm()?;
        npm.args(["pack", "--json", "--pack-destination"]).arg(path).current_dir(build::pkg());
        let packed = step("npm pack", || output(&mut npm))?;
        let packed: Value = serde_json::from_str(&packed).context("npm's list of the packed files")?;
        let packed = first_packed(&packed).context("npm packed nothing")?;
        let tarball = path.join(packed["filename"].as_str().context("the tarball's name")?);
        let files = packed["files"].as_array().context("the tarball's files")?;
        let files = files.iter().filter_map(|file| Some(file["path"].as_str()?.to_owned())).collect();

        fs::write(path.join("package.json"), r#"{ "private": true, "type": "module" }"#)?;
        copy_folder(&root().join("tests/package"), path)?;
        let mut npm = tools::npm()?;
        npm.args(["install", "--offline", "--no-audit", "--no-fund", "--loglevel=error"])
            .arg(&tarball)
            .current_dir(path);
        step("npm install", || run(&mut npm))?;
        Ok(Self { folder, tarball, files })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where the package was installed.
    fn installed(&self) -> PathBuf {
        self.path().join("node_modules/payby-checkout")
    }

    /// Exactly the files that the sources make, and no secret in one of them.
    fn check_files(&self) -> Result<()> {
        let fixed = ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "package.json"];
        let mut expected: BTreeSet<String> = fixed.iter().map(ToString::to_string).collect();
        let made = build::ENTRIES.iter().flat_map(|entry| ["js", "d.ts"].map(|kind| format!("{entry}.{kind}")));
        expected.extend(made.chain(build::BESIDES.map(str::to_owned)));
        let missing: Vec<_> = expected.difference(&self.files).collect();
        let unexpected: Vec<_> = self.files.difference(&expected).collect();
        ensure!(missing.is_empty() && unexpected.is_empty(), "missing: {missing:?}, unexpected: {unexpected:?}");
        let found = Secrets::new().search(&files_under(&self.installed())?)?;
        ensure!(found.is_empty(), "secrets in the package:\n{}", found.join("\n"));
        Ok(())
    }

    fn check_with_publint(&self) -> Result<()> {
        run(node_tool("publint/src/cli.js").args(["run", "--strict"]).arg(&self.tarball))
    }

    /// The package is for `import` only, as its README says.
    fn check_types(&self) -> Result<()> {
        run(node_tool("@arethetypeswrong/cli/dist/index.js").args(["--profile", "esm-only"]).arg(&self.tarball))
    }

    /// Every block of TypeScript or JavaScript in the READMEs compiles against the published types.
    fn check_readmes(&self) -> Result<()> {
        let folder = self.path().join("readme");
        fs::create_dir(&folder)?;
        let mut blocks = 0;
        for readme in ["README.md", "pkg-template/README.md", "docs/order-numbers.md"] {
            let Ok(text) = fs::read_to_string(root().join(readme)) else { continue };
            for (line, code) in code_blocks(&text) {
                // The name is what the compiler reports.
                fs::write(folder.join(format!("{}-line-{line}.ts", readme.replace('/', "-"))), code)?;
                blocks += 1;
            }
        }
        println!("   {blocks} blocks");
        // If the types were not found, or all `any`, nothing would be an error.
        fs::write(
            folder.join("unknown-export.ts"),
            "// @ts-expect-error There is no such export.\nimport { noSuchExport } from 'payby-checkout';\nnoSuchExport();\n",
        )?;
        fs::write(
            folder.join("tsconfig.json"),
            r#"{ "compilerOptions": { "strict": true, "noEmit": true, "target": "es2022", "module": "esnext",
            "moduleResolution": "bundler", "moduleDetection": "force", "lib": ["es2023", "dom", "dom.iterable"],
            "types": [] }, "include": ["."] }"#,
        )?;
        run(node_tool("typescript/bin/tsc").arg("--project").arg(folder))
    }

    /// The page of tests/package/vite, bundled by the workspace's Vite.
    fn build_page(&self) -> Result<()> {
        let mut vite = node_tool("vite/bin/vite.js");
        run(vite.args(["build", "--logLevel", "warn"]).arg(self.path().join("vite")).current_dir(self.path()))
    }

    /// What each of the pages downloads for the package.
    fn check_size(&self) -> Result<()> {
        let dist = self.path().join("vite/dist");
        for (page, budget) in [("pay", sizes::BUDGET), ("number", usize::MAX), ("index", usize::MAX)] {
            let html = fs::read_to_string(dist.join(page).with_extension("html"))?;
            let entry =
                html.split_once("src=\"").and_then(|(_, rest)| rest.split_once('"')).context("the page's script")?;
            let title = format!("{page}.html, bundled by Vite");
            sizes::report(&title, &dist, &sizes::import_graph(&dist.join(entry.0))?, budget)?;
        }
        Ok(())
    }

    fn test_in_node(&self) -> Result<usize> {
        count_passed(node_tests(&["node.test.mjs", "checkout.test.mjs", "tabs.test.mjs"]).current_dir(self.path()))
    }

    fn test_in_page(&self, browser: &tools::Browser) -> Result<usize> {
        let mut node = node_tests(&["tests/package/page.test.mjs"]);
        count_passed(
            node.current_dir(root()).env("DIST", self.path().join("vite/dist")).env("CHROMIUM", &browser.chromium),
        )
    }
}

/// What npm says of the one package that it packed: npm 11 and older answer a list, newer ones a map by name.
fn first_packed(packed: &Value) -> Option<&Value> {
    match packed {
        Value::Array(list) => list.first(),
        Value::Object(map) => map.values().next(),
        _ => None,
    }
}

/// The fenced blocks in `ts` or `js`, each with the line at which it begins. One whose fence also says `ignore` is left
/// out: it needs what is not installed, such as Node's types.
fn code_blocks(markdown: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(bool, usize, Vec<&str>)> = None;
    for (index, line) in markdown.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (fence, &mut open) {
            (Some(info), None) => {
                let mut words = info.split([' ', ',']);
                let is_code = matches!(words.next(), Some("ts" | "typescript" | "js" | "javascript"));
                open = Some((is_code && !words.any(|word| word == "ignore"), index + 2, Vec::new()));
            }
            (Some(_), Some(_)) => {
                if let Some((true, line, code)) = open.take() {
                    blocks.push((line, code.join("\n") + "\n"));
                }
            }
            (None, Some((_, _, code))) => code.push(line),
            (None, None) => {}
        }
    }
    blocks
}

/// Copies a folder with all that is in it.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    for file in files_under(from)? {
        let target = to.join(file.strip_prefix(from)?);
        let Some(parent) = target.parent() else { bail!("{} has no folder", target.display()) };
        fs::create_dir_all(parent)?;
        fs::copy(&file, &target).with_context(|| format!("cannot copy {}", file.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_typescript_and_javascript_blocks_are_compiled() {
        let markdown =
            "# A\n```ts\na();\nb();\n```\n```sh\nls\n```\n```js ignore\nc();\n```\n```javascript\nd();\n```\n";
        assert_eq!(code_blocks(markdown), [(3, "a();\nb();\n".to_owned()), (13, "d();\n".to_owned())]);
    }
}
