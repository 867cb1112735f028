// PayBy's pay page, as the simulator shows it: a payer on a phone pays, declines, leaves or lets the time run out, in English
// and in Arabic. It has no script, keeps to its Content-Security-Policy, and each of its parts can be found by name.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe } from 'node:test';

import { customer, it } from './support/browser.mjs';
import { PAGE_URL, PROXY_URL, SIM_URL, ordersOf } from './support/world.mjs';

/** The narrowest phone there is. */
const PHONE = { width: 320, height: 640 };

const ENGLISH = {
  lang: 'en',
  dir: 'ltr',
  waiting: 'Waiting for your payment',
  pay: (amount) => `Pay AED ${amount}`,
  decline: 'Decline',
  leave: 'Leave without paying',
  expire: 'Let the time run out',
  terms: ['Merchant', 'Order', 'Time left'],
  passwordTitle: 'Enter your payment password',
  password: 'Payment password',
  wrong: 'That is not the password. Try again.',
  cancel: 'Back',
  paid: 'Paid',
  declined: 'Payment declined',
  expired: 'Expired',
  back: 'Back to the shop',
  close: 'You can close this page.',
  noPayment: 'No such payment',
  other: 'العربية',
};
const ARABIC = {
  lang: 'ar',
  dir: 'rtl',
  waiting: 'بانتظار الدفع',
  pay: (amount) => `ادفع ${amount} درهم`,
  decline: 'رفض',
  leave: 'المغادرة دون دفع',
  expire: 'إنهاء المهلة الآن',
  terms: ['التاجر', 'الطلب', 'الوقت المتبقي'],
  passwordTitle: 'أدخل كلمة مرور الدفع',
  password: 'كلمة مرور الدفع',
  wrong: 'كلمة المرور غير صحيحة. حاول مرة أخرى.',
  cancel: 'رجوع',
  paid: 'تم الدفع',
  declined: 'رُفضت عملية الدفع',
  expired: 'انتهت المهلة',
  back: 'العودة إلى المتجر',
  close: 'يمكنك إغلاق هذه الصفحة.',
  noPayment: 'لا توجد عملية دفع',
  other: 'English',
};

/** A payer before the pay page of an order, whose browser prefers these words' language. */
class Payer {
  static async open(t, words, { scene = 'PAYPAGE', ...given } = {}) {
    const { context, purchase } = await customer(t, given);
    const orderNumber = randomUUID();
    const created = await fetch(`${PROXY_URL}/v1/orders/${orderNumber}`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${purchase.token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ scene }),
    });
    const { payUrl } = await created.json();
    await context.setExtraHTTPHeaders({ 'accept-language': words.lang });
    const page = await context.newPage();
    await page.setViewportSize(PHONE);
    const payer = Object.assign(new Payer(), { words, purchase, orderNumber, payUrl, page, complaints: [] });
    page.on('pageerror', (error) => payer.complaints.push(String(error)));
    page.on('console', (message) => message.type() === 'error' && payer.complaints.push(message.text()));
    await page.goto(payUrl);
    return payer;
  }

  button(name) {
    return this.page.getByRole('button', { name, exact: true });
  }

  link(name) {
    return this.page.getByRole('link', { name, exact: true });
  }

  /** The page with this heading is there, whole, in the payer's language, as wide as the phone, without a complaint. */
  async sees(heading) {
    const { lang, dir, other } = this.words;
    await this.page.getByRole('heading', { level: 1, name: heading, exact: true }).waitFor();
    await this.link(other).waitFor();
    const found = await this.page.evaluate(() => ({
      lang: document.documentElement.lang,
      dir: getComputedStyle(document.body).direction,
      scripts: document.scripts.length,
      isStyled: [...document.styleSheets].every((sheet) => sheet.cssRules.length > 0) && document.styleSheets.length,
      tooWide: [...document.querySelectorAll('*')]
        .filter((part) => part.getBoundingClientRect().right > innerWidth || part.getBoundingClientRect().left < 0)
        .map((part) => part.outerHTML),
      scrolls: document.documentElement.scrollWidth > innerWidth,
    }));
    assert.deepEqual(found, { lang, dir, scripts: 0, isStyled: 1, tooWide: [], scrolls: false });
    assert.deepEqual(this.complaints, []);
  }

  /** The browser is sent back to the shop, and the order stands so. */
  async isBackWith(status) {
    await this.page.waitForURL(`${PAGE_URL}/?returned`);
    assert.deepEqual(this.complaints, []);
    await this.expectStatus(status);
  }

  async expectStatus(status) {
    const orders = await ordersOf(this.purchase);
    assert.equal(orders.find(({ merchantOrderNo }) => merchantOrderNo === this.orderNumber).status, status);
  }

  /** Goes to the pay page once more: it shows what came of the order, and there is nothing left to do. */
  async findsDecided(heading) {
    await this.page.goto(this.payUrl);
    await this.sees(heading);
    assert.equal(await this.page.getByRole('button').count(), 0);
    assert.equal(await this.link(this.words.back).getAttribute('href'), `${PAGE_URL}/?returned`);
  }
}

