// What a page goes through: it is hidden and seen again, offline and back, without storage, with a wrong clock; it lets go.

import assert from 'node:assert/strict';
import { describe } from 'node:test';

import { inspectOrderNumber } from '../../pkg/order-number.js';
import { customer, it } from './support/browser.mjs';
import { Middleman, answers, silence, withoutPrefer } from './support/middleman.mjs';
import { eventually, expectOrders, lookFor, openPurchase, orderOf, pay } from './support/world.mjs';

/** A page whose backend is in our hands. */
async function shop(t, options) {
  const middleman = await Middleman.start(t);
  const { openTab, ...rest } = await customer(t, { proxy: middleman.url, ...options });
  return { middleman, openTab, ...rest, tab: await openTab() };
}

/** Waits until a question has been in flight for so long that a reason to look at once asks it anew. */
const inFlightForLong = (middleman) =>
  eventually('a question in flight for 2 s', () =>
    middleman.got('GET').some(({ at, gone }) => !gone && performance.now() - at > 2_100),
  );

describe('a page asks at once when there is a reason to', { concurrency: 4 }, () => {
  it('offline it asks nothing, and back online once, at once', async (t) => {
    const { middleman, purchase, context, tab } = await shop(t);
    // A question every two seconds, but for that.
    middleman.always('GET', withoutPrefer);
    const { orderNumber } = await tab.start();
    await eventually('a question', () => middleman.got('GET').length > 0);
    const asked = [];
    await context.setOffline(true);
    tab.page.on('request', (request) => asked.push(request.url()));
    await pay(orderNumber);
    await lookFor(3_000);
    assert.deepEqual(asked, [], 'not even tried');
    await tab.expectOnly('unknown', 'pending');
    const [back, before] = [performance.now(), middleman.got('GET').length];
    await context.setOffline(false);
    await tab.expectPaid(orderNumber, purchase);
    const [once, ...more] = middleman.got('GET').slice(before);
    assert.ok(once.at - back < 1_000, `${once.at - back} ms`);
    assert.deepEqual(more, []);
  });

  it('offline for a minute: one request at most, which had been begun, and one at once when it is back', async (t) => {
    const { middleman, purchase, context, tab } = await shop(t);
    // Its time passes only when it is told so.
    await tab.page.clock.install();
    await tab.page.clock.pauseAt(Date.now() + 60_000);
    // A question every two seconds, but for that.
    middleman.always('GET', withoutPrefer);
    const { orderNumber } = await tab.start();
    const answered = tab.page.waitForResponse((response) => response.request().method() === 'GET');
    // Which of the tabs asks is settled in time that nobody tells.
    await eventually('a question', async () => {
      await tab.page.clock.runFor(1_000);
      return middleman.got('GET').length > 0;
    });
    await (await answered).finished();
    const asked = [];
    tab.page.on('request', (request) => asked.push(`${request.method()} ${request.url()}`));
    await context.setOffline(true);
    await pay(orderNumber);
    await tab.page.clock.runFor(60_000);
    assert.ok(asked.length <= 1, String(asked));
    const before = asked.length;
    await context.setOffline(false);
    await tab.expectPaid(orderNumber, purchase);
    assert.equal(asked.length, before + 1, String(asked));
  });

  it('a start while offline is sent as soon as the page is online', async (t) => {
    const { middleman, purchase, context, tab } = await shop(t);
    await context.setOffline(true);
    await tab.begin();
    await tab.until('unknown');
    assert.deepEqual(middleman.requests, []);
    await context.setOffline(false);
    const { orderNumber } = await tab.until('pending');
    await pay(orderNumber);
    await tab.expectPaid(orderNumber, purchase);
    await expectOrders(purchase, [[orderNumber, 'PAID_SUCCESS']]);
  });

  // Headless Chromium never hides a page that is driven, so the page is only told so.
  it('hidden and seen again: it asks at once instead of later', async (t) => {
    const { middleman, purchase, tab } = await shop(t);
    middleman.always('GET', async (exchange) => {
      const { body } = await exchange.forward({ ...exchange.headers, prefer: '', 'if-none-match': '' });
      const later = { ...JSON.parse(body), nextPollMs: 600_000 };
      exchange.answer(200, { 'content-type': 'application/json' }, JSON.stringify(later));
    });
    const answered = tab.page.waitForResponse((response) => response.request().method() === 'GET');
    const { orderNumber } = await tab.start();
    await (await answered).finished();
    await pay(orderNumber);
    const become = (state) =>
      tab.page.evaluate((state) => {
        Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      }, state);
    await become('hidden');
    await lookFor(500);
    assert.equal(middleman.got('GET').length, 1, 'hidden, it has no reason to ask');
    await become('visible');
    await tab.expectPaid(orderNumber, purchase);
    assert.equal(middleman.got('GET').length, 2);
  });

  it('shown again from the back/forward cache, it asks its question anew', async (t) => {
    const { middleman, purchase, tab } = await shop(t);
    middleman.next('GET', silence);
    const { orderNumber, payUrl } = await tab.start({ scene: 'PAYPAGE' });
    await inFlightForLong(middleman);
    await tab.page.evaluate(() => {
      globalThis.kept = false;
      addEventListener('pageshow', ({ persisted }) => (globalThis.kept = persisted));
    });
    await tab.page.goto(payUrl);
    await pay(orderNumber);
    await tab.goBack();
    await tab.page.waitForFunction(() => globalThis.kept);
    const back = performance.now();
    await tab.expectPaid(orderNumber, purchase);
    assert.ok(performance.now() - back < 5_000, 'long before the question from before would be given up');
  });
});

