//! The peers: how each watches a payment, as read from its source. Behaviour and constants only, none of its code.
//!
//! All are given the same order, which can be paid for two hours; several are made for methods with a shorter life, and
//! give up after that. A timer that comes due while the page sleeps fires when it wakes, and so does a date that has
//! passed; an answer that has come waits for the page.

use payby_checkout::time::Millis;

use super::payer::{CLOSES, Payer};
use super::sight::Sight;

/// How a peer watches: questions, each so long after the answer to the one before.
pub(super) struct Peer {
    pub(super) name: &'static str,
    /// Repository and path.
    pub(super) source: &'static str,
    /// Before the first question.
    first: Millis,
    /// After that many answers.
    pause: fn(u32) -> Millis,
    limit: Limit,
    on_return: OnReturn,
    /// Whether the backend says over an open stream that there is news, after which the peer asks.
    has_stream: bool,
}

/// When a peer gives up, and what it says then.
#[derive(Clone, Copy, Debug)]
enum Limit {
    None,
    /// After that many questions it hands on what it knows, and says nothing.
    Questions(u32),
    /// At that time it says "failed", whatever is in flight.
    Fails(Millis),
    /// From that time on, instead of asking, it says "failed".
    FailsToAsk(Millis),
    /// At that time it stops, asks once more so much later, and says "failed" if even then it is not told "paid".
    AsksOnceMore(Millis, Millis),
    /// After that long awake it goes away and says nothing.
    GoesAway(Millis),
}

/// What a peer does when its page is seen again, beside what had come due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnReturn {
    GoesOn,
    Asks,
    /// It had stopped when the page was left, and begins again so much later.
    BeginsAgain(Millis),
}

const fn s(seconds: u64) -> Millis {
    Millis::from_secs(seconds)
}

/// Those that were read.
pub(super) const ALL: [Peer; 7] = [
    // Asks when shown, then 2 s after each answer; the waits are added up, and from 60 s on it is 10 s. A countdown to a
    // date, 15 minutes on, ends it with an error and no last question. Hears nothing of the page's being seen. (The QR
    // code's page, QRLoader.tsx beside it, is the same but for the first question, which it asks after 2 s.)
    Peer {
        name: "Adyen web",
        source: "Adyen/adyen-web packages/lib/src/components/internal/Await/Await.tsx",
        first: s(0),
        pause: |answers| if answers <= 30 { s(2) } else { s(10) },
        limit: Limit::Fails(s(15 * 60)),
        on_return: OnReturn::GoesOn,
        has_stream: false,
    },
    // Asks at once; 2 s after each of the first 20 answers, then 10 s; the 100th answer is handed on as it is.
    Peer {
        name: "Adyen iOS",
        source: "Adyen/adyen-networking-ios AdyenNetworking/APIClient/BackoffScheduler.swift, used by Adyen/adyen-ios \
                 AdyenActions/Components/Await/PollingComponent.swift",
        first: s(0),
        pause: |answers| if answers <= 20 { s(2) } else { s(10) },
        limit: Limit::Questions(100),
        on_return: OnReturn::GoesOn,
        has_stream: false,
    },
    // The loop has no end of its own: 2 s after each answer. But the dialog that it runs in counts 15 minutes down in
    // ticks, closes itself, and its frame goes away with the loop in it.
    Peer {
        name: "Hyperswitch QR",
        source: "juspay/hyperswitch-web src/Utilities/PaymentHelpers.res (pollRetrievePaymentIntent), \
                 src/Payments/QRCodeDisplay.res",
        first: s(0),
        pause: |_| s(2),
        limit: Limit::GoesAway(s(15 * 60)),
        on_return: OnReturn::GoesOn,
        has_stream: false,
    },
    // Asks at once, then 250 ms after each answer; before each question it compares the date with 5 minutes on, and
    // rejects instead of asking. This is its flow for a payer who comes back by hand.
    Peer {
        name: "Braintree Venmo",
        source: "braintree/braintree-web src/venmo/venmo.js (_pollForStatusChange)",
        first: s(0),
        pause: |_| Millis(250),
        limit: Limit::FailsToAsk(s(5 * 60)),
        on_return: OnReturn::GoesOn,
        has_stream: false,
    },
    // Asks after 5 s, then 1 s after each answer; at 5 minutes it stops, waits 3 s, asks once more, and shows "failed"
    // unless that says "succeeded". Stops when the screen is left, and begins again, 5 s after the return.
    Peer {
        name: "Stripe Android UPI",
        source: "stripe/stripe-android paymentsheet/…/paymentdatacollection/polling/PollingViewModel.kt, PollingScreen.kt, \
                 PollingNextActionHandler.kt; payments-core/…/polling/DefaultIntentStatusPoller.kt",
        first: s(5),
        pause: |_| s(1),
        limit: Limit::AsksOnceMore(s(5 * 60), s(3)),
        on_return: OnReturn::BeginsAgain(s(5)),
        has_stream: false,
    },
    // A library, here with `refetchInterval: 2000`: asks when mounted; each answer restarts the interval; ticks in the
    // background are skipped, and a page that is seen again has its stale data fetched.
    Peer {
        name: "TanStack Query, 2 s",
        source: "TanStack/query packages/query-core/src/queryObserver.ts, focusManager.ts",
        first: s(0),
        pause: |_| s(2),
        limit: Limit::None,
        on_return: OnReturn::Asks,
        has_stream: false,
    },
    // Server-sent events that say "updated", upon which it asks; and a question every 15 s, counted from each answer.
    Peer {
        name: "Polar",
        source: "polarsource/polar clients/apps/web/src/components/Checkout/CheckoutConfirmation.tsx, \
                 clients/apps/web/src/hooks/sse/index.ts",
        first: s(15),
        pause: |_| s(15),
        limit: Limit::None,
        on_return: OnReturn::GoesOn,
        has_stream: true,
    },
];

