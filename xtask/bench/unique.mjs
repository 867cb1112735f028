// Ten million order numbers of one millisecond, made by eight workers whose clocks stand still: no two are the same, all their
// random bits came from the platform's secure source, and nothing in them tells in which order they were made, or how many
// there are. Prints the figures, and fails if one is out of its bounds.
//
//     node xtask/bench/unique.mjs
//
// Environment: PKG, the built package.

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const COUNT = 10_000_000;
const WORKERS = 8;
const EACH = COUNT / WORKERS;
const NOW = 1_763_812_800_000;
const TIME = '1KANPYXG0';
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
/** How many standard deviations a figure may be from what chance makes likely: of a hundred figures, one in 17,000 runs is more. */
const BOUND = 5;
/** The random symbols of a number: three words of five. */
const SYMBOLS = 15;

// ---- A worker: makes its share, and keeps of each number its random bits, 25 in a word

async function work(words, first, oneByOne) {
  const used = { calls: 0, bytes: 0 };
  const fill = crypto.getRandomValues.bind(crypto);
  crypto.getRandomValues = (array) => {
    used.calls++;
    used.bytes += array.byteLength;
    return fill(array);
  };
  const { orderNumber, orderNumbers } = await import(pathToFileURL(join(process.env.PKG, 'order-number.js')));
  const values = new Uint8Array(128).fill(255);
  [...ALPHABET].forEach((symbol, value) => (values[symbol.charCodeAt(0)] = value));
  let at = first;
  const keep = (number) => {
    if (number.length !== 25 || !number.startsWith(TIME)) throw new Error(`${number} is not of this millisecond`);
    for (let word = 0; word < 3; word++) {
      let bits = 0;
      for (let i = 0; i < 5; i++) bits = bits * 32 + values[number.charCodeAt(TIME.length + 5 * word + i)];
      words[word][at] = bits;
    }
    at++;
  };
  if (oneByOne) {
    Date.now = () => NOW;
    for (let i = 0; i < EACH; i++) keep(orderNumber());
  } else {
    for (let i = 0; i < EACH; i += 12_500) orderNumbers(12_500, { now: () => NOW }).forEach(keep);
  }
  parentPort.postMessage({ ...used, oneByOne, ...farthest(words.map((word) => order(word.subarray(first, at)))) });
}

/** What a sequence's order tells, in standard deviations from nothing. */
function order(sequence) {
  const n = sequence.length;
  // Ranks, by sorting each value with its place behind it: 25 and 21 bits.
  const sorted = Float64Array.from(sequence, (value, place) => value * 2 ** 21 + place).sort();
  let distance = 0;
  sorted.forEach((it, rank) => (distance += (rank - (it % 2 ** 21)) ** 2));
  const spearman = 1 - (6 * distance) / (n * (n * n - 1));
  let ascents = 0;
  let products = 0;
  const middle = 2 ** 24;
  for (let i = 1; i < n; i++) {
    if (sequence[i] > sequence[i - 1]) ascents++;
    products += ((sequence[i] - middle) / middle) * ((sequence[i - 1] - middle) / middle);
  }
  return {
    spearman: spearman * Math.sqrt(n - 1),
    ascents: (ascents - (n - 1) / 2) / Math.sqrt((n + 1) / 12),
    // The product of two independent values between -1 and 1 has a variance of 1/9.
    neighbours: (products * 3) / Math.sqrt(n - 1),
  };
}

/** Of each figure, the one that is the farthest from nothing: a counter may run at either end of a number. */
function farthest(orders) {
  const of = (name) => orders.map((order) => order[name]).reduce((a, b) => (Math.abs(a) > Math.abs(b) ? a : b));
  return { spearman: of('spearman'), ascents: of('ascents'), neighbours: of('neighbours') };
}

// ---- All of them together

