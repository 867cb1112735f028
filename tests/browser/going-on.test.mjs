// One purchase, one order, whatever the customer does with the browser meanwhile.

import assert from 'node:assert/strict';
import { describe } from 'node:test';

import { customer, it } from './support/browser.mjs';
import { Middleman, arrivedBut, silence } from './support/middleman.mjs';
import { PAGE_URL, eventsOf, eventually, expectOrders, orderOf, pay } from './support/world.mjs';

describe('the same order goes on', { concurrency: 3 }, () => {
  it('after a reload while the payment is pending', async (t) => {
    const { purchase, openTab } = await customer(t);
    const tab = await openTab();
    const { status, orderNumber } = await tab.start({ scene: 'DYNQR' });
    assert.equal(status, 'pending');
    await tab.reload();
    assert.deepEqual(await tab.status(), { status: 'idle' }, 'nothing happens before it is asked for');
    assert.equal((await tab.resume()).orderNumber, orderNumber);
    await pay(orderNumber);
    await tab.expectPaid(orderNumber, purchase);
    await expectOrders(purchase, [[orderNumber, 'PAID_SUCCESS']]);
  });

  it('after a reload while the creation has not been answered', async (t) => {
    const middleman = await Middleman.start(t);
    const { purchase, openTab } = await customer(t, { proxy: middleman.url });
    const tab = await openTab();
    middleman.next('PUT', arrivedBut(silence));
    await tab.begin();
    const { merchantOrderNo: orderNumber } = await orderOf(purchase);
    await tab.reload();
    const { status, ...resumed } = await tab.resume();
    assert.equal(resumed.orderNumber, orderNumber);
    await pay(orderNumber);
    await tab.expectPaid(orderNumber, purchase);
    await expectOrders(purchase, [[orderNumber, 'PAID_SUCCESS']]);
  });

  it('when start() is called after a reload, where resume() should have been', async (t) => {
    const { purchase, openTab } = await customer(t);
    const tab = await openTab();
    const { orderNumber } = await tab.start();
    await tab.reload();
    assert.equal((await tab.start()).orderNumber, orderNumber);
    await pay(orderNumber);
    await tab.expectPaid(orderNumber, purchase);
    await tab.reload();
    assert.equal((await tab.start()).status, 'paid', 'a paid purchase is not paid again');
    await expectOrders(purchase, [[orderNumber, 'PAID_SUCCESS']]);
  });

  it('in another tab, after the first was closed', async (t) => {
    const { purchase, openTab } = await customer(t);
    const first = await openTab();
    const { orderNumber } = await first.start();
    await first.page.close();
    const second = await openTab();
    assert.equal((await second.resume()).orderNumber, orderNumber);
    await pay(orderNumber);
    await second.expectPaid(orderNumber, purchase);
    await expectOrders(purchase, [[orderNumber, 'PAID_SUCCESS']]);
  });

  it('when two tabs start at the same moment: one order, and both tabs learn that it is paid', async (t) => {
    const { purchase, openTab } = await customer(t);
    const tabs = [await openTab(), await openTab()];
    const [one, other] = await Promise.all(tabs.map((tab) => tab.start()));
    assert.equal(one.orderNumber, other.orderNumber);
    await pay(one.orderNumber);
    for (const tab of tabs) await tab.expectPaid(one.orderNumber, purchase);
    await expectOrders(purchase, [[one.orderNumber, 'PAID_SUCCESS']]);
  });

  it('when two tabs start again after a failure: one new order', async (t) => {
    const { purchase, openTab } = await customer(t);
    const tabs = [await openTab(), await openTab()];
    const [{ orderNumber: first }] = await Promise.all(tabs.map((tab) => tab.start()));
    await tabs[0].cancel();
    assert.equal((await tabs[1].result()).failure.reason, 'cancelled');
    const [one, other] = await Promise.all(tabs.map((tab) => tab.start()));
    assert.notEqual(one.orderNumber, first);
    assert.equal(one.orderNumber, other.orderNumber);
    await pay(one.orderNumber);
    for (const tab of tabs) await tab.expectPaid(one.orderNumber, purchase);
    await expectOrders(purchase, [[first, 'FAILURE'], [one.orderNumber, 'PAID_SUCCESS']]);
  });

  it('on another device, which has nothing saved', async (t) => {
    const { purchase, openTab, anotherDevice } = await customer(t);
    const tab = await openTab();
    const { orderNumber } = await tab.start();
    const elsewhere = await (await anotherDevice()).openTab();
    assert.equal((await elsewhere.resume()).orderNumber, orderNumber);
    await pay(orderNumber);
    for (const one of [tab, elsewhere]) await one.expectPaid(orderNumber, purchase);
  });

  it('and where a failed order is saved while another device has paid another: start() says paid', async (t) => {
    const { purchase, openTab, anotherDevice } = await customer(t);
    const tab = await openTab();
    const { orderNumber: first } = await tab.start();
    await tab.cancel();
    const elsewhere = await (await anotherDevice()).openTab();
    const { orderNumber: second } = await elsewhere.start();
    await pay(second);
    await elsewhere.expectPaid(second, purchase);
    await tab.reload();
    assert.equal((await tab.start()).status, 'paid');
    await tab.expectPaid(second, purchase);
    await expectOrders(purchase, [[first, 'FAILURE'], [second, 'PAID_SUCCESS']]);
  });

  it('when a page opens its checkout, disposes of it at once, and opens it again, as some frameworks do', async (t) => {
    const { purchase, openTab } = await customer(t);
    const tab = await openTab();
    await tab.page.evaluate(() => {
      for (const lasts of [false, true]) {
        const opened = createCheckout(globalThis.purchase);
        outcome(opened.start());
        if (lasts) globalThis.checkout = opened;
        else opened.dispose();
      }
    });
    const { orderNumber } = await tab.until('pending');
    await pay(orderNumber);
    await tab.expectPaid(orderNumber, purchase);
    await expectOrders(purchase, [[orderNumber, 'PAID_SUCCESS']]);
  });

  it('on a double click: two starts in one page are one', async (t) => {
    const { purchase, openTab } = await customer(t);
    const tab = await openTab();
    const both = await tab.page.evaluate(() => Promise.all([checkout.start(), checkout.start()]));
    assert.equal(both[0].orderNumber, both[1].orderNumber);
    await pay(both[0].orderNumber);
    await tab.expectPaid(both[0].orderNumber, purchase);
    await expectOrders(purchase, [[both[0].orderNumber, 'PAID_SUCCESS']]);
  });
});

