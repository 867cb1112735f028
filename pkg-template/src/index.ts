// The public API, and nothing else. Importing it does nothing: a WebAssembly module starts at the first call that needs it.

export { createCheckout } from './checkout.js';
export type {
  AlertCode,
  Checkout,
  CheckoutOptions,
  CheckoutResult,
  CheckoutStatus,
  Failure,
  Money,
  Scene,
  StartOptions,
} from './checkout.js';
export { PaybyCheckoutError } from './error.js';
export type { ErrorCode, ErrorDetails } from './error.js';
export {
  inspectOrderNumber,
  isOrderNumber,
  orderNumber,
  orderNumbers,
  parseOrderNumber,
  readOrderNumber,
} from './order-number.js';
export type { OrderNumber, OrderNumberFormat, OrderNumberInspection, OrderNumberOptions } from './order-number.js';
