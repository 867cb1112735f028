// What the page says: to somebody who wants coffee and dates, not an explanation of payment protocols.

/** Fils, as the shop's server counts. */
export const dirhams = (fils) => `AED\u00a0${Math.floor(fils / 100)}.${String(fils % 100).padStart(2, '0')}`;

/** An amount as the checkout gives it. */
export const money = ({ amount, currency }) => `${currency}\u00a0${amount}`;

/** How long there is still to pay. */
export function timeLeft(ms) {
  if (ms <= 0) return 'The time to pay is over. We are asking PayBy how it ended.';
  const seconds = Math.ceil(ms / 1000);
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  if (hours > 0) return `${hours} h ${minutes} min left to pay`;
  return `${minutes}:${String(seconds % 60).padStart(2, '0')} min left to pay`;
}

/** While the page waits for an answer, by what it is doing. */
export const asking = {
  opening: { title: 'Opening your payment', waiting: 'Asking PayBy', text: 'This takes longer than usual. There is nothing to pay yet.' },
  looking: {
    title: 'One moment',
    waiting: 'Asking PayBy where your payment stands',
    text: 'Please do not pay again: we are finding out.',
  },
  cancelling: {
    title: 'Cancelling',
    waiting: 'Asking PayBy to close the payment',
    text: 'Please do not pay any more. If you have just paid, we will say so here.',
  },
};

/** For a payment on PayBy's page, by where the customer is. */
export const redirect = {
  going: { title: 'Taking you to PayBy', text: 'PayBy’s page opens now. When you have paid, it brings you back here.' },
  back: {
    title: 'Waiting for PayBy',
    text: 'If you have paid, please do not pay again: this page says so as soon as PayBy does. If you have not, you still can.',
  },
};

/** Why it was not paid. */
export const failures = {
  cancelled: { title: 'The payment is cancelled', text: 'You have not paid anything.' },
  expired: { title: 'The time to pay is over', text: 'You have not paid anything. If you still want your order, begin again.' },
  declined: { title: 'The payment was declined', text: 'You have not paid anything. You can try again, or pay another way.' },
  revoked: { title: 'Your payment is being returned', text: 'PayBy took your payment and is giving it back. That can take a few days.' },
};

/** PayBy's own words for why it declined; for the other reasons ours say it all. */
export const theirWords = ({ reason, message }) => (reason === 'declined' && message ? `PayBy says: “${message}”` : '');

/** Why the page cannot go on: the shop's own words, or ours for payby-checkout's errors. */
export function trouble(error) {
  if (error.name === 'ShopError') return error.message;
  return troubles[error.code] ?? 'Something does not work on our side.';
}

const troubles = {
  token_rejected: 'This page was open for a long time, so we have lost sight of it.',
  wasm_blocked: 'Something in your browser does not let us follow your payment.',
  wasm_failed: 'Your browser does not let us follow your payment. Another one may.',
  no_secure_random: 'Your browser does not let us begin a payment safely. Another one may.',
};
