// Order numbers: making them, checking any against PayBy's rule, and reading what people type.

import { PaybyCheckoutError } from './error.js';
import * as core from './generated/order-number/glue.js';
import { bytes } from './generated/order-number/wasm.js';
import { caller } from './module.js';

export { PaybyCheckoutError } from './error.js';
export type { ErrorCode, ErrorDetails } from './error.js';

const call = /* @__PURE__ */ caller(core.initSync, bytes);

declare const brand: unique symbol;

/** 1 to 64 of `A-Z a-z 0-9 - _`: what PayBy accepts as a `merchantOrderNo`. */
export type OrderNumber = string & { readonly [brand]: 'OrderNumber' };

/**
 * - `standard`: 25 symbols, for everything.
 * - `short`: 16 symbols, to be read aloud or printed; up to 10,000 orders a day.
 * - `dated`: 30 symbols that begin with the UTC date and time.
 * - `uuid`: a UUID of version 7; it has no check symbol.
 */
export type OrderNumberFormat = 'standard' | 'short' | 'dated' | 'uuid';

export interface OrderNumberOptions {
  /** The layout. Default: `standard`. */
  readonly format?: OrderNumberFormat;
  /** What to put before it and a hyphen: a letter, then at most 14 letters or digits. */
  readonly prefix?: string;
  /** Tells the time in Unix milliseconds: for servers with a clock that they trust more than `Date.now`, the default. */
  readonly now?: () => number;
}

/** What an order number of ours tells of itself. */
export interface OrderNumberInspection {
  readonly format: OrderNumberFormat;
  readonly prefix?: string;
  /** When it was made, by its maker's clock; for `short`, to the half minute. Missing where a mistyped number names no moment. */
  readonly madeAt?: Date;
  /** Whether the check symbol holds: `invalid` means a typing error, `none` that the format has no check symbol. */
  readonly check: 'valid' | 'invalid' | 'none';
}

/** PayBy's rule. The core has it too, and says what is wrong; this answers without starting it. */
const RULE = /^[\w-]{1,64}$/;

/** The most numbers that one call makes. */
const MOST = 1_000_000;

/** The length of a standard number. */
const LENGTH = 25;

/**
 * How many numbers cross from WebAssembly at once: a crossing costs about 350 ns, 5 ns for each of 64. A number
 * that was cut from a longer string keeps all of it in memory, 1.6 kB at the most.
 */
const AT_ONCE = 64;

// Numbers of one millisecond, made together, and only while the clock stands still. Who makes one number now and then gets
// each made for itself.
let block = '';
let used = 0;
let madeAt = -1;
let made = 1;

/**
 * Makes an order number. By default 25 symbols of Crockford's base 32: the time (numbers sort by it), 75 fresh random bits,
 * and a check symbol.
 *
 * @throws {PaybyCheckoutError} `no_secure_random` when the platform has no secure random source (nothing weaker is made);
 * `clock_out_of_range`; `order_number_bad_prefix` or `invalid_argument` for wrong options.
 */
export function orderNumber(options?: OrderNumberOptions): OrderNumber {
  if (options !== undefined) return maker(options)(1) as OrderNumber;
  const now = Date.now();
  if (now !== madeAt || used === block.length) {
    made = now === madeAt ? Math.min(2 * made, AT_ONCE) : 1;
    block = call(() => core.make('', '', now, made));
    used = 0;
    madeAt = now;
  }
  return block.slice(used, (used += LENGTH)) as OrderNumber;
}

/**
 * Makes `count` order numbers at one reading of the clock, at most 1,000,000.
 *
 * @throws {PaybyCheckoutError} As `orderNumber`.
 */
