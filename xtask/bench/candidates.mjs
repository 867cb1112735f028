// What is measured against what. Everything is an expression, so that each candidate gets a loop of its own, which the
// engine optimises for it alone: in one loop for all, the call would be slow for everybody.

/** The makers: the expression that makes one, and what a page has to import for it. */
export const MAKERS = {
  ours: { does: 'orderNumber()', needs: ['orderNumber', 'payby-checkout/order-number'] },
  nanoid: { does: 'nanoid()', needs: ['nanoid', 'nanoid'] },
  // The last one before 6 took its bytes from a pool in Node, and is several times as fast there.
  'nanoid 5': { does: 'pooledNanoid()', needs: ['nanoid as pooledNanoid', 'nanoid5'] },
  'uuid v4': { does: 'v4()', needs: ['v4', 'uuid'] },
  'uuid v7': { does: 'v7()', needs: ['v7', 'uuid'] },
  ulid: { does: 'ulid()', needs: ['ulid', 'ulid'] },
  'typeid-js': { does: "typeidUnboxed('order')", needs: ['typeidUnboxed', 'typeid-js'] },
  'crypto.randomUUID': { does: 'crypto.randomUUID()' },
  'Date.now + Math.random': { does: 'Date.now().toString(36) + Math.random().toString(36).slice(2)' },
  'floor: joined': { does: 'joined()', needs: ['joined', './floor.mjs'] },
  'floor: large table': { does: 'joinedFromLargeTable()', needs: ['joinedFromLargeTable', './floor.mjs'] },
  'floor: codes': { does: 'fromCodes()', needs: ['fromCodes', './floor.mjs'] },
  'floor: cut': { does: 'cut()', needs: ['cut', './floor.mjs'] },
  'floor: cut from block': { does: 'cutFromBlock()', needs: ['cutFromBlock', './floor.mjs'] },
};

/** What the other operations import besides. */
export const READERS = [
  ['orderNumbers, isOrderNumber, parseOrderNumber, inspectOrderNumber', 'payby-checkout/order-number'],
  ['validate, parse', 'uuid'],
  ['isValid, decodeTime', 'ulid'],
  ['fromString, parseTypeId', 'typeid-js'],
];

/** The same for every maker. */
const each = (expression) =>
  Object.fromEntries(Object.entries(MAKERS).map(([name, { does }]) => [name, { does: expression(does, name) }]));

/** Reads one of some hundred strings of this maker, so that nobody answers from what it knows of the last one. */
const reads = (maker, expression) => ({
  before: `const made = Array.from({ length: 256 }, () => ${MAKERS[maker].does});`,
  does: expression.replace('IT', 'made[i & 255]'),
});

/** The operations. `per` is how many numbers one expression makes or reads; the first candidate is ours. */
export const OPERATIONS = {
  'generate one': { per: 1, candidates: each((does) => does) },
  // What is joined of parts is written out only when somebody reads it, and every order number is read: it is sent.
  'generate one and read its last symbol': { per: 1, candidates: each((does) => `(${does}).at(-1)`) },
  'generate 10,000 at once': {
    per: 10_000,
    candidates: each((does, name) =>
      name === 'ours'
        ? 'orderNumbers(10_000)'
        : `(() => { const all = new Array(10_000); for (let j = 0; j < 10_000; j++) all[j] = ${does}; return all; })()`,
    ),
  },
  validate: {
    per: 1,
    candidates: {
      ours: reads('ours', 'isOrderNumber(IT)'),
      'regular expression': reads('ours', '/^[\\w-]{1,64}$/.test(IT)'),
      'uuid validate': reads('uuid v4', 'validate(IT)'),
      'ulid isValid': reads('ulid', 'isValid(IT)'),
      'typeid-js fromString': reads('typeid-js', 'fromString(IT)'),
    },
  },
  parse: {
    per: 1,
    candidates: {
      'ours: inspectOrderNumber': reads('ours', 'inspectOrderNumber(IT)'),
      'ours: parseOrderNumber': reads('ours', 'parseOrderNumber(IT)'),
      'uuid parse': reads('uuid v7', 'parse(IT)'),
      'ulid decodeTime': reads('ulid', 'decodeTime(IT)'),
      'typeid-js parseTypeId': reads('typeid-js', 'parseTypeId(IT)'),
    },
  },
};

/** What Node is to reach: the least multiple of our time that the fastest candidate whose name begins so takes. */
export const TARGETS = [
  ['generate one', 'nanoid 5', 1.5],
  ['generate one', 'nanoid', 1.5],
  ['generate one', 'crypto.randomUUID', 1],
  ['generate one', 'uuid v7', 6],
  ['generate one', 'floor', 1 / 1.6],
  ['generate 10,000 at once', 'nanoid 5', 4],
  ['generate 10,000 at once', 'nanoid', 4],
  ['validate', 'regular expression', 1 / 2.5],
];
