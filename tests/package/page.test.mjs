// The package in a page that Vite has bundled, in a real browser, under a strict Content-Security-Policy, against a small
// backend of a merchant's own: PUT and GET of an order, nothing else.
//
// Environment: DIST, what Vite made of vite/; CHROMIUM, the browser.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.wasm': 'application/wasm' };
const STRICT = "default-src 'none'; connect-src 'self'; worker-src 'self'; img-src data:; script-src 'self' 'wasm-unsafe-eval'";
const TOO_STRICT = STRICT.replace(" 'wasm-unsafe-eval'", '');
const TOKEN = 'abcdefghijklmnopqrstuvwxyz012345';

let server;
let origin;
let browser;

// ---- The merchant's backend: an order is unknown when it is created, pending when asked once more, then paid

const orders = new Map();
const calls = [];

function backend(request, response, body) {
  const json = (status, value, headers = {}) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
  calls.push({ method: request.method, path: request.url, authorization: request.headers.authorization, body });
  const orderNumber = /^\/pay\/v1\/orders\/([\w-]{1,64})$/.exec(request.url)?.[1];
  if (!orderNumber) return json(404, { code: 'not_found' });
  if (request.method !== 'PUT' && !orders.has(orderNumber)) return json(404, { code: 'not_found' });
  const version = (orders.get(orderNumber) ?? -1) + 1;
  orders.set(orderNumber, version);
  const step = [
    { status: 'unknown', gatewayStatus: null },
    { status: 'pending', gatewayStatus: 'CREATED', payUrl: 'https://pay.example/1' },
    { status: 'paid', gatewayStatus: 'PAID_SUCCESS' },
  ][Math.min(version, 2)];
  const amount = { amount: '12.50', currency: 'AED' };
  const rest = { orderNumber, amount, revoked: false, scene: 'DYNQR', version, expiresInMs: 600_000, nextPollMs: 100 };
  json(200, { ...rest, ...step }, { etag: `"${version}"` });
}

async function serve(request, response) {
  if (request.url.startsWith('/pay/')) {
    let body = '';
    for await (const chunk of request) body += chunk;
    return backend(request, response, body);
  }
  // The policy is chosen by the first folder: /strict/… and /too-strict/… are the same files.
  const [, policy, path] = /^\/(strict|too-strict)\/([^?]*)/.exec(request.url) ?? [];
  if (policy === undefined) return response.writeHead(404).end();
  const file = normalize(join(process.env.DIST, path || 'index.html'));
  response.writeHead(200, {
    'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
    'content-security-policy': policy === 'strict' ? STRICT : TOO_STRICT,
  });
  response.end(await readFile(file));
}

before(async () => {
  server = createServer((request, response) => serve(request, response).catch(() => response.writeHead(404).end()));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${server.address().port}`;
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking'],
  });
});

after(async () => {
  await browser?.close();
  server?.closeAllConnections();
  server?.close();
});

/** The page under that policy, and what it complained about. */
async function open(policy) {
  const page = await browser.newPage();
  page.setDefaultTimeout(20_000);
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  await page.goto(`${origin}/${policy}/`);
  await page.waitForFunction(() => window.payby);
  return { page, complaints };
}

test('a page makes order numbers', async () => {
  const { page, complaints } = await open('strict');
  const number = await page.evaluate(() => window.payby.orderNumber());
  assert.match(number, /^[0-9A-HJKMNP-TV-Z]{25}$/);
  assert.deepEqual(complaints, []);
  await page.close();
});

test('a worker makes order numbers', async () => {
  const { page, complaints } = await open('strict');
  const number = await page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const worker = window.startWorker();
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = (event) => reject(new Error(event.message ?? 'the worker did not load'));
        worker.postMessage('please');
      }),
  );
  assert.match(number, /^[0-9A-HJKMNP-TV-Z]{25}$/);
  assert.deepEqual(complaints, []);
  await page.close();
});

test('a policy that forbids WebAssembly is named in the error, and the next call tries again', async () => {
  const { page } = await open('too-strict');
  const attempt = () => {
    try {
      return window.payby.orderNumber();
    } catch (error) {
      const { PaybyCheckoutError } = window.payby;
      return { ours: error instanceof PaybyCheckoutError, code: error.code, message: error.message, caused: !!error.cause };
    }
  };
  for (let i = 0; i < 2; i++) {
    const error = await page.evaluate(attempt);
    assert.equal(error.ours, true);
    assert.equal(error.code, 'wasm_blocked');
    assert.match(error.message, /Content-Security-Policy.*'wasm-unsafe-eval'.*script-src/);
    assert.equal(error.caused, true);
  }
  await page.close();
});

test('a checkout goes from its start to paid, by way of unknown and pending', async () => {
  const { page, complaints } = await open('strict');
  calls.length = 0;
  const seen = await page.evaluate(async (token) => {
    const checkout = window.payby.createCheckout({ proxy: '/pay', token });
    const seen = [];
    checkout.subscribe((status) => seen.push(status));
    const shown = await checkout.start({ scene: 'DYNQR' });
    const iterated = [];
    for await (const status of checkout) iterated.push(status.status);
    return { shown, seen, iterated, result: await checkout.result, last: checkout.status };
  }, TOKEN);
  const statuses = seen.seen.map(({ status }) => status).filter((status, i, all) => status !== all[i - 1]);
  assert.deepEqual(statuses, ['unknown', 'pending', 'paid']);
  assert.equal(seen.shown.status, 'pending');
  assert.equal(seen.shown.payUrl, 'https://pay.example/1');
  assert.deepEqual(seen.iterated, ['pending', 'paid']);
  assert.equal(seen.result.status, 'paid');
  assert.deepEqual(seen.result.amount, { amount: '12.50', currency: 'AED' });
  assert.match(seen.result.orderNumber, /^[0-9A-HJKMNP-TV-Z]{25}$/);
  assert.deepEqual(seen.last, seen.result);

  const puts = calls.filter(({ method }) => method === 'PUT');
  assert.ok(puts.length >= 1);
  assert.equal(new Set(puts.map(({ path, body }) => path + body)).size, 1, 'one number, one set of parameters');
  assert.deepEqual(JSON.parse(puts[0].body), { scene: 'DYNQR' });
  assert.ok(calls.every(({ authorization }) => authorization === `Bearer ${TOKEN}`));
  assert.deepEqual(complaints.filter((text) => !text.includes('404')), []);
  await page.close();
});
