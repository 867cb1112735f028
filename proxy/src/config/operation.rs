//! The settings of whoever runs the proxy: alerts, metrics, limits, traces.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use aws_lc_rs::hmac;
use ipnet::IpNet;

use super::reader::Reader;
use super::{private_file, secure_url};
use crate::alerts::Webhook;
use crate::limits::{LimitsConfig, Rate};

/// The shortest secret that alerts are signed with, in bytes.
const MIN_SECRET: usize = 32;

/// The outer `None`: a mistake. The inner: alerts stand in the log and the metrics alone.
#[allow(clippy::option_option, reason = "a mistake and an absence are two things")]
pub(super) fn webhook(reader: &mut Reader) -> Option<Option<Webhook>> {
    let (url_key, secret_key) = ("alerts.webhook_url", "alerts.webhook_secret_file");
    let url = reader.maybe_text(url_key);
    let path = reader.maybe_text(secret_key);
    match (url?, path?) {
        (None, None) => Some(None),
        (Some(_), None) => {
            reader.wrong(secret_key, "is missing; alerts are signed with what it holds");
            None
        }
        (None, Some(_)) => {
            reader.wrong(url_key, "is missing; it says where to send the alerts that are signed");
            None
        }
        (Some(url), Some(path)) => {
            let url = secure_url(reader, url_key, &url);
            let secret = private_file(reader, secret_key, &path)?;
            let secret = secret.trim();
            if secret.len() < MIN_SECRET {
                reader.wrong(secret_key, format!("names {path:?}, which holds less than {MIN_SECRET} characters"));
                return None;
            }
            Some(Some(Webhook { url: url?, key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()) }))
        }
    }
}

/// The outer `None`: a mistake. The inner: no metrics.
#[allow(clippy::option_option, reason = "a mistake and an absence are two things")]
pub(super) fn metrics(reader: &mut Reader) -> Option<Option<SocketAddr>> {
    let key = "metrics.listen";
    let Some(text) = reader.maybe_text(key)? else { return Some(None) };
    if let Ok(address) = text.parse() {
        return Some(Some(address));
    }
    reader.wrong(key, format!("is {text:?}; it is an address and a port, like 127.0.0.1:8201"));
    None
}

pub(super) fn limits(reader: &mut Reader) -> Option<LimitsConfig> {
    let mut rate = |of: &str, per_second, burst| {
        let per_second = reader.number_or(&format!("limits.{of}_per_second"), per_second, 1, 1_000_000);
        let burst = reader.number_or(&format!("limits.{of}_burst"), burst, 1, 1_000_000);
        let number = |number: u64| u32::try_from(number).ok().and_then(NonZeroU32::new);
        Some(Rate { per_second: number(per_second?)?, burst: number(burst?)? })
    };
    let default = LimitsConfig::default();
    let mut rate_of = |of, rate_or: Rate| rate(of, rate_or.per_second.get().into(), rate_or.burst.get().into());
    let token = rate_of("token", default.token);
    let address = rate_of("address", default.address);
    let overall = rate_of("overall", default.overall);
    let parked = reader.number_or("limits.parked_requests", default.parked as u64, 0, 1_000_000);
    let trusted_proxies = trusted_proxies(reader);
    Some(LimitsConfig {
        token: token?,
        address: address?,
        overall: overall?,
        parked: usize::try_from(parked?).ok()?,
        trusted_proxies: trusted_proxies?,
    })
}

fn trusted_proxies(reader: &mut Reader) -> Option<Vec<IpNet>> {
    let key = "limits.trusted_proxies";
    let texts = reader.list_or_empty(key)?;
    let mut networks = Vec::new();
    for text in &texts {
        let network = text.parse().ok().or_else(|| text.parse::<IpAddr>().map(IpNet::from).ok());
        match network {
            Some(network) => networks.push(network),
            None => reader.wrong(key, format!("has {text:?}, which is not an address or a network like 10.0.0.0/8")),
        }
    }
    (networks.len() == texts.len()).then_some(networks)
}

/// The outer `None`: a mistake. The inner: no traces.
#[allow(clippy::option_option, reason = "a mistake and an absence are two things")]
pub(super) fn traces(reader: &mut Reader) -> Option<Option<String>> {
    let key = "traces.endpoint";
    let Some(text) = reader.maybe_text(key)? else { return Some(None) };
    if cfg!(not(feature = "otel")) {
        reader.wrong(key, "is set, but this program was built without traces; build it with --features otel");
        return None;
    }
    secure_url(reader, key, &text).map(Some)
}