/// What can come next. Of two at the same moment, the one that was due first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Left,
    Answer { is_decided: bool },
    Limit,
    Push,
    Ask,
    LastQuestion,
    Returned,
}

/// A page of the peer's.
struct Page<'a> {
    peer: &'a Peer,
    payer: &'a Payer,
    network: super::payer::Network,
    /// What is due, and when; each kind at most once.
    due: Vec<(Millis, Event)>,
    answers: u32,
    is_last: bool,
    sight: Sight,
}

impl Peer {
    /// Has the peer watch one order.
    pub(super) fn watch(&self, payer: &Payer) -> Sight {
        let mut page = Page::open(self, payer);
        while let Some((at, event)) = page.next() {
            if at > CLOSES || page.handle(at, event) {
                break;
            }
        }
        page.sight
    }
}

impl<'a> Page<'a> {
    fn open(peer: &'a Peer, payer: &'a Payer) -> Self {
        let mut network = payer.network();
        let mut due = vec![(peer.first, Event::Ask)];
        if let Some((left, back)) = payer.away {
            due.extend([(left, Event::Left), (back, Event::Returned)]);
        }
        match peer.limit {
            Limit::Fails(after) | Limit::AsksOnceMore(after, _) => due.push((after, Event::Limit)),
            Limit::GoesAway(after) => {
                let asleep = payer.away.filter(|(left, _)| *left < after).map(|(left, back)| back.since(left));
                due.push((after.plus(asleep.unwrap_or_default()), Event::Limit));
            }
            Limit::None | Limit::Questions(_) | Limit::FailsToAsk(_) => {}
        }
        if peer.has_stream {
            let (_, back) = network.legs();
            due.push((payer.decided_at().plus(payer.notified_after).plus(back), Event::Push));
        }
        let sight = Sight { requests: u32::from(peer.has_stream), ..Sight::default() };
        Self { peer, payer, network, due, answers: 0, is_last: false, sight }
    }

    fn next(&mut self) -> Option<(Millis, Event)> {
        let payer = self.payer;
        let at = |(due, event): (Millis, Event)| match event {
            Event::Left => due, // the page's last act before it sleeps
            _ => payer.awake_at(due),
        };
        let next = (0..self.due.len()).min_by_key(|i| (at(self.due[*i]), self.due[*i].0))?;
        let (due, event) = self.due.swap_remove(next);
        Some((at((due, event)), event))
    }

