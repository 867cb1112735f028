// As much of a browser as tabs need, in our hands: pages with a visibility, Web Locks, BroadcastChannel, storage, `fetch` and
// time. All tabs are in one Node; which of them runs is in `running`. Nothing here waits for real time.

import { AsyncLocalStorage } from 'node:async_hooks';
import { inspect } from 'node:util';

import { createCheckout } from 'payby-checkout';

/** The tab whose code runs. */
const running = new AsyncLocalStorage();

/** The purchase's checkout token: another one in each browser, since what is kept in memory stays there. */
let token;
let purchases = 0;

/** Lets everything happen that is due without time passing. */
export const settle = async () => {
  for (let i = 0; i < 50; i++) await Promise.resolve();
};

/** Replaces a global until the test ends. */
export function replace(t, name, descriptor) {
  const before = Object.getOwnPropertyDescriptor(globalThis, name);
  Object.defineProperty(globalThis, name, { configurable: true, ...descriptor });
  t.after(() => (before ? Object.defineProperty(globalThis, name, before) : delete globalThis[name]));
}

/** The Web Locks of one name, as https://w3c.github.io/web-locks/ has them: a queue, stealing, withdrawal by a signal. */
class Locks {
  holder;
  queue = [];

  request(name, { steal = false, signal }, held) {
    return new Promise((resolve, reject) => {
      const request = { name, held, resolve, reject, tab: running.getStore() };
      signal?.addEventListener('abort', () => {
        if (this.queue.includes(request)) reject(signal.reason);
        this.queue = this.queue.filter((other) => other !== request);
      });
      if (steal) {
        this.holder?.reject(new DOMException('stolen', 'AbortError'));
        this.holder = undefined;
        this.queue.unshift(request);
      } else this.queue.push(request);
      queueMicrotask(() => this.#grant());
    });
  }

  #grant() {
    if (this.holder || this.queue.length === 0) return;
    const request = (this.holder = this.queue.shift());
    const { name } = request;
    const end = (settle) => (value) => {
      if (this.holder === request) this.holder = undefined;
      settle(value);
      this.#grant();
    };
    Promise.resolve(request.tab.act(() => request.held({ name }))).then(end(request.resolve), end(request.reject));
  }
}

/** A browser with one purchase's backend behind it. */
export class Browser {
  locks = new Locks();
  channels = new Set();
  stored = new Map();
  /** Requests that are not answered yet, each with the tab that made it. */
  asked = [];
  now = 0;
  timers = new Map();
  #serial = 0;

  constructor(t, { locks = this.locks, channel = true, storage = 'kept', purchase = `purchase-${++purchases}` } = {}) {
    const browser = this;
    token = purchase;
    replace(t, 'navigator', { get: () => ({ onLine: true, locks: locks ?? undefined }) });
    replace(t, 'document', { get: () => running.getStore()?.document });
    for (const name of ['addEventListener', 'removeEventListener']) {
      replace(t, name, { value: (...rest) => running.getStore().window[name](...rest) });
    }
    replace(t, 'localStorage', {
      value: {
        getItem(key) {
          if (storage === 'denied') throw new DOMException('denied', 'SecurityError');
          return browser.stored.get(key) ?? null;
        },
        setItem(key, value) {
          if (storage !== 'kept') throw new DOMException(storage, 'QuotaExceededError');
          browser.stored.set(key, value);
        },
      },
    });
    replace(t, 'BroadcastChannel', {
      value:
        channel &&
        class {
          constructor(name) {
            Object.assign(this, { name, tab: running.getStore() });
            browser.channels.add(this);
          }
          postMessage(message) {
            if (!browser.channels.has(this)) throw new DOMException('closed', 'InvalidStateError');
            const data = structuredClone(message);
            for (const other of browser.channels) {
              if (other === this || other.name !== this.name) continue;
              queueMicrotask(() => browser.channels.has(other) && other.tab.act(() => other.onmessage?.({ data })));
            }
          }
          close() {
            browser.channels.delete(this);
          }
        },
    });
    const setTimer = (every) => (run, after, ...values) => {
      const id = ++this.#serial;
      this.timers.set(id, { run: () => run(...values), at: this.now + after, every: every && after, tab: running.getStore() });
      return id;
    };
    replace(t, 'setTimeout', { value: setTimer(false) });
    replace(t, 'setInterval', { value: setTimer(true) });
    for (const name of ['clearTimeout', 'clearInterval']) replace(t, name, { value: (id) => this.timers.delete(id) });
    t.mock.method(performance, 'now', () => this.now);
    replace(t, 'fetch', {
      value: (url, { method, body, headers, signal }) =>
        new Promise((resolve, reject) => {
          const { pathname } = new URL(url);
          const request = { tab: running.getStore(), method, path: pathname, orderNumber: pathname.split('/')[3], body, headers };
          request.answer = async (status, json, given = {}) => {
            this.asked = this.asked.filter((other) => other !== request);
            const text = typeof json === 'string' ? json : JSON.stringify(json);
            request.tab.act(() => resolve(new Response(status === 304 ? null : text, { status, headers: given })));
            await settle();
          };
          signal.addEventListener('abort', () => {
            this.asked = this.asked.filter((other) => other !== request);
            reject(signal.reason);
          });
          this.asked.push(request);
        }),
    });
  }

