// Starts a WebAssembly module at its first use, once; a start that failed is tried again at the next use.

import { PaybyCheckoutError } from './error.js';

/** What wasm-bindgen generates for a module, as far as it is needed to start it. */
interface Glue {
  initSync(options: { module: WebAssembly.Module }): unknown;
}

/**
 * Answers the module's functions, started. Throws `wasm_blocked` or `wasm_failed` when it cannot be started.
 *
 * `bytes` is the module, as it rides inline.
 */
export function starter<G extends Glue>(glue: G, bytes: () => Uint8Array<ArrayBuffer>): () => G {
  let started = false;
  return () => {
    if (!started) {
      try {
        glue.initSync({ module: new WebAssembly.Module(bytes()) });
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
      started = true;
    }
    return glue;
  };
}
