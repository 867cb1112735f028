// The customer's browser: one Chromium for a file of tests, and for each test a context of its own, with storage of its own.
//
// Environment: CHROMIUM, the browser.

import assert from 'node:assert/strict';
import { after, before, it as test } from 'node:test';
import { chromium } from 'playwright-core';

import { PAGE_URL, PROXY_URL, eventually, openPurchase } from './world.mjs';

let browser;

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking'],
    // Customers' browsers have one.
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
  });
});

after(() => browser?.close());

/** A test. None takes as long as its limit; one that waits for ever is an error. */
export const it = (name, body) => test(name, { timeout: 60_000 }, body);

/**
 * A customer with a purchase to pay. `proxy` is where its pages find the proxy; `token`, what they show it instead of the
 * right one; `tellsAmount`, whether they tell the package what the purchase costs; `init` runs in each of them before
 * anything else; the rest is as `openPurchase` has it.
 */
export async function customer(t, { proxy = PROXY_URL, init, token, tellsAmount, ...given } = {}) {
  const purchase = await openPurchase(given);
  const device = async () => {
    const context = await browser.newContext();
    context.setDefaultTimeout(30_000);
    t.after(() => context.close());
    const known = { proxy, token: token ?? purchase.token, ...(tellsAmount && { amount: purchase.amount }) };
    await context.addInitScript((purchase) => Object.assign(globalThis, { purchase }), known);
    if (init) await context.addInitScript(...[init].flat());
    return { context, openTab: () => Tab.open(context) };
  };
  return { purchase, anotherDevice: device, ...(await device()) };
}

/** A tab with the shop's page in it, and the customer's hand on it. */
export class Tab {
  page;

  static async open(context) {
    const tab = new Tab();
    tab.page = await context.newPage();
    const complaints = [];
    tab.page.on('pageerror', (error) => complaints.push(String(error)));
    tab.expectNoComplaints = () => assert.deepEqual(complaints, [], 'errors that nobody caught in the page');
    await tab.page.goto(PAGE_URL);
    await tab.ready();
    return tab;
  }

  /** Waits until the shop's page is there, after it was opened, loaded again or returned to. */
  async ready() {
    await this.page.waitForFunction(() => globalThis.checkout);
  }

  /** The back button, so many times. */
  async goBack(times = 1) {
    await this.page.evaluate((times) => history.go(-times), times);
  }

  async reload() {
    await this.page.reload();
    await this.ready();
  }

  /** Starts, and comes back when there is something to show. */
  start(options) {
    return this.page.evaluate((options) => checkout.start(options), options);
  }

  /** Starts, and does not wait for anything. */
  async begin(options) {
    await this.page.evaluate((options) => void outcome(checkout.start(options)), options);
  }

  resume() {
    return this.page.evaluate(() => checkout.resume());
  }

  cancel() {
    return this.page.evaluate(() => checkout.cancel());
  }

  result() {
    return this.page.evaluate(() => checkout.result);
  }

  status() {
    return this.page.evaluate(() => checkout.status);
  }

  /** Every status that this document has been told. */
  seen() {
    return this.page.evaluate(() => seen);
  }

  /** Waits until the page is told this. */
  async until(name) {
    return eventually(`status ${name}`, async () => {
      const status = await this.status();
      return status.status === name && status;
    });
  }

  /** The page has been told nothing but these, in whatever order. */
  async expectOnly(...names) {
    const told = (await this.seen()).map(({ status }) => status);
    assert.deepEqual([...new Set(told)].filter((name) => !names.includes(name)), [], `only ${names} may be told`);
  }

  /** It ends paid, with this order for this purchase, and nobody has to catch an error. */
  async expectPaid(orderNumber, purchase) {
    const { amount, currency } = purchase;
    assert.deepEqual(await this.result(), { status: 'paid', orderNumber, amount: { amount, currency } });
    this.expectNoComplaints();
  }
}
