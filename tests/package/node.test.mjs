// The installed package in Node: what importing it does (nothing), order numbers, and errors. Runs in a project outside the
// workspace that has the packed package installed, so it finds `payby-checkout` as anybody would.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

import * as payby from 'payby-checkout';

const { PaybyCheckoutError, createCheckout, isOrderNumber, orderNumber, parseOrderNumber } = payby;

/** Runs a module in a fresh Node and answers what it printed, as JSON. */
function fresh(code) {
  return JSON.parse(execFileSync(process.execPath, ['--input-type=module', '--eval', code], { encoding: 'utf8' }));
}

/** Every call of these is recorded in `calls`. */
const WATCH = `
  const calls = [];
  const watch = (object, name, label) => {
    const original = object[name];
    object[name] = new Proxy(original, {
      apply: (target, self, values) => (calls.push(label), Reflect.apply(target, self, values)),
      construct: (target, values, self) => (calls.push(label), Reflect.construct(target, values, self)),
    });
  };
  for (const name of ['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'fetch', 'BroadcastChannel']) {
    watch(globalThis, name, name);
  }
  for (const name of ['Module', 'Instance', 'compile', 'instantiate']) watch(WebAssembly, name, 'WebAssembly.' + name);
  watch(crypto, 'getRandomValues', 'crypto.getRandomValues');
  const globals = JSON.stringify(Reflect.ownKeys(globalThis).map(String));
`;

const REPORT = `
  const untouched = globals === JSON.stringify(Reflect.ownKeys(globalThis).map(String));
  console.log(JSON.stringify({ calls, untouched, resources: process.getActiveResourcesInfo().filter((it) => /Timeout|Immediate/.test(it)) }));
`;

test('importing it does nothing: no WebAssembly, no timer, no request, no random bytes, no global', () => {
  const report = fresh(`${WATCH} await import('payby-checkout'); ${REPORT}`);
  assert.deepEqual(report, { calls: [], untouched: true, resources: [] });
});

test('the module starts at the first use, synchronously and once', () => {
  const report = fresh(
    `${WATCH} const { orderNumber } = await import('payby-checkout'); orderNumber(); orderNumber(); ${REPORT}`,
  );
  const starts = report.calls.filter((call) => call.startsWith('WebAssembly.'));
  assert.deepEqual(starts, ['WebAssembly.Module', 'WebAssembly.Instance']);
  assert.ok(report.calls.includes('crypto.getRandomValues'), 'the random bits are the platform’s');
  assert.ok(!report.calls.includes('fetch'));
  assert.ok(report.untouched);
});

test('without a secure random source there is no order number', () => {
  const report = fresh(`
    Object.defineProperty(globalThis, 'crypto', { value: undefined });
    const { orderNumber, PaybyCheckoutError } = await import('payby-checkout');
    try { console.log(JSON.stringify(orderNumber())); }
    catch (error) { console.log(JSON.stringify({ ours: error instanceof PaybyCheckoutError, code: error.code })); }
  `);
  assert.deepEqual(report, { ours: true, code: 'no_secure_random' });
});

test('it exports its documented names and no others', () => {
  const documented = ['PaybyCheckoutError', 'createCheckout', 'isOrderNumber', 'orderNumber', 'parseOrderNumber'];
  assert.deepEqual(Object.keys(payby).sort(), documented);
});

const SYMBOLS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** The check symbol's rule: x⁵ + x² + 1 over GF(32), the sum over all symbols is zero. */
function isChecked(number) {
  let sum = 0;
  for (const symbol of number) {
    sum <<= 1;
    if (sum & 32) sum ^= 0b100101;
    sum ^= SYMBOLS.indexOf(symbol);
  }
  return sum === 0;
}

test('an order number has 25 symbols of Crockford’s base 32, the last of which checks the others', () => {
  for (let i = 0; i < 200; i++) {
    const number = orderNumber();
    assert.match(number, /^[0-9A-HJKMNP-TV-Z]{25}$/);
    assert.ok(isChecked(number), number);
  }
});

test('an order number begins with the time, so numbers sort by it', () => {
  const before = Date.now();
  const number = orderNumber();
  const after = Date.now();
  const time = [...number.slice(0, 9)].reduce((sum, symbol) => sum * 32 + SYMBOLS.indexOf(symbol), 0);
  assert.ok(before <= time && time <= after, `${before} <= ${time} <= ${after}`);
});

test('order numbers are all different', () => {
  const numbers = new Set(Array.from({ length: 10_000 }, () => orderNumber()));
  assert.equal(numbers.size, 10_000);
});

test('an order number is what PayBy accepts as one', () => {
  for (const good of ['1', 'a-B_9', 'x'.repeat(64), orderNumber()]) {
    assert.ok(isOrderNumber(good), good);
    assert.equal(parseOrderNumber(good), good);
  }
  for (const bad of ['', 'x'.repeat(65), 'a b', 'ä', 'a\n', 'a\0', '٣', undefined, null, 1, {}, ['a'], new String('a')]) {
    assert.ok(!isOrderNumber(bad), JSON.stringify(bad));
  }
});

/** What a call throws, checked to be of our class. */
function thrown(call) {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof PaybyCheckoutError && error instanceof Error, String(error));
    assert.equal(error.name, 'PaybyCheckoutError');
    assert.ok(error.message.length > 10);
    return error;
  }
  assert.fail('nothing was thrown');
}

test('each mistake in an order number has its code', () => {
  const cases = [
    ['', 'order_number_empty'],
    ['x'.repeat(65), 'order_number_too_long'],
    ['abc d', 'order_number_bad_symbol'],
    ['abcé', 'order_number_bad_symbol'],
    [undefined, 'invalid_argument'],
    [null, 'invalid_argument'],
    [12345, 'invalid_argument'],
    [['a'], 'invalid_argument'],
    [{}, 'invalid_argument'],
  ];
  for (const [value, code] of cases) assert.equal(thrown(() => parseOrderNumber(value)).code, code);
  assert.equal(thrown(() => parseOrderNumber('abc d')).details.position, 3);
});

test('an error that was thrown does not break the next call', () => {
  for (let i = 0; i < 1000; i++) thrown(() => parseOrderNumber('a b'));
  assert.ok(isOrderNumber(orderNumber()));
});

test('a checkout with options of the wrong form is refused at once', () => {
  const token = 'abcdefghijklmnopqrstuvwxyz012345';
  const proxy = 'https://pay.shop.example';
  const wrong = [undefined, {}, { proxy }, { token }, { proxy: 'ftp://x', token }, { proxy: '/pay', token }];
  wrong.push({ proxy: `${proxy}?a`, token }, { proxy, token: '' }, { proxy, token: 'a b' }, { proxy, token: 'a\nb' });
  for (const options of wrong) assert.equal(thrown(() => createCheckout(options)).code, 'invalid_argument');
});

test('a checkout asks nothing and keeps nothing alive before it is started', () => {
  const report = fresh(`${WATCH}
    const { createCheckout } = await import('payby-checkout');
    const checkout = createCheckout({ proxy: 'https://pay.shop.example', token: 'abcdefghijklmnopqrstuvwxyz012345' });
    if (checkout.status.status !== 'idle') throw new Error(checkout.status.status);
    ${REPORT}`);
  assert.deepEqual(report.calls.filter((call) => !call.startsWith('WebAssembly.')), []);
  assert.deepEqual(report.resources, []);
});
