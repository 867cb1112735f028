// The shop's half of a payment: prices are the server's, a checkout has one purchase, and the page gets only what it may have.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { MAX_QUANTITY, Shop, decimal, price } from '../../www/shop.mjs';

const API_KEY = 'key-of-the-shop-server';

/** A proxy that knows what the shop needs of it: purchases by reference, and their orders. */
const calls = [];
let orders = [];
let answer = null;
const proxy = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) body += chunk;
  calls.push({ method: request.method, path: request.url, authorization: request.headers.authorization, body: body && JSON.parse(body) });
  const json = (status, value) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  if (answer) return json(answer.status, answer.body);
  if (request.method === 'GET') return json(200, { orders });
  const { reference } = JSON.parse(body);
  json(200, { purchaseId: `purchase-of-${reference}`, token: `token-${calls.length}`, tokenExpiresInMs: 3_600_000 });
});
proxy.listen(0, '127.0.0.1');
await once(proxy, 'listening');
const proxyUrl = `http://127.0.0.1:${proxy.address().port}`;
after(() => proxy.close().closeAllConnections());

beforeEach(() => {
  calls.length = 0;
  orders = [];
  answer = null;
});

const newShop = () =>
  new Shop({ proxy: proxyUrl, publicProxy: 'https://pay.example', apiKey: API_KEY, returnUrl: 'https://shop.example/?checkout=return' });
const opens = () => calls.filter(({ method }) => method === 'POST');
const coffee = (quantity) => ({ sku: 'coffee', quantity });
const dates = (quantity) => ({ sku: 'dates', quantity });

test('a cart is priced in integer fils, from the shop’s own list', () => {
  const order = price([dates(1), { ...coffee(2), fils: 1, price: '0.01' }]);
  assert.deepEqual(order, {
    lines: [
      { sku: 'coffee', name: 'Cardamom coffee', quantity: 2, fils: 8500 },
      { sku: 'dates', name: 'Khalas dates', quantity: 1, fils: 3500 },
    ],
    fils: 12_000,
    currency: 'AED',
  });
});

test('fils become the decimal string that the proxy takes', () => {
  for (const [fils, text] of [[1250, '12.50'], [5, '0.05'], [100, '1.00'], [155_000, '1550.00']]) assert.equal(decimal(fils), text);
});

test('a cart that cannot be is refused, and the message says why', () => {
  const quantity = /^We sell 1 to 20 of Cardamom coffee at a time\.$/;
  const cases = [
    [undefined, /is empty/],
    [[], /is empty/],
    [{ coffee: 1 }, /is empty/],
    [[{ sku: 'gold', quantity: 1 }], /do not have one of the products/],
    [[{ sku: '__proto__', quantity: 1 }], /do not have one of the products/],
    [[null], /do not have one of the products/],
    [[coffee(0)], quantity],
    [[coffee(-1)], quantity],
    [[coffee(1.5)], quantity],
    [[coffee(MAX_QUANTITY + 1)], quantity],
    [[coffee(1e21)], quantity],
    [[coffee('2')], quantity],
    [[coffee(NaN)], quantity],
    [[coffee()], quantity],
    [[coffee(1), coffee(1)], /in the basket twice/],
    [[coffee(1), dates(1), coffee(1)], /more lines/],
  ];
  for (const [cart, message] of cases) assert.throws(() => price(cart), { status: 400, code: 'invalid_cart', message });
});

test('the proxy is told the price, and the page gets the token but not the key', async () => {
  const page = await newShop().open({}, [coffee(1)]);
  assert.equal(calls.length, 1);
  assert.equal(calls[0].authorization, `Bearer ${API_KEY}`);
  assert.deepEqual(calls[0].body, {
    reference: page.orderId,
    amount: '42.50',
    currency: 'AED',
    subject: 'Dallah order',
    scene: 'DYNQR',
    redirectUrl: 'https://shop.example/?checkout=return',
  });
  assert.equal(page.proxy, 'https://pay.example');
  assert.equal(page.token, 'token-1');
  assert.doesNotMatch(JSON.stringify(page), new RegExp(API_KEY));
});

