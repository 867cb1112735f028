// A checkout as a page uses it: what its calls resolve with, its alerts, its storage, its end. The browser is in our hands
// (browser.mjs), and so is the backend.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createCheckout } from 'payby-checkout';

import { Browser, Tab, order, settle } from './browser.mjs';

/** A tab that has started and is told that the order is pending. */
async function started(t, options) {
  const browser = new Browser(t, options);
  const tab = new Tab('tab');
  const { answer } = await tab.command('start');
  const { orderNumber } = browser.only;
  await browser.only.answer(200, order(orderNumber, 'pending', 1));
  assert.equal((await answer).status, 'pending');
  return { browser, tab, orderNumber };
}

describe('calls', () => {
  it('cancel() and start() at once: each resolves with its own order, and so do the results', async (t) => {
    const { browser, tab, orderNumber } = await started(t);
    const firstResult = tab.checkout.result;
    const { answer: cancelled } = await tab.command('cancel');
    const { answer: begun } = await tab.command('start', { scene: 'PAYPAGE' });
    await browser.only.answer(200, order(orderNumber, 'pending', 2));
    await browser.only.answer(200, order(orderNumber, 'failed', 3));
    const { status, failure } = await cancelled;
    assert.deepEqual([status, failure.reason, (await firstResult).orderNumber], ['failed', 'cancelled', orderNumber]);
    const second = browser.only;
    assert.deepEqual([second.method, second.body], ['PUT', '{"scene":"PAYPAGE"}']);
    assert.notEqual(second.orderNumber, orderNumber);
    assert.notEqual(tab.checkout.result, firstResult, 'the result is renewed');
    await second.answer(200, order(second.orderNumber, 'pending', 1, { scene: 'PAYPAGE' }));
    assert.deepEqual([(await begun).status, (await begun).orderNumber], ['pending', second.orderNumber]);
    assert.deepEqual(tab.seen, ['unknown', 'pending', 'pending', 'failed', 'unknown', 'pending']);
    await browser.pass(2_600);
    await browser.only.answer(200, order(second.orderNumber, 'paid', 2));
    assert.equal((await tab.checkout.result).orderNumber, second.orderNumber);
  });

  it('start() after a reload: a saved order that has failed is told, and the new one is what it resolves with', async (t) => {
    const { browser, tab, orderNumber } = await started(t);
    tab.act(() => tab.checkout.dispose());
    const reloaded = new Tab('reloaded');
    const { answer } = await reloaded.command('start');
    await browser.only.answer(200, order(orderNumber, 'failed', 3));
    const { orderNumber: second } = browser.only;
    await browser.only.answer(200, order(second, 'pending', 1));
    assert.deepEqual([(await answer).status, (await answer).orderNumber], ['pending', second]);
    assert.deepEqual(reloaded.seen, ['unknown', 'failed', 'unknown', 'pending']);
  });

  it('retry() asks, and sends the same creation again', async (t) => {
    const { browser, tab, orderNumber } = await started(t);
    const { answer } = await tab.command('retry');
    assert.equal((await answer).orderNumber, orderNumber, 'there is something to show');
    assert.deepEqual([browser.only.method, browser.only.orderNumber], ['GET', orderNumber]);
    await browser.only.answer(200, order(orderNumber, 'pending', 1));
    assert.deepEqual([browser.only.method, browser.only.orderNumber], ['PUT', orderNumber]);
    const payUrl = 'https://pay.example/again';
    await browser.only.answer(200, order(orderNumber, 'pending', 2, { payUrl }));
    assert.equal(tab.checkout.status.payUrl, payUrl);
  });

  it('retry() where there is no order resolves with idle', async (t) => {
    const browser = new Browser(t);
    const tab = new Tab('tab');
    const { answer } = await tab.command('retry');
    await browser.only.answer(404, { code: 'not_found' });
    assert.deepEqual(await answer, { status: 'idle' });
  });

  it('a hidden page asks once a minute at the most', async (t) => {
    const { browser, tab, orderNumber } = await started(t);
    await tab.become('hidden');
    await browser.pass(2_600);
    const asked = [];
    for (let minute = 0; minute < 5; minute++) {
      const question = await browser.untilAsked();
      asked.push(browser.now);
      await question.answer(304, '');
    }
    const gaps = asked.slice(1).map((at, i) => at - asked[i]);
    assert.ok(gaps.every((gap) => gap >= 60_000), `${gaps}`);
    await tab.become('visible');
    assert.equal(browser.only.orderNumber, orderNumber, 'and at once when it is seen');
  });

  it('focus is a reason to look at once', async (t) => {
    const { browser, tab } = await started(t);
    assert.equal(browser.asked.length, 0);
    await tab.hear(tab.window, 'focus');
    assert.equal(browser.only.method, 'GET');
  });

  it('`using` disposes of it, whether or not the platform has the symbol', async (t) => {
    new Browser(t);
    for (const symbol of [Symbol.dispose, Symbol.for('Symbol.dispose')]) {
      if (symbol === undefined || (symbol !== Symbol.dispose && Symbol.dispose)) continue;
      const tab = new Tab('tab');
      tab.act(() => tab.checkout[symbol]());
      await assert.rejects(tab.act(() => tab.checkout.start()), { code: 'aborted' });
    }
  });
});