describe('a page does without', { concurrency: 4 }, () => {
  const DENIED = () =>
    Object.defineProperty(globalThis, 'localStorage', {
      get() {
        throw new DOMException('denied', 'SecurityError');
      },
    });
  const FULL = () => {
    Storage.prototype.setItem = () => {
      throw new DOMException('full', 'QuotaExceededError');
    };
  };

  for (const [name, init] of Object.entries({ denied: DENIED, full: FULL })) {
    it(`storage, ${name}: after a reload it asks the proxy for the order, and pays it`, async (t) => {
      const { middleman, purchase, tab } = await shop(t, { init });
      const { orderNumber } = await tab.start();
      await tab.reload();
      assert.equal((await tab.resume()).orderNumber, orderNumber);
      assert.equal(middleman.got('GET').filter(({ path }) => path === '/v1/purchase').length, 1);
      await pay(orderNumber);
      await tab.expectPaid(orderNumber, purchase);
      await expectOrders(purchase, [[orderNumber, 'PAID_SUCCESS']]);
    });

    it(`storage, ${name}: start() after a reload goes on with the same order`, async (t) => {
      const { purchase, tab } = await shop(t, { init });
      const { orderNumber } = await tab.start();
      await tab.reload();
      assert.equal((await tab.start()).orderNumber, orderNumber);
      await pay(orderNumber);
      await tab.expectPaid(orderNumber, purchase);
      await expectOrders(purchase, [[orderNumber, 'PAID_SUCCESS']]);
    });
  }

  it('storage in which somebody has put nonsense: it asks the proxy', async (t) => {
    const { purchase, tab } = await shop(t);
    const { orderNumber } = await tab.start();
    await tab.page.evaluate(() => Object.keys(localStorage).forEach((key) => localStorage.setItem(key, '1 <script> DYNQR')));
    await tab.reload();
    assert.equal((await tab.resume()).orderNumber, orderNumber);
    await pay(orderNumber);
    await tab.expectPaid(orderNumber, purchase);
  });

  const setClock = (skew) => {
    const { now } = Date;
    Date.now = () => now() + skew;
  };

  for (const minutes of [-10, 10]) {
    it(`the right time, its clock ${minutes} minutes off: the order number tells it, nothing else minds`, async (t) => {
      const skew = minutes * 60_000;
      const init = [setClock, skew];
      const begun = Date.now();
      const { purchase, tab } = await shop(t, { init });
      const { orderNumber, expiresInMs } = await tab.start();
      const madeAt = inspectOrderNumber(orderNumber).madeAt.getTime();
      assert.ok(begun + skew <= madeAt && madeAt <= Date.now() + skew, new Date(madeAt).toISOString());
      assert.ok(expiresInMs > 1_700_000 && expiresInMs <= 1_800_000, `half an hour to pay: ${expiresInMs} ms`);
      await pay(orderNumber);
      await tab.expectPaid(orderNumber, purchase);
    });
  }

  it('a clock that stays: it is set an hour on while the payment is pending, and the order is not given up', async (t) => {
    const { middleman, purchase, tab } = await shop(t);
    middleman.always('GET', withoutPrefer);
    const { orderNumber } = await tab.start();
    await tab.page.evaluate(setClock, 3_600_000);
    const asked = middleman.got('GET').length;
    await eventually('two more questions', () => middleman.got('GET').length >= asked + 2);
    await tab.expectOnly('unknown', 'pending');
    await pay(orderNumber);
    await tab.expectPaid(orderNumber, purchase);
    assert.deepEqual(middleman.got('POST'), [], 'nothing was cancelled');
  });
});

