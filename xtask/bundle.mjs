// Bundles and minifies the package's entries: every page downloads them, and nobody reads them. Their source maps have the
// sources as they were written. What more than one entry needs is in `shared.js`.
//
//     node xtask/bundle.mjs <sources> <output> <entry>…

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { rolldown } from "rolldown";

const [sources, dir, ...entries] = process.argv.slice(2);
const bundle = await rolldown({
  input: Object.fromEntries(entries.map((entry) => [entry, join(sources, `${entry}.ts`)])),
  resolve: { extensionAlias: { ".js": [".ts", ".js"] } },
  treeshake: { moduleSideEffects: false },
  // An entry may export more than it is documented to, for the other entries; else it would be two files.
  preserveEntrySignatures: "allow-extension",
});
const { output } = await bundle.generate({
  dir,
  format: "esm",
  minify: true,
  sourcemap: true,
  entryFileNames: "[name].js",
  chunkFileNames: "shared.js",
});
for (const { fileName, code, map } of output) {
  if (code) await writeFile(join(dir, fileName), code);
  // An entry that only names what others have has no map.
  if (!map) continue;
  // The modules' text would be nothing to read there.
  map.sourcesContent = map.sources.map((source, i) => (source.endsWith("/wasm.js") ? null : map.sourcesContent[i]));
  await writeFile(join(dir, `${fileName}.map`), JSON.stringify(map));
}
