// Several tabs of one browser: one asks, and all know. The browser is in our hands (browser.mjs), and so is the backend.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Browser, Tab, order, settle } from './browser.mjs';

/** A tab that has started and waits for the payer, with its question in flight. */
async function started(browser, tab) {
  await tab.command('start');
  const { orderNumber } = browser.only;
  await browser.only.answer(200, order(orderNumber, 'pending', 1));
  await browser.pass(2_600);
  assert.equal(browser.only.tab, tab);
  return orderNumber;
}

/** Two tabs about one order; the second leads. */
async function two(t, options) {
  const browser = new Browser(t, options);
  const [first, second] = [new Tab('first'), new Tab('second')];
  const orderNumber = await started(browser, first);
  await second.command('resume');
  return { browser, first, second, orderNumber };
}

/** Nothing is held, asked or waited for. */
async function expectQuiet(browser, ...tabs) {
  await settle();
  assert.deepEqual([browser.asked, [...browser.timers.values()], [...browser.channels]], [[], [], []]);
  assert.deepEqual([browser.locks.holder, browser.locks.queue], [undefined, []]);
  for (const tab of tabs) {
    for (const target of [tab.window, tab.document]) {
      for (const type of ['online', 'focus', 'pageshow', 'visibilitychange', 'resume', 'freeze', 'pagehide']) {
        await tab.hear(target, type, { persisted: true });
      }
    }
  }
  await browser.pass(120_000);
  assert.deepEqual([browser.asked, browser.channels.size, browser.locks.holder], [[], 0, undefined]);
}

describe('of several tabs one asks', () => {
  it('the one whose command came last; the other one drops its question and hears the answers', async (t) => {
    const { browser, first, second, orderNumber } = await two(t);
    assert.equal(browser.only.tab, second, 'one question');
    assert.equal(browser.only.orderNumber, orderNumber);
    await browser.only.answer(200, order(orderNumber, 'pending', 2, { payUrl: 'https://pay.example/2' }));
    for (const tab of [first, second]) assert.equal(tab.checkout.status.payUrl, 'https://pay.example/2');
    await browser.pass(20_000);
    assert.equal(browser.only.tab, second, 'still one question');
  });

  it('paid is shown by a tab only after it has asked for itself', async (t) => {
    const { browser, first, second, orderNumber } = await two(t);
    await browser.only.answer(200, order(orderNumber, 'paid', 2));
    assert.deepEqual([first.status, second.status], ['pending', 'paid']);
    assert.equal(browser.only.tab, first);
    await browser.only.answer(200, order(orderNumber, 'pending', 3));
    assert.equal(first.status, 'pending', 'the proxy’s word counts, not the other tab’s');
    await browser.pass(10_000);
    await browser.only.answer(200, order(orderNumber, 'paid', 4));
    assert.equal((await first.checkout.result).status, 'paid');
    await expectQuiet(browser, first, second);
  });

  it('two starts make one order', async (t) => {
    const browser = new Browser(t);
    const [first, second] = [new Tab('first'), new Tab('second')];
    await first.command('start');
    await second.command('start');
    const numbers = new Set(browser.asked.map(({ orderNumber }) => orderNumber));
    assert.equal(numbers.size, 1, 'the second tab goes on with the first one’s number');
    assert.deepEqual(browser.asked.map(({ method }) => method), ['PUT', 'GET'], 'a creation in flight is not dropped');
    for (const request of browser.asked) await request.answer(200, order(request.orderNumber, 'pending', 1));
    assert.deepEqual([first.status, second.status], ['pending', 'pending']);
    await browser.pass(2_600);
    assert.equal(browser.only.tab, second);
  });

  it('also when the second order is known only to the proxy (409)', async (t) => {
    const { browser, first, second, orderNumber } = await two(t);
    browser.stored.clear();
    const third = new Tab('third');
    await third.command('start');
    const conflict = { code: 'order_live', order: order(orderNumber, 'pending', 5, { payUrl: 'https://pay.example/5' }) };
    await browser.only.answer(409, conflict);
    for (const tab of [first, second, third]) assert.equal(tab.checkout.status.payUrl, 'https://pay.example/5');
  });
});