    /// Answers whether the watch is over.
    fn handle(&mut self, now: Millis, event: Event) -> bool {
        match event {
            Event::Left => {
                if let OnReturn::BeginsAgain(_) = self.peer.on_return {
                    self.drop_questions();
                }
            }
            Event::Returned => match self.peer.on_return {
                OnReturn::GoesOn => {}
                OnReturn::Asks => self.ask_now(now),
                OnReturn::BeginsAgain(after) => self.due.push((now.plus(after), Event::Ask)),
            },
            Event::Push => self.ask(now),
            Event::Ask => {
                if let Limit::FailsToAsk(after) = self.peer.limit
                    && now > after
                {
                    return self.fail(now);
                }
                self.ask(now);
            }
            Event::LastQuestion => {
                self.is_last = true;
                self.drop_questions();
                self.ask(now);
            }
            Event::Limit => match self.peer.limit {
                Limit::AsksOnceMore(_, after) => {
                    self.drop_questions();
                    self.due.push((now.plus(after), Event::LastQuestion));
                }
                Limit::GoesAway(_) => return true,
                _ => return self.fail(now),
            },
            Event::Answer { is_decided } => return self.answered(now, is_decided),
        }
        false
    }

    fn answered(&mut self, now: Millis, is_decided: bool) -> bool {
        self.answers += 1;
        if is_decided {
            self.sight.known_at = Some(now);
            return true;
        }
        if self.is_last {
            return self.fail(now);
        }
        if let Limit::Questions(most) = self.peer.limit
            && self.answers >= most
        {
            return true;
        }
        self.due.retain(|(_, event)| *event != Event::Ask);
        self.due.push((now.plus((self.peer.pause)(self.answers)), Event::Ask));
        false
    }

    fn ask(&mut self, now: Millis) {
        self.sight.requests += 1;
        let (there, back) = self.network.legs();
        let is_decided = self.payer.decided_at() <= now.plus(there);
        self.due.push((now.plus(there).plus(back), Event::Answer { is_decided }));
    }

    /// Asks now instead of later, unless it is asking already.
    fn ask_now(&mut self, now: Millis) {
        if !self.is_asking() {
            self.drop_questions();
            self.ask(now);
        }
    }

    fn is_asking(&self) -> bool {
        self.due.iter().any(|(_, event)| matches!(event, Event::Answer { .. }))
    }

    fn drop_questions(&mut self) {
        self.due.retain(|(_, event)| !matches!(event, Event::Ask | Event::Answer { .. }));
    }

