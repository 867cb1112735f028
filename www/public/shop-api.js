// The calls to the shop's own server.

/** The shop refused, or could not be reached. The message is for the customer. */
export class ShopError extends Error {
  constructor(code, message, options) {
    super(message, options);
    this.name = 'ShopError';
    this.code = code;
  }
}

async function call(method, path, body) {
  let response;
  let answer;
  try {
    response = await fetch(path, {
      method,
      ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
    answer = await response.json();
  } catch (cause) {
    throw new ShopError('unreachable', 'We cannot reach the shop. Please look at your connection, and try again.', { cause });
  }
  if (!response.ok) throw new ShopError(answer.code, answer.message);
  return answer;
}

export const products = () => call('GET', '/api/products');
export const currentCheckout = async () => (await call('GET', '/api/checkout')).checkout;
export const openCheckout = async (cart) => (await call('POST', '/api/checkout', { cart })).checkout;
export const leaveCheckout = () => call('DELETE', '/api/checkout');
