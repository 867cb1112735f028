// Several tabs of one browser watch one purchase: one of them asks, and all of them learn.

import assert from 'node:assert/strict';
import { describe } from 'node:test';

import { customer, it } from './support/browser.mjs';
import { Middleman } from './support/middleman.mjs';
import { eventually, expectOrders, lookFor, pay } from './support/world.mjs';

/** How soon a leader that is gone is replaced. */
const REPLACED_WITHIN_MS = 6_000;

/** A backend that is asked again after this long, which is far shorter than any real one's: so there is much to count. */
const askedEvery = (ms) => async (exchange) => {
  const { status, headers, body } = (await exchange.forward({ ...exchange.headers, prefer: '', 'if-none-match': '' })) ?? {};
  if (status !== 200) return exchange.reset();
  exchange.answer(200, { 'content-type': headers['content-type'] }, JSON.stringify({ ...JSON.parse(body), nextPollMs: ms }));
};

/** A customer whose requests can be counted, by tab. */
async function shop(t, options) {
  const middleman = await Middleman.start(t);
  const { openTab, ...rest } = await customer(t, { proxy: middleman.url, ...options });
  let count = 0;
  const open = async () => {
    const tab = await openTab();
    const name = String((count += 1));
    // The requests say whose they are.
    await tab.page.evaluate((name) => {
      const { fetch } = globalThis;
      globalThis.fetch = (url, init) => fetch(url, { ...init, headers: { ...init.headers, prefer: `${init.headers.prefer ?? ''}; tab=${name}` } });
    }, name);
    return Object.assign(tab, {
      asked: () => middleman.requests.filter(({ headers }) => headers.prefer?.endsWith(`; tab=${name}`)).length,
    });
  };
  return { middleman, open, ...rest };
}

/** Two tabs that watch a pending order, and which of them asks. */
async function leaderAndFollower(t, options) {
  const { middleman, open, ...rest } = await shop(t, options);
  middleman.always('GET', askedEvery(300));
  const follower = await open();
  const { orderNumber } = await follower.start();
  const leader = await open();
  assert.equal((await leader.start()).orderNumber, orderNumber, 'one order');
  const before = follower.asked();
  const led = leader.asked();
  await eventually('the last one touched asks', () => leader.asked() >= led + 5);
  assert.ok(follower.asked() <= before + 1, `the other one has asked ${follower.asked() - before} times meanwhile`);
  return { middleman, leader, follower, orderNumber, ...rest };
}

/** The follower takes over and ends paid. */
async function expectReplaced({ follower, orderNumber, purchase }, gone) {
  const asked = follower.asked();
  const since = performance.now();
  await gone();
  await eventually('the other tab asks', () => follower.asked() > asked);
  const took = performance.now() - since;
  assert.ok(took <= REPLACED_WITHIN_MS, `${took} ms`);
  await pay(orderNumber);
  await follower.expectPaid(orderNumber, purchase);
  await expectOrders(purchase, [[orderNumber, 'PAID_SUCCESS']]);
}

describe('of several tabs one asks', { concurrency: 3 }, () => {
  it('two tabs ask at most 1.05 times as often as one, make one order, and both learn that it is paid', async (t) => {
    /** Has so many tabs watch until the proxy has been asked a hundred questions; answers how many requests they made in all. */
    const requestsOf = async (tabs) => {
      const { middleman, open, purchase } = await shop(t);
      let questions = 0;
      let orderNumber;
      const answer = askedEvery(50);
      middleman.always('GET', async (exchange) => {
        if (++questions === 100) await pay(orderNumber);
        await answer(exchange);
      });
      const opened = [];
      for (let i = 0; i < tabs; i++) opened.push(await open());
      const [first, ...others] = await Promise.all(opened.map((tab) => tab.start()));
      ({ orderNumber } = first);
      for (const other of others) assert.equal(other.orderNumber, orderNumber);
      for (const tab of opened) await tab.expectPaid(orderNumber, purchase);
      await expectOrders(purchase, [[orderNumber, 'PAID_SUCCESS']]);
      return middleman.requests.length;
    };
    const [one, two] = await Promise.all([requestsOf(1), requestsOf(2)]);
    t.diagnostic(`one tab: ${one} requests; two tabs: ${two}`);
    assert.ok(two <= one * 1.05, `one tab: ${one} requests; two tabs: ${two}`);
  });

  it('the leader is closed: the other one goes on', async (t) => {
    const shop = await leaderAndFollower(t);
    await expectReplaced(shop, () => shop.leader.page.close());
  });

  // Headless Chromium does not freeze a page that it takes to be visible, so it is stopped where it stands.
  it('the leader is frozen without a warning: the other one goes on', async (t) => {
    const shop = await leaderAndFollower(t);
    const session = await shop.context.newCDPSession(shop.leader.page);
    await session.send('Debugger.enable');
    await expectReplaced(shop, () => session.send('Debugger.pause'));
    const asked = shop.leader.asked();
    await session.send('Debugger.resume');
    await shop.leader.expectPaid(shop.orderNumber, shop.purchase);
    assert.ok(shop.leader.asked() <= asked + 2, 'thawed, it asks for itself once, and is done');
  });

  it('the browser says that it will freeze the leader: the other one goes on', async (t) => {
    const shop = await leaderAndFollower(t);
    await expectReplaced(shop, () => shop.leader.page.evaluate(() => document.dispatchEvent(new Event('freeze'))));
  });

  it('the leader is disposed of, or navigates away: the other one goes on', async (t) => {
    const shop = await leaderAndFollower(t);
    await expectReplaced(shop, () => shop.leader.page.evaluate(() => checkout.dispose()));
    const another = await leaderAndFollower(t);
    await expectReplaced(another, () => another.leader.page.goto('about:blank'));
  });

  it('the leader is hidden: the one that is seen asks', async (t) => {
    const shop = await leaderAndFollower(t);
    await expectReplaced(shop, () =>
      shop.leader.page.evaluate(() => {
        Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      }),
    );
  });

  it('the customer cancels in the tab that follows: it is cancelled, and both say so', async (t) => {
    const { leader, follower, purchase, orderNumber } = await leaderAndFollower(t);
    assert.equal((await follower.cancel()).failure.reason, 'cancelled');
    assert.equal((await leader.result()).failure.reason, 'cancelled');
    await expectOrders(purchase, [[orderNumber, 'FAILURE']]);
  });

  it('the leader starts again after a failure: the other tab, told to start, goes on with the new order', async (t) => {
    const { leader, follower, purchase, orderNumber } = await leaderAndFollower(t);
    await leader.cancel();
    await follower.result();
    const { orderNumber: next } = await leader.start();
    assert.equal((await follower.start()).orderNumber, next);
    await pay(next);
    for (const tab of [leader, follower]) await tab.expectPaid(next, purchase);
    await expectOrders(purchase, [[orderNumber, 'FAILURE'], [next, 'PAID_SUCCESS']]);
  });
});

