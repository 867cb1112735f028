// Order numbers: making them, and checking any against PayBy's rule.

import { PaybyCheckoutError, typed } from './error.js';
import { core } from './wasm.js';

declare const brand: unique symbol;

/** 1 to 64 of `A-Z a-z 0-9 - _`: what PayBy accepts as a `merchantOrderNo`. */
export type OrderNumber = string & { readonly [brand]: 'OrderNumber' };

/**
 * Makes an order number: 25 symbols of Crockford's base 32 that hold the time (numbers sort by it), 75 fresh random bits
 * and a check symbol.
 *
 * @throws {PaybyCheckoutError} `no_secure_random` when the platform has no secure random source; nothing weaker is made.
 */
export function orderNumber(): OrderNumber {
  return typed(() => core().orderNumber()) as OrderNumber;
}

/** Whether `value` is a string that PayBy accepts as an order number. */
export function isOrderNumber(value: unknown): value is OrderNumber {
  return typeof value === 'string' && core().isOrderNumber(value);
}

/**
 * Takes `value` as an order number, as it is: nothing is trimmed or repaired.
 *
 * @throws {PaybyCheckoutError} `order_number_empty`, `order_number_too_long`, `order_number_bad_symbol` (with
 * `details.position`), or `invalid_argument` if it is no string.
 */
export function parseOrderNumber(value: string): OrderNumber {
  if (typeof value !== 'string') {
    throw new PaybyCheckoutError('invalid_argument', `an order number is a string, not ${kind(value)}`);
  }
  typed(() => core().checkOrderNumber(value));
  return value as OrderNumber;
}

function kind(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'an array' : `of type ${typeof value}`;
}
