// One browser asks once per order. Of the tabs that watch a purchase one leads: it holds the purchase's Web Lock, asks, and tells
// the others over a BroadcastChannel what it was answered. Whoever the customer touches takes the lead; a tab that is closed
// hands it on; one that falls silent loses it. Where the platform has not got both, each tab asks for itself.

import { isVisible } from './page.js';

/** How often the leader says that it is there. */
const BEAT = 2_000;

/** How long it may be silent before a visible tab takes its place. */
const SILENCE = 5_000;

/** What a tab is told. */
export interface Tab {
  /** It asks for all from now on, or another one does. */
  lead(leads: boolean): void;
  /** What the leader was answered: perhaps an order. */
  hear(order: unknown): void;
}

/** A tab's place among those that watch a purchase. */
export interface Tabs {
  /** The customer is here: this tab leads. */
  take(): void;
  /** The page became visible or hidden. */
  shown(): void;
  /** The page goes to sleep; what it holds would keep the others waiting, and itself out of the back/forward cache. */
  sleep(): void;
  wake(): void;
  /** Tells the others, if this tab leads. */
  share(order: unknown): void;
  /** Lets go of everything, for good. */
  leave(): void;
}

/** Joins the tabs that watch the purchase of that name; at first this one leads. */
export function joinTabs(name: string, tab: Tab): Tabs {
  // Versions of this package that understand each other share a name.
  const shared = `${name}/1`;
  const locks = (globalThis as { navigator?: { locks?: LockManager } }).navigator?.locks;
  const Channel = locks && globalThis.BroadcastChannel;
  let channel: BroadcastChannel | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let letGo = (): void => {};
  let leads = false;
  /** Whether the leader is visible, and was heard lately. */
  let isLed = false;

  const say = (order?: unknown): void => channel?.postMessage({ visible: isVisible(), order });

  function open(): void {
    if (channel || !Channel) return;
    channel = new Channel(shared);
    channel.onmessage = ({ data }) => {
      if (leads || typeof data?.visible !== 'boolean') return;
      tab.hear(data.order);
      follow(data.visible);
    };
  }

  function close(): void {
    letGo();
    clearTimeout(timer);
    channel?.close();
    channel = undefined;
    leads = isLed = false;
  }

  /** Asks for the lock: takes it from whoever has it, or waits for it. Keeps it until `letGo`. */
  function ask(steal: boolean): void {
    letGo();
    const end = new AbortController();
    const { signal } = end;
    const released = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    const held = (): Promise<void> => {
      if (!leads && !signal.aborted) lead();
      return released;
    };
    letGo = () => end.abort();
    locks?.request(shared, steal ? { steal } : { signal }, held).catch((error: unknown) => {
      if (signal.aborted) return;
      if ((error as Error).name === 'AbortError') return lose();
      // Locks are denied here.
      close();
      tab.lead(true);
    });
  }

  function lead(): void {
    leads = true;
    clearTimeout(timer);
    timer = setInterval(() => say(), BEAT);
    say();
    tab.lead(true);
  }

  /** Another tab has taken the lead. */
  function lose(): void {
    leads = false;
    ask(false);
    follow(true);
    tab.lead(false);
  }

  /** Follows a leader until it is silent; if it cannot be seen and this tab can, this one leads. */
  function follow(isSeen: boolean): void {
    if (!channel) return;
    isLed = isSeen;
    clearTimeout(timer);
    timer = setTimeout(() => follow(false), SILENCE);
    claim();
  }

  function claim(): void {
    if (!leads && !isLed && isVisible()) take();
  }

  function take(): void {
    if (leads || !Channel) return;
    open();
    ask(true);
    lead();
  }

  take();
  return {
    take,
    shown: () => (leads ? say() : claim()),
    sleep() {
      if (!channel) return;
      close();
      tab.lead(false);
    },
    wake() {
      if (channel || !Channel) return;
      open();
      ask(false);
      follow(false);
    },
    share(order) {
      if (leads) say(order);
    },
    leave: close,
  };
}
