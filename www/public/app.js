// The page: a basket until the customer checks out, and from then on a payment, also after a reload.

import { Basket } from './basket.js';
import { $, announce, fromTemplate, showProblem } from './dom.js';
import { Payment } from './payment.js';
import * as shop from './shop-api.js';
import { dirhams } from './words.js';

async function begin() {
  const { products, maxQuantity } = await shop.products();
  const purchase = await shop.currentCheckout();
  // `?checkout=return` brought the customer back from PayBy; for a reload or a bookmark it would mean nothing.
  if (location.search) history.replaceState(null, '', '/');

  const basket = new Basket(products, maxQuantity, async (cart) => showCheckout(await shop.openCheckout(cart)));
  const payment = new Payment(async ({ paid }) => {
    await shop.leaveCheckout();
    if (paid) basket.clear();
    showBasket();
    $('#products-title').focus();
  });

  function showBasket() {
    payment.close();
    $('#checkout').hidden = true;
    $('#shop').hidden = false;
  }

  function showCheckout(purchase) {
    basket.fill(purchase.order.lines);
    drawSummary(purchase.order);
    $('#shop').hidden = true;
    $('#checkout').hidden = false;
    payment.open(purchase);
  }

  $('#products').replaceChildren(...products.map((product) => drawProduct(product, basket)));
  if (purchase) showCheckout(purchase);
  else showBasket();
}

function drawProduct(product, basket) {
  const [item, fields] = fromTemplate('product');
  fields.picture.src = product.picture;
  fields.name.textContent = product.name;
  fields.detail.textContent = product.detail;
  fields.price.textContent = dirhams(product.fils);
  fields.add.setAttribute('aria-label', `Add ${product.name} to basket`);
  fields.add.addEventListener('click', () => {
    basket.add(product.sku);
    announce(`${product.name} added.`);
  });
  return item;
}

function drawSummary(order) {
  $('#summary-lines').replaceChildren(
    ...order.lines.map((line) => {
      const [item, fields] = fromTemplate('summary-line');
      fields.name.textContent = line.name;
      fields.quantity.textContent = line.quantity;
      fields.sum.textContent = dirhams(line.fils);
      return item;
    }),
  );
  $('#summary-total').textContent = dirhams(order.fils);
}

begin().catch((error) => {
  // The cause stays on the console for whoever works on the shop.
  if (!(error instanceof shop.ShopError)) console.error(error);
  showProblem($('#shop-problem'), error instanceof shop.ShopError ? error.message : 'The shop does not work just now.');
});
