// A page that only pays.

import { createCheckout } from 'payby-checkout';

window.createCheckout = createCheckout;
