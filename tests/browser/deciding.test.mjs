// What PayBy decides is what a page says, and after a failure a new order may begin: after it, never before (R4).

import assert from 'node:assert/strict';
import { describe } from 'node:test';

import { customer, it } from './support/browser.mjs';
import { Middleman, arrivedBut, reset, silence } from './support/middleman.mjs';
import { decline, eventsOf, eventually, expectOrders, letTimePass, pay } from './support/world.mjs';

/** The number of the first event that fits. */
const when = (events, fits) => events.find(fits)?.seq ?? assert.fail(`no such event: ${fits}`);

const placed = ({ path }) => path?.endsWith('placeOrder');
const cancelled = ({ path, code }) => path?.endsWith('cancelOrder') && code === '0';
const declined = ({ action }) => action === 'decline';

function expectFailed({ status, failure }, reason) {
  assert.deepEqual({ status, reason: failure?.reason }, { status: 'failed', reason });
}

describe('a decision is told as it is', { concurrency: 3 }, () => {
  it('a cancel that wins ends cancelled, and start() makes a new order, after the first has failed', async (t) => {
    const { purchase, openTab } = await customer(t);
    const tab = await openTab();
    const { orderNumber: first } = await tab.start();
    const { orderNumber, ...end } = await tab.cancel();
    assert.equal(orderNumber, first);
    expectFailed(end, 'cancelled');
    const { status: again, orderNumber: second } = await tab.start();
    assert.equal(again, 'pending');
    assert.notEqual(second, first);
    await pay(second);
    await tab.expectPaid(second, purchase);
    await expectOrders(purchase, [[first, 'FAILURE'], [second, 'PAID_SUCCESS']]);
    assert.ok(when(await eventsOf(first), cancelled) < when(await eventsOf(second), placed));
  });

  it('a cancel that loses to the payment ends paid', async (t) => {
    const middleman = await Middleman.start(t);
    const { purchase, openTab } = await customer(t, { proxy: middleman.url });
    const tab = await openTab();
    // The page cannot learn of the payment before it cancels.
    middleman.always('GET', silence);
    const { orderNumber } = await tab.start();
    await pay(orderNumber);
    assert.equal((await tab.cancel()).status, 'paid');
    await tab.expectOnly('unknown', 'pending', 'paid');
    await tab.expectPaid(orderNumber, purchase);
    await expectOrders(purchase, [[orderNumber, 'PAID_SUCCESS']]);
  });

  it('a cancel whose answer is lost is cancelled all the same, and is not told before it is known', async (t) => {
    const middleman = await Middleman.start(t);
    const { purchase, openTab } = await customer(t, { proxy: middleman.url });
    const tab = await openTab();
    const { orderNumber } = await tab.start();
    middleman.next('POST', arrivedBut(reset));
    expectFailed(await tab.cancel(), 'cancelled');
    assert.equal(middleman.got('POST').length, 1, 'a question has found it cancelled');
    await expectOrders(purchase, [[orderNumber, 'FAILURE']]);
  });

  it('a cancel that never arrives is sent again, 3 s later (R9)', async (t) => {
    const middleman = await Middleman.start(t);
    const { purchase, openTab } = await customer(t, { proxy: middleman.url });
    const tab = await openTab();
    const { orderNumber } = await tab.start();
    middleman.next('POST', reset);
    expectFailed(await tab.cancel(), 'cancelled');
    const [first, second] = middleman.got('POST');
    assert.ok(second.at - first.at >= 2_950, `${second.at - first.at} ms`);
    await expectOrders(purchase, [[orderNumber, 'FAILURE']]);
  });

  it('a cancel of an order whose creation never arrived is not told before PayBy has said so (R8)', async (t) => {
    const middleman = await Middleman.start(t);
    const { purchase, openTab } = await customer(t, { proxy: middleman.url });
    const tab = await openTab();
    middleman.next('PUT', reset);
    await tab.begin();
    await eventually('the creation', () => middleman.got('PUT').length > 0);
    const { orderNumber, ...end } = await tab.cancel();
    expectFailed(end, 'cancelled');
    await expectOrders(purchase, [[orderNumber, 'FAILURE']]);
    const changing = middleman.requests.map(({ method }) => method).filter((method) => method !== 'GET');
    assert.deepEqual(changing, ['PUT', 'PUT', 'POST'], 'asked about, created again, and cancelled');
  });

  it('start() while cancelling waits for the end of the old order, and then makes a new one', async (t) => {
    const middleman = await Middleman.start(t);
    const { purchase, openTab } = await customer(t, { proxy: middleman.url });
    const tab = await openTab();
    const { orderNumber: first } = await tab.start();
    middleman.next('POST', reset);
    await tab.page.evaluate(() => {
      outcome(checkout.cancel());
      outcome(checkout.start());
    });
    const { orderNumber: second } = await eventually('a second order', async () => {
      const status = await tab.status();
      return status.status === 'pending' && status.orderNumber !== first && status;
    });
    await pay(second);
    await tab.expectPaid(second, purchase);
    await expectOrders(purchase, [[first, 'FAILURE'], [second, 'PAID_SUCCESS']]);
    assert.ok(when(await eventsOf(first), cancelled) < when(await eventsOf(second), placed));
  });

  it('a declined payment ends declined, and start() makes a new order, after the first has failed', async (t) => {
    const { purchase, openTab } = await customer(t);
    const tab = await openTab();
    const { orderNumber: first } = await tab.start();
    await decline(first);
    expectFailed(await tab.result(), 'declined');
    const { orderNumber: second } = await tab.start();
    assert.notEqual(second, first);
    await pay(second);
    await tab.expectPaid(second, purchase);
    await expectOrders(purchase, [[first, 'FAILURE'], [second, 'PAID_SUCCESS']]);
    assert.ok(when(await eventsOf(first), declined) < when(await eventsOf(second), placed));
  });

  it('an order that start() went on with, declined: told, and no other begins by itself', async (t) => {
    const { purchase, openTab } = await customer(t);
    const tab = await openTab();
    const { orderNumber } = await tab.start();
    await tab.reload();
    assert.equal((await tab.start()).orderNumber, orderNumber);
    await decline(orderNumber);
    expectFailed(await tab.result(), 'declined');
    await expectOrders(purchase, [[orderNumber, 'FAILURE']]);
  });

  it('an order that start() went on with, cancelled: told, and no other begins by itself', async (t) => {
    const { purchase, openTab } = await customer(t);
    const tab = await openTab();
    const { orderNumber } = await tab.start();
    await tab.reload();
    assert.equal((await tab.start()).orderNumber, orderNumber);
    assert.equal((await tab.cancel()).failure.reason, 'cancelled');
    await expectOrders(purchase, [[orderNumber, 'FAILURE']]);
  });

  it('after a reload a declined order is still declined, and a paid one still paid', async (t) => {
    const { purchase, openTab } = await customer(t);
    const tab = await openTab();
    const { orderNumber: first } = await tab.start();
    await decline(first);
    await tab.result();
    await tab.reload();
    assert.equal((await tab.resume()).failure.reason, 'declined');
    const { orderNumber: second } = await tab.start();
    await pay(second);
    await tab.result();
    await tab.reload();
    await tab.resume();
    await tab.expectPaid(second, purchase);
  });

  it('an order whose time is up ends expired', async (t) => {
    const { purchase, openTab } = await customer(t, { payWithinMs: 60_000 });
    const tab = await openTab();
    const { orderNumber } = await tab.start();
    await letTimePass(61_000);
    expectFailed(await tab.result(), 'expired');
    await expectOrders(purchase, [[orderNumber, 'FAILURE']]);
  });
});