describe('the lead goes to whoever the customer is with', () => {
  it('a leader that is closed is replaced at once, also by a hidden tab, which asks in its own time', async (t) => {
    for (const state of ['visible', 'hidden']) {
      await t.test(state, async (t) => {
        const { browser, first, second } = await two(t);
        await first.become(state);
        second.act(() => second.checkout.dispose());
        await settle();
        assert.equal(browser.locks.holder.tab, first);
        await browser.pass(state === 'visible' ? 0 : 60_000);
        assert.equal(browser.only.tab, first);
      });
    }
  });

  it('a leader that is frozen is replaced by a visible tab within 6 s', async (t) => {
    const { browser, first, second } = await two(t);
    second.isFrozen = true;
    await browser.pass(6_000);
    assert.ok(browser.asked.some(({ tab }) => tab === first));
    second.isFrozen = false;
    await browser.pass(10_000);
    assert.equal(browser.only.tab, first, 'it woke up, and follows');
  });

  it('a hidden tab never takes the lead from another one', async (t) => {
    const { browser, first, second } = await two(t);
    await first.become('hidden');
    second.isFrozen = true;
    await browser.pass(60_000);
    assert.ok(browser.asked.every(({ tab }) => tab === second));
    await first.become('visible');
    assert.ok(browser.asked.some(({ tab }) => tab === first), 'until the customer looks at it');
  });

  it('a visible tab takes it from one that is hidden, whichever is first', async (t) => {
    for (const order of ['hidden first', 'visible first']) {
      await t.test(order, async (t) => {
        const { browser, first, second } = await two(t);
        await first.become('hidden');
        await browser.pass(3_000);
        const steps = [() => second.become('hidden'), () => first.become('visible')];
        if (order === 'visible first') steps.reverse();
        for (const step of steps) await step();
        assert.equal(browser.only.tab, first);
      });
    }
  });

  it('of two visible tabs neither takes it from the other', async (t) => {
    const { browser, first, second } = await two(t);
    await first.become('hidden');
    await first.become('visible');
    await browser.pass(15_000);
    assert.equal(browser.only.tab, second);
  });

  it('a command takes it, and goes out at once', async (t) => {
    const { browser, first, second, orderNumber } = await two(t);
    await first.command('cancel');
    assert.equal(browser.only.tab, first);
    await browser.only.answer(200, order(orderNumber, 'pending', 2));
    assert.equal(browser.only.path, `/v1/orders/${orderNumber}/cancel`);
    await browser.only.answer(200, order(orderNumber, 'failed', 3));
    assert.equal(first.status, 'failed');
    assert.equal(browser.only.tab, second, 'the other one asks for itself');
    await browser.only.answer(200, order(orderNumber, 'failed', 3));
    assert.equal(second.checkout.status.failure.reason, 'cancelled');
    await expectQuiet(browser, first, second);
  });

  it('a page that goes into the back/forward cache hands it on, and takes it when it is back', async (t) => {
    const { browser, first, second } = await two(t);
    await second.hear(second.window, 'pagehide', { persisted: true });
    assert.equal(browser.only.tab, first);
    assert.ok([...browser.channels].every(({ tab }) => tab === first));
    await second.hear(second.window, 'pageshow', { persisted: true });
    assert.equal(browser.only.tab, second);
  });

  it('a hidden page that is frozen hands it on, and follows when it wakes', async (t) => {
    const { browser, first, second } = await two(t);
    await second.become('hidden');
    assert.equal(browser.only.tab, first);
    await first.become('hidden');
    await first.hear(first.document, 'freeze');
    assert.equal(browser.only.tab, second, 'hidden too, but awake');
    await first.hear(first.document, 'resume');
    assert.equal(browser.only.tab, second);
  });
});

describe('what is said on the channel', () => {
  it('nonsense and what others say there is ignored', async (t) => {
    const { browser, first, second, orderNumber } = await two(t);
    const [{ name }] = browser.channels;
    assert.match(name, /^payby-checkout:\d+\/1$/, 'the token is not in the name');
    const stranger = second.act(() => new BroadcastChannel(name));
    for (const message of [null, 7, 'paid', [], {}, { visible: 'yes' }, { visible: true, order: 7 }, { visible: true, order: [] }]) {
      stranger.postMessage(message);
      stranger.postMessage({ version: 2, order: order(orderNumber, 'paid', 9) });
    }
    await settle();
    assert.equal(first.status, 'pending');
    assert.ok(browser.asked.every(({ tab }) => tab === second), 'no reason to ask');
  });

  it('everything ends with the checkouts', async (t) => {
    for (const end of ['dispose', 'paid', 'stopped']) {
      await t.test(end, async (t) => {
        const { browser, first, second, orderNumber } = await two(t);
        if (end === 'dispose') for (const tab of [first, second]) tab.act(() => tab.checkout.dispose());
        const [status, json] = end === 'paid' ? [200, order(orderNumber, 'paid', 2)] : [404, { code: 'not_found' }];
        while (browser.asked.length > 0) await browser.only.answer(status, json);
        await expectQuiet(browser, first, second);
      });
    }
  });

  it('a command that was refused has taken nothing', async (t) => {
    const browser = new Browser(t);
    const tab = new Tab('tab');
    const { answer } = await tab.command('start', { scene: 'CASH' });
    await assert.rejects(answer, { code: 'invalid_argument' });
    await expectQuiet(browser, tab);
  });
});

describe('where tabs cannot talk, each asks for itself', () => {
  const denied = { request: () => Promise.reject(new DOMException('denied', 'SecurityError')) };
  for (const [name, options] of Object.entries({
    'no Web Locks': { locks: null },
    'no BroadcastChannel': { channel: false },
    'Web Locks denied': { locks: denied },
  })) {
    it(name, async (t) => {
      const { browser, first, second, orderNumber } = await two(t, options);
      await settle();
      for (const tab of [first, second]) {
        assert.ok(browser.asked.some((request) => request.tab === tab), 'each has its question');
        await tab.become('hidden');
        await tab.become('visible');
        await tab.hear(tab.window, 'pagehide', { persisted: true });
        await tab.hear(tab.window, 'pageshow', { persisted: true });
      }
      for (const request of browser.asked) await request.answer(200, order(orderNumber, 'paid', 2));
      assert.deepEqual([first.status, second.status], ['paid', 'paid']);
      browser.locks = { queue: [] };
      await expectQuiet(browser, first, second);
    });
  }
});
