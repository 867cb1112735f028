// A page of somebody else's, open in a customer's browser, sends the proxy whatever a page can send. It reads nothing and
// changes nothing, not even with the checkout tokens in its hands. The shop's own page can do all of it.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { describe } from 'node:test';

import { customer, it } from './support/browser.mjs';
import { PROXY_URL, eventsOf, expectOrders, openPurchase, pay } from './support/world.mjs';

// ---- What a page can do. Each runs in it and answers what it could read there.

async function byFetch({ mode, method, url, token }) {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  try {
    const answer = await fetch(url, { mode, method, headers });
    return { status: answer.status, body: await answer.text() };
  } catch {
    return { status: 0, body: '' };
  }
}

function byForm({ url, token }) {
  document.body.innerHTML = '<form method="post" target="answer"><input name="access_token"></form><iframe name="answer">';
  const [form, frame] = document.body.children;
  form.action = url;
  form.firstChild.value = token ?? '';
  return new Promise((resolve) => {
    frame.onload = () => resolve({ status: 0, body: frame.contentDocument?.body.textContent ?? '' });
    form.submit();
  });
}

function byElement({ tag, url, token }) {
  const element = document.createElement(tag);
  return new Promise((resolve) => {
    element.onload = () => resolve({ status: 200, body: 'something that a page can show or run' });
    element.onerror = () => resolve({ status: 0, body: '' });
    element.src = token ? `${url}?access_token=${token}` : url;
    document.body.append(element);
  });
}

/** Every attempt; `withToken` says whether the page shows the token, which only `fetch` can do as the proxy wants it. */
function attempts({ live, orderNumber, fresh, freshNumber, withToken }) {
  const order = `${PROXY_URL}/v1/orders/${orderNumber}`;
  const calls = [
    ['GET', order, live],
    ['GET', `${PROXY_URL}/v1/purchase`, live],
    ['PUT', order, live],
    ['PUT', `${PROXY_URL}/v1/orders/${freshNumber}`, fresh],
    ['POST', `${order}/cancel`, live],
  ];
  return calls.flatMap(([method, url, purchase]) => {
    const given = { method, url, token: withToken && purchase.token };
    return [
      [byFetch, { ...given, mode: 'cors' }],
      [byFetch, { ...given, mode: 'no-cors' }],
      [byForm, given],
      [byElement, { ...given, tag: 'img' }],
      [byElement, { ...given, tag: 'script' }],
    ];
  });
}

// ---- Whose page it is

const FOREIGN = `<!doctype html><link rel="icon" href="data:,"><body>
  <iframe sandbox="allow-scripts allow-forms" srcdoc="<!doctype html><body>"></iframe>`;

const PLACES = {
  'of another origin': (page) => page.mainFrame(),
  'in a sandbox, of the origin "null"': (page) => page.mainFrame().childFrames()[0],
};

/** Opens it, from another port, which is another origin. */
async function openForeign(t, context) {
  const html = { 'content-type': 'text/html' };
  const server = createServer((_, response) => response.writeHead(200, html).end(FOREIGN));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  return page;
}

/** An order that can be paid, in the shop's page, and another purchase that has none yet. */
async function shop(t) {
  const { purchase: live, context, openTab } = await customer(t);
  const tab = await openTab();
  const { orderNumber } = await tab.start();
  const fresh = await openPurchase();
  return { context, tab, live, orderNumber, fresh, freshNumber: `N-${fresh.reference}` };
}

/** What PayBy was asked to do; questions come from the proxy itself as well. */
async function deedsAt(orderNumber) {
  const calls = (await eventsOf(orderNumber)).filter(({ kind }) => kind === 'call');
  return calls.map(({ path }) => path).filter((path) => !path.endsWith('getOrder'));
}

describe('a foreign page', { concurrency: 4 }, () => {
  for (const [place, frameOf] of Object.entries(PLACES)) {
    for (const withToken of [true, false]) {
      it(`${place}, ${withToken ? 'that has the tokens' : 'without a token'}: refused, by whatever means`, async (t) => {
        const { context, tab, ...known } = await shop(t);
        const { live, orderNumber, fresh, freshNumber } = known;
        const page = await openForeign(t, context);
        const statuses = new Set();
        page.on('response', (response) => response.url().startsWith(PROXY_URL) && statuses.add(response.status()));
        const frame = frameOf(page);
        for (const [attempt, given] of attempts({ ...known, withToken })) {
          const read = await frame.evaluate(attempt, given);
          assert.deepEqual(read, { status: 0, body: '' }, `${attempt.name} ${JSON.stringify(given)}`);
        }
        // What needs no leave of the proxy's has reached it, and was refused there.
        assert.deepEqual([...statuses].sort(), [404, 405]);
        assert.deepEqual(await deedsAt(orderNumber), ['acquire2/placeOrder']);
        await expectOrders(fresh, []);
        assert.deepEqual(await eventsOf(freshNumber), []);
        assert.equal((await tab.status()).status, 'pending');
        await pay(orderNumber);
        await tab.expectPaid(orderNumber, live);
      });
    }
  }

  it('of the shop’s own can do by the same means what the others cannot', async (t) => {
    const { tab, ...known } = await shop(t);
    const { live, orderNumber, fresh, freshNumber } = known;
    const answers = [];
    for (const [attempt, given] of attempts({ ...known, withToken: true })) {
      if (given.mode !== 'cors') continue;
      const { status, body } = await tab.page.evaluate(attempt, given);
      answers.push([given.method, status, JSON.parse(body).status]);
    }
    assert.deepEqual(answers, [
      ['GET', 200, 'pending'],
      ['GET', 200, 'pending'],
      ['PUT', 200, 'pending'],
      ['PUT', 200, 'pending'],
      ['POST', 200, 'failed'],
    ]);
    await expectOrders(live, [[orderNumber, 'FAILURE']]);
    await expectOrders(fresh, [[freshNumber, 'CREATED']]);
  });
});
