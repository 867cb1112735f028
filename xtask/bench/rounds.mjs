// Measures candidates against each other, in Node and in pages. The machine is never quiet, and never equally loud, so each
// round takes one sample of each candidate, and what counts is the median of the ratios within the rounds.

/** How long a sample takes at least, in milliseconds: some hundred ticks of a page's coarse clock. */
const SAMPLE = 25;

/** What the candidates made lately; it is looked at in the end, so that no engine leaves the making out. */
const kept = new Array(8).fill('');

/** Milliseconds that `n` turns of a candidate's loop take. */
function time(loop, n) {
  const begun = performance.now();
  loop(n, kept);
  return performance.now() - begun;
}

/** How many turns make a sample, after as many samples of warming up as an engine needs to be done with optimising. */
function turns(loop) {
  let n = 1;
  let took = 0;
  for (let samples = 0; samples < 4; ) {
    took = time(loop, n);
    if (took < SAMPLE) n *= 2;
    else samples++;
  }
  return Math.ceil((n * SAMPLE) / took);
}

export function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * Nanoseconds per number of each candidate, and its time as a multiple of the first one's. `candidates` are pairs of a name
 * and a loop `(n, kept) => void`.
 */
export function measure(candidates, per, rounds) {
  const samples = candidates.map(([name, loop]) => ({ name, loop, n: turns(loop), times: [] }));
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < samples.length; i++) {
      const { loop, n, times } = samples[(i + round) % samples.length];
      times.push((time(loop, n) / n / per) * 1e6);
    }
  }
  if (kept.some((it) => String(it).length === 0)) throw new Error('a candidate made nothing');
  const [{ times: ours }] = samples;
  return samples.map(({ name, times }) => ({
    name,
    nanoseconds: median(times),
    ratio: median(times.map((time, round) => time / ours[round])),
  }));
}
