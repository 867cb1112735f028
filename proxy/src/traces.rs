//! Traces for those who collect them: a span for each request and for each call to PayBy, sent by OTLP over HTTP.
//!
//! A span has a route, a request id, a call's name: no header, no body, no token. Only this program's own spans are sent,
//! which are those that were looked at for that.

use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

/// How long the last spans may take at the end.
const GRACE: Duration = Duration::from_secs(5);

/// What sends the spans.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Makes ready to send to this endpoint, like `http://127.0.0.1:4318/v1/traces`.
    ///
    /// # Errors
    /// The client cannot be set up.
    pub fn to(endpoint: &str) -> Result<Self, ExporterBuildError> {
        let exporter = SpanExporter::builder().with_http().with_endpoint(endpoint).build()?;
        let resource = Resource::builder().with_service_name("payby-proxy").build();
        Ok(Self(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()))
    }

    /// What listens to the spans.
    #[must_use]
    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        let own = Targets::new().with_target("payby_proxy", LevelFilter::INFO);
        tracing_opentelemetry::layer().with_tracer(self.0.tracer("payby-proxy")).with_filter(own)
    }

    /// Sends what is left.
    pub fn shutdown(self) {
        if let Err(error) = self.0.shutdown_with_timeout(GRACE) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}