test('a double click opens one purchase', async () => {
  const shop = newShop();
  const session = {};
  const [first, second] = await Promise.all([shop.open(session, [coffee(1), dates(2)]), shop.open(session, [dates(2), coffee(1)])]);
  assert.deepEqual(first, second);
  assert.equal(opens().length, 1);
});

test('two visitors have two purchases', async () => {
  const shop = newShop();
  const [one, other] = await Promise.all([shop.open({}, [coffee(1)]), shop.open({}, [coffee(1)])]);
  assert.notEqual(one.orderId, other.orderId);
});

test('a reload finds the checkout again', async () => {
  const shop = newShop();
  const session = {};
  assert.equal(await shop.current(session), null);
  const page = await shop.open(session, [coffee(1)]);
  assert.deepEqual(await shop.current(session), { ...page, failed: null });
});

test('a reload after a failure says what became of the order', async () => {
  const shop = newShop();
  const session = {};
  await shop.open(session, [coffee(1)]);
  const failed = { status: 'failed', orderNumber: 'N2', amount: { amount: '42.50', currency: 'AED' }, failure: { reason: 'declined' } };
  orders = [failed, { ...failed, orderNumber: 'N1' }];
  assert.deepEqual((await shop.current(session)).failed, failed);
});

test('after a lost answer the same reference is opened again', async () => {
  const shop = newShop();
  const session = {};
  answer = { status: 503, body: { code: 'unavailable', detail: 'shutting down' } };
  await assert.rejects(shop.open(session, [coffee(1)]), { status: 502, code: 'no_payment' });
  assert.equal(await shop.current(session), null);
  answer = null;
  await shop.open(session, [coffee(1)]);
  const [first, second] = opens();
  assert.equal(first.body.reference, second.body.reference);
});

test('another cart is another purchase, but not while the first can still be paid', async () => {
  const shop = newShop();
  const session = {};
  const first = await shop.open(session, [coffee(1)]);
  for (const status of ['pending', 'unknown']) {
    orders = [{ status }];
    await assert.rejects(shop.open(session, [coffee(2)]), { status: 409, code: 'payment_open' });
    await assert.rejects(shop.leave(session), { status: 409, code: 'payment_open' });
    assert.equal((await shop.open(session, [coffee(1)])).orderId, first.orderId);
  }
  orders = [{ status: 'failed' }];
  const [second, again] = await Promise.all([shop.open(session, [coffee(2)]), shop.open(session, [coffee(2)])]);
  assert.notEqual(second.orderId, first.orderId);
  assert.equal(again.orderId, second.orderId);
});

test('the customer leaves a paid checkout, and begins a new one with the same cart', async () => {
  const shop = newShop();
  const session = {};
  const first = await shop.open(session, [coffee(1)]);
  orders = [{ status: 'paid' }];
  await shop.leave(session);
  assert.equal(await shop.current(session), null);
  assert.notEqual((await shop.open(session, [coffee(1)])).orderId, first.orderId);
});

// ---- The web server around it

const SERVER = fileURLToPath(new URL('../../www/server.mjs', import.meta.url));
const built = existsSync(fileURLToPath(new URL('../../pkg/package.json', import.meta.url)));
const skip = built ? false : '`cargo xtask build` has not made pkg/ yet';

function startServer(environment) {
  const { PATH } = process.env;
  const server = spawn(process.execPath, [SERVER], { env: { PATH, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] });
  server.output = '';
  for (const stream of [server.stdout, server.stderr]) stream.setEncoding('utf8').on('data', (text) => (server.output += text));
  return server;
}

