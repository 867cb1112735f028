// Where a purchase's order number is kept through a reload: in `localStorage` or, where that is denied, full or missing, in
// memory for the life of the page.

/** What storage could not keep. */
const memory = /* @__PURE__ */ new Map<string, string>();

/** A purchase's name, in the storage and among the browser's tabs. It is made from the token, which itself is never stored. */
export function nameOf(token: string): string {
  // FNV-1a: tells purchases apart; 64 bits say nothing useful about a token of 128 or more.
  let hash = 0xcbf29ce484222325n;
  for (let i = 0; i < token.length; i++) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(token.charCodeAt(i))) * 0x100000001b3n);
  }
  return `payby-checkout:${hash}`;
}

/** One purchase's place. `unavailable` is called once, when storage does not keep or give what it should. */
export function shelf(name: string, unavailable: () => void) {
  let isTold = false;
  const fail = (): void => {
    if (!isTold) {
      isTold = true;
      unavailable();
    }
  };
  return {
    /** Keeps it; when this returns it can be loaded again. */
    save(text: string): void {
      try {
        localStorage.setItem(name, text);
        memory.delete(name);
      } catch {
        memory.set(name, text);
        fail();
      }
    },

    /** What was last kept, by this page or by another; empty if nothing was. */
    load(): string {
      try {
        return memory.get(name) ?? localStorage.getItem(name) ?? '';
      } catch {
        fail();
        return '';
      }
    },
  };
}
