// One request to the proxy over `fetch`. What it means is decided in the core; here nothing is.

/** Called once: `status` 0 when no answer came, `json` undefined when none could be read. */
type Done = (status: number, retryAfter: string | null, json: unknown) => void;

/** What an answer may say of an order: that of the request, the one to go on with (409), or the purchase's. */
interface Telling {
  readonly order?: unknown;
  readonly orders?: readonly unknown[];
}

/** How the core sends a request to the proxy at `base`, with this checkout token. `share` is given the orders of answers. */
export function sender(base: string, token: string, share: (order: unknown) => void) {
  return async (
    method: string,
    path: string,
    body: string | undefined,
    ifNoneMatch: string | undefined,
    prefer: string | undefined,
    signal: AbortSignal,
    done: Done,
  ): Promise<void> => {
    const headers: Record<string, string> = { authorization: `Bearer ${token}` };
    if (body) headers['content-type'] = 'application/json';
    if (ifNoneMatch) headers['if-none-match'] = ifNoneMatch;
    if (prefer) headers['prefer'] = prefer;
    let status = 0;
    let retryAfter: string | null = null;
    let json: unknown;
    try {
      const response = await fetch(base + path, {
        method,
        headers,
        body: body ?? null,
        signal,
        cache: 'no-store',
        credentials: 'omit',
        redirect: 'error',
      });
      ({ status } = response);
      retryAfter = response.headers.get('retry-after');
      json = await response.json();
      const { order, orders } = json as Telling;
      if (response.ok || status === 409) share(order ?? orders?.[0] ?? json);
    } catch {
      // No answer, or none that can be read.
    }
    done(status, retryAfter, json);
  };
}
