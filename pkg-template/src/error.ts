// The package's one error class. Codes are stable; messages are for people and may change.

import type { OrderNumber } from './order-number.js';

/** What can go wrong, by its stable name. */
export type ErrorCode =
  /** An argument is of the wrong type or form; the message says which. */
  | 'invalid_argument'
  /** The order number has no symbols. */
  | 'order_number_empty'
  /** The order number has more than 64 symbols. */
  | 'order_number_too_long'
  /** The order number has a symbol other than `A-Z a-z 0-9 - _`, at `details.position`. */
  | 'order_number_bad_symbol'
  /** The prefix is not a letter and then at most 14 letters or digits; see `details.position`. */
  | 'order_number_bad_prefix'
  /** What was typed has not as many symbols as any of our formats. */
  | 'order_number_unknown_format'
  /** What was typed has a typing error: the check symbol does not hold. `details.suggestions` may help. */
  | 'order_number_check_failed'
  /** `crypto.getRandomValues` is missing or failed. No weaker number is made. */
  | 'no_secure_random'
  /** The clock is outside the years that the format of order numbers can hold. */
  | 'clock_out_of_range'
  /** The page's Content-Security-Policy forbids WebAssembly: add `'wasm-unsafe-eval'` to `script-src`. */
  | 'wasm_blocked'
  /** The WebAssembly module could not be started; `cause` says why. The next call tries again. */
  | 'wasm_failed'
  /** The proxy does not accept the token: it is wrong or has expired. Get another from the shop's server. */
  | 'token_rejected'
  /** The proxy refused the request; `details` has what it said. Trying the same again would not help. */
  | 'refused'
  /** The checkout was disposed of, or its signal aborted. The order itself goes on: `resume()` a new checkout. */
  | 'aborted';

/** More about an error, as far as its code has it. */
export interface ErrorDetails {
  /** The offending symbol of an order number, counted from 0. */
  readonly position?: number;
  /** What may have been meant by a mistyped order number, the likeliest first. */
  readonly suggestions?: readonly OrderNumber[];
  /** The proxy's HTTP status. */
  readonly httpStatus?: number;
  /** The proxy's own code (its problem document's `code`). */
  readonly problem?: string;
  /** What the proxy said, in words. */
  readonly detail?: string;
}

/** Every error that this package throws or rejects with. */
export class PaybyCheckoutError extends Error {
  override readonly name = 'PaybyCheckoutError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
  }
}