/** How many numbers are the same as another one. */
function duplicates([high, middle, low]) {
  const key = (i) => high[i] * 2 ** 25 + middle[i];
  const sorted = Float64Array.from(high, (_, i) => key(i)).sort();
  const twice = new Set(sorted.filter((it, i) => it === sorted[i - 1]));
  const seen = new Set();
  let count = 0;
  for (let i = 0; twice.size > 0 && i < COUNT; i++) {
    if (!twice.has(key(i))) continue;
    const whole = `${key(i)} ${low[i]}`;
    if (seen.has(whole)) count++;
    seen.add(whole);
  }
  return { duplicates: count, alikeInTwoThirds: twice.size };
}

/** The farthest of the 75 bits from half ones, and how even the symbols are, in standard deviations. */
function balance(words) {
  const counts = Array.from({ length: SYMBOLS }, () => new Float64Array(32));
  words.forEach((word, w) => {
    for (const bits of word) for (let i = 0; i < 5; i++) counts[5 * w + i][(bits >> (20 - 5 * i)) & 31]++;
  });
  let worst = 0;
  let chiSquare = 0;
  for (const symbols of counts) {
    for (let bit = 0; bit < 5; bit++) {
      const ones = symbols.reduce((sum, count, value) => sum + ((value >> bit) & 1) * count, 0);
      worst = Math.max(worst, Math.abs(ones - COUNT / 2) / Math.sqrt(COUNT / 4));
    }
    chiSquare += symbols.reduce((sum, count) => sum + (count - COUNT / 32) ** 2 / (COUNT / 32), 0);
  }
  const freedom = 31 * SYMBOLS;
  return { bit: worst, chiSquare, freedom, uneven: (chiSquare - freedom) / Math.sqrt(2 * freedom) };
}

function check(holds, text) {
  console.log(`   ${holds ? 'ok  ' : 'FAIL'} ${text}`);
  if (!holds) process.exitCode = 1;
}

async function main() {
  const words = [0, 1, 2].map(() => new Uint32Array(new SharedArrayBuffer(4 * COUNT)));
  const results = await Promise.all(
    Array.from({ length: WORKERS }, (_, i) => {
      // Half of them by orderNumber(), half by orderNumbers() with a clock of their own.
      const worker = new Worker(import.meta.filename, { workerData: { words, first: i * EACH, oneByOne: i % 2 === 0 } });
      return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    }),
  );
  const total = (name) => results.reduce((sum, result) => sum + result[name], 0);
  const number = (it) => it.toLocaleString('en');
  console.log(`${number(COUNT)} standard order numbers of one millisecond, by ${WORKERS} workers; figures are below ${BOUND} sigmas:`);
  const same = duplicates(words);
  check(same.duplicates === 0, `${same.duplicates} duplicates (${same.alikeInTwoThirds} pairs alike in their first 50 random bits)`);
  const needed = (COUNT * 75) / 8;
  const bytes = `${number(total('bytes'))} bytes in ${number(total('calls'))} calls`;
  check(results.every((it) => it.bytes >= (EACH * 75) / 8), `crypto.getRandomValues gave ${bytes}; needed are ${number(needed)}`);
  for (const [name, title] of [
    ['spearman', 'rank correlation of place and value'],
    ['ascents', 'numbers above the one before'],
    ['neighbours', 'correlation of neighbours'],
  ]) {
    const all = results.map((result) => result[name]);
    const shown = all.map((sigmas) => sigmas.toFixed(2)).join(' ');
    check(all.every((sigmas) => Math.abs(sigmas) < BOUND), `${title}, by worker: ${shown} sigmas`);
  }
  const { bit, chiSquare, freedom, uneven } = balance(words);
  check(bit < BOUND, `the farthest of 75 bits from half ones: ${bit.toFixed(2)} sigmas`);
  const square = `${chiSquare.toFixed(1)} at ${freedom} degrees of freedom`;
  check(Math.abs(uneven) < BOUND, `chi-square of 32 symbols at ${SYMBOLS} places: ${square}, ${uneven.toFixed(2)} sigmas`);
}

if (isMainThread) await main();
else await work(workerData.words, workerData.first, workerData.oneByOne);
