//! How much may be asked: by one checkout token, from one address, by all together, and how many requests are held.
//!
//! A page asks about ten times an order, so none of the defaults meets a genuine one; many customers can share an address
//! (a mobile network's), so that limit is wide. Shop servers, who show a key, and PayBy, who signs, are not limited like
//! pages: the first count for all together only, the second by address only.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{DefaultDirectRateLimiter, NotUntil, Quota, RateLimiter};
use ipnet::IpNet;
use payby_checkout::protocol::ProblemCode;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::app::App;
use crate::auth;
use crate::problem::ApiError;
use crate::random::Hash;

/// After how many questions the keys that are at rest are forgotten.
const SWEEP: u32 = 4096;

/// So much a second, and so much at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// What comes back every second.
    pub per_second: NonZeroU32,
    /// What may come at once.
    pub burst: NonZeroU32,
}

/// How much may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// By one checkout token.
    pub token: Rate,
    /// From one address; of IPv6, from one /64.
    pub address: Rate,
    /// By all together.
    pub overall: Rate,
    /// How many requests are held at once. One more is answered at once, and its page polls.
    pub parked: usize,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let rate = |per_second, burst| Rate {
            per_second: NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN),
            burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN),
        };
        Self {
            token: rate(5, 100),
            address: rate(50, 500),
            overall: rate(1_000, 2_000),
            parked: 10_000,
            trusted_proxies: Vec::new(),
        }
    }
}

/// What has been asked lately.
#[derive(Debug)]
pub struct Limits {
    tokens: Keyed<Hash>,
    addresses: Keyed<IpAddr>,
    overall: DefaultDirectRateLimiter,
    parked: Semaphore,
    most_parked: usize,
    trusted_proxies: Vec<IpNet>,
}

impl Limits {
    /// Nothing has been asked yet.
    #[must_use]
    pub fn new(config: LimitsConfig) -> Self {
        // A semaphore has a bound of its own, far above any number of connections.
        let most_parked = config.parked.min(Semaphore::MAX_PERMITS);
        Self {
            tokens: Keyed::new(config.token),
            addresses: Keyed::new(config.address),
            overall: RateLimiter::direct(quota(config.overall)),
            parked: Semaphore::new(most_parked),
            most_parked,
            trusted_proxies: config.trusted_proxies,
        }
    }

    /// The right to hold one more request, if there is one.
    pub fn park(&self) -> Option<SemaphorePermit<'_>> {
        self.parked.try_acquire().ok()
    }

    /// How many requests are held.
    #[must_use]
    pub fn parked(&self) -> usize {
        self.most_parked - self.parked.available_permits()
    }

    /// Who asks, as far as those on the way can be believed: from the right, the first address that is none of the
    /// trusted proxies'.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let is_trusted = |ip: &IpAddr| self.trusted_proxies.iter().any(|network| network.contains(ip));
        let mut client = peer.to_canonical();
        let forwarded = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let named: Vec<&str> = forwarded.flat_map(|value| value.split(',')).collect();
        for name in named.iter().rev() {
            if !is_trusted(&client) {
                break;
            }
            match address(name.trim()) {
                Some(ip) => client = ip,
                None => break,
            }
        }
        client
    }
}

/// For pages and shop servers.
pub async fn api(State(app): State<App>, request: Request, next: Next) -> Response {
    let limits = &app.limits;
    let bearer = auth::bearer(request.headers());
    let checked = if bearer.is_some_and(|hash| hash.is_one_of(&app.api_keys)) {
        Ok(())
    } else {
        of_address(&app, &request)
            .and_then(|()| bearer.map_or(Ok(()), |token| limits.tokens.take(&token).map_err(|wait| ("token", wait))))
    };
    let checked = checked.and_then(|()| limits.overall.check().map_err(|until| ("overall", wait(&until))));
    answer(&app, checked, request, next).await
}

/// For PayBy. A burst of payments is a burst of notifications from a few addresses; what is refused comes again.
pub async fn notifications(State(app): State<App>, request: Request, next: Next) -> Response {
    let checked = of_address(&app, &request);
    answer(&app, checked, request, next).await
}

type Checked = Result<(), (&'static str, Duration)>;

fn of_address(app: &App, request: &Request) -> Checked {
    let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() else { return Ok(()) };
    let client = app.limits.client(peer.ip(), request.headers());
    app.limits.addresses.take(&network(client)).map_err(|wait| ("address", wait))
}

async fn answer(app: &App, checked: Checked, request: Request, next: Next) -> Response {
    match checked {
        Ok(()) => next.run(request).await,
        Err((limit, wait)) => {
            app.metrics.limited(limit);
            let detail = "too many requests; try again after the time that Retry-After says";
            ApiError::new(ProblemCode::RateLimited, detail).retry_after(wait).into_response()
        }
    }
}

/// Limits by key. Keys that are at rest are forgotten, so that what is remembered is bounded by what is asked lately.
#[derive(Debug)]
struct Keyed<K: core::hash::Hash + Eq + Clone> {
    limiter: RateLimiter<K, HashMapStateStore<K>, DefaultClock, NoOpMiddleware>,
    asked: AtomicU32,
}

impl<K: core::hash::Hash + Eq + Clone> Keyed<K> {
    fn new(rate: Rate) -> Self {
        Self { limiter: RateLimiter::hashmap(quota(rate)), asked: AtomicU32::new(0) }
    }

    /// Takes one from the key's share, or says how long to wait for it.
    fn take(&self, key: &K) -> Result<(), Duration> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        self.limiter.check_key(key).map_err(|until| wait(&until))
    }
}

fn quota(rate: Rate) -> Quota {
    Quota::per_second(rate.per_second).allow_burst(rate.burst)
}

fn wait(until: &NotUntil<<DefaultClock as governor::clock::Clock>::Instant>) -> Duration {
    until.wait_time_from(DefaultClock::default().now())
}

/// An address, with or without a port, as the proxies of the world write it.
fn address(text: &str) -> Option<IpAddr> {
    let plain = text.trim_start_matches('[').trim_end_matches(']');
    let ip = plain.parse::<IpAddr>().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    ip.map(|ip| ip.to_canonical())
}

/// Whoever has one IPv6 address has 2⁶⁴ of them.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x_forwarded_for_is_believed_as_far_as_trusted_proxies_have_written_it() {
        let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let limits = Limits::new(LimitsConfig { trusted_proxies, ..LimitsConfig::default() });
        for (peer, forwarded, client) in [
            ("192.0.2.1", &[][..], "192.0.2.1"),
            ("192.0.2.1", &["198.51.100.7"], "192.0.2.1"), // anybody can write that
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.7"], "198.51.100.7"), // the left part is the client's own
            ("10.0.0.1", &["198.51.100.7, 10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.7"], "198.51.100.7"), // two headers are one list
            ("10.0.0.1", &["198.51.100.7:4711"], "198.51.100.7"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["198.51.100.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("::ffff:10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("fd00::1", &["2001:db8::1"], "2001:db8::1"),
        ] {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append("x-forwarded-for", value.parse().unwrap());
            }
            let told = limits.client(peer.parse().unwrap(), &headers);
            assert_eq!(told, client.parse::<IpAddr>().unwrap(), "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn neighbours_in_a_64_share_a_limit() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn what_is_at_rest_is_forgotten() {
        let most = NonZeroU32::new(1_000_000).unwrap();
        let keyed = Keyed::new(Rate { per_second: most, burst: most });
        for key in 0..10 * SWEEP {
            keyed.take(&key).unwrap();
        }
        assert!(keyed.limiter.len() < 2 * SWEEP as usize, "{}", keyed.limiter.len());
    }
}