/** In the page: what comes of everything that can be waited for. */
const allWaysToHear = () => Promise.all([checkout.start(), checkout.result, iterated()].map(outcome));

describe('a token that is not accepted', { concurrency: 4 }, () => {
  const rejected = ({ error }) => {
    const { ours, name, code, details } = error;
    assert.deepEqual(
      { ours, name, code, httpStatus: details.httpStatus },
      { ours: true, name: 'PaybyCheckoutError', code: 'token_rejected', httpStatus: 404 },
    );
  };

  it('is said by start(), by result and by iterating, and creates nothing', async (t) => {
    const { purchase, tab } = await shop(t, { token: 'A'.repeat(32) });
    const outcomes = await tab.page.evaluate(allWaysToHear);
    outcomes.forEach(rejected);
    await expectOrders(purchase, []);
    tab.expectNoComplaints();
  });

  it('in mid-payment: the page is told, and with another token the same order goes on', async (t) => {
    const { middleman, purchase, context, tab } = await shop(t);
    middleman.always('GET', answers(404, { 'content-type': 'application/problem+json' }, '{"code":"not_found"}'));
    const { orderNumber } = await tab.start();
    rejected(await tab.page.evaluate(() => outcome(checkout.result)));
    middleman.beHonest();
    const { reference, amount, currency, subject, redirectUrl } = purchase;
    const { token } = await openPurchase({ reference, amount, currency, subject, redirectUrl });
    await context.addInitScript((token) => (globalThis.purchase.token = token), token);
    await tab.reload();
    assert.equal((await tab.start()).orderNumber, orderNumber);
    await pay(orderNumber);
    await tab.expectPaid(orderNumber, purchase);
    await expectOrders(purchase, [[orderNumber, 'PAID_SUCCESS']]);
  });
});