describe('by way of the pay page', { concurrency: 3 }, () => {
  const payButton = (tab) => tab.page.getByRole('button', { name: /^pay/i });

  /** Starts, and follows the pay URL, as a shop's page does. */
  async function goToPayPage(tab) {
    const { orderNumber, payUrl } = await tab.start({ scene: 'PAYPAGE' });
    await tab.page.evaluate((url) => location.assign(url), payUrl);
    await payButton(tab).waitFor();
    return orderNumber;
  }

  /** Answers how many of PayBy's pages it took. */
  async function payThereAndReturn(tab) {
    await payButton(tab).click();
    // From AED 500 on, PayBy asks for a password.
    const password = tab.page.getByLabel('Payment password');
    const url = tab.page.url();
    await eventually('the password page, or the way back', async () => (await password.count()) > 0 || tab.page.url() !== url);
    const isAsked = (await password.count()) > 0;
    if (isAsked) {
      await password.fill('123456');
      await payButton(tab).click();
    }
    await tab.page.waitForURL('**/?returned');
    await tab.ready();
    return isAsked ? 2 : 1;
  }

  it('who has paid there and is sent back is told so', async (t) => {
    const { purchase, openTab } = await customer(t);
    const tab = await openTab();
    const orderNumber = await goToPayPage(tab);
    await payThereAndReturn(tab);
    await tab.resume();
    await tab.expectPaid(orderNumber, purchase);
    await expectOrders(purchase, [[orderNumber, 'PAID_SUCCESS']]);
  });

  it('being sent back is not being paid: who comes back without paying sees the order pending', async (t) => {
    const { purchase, openTab } = await customer(t);
    const tab = await openTab();
    const orderNumber = await goToPayPage(tab);
    await tab.page.goto(purchase.redirectUrl);
    await tab.ready();
    const { status, orderNumber: resumed } = await tab.resume();
    assert.deepEqual({ status, resumed }, { status: 'pending', resumed: orderNumber });
    await tab.expectOnly('unknown', 'pending');
  });

  it('who goes back with the back button and pays again pays one order, once', async (t) => {
    const { purchase, openTab } = await customer(t);
    const tab = await openTab();
    const orderNumber = await goToPayPage(tab);
    await tab.goBack();
    await tab.ready();
    assert.equal(await goToPayPage(tab), orderNumber);
    const pages = await payThereAndReturn(tab);
    await tab.goBack(pages + 1);
    await tab.page.waitForURL(`${PAGE_URL}/`, { waitUntil: 'commit' });
    await tab.ready();
    await tab.start({ scene: 'PAYPAGE' });
    await tab.expectPaid(orderNumber, purchase);
    await expectOrders(purchase, [[orderNumber, 'PAID_SUCCESS']]);
    const payments = (await eventsOf(orderNumber)).filter(({ action, changed }) => action === 'pay' && changed);
    assert.equal(payments.length, 1);
  });
});
