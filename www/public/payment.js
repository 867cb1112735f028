// The payment: one panel of the page for each state that a checkout can be in. It decides nothing about money: it says
// what payby-checkout says, and passes on what the customer wants.

import { createCheckout } from '/vendor/payby-checkout/checkout.js';

import { $, announce, fieldsOf, showProblem } from './dom.js';
import { drawQr } from './qr.js';
import * as shop from './shop-api.js';
import { asking, failures, money, redirect, theirWords, timeLeft, trouble } from './words.js';

export class Payment {
  #leave;
  #panels = new Map();
  #checkout;
  #status;
  /** What the customer waits for: 'opening', 'looking' or 'cancelling'. */
  #doing;
  #goingToPayBy = false;
  #clock;

  /** `leave` brings the customer back to the basket; it may refuse with an error whose message is for them. */
  constructor(leave) {
    this.#leave = leave;
    for (const panel of document.querySelectorAll('[data-panel]')) {
      this.#panels.set(panel.dataset.panel, { panel, title: panel.querySelector('h2'), fields: fieldsOf(panel) });
    }
    const actions = {
      pay: ({ scene }) => this.#pay(scene),
      cancel: () => this.#ask('cancelling', (checkout) => checkout.cancel()),
      again: () => this.#show({ status: 'idle' }),
      look: () => this.#look(),
      leave: () => this.#leave({ paid: this.#status?.status === 'paid' }),
    };
    $('#checkout').addEventListener('click', async ({ target }) => {
      const button = target.closest('[data-action]');
      if (!button || button.ariaBusy) return;
      button.ariaBusy = 'true';
      showProblem($('#checkout-problem'), null);
      try {
        await actions[button.dataset.action](button.dataset);
      } catch (error) {
        showProblem($('#checkout-problem'), error.message);
      } finally {
        button.ariaBusy = null;
      }
    });
    // The browser's Back button can bring this page back as it was left: on its way to PayBy.
    addEventListener('pageshow', ({ persisted }) => {
      this.#goingToPayBy = false;
      if (persisted && this.#checkout) this.#show(this.#status);
    });
    addEventListener('offline', () => showProblem($('#checkout-problem'), 'You are offline. We go on as soon as you are back.'));
    addEventListener('online', () => showProblem($('#checkout-problem'), null));
  }

  /** Goes on with a purchase: with its order if it has one; otherwise the customer chooses how to pay. */
  async open(purchase) {
    this.close();
    const checkout = createCheckout({ proxy: purchase.proxy, token: purchase.token });
    this.#checkout = checkout;
    // `idle` means something only as the answer to `resume`.
    checkout.subscribe((status) => status.status !== 'idle' && this.#show(status));
    await this.#ask('looking', async () => {
      const status = await checkout.resume();
      return status.status === 'idle' ? (purchase.failed ?? status) : status;
    });
  }

  /** Stops watching. The order stays what it is. */
  close() {
    clearInterval(this.#clock);
    this.#checkout?.dispose();
    this.#checkout = this.#status = undefined;
  }

  /** A new order, or after a failed one another; whether that is safe, the checkout knows. */
  async #pay(scene) {
    this.#goingToPayBy = scene === 'PAYPAGE';
    const status = await this.#ask('opening', (checkout) => checkout.start({ scene }));
    if (this.#goingToPayBy && status?.scene === 'PAYPAGE' && isWebAddress(status.payUrl)) location.assign(status.payUrl);
    else this.#goingToPayBy = false;
  }

  /** After trouble: the shop's server may have a new token, and the order may have gone on. */
  async #look() {
    const purchase = await shop.currentCheckout();
    if (purchase) await this.open(purchase);
    else location.reload();
  }

  /** Asks the checkout for something, shows that it is being asked, and then the answer. */
  async #ask(doing, question) {
    const checkout = this.#checkout;
    // By the time of an answer the customer may have gone on to something else.
    const ifStill = (answer) => {
      if (this.#checkout !== checkout) return;
      this.#doing = 'looking';
      answer();
    };
    this.#doing = doing;
    this.#show(this.#status?.status === 'pending' ? this.#status : { status: 'unknown' });
    const answer = question(checkout);
    // The checkout can have to stop also while nobody asks it anything.
    checkout.result.catch((error) => ifStill(() => this.#showTrouble(error)));
    try {
      const status = await answer;
      ifStill(() => this.#show(status));
      return status;
    } catch (error) {
      ifStill(() => this.#showTrouble(error));
    }
  }

  #show(status) {
    this.#status = status;
    clearInterval(this.#clock);
    const { status: name, amount, orderNumber, failure } = status;
    const doing = status.cancelling ? 'cancelling' : this.#doing;
    if (name === 'idle') this.#panel('choose');
    else if (name === 'paid') this.#panel('paid', { amount: money(amount), 'order-number': orderNumber });
    else if (name === 'conflict') this.#panel('conflict', { 'order-number': orderNumber });
    else if (name === 'failed') {
      this.#panel('failed', { ...failures[failure.reason], message: theirWords(failure), 'order-number': orderNumber });
    } else if (name === 'unknown' || doing === 'cancelling' || !isWebAddress(status.payUrl)) {
      this.#panel('asking', asking[doing]);
    } else this.#showPending(status);
  }

  #showPending({ scene, amount, payUrl, expiresInMs }) {
    const fields =
      scene === 'DYNQR'
        ? this.#panel('scan', { amount: money(amount) })
        : this.#panel('redirect', this.#goingToPayBy ? redirect.going : redirect.back);
    if (fields.link.href !== payUrl) {
      fields.link.href = payUrl;
      fields.qr?.replaceChildren(drawQr(payUrl, 'QR code of the pay page'));
    }
    const end = Date.now() + expiresInMs;
    const tick = () => (fields['time-left'].textContent = timeLeft(end - Date.now()));
    this.#clock = setInterval(tick, 1000);
    tick();
  }

  #showTrouble(error) {
    clearInterval(this.#clock);
    this.#panel('trouble', { text: trouble(error) });
  }

  /** Shows one panel, with these texts in its fields. */
  #panel(name, texts = {}) {
    const { panel, title, fields } = this.#panels.get(name);
    for (const [field, text] of Object.entries(texts)) fields[field].textContent = text ?? '';
    announce(title.textContent);
    if (panel.hidden) {
      for (const other of this.#panels.values()) other.panel.hidden = other.panel !== panel;
      title.focus();
    }
    return fields;
  }
}

/** A pay URL becomes a link and an address to go to: no other scheme than the web's. */
const isWebAddress = (url) => URL.canParse(url) && /^https?:$/.test(new URL(url).protocol);
