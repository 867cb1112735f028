// Buys twice in the running demo, in a real browser: one order is paid on a phone, one is declined on PayBy's page. Then
// asks the simulator whether it saw the same, and whether every call that it got was signed.
//
// Environment: SHOP_URL and SIM_URL, what runs; CHROMIUM, the browser (/usr/bin/chromium); SCREENSHOTS, a folder for the
// README's pictures (none are taken without it). Exits with 1 when anything is not as it should be, and says what was on
// the page. It never sleeps: each step waits for what it is about.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const PATIENCE_MS = 20_000;
const DESK = { width: 1200, height: 800 };
const PHONE = { width: 390, height: 844 };

const shopUrl = urlFrom('SHOP_URL');
const simUrl = urlFrom('SIM_URL');
const pictures = process.env.SCREENSHOTS;
if (pictures) mkdirSync(pictures, { recursive: true });

function urlFrom(name) {
  const value = process.env[name];
  if (URL.canParse(value)) return value.replace(/\/+$/, '');
  console.error(`check: ${name} is not set to a URL`);
  process.exit(1);
}

// ---- Steps and what to say when one fails

const began = performance.now();
const pages = new Map();
const complaints = [];
let current;

async function step(name, run) {
  current = name;
  const start = performance.now();
  const value = await run();
  const now = performance.now();
  console.log(`${String(Math.round(now - began)).padStart(6)} ms  +${String(Math.round(now - start)).padStart(5)} ms  ${name}`);
  assert.deepEqual(complaints, [], 'the browser complained');
  return value;
}

