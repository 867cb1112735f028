// Serves the page and the package to browsers, under a strict Content-Security-Policy, from an origin of their own.
//
// Environment: PORT, where to listen; PKG, the package (../../pkg).

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const PACKAGE = process.env.PKG || here('../../pkg');
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript' };

// A test's own backend listens on any port of the loopback.
const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  'img-src data:',
  'connect-src http://127.0.0.1:*',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

function fileAt(path) {
  if (path === '/') return here('page/index.html');
  if (path === '/driver.js') return here('page/driver.js');
  const name = /^\/vendor\/payby-checkout\/((?:[\w-]+\/)*[\w-]+\.js)$/.exec(path)?.[1];
  return name && join(PACKAGE, name);
}

const server = createServer(async ({ url }, response) => {
  try {
    const file = fileAt(url.split('?')[0]);
    const body = await readFile(file);
    response.writeHead(200, { 'content-type': TYPES[extname(file)], 'content-security-policy': POLICY }).end(body);
  } catch {
    response.writeHead(404).end();
  }
});
server.listen(Number(process.env.PORT), '127.0.0.1', () => {
  console.log(`page is listening on http://127.0.0.1:${server.address().port}`);
});
