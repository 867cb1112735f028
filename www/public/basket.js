// What the customer wants, and how much of it. The sums shown here are a courtesy; what is paid is priced by the server.

import { $, fromTemplate, showProblem } from './dom.js';
import { dirhams } from './words.js';

const STORED = 'basket';

export class Basket {
  #products;
  #max;
  #quantities;

  /** `checkOut` gets the cart, and returns a promise that is done when the checkout is on the page. */
  constructor(products, maxQuantity, checkOut) {
    this.#products = products;
    this.#max = maxQuantity;
    this.#quantities = new Map(stored());
    const button = $('#check-out');
    button.addEventListener('click', async () => {
      button.disabled = true;
      showProblem($('#basket-problem'), null);
      try {
        await checkOut(this.#lines().map(({ product, quantity }) => ({ sku: product.sku, quantity })));
      } catch (error) {
        showProblem($('#basket-problem'), error.message);
      }
      this.#draw();
    });
    this.#draw();
  }

  add(sku, change = 1) {
    const quantity = Math.min((this.#quantities.get(sku) ?? 0) + change, this.#max);
    if (quantity > 0) this.#quantities.set(sku, quantity);
    else this.#quantities.delete(sku);
    this.#draw();
  }

  fill(lines) {
    this.#quantities = new Map(lines.map(({ sku, quantity }) => [sku, quantity]));
    this.#draw();
  }

  clear() {
    this.fill([]);
  }

  #lines() {
    return this.#products
      .filter(({ sku }) => this.#quantities.has(sku))
      .map((product) => ({ product, quantity: this.#quantities.get(product.sku) }));
  }

  #draw() {
    store([...this.#quantities]);
    const lines = this.#lines();
    const focused = document.activeElement?.getAttribute('aria-label');
    $('#basket-lines').replaceChildren(...lines.map((line) => this.#drawLine(line)));
    // The buttons are new; the keyboard stays where it was.
    if (focused) $(`#basket-lines [aria-label="${CSS.escape(focused)}"]`)?.focus();
    $('#basket-empty').hidden = lines.length > 0;
    $('#basket-total').textContent = dirhams(lines.reduce((sum, { product, quantity }) => sum + product.fils * quantity, 0));
    $('#check-out').disabled = lines.length === 0;
  }

  #drawLine({ product, quantity }) {
    const [item, fields] = fromTemplate('basket-line');
    fields.name.textContent = product.name;
    fields.quantity.textContent = quantity;
    fields.sum.textContent = dirhams(product.fils * quantity);
    fields.less.setAttribute('aria-label', quantity === 1 ? `Remove ${product.name}` : `One ${product.name} less`);
    fields.less.addEventListener('click', () => this.add(product.sku, -1));
    fields.more.setAttribute('aria-label', `One ${product.name} more`);
    fields.more.addEventListener('click', () => this.add(product.sku));
    fields.more.disabled = quantity >= this.#max;
    return item;
  }
}

// A page may be forbidden to store anything; then a reload empties the basket, and that is all.
function stored() {
  try {
    return JSON.parse(sessionStorage.getItem(STORED)) ?? [];
  } catch {
    return [];
  }
}

function store(quantities) {
  try {
    sessionStorage.setItem(STORED, JSON.stringify(quantities));
  } catch {}
}
