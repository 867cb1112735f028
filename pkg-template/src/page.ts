// What a page tells a checkout that watches: it became visible, is shown again, lost or found its connection. In a worker or
// in Node there is less of that, or nothing.

/** The places that events come from, as far as there are any here. */
const page = globalThis as Partial<Pick<Window, 'addEventListener' | 'removeEventListener' | 'document' | 'navigator'>>;

/** Calls back until the returned function is called; `connected` also at once, with how it is now. */
export function watchPage(attend: () => void, connected: (online: boolean) => void): () => void {
  const visible = (): void => {
    if (page.document?.visibilityState !== 'hidden') attend();
  };
  const shown = (event: Event): void => {
    // Not at the first showing, only from the back/forward cache.
    if ((event as PageTransitionEvent).persisted) attend();
  };
  const online = (): void => connected(true);
  const offline = (): void => connected(false);
  page.document?.addEventListener('visibilitychange', visible);
  page.addEventListener?.('pageshow', shown);
  page.addEventListener?.('online', online);
  page.addEventListener?.('offline', offline);
  // Not every platform knows; one that does not is taken to be online.
  connected(page.navigator?.onLine !== false);
  return () => {
    page.document?.removeEventListener('visibilitychange', visible);
    page.removeEventListener?.('pageshow', shown);
    page.removeEventListener?.('online', online);
    page.removeEventListener?.('offline', offline);
  };
}