describe('a page that lets go has let go of everything', { concurrency: 4 }, () => {
  /** Counts listeners of the page, timers that wait, and channels. */
  const counting = () => {
    const listeners = new Map();
    const timers = new Set();
    const channels = new Set();
    const { BroadcastChannel } = window;
    window.BroadcastChannel = class extends BroadcastChannel {
      constructor(name) {
        super(name);
        channels.add(this);
      }
      close() {
        channels.delete(this);
        super.close();
      }
    };
    for (const target of [window, document]) {
      const { addEventListener, removeEventListener } = target;
      target.addEventListener = (type, listener, ...rest) => {
        listeners.set(listener, type);
        addEventListener.call(target, type, listener, ...rest);
      };
      target.removeEventListener = (type, listener, ...rest) => {
        listeners.delete(listener);
        removeEventListener.call(target, type, listener, ...rest);
      };
    }
    const { setTimeout } = window;
    window.setTimeout = (run, ...rest) => {
      const fire = () => {
        timers.delete(timer);
        run();
      };
      const timer = setTimeout(fire, ...rest);
      timers.add(timer);
      return timer;
    };
    const { setInterval } = window;
    window.setInterval = (...rest) => {
      const timer = setInterval(...rest);
      timers.add(timer);
      return timer;
    };
    for (const clear of ['clearTimeout', 'clearInterval']) {
      const { [clear]: original } = window;
      window[clear] = (timer) => {
        timers.delete(timer);
        original(timer);
      };
    }
    globalThis.countFromHere = () => (listeners.clear(), timers.clear());
    globalThis.holds = async () => {
      const { held, pending } = await navigator.locks.query();
      const names = [...listeners.values()].sort();
      return { listeners: names, timers: timers.size, channels: channels.size, locks: held.length + pending.length };
    };
  };
  const WATCHING = ['focus', 'freeze', 'offline', 'online', 'pagehide', 'pageshow', 'resume', 'visibilitychange'];
  const NOTHING = { listeners: [], timers: 0, channels: 0, locks: 0 };
  const holds = (tab) => tab.page.evaluate(() => holds());

  /** A page in which is counted what the package holds; what drives the page has listeners of its own there. */
  async function countedShop(t, options) {
    const opened = await shop(t, { init: counting, ...options });
    await opened.tab.page.evaluate(() => countFromHere());
    return opened;
  }

  /** It holds nothing, has nothing in flight, and asks nothing more, whatever it hears. */
  async function expectQuiet({ tab, middleman }) {
    // A lock that was just asked for is given back once it has been given.
    await eventually('no lock', async () => (await holds(tab)).locks === 0);
    assert.deepEqual(await holds(tab), NOTHING);
    const asked = middleman.requests.length;
    await tab.page.evaluate(() => {
      for (const type of ['online', 'pagehide', 'pageshow', 'offline', 'online', 'focus']) dispatchEvent(new Event(type));
      for (const type of ['visibilitychange', 'freeze', 'resume']) document.dispatchEvent(new Event(type));
    });
    await lookFor(3_000);
    assert.equal(middleman.requests.length, asked, 'no request');
    assert.deepEqual(await holds(tab), NOTHING);
    tab.expectNoComplaints();
  }

  it('when idle it holds nothing', async (t) => {
    const { middleman, tab } = await countedShop(t);
    await expectQuiet({ tab, middleman });
    assert.deepEqual(await tab.resume(), { status: 'idle' });
    await expectQuiet({ tab, middleman });
  });

  const WAYS = { 'dispose()': () => checkout.dispose(), 'its AbortSignal': () => aborter.abort() };
  for (const [name, letGo] of Object.entries(WAYS)) {
    it(`by ${name}: the question in flight is aborted, and the order goes on without it`, async (t) => {
      const { middleman, purchase, tab } = await countedShop(t);
      const { orderNumber } = await tab.start();
      const [question] = await eventually('a question', () => middleman.got('GET').length > 0 && middleman.got('GET'));
      const { listeners, timers, channels, locks } = await holds(tab);
      assert.deepEqual(listeners, WATCHING);
      assert.ok(timers > 0);
      assert.deepEqual({ channels, locks }, { channels: 1, locks: 1 });
      await tab.page.evaluate(letGo);
      await eventually('the end of the question', () => question.gone);
      await expectQuiet({ tab, middleman });
      const outcomes = await tab.page.evaluate(allWaysToHear);
      assert.deepEqual(outcomes.map(({ error }) => error?.code), ['aborted', 'aborted', 'aborted']);
      await tab.reload();
      assert.equal((await tab.resume()).orderNumber, orderNumber);
      await pay(orderNumber);
      await tab.expectPaid(orderNumber, purchase);
    });
  }

  it('by dispose() while the creation is in flight: that is aborted, and the order is found again', async (t) => {
    const { middleman, purchase, tab } = await countedShop(t);
    middleman.next('PUT', async (exchange) => void (await exchange.forward()));
    await tab.begin();
    const { merchantOrderNo: orderNumber } = await orderOf(purchase);
    await tab.page.evaluate(() => checkout.dispose());
    await eventually('the end of the creation', () => middleman.got('PUT')[0].gone);
    await expectQuiet({ tab, middleman });
    await tab.reload();
    assert.equal((await tab.resume()).orderNumber, orderNumber);
  });

  it('by its result', async (t) => {
    const { middleman, purchase, tab } = await countedShop(t);
    const { orderNumber } = await tab.start();
    await pay(orderNumber);
    await tab.expectPaid(orderNumber, purchase);
    await expectQuiet({ tab, middleman });
  });

  it('by a failure, after which start() watches again', async (t) => {
    const { middleman, purchase, tab } = await countedShop(t);
    await tab.start();
    await tab.cancel();
    await expectQuiet({ tab, middleman });
    const { orderNumber } = await tab.start();
    assert.deepEqual((await holds(tab)).listeners, WATCHING);
    await pay(orderNumber);
    await tab.expectPaid(orderNumber, purchase);
    await expectQuiet({ tab, middleman });
  });

  it('by a start() that refuses its argument', async (t) => {
    const { middleman, tab } = await countedShop(t);
    const { error } = await tab.page.evaluate(() => outcome(checkout.start({ scene: 'CASH' })));
    assert.equal(error.code, 'invalid_argument');
    await expectQuiet({ tab, middleman });
  });

  it('by dispose() in a listener, before anything was sent', async (t) => {
    const { middleman, tab } = await countedShop(t);
    await tab.page.evaluate(() => {
      checkout.subscribe(() => checkout.dispose());
      outcome(checkout.start());
    });
    await expectQuiet({ tab, middleman });
    assert.deepEqual(middleman.requests, []);
  });

  it('by an error', async (t) => {
    const { middleman, tab } = await countedShop(t, { token: 'A'.repeat(32) });
    await tab.page.evaluate(() => outcome(checkout.start()));
    await expectQuiet({ tab, middleman });
  });
});

