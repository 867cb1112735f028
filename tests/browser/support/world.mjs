// What stands around a page: the shop's server, which opens purchases at the real proxy, and the simulated PayBy, where
// the payer acts and the truth is kept.
//
// Environment: PROXY_URL, SIM_URL and PAGE_URL, what runs; API_KEY, the shop's at the proxy.

import assert from 'node:assert/strict';
import { randomInt, randomUUID } from 'node:crypto';

export const { PROXY_URL, SIM_URL, PAGE_URL, API_KEY } = process.env;

/** How long anything may take that has no reason to take long. Two slow cores are meant to be enough. */
const PATIENCE_MS = 20_000;

/** Waits until `probe` gives something true, and answers that. */
export async function eventually(what, probe, withinMs = PATIENCE_MS) {
  const until = performance.now() + withinMs;
  for (;;) {
    const found = await probe();
    if (found) return found;
    assert.ok(performance.now() < until, `${what}: not within ${withinMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Looks for this long: that something does not happen can be seen in no other way. */
export const lookFor = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function json(url, options) {
  const response = await fetch(url, options);
  const text = await response.text();
  assert.ok(response.ok, `${options?.method ?? 'GET'} ${url}: ${response.status} ${text}`);
  return JSON.parse(text);
}

const posted = (value, headers) => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify(value),
});

/**
 * The shop's server opens a purchase: `{ reference, amount, token, … }`. Its amount is no other purchase's: by that the
 * simulator's orders for it are found. `at` is the proxy.
 */
export async function openPurchase({ at = PROXY_URL, ...given } = {}) {
  const fils = randomInt(100, 5_000_000);
  const purchase = {
    reference: randomUUID(),
    amount: `${Math.trunc(fils / 100)}.${String(fils % 100).padStart(2, '0')}`,
    currency: 'AED',
    subject: 'Coffee and dates',
    redirectUrl: `${PAGE_URL}/?returned`,
    ...given,
  };
  const opened = await json(`${at}/v1/purchases`, posted(purchase, { authorization: `Bearer ${API_KEY}` }));
  return { ...purchase, token: opened.token };
}

/** The purchase's orders at the simulator, oldest first. */
export async function ordersOf(purchase) {
  const orders = await json(`${SIM_URL}/sim/orders`);
  return orders.filter(({ amount }) => amount.amount === purchase.amount);
}

/** The simulator has exactly these orders for the purchase. */
export async function expectOrders(purchase, expected) {
  const found = (await ordersOf(purchase)).map(({ merchantOrderNo, status }) => [merchantOrderNo, status]);
  assert.deepEqual(found, expected, 'the orders at the simulator');
}

/** The one order that the purchase has at the simulator, once it is there. */
export async function orderOf(purchase) {
  const [order, ...others] = await eventually('an order at the simulator', async () => {
    const orders = await ordersOf(purchase);
    return orders.length > 0 && orders;
  });
  assert.deepEqual(others, [], 'one order at the simulator');
  return order;
}

/** The simulator's events about this order, oldest first. */
export async function eventsOf(orderNumber) {
  return (await json(`${SIM_URL}/sim/events`)).filter(({ merchantOrderNo }) => merchantOrderNo === orderNumber);
}

/** What the payer does away from the page. */
export const pay = (orderNumber) => json(`${SIM_URL}/sim/orders/${orderNumber}/pay`, { method: 'POST' });
export const decline = (orderNumber) => json(`${SIM_URL}/sim/orders/${orderNumber}/decline`, { method: 'POST' });

/** Lets time pass at the simulator, for every order there. */
export const letTimePass = (ms) => json(`${SIM_URL}/sim/clock/advance`, posted({ ms }));
