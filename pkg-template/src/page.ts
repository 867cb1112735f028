// What a page tells a checkout that watches: it became visible or hidden, is looked at again, sleeps and wakes, lost or found its
// connection. In a worker or in Node there is less of that, or nothing.

/** The places that events come from, as far as there are any here. */
const page = globalThis as Partial<Pick<Window, 'addEventListener' | 'removeEventListener' | 'document' | 'navigator'>>;

/** What is told. */
export interface PageWatcher {
  /** It became visible or hidden; also told at once. */
  shown(): void;
  /** It went offline or came back online; also told at once. */
  connected(online: boolean): void;
  /** There is a reason to look at once. */
  attended(): void;
  /** It goes to sleep: into the back/forward cache, frozen, or for good. */
  slept(): void;
  /** It is awake again. */
  woke(): void;
}

/** Not every platform knows; one that does not is taken to be visible. */
export function isVisible(): boolean {
  return page.document?.visibilityState !== 'hidden';
}

/** Tells the watcher until the returned function is called. */
export function watchPage(watcher: PageWatcher): () => void {
  const { document } = page;
  const listeners: [Partial<EventTarget> | undefined, string, (event: Event) => void][] = [
    [document, 'visibilitychange', () => watcher.shown()],
    [document, 'freeze', () => watcher.slept()],
    [document, 'resume', () => watcher.woke()],
    [page, 'pagehide', () => watcher.slept()],
    // Not at the first showing, only from the back/forward cache.
    [page, 'pageshow', (event) => (event as PageTransitionEvent).persisted && watcher.woke()],
    [page, 'focus', () => watcher.attended()],
    [page, 'online', () => watcher.connected(true)],
    [page, 'offline', () => watcher.connected(false)],
  ];
  for (const [target, type, listener] of listeners) target?.addEventListener?.(type, listener);
  watcher.shown();
  // Not every platform knows; one that does not is taken to be online.
  watcher.connected(page.navigator?.onLine !== false);
  return () => {
    for (const [target, type, listener] of listeners) target?.removeEventListener?.(type, listener);
  };
}
