// The demo shop's web server: its pages, its sessions, and the calls that its page makes. What a merchant writes for the
// payment itself is in shop.mjs. Node 20, no dependencies; for development: plain HTTP on loopback, sessions in memory.
//
// Environment:
//   PAYBY_PROXY_URL         payby-proxy, as this server reaches it
//   PAYBY_PROXY_PUBLIC_URL  payby-proxy, as the browser reaches it; the same unless set
//   PAYBY_PROXY_API_KEY     this server's key at payby-proxy
//   PORT                    where to listen on 127.0.0.1; a free port unless set. The proxy must allow the shop's origin.

import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, posix, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

import { MAX_QUANTITY, Refusal, Shop, currency, products } from './shop.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MAX_BODY = 4096;
const MAX_SESSIONS = 10_000;
const TYPES = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
};

// ---- Configuration

const fail = (message) => {
  console.error(`shop: ${message}`);
  process.exit(1);
};

/** An http or https URL from the environment, without a slash at its end. */
function urlFrom(name, fallback) {
  const value = process.env[name] || fallback;
  if (!value) fail(`${name} is not set; it is the URL of payby-proxy, for example http://127.0.0.1:8080`);
  if (!URL.canParse(value) || !/^https?:\/\//.test(value)) fail(`${name} is not an http or https URL: ${value}`);
  return value.replace(/\/+$/, '');
}

const proxy = urlFrom('PAYBY_PROXY_URL');
const publicProxy = urlFrom('PAYBY_PROXY_PUBLIC_URL', proxy);
const apiKey = process.env.PAYBY_PROXY_API_KEY;
if (!apiKey) fail("PAYBY_PROXY_API_KEY is not set; it is the shop server's key at payby-proxy");
const port = Number(process.env.PORT || 0);
if (!Number.isInteger(port) || port < 0 || port > 65_535) fail(`PORT is not a port: ${process.env.PORT}`);
if (!existsSync(join(ROOT, 'pkg/package.json'))) fail('pkg/ is not there; `cargo xtask build` makes it');

// ---- What every answer says

const HEADERS = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "style-src 'self'",
    "img-src 'self'",
    `connect-src 'self' ${new URL(publicProxy).origin}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
  'referrer-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
};

const send = (response, status, headers, body) => response.writeHead(status, { ...HEADERS, ...headers }).end(body);

const sendJson = (response, status, value) =>
  send(response, status, { 'content-type': 'application/json', 'cache-control': 'no-store' }, JSON.stringify(value));

// ---- Files: a list made once, so that no path from outside ever reaches the disk

/** The files under `folder` that a browser can use, by their URL under `url`. */
function filesUnder(folder, url) {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && TYPES[extname(entry.name)])
    .map((entry) => join(entry.parentPath, entry.name))
    .map((file) => [posix.join(url, file.slice(join(ROOT, folder).length).replaceAll(sep, '/')), file]);
}

const files = new Map([
  ...filesUnder('www/public', '/'),
  ...filesUnder('pkg', '/vendor/payby-checkout'),
  ['/vendor/lean-qr/nano.mjs', join(ROOT, 'node_modules/lean-qr/nano.mjs')],
]);
files.set('/', files.get('/index.html'));

// ---- Sessions

const sessions = new Map();

const sessionOf = (request) => sessions.get(/(?:^|;\s*)dallah_session=([\w-]+)/.exec(request.headers.cookie ?? '')?.[1]);

/** Begins a session and gives the header that names it to the browser. */
function newSession() {
  if (sessions.size >= MAX_SESSIONS) sessions.delete(sessions.keys().next().value);
  const id = randomBytes(24).toString('base64url');
  sessions.set(id, {});
  // Lax, not Strict: the cookie must come along when PayBy's page sends the customer back. With HTTPS, add `Secure`.
  return { 'set-cookie': `dallah_session=${id}; HttpOnly; SameSite=Lax; Path=/; Max-Age=86400` };
}

// ---- Requests

/** The request's JSON. Asking for the content type keeps other sites' forms out. */
async function jsonOf(request) {
  if (!/^application\/json\b/.test(request.headers['content-type'] ?? '')) {
    throw new Refusal(415, 'not_json', 'Please send JSON.');
  }
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk;
    if (text.length > MAX_BODY) throw new Refusal(413, 'too_large', 'That is more than a basket can hold.');
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal(400, 'not_json', 'The request is not JSON.');
  }
}

function sessionFor(request) {
  const session = sessionOf(request);
  if (!session) throw new Refusal(400, 'no_session', 'Please allow cookies for this shop, and load the page again.');
  return session;
}

const routes = {
  'GET /api/products': () => ({ products, currency, maxQuantity: MAX_QUANTITY }),
  'GET /api/checkout': async (request) => ({ checkout: await shop.current(sessionOf(request) ?? {}) }),
  'POST /api/checkout': async (request) => {
    const session = sessionFor(request);
    return { checkout: await shop.open(session, (await jsonOf(request))?.cart) };
  },
  'DELETE /api/checkout': async (request) => {
    await shop.leave(sessionFor(request));
    return { checkout: null };
  },
};

async function answer(request, response) {
  const [pathname] = request.url.split('?');
  if (pathname.startsWith('/api/')) {
    const route = routes[`${request.method} ${pathname}`];
    if (!route) throw new Refusal(404, 'not_found', 'There is no such thing here.');
    return sendJson(response, 200, await route(request));
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    throw new Refusal(405, 'method_not_allowed', 'A page can only be read.');
  }
  // One origin only: PayBy's page returns to shopUrl, and a cookie for "localhost" would not be there.
  if (pathname === '/' && request.headers.host !== new URL(shopUrl).host) {
    return send(response, 307, { location: shopUrl + request.url });
  }
  const file = files.get(pathname);
  if (!file) throw new Refusal(404, 'not_found', 'There is no such page here.');
  const cookie = pathname === '/' && !sessionOf(request) ? newSession() : {};
  send(response, 200, { 'content-type': TYPES[extname(file)], 'cache-control': 'no-cache', ...cookie }, await readFile(file));
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    const refusal = error instanceof Refusal ? error : new Refusal(500, 'internal', 'Something went wrong here.');
    if (refusal.status >= 500) console.error(`shop: ${request.method} ${request.url}:`, error.cause?.cause?.message ?? error.cause?.message ?? error);
    sendJson(response, refusal.status, { code: refusal.code, message: refusal.message });
  });
});

let shop;
let shopUrl;
server.on('error', (error) => fail(error.message));
server.listen(port, '127.0.0.1', () => {
  shopUrl = `http://127.0.0.1:${server.address().port}`;
  shop = new Shop({ proxy, publicProxy, apiKey, returnUrl: `${shopUrl}/?checkout=return` });
  console.log(`shop is listening on ${shopUrl}`);
});
