// What the core wants done and tells, in its fixed places; and what it tells as the statuses and errors that a page reads.

import type { AlertCode, CheckoutStatus, Failure, Money, Scene } from './checkout.js';
import { type ErrorCode, PaybyCheckoutError } from './error.js';
import type { OrderNumber } from './order-number.js';

/** A status as the core tells it; places behind the last one that the status has are undefined. */
export type View = readonly [
  status: CheckoutStatus['status'],
  orderNumber: OrderNumber,
  amount: string,
  currency: Money['currency'],
  scene: Scene,
  payUrl: string | undefined,
  expiresInMs: number,
  cancelling: boolean,
  reason: Failure['reason'],
  code: string | undefined,
  message: string | undefined,
];

/** Why the core cannot go on. */
export type Stop = readonly [
  what: 'stop',
  code: ErrorCode,
  httpStatus: number,
  problem: string | undefined,
  detail: string | undefined,
];

/** What the core tells: by its first place, something to keep, an alert, why it stopped, or a status. */
export type Told = readonly [what: 'save', text: string] | readonly [what: 'alert', code: AlertCode] | Stop | View;

/** A request to the proxy. */
export type Request = readonly [
  what: 'send',
  method: string,
  path: string,
  body: string | undefined,
  ifNoneMatch: string | undefined,
  prefer: string | undefined,
  controller: AbortController,
];

/** What the core wants done: to send a request, to be woken after so many milliseconds or not at all, or to tell. */
export type Wanted = Request | readonly [what: 'wake', after: number | undefined] | Told;

export function statusOf(view: View): CheckoutStatus {
  const [status, orderNumber, decimal, currency, scene, payUrl, expiresInMs, cancelling, reason, code, message] = view;
  if (status === 'idle') return { status };
  if (status === 'unknown') return { status, orderNumber };
  const amount = { amount: decimal, currency };
  if (status === 'pending') {
    return { status, orderNumber, amount, scene, ...present({ payUrl }), expiresInMs, cancelling };
  }
  if (status === 'failed') return { status, orderNumber, amount, failure: { reason, ...present({ code, message }) } };
  return { status, orderNumber, amount };
}

export function stopOf([, code, httpStatus, problem, detail]: Stop): PaybyCheckoutError {
  const message =
    code === 'token_rejected'
      ? 'the proxy does not accept the checkout token: it is wrong or has expired'
      : `the proxy refused: ${detail ?? `HTTP ${httpStatus}`}`;
  return new PaybyCheckoutError(code, message, { httpStatus, ...present({ problem, detail }) });
}

/** The fields that have a value. */
function present<T extends Record<string, unknown>>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}
