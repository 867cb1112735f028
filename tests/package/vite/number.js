// A page that only makes order numbers.

import { orderNumber } from 'payby-checkout';

window.orderNumber = orderNumber;
