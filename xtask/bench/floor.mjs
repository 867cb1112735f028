// The floor: the least that plain JavaScript can spend on a string of the time and 80 random bits. Every number reads
// Date.now(), and takes fresh bits from a pool that crypto.getRandomValues fills; no check symbol, no formats, no errors.
// Several ways, because which is the fastest differs between engines; the fastest one counts.

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

const symbols = (value, count) => {
  let text = '';
  for (; count > 0; count--) {
    text = ALPHABET[value % 32] + text;
    value = Math.floor(value / 32);
  }
  return text;
};

const pool = new Uint16Array(4096);
let used = pool.length;

/** The pool has `count` unused words from here on. */
function take(count) {
  if (used + count > pool.length) {
    crypto.getRandomValues(pool);
    used = 0;
  }
  used += count;
  return used - count;
}

let timeIn = -1;
let time = '';

/** The time in nine symbols, written once for each millisecond. */
function timeNow() {
  const now = Date.now();
  if (now !== timeIn) {
    timeIn = now;
    time = symbols(now, 9);
  }
  return time;
}

// ---- By joining strings: each word of the pool names two symbols. The engine copies nothing before somebody reads it.

const PAIRS = Array.from({ length: 1024 }, (_, value) => symbols(value, 2));

export function joined() {
  const at = take(8);
  return (
    timeNow() +
    PAIRS[pool[at] & 1023] +
    PAIRS[pool[at + 1] & 1023] +
    PAIRS[pool[at + 2] & 1023] +
    PAIRS[pool[at + 3] & 1023] +
    PAIRS[pool[at + 4] & 1023] +
    PAIRS[pool[at + 5] & 1023] +
    PAIRS[pool[at + 6] & 1023] +
    PAIRS[pool[at + 7] & 1023]
  );
}

// ---- The same with large tables: five words, each of four symbols of base 16, and nothing left over.

let QUADS;

export function joinedFromLargeTable() {
  QUADS ??= Array.from({ length: 65_536 }, (_, value) => value.toString(16).padStart(4, '0'));
  const at = take(5);
  return timeNow() + QUADS[pool[at]] + QUADS[pool[at + 1]] + QUADS[pool[at + 2]] + QUADS[pool[at + 3]] + QUADS[pool[at + 4]];
}

// ---- By character codes: sixteen symbols in one call.

const CODES = Uint8Array.from(ALPHABET, (symbol) => symbol.charCodeAt(0));

export function fromCodes() {
  const at = take(8);
  const [a, b, c, d] = [pool[at], pool[at + 1], pool[at + 2], pool[at + 3]];
  const [e, f, g, h] = [pool[at + 4], pool[at + 5], pool[at + 6], pool[at + 7]];
  return (
    timeNow() +
    String.fromCharCode(
      CODES[a & 31], CODES[(a >> 5) & 31], CODES[b & 31], CODES[(b >> 5) & 31],
      CODES[c & 31], CODES[(c >> 5) & 31], CODES[d & 31], CODES[(d >> 5) & 31],
      CODES[e & 31], CODES[(e >> 5) & 31], CODES[f & 31], CODES[(f >> 5) & 31],
      CODES[g & 31], CODES[(g >> 5) & 31], CODES[h & 31], CODES[(h >> 5) & 31],
    ) // prettier-ignore
  );
}

// ---- By cutting: the pool is text already, and 16 symbols of it are joined to the time.

const randomBytes = new Uint8Array(16 * 1024);
const decoder = new TextDecoder('latin1');
let text = '';
let cutTo = 0;

export function cut() {
  if (cutTo === text.length) {
    crypto.getRandomValues(randomBytes);
    for (let i = 0; i < randomBytes.length; i++) randomBytes[i] = CODES[randomBytes[i] & 31];
    text = decoder.decode(randomBytes);
    cutTo = 0;
  }
  return timeNow() + text.slice(cutTo, (cutTo += 16));
}

// ---- By cutting whole numbers: those of one millisecond are written side by side, decoded at once, and cut out one by one.

const LENGTH = 25;
const AHEAD = 64;
const bytes = new Uint8Array(LENGTH * AHEAD);
let block = '';
let next = 0;
let blockIn = -1;

export function cutFromBlock() {
  const now = Date.now();
  if (now !== blockIn || next === block.length) {
    for (let i = 0, value = now; i < 9; i++, value = Math.floor(value / 32)) bytes[8 - i] = CODES[value % 32];
    // Half as many when a millisecond has just begun: the rest may never be asked for.
    const many = now === blockIn ? AHEAD : 8;
    for (let from = 0; from < many * LENGTH; from += LENGTH) {
      if (from > 0) bytes.copyWithin(from, 0, 9);
      const at = take(8);
      for (let i = 0; i < 8; i++) {
        const word = pool[at + i];
        bytes[from + 9 + 2 * i] = CODES[word & 31];
        bytes[from + 10 + 2 * i] = CODES[(word >> 5) & 31];
      }
    }
    block = decoder.decode(bytes.subarray(0, many * LENGTH));
    next = 0;
    blockIn = now;
  }
  return block.slice(next, (next += LENGTH));
}