  /** The one request that is not answered. */
  get only() {
    if (this.asked.length !== 1) throw new Error(`asked: ${this.asked.map(({ method, path }) => `${method} ${path}`)}`);
    return this.asked[0];
  }

  /** Lets time pass until something is asked, and answers that. */
  async untilAsked() {
    for (let seconds = 0; this.asked.length === 0 && seconds < 600; seconds++) await this.pass(1_000);
    return this.only;
  }

  /** Lets time pass, timer by timer; those of a frozen tab stand still. */
  async pass(ms) {
    const end = this.now + ms;
    for (;;) {
      await settle();
      const due = [...this.timers].filter(([, { at, tab }]) => at <= end && !tab?.isFrozen).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      const [id, timer] = due;
      this.now = Math.max(this.now, timer.at);
      if (timer.every) timer.at += timer.every;
      else this.timers.delete(id);
      timer.tab.act(timer.run);
    }
    this.now = end;
  }
}

/** A tab with the shop's page in it. */
export class Tab {
  window = new EventTarget();
  document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
  isFrozen = false;
  seen = [];
  alerts = [];

  constructor(name) {
    Object.defineProperty(this, inspect.custom, { value: () => name });
    this.checkout = createCheckout({ proxy: 'https://pay.shop.example', token });
    this.checkout.subscribe((status) => this.seen.push(status.status));
    this.checkout.onAlert((code) => this.alerts.push(code));
  }

  /** Does something in this tab. */
  act(act) {
    return running.run(this, act);
  }

  /** Gives a command, and waits until it was sent; answers the command's promise, not waited for. */
  async command(name, options) {
    const answer = this.act(() => this.checkout[name](options));
    answer.catch(() => {});
    await settle();
    return { answer };
  }

  /** The page becomes 'visible' or 'hidden'. */
  async become(state) {
    this.document.visibilityState = state;
    await this.hear(this.document, 'visibilitychange');
  }

  async hear(target, type, fields = {}) {
    this.act(() => target.dispatchEvent(Object.assign(new Event(type), fields)));
    await settle();
  }

  get status() {
    return this.checkout.status.status;
  }
}

/** An order as the proxy tells it. */
export function order(orderNumber, status, version, more = {}) {
  const gatewayStatus = { unknown: null, pending: 'CREATED', paid: 'PAID_SUCCESS', failed: 'FAILURE' }[status];
  const failure = status === 'failed' ? { failure: { reason: 'cancelled' } } : {};
  const amount = { amount: '12.50', currency: 'AED' };
  const rest = { amount, revoked: false, scene: 'DYNQR', version, expiresInMs: 600_000 };
  return { orderNumber, status, gatewayStatus, ...rest, ...failure, ...more };
}