describe('what is said between tabs is a reason to ask, not an answer', { concurrency: 3 }, () => {
  /** Any script of the shop's origin can say anything on the channel. This one repeats what it heard, changed. */
  const listening = () => {
    const { BroadcastChannel } = globalThis;
    globalThis.BroadcastChannel = class extends BroadcastChannel {
      constructor(name) {
        super(name);
        globalThis.channelName = name;
      }
    };
  };

  const say = (tab, change) =>
    tab.page.evaluate(async (change) => {
      const channel = new BroadcastChannel(globalThis.channelName);
      const heard = await new Promise((resolve) => {
        channel.addEventListener('message', ({ data }) => data?.order && resolve(data));
      });
      const order = { ...heard.order, ...change.order };
      for (const message of [change.message ?? { ...heard, order }].flat()) channel.postMessage(message);
      channel.close();
    }, change);

  it('a forged "paid" is asked about, and not shown', async (t) => {
    const { leader, follower, orderNumber, purchase } = await leaderAndFollower(t, { init: listening });
    const asked = follower.asked();
    await say(leader, { order: { status: 'paid', gatewayStatus: 'PAID_SUCCESS', version: 99 } });
    await eventually('the tab asks for itself', () => follower.asked() > asked);
    await lookFor(1_000);
    await follower.expectOnly('unknown', 'pending');
    await pay(orderNumber);
    for (const tab of [leader, follower]) await tab.expectPaid(orderNumber, purchase);
  });

  it('another amount, another order, and nonsense change nothing', async (t) => {
    const { leader, follower, orderNumber, purchase } = await leaderAndFollower(t, { init: listening, tellsAmount: true });
    const before = await follower.status();
    await say(leader, { order: { amount: { amount: '0.01', currency: 'AED' }, payUrl: 'https://elsewhere.example/' } });
    await say(leader, { order: { orderNumber: 'ANOTHER', payUrl: 'https://elsewhere.example/' } });
    const nonsense = [null, 7, 'paid', [], {}, { visible: true, order: 'paid' }, { visible: 'yes', order: {} }];
    await say(leader, { message: nonsense });
    await lookFor(1_000);
    const after = await follower.status();
    assert.deepEqual({ ...after, expiresInMs: 0 }, { ...before, expiresInMs: 0 });
    await pay(orderNumber);
    for (const tab of [leader, follower]) await tab.expectPaid(orderNumber, purchase);
  });
});

describe('a browser without what tabs need to talk', { concurrency: 3 }, () => {
  const WITHOUT = {
    'Web Locks': () => Object.defineProperty(Navigator.prototype, 'locks', { value: undefined }),
    BroadcastChannel: () => delete globalThis.BroadcastChannel,
    'permission for them': () => {
      LockManager.prototype.request = () => Promise.reject(new DOMException('denied', 'SecurityError'));
    },
  };
  for (const [name, init] of Object.entries(WITHOUT)) {
    it(`without ${name} each tab asks for itself: one order, and both learn that it is paid`, async (t) => {
      const { open, purchase } = await shop(t, { init });
      const tabs = [await open(), await open()];
      const [one, other] = await Promise.all(tabs.map((tab) => tab.start()));
      assert.equal(one.orderNumber, other.orderNumber);
      await pay(one.orderNumber);
      for (const tab of tabs) await tab.expectPaid(one.orderNumber, purchase);
      await expectOrders(purchase, [[one.orderNumber, 'PAID_SUCCESS']]);
    });
  }
});