    fn fail(&mut self, now: Millis) -> bool {
        self.sight.gave_up_at = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::payer::EXPIRY;

    /// There and back: 200 ms.
    fn stays(pays_at: impl Into<Option<u64>>) -> Payer {
        Payer::staying(pays_at.into().map(Millis), Millis(200))
    }

    fn sleeps(pays_at: u64, left: u64, back: u64) -> Payer {
        stays(pays_at).leaving(Millis(left), Millis(back))
    }

    fn watch(name: &str, payer: &Payer) -> Sight {
        ALL.iter().find(|peer| peer.name == name).unwrap().watch(payer)
    }

    fn known(requests: u32, at: u64) -> Sight {
        Sight { requests, known_at: Some(Millis(at)), gave_up_at: None }
    }

    fn gave_up(requests: u32, at: u64) -> Sight {
        Sight { requests, known_at: None, gave_up_at: Some(Millis(at)) }
    }

    #[test]
    fn adyen_web_asks_2_s_after_each_answer_then_10_s_and_stops_at_15_minutes() {
        // 0, 2.2, 4.4, 6.6, 8.8, 11.0 s.
        assert_eq!(watch("Adyen web", &stays(9_000)), known(6, 11_200));
        // The 31st question, at 66 s, is the first that 10 s follow.
        assert_eq!(watch("Adyen web", &stays(66_500)), known(32, 76_400));
        // From 66 s on one every 10.2 s: the 82nd after that would be at 902.4 s.
        assert_eq!(watch("Adyen web", &stays(None)), gave_up(31 + 81, 900_000));
        assert_eq!(watch("Adyen web", &stays(899_900)), gave_up(31 + 81, 900_000));
    }

    #[test]
    fn adyen_ios_asks_100_times_and_says_nothing() {
        // 20 pauses of 2 s, then 79 of 10 s.
        assert_eq!(watch("Adyen iOS", &stays(43_500)), known(21, 44_200));
        assert_eq!(watch("Adyen iOS", &stays(44_150)), known(22, 54_400));
        assert_eq!(watch("Adyen iOS", &stays(None)), Sight { requests: 100, ..Sight::default() });
        let last = 20 * 2_200 + 79 * 10_200;
        assert_eq!(watch("Adyen iOS", &stays(last + 50)), known(100, last + 200));
        assert_eq!(watch("Adyen iOS", &stays(last + 150)).known_at, None);
    }

    #[test]
    fn hyperswitch_asks_every_2_s_until_its_dialog_goes_away() {
        assert_eq!(watch("Hyperswitch QR", &stays(9_000)), known(6, 11_200));
        assert_eq!(watch("Hyperswitch QR", &stays(None)), Sight { requests: 410, ..Sight::default() });
        // Its countdown sleeps with the page.
        let sight = watch("Hyperswitch QR", &sleeps(1_000_000, 10_000, 1_001_000));
        assert_eq!(sight.known_at, Some(Millis(1_001_200)));
    }

    #[test]
    fn braintree_asks_every_quarter_of_a_second_and_after_5_minutes_not_even_once_more() {
        // 0, 0.45, 0.9, 1.35 s.
        assert_eq!(watch("Braintree Venmo", &stays(1_050)), known(4, 1_550));
        // The 667th question would be at 299.7 s, the 668th at 300.15 s.
        assert_eq!(watch("Braintree Venmo", &stays(None)), gave_up(667, 300_150));
        // The third answer, "not yet", waits for the page; what would be the fourth question comes too late.
        assert_eq!(watch("Braintree Venmo", &sleeps(200_000, 1_000, 400_000)), gave_up(3, 400_250));
    }

    #[test]
    fn stripe_begins_after_5_s_and_asks_once_more_after_5_minutes() {
        // 5.0, 6.2, 7.4, 8.6, 9.8 s.
        assert_eq!(watch("Stripe Android UPI", &stays(9_000)), known(5, 10_000));
        // 246 questions until 299 s, and one at 303 s.
        assert_eq!(watch("Stripe Android UPI", &stays(301_000)), known(247, 303_200));
        assert_eq!(watch("Stripe Android UPI", &stays(None)), gave_up(247, 303_200));
        // 5 s after the return, or 3 s after it when the 5 minutes have passed.
        assert_eq!(watch("Stripe Android UPI", &sleeps(60_000, 2_000, 62_000)), known(1, 67_200));
        assert_eq!(watch("Stripe Android UPI", &sleeps(390_000, 2_000, 400_000)), known(1, 403_200));
    }

    #[test]
    fn tanstack_asks_every_2_s_and_when_it_is_seen_again() {
        assert_eq!(watch("TanStack Query, 2 s", &stays(9_000)), known(6, 11_200));
        assert_eq!(watch("TanStack Query, 2 s", &sleeps(5_000, 1_000, 5_100)).known_at, Some(Millis(5_300)));
        assert!(watch("TanStack Query, 2 s", &stays(None)).known_at.unwrap() >= EXPIRY);
    }

    #[test]
    fn polar_asks_when_the_stream_says_so_and_every_15_s() {
        // The stream; paid at 9 s, notified at 9.2 s, pushed at 9.3 s, asked and answered.
        assert_eq!(watch("Polar", &stays(9_000)), known(2, 9_500));
        // One question at 15 s, the next would be at 30.2 s.
        assert_eq!(watch("Polar", &stays(20_000)), known(3, 20_500));
    }
}