export function orderNumbers(count: number, options: OrderNumberOptions = {}): OrderNumber[] {
  if (!Number.isInteger(count) || count < 0 || count > MOST) {
    throw new PaybyCheckoutError('invalid_argument', `count is a whole number from 0 to ${MOST}`);
  }
  const numbers = new Array<OrderNumber>(count);
  if (count === 0) return numbers;
  const make = maker(options);
  for (let i = 0; i < count; ) {
    const some = Math.min(count - i, AT_ONCE);
    const all = make(some);
    const length = all.length / some;
    for (let from = 0; from < all.length; from += length) numbers[i++] = all.slice(from, from + length) as OrderNumber;
  }
  return numbers;
}

/** Reads the clock, and makes so many numbers of that time, one behind the other in one string. */
function maker(options: OrderNumberOptions): (count: number) => string {
  if (typeof options !== 'object' || options === null) {
    throw new PaybyCheckoutError('invalid_argument', `options are an object, not ${kind(options)}`);
  }
  const { format = '', prefix = '', now = Date.now } = options;
  if (typeof format !== 'string' || typeof prefix !== 'string' || typeof now !== 'function') {
    throw new PaybyCheckoutError('invalid_argument', 'format and prefix are strings, now is a function');
  }
  if (prefix === '' && options.prefix !== undefined) {
    throw new PaybyCheckoutError('order_number_bad_prefix', 'an order number’s prefix is empty', { position: 0 });
  }
  const time = now();
  if (!(time >= 0 && time <= Number.MAX_SAFE_INTEGER)) {
    throw new PaybyCheckoutError('clock_out_of_range', `now() gave ${String(time)}, not Unix milliseconds`);
  }
  return (count) => call(() => core.make(format, prefix, time, count));
}

/** Whether `value` is a string that PayBy accepts as an order number. */
export function isOrderNumber(value: unknown): value is OrderNumber {
  return typeof value === 'string' && RULE.test(value);
}

/**
 * Takes `value` as an order number, as it is: nothing is trimmed or repaired.
 *
 * @throws {PaybyCheckoutError} `order_number_empty`, `order_number_too_long`, `order_number_bad_symbol` (with
 * `details.position`), or `invalid_argument` if it is no string.
 */
export function parseOrderNumber(value: string): OrderNumber {
  if (!isOrderNumber(value)) call(() => core.check(text(value)));
  return value as OrderNumber;
}

/**
 * What an order number tells of itself, if it is one of ours; else `undefined`.
 *
 * @throws {PaybyCheckoutError} As `parseOrderNumber`.
 */
export function inspectOrderNumber(value: string): OrderNumberInspection | undefined {
  const told = call(() => core.inspect(text(value))) as
    | [OrderNumberFormat, string | undefined, number | undefined, OrderNumberInspection['check']]
    | undefined;
  if (!told) return undefined;
  const [format, prefix, time, check] = told;
  return {
    format,
    ...(prefix === undefined ? {} : { prefix }),
    ...(time === undefined ? {} : { madeAt: new Date(time) }),
    check,
  };
}

/**
 * Reads an order number of ours that a person typed: lower case, O for 0, I or L for 1, spaces and hyphens between symbols
 * are taken as they were meant. A prefix keeps its spelling.
 *
 * @throws {PaybyCheckoutError} `order_number_check_failed` for a typing error, with `details.suggestions`: what may have been
 * meant if one symbol is wrong, the likeliest first. Ask; never take one without asking. `order_number_unknown_format` for a
 * wrong number of symbols, `order_number_bad_symbol`, `order_number_too_long`, `order_number_empty`.
 */
export function readOrderNumber(typedIn: string): OrderNumber {
  const given = text(typedIn);
  try {
    return call(() => core.readTyped(given)) as OrderNumber;
  } catch (error) {
    if (!(error instanceof PaybyCheckoutError) || error.code !== 'order_number_check_failed') throw error;
    const suggestions = call(() => core.suggest(given, Date.now())) as OrderNumber[];
    throw new PaybyCheckoutError(error.code, error.message, { suggestions });
  }
}

function text(value: unknown): string {
  if (typeof value === 'string') return value;
  throw new PaybyCheckoutError('invalid_argument', `an order number is a string, not ${kind(value)}`);
}

function kind(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'an array' : `of type ${typeof value}`;
}
