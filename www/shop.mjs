// The lines that a merchant's server adds for a payment: it prices the cart, opens a purchase at the payby-checkout proxy
// and hands the page that purchase's token. It never sees a card or a signing key, and it never takes a price, or the news
// that something is paid, from a browser.

import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';

/** What is sold here. Prices are integer fils; 100 fils are one dirham. */
export const products = [
  { sku: 'coffee', name: 'Cardamom coffee', detail: 'Light roast, 250\u00a0g', fils: 4250, picture: '/img/coffee.svg' },
  { sku: 'dates', name: 'Khalas dates', detail: 'From Al Ain, 500\u00a0g', fils: 3500, picture: '/img/dates.svg' },
];
export const currency = 'AED';
export const MAX_QUANTITY = 20;

// PayBy's documentation allows 12 characters; the payer reads them on the pay page.
const SUBJECT = 'Dallah order';
const PROXY_TIMEOUT_MS = 10_000;
const RENEW_TOKEN_MS = 10 * 60_000;

/** A request that the shop does not follow, and why, in words for the customer. */
export class Refusal extends Error {
  constructor(status, code, message, options) {
    super(message, options);
    this.status = status;
    this.code = code;
  }
}

/** Prices a cart of `{sku, quantity}`. Whatever else the browser says of a line is not read. */
export function price(cart) {
  const invalid = (message) => new Refusal(400, 'invalid_cart', message);
  if (!Array.isArray(cart) || cart.length === 0) throw invalid('The basket is empty.');
  if (cart.length > products.length) throw invalid('The basket has more lines than we have products.');
  const quantities = new Map();
  for (const line of cart) {
    const product = products.find(({ sku }) => sku === line?.sku);
    if (!product) throw invalid('We do not have one of the products in the basket.');
    if (quantities.has(product)) throw invalid(`${product.name} is in the basket twice.`);
    if (!Number.isInteger(line.quantity) || line.quantity < 1 || line.quantity > MAX_QUANTITY) {
      throw invalid(`We sell 1 to ${MAX_QUANTITY} of ${product.name} at a time.`);
    }
    quantities.set(product, line.quantity);
  }
  // In the shop's own sequence, so that carts with the same content are equal.
  const lines = products.flatMap((product) => {
    const quantity = quantities.get(product);
    return quantity ? [{ sku: product.sku, name: product.name, quantity, fils: quantity * product.fils }] : [];
  });
  return { lines, fils: lines.reduce((sum, line) => sum + line.fils, 0), currency };
}

/** Fils as the proxy's decimal string: 1250 is "12.50". Never through a float. */
export const decimal = (fils) => `${Math.floor(fils / 100)}.${String(fils % 100).padStart(2, '0')}`;

/**
 * The shop's half of a checkout. A session is a plain object that the web server keeps for a visitor; a session has one
 * checkout at a time, and a checkout has one purchase, named by the shop's order id.
 */
export class Shop {
  #proxy;
  #publicProxy;
  #apiKey;
  #returnUrl;

  constructor({ proxy, publicProxy, apiKey, returnUrl }) {
    this.#proxy = proxy;
    this.#publicProxy = publicProxy;
    this.#apiKey = apiKey;
    this.#returnUrl = returnUrl;
  }

  /** The customer checks out with this cart: with a double click, twice. Both get the same purchase. */
  async open(session, cart) {
    const order = price(cart);
    while (session.checkout && !isDeepStrictEqual(session.checkout.order, order)) await this.leave(session);
    // No `await` between the test and this line: of two requests at the same time, one makes the order id.
    session.checkout ??= { orderId: `DD-${randomBytes(8).toString('hex').toUpperCase()}`, order };
    return this.#forThePage(session.checkout);
  }

  /** The checkout for a page that was reloaded or comes back from the pay page; `null` if there is none. */
  async current({ checkout }) {
    if (!checkout || !(await opened(checkout))) return null;
    const page = await this.#forThePage(checkout);
    const [newest] = await this.#orders(checkout);
    // A failed order is over, so the page cannot go on with it; but it can say what became of it.
    const { orderNumber, amount, failure } = newest ?? {};
    return { ...page, failed: newest?.status === 'failed' ? { status: 'failed', orderNumber, amount, failure } : null };
  }

  /** The customer goes back to the basket: only when nothing of this checkout can be paid any more. */
  async leave(session) {
    const { checkout } = session;
    if (!checkout) return;
    const orders = await this.#orders(checkout);
    if (orders.some(({ status }) => status === 'pending' || status === 'unknown')) {
      throw new Refusal(409, 'payment_open', 'A payment for this basket is still open. Please finish or cancel it first.');
    }
    // Here a real shop would ship what is paid: because the proxy says so to its server, not because a page does.
    if (session.checkout === checkout) delete session.checkout;
  }

  async #forThePage(checkout) {
    const { token } = await this.#purchase(checkout);
    return { orderId: checkout.orderId, order: checkout.order, proxy: this.#publicProxy, token };
  }

  /** Opens the purchase. The same reference again is the same purchase, so an answer that was lost does no harm. */
  #purchase(checkout) {
    if (checkout.renewAt < Date.now()) checkout.purchase = undefined;
    return (checkout.purchase ??= this.#open(checkout).catch((error) => {
      checkout.purchase = undefined;
      throw error;
    }));
  }

  async #open(checkout) {
    const purchase = await this.#call('POST', '/v1/purchases', {
      reference: checkout.orderId,
      amount: decimal(checkout.order.fils),
      currency: checkout.order.currency,
      subject: SUBJECT,
      scene: 'DYNQR',
      redirectUrl: this.#returnUrl,
    });
    checkout.renewAt = Date.now() + purchase.tokenExpiresInMs - RENEW_TOKEN_MS;
    return purchase;
  }

  /** The purchase's orders, newest first. */
  async #orders(checkout) {
    // While no token has been given out, nothing can have been ordered.
    if (!(await opened(checkout))) return [];
    const { purchaseId } = await this.#purchase(checkout);
    const { orders } = await this.#call('GET', `/v1/purchases/${encodeURIComponent(purchaseId)}`);
    return orders;
  }

  async #call(method, path, body) {
    try {
      const response = await fetch(this.#proxy + path, {
        method,
        headers: { authorization: `Bearer ${this.#apiKey}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        redirect: 'error',
        signal: AbortSignal.timeout(PROXY_TIMEOUT_MS),
      });
      // A development proxy that was started anew has forgotten the purchase.
      if (method === 'GET' && response.status === 404) return { orders: [] };
      const answer = await response.json();
      if (!response.ok) throw new Error(`the proxy answered ${response.status} ${answer.code}: ${answer.detail}`);
      return answer;
    } catch (cause) {
      // The cause is for the log: the customer cannot do anything about it.
      throw new Refusal(502, 'no_payment', 'We cannot take payments just now. Please try again in a moment.', { cause });
    }
  }
}

/** Whether the proxy has answered for this checkout; waits for an answer on its way. */
const opened = ({ purchase }) => Promise.resolve(purchase).then(Boolean, () => false);
