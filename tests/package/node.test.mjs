// The installed package in Node: what importing it does (nothing), order numbers, and errors. Runs in a project outside the
// workspace that has the packed package installed, so it finds `payby-checkout` as anybody would.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

import * as payby from 'payby-checkout';

const {
  PaybyCheckoutError,
  createCheckout,
  inspectOrderNumber,
  isOrderNumber,
  orderNumber,
  orderNumbers,
  parseOrderNumber,
  readOrderNumber,
} = payby;

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
  const numbers = ['inspectOrderNumber', 'isOrderNumber', 'orderNumber', 'orderNumbers', 'parseOrderNumber', 'readOrderNumber'];
  assert.deepEqual(Object.keys(payby).sort(), ['PaybyCheckoutError', 'createCheckout', ...numbers]);
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

test('each mistake in an order number has its code and its place', () => {
  const cases = [
    ['', 'order_number_empty', undefined],
    ['x'.repeat(65), 'order_number_too_long', 64],
    ['abc d', 'order_number_bad_symbol', 3],
    ['İ', 'order_number_bad_symbol', 0],
    ['abc\u{1F600}', 'order_number_bad_symbol', 3],
    ['ab\uD800', 'order_number_bad_symbol', 2],
    ['ab\0', 'order_number_bad_symbol', 2],
    [undefined, 'invalid_argument', undefined],
    [null, 'invalid_argument', undefined],
    [12345, 'invalid_argument', undefined],
    [['a'], 'invalid_argument', undefined],
    [{}, 'invalid_argument', undefined],
  ];
  for (const [value, code, position] of cases) {
    for (const call of [parseOrderNumber, inspectOrderNumber]) {
      const error = thrown(() => call(value));
      assert.deepEqual([error.code, error.details.position], [code, position], `${call.name}(${JSON.stringify(value)})`);
    }
    assert.equal(isOrderNumber(value), false);
  }
});

test('the fast check and the core agree on what an order number is', () => {
  // Every character of the Basic Multilingual Plane's beginning, alone and inside.
  for (let code = 0; code < 0x800; code++) {
    const symbol = String.fromCharCode(code);
    for (const value of [symbol, `a${symbol}b`]) {
      let accepted = true;
      try {
        inspectOrderNumber(value); // parses in the core
      } catch {
        accepted = false;
      }
      assert.equal(isOrderNumber(value), accepted, `U+${code.toString(16)}`);
    }
  }
});

const NOON = Date.UTC(2025, 10, 22, 12);

test('every format is made at the given time, with its prefix, and tells so', () => {
  const patterns = {
    standard: /^SHOP-1KANPYXG0[0-9A-HJKMNP-TV-Z]{16}$/,
    short: /^SHOP-01WRV0[0-9A-HJKMNP-TV-Z]{10}$/,
    dated: /^SHOP-20251122120000000[0-9A-HJKMNP-TV-Z]{13}$/,
    uuid: /^SHOP-019aab6f-7600-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  };
  for (const [format, pattern] of Object.entries(patterns)) {
    const number = orderNumber({ format, prefix: 'SHOP', now: () => NOON });
    assert.match(number, pattern);
    const check = format === 'uuid' ? 'none' : 'valid';
    assert.deepEqual(inspectOrderNumber(number), { format, prefix: 'SHOP', madeAt: new Date(NOON), check });
  }
  assert.equal(inspectOrderNumber('ORDER-7'), undefined);
});

test('many numbers are made at once', () => {
  for (const options of [undefined, { format: 'short', prefix: 'X' }, { format: 'uuid' }]) {
    const numbers = orderNumbers(10_000, options);
    assert.equal(new Set(numbers).size, 10_000);
    for (const number of numbers) assert.ok(inspectOrderNumber(number), number);
  }
  assert.deepEqual(orderNumbers(0), []);
  for (const count of [-1, 1.5, NaN, 1_000_001, '3', null]) assert.equal(thrown(() => orderNumbers(count)).code, 'invalid_argument');
});

test('a clock that stands still or steps back repeats no number', (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: NOON });
  const numbers = new Set(Array.from({ length: 1_000 }, () => orderNumber()));
  t.mock.timers.setTime(NOON - 5_000);
  for (let i = 0; i < 1_000; i++) numbers.add(orderNumber());
  t.mock.timers.setTime(NOON);
  for (let i = 0; i < 1_000; i++) numbers.add(orderNumber());
  assert.equal(numbers.size, 3_000);
  assert.equal([...numbers].filter((number) => number.startsWith('1KANPYXG0')).length, 2_000);
});

test('wrong options are refused', () => {
  const cases = [
    [{ format: 'long' }, 'invalid_argument'],
    [{ format: 7 }, 'invalid_argument'],
    [{ prefix: 7 }, 'invalid_argument'],
    [{ now: NOON }, 'invalid_argument'],
    [null, 'invalid_argument'],
    ['short', 'invalid_argument'],
    [{ prefix: '' }, 'order_number_bad_prefix'],
    [{ prefix: '9A' }, 'order_number_bad_prefix'],
    [{ prefix: 'A'.repeat(16) }, 'order_number_bad_prefix'],
    [{ now: () => NaN }, 'clock_out_of_range'],
    [{ now: () => -1 }, 'clock_out_of_range'],
    [{ now: () => 2 ** 45 }, 'clock_out_of_range'],
    [{ format: 'short', now: () => 0 }, 'clock_out_of_range'],
  ];
  for (const [options, code] of cases) assert.equal(thrown(() => orderNumber(options)).code, code, JSON.stringify(options));
});

test('what people type is read as they meant it', () => {
  const number = '1KANPYXG085GR38E1W8124GKK';
  for (const typed of [number, 'ikanpyxgo85gr38elw8l24gkk', ' 1KANP-YXG08 5GR38 E1W81–24GKK ']) {
    assert.equal(readOrderNumber(typed), number);
  }
  assert.equal(readOrderNumber('SHOP 1kan'.replace(' 1kan', `-${number.toLowerCase()}`)), `SHOP-${number}`);
});

test('a typing error is named, with what may have been meant', () => {
  const error = thrown(() => readOrderNumber('1KANPYXG0B5GR38E1W8124GKK'));
  assert.equal(error.code, 'order_number_check_failed');
  assert.equal(error.details.suggestions[0], '1KANPYXG085GR38E1W8124GKK');
  for (const suggestion of error.details.suggestions) assert.equal(inspectOrderNumber(suggestion).check, 'valid');
  assert.equal(thrown(() => readOrderNumber('1KANPYXG0')).code, 'order_number_unknown_format');
  assert.equal(thrown(() => readOrderNumber(7)).code, 'invalid_argument');
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