/** A page whose every complaint counts. */
async function open(name, viewport) {
  const context = await browser.newContext({ viewport, colorScheme: 'light', locale: 'en-AE' });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const complain = (text) => complaints.push(`${name}: ${text}`);
  page.on('console', (message) => message.type() === 'error' && complain(`${message.text()} (${message.location().url})`));
  page.on('pageerror', (error) => complain(error.stack ?? error.message));
  page.on('requestfailed', (request) => {
    const reason = request.failure()?.errorText;
    // A page that is left lets go of what it was asking the proxy.
    if (reason === 'net::ERR_ABORTED' && /\/v1\//.test(request.url())) return;
    complain(`${request.method()} ${request.url()}: ${reason}`);
  });
  page.on('response', (response) => {
    if (response.status() >= 400) complain(`${response.request().method()} ${response.url()} answered ${response.status()}`);
  });
  pages.set(name, page);
  return page;
}

async function close(name) {
  await pages.get(name).context().close();
  pages.delete(name);
}

async function picture(page, name) {
  if (pictures) await page.screenshot({ path: join(pictures, `${name}.png`), animations: 'disabled' });
}

async function report(error) {
  console.error(`\ncheck failed at “${current}”: ${error.message}`);
  const folder = mkdtempSync(join(tmpdir(), 'payby-check-'));
  for (const [name, page] of pages) {
    const path = join(folder, `${name}.png`);
    const text = await page.locator('body').innerText({ timeout: 2000 }).catch((cause) => `(no text: ${cause.message})`);
    await page.screenshot({ path, timeout: 5000 }).catch(() => {});
    console.error(`\n--- ${name}, at ${page.url()}, picture ${path}\n${text}`);
  }
  console.error(`\n--- what the browser complained about\n${complaints.join('\n') || '(nothing)'}`);
}

// ---- What the customer does

const orderNumberOn = (page) => page.locator('section:not([hidden]) [data-field="order-number"]').innerText();

async function checkOut(shop, cart) {
  for (const [product, quantity] of Object.entries(cart)) {
    for (let n = 0; n < quantity; n++) await shop.getByRole('button', { name: `Add ${product} to basket` }).click();
  }
  await shop.getByRole('button', { name: 'Check out' }).click();
  await shop.getByRole('heading', { name: 'How would you like to pay?' }).waitFor();
}

async function payOnThePhone() {
  const shop = await step('the shop opens', async () => {
    const page = await open('shop', DESK);
    await page.goto(shopUrl);
    await page.getByRole('heading', { name: 'Your basket' }).waitFor();
    return page;
  });
  await step('two products go into the basket, and to the checkout', () =>
    checkOut(shop, { 'Cardamom coffee': 2, 'Khalas dates': 1 }));
  const payUrl = await step('the shop shows a QR code', async () => {
    await shop.getByRole('button', { name: 'Scan with your phone' }).click();
    await shop.getByRole('img', { name: 'QR code of the pay page' }).waitFor();
    await picture(shop, 'shop-qr');
    return shop.getByRole('link', { name: 'Open the pay page' }).getAttribute('href');
  });
  await step('the pay page opens on the phone', async () => {
    const phone = await open('phone', PHONE);
    await phone.goto(payUrl);
    await phone.getByRole('button', { name: /^pay/i }).waitFor();
    await picture(phone, 'cashier');
  });
  await step('the customer pays', async () => {
    const phone = pages.get('phone');
    await phone.getByRole('button', { name: /^pay/i }).click();
    await phone.getByRole('button', { name: /^pay/i }).waitFor({ state: 'detached' });
  });
  const orderNumber = await step('the shop says that it is paid', async () => {
    await shop.getByRole('heading', { name: /^You paid AED\s120\.00$/ }).waitFor();
    await picture(shop, 'shop-paid');
    return orderNumberOn(shop);
  });
  await step(`the simulator says so of ${orderNumber}`, () => expectOrder(orderNumber, 'PAID_SUCCESS', '120.00'));
  await step('the shop still says so after a reload', async () => {
    await shop.reload();
    await shop.getByRole('heading', { name: /^You paid/ }).waitFor();
    assert.equal(await orderNumberOn(shop), orderNumber);
  });
  await step('the customer goes back to an empty basket', async () => {
    await shop.getByRole('button', { name: 'Back to the shop' }).click();
    await shop.getByText('Nothing in it yet.').waitFor();
  });
  await close('phone');
  await close('shop');
}

async function declineOnPayBysPage() {
  const shop = await step('another visitor checks out', async () => {
    const page = await open('shop', DESK);
    await page.goto(shopUrl);
    await checkOut(page, { 'Khalas dates': 1 });
    return page;
  });
  await step('the browser goes to the pay page', async () => {
    await shop.getByRole('button', { name: 'Pay on PayBy’s page' }).click();
    await shop.getByRole('button', { name: /^decline/i }).waitFor();
  });
  await step('the customer declines, and is sent back to the shop', async () => {
    await shop.getByRole('button', { name: /^decline/i }).click();
    await shop.waitForURL((url) => url.href.startsWith(shopUrl));
  });
  const orderNumber = await step('the shop says that it is declined, and offers to try again', async () => {
    await shop.getByRole('heading', { name: 'The payment was declined' }).waitFor();
    await picture(shop, 'shop-declined');
    const number = await orderNumberOn(shop);
    await shop.getByRole('button', { name: 'Try again' }).click();
    await shop.getByRole('heading', { name: 'How would you like to pay?' }).waitFor();
    return number;
  });
  await step(`the simulator says so of ${orderNumber}`, () => expectOrder(orderNumber, 'FAILURE', '35.00'));
  await close('shop');
}

// ---- What the simulator saw

async function fromSimulator(path) {
  const response = await fetch(simUrl + path);
  assert.equal(response.status, 200, path);
  return response.json();
}

async function expectOrder(orderNumber, status, amount) {
  const order = (await fromSimulator('/sim/orders')).find(({ merchantOrderNo }) => merchantOrderNo === orderNumber);
  assert.deepEqual(
    { status: order?.status, amount: order?.amount },
    { status, amount: { amount, currency: 'AED' } },
    `the simulator's order ${orderNumber}`,
  );
}

async function expectSignedCalls() {
  const events = await fromSimulator('/sim/events');
  const calls = events.filter(({ kind }) => kind === 'call');
  const notifications = events.filter(({ kind }) => kind === 'notification');
  const counts = new Map();
  for (const { kind, path } of [...calls, ...notifications]) counts.set(path ?? kind, (counts.get(path ?? kind) ?? 0) + 1);
  for (const [name, count] of counts) console.log(`${String(count).padStart(6)} × ${name}`);
  assert.ok(calls.length > 0, 'the simulator got no call');
  assert.deepEqual(calls.filter(({ verified }) => verified !== true), [], 'calls whose signature did not verify');
  assert.deepEqual(notifications.filter(({ acknowledged }) => !acknowledged), [], 'notifications that were not acknowledged');
}

// ---- All of it

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--no-first-run',
  ],
});
try {
  await payOnThePhone();
  await declineOnPayBysPage();
  await step('every call to the simulator was signed', expectSignedCalls);
} catch (error) {
  await report(error);
  process.exitCode = 1;
} finally {
  await browser.close();
}
