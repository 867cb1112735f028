// Bundles and minifies the glue that wasm-bindgen generates: nobody reads it, and every page downloads it.
// Its default export goes (the asynchronous initialisation, with its fetch): the entries use `initSync`.
//
//     node xtask/bundle-glue.mjs <glue.js> <output.js>

import { rolldown } from "rolldown";

const [input, file] = process.argv.slice(2);
const entry = "\0entry";
const bundle = await rolldown({
  input: entry,
  plugins: [
    {
      name: "named-exports-only",
      resolveId: (id) => (id === entry ? id : undefined),
      load: (id) => (id === entry ? `export * from ${JSON.stringify(input)};` : undefined),
    },
  ],
});
await bundle.write({ file, format: "esm", minify: true });
