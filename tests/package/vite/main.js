// The smallest page that uses the package: what Vite makes of it is what a page downloads. The test drives it from outside.

import { PaybyCheckoutError, createCheckout, orderNumber } from 'payby-checkout';

window.payby = { PaybyCheckoutError, createCheckout, orderNumber };
window.startWorker = () => new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
