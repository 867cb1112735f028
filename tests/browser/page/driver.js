// The least that a shop's page does: it opens the checkout of the purchase that it was given, and remembers what it is
// told. The test is the customer. `purchase`, `{ proxy, token }`, is there before this runs, as if the shop's server had
// put it into the page.

import { PaybyCheckoutError, createCheckout } from '/vendor/payby-checkout/checkout.js';

const aborter = new AbortController();
const checkout = createCheckout({ ...globalThis.purchase, signal: aborter.signal });
const seen = [];
checkout.subscribe((status) => seen.push(status));

/** What came of a promise, as data that a test can read. */
function outcome(promise) {
  return promise.then(
    (value) => ({ value }),
    ({ name, code, message, details, constructor }) => ({
      error: { name, code, message, details, ours: constructor === PaybyCheckoutError },
    }),
  );
}

async function iterated() {
  const all = [];
  for await (const status of checkout) all.push(status);
  return all;
}

Object.assign(globalThis, { aborter, checkout, createCheckout, iterated, outcome, seen });
