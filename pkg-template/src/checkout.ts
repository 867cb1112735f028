/// <reference lib="esnext.disposable" preserve="true" />
// One purchase's checkout, as a page uses it. The rules are the core's; here they become promises, listeners and iterators.

import { PaybyCheckoutError } from './error.js';
import * as core from './generated/checkout/glue.js';
import { bytes } from './generated/checkout/wasm.js';
import { caller } from './module.js';
import type { OrderNumber } from './order-number.js';
import { isVisible, watchPage } from './page.js';
import { nameOf, shelf } from './shelf.js';
import { type Shell, shell } from './shell.js';
import { type Tabs, joinTabs } from './tabs.js';
import { type Told, statusOf, stopOf } from './told.js';

export { PaybyCheckoutError } from './error.js';
export type { ErrorCode, ErrorDetails } from './error.js';
export type { OrderNumber } from './order-number.js';

const call = /* @__PURE__ */ caller(core.initSync, bytes);

/** What `using` looks for; where the platform has no such symbol, what compilers put in its place. */
const DISPOSE: typeof Symbol.dispose = /* @__PURE__ */ (() => Symbol.dispose ?? Symbol.for('Symbol.dispose'))() as never;

/** How the customer pays: a QR code of `payUrl` for the phone, or PayBy's page in this browser. */
export type Scene = 'DYNQR' | 'PAYPAGE';

/** An amount as a decimal string ("12.50") and its currency. */
export interface Money {
  readonly amount: string;
  readonly currency: 'AED';
}

/** Why an order was not paid. */
export interface Failure {
  readonly reason: 'cancelled' | 'expired' | 'declined' | 'revoked';
  /** PayBy's own code. */
  readonly code?: string;
  /** PayBy's own words. */
  readonly message?: string;
}

/** Where the checkout stands. `paid` and `failed` mean that PayBy said so. */
export type CheckoutStatus =
  /** No order has been started. */
  | { readonly status: 'idle' }
  /** Asked, and nobody knows yet: the customer should not pay again. */
  | { readonly status: 'unknown'; readonly orderNumber: OrderNumber }
  /** PayBy waits for the payer. */
  | {
      readonly status: 'pending';
      readonly orderNumber: OrderNumber;
      readonly amount: Money;
      readonly scene: Scene;
      /** What the QR code must hold, or where to send the browser. */
      readonly payUrl?: string;
      /** How long it can still be paid, in milliseconds from this update. */
      readonly expiresInMs: number;
      /** Whether it is being cancelled. */
      readonly cancelling: boolean;
    }
  | CheckoutResult;

/** How a checkout ends. */
export type CheckoutResult =
  | { readonly status: 'paid'; readonly orderNumber: OrderNumber; readonly amount: Money }
  /** Not paid. `start()` may be called again: it makes a new order. */
  | { readonly status: 'failed'; readonly orderNumber: OrderNumber; readonly amount: Money; readonly failure: Failure }
  /** PayBy said both "failed" and "paid". A person has to settle it; the customer should not pay again. */
  | { readonly status: 'conflict'; readonly orderNumber: OrderNumber; readonly amount: Money };

/** What a person at the shop should know. The checkout itself goes on. */
export type AlertCode =
  /** Nothing certain can be learnt: three requests in a row have failed, or all for ten seconds. Told again after it was well. */
  | 'failing'
  /** An answer named another order or amount, or contradicted itself. It was not believed. */
  | 'mismatch'
  /** PayBy said both "failed" and "paid". */
  | 'conflict'
  /** `localStorage` is denied, full or missing. A reload will ask the proxy for the order. Told once. */
  | 'storage_unavailable';

export interface CheckoutOptions {
  /** The base URL of the backend proxy, for example `https://pay.shop.example`. */
  readonly proxy: string | URL;
  /** The checkout token that the shop's server got when it opened the purchase. */
  readonly token: string;
  /**
   * What the page has shown to the customer as the price, as a decimal string in AED ("12.50"). An answer that names another
   * amount is then never believed.
   */
  readonly amount?: string;
  /** Aborting it disposes of the checkout. The order itself goes on. */
  readonly signal?: AbortSignal;
}

export interface StartOptions {
  /** How the customer pays. Default: as the purchase says. */
  readonly scene?: Scene;
}

/**
 * One purchase's checkout. Iterating over it yields each status from the current one on, up to the result. With `using`, it is
 * disposed of at the end of the block.
 */
