// A man in the middle between the page and the proxy. Honest, it passes everything on; told to misbehave, it is any bad
// backend or network that a page may have to face. It remembers each request that reached it.

import { createServer, request as httpRequest } from 'node:http';

import { PROXY_URL } from './world.mjs';

export class Middleman {
  /**
   * Every request but preflights, in order: `{ at, method, path, headers, body, gone }`; `at` in milliseconds, `gone` once
   * its asker went away without an answer.
   */
  requests = [];
  url;
  #rules = [];
  #server;
  #proxy;
  #swallowed = { what: '', at: 0 };

  static async start(t, proxy = PROXY_URL) {
    const middleman = new Middleman();
    middleman.#proxy = proxy;
    middleman.#server = createServer((request, response) => middleman.#serve(request, response));
    await new Promise((resolve) => middleman.#server.listen(0, '127.0.0.1', resolve));
    middleman.url = `http://127.0.0.1:${middleman.#server.address().port}`;
    t.after(() => {
      middleman.#server.closeAllConnections();
      middleman.#server.close();
    });
    return middleman;
  }

  /** The next `times` requests of this method go this way. */
  next(method, behaviour, times = 1) {
    this.#rules.push({ method, behaviour, times });
  }

  /** From now on requests of this method go this way. */
  always(method, behaviour) {
    this.next(method, behaviour, Infinity);
  }

  /** From now on everything is passed on again. */
  beHonest() {
    this.#rules = [];
  }

  /** What reached it by this method. */
  got(method) {
    return this.requests.filter((request) => request.method === method);
  }

  async #serve(request, response) {
    response.shouldKeepAlive = false;
    // What a reset connection has swallowed the browser may send again by itself, at once. The package never does so soon.
    const what = `${request.method} ${request.url}`;
    const isAgain = what === this.#swallowed.what && performance.now() - this.#swallowed.at < 700;
    if (isAgain) return request.socket.resetAndDestroy();
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const swallow = () => (this.#swallowed = { what, at: performance.now() });
    const exchange = new Exchange(this.#proxy, request, response, Buffer.concat(chunks), swallow);
    if (request.method === 'OPTIONS') return passOn(exchange);
    const { method, url: path, headers } = request;
    const noted = { at: performance.now(), method, path, headers, body: exchange.body.toString(), gone: false };
    this.requests.push(noted);
    response.on('close', () => (noted.gone = !response.writableFinished));
    const rule = this.#rules.find((rule) => rule.method === method && rule.times-- > 0);
    await (rule?.behaviour ?? passOn)(exchange);
  }
}

/** One request on its way, in the hands of a behaviour. */
class Exchange {
  #proxy;
  #request;
  #response;
  #swallow;

  constructor(proxy, request, response, body, swallow) {
    this.#proxy = proxy;
    this.#request = request;
    this.#response = response;
    this.#swallow = swallow;
    this.body = body;
  }

  /** Has the proxy do what is asked; answers `{ status, headers, body }`, or undefined when no answer came. */
  forward(headers = this.#request.headers) {
    const { promise, resolve } = deferred();
    const { method, url } = this.#request;
    const options = { method, headers: { ...headers, host: new URL(this.#proxy).host }, agent: false };
    const upstream = httpRequest(this.#proxy + url, options, async (answer) => {
      const chunks = [];
      try {
        for await (const chunk of answer) chunks.push(chunk);
        resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(chunks) });
      } catch {
        resolve();
      }
    });
    upstream.on('error', () => resolve());
    // Who asked is gone: so is the question. What changes something is not called back.
    if (method === 'GET') this.#response.on('close', () => upstream.destroy());
    upstream.end(this.body);
    return promise;
  }

  get headers() {
    return this.#request.headers;
  }

  get path() {
    return this.#request.url;
  }

  /** Answers, with what a page of another origin needs to read it. */
  answer(status, headers, body) {
    this.#response.writeHead(status, { ...this.#cors, ...headers }).end(body);
  }

  get #cors() {
    const { origin } = this.#request.headers;
    return { 'access-control-allow-origin': origin, 'access-control-expose-headers': 'retry-after' };
  }

  /** Announces more than it sends, and hangs up. */
  breakOff(headers, body) {
    this.#response.writeHead(200, { ...this.#cors, ...headers, 'content-length': Buffer.byteLength(body) + 100 });
    this.#response.write(body, () => this.reset());
  }

  reset() {
    this.#swallow();
    this.#request.socket.resetAndDestroy();
  }
}

function deferred() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}

/** Headers without these, and without those that are about one connection. */
function without(headers, ...names) {
  const left = { ...headers };
  for (const name of ['connection', 'transfer-encoding', ...names]) delete left[name];
  return left;
}

const passBack = (exchange, { status, headers, body }) => exchange.answer(status, without(headers), body);

// ---- Behaviours: what may become of a request

export async function passOn(exchange) {
  const answer = await exchange.forward();
  if (answer) passBack(exchange, answer);
  else exchange.reset();
}

/** Never reaches the proxy; this is what comes instead. */
export const answers =
  (status, headers = {}, body = '') =>
  (exchange) =>
    exchange.answer(status, headers, body);

/** No answer, ever. */
export const silence = () => {};

export const reset = (exchange) => exchange.reset();

export const halfABody = (exchange) =>
  exchange.breakOff({ 'content-type': 'application/json' }, '{"orderNumber":"1KANPYXG085GR38E1W8124GKK","status":"pa');

/** Reaches the proxy, which does what is asked; then the answer is lost, and this comes instead. */
export const arrivedBut = (behaviour) => async (exchange) => {
  await exchange.forward();
  return behaviour(exchange);
};

/** The proxy's answer as it is now, changed. */
export const lyingAbout = (change) => async (exchange) => {
  // Without these the proxy answers at once, and in full.
  const { status, headers, body } = (await exchange.forward(without(exchange.headers, 'prefer', 'if-none-match'))) ?? {};
  if (!body) return exchange.reset();
  const lie = JSON.stringify(change(JSON.parse(body)));
  exchange.answer(status, without(headers, 'content-length'), lie);
};

/** A backend that cannot hold a question, and suggests no time to ask again. */
export const withoutPrefer = async (exchange) => {
  const answer = await exchange.forward(without(exchange.headers, 'prefer'));
  if (!answer) return exchange.reset();
  if (answer.status !== 200) return passBack(exchange, answer);
  const { nextPollMs, ...order } = JSON.parse(answer.body);
  exchange.answer(200, without(answer.headers, 'content-length'), JSON.stringify(order));
};
