//! Delivers what the model's outbox holds due, signed. Decides nothing: when, how often and which bytes is the model's.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::http::header::CONTENT_TYPE;
use payby_checkout::time::Millis;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::faults::{Fault, Only};
use crate::journal::Event;
use crate::model::Delivery;
use crate::simulator::{Simulator, stopping};

/// How long the merchant may take to acknowledge.
const TIMEOUT: Duration = Duration::from_secs(10);
/// No acknowledgement is longer.
const ACKNOWLEDGEMENT_LIMIT: usize = 4096;
/// Looks at the clock at least so often: it can be set while nobody is told.
const LONGEST_SLEEP: Millis = Millis::from_secs(60);

pub(crate) struct Notifier {
    simulator: Arc<Simulator>,
    client: Client,
}

impl Notifier {
    pub(crate) fn new(simulator: Arc<Simulator>) -> anyhow::Result<Self> {
        let settings = || Client::builder().timeout(TIMEOUT).redirect(Policy::none()).no_proxy();
        let client = settings().build().or_else(|error| {
            // A bare container has no certificates; most merchants in development need none.
            tracing::warn!(%error, "no certificates on this machine: only http URLs can be notified");
            settings().tls_certs_only([]).build()
        });
        Ok(Self { simulator, client: client.context("cannot make an HTTP client")? })
    }

    /// Runs until told to stop; deliveries under way are then broken off.
    pub(crate) async fn run(self, stopped: watch::Receiver<bool>) {
        let mut deliveries = JoinSet::new();
        loop {
            let now = self.simulator.now();
            let (due, next) = {
                let mut state = self.simulator.state();
                (state.model.take_due(now), state.model.next_due())
            };
            for delivery in due {
                deliveries.spawn(deliver(Arc::clone(&self.simulator), self.client.clone(), delivery));
            }
            let pause = next.map_or(LONGEST_SLEEP, |at| at.since(now).min(LONGEST_SLEEP));
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(pause.0)) => {}
                () = self.simulator.bell.notified() => {}
                Some(_) = deliveries.join_next() => {}
                () = stopping(stopped.clone()) => return,
            }
        }
    }
}

async fn deliver(simulator: Arc<Simulator>, client: Client, delivery: Delivery) {
    let number = delivery.merchant_order_no.as_str();
    let fault = {
        let mut state = simulator.state();
        let amount = state.known.get(number).map(|known| known.amount);
        state.faults.take(Only::Notification, Some(number), amount)
    };
    let true_sign = simulator.keys.payby.sign(delivery.body.as_bytes());
    match &fault {
        Some(Fault::WrongSignature) => {
            let sign = simulator.keys.payby.sign(b"another notification");
            let outcome = post(&client, &delivery, &sign).await;
            record(&simulator, &delivery, fault.clone(), outcome, None);
        }
        Some(Fault::Duplicate) => {
            let outcome = post(&client, &delivery, &true_sign).await;
            record(&simulator, &delivery, fault.clone(), outcome, None);
        }
        Some(Fault::Delay { ms } | Fault::DelayRequest { ms }) => {
            tokio::time::sleep(Duration::from_millis(ms.0)).await;
        }
        _ => {}
    }
    let is_lost = fault == Some(Fault::LostRequest);
    let outcome = if is_lost { Err("lost on purpose".to_owned()) } else { post(&client, &delivery, &true_sign).await };
    let next_in_ms = simulator.state().model.delivered(simulator.now(), &delivery, outcome.is_ok());
    record(&simulator, &delivery, fault.filter(|_| is_lost), outcome, next_in_ms);
}

fn record(
    simulator: &Simulator,
    delivery: &Delivery,
    fault: Option<Fault>,
    outcome: Result<(), String>,
    next_in_ms: Option<Millis>,
) {
    let event = Event::Notification {
        merchant_order_no: delivery.merchant_order_no.as_str().to_owned(),
        notify_id: delivery.notify_id.clone(),
        attempt: delivery.attempt,
        url: delivery.url.clone(),
        fault,
        acknowledged: outcome.is_ok(),
        result: outcome.err().unwrap_or_else(|| "acknowledged".to_owned()),
        next_in_ms,
    };
    simulator.state().journal.record(simulator.now(), event);
}

/// Posts a notification; an error says why it is not acknowledged.
async fn post(client: &Client, delivery: &Delivery, sign: &str) -> Result<(), String> {
    let request = client.post(&delivery.url).header(CONTENT_TYPE, "application/json").header("Sign", sign);
    let response = request.body(delivery.body.to_string()).send().await.map_err(|error| in_words(&error))?;
    if response.status() != StatusCode::OK {
        return Err(format!("HTTP {}", response.status().as_u16()));
    }
    let body = read(response).await?;
    let answer: Option<Value> = serde_json::from_slice(&body).ok();
    match answer.and_then(|answer| answer.get("response")?.as_str().map(|word| word == "SUCCESS")) {
        Some(true) => Ok(()),
        _ => Err("HTTP 200, but not {\"response\":\"SUCCESS\"}".to_owned()),
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| in_words(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > ACKNOWLEDGEMENT_LIMIT {
            return Err("HTTP 200, but the answer is too long".to_owned());
        }
    }
    Ok(body)
}

fn in_words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        "timed out".to_owned()
    } else if error.is_connect() {
        "could not connect".to_owned()
    } else {
        "the connection broke off".to_owned()
    }
}
