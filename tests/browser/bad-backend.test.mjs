// A backend, or the network before it, can answer anything or nothing. It never makes a page say what PayBy has not said,
// and never leads to a second order: the page asks again, and goes on to the truth.

import assert from 'node:assert/strict';
import { describe } from 'node:test';

import { customer, it } from './support/browser.mjs';
import {
  Middleman,
  answers,
  arrivedBut,
  halfABody,
  lyingAbout,
  reset,
  silence,
  withoutPrefer,
} from './support/middleman.mjs';
import { eventually, expectOrders, lookFor, pay } from './support/world.mjs';

const HTML = { 'content-type': 'text/html' };
const JSON_TYPE = { 'content-type': 'application/json' };

// The slowest first.
const NO_ANSWERS = {
  'no answer at all': silence,
  'a 500': answers(500, JSON_TYPE, '{"code":"internal"}'),
  'a 502 in HTML': answers(502, HTML, '<h1>Bad gateway</h1>'),
  'a 503 without a body': answers(503),
  'HTML with 200': answers(200, HTML, '<!doctype html><title>Sign in to the airport’s Wi-Fi</title>'),
  'half a JSON body': halfABody,
  'an empty answer': answers(200, JSON_TYPE, ''),
  'JSON that is no order': answers(200, JSON_TYPE, '[null, {"status": "paid"}]'),
  'a redirect': answers(302, { location: 'http://127.0.0.1:9/' }),
  'a connection reset': reset,
};

/** A page whose backend is in our hands. */
async function shop(t, options) {
  const middleman = await Middleman.start(t);
  const { purchase, openTab } = await customer(t, { proxy: middleman.url, ...options });
  return { middleman, purchase, tab: await openTab() };
}

/** From an order that the page sees pending, whatever came before, to its payment. */
async function endsPaid({ tab, purchase }) {
  const { orderNumber } = await tab.until('pending');
  await tab.expectOnly('unknown', 'pending');
  await pay(orderNumber);
  await tab.expectPaid(orderNumber, purchase);
  const numbers = new Set((await tab.seen()).map((status) => status.orderNumber));
  assert.deepEqual([...numbers], [orderNumber], 'one number from beginning to end');
  await expectOrders(purchase, [[orderNumber, 'PAID_SUCCESS']]);
}

describe('what is no answer is no outcome', { concurrency: 6 }, () => {
  for (const [name, noAnswer] of Object.entries(NO_ANSWERS)) {
    it(`${name} to a creation that the proxy never got: unknown, and then the same order is created`, async (t) => {
      const { middleman, purchase, tab } = await shop(t);
      middleman.next('PUT', noAnswer);
      await tab.begin();
      await eventually('the creation again', () => middleman.got('PUT').length > 1);
      await tab.expectOnly('unknown', 'pending');
      await endsPaid({ tab, purchase });
      const [first, again] = middleman.got('PUT');
      assert.deepEqual([again.path, again.body], [first.path, first.body], 'byte for byte (R1)');
      const between = middleman.requests.slice(middleman.requests.indexOf(first) + 1, middleman.requests.indexOf(again));
      assert.ok(between.some(({ method }) => method === 'GET'), 'a question comes before the creation again (R2)');
    });

    it(`${name} to a creation that took effect: unknown, and then that order is asked for`, async (t) => {
      const { middleman, purchase, tab } = await shop(t);
      middleman.next('PUT', arrivedBut(noAnswer));
      await tab.begin();
      await eventually('a question', () => middleman.got('GET').length > 0);
      await endsPaid({ tab, purchase });
      assert.equal(middleman.got('PUT').length, 1, 'nothing is created again');
    });

    it(`${name} to a question: still pending, and then asked again`, async (t) => {
      const { middleman, purchase, tab } = await shop(t);
      // Silence lasts as long as a question may be held, and five seconds.
      const times = noAnswer === silence ? 1 : 2;
      middleman.next('GET', noAnswer, times);
      await tab.start();
      await eventually('another question', () => middleman.got('GET').length > times, 40_000);
      await endsPaid({ tab, purchase });
    });
  }
});

/** The truth of an order that is not paid, made into a lie. */
const LIES = {
  'paid, by another order’s number': (order) => ({ ...order, ...PAID, orderNumber: '1KANPYXG085GR38E1W8124GKK' }),
  'paid, with another amount': (order) => ({ ...order, ...PAID, amount: { ...order.amount, amount: '0.01' } }),
  'paid, in another currency': (order) => ({ ...order, ...PAID, amount: { ...order.amount, currency: 'USD' } }),
  'paid, where PayBy has said CREATED': (order) => ({ ...order, ...PAID, gatewayStatus: 'CREATED' }),
  'paid, where PayBy has said nothing': (order) => ({ ...order, ...PAID, gatewayStatus: null }),
  'paid, where PayBy has said a word that nobody knows': (order) => ({ ...order, ...PAID, gatewayStatus: 'PAID' }),
  'failed, where PayBy has said CREATED': (order) => ({ ...order, ...FAILED, gatewayStatus: 'CREATED' }),
  'failed, as never created, where PayBy has had it': (order) => ({ ...order, ...FAILED, gatewayStatus: null }),
  'failed, by another order’s number': (order) => ({ ...order, ...FAILED, orderNumber: '1KANPYXG085GR38E1W8124GKK' }),
};
const PAID = { status: 'paid', gatewayStatus: 'PAID_SUCCESS' };
const FAILED = { status: 'failed', gatewayStatus: 'FAILURE', failure: { reason: 'declined' } };

