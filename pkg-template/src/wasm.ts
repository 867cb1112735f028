// Starts the WebAssembly module at its first use, once; a start that failed is tried again at the next use.

import { PaybyCheckoutError } from './error.js';
import * as glue from './generated/glue.js';
import { bytes } from './generated/wasm.js';

let started = false;

/** The core's functions. Throws `wasm_blocked` or `wasm_failed` when the module cannot be started. */
export function core(): typeof glue {
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
}