describe('alerts', () => {
  it('failing: three failures in a row, told once until it was well again', async (t) => {
    const { browser, tab, orderNumber } = await started(t);
    for (const round of [1, 2]) {
      for (let i = 0; i < 4; i++) await (await browser.untilAsked()).answer(502, 'bad gateway');
      assert.deepEqual(tab.alerts, Array(round).fill('failing'));
      await (await browser.untilAsked()).answer(200, order(orderNumber, 'pending', 1 + round));
    }
    assert.equal(tab.status, 'pending');
  });

  it('mismatch: an answer about another order is not believed', async (t) => {
    const { browser, tab, orderNumber } = await started(t);
    await browser.pass(2_600);
    await browser.only.answer(200, order(`${orderNumber}X`, 'paid', 2));
    assert.deepEqual([tab.alerts, tab.status], [['mismatch'], 'pending']);
  });

  it('conflict: PayBy has said both', async (t) => {
    const { browser, tab, orderNumber } = await started(t);
    await browser.pass(2_600);
    await browser.only.answer(200, { ...order(orderNumber, 'paid', 2), status: 'conflict' });
    assert.deepEqual([tab.alerts, tab.status], [['conflict'], 'conflict']);
  });

  it('a listener that throws stops nothing, and one that has left hears nothing', async (t) => {
    const thrown = [];
    const { queueMicrotask } = globalThis;
    t.mock.method(globalThis, 'queueMicrotask', (run) =>
      queueMicrotask(() => {
        try {
          run();
        } catch (error) {
          thrown.push(error.message);
        }
      }),
    );
    const { browser, tab, orderNumber } = await started(t);
    const heard = [];
    tab.checkout.onAlert(() => {
      throw new Error('the shop’s own');
    });
    tab.checkout.onAlert((code) => heard.push(code));
    tab.checkout.onAlert((code) => heard.push(code))();
    await browser.pass(2_600);
    await browser.only.answer(200, order(`${orderNumber}X`, 'paid', 2));
    assert.deepEqual(heard, ['mismatch']);
    assert.deepEqual(thrown, ['the shop’s own']);
  });

  it('a refusal without a code is not the proxy’s: it is asked again', async (t) => {
    const { browser, tab } = await started(t);
    await browser.pass(2_600);
    await browser.only.answer(403, '<h1>Forbidden</h1>', { 'retry-after': '7' });
    await browser.pass(6_999);
    assert.deepEqual(browser.asked, [], 'Retry-After holds');
    await (await browser.untilAsked()).answer(400, { code: 'invalid_request', detail: 'no' });
    await assert.rejects(tab.checkout.result, { code: 'refused', details: { httpStatus: 400, problem: 'invalid_request', detail: 'no' } });
  });
});

describe('storage', () => {
  for (const storage of ['denied', 'full']) {
    it(`${storage}: told once, and the page goes on from memory, also with another checkout`, async (t) => {
      const { browser, tab, orderNumber } = await started(t, { storage });
      await tab.command('resume');
      await tab.command('retry');
      assert.deepEqual(tab.alerts, ['storage_unavailable']);
      tab.act(() => tab.checkout.dispose());
      const other = new Tab('other');
      await other.command('resume');
      assert.deepEqual([browser.only.method, browser.only.orderNumber], ['GET', orderNumber]);
    });
  }

  it('under a name made from the token, and only the order number', async (t) => {
    const { browser, orderNumber } = await started(t, { purchase: 'abcdefghijklmnopqrstuvwxyz012345' });
    const [[key, value], ...more] = browser.stored;
    assert.deepEqual([value, more], [`1 ${orderNumber} - pay`, []]);
    // FNV-1a with 64 bits, as it has been from the first version on.
    assert.equal(key, 'payby-checkout:5385108479250058725');
  });

  it('another token finds nothing of it', async (t) => {
    const { browser, tab } = await started(t);
    tab.act(() => tab.checkout.dispose());
    const other = createCheckout({ proxy: 'https://pay.shop.example', token: 'another' });
    tab.act(() => void other.resume().catch(() => {}));
    await settle();
    assert.equal(browser.only.path, '/v1/purchase');
    tab.act(() => other.dispose());
  });
});