export interface Checkout extends AsyncIterable<CheckoutStatus>, Disposable {
  /** Where it stands now. */
  readonly status: CheckoutStatus;
  /** Resolves once PayBy has decided. After a failure, `start()` begins anew, and so does this. */
  readonly result: Promise<CheckoutResult>;
  /**
   * The customer wants to pay. Makes an order, or goes on with the one that there is; a new one only after the old one
   * has failed. Resolves when there is something to show: `pending`, or a result.
   */
  start(options?: StartOptions): Promise<CheckoutStatus>;
  /** Goes on after a reload or a return from the pay page. Resolves as `start` does, or with `idle` if there is no order. */
  resume(): Promise<CheckoutStatus>;
  /**
   * The customer tries the same order again, for example because the pay page did not open: it is asked about and, if it is
   * open, sent again under its number. Resolves as `resume` does.
   */
  retry(): Promise<CheckoutStatus>;
  /** The customer gives up. Resolves with the result: `paid` if the payment was faster. */
  cancel(): Promise<CheckoutStatus>;
  /** Calls `listener` at every change from now on. Returns a function that ends it. */
  subscribe(listener: (status: CheckoutStatus) => void): () => void;
  /** Calls `listener` when a person at the shop should know something. Returns a function that ends it. */
  onAlert(listener: (code: AlertCode) => void): () => void;
  /** Stops asking and lets go of everything. The order itself goes on. */
  dispose(): void;
}

interface Waiter {
  settles(status: CheckoutStatus): boolean;
  resolve(status: CheckoutStatus): void;
  reject(error: PaybyCheckoutError): void;
}

/**
 * Opens the checkout of one purchase. Nothing is asked before `start` or `resume`.
 *
 * @throws {PaybyCheckoutError} `invalid_argument` when an option is of the wrong form.
 */
export function createCheckout(options: CheckoutOptions): Checkout {
  const proxy = proxyUrl(options?.proxy);
  const { token, signal, amount = '' } = options;
  // RFC 6750 §2.1: what a bearer token consists of. Anything else could not be sent.
  if (typeof token !== 'string' || !/^[\w.~+/-]+=*$/.test(token)) {
    throw new PaybyCheckoutError('invalid_argument', 'token is the checkout token that the shop’s server got');
  }

  if (typeof amount !== 'string') throw new PaybyCheckoutError('invalid_argument', 'amount is a decimal string like "12.50"');

  const name = nameOf(token);
  const kept = shelf(name, () => alerts.tell('storage_unavailable'));
  let status: CheckoutStatus = { status: 'idle' };
  let opened: Shell | undefined;
  let tabs: Tabs | undefined;
  let leavePage: (() => void) | undefined;
  let closed: PaybyCheckoutError | undefined;
  let result = deferred();
  const statuses = listeners<CheckoutStatus>();
  const alerts = listeners<AlertCode>();
  const waiters = new Set<Waiter>();

  function told(told: Told): void {
    if (told[0] === 'save') kept.save(told[1]);
    else if (told[0] === 'alert') alerts.tell(told[1]);
    else if (told[0] === 'stop') stopped(stopOf(told));
    else changed(statusOf(told));
  }

  function changed(next: CheckoutStatus): void {
    status = next;
    if (next.status === 'idle') rest();
    else if (isResult(next)) {
      rest();
      result.resolve(next);
    } else {
      // Also where the order is another, begun in place of one that has just failed.
      watch();
      renew();
    }
    for (const waiter of waiters) {
      if (waiter.settles(next)) {
        waiters.delete(waiter);
        waiter.resolve(next);
      }
    }
    statuses.tell(next);
  }

  function stopped(error: PaybyCheckoutError): void {
    rest();
    result.reject(error);
    for (const waiter of waiters) waiter.reject(error);
    waiters.clear();
  }

  function renew(): void {
    if (result.settled) result = deferred();
  }

  /** Joins the other tabs and listens to the page, while there is something to watch. */
  function watch(): void {
    if (!opened || leavePage) return;
    const { run } = opened;
    tabs = joinTabs(name, {
      lead: (leads) => run((handle) => core.lead(handle, leads)),
      hear: (order) => run((handle) => core.hear(handle, order)),
    });
    leavePage = watchPage({
      shown() {
        tabs?.shown();
        run((handle) => core.show(handle, isVisible()));
      },
      connected: (online) => run((handle) => core.connect(handle, online)),
      attended: () => run(core.attend),
      slept: () => tabs?.sleep(),
      woke() {
        tabs?.wake();
        run(core.attend);
      },
    });
  }

  function rest(): void {
    leavePage?.();
    tabs?.leave();
    leavePage = tabs = undefined;
  }

  /** Resolves with the first status from now on that settles it. */
  function until(settles: (status: CheckoutStatus) => boolean): Promise<CheckoutStatus> {
    return new Promise((resolve, reject) => waiters.add({ settles, resolve, reject }));
  }

  /** Runs a command and resolves with the first status, from the one right after it on, that settles it. */
  async function command(
    input: (handle: number) => void,
    settles: (status: CheckoutStatus) => boolean,
    atOnce: (status: CheckoutStatus) => boolean = settles,
  ): Promise<CheckoutStatus> {
    if (closed) throw closed;
    opened ??= shell(
      call(() => core.open(amount)),
      { url: proxy, token, share: (order) => tabs?.share(order) },
      told,
    );
    const { run } = opened;
    const watched = leavePage !== undefined;
    watch();
    return new Promise<CheckoutStatus>((resolve, reject) => {
      const waiter = { settles, resolve, reject };
      waiters.add(waiter);
      try {
        run((handle) => core.restore(handle, kept.load()));
        call(() => run(input));
      } catch (error) {
        waiters.delete(waiter);
        // A command that was refused has begun nothing.
        if (!watched) rest();
        throw error;
      }
      tabs?.take();
      if (isResult(status)) rest();
      else renew();
      if (atOnce(status) && waiters.delete(waiter)) resolve(status);
    });
  }
  function dispose(reason?: unknown): void {
    if (closed) return;
    signal?.removeEventListener('abort', aborted);
    closed = new PaybyCheckoutError('aborted', 'the checkout was disposed of', {}, { cause: reason });
    opened?.close();
    stopped(closed);
    statuses.clear();
    alerts.clear();
  }

  function aborted(): void {
    dispose(signal?.reason);
  }

  if (signal?.aborted) aborted();
  else signal?.addEventListener('abort', aborted);

  return {
    get status() {
      return status;
    },
    get result() {
      return result.promise;
    },
    async start(start = {}) {
      let shown = await command((handle) => core.start(handle, start.scene ?? ''), isStarted);
      // An order from before has failed, and another was begun in its place: that one is meant.
      while (shown.status === 'failed' && status.status === 'unknown') shown = await until(isStarted);
      return shown;
    },
    resume: () => command(core.resume, isFound, isShowable),
    retry: () => command(core.retry, isFound, isShowable),
    cancel: () => command(core.cancel, (next) => next.status === 'idle' || isResult(next)),
    subscribe: (listener) => statuses.add(listener),
    onAlert: (listener) => alerts.add(listener),
    dispose: () => dispose(),
    [DISPOSE]: () => dispose(),
    async *[Symbol.asyncIterator]() {
      const queue: CheckoutStatus[] = [status];
      let wake = (): void => {};
      let failure: PaybyCheckoutError | undefined = closed;
      const unsubscribe = this.subscribe((next) => {
        queue.push(next);
        wake();
      });
      // `result` is what also hears of a stop.
      result.promise.catch((error: PaybyCheckoutError) => {
        failure = error;
        wake();
      });
      try {
        for (;;) {
          const next = queue.shift();
          if (next) {
            yield next;
            if (isResult(next)) return;
          } else if (failure) {
            throw failure;
          } else {
            await new Promise<void>((resolve) => (wake = resolve));
          }
        }
      } finally {
        unsubscribe();
      }
    },
  };
}