async function withServer(run) {
  const server = startServer({ PAYBY_PROXY_URL: proxyUrl, PAYBY_PROXY_PUBLIC_URL: 'https://pay.example', PAYBY_PROXY_API_KEY: API_KEY });
  try {
    const [line] = await once(server.stdout, 'data');
    const url = /^shop is listening on (http:\/\/127\.0\.0\.1:\d+)\n$/.exec(line)?.[1];
    assert.ok(url, line);
    await run(url, server);
  } finally {
    server.kill();
  }
}

test('the server says which setting is missing, and exits with 1', async () => {
  for (const [environment, name] of [
    [{}, 'PAYBY_PROXY_URL'],
    [{ PAYBY_PROXY_URL: 'localhost' }, 'PAYBY_PROXY_URL'],
    [{ PAYBY_PROXY_URL: proxyUrl }, 'PAYBY_PROXY_API_KEY'],
  ]) {
    const server = startServer(environment);
    const [code] = await once(server, 'close');
    assert.equal(code, 1);
    assert.match(server.output, new RegExp(`^shop: ${name} is not`));
  }
});

test('every page carries a strict policy, and the visitor a session that no script can read', { skip }, () =>
  withServer(async (url) => {
    const response = await fetch(url);
    assert.equal(
      response.headers.get('content-security-policy'),
      "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; " +
        "connect-src 'self' https://pay.example; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
    assert.match(response.headers.get('set-cookie'), /^dallah_session=[\w-]{32}; HttpOnly; SameSite=Lax; Path=\//);
    assert.doesNotMatch(await response.text(), / style=|<script>|javascript:|data:/);
    for (const path of ['/vendor/payby-checkout/checkout.js', '/vendor/lean-qr/nano.mjs', '/style.css', '/img/dates.svg']) {
      assert.equal((await fetch(url + path)).status, 200, path);
    }
    for (const path of ['/server.mjs', '/..%2fshop.mjs', '//etc/passwd', '/vendor/lean-qr/package.json', '/%ff']) {
      assert.equal((await fetch(url + path)).status, 404, path);
    }
  }));

test('bad input is refused in JSON, and no secret is in an answer or a log', { skip }, () =>
  withServer(async (url, server) => {
    const cookie = (await fetch(url)).headers.get('set-cookie').split(';')[0];
    const post = (body, headers) =>
      fetch(`${url}/api/checkout`, { method: 'POST', headers: { 'content-type': 'application/json', cookie, ...headers }, body });
    const cart = JSON.stringify({ cart: [coffee(1)] });
    for (const [response, status, code] of [
      [await post('{'), 400, 'not_json'],
      [await post('null'), 400, 'invalid_cart'],
      [await post(JSON.stringify({ cart: [coffee(-1)] })), 400, 'invalid_cart'],
      [await post(' '.repeat(5000)), 413, 'too_large'],
      [await post(cart, { 'content-type': 'text/plain' }), 415, 'not_json'],
      [await post(cart, { cookie: 'dallah_session=guessed' }), 400, 'no_session'],
      [await fetch(`${url}/api/nothing`), 404, 'not_found'],
    ]) {
      const { message, ...problem } = await response.json();
      assert.deepEqual({ status: response.status, ...problem }, { status, code });
      assert.match(message, /\.$/);
    }
    const { checkout } = await (await post(cart)).json();
    assert.match(checkout.token, /^token-/);
    answer = { status: 401, body: { code: 'unauthorized', detail: 'wrong key' } };
    const other = (await fetch(url)).headers.get('set-cookie').split(';')[0];
    const refused = await post(cart, { cookie: other });
    assert.equal(refused.status, 502);
    server.kill();
    await once(server, 'close'); // so that all of the log is here
    const text = (await refused.text()) + server.output;
    assert.match(text, /the proxy answered 401 unauthorized: wrong key/);
    for (const secret of [API_KEY, checkout.token]) assert.ok(!text.includes(secret));
  }));
