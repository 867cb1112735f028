//! Waits for a merchant's stack that is still starting.

use std::error::Error;
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Client, StatusCode};
use tokio::time::{sleep, timeout};

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(250);

/// Waits until something answers HTTP at `url`, whatever it says: only 502, 503 and 504 are said for somebody who does not
/// answer yet. `tell` is told why it waits, each time that this is something new.
///
/// # Errors
/// Nothing has answered `within` that time; or the machine's HTTP client failed.
pub async fn wait_for(url: &str, within: Duration, mut tell: impl FnMut(&str)) -> anyhow::Result<()> {
    let client = Client::builder().no_proxy().build().context("cannot make an HTTP client")?;
    let mut known = "no answer yet".to_owned();
    let answered = async {
        while let Some(why) = try_once(&client, url).await {
            if known != why {
                tell(&why);
                known = why;
            }
            sleep(PAUSE).await;
        }
    };
    if timeout(within, answered).await.is_err() {
        bail!("the merchant's stack cannot be reached at {url} within {} s: {known}", within.as_secs());
    }
    Ok(())
}

/// Why it does not answer, if it does not.
async fn try_once(client: &Client, url: &str) -> Option<String> {
    match client.get(url).send().await.map(|response| response.status()) {
        Ok(status @ (StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)) => {
            Some(format!("HTTP {status}"))
        }
        Ok(_) => None,
        Err(error) => {
            let mut cause: &dyn Error = &error;
            while let Some(deeper) = cause.source() {
                cause = deeper;
            }
            Some(cause.to_string())
        }
    }
}