function isResult(status: CheckoutStatus): status is CheckoutResult {
  return status.status === 'paid' || status.status === 'failed' || status.status === 'conflict';
}

function isFound({ status }: CheckoutStatus): boolean {
  return status !== 'unknown';
}

function isShowable({ status }: CheckoutStatus): boolean {
  return status !== 'idle' && status !== 'unknown';
}

/** An end, or something that can be paid: not an order that is being cancelled. */
function isStarted(status: CheckoutStatus): boolean {
  return isResult(status) || (status.status === 'pending' && !status.cancelling);
}

/** Those who hear of something. */
function listeners<T>() {
  const all = new Set<(value: T) => void>();
  return {
    /** Answers how to end it. Each is its own, also of one function twice. */
    add(listener: (value: T) => void): () => void {
      const own = (value: T): void => listener(value);
      all.add(own);
      return () => void all.delete(own);
    },
    tell(value: T): void {
      for (const listener of [...all]) {
        try {
          listener(value);
        } catch (error) {
          // A listener's error is reported as uncaught; the watch goes on.
          queueMicrotask(() => {
            throw error;
          });
        }
      }
    },
    clear: () => all.clear(),
  };
}

/** A promise with its ends, that never counts as unhandled: who does not ask for the result does not care. */
function deferred(): {
  readonly promise: Promise<CheckoutResult>;
  readonly settled: boolean;
  resolve(result: CheckoutResult): void;
  reject(error: PaybyCheckoutError): void;
} {
  let ends!: { resolve(result: CheckoutResult): void; reject(error: PaybyCheckoutError): void };
  let settled = false;
  const promise = new Promise<CheckoutResult>((resolve, reject) => (ends = { resolve, reject }));
  promise.catch(() => {});
  return {
    promise,
    get settled() {
      return settled;
    },
    resolve(result) {
      settled = true;
      ends.resolve(result);
    },
    reject(error) {
      settled = true;
      ends.reject(error);
    },
  };
}

/** The proxy's URL without a slash at its end. A relative one is taken from the page's own origin. */
function proxyUrl(proxy: unknown): string {
  const base = (globalThis as { location?: { href: string } }).location?.href;
  let url: URL | undefined;
  try {
    url = new URL(String(proxy), base);
  } catch {
    // Said below.
  }
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash || url.username) {
    throw new PaybyCheckoutError('invalid_argument', 'proxy is the http(s) base URL of the backend proxy');
  }
  return url.href.replace(/\/+$/, '');
}
