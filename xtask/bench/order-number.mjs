// Order numbers against the makers of identifiers that shops use, in Node and in a page: nanoseconds, and what each adds to
// a page. Prints tables.
//
//     node xtask/bench/order-number.mjs [--rounds N] [--json FILE]
//
// Environment: PKG, the built package; CHROMIUM, the browser.

import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { brotliCompressSync } from 'node:zlib';
import { chromium } from 'playwright-core';
import { rolldown } from 'rolldown';
import { MAKERS, OPERATIONS, READERS, TARGETS } from './candidates.mjs';

const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '21' }, json: { type: 'string' } } });
const { PKG, CHROMIUM } = process.env;
const POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'";

/** A module of this text, bundled with all that it imports. */
async function bundle(text, platform, minify) {
  const entry = join(import.meta.dirname, 'entry.mjs');
  const bundled = await rolldown({
    input: entry,
    platform,
    resolve: { alias: { 'payby-checkout/order-number': join(PKG, 'order-number.js') } },
    plugins: [
      {
        name: 'entry',
        resolveId: (id) => (id === entry ? id : undefined),
        load: (id) => (id === entry ? text : undefined),
      },
    ],
  });
  const { output } = await bundled.generate({ format: 'esm', minify });
  return output[0].code;
}

const needed = Object.values(MAKERS).flatMap(({ needs }) => (needs ? [needs] : []));
const importsOf = (all) => all.map(([names, from]) => `import { ${names} } from '${from}';`).join('\n');

/** The module that measures: `globalThis.bench(operation, rounds)`. */
function benchText() {
  const loop = ([name, { before = '', does }]) =>
    `['${name}', (() => { ${before} return (n, kept) => { for (let i = 0; i < n; i++) kept[i & 7] = ${does}; }; })()]`;
  const operation = ([name, { per, candidates }]) =>
    `'${name}': (rounds) => measure([${Object.entries(candidates).map(loop).join(',\n')}], ${per}, rounds)`;
  return `${importsOf([...needed, ...READERS])}
    import { measure } from './rounds.mjs';
    const operations = { ${Object.entries(OPERATIONS).map(operation).join(',\n')} };
    globalThis.bench = (operation, rounds) => operations[operation](rounds);`;
}

/** Measures every operation in a Node of its own, one for each, so that no operation suffers what another left behind. */
async function inNode(rounds) {
  const folder = await mkdtemp(join(tmpdir(), 'payby-bench-'));
  const file = join(folder, 'bench.mjs');
  await writeFile(file, await bundle(benchText(), 'node', false));
  const results = {};
  for (const operation of Object.keys(OPERATIONS)) {
    const run = `await import(${JSON.stringify(pathToFileURL(file))}); console.log(JSON.stringify(bench(${JSON.stringify(operation)}, ${rounds})))`;
    results[operation] = JSON.parse(execFileSync(process.execPath, ['--input-type=module', '--eval', run]));
  }
  await rm(folder, { recursive: true });
  return results;
}

/** The same in a page with a strict Content-Security-Policy. */
async function inChromium(rounds) {
  const script = await bundle(benchText(), 'browser', true);
  const server = createServer((request, response) => {
    const isScript = request.url === '/bench.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.setHeader('content-security-policy', POLICY);
    response.end(isScript ? script : '<!doctype html><script type="module" src="/bench.js"></script>');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });
  const results = {};
  for (const operation of Object.keys(OPERATIONS)) {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    await page.waitForFunction(() => globalThis.bench);
    results[operation] = await page.evaluate(([operation, rounds]) => globalThis.bench(operation, rounds), [operation, rounds]);
    await page.close();
  }
  const version = browser.version();
  await browser.close();
  server.close();
  return { version, results };
}

/** What each maker adds to a page that uses nothing else, in bytes of brotli 11. */
async function sizes() {
  const all = {};
  for (const [name, { does, needs }] of Object.entries(MAKERS)) {
    const text = needs ? `${importsOf([needs])} globalThis.f = ${needs[0].split(' as ').at(-1)};` : `globalThis.f = () => ${does};`;
    all[name] = brotliCompressSync(await bundle(text, 'browser', true)).length;
  }
  return all;
}

function print(title, results, bytes) {
  for (const [operation, candidates] of Object.entries(results)) {
    console.log(`\n${title}: ${operation}`);
    console.log(`   ${'name'.padEnd(28)} ${'ns'.padStart(10)} ${'× our time'.padStart(12)} ${'brotli bytes'.padStart(14)}`);
    for (const { name, nanoseconds, ratio } of candidates) {
      const size = String(bytes[name] ?? '').padStart(14);
      console.log(`   ${name.padEnd(28)} ${nanoseconds.toFixed(1).padStart(10)} ${ratio.toFixed(2).padStart(12)} ${size}`);
    }
  }
}

function printTargets(results) {
  console.log('\nTargets, as multiples of our time');
  for (const [operation, begin, least] of TARGETS) {
    const fastest = results[operation].filter(({ name }) => name.startsWith(begin)).sort((a, b) => a.ratio - b.ratio)[0];
    const verdict = fastest.ratio >= least ? 'met   ' : 'missed';
    console.log(`   ${verdict} ${operation}: ${fastest.name} ${fastest.ratio.toFixed(2)}, at least ${least.toFixed(2)}`);
  }
}

const rounds = Number(options.rounds);
const version = async (name) => JSON.parse(await readFile(join('node_modules', name, 'package.json'), 'utf8')).version;
const peers = await Promise.all(['nanoid', 'nanoid5', 'uuid', 'ulid', 'typeid-js'].map(async (name) => `${name} ${await version(name)}`));
const machine = `${cpus()[0].model}, ${cpus().length} CPUs, ${process.platform} ${process.arch}`;
console.log(`${machine}; Node ${process.version}; ${peers.join(', ')}; medians of ${rounds} rounds`);
const bytes = await sizes();
const node = await inNode(rounds);
print(`Node ${process.version}`, node, bytes);
printTargets(node);
const page = await inChromium(rounds);
print(`Chromium ${page.version}`, page.results, bytes);
if (options.json) {
  const all = { machine, peers, rounds, bytes, node: { version: process.version, results: node }, chromium: page };
  await writeFile(options.json, `${JSON.stringify(all, undefined, 2)}\n`);
}
