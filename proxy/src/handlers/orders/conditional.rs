//! `If-None-Match` (RFC 9110 §13.1.2) and `Prefer: wait=N` (RFC 7240 §4.3).

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// The longest time that a request is held.
const MAX_WAIT: u64 = 25;

/// A version as an entity tag.
pub(super) fn quoted(version: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// Whether the caller has this version already.
pub(super) fn is_known(headers: &HeaderMap, version: u64) -> bool {
    let tag = format!("\"{version}\"");
    let named = |value: &HeaderValue| {
        let value = value.to_str().unwrap_or_default();
        value.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
    };
    headers.get_all(header::IF_NONE_MATCH).iter().any(named)
}

/// How long the caller wants to be held, within bounds. `None` if it does not say, or says it in another way.
pub(super) fn wait(headers: &HeaderMap) -> Option<Duration> {
    let preferences = headers.get_all(HeaderName::from_static("prefer")).iter();
    let texts = preferences.filter_map(|value| value.to_str().ok());
    let named = texts.flat_map(|text| text.split(',')).find_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        let seconds = value.trim().trim_matches('"').parse::<u64>().ok()?;
        name.trim().eq_ignore_ascii_case("wait").then_some(seconds)
    });
    named.map(|seconds| Duration::from_secs(seconds.min(MAX_WAIT)))
}

/// Says how long the request was ready to be held.
pub(super) fn applied(wait: Duration) -> HeaderValue {
    HeaderValue::from_str(&format!("wait={}", wait.as_secs())).unwrap_or_else(|_| HeaderValue::from_static("wait"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn which_version_the_caller_has() {
        for (value, is_it) in
            [("\"7\"", true), ("W/\"7\"", true), ("\"6\", \"7\"", true), ("*", true), ("\"6\"", false), ("7", false)]
        {
            assert_eq!(is_known(&headers("if-none-match", value), 7), is_it, "{value}");
        }
        assert!(!is_known(&HeaderMap::new(), 7));
    }

    #[test]
    fn how_long_the_caller_waits() {
        for (value, seconds) in [
            ("wait=10", Some(10)),
            ("respond-async, Wait = 3", Some(3)),
            ("wait=9999", Some(25)),
            ("wait=0", Some(0)),
            ("wait=soon", None),
            ("wait", None),
            ("", None),
        ] {
            assert_eq!(wait(&headers("prefer", value)), seconds.map(Duration::from_secs), "{value}");
        }
    }
}