describe('an answer that contradicts itself or what was asked is not believed (R10)', { concurrency: 6 }, () => {
  for (const [name, change] of Object.entries(LIES)) {
    it(`${name}: still pending`, async (t) => {
      const { middleman, purchase, tab } = await shop(t);
      middleman.next('GET', lyingAbout(change), 2);
      await tab.start();
      await eventually('another question', () => middleman.got('GET').length > 2);
      await endsPaid({ tab, purchase });
    });
  }

  it('paid, in answer to a creation, where PayBy has said nothing: unknown', async (t) => {
    const { middleman, purchase, tab } = await shop(t);
    middleman.next('PUT', lyingAbout(LIES['paid, where PayBy has said nothing']));
    await tab.begin();
    await eventually('a question', () => middleman.got('GET').length > 0);
    await endsPaid({ tab, purchase });
  });

  it('another amount than the page has shown, in the very first answer: unknown', async (t) => {
    const { middleman, purchase, tab } = await shop(t, { tellsAmount: true });
    middleman.next('PUT', lyingAbout(LIES['paid, with another amount']));
    await tab.begin();
    await eventually('a question', () => middleman.got('GET').length > 0);
    await endsPaid({ tab, purchase });
  });

  it('cancelled, in answer to a cancel, where PayBy has said CREATED: cancelled once more', async (t) => {
    const { middleman, purchase, tab } = await shop(t);
    const { orderNumber } = await tab.start();
    middleman.next('POST', (exchange) => {
      const { amount } = purchase;
      const order = { orderNumber, amount: { amount, currency: 'AED' }, version: 9, expiresInMs: 0 };
      const lie = { ...order, ...FAILED, gatewayStatus: 'CREATED' };
      exchange.answer(200, JSON_TYPE, JSON.stringify(lie));
    });
    assert.equal((await tab.cancel()).failure.reason, 'cancelled');
    assert.equal(middleman.got('POST').length, 2);
    await expectOrders(purchase, [[orderNumber, 'FAILURE']]);
  });
});

describe('a page asks no more than it may', { concurrency: 6 }, () => {
  for (const method of ['PUT', 'GET']) {
    it(`429 with Retry-After to a ${method}: nothing sooner, whatever the reason, and then it goes on`, async (t) => {
      const { middleman, purchase, tab } = await shop(t);
      middleman.next(method, answers(429, { 'retry-after': '4' }));
      const answered = tab.page.waitForResponse((response) => response.status() === 429);
      await tab.begin();
      await answered;
      const [refused] = middleman.got(method);
      // Coming back online is a reason to ask at once, but for this.
      await tab.page.context().setOffline(true);
      await tab.page.context().setOffline(false);
      await tab.until('pending');
      const next = await eventually('the next request', () => middleman.requests.find(({ at }) => at > refused.at));
      // Both clocks count in whole milliseconds.
      assert.ok(next.at - refused.at >= 3_995, `${next.at - refused.at} ms`);
      await endsPaid({ tab, purchase });
    });
  }

  it('a backend without Prefer is polled by the law, not hammered', async (t) => {
    const { middleman, purchase, tab } = await shop(t);
    middleman.always('GET', withoutPrefer);
    await tab.start();
    const questions = await eventually('five questions', () => middleman.got('GET').length >= 5 && middleman.got('GET'));
    const pauses = questions.slice(1).map(({ at }, i) => at - questions[i].at);
    // 1.8 s, 15 % either way, as long as the order is young; the upper bound leaves a busy machine some time.
    assert.ok(pauses.every((pause) => pause >= 1_500 && pause <= 4_000), `${pauses.map(Math.round)} ms`);
    await endsPaid({ tab, purchase });
  });

  it('a backend that knows no more than PUT, GET and cancel serves: pay, reload, cancel', async (t) => {
    const { middleman, purchase, tab } = await shop(t);
    middleman.always('GET', (exchange) =>
      exchange.path === '/v1/purchase' ? exchange.answer(404, JSON_TYPE, '{}') : withoutPrefer(exchange),
    );
    assert.deepEqual(await tab.resume(), { status: 'idle' });
    const { orderNumber: first } = await tab.start();
    await tab.reload();
    assert.equal((await tab.resume()).orderNumber, first);
    assert.equal((await tab.cancel()).failure.reason, 'cancelled');
    await tab.reload();
    const { orderNumber: second } = await tab.start();
    await pay(second);
    await tab.expectPaid(second, purchase);
    await expectOrders(purchase, [[first, 'FAILURE'], [second, 'PAID_SUCCESS']]);
  });

  it('a held question is the only one in flight', async (t) => {
    const { middleman, purchase, tab } = await shop(t);
    await tab.start();
    await eventually('a question', () => middleman.got('GET').length > 0);
    await lookFor(3_000);
    assert.equal(middleman.got('GET').length, 1);
    await endsPaid({ tab, purchase });
  });
});