for (const words of [ENGLISH, ARABIC]) {
  describe(`the pay page, ${words.lang}`, { concurrency: 4 }, () => {
    it('says what is to be paid, and everything on it has a name', async (t) => {
      const payer = await Payer.open(t, words, { amount: '123456.75' });
      await payer.sees(words.waiting);
      const terms = await payer.page.locator('dt').allTextContents();
      assert.deepEqual(terms, words.terms);
      assert.ok((await payer.page.locator('dd').allTextContents()).includes(payer.orderNumber));
      const buttons = payer.page.getByRole('button');
      const { pay, decline, leave, expire } = words;
      assert.deepEqual(await buttons.allTextContents(), [pay('123,456.75'), decline, leave, expire]);
      for (const name of [pay('123,456.75'), decline, leave, expire]) await payer.button(name).click({ trial: true });
    });

    it('is in the other language for who chooses that, and stays so', async (t) => {
      const payer = await Payer.open(t, words, { amount: '500.00' });
      await payer.link(words.other).click();
      payer.words = words === ENGLISH ? ARABIC : ENGLISH;
      await payer.sees(payer.words.waiting);
      await payer.button(payer.words.pay('500.00')).click();
      await payer.sees(payer.words.passwordTitle);
      await payer.link(payer.words.cancel).click();
      await payer.sees(payer.words.waiting);
    });

    it('below AED 500: pays without a password, and is back in the shop', async (t) => {
      const payer = await Payer.open(t, words, { amount: '499.99' });
      await payer.button(words.pay('499.99')).click();
      await payer.isBackWith('PAID_SUCCESS');
      await payer.findsDecided(words.paid);
    });

    it('from AED 500 on: a password is asked for, and a wrong one is refused', async (t) => {
      const payer = await Payer.open(t, words, { amount: '500.00' });
      await payer.button(words.pay('500.00')).click();
      await payer.sees(words.passwordTitle);
      const field = payer.page.getByLabel(words.password, { exact: true });
      // Who types, types the password.
      await payer.page.locator('input:focus').waitFor();
      await payer.page.keyboard.type('000000');
      await payer.page.keyboard.press('Enter');
      await payer.page.getByRole('alert').waitFor();
      assert.equal(await payer.page.getByRole('alert').textContent(), words.wrong);
      await payer.sees(words.passwordTitle);
      assert.equal(await field.getAttribute('aria-invalid'), 'true');
      assert.equal(await field.inputValue(), '');
      await payer.expectStatus('CREATED');
      await field.fill('123456');
      await payer.button(words.pay('500.00')).click();
      await payer.isBackWith('PAID_SUCCESS');
    });

    it('declines: back in the shop, and the order has failed', async (t) => {
      const payer = await Payer.open(t, words);
      await payer.button(words.decline).click();
      await payer.isBackWith('FAILURE');
      await payer.findsDecided(words.declined);
    });

    it('leaves: back in the shop, nothing is decided, and the page is still there', async (t) => {
      const payer = await Payer.open(t, words, { amount: '12.50' });
      await payer.button(words.leave).click();
      await payer.isBackWith('CREATED');
      await payer.page.goto(payer.payUrl);
      await payer.sees(words.waiting);
      await payer.button(words.pay('12.50')).click();
      await payer.isBackWith('PAID_SUCCESS');
    });

    it('lets the time run out: back in the shop, and the order has expired', async (t) => {
      const payer = await Payer.open(t, words);
      await payer.button(words.expire).click();
      await payer.isBackWith('FAILURE');
      await payer.findsDecided(words.expired);
    });

    it('a scanned code leads to no shop: the outcome is shown', async (t) => {
      const payer = await Payer.open(t, words, { amount: '12.50', scene: 'DYNQR' });
      await payer.button(words.pay('12.50')).click();
      await payer.sees(words.paid);
      await payer.page.getByText(words.close, { exact: true }).waitFor();
      await payer.expectStatus('PAID_SUCCESS');
    });

    it('a link that is no order’s says so', async (t) => {
      const payer = await Payer.open(t, words);
      await payer.page.goto(`${SIM_URL}/cashier/nobody`);
      // The browser's own word for the status.
      payer.complaints.splice(0, 1);
      await payer.sees(words.noPayment);
    });
  });
}

it('what breaks the policy would be seen', async (t) => {
  const payer = await Payer.open(t, ENGLISH);
  await payer.sees(ENGLISH.waiting);
  await payer.page.evaluate(() => document.body.setAttribute('onclick', 'location = "about:blank"'));
  await payer.page.evaluate(() => document.body.append(Object.assign(new Image(), { src: '/sim/log' })));
  await payer.button(ENGLISH.decline).hover();
  assert.ok(payer.complaints.length >= 2, 'an image and a handler');
  for (const complaint of payer.complaints) assert.match(complaint, /Content Security Policy/);
});
