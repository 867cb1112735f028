// The proxy dies while a page watches, without a word and without time to do anything. It comes back with what it had
// written down, and the page goes on.
//
// Environment: PROXY_PROGRAM, payby-proxy; PROXY_CONFIG, its settings, of which a proxy of our own has most.

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe } from 'node:test';

import { customer, it } from './support/browser.mjs';
import { eventsOf, eventually, expectOrders, pay } from './support/world.mjs';

/** A proxy that can be killed and started again, with its own database and port. */
class MortalProxy {
  url;
  #environment;
  #child;

  static async start(t) {
    const proxy = new MortalProxy();
    const folder = await mkdtemp(join(tmpdir(), 'payby-mortal-'));
    const port = await freePort();
    proxy.url = `http://127.0.0.1:${port}`;
    proxy.#environment = {
      PAYBY_PROXY_LISTEN: `127.0.0.1:${port}`,
      PAYBY_PROXY_PUBLIC_URL: proxy.url,
      PAYBY_PROXY_DATABASE__URL: `sqlite://${join(folder, 'payby-proxy.db')}`,
    };
    t.after(async () => {
      await proxy.kill();
      await rm(folder, { recursive: true });
    });
    await proxy.start();
    return proxy;
  }

  async start() {
    const { PROXY_PROGRAM, PROXY_CONFIG } = process.env;
    const env = { ...process.env, ...this.#environment };
    this.#child = spawn(PROXY_PROGRAM, ['serve', '--config', PROXY_CONFIG], { env, stdio: 'ignore' });
    await eventually('the proxy is ready', () => fetch(`${this.url}/readyz`).then((answer) => answer.ok, () => false));
  }

  /** SIGKILL: nothing is cleaned up. */
  async kill() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await gone;
  }
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A customer of that proxy, who has started to pay. */
async function paying(t) {
  const proxy = await MortalProxy.start(t);
  const { purchase, openTab } = await customer(t, { proxy: proxy.url, at: proxy.url });
  const tab = await openTab();
  const failed = new Promise((resolve) => tab.page.once('requestfailed', resolve));
  const { orderNumber } = await tab.start();
  return { proxy, purchase, tab, orderNumber, failed };
}

describe('the proxy is killed while a page watches', { concurrency: 3 }, () => {
  it('and started again: the page goes on by itself, and learns of a payment made after that', async (t) => {
    const { proxy, purchase, tab, orderNumber, failed } = await paying(t);
    await proxy.kill();
    await failed;
    await proxy.start();
    await pay(orderNumber);
    await tab.expectPaid(orderNumber, purchase);
    await expectOrders(purchase, [[orderNumber, 'PAID_SUCCESS']]);
  });

  it('and the payment is made while it is down: the page says so once it is known, and nothing before', async (t) => {
    const { proxy, purchase, tab, orderNumber, failed } = await paying(t);
    await proxy.kill();
    await pay(orderNumber);
    await failed;
    await eventually('a notification that nobody took', async () =>
      (await eventsOf(orderNumber)).some(({ kind, acknowledged }) => kind === 'notification' && !acknowledged),
    );
    await tab.expectOnly('unknown', 'pending');
    await proxy.start();
    await tab.expectPaid(orderNumber, purchase);
  });

  it('and the page is loaded again meanwhile: it waits for the proxy, and goes on with the same order', async (t) => {
    const { proxy, purchase, tab, orderNumber } = await paying(t);
    await proxy.kill();
    await tab.reload();
    const failed = new Promise((resolve) => tab.page.once('requestfailed', resolve));
    await tab.page.evaluate(() => void outcome(checkout.resume()));
    await failed;
    await tab.expectOnly('unknown');
    await proxy.start();
    await pay(orderNumber);
    await tab.expectPaid(orderNumber, purchase);
    await expectOrders(purchase, [[orderNumber, 'PAID_SUCCESS']]);
  });
});
