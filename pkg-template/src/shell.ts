// Runs one open checkout of the core: does what it wants done, over `fetch` and one timer. It decides nothing.

import * as core from './generated/checkout/glue.js';
import type { Request, Told, Wanted } from './told.js';

/** The longest time that a timer can be set to. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** What came of a request: status 0 when there was no answer, `json` undefined when none could be read. */
type Answer = [status: number, retryAfter: string, json: unknown];

/** The merchant's proxy, for one purchase. */
export interface Proxy {
  readonly url: string;
  readonly token: string;
  /** Is given the orders of its answers. */
  share(order: unknown): void;
}

/** A running checkout. */
export interface Shell {
  /** Gives the core an input, then does what it wants done. */
  run(input: (handle: number) => void): void;
  /** Drops everything: nothing is in flight, no timer is set, nothing is told any more. */
  close(): void;
}

/** Runs the checkout of that handle; `tell` is given what the core does not want done, but told or kept. */
export function shell(handle: number, proxy: Proxy, tell: (told: Told) => void): Shell {
  let isOpen = true;
  let latest: AbortSignal | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function run(input: (handle: number) => void): void {
    if (isOpen) input(handle);
    // Whoever is told something may give the next input.
    for (let wanted; isOpen && (wanted = core.poll(handle) as Wanted | undefined); ) {
      if (wanted[0] === 'send') void send(wanted);
      else if (wanted[0] === 'wake') {
        clearTimeout(timer);
        const [, after] = wanted;
        if (after !== undefined) timer = setTimeout(() => run(core.wake), Math.min(after, LONGEST_TIMER));
      } else tell(wanted);
    }
  }

  async function send([, method, path, body, ifNoneMatch, prefer, { signal }]: Request): Promise<void> {
    latest = signal;
    const headers: Record<string, string> = { authorization: `Bearer ${proxy.token}` };
    if (body) headers['content-type'] = 'application/json';
    if (ifNoneMatch) headers['if-none-match'] = ifNoneMatch;
    if (prefer) headers['prefer'] = prefer;
    const answer: Answer = [0, '', undefined];
    try {
      const response = await fetch(proxy.url + path, {
        method,
        headers,
        body: body ?? null,
        signal,
        cache: 'no-store',
        credentials: 'omit',
        redirect: 'error',
      });
      answer[0] = response.status;
      answer[1] = response.headers.get('retry-after') ?? '';
      answer[2] = await response.json();
    } catch {
      // No answer, or none that can be read.
    }
    // If another was sent meanwhile, nobody waits for this one.
    if (latest !== signal) return;
    share(answer);
    run(() => core.answer(handle, ...answer));
  }

  /** An answer tells of the request's order, of the one to go on with (409), or of the purchase's. */
  function share([status, , json]: Answer): void {
    const { order, orders } = (json ?? {}) as { order?: unknown; orders?: readonly unknown[] };
    if (status < 300 || status === 409) proxy.share(order ?? orders?.[0] ?? json);
  }

  return {
    run,
    close() {
      isOpen = false;
      clearTimeout(timer);
      core.close(handle);
    },
  };
}
