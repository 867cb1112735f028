// Calls into a WebAssembly module. It starts at the first call, once; a start that failed is tried again at the next call.

import { type ErrorCode, PaybyCheckoutError } from './error.js';

/**
 * Answers how to call into the module whose glue has this `initSync`, and which rides inline in `bytes`.
 *
 * What the module throws, `[code, message, position]`, becomes a `PaybyCheckoutError`; `wasm_blocked` or `wasm_failed` when it
 * cannot be started.
 */
export function caller(
  initSync: (options: { module: WebAssembly.Module }) => unknown,
  bytes: () => Uint8Array<ArrayBuffer>,
): <T>(run: () => T) => T {
  let isStarted = false;
  return (run) => {
    if (!isStarted) {
      try {
        initSync({ module: new WebAssembly.Module(bytes()) });
      } catch (cause) {
        throw /unsafe-eval|content.security.policy|csp/i.test(String(cause))
          ? new PaybyCheckoutError(
              'wasm_blocked',
              "the page's Content-Security-Policy forbids WebAssembly: add 'wasm-unsafe-eval' to script-src",
              {},
              { cause },
            )
          : new PaybyCheckoutError('wasm_failed', 'the WebAssembly module could not be started', {}, { cause });
      }
      isStarted = true;
    }
    try {
      return run();
    } catch (thrown) {
      if (!Array.isArray(thrown)) throw thrown;
      const [code, message, position] = thrown as [ErrorCode, string, number | undefined];
      throw new PaybyCheckoutError(code, message, position === undefined ? {} : { position });
    }
  };
}
