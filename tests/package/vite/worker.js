// A worker makes an order number when asked.

import { orderNumber } from 'payby-checkout';

onmessage = () => postMessage(orderNumber());