describe('a page that watches many purchases, one after another', () => {
  /** Every order number is paid at the first question; and what WebAssembly's memory grows to can be seen. */
  const paysAtOnce = () => {
    globalThis.memories = [];
    const { Instance } = WebAssembly;
    WebAssembly.Instance = function (...given) {
      const instance = new Instance(...given);
      globalThis.memories.push(instance.exports.memory);
      return instance;
    };
    globalThis.fetch = async (url, { method }) => {
      const orderNumber = String(url).split('/').at(-1);
      const amount = { amount: '12.50', currency: 'AED' };
      const [status, gatewayStatus, version] = method === 'PUT' ? ['pending', 'CREATED', 1] : ['paid', 'PAID_SUCCESS', 2];
      return Response.json({ orderNumber, status, gatewayStatus, revoked: false, amount, scene: 'DYNQR', version, expiresInMs: 60_000 });
    };
    globalThis.watchMany = async (count) => {
      for (let i = 0; i < count; i++) {
        const checkout = createCheckout({ proxy: 'http://127.0.0.1', token: crypto.randomUUID() });
        await checkout.start();
        // The page is looked at again: it asks at once.
        dispatchEvent(new Event('online'));
        const { status } = await checkout.result;
        if (status !== 'paid') throw new Error(status);
        checkout.dispose();
        localStorage.clear();
      }
    };
  };

  it('uses no more memory after ten thousand of them than after a thousand', async (t) => {
    const { context, tab } = await shop(t, { init: paysAtOnce });
    const session = await context.newCDPSession(tab.page);
    const use = async () => {
      await session.send('HeapProfiler.collectGarbage');
      const { usedSize } = await session.send('Runtime.getHeapUsage');
      const wasm = await tab.page.evaluate(() => memories.map(({ buffer }) => buffer.byteLength));
      return { heap: usedSize, wasm };
    };
    tab.page.setDefaultTimeout(0);
    await tab.page.evaluate(() => watchMany(1_000));
    const before = await use();
    await tab.page.evaluate(() => watchMany(9_000));
    const after = await use();
    t.diagnostic(`after 1,000: ${JSON.stringify(before)}; after 10,000: ${JSON.stringify(after)}`);
    assert.deepEqual(after.wasm, before.wasm);
    assert.ok(after.heap - before.heap < 200_000, `${after.heap - before.heap} bytes more: ${(after.heap - before.heap) / 9_000} a watch`);
    assert.deepEqual(await tab.page.evaluate(async () => (await navigator.locks.query()).held), []);
  });
});
