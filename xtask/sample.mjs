// Opens a purchase, asks each server what can be asked, and keeps the answers, headers and all, for the search for secrets.
// Prints the purchase's checkout token: a sample of what to look for in the logs.
//
// Environment: PROXY_URL, SIM_URL, SHOP_URL; API_KEY, the shop's at the proxy; CAPTURE_DIR, a folder for the answers.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const { PROXY_URL, SIM_URL, SHOP_URL, API_KEY, CAPTURE_DIR } = process.env;
let answers = 0;

async function ask(method, url, bearer, body) {
  const headers = { 'content-type': 'application/json', ...(bearer && { authorization: `Bearer ${bearer}` }) };
  const answer = await fetch(url, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  const lines = [`${method} ${url} ${answer.status}`, ...[...answer.headers].map((header) => header.join(': ')), text];
  await writeFile(join(CAPTURE_DIR, `answer-${++answers}.txt`), lines.join('\n'));
  return { status: answer.status, text };
}

const purchase = { reference: 'sample', amount: '1.00', currency: 'AED', subject: 'Sample' };
const opened = await ask('POST', `${PROXY_URL}/v1/purchases`, API_KEY, purchase);
if (opened.status >= 300) throw new Error(`the proxy opened no purchase: ${opened.status} ${opened.text}`);
const { purchaseId, token } = JSON.parse(opened.text);

await ask('POST', `${PROXY_URL}/v1/purchases`, API_KEY, { ...purchase, amount: 'wrong' });
await ask('POST', `${PROXY_URL}/v1/purchases`, `${API_KEY}x`, purchase);
await ask('POST', `${PROXY_URL}/payby/notifications`, undefined, { forged: true });
await ask('GET', `${PROXY_URL}/v1/purchases/${purchaseId}`, API_KEY);
for (const bearer of [token, `${token}x`, undefined]) {
  await ask('GET', `${PROXY_URL}/v1/purchase`, bearer);
  await ask('PUT', `${PROXY_URL}/v1/orders/SAMPLE-1`, bearer, {});
  await ask('GET', `${PROXY_URL}/v1/orders/SAMPLE-1`, bearer);
  await ask('POST', `${PROXY_URL}/v1/orders/SAMPLE-1/cancel`, bearer);
}
for (const path of ['/', '/healthz', '/readyz', '/metrics', '/openapi.json']) await ask('GET', PROXY_URL + path);
for (const path of ['/', '/api/products', '/api/checkout', '/../keys', '/nothing']) await ask('GET', SHOP_URL + path);
for (const path of ['/', '/sim/orders', '/sim/events', '/sgs/api/nothing']) await ask('GET', SIM_URL + path);

process.stdout.write(token);
