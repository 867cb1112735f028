//! What is counted, for Prometheus. docs/operators.md lists it.
//!
//! A label is a route, a kind or an outcome: one of a few words that stand in this program. Order numbers, tokens and
//! addresses are none of them, so they cannot get into a metric.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// What the text of [`Metrics::text`] is.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// From a quick database to PayBy's time-out, in seconds.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

type Timed<Labels> = Family<Labels, Histogram, fn() -> Histogram>;

/// The counters of one proxy.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    calls: Family<Call, Counter>,
    call_seconds: Timed<CallName>,
    notifications: Family<Outcome, Counter>,
    alerts: Family<Alert, Counter>,
    webhook: Family<Outcome, Counter>,
    limited: Family<Limit, Counter>,
    database_errors: Counter,
    live_orders: Gauge,
    parked_requests: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Call {
    call: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CallName {
    call: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Alert {
    alert: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Limit {
    limit: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("payby_proxy");
        let mut metrics = Self {
            requests: Family::default(),
            calls: Family::default(),
            call_seconds: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            notifications: Family::default(),
            alerts: Family::default(),
            webhook: Family::default(),
            limited: Family::default(),
            database_errors: Counter::default(),
            live_orders: Gauge::default(),
            parked_requests: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("requests", "Requests answered", metrics.requests.clone());
        registry.register("gateway_calls", "Calls to PayBy, by what came of them", metrics.calls.clone());
        registry.register("gateway_call_seconds", "How long calls to PayBy took", metrics.call_seconds.clone());
        registry.register("notifications", "PayBy's notifications", metrics.notifications.clone());
        registry.register("alerts", "What a person has to look at", metrics.alerts.clone());
        registry.register("alert_webhook", "Alerts sent to the webhook", metrics.webhook.clone());
        registry.register("rate_limited", "Requests beyond a limit", metrics.limited.clone());
        registry.register("database_errors", "Failures of the database", metrics.database_errors.clone());
        registry.register("live_orders", "Orders that PayBy has not decided", metrics.live_orders.clone());
        registry.register("parked_requests", "Requests held until an order changes", metrics.parked_requests.clone());
        metrics.registry = registry;
        metrics
    }
}

impl Metrics {
    /// A request was answered. The route is the router's pattern, never the path itself.
    pub fn answered(&self, method: &axum::http::Method, route: &str, status: u16) {
        let method = match method.as_str() {
            "GET" => "GET",
            "PUT" => "PUT",
            "POST" => "POST",
            "OPTIONS" => "OPTIONS",
            "HEAD" => "HEAD",
            _ => "other",
        };
        self.requests.get_or_create(&Request { method, route: route.to_owned(), status }).inc();
    }

    /// PayBy was called.
    pub fn called(&self, call: &'static str, outcome: &'static str, took: Duration) {
        self.calls.get_or_create(&Call { call, outcome }).inc();
        self.call_seconds.get_or_create(&CallName { call }).observe(took.as_secs_f64());
    }

    /// A notification came.
    pub fn notified(&self, outcome: &'static str) {
        self.notifications.get_or_create(&Outcome { outcome }).inc();
    }

    /// A person has to look at something.
    pub fn alerted(&self, alert: &'static str) {
        self.alerts.get_or_create(&Alert { alert }).inc();
    }

    /// An alert was sent to the webhook, or was not.
    pub fn sent_alert(&self, outcome: &'static str) {
        self.webhook.get_or_create(&Outcome { outcome }).inc();
    }

    /// A request was beyond a limit.
    pub fn limited(&self, limit: &'static str) {
        self.limited.get_or_create(&Limit { limit }).inc();
    }

    /// The database has failed.
    pub fn database_failed(&self) {
        self.database_errors.inc();
    }

    /// Everything, as OpenMetrics has it, with what is counted only when somebody looks.
    #[must_use]
    pub fn text(&self, live_orders: Option<usize>, parked_requests: usize) -> String {
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        if let Some(live_orders) = live_orders {
            self.live_orders.set(gauge(live_orders));
        }
        self.parked_requests.set(gauge(parked_requests));
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
