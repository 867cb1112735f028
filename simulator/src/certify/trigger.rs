//! How a merchant is made to begin an order: by payby-proxy's own API, or by any HTTP request.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Method, RequestBuilder, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::case::{Case, Trial};

/// How long the merchant may take to answer.
const TIMEOUT: Duration = Duration::from_secs(40);
/// After a question that was not answered.
const PAUSE: Duration = Duration::from_secs(1);

/// What the merchant is asked to do, done in a task of its own; an error says why it could not be asked.
pub type Errand = JoinHandle<Result<(), String>>;

/// How a merchant is made to begin an order.
#[derive(Debug)]
pub enum Trigger {
    /// As a shop and its page do at payby-proxy: opens a purchase, puts an order, and asks until it is decided.
    Proxy {
        /// The proxy's base URL, no slash at the end.
        merchant: String,
        /// The shop's key.
        api_key: SecretString,
    },
    /// One HTTP request.
    Http {
        /// What `{merchant}` stands for.
        merchant: String,
        /// Which request.
        file: TriggerFile,
    },
}

/// A TOML file: a table `all`, and a table for each case that needs a request of its own.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct TriggerFile {
    /// For every case that has none of its own.
    pub all: Option<HttpTrigger>,
    /// By the case's number.
    #[serde(flatten)]
    pub cases: BTreeMap<String, HttpTrigger>,
}

/// An HTTP request. In its URL, header values and body these stand for something: `{merchant}`, `{case}` (`001`),
/// `{amount}` (`12.02`), `{fils}` (`1202`), `{reference}` (unique), `{payWithinMs}` (`60000`
/// or `600000`).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpTrigger {
    /// Default: `POST`.
    #[serde(default = "post")]
    pub method: String,
    /// Where it goes.
    pub url: String,
    /// Its headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Its body; `Content-Type` is JSON, unless the headers say otherwise.
    #[serde(default)]
    pub body: String,
}

fn post() -> String {
    "POST".to_owned()
}

impl TriggerFile {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// It cannot be read, holds something else, or names a case that there is not.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Self::parse(&text).with_context(|| file.display().to_string())
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let read: Self = toml::from_str(text)?;
        for case in read.cases.keys() {
            case.parse::<Case>().map_err(anyhow::Error::msg)?;
        }
        ensure!(read.all.is_some() || !read.cases.is_empty(), "there is no request: it needs a table [all]");
        Ok(read)
    }

    fn request(&self, case: Case) -> Option<&HttpTrigger> {
        self.cases.get(case.id()).or(self.all.as_ref())
    }
}

impl Trigger {
    /// Begins an order.
    pub(super) fn begin(&self, trial: Trial, run: &str) -> anyhow::Result<Errand> {
        let client = Client::builder().timeout(TIMEOUT).no_proxy().build().context("cannot make an HTTP client")?;
        let reference = format!("certify-{run}-{}", trial.id());
        Ok(match self {
            Self::Proxy { merchant, api_key } => {
                let page = Page { client, merchant: merchant.clone() };
                tokio::spawn(page.pay(api_key.clone(), trial, reference))
            }
            Self::Http { merchant, file } => {
                let case = trial.case;
                let request = file.request(case).cloned();
                let merchant = merchant.clone();
                tokio::spawn(async move {
                    let request = request.ok_or_else(|| format!("there is no request for case {}", case.id()))?;
                    request.send(&client, &merchant, trial, &reference).await
                })
            }
        })
    }
}

impl HttpTrigger {
    async fn send(&self, client: &Client, merchant: &str, trial: Trial, reference: &str) -> Result<(), String> {
        let fill = |text: &str| filled(text, merchant, trial, reference);
        let method: Method = self.method.parse().map_err(|_| format!("{:?} is no HTTP method", self.method))?;
        let mut request = client.request(method, fill(&self.url)).body(fill(&self.body));
        if !self.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type")) {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        for (name, value) in &self.headers {
            request = request.header(name, fill(value));
        }
        answered(request).await.map(drop)
    }
}

fn filled(text: &str, merchant: &str, trial: Trial, reference: &str) -> String {
    text.replace("{merchant}", merchant)
        .replace("{case}", trial.case.id())
        .replace("{amount}", &trial.amount().to_string())
        .replace("{fils}", &trial.amount().fils().to_string())
        .replace("{reference}", reference)
        .replace("{payWithinMs}", &trial.pay_within().0.to_string())
}

/// A shop's server and its page, at payby-proxy.
struct Page {
    client: Client,
    merchant: String,
}

impl Page {
    /// Goes on asking until the order is decided; whoever has seen enough breaks it off.
    async fn pay(self, api_key: SecretString, trial: Trial, reference: String) -> Result<(), String> {
        let purchase = json!({
            "reference": reference,
            "amount": trial.amount().to_string(),
            "currency": "AED",
            "subject": format!("Acceptance case {}", trial.id()),
            "payWithinMs": trial.pay_within().0,
        });
        let request = self.client.post(format!("{}/v1/purchases", self.merchant)).bearer_auth(api_key.expose_secret());
        let opened = body(answered(sent_json(request, &purchase)).await?).await?;
        let token = opened["token"].as_str().ok_or("the purchase was opened without a token")?;

        // Any number that PayBy takes is a number that the proxy takes.
        let order = format!("{}/v1/orders/{reference}", self.merchant);
        // An outcome that is unknown is not an error here: the page goes on asking, as a page does.
        let put = sent_json(self.client.put(&order).bearer_auth(token), &json!({}));
        let mut version = match put.send().await {
            Ok(response) => etag(&response),
            Err(_) => None,
        };
        loop {
            let mut request = self.client.get(&order).bearer_auth(token).header("prefer", "wait=25");
            if let Some(version) = &version {
                request = request.header("if-none-match", version);
            }
            match request.send().await {
                Ok(response) if response.status().is_success() || response.status().as_u16() == 304 => {
                    version = etag(&response).or(version);
                    let told = body(response).await.unwrap_or_default();
                    if matches!(told["status"].as_str(), Some("paid" | "failed" | "conflict")) {
                        return Ok(());
                    }
                }
                _ => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn sent_json(request: RequestBuilder, value: &Value) -> RequestBuilder {
    request.header(CONTENT_TYPE, "application/json").body(value.to_string())
}

async fn answered(request: RequestBuilder) -> Result<Response, String> {
    let response = request.send().await.map_err(|error| format!("the merchant did not answer: {error}"))?;
    let status = response.status();
    if status.is_success() || status.is_redirection() {
        return Ok(response);
    }
    let text = response.text().await.unwrap_or_default();
    Err(format!("the merchant answered HTTP {}: {}", status.as_u16(), text.chars().take(200).collect::<String>()))
}

async fn body(response: Response) -> Result<Value, String> {
    let text = response.text().await.map_err(|error| format!("the merchant's answer broke off: {error}"))?;
    serde_json::from_str(&text).map_err(|_| "the merchant's answer is not JSON".to_owned())
}

fn etag(response: &Response) -> Option<String> {
    response.headers().get("etag")?.to_str().ok().map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certify::Variant;

    #[test]
    fn a_file_has_one_request_for_all_cases_or_one_for_each() {
        let file = TriggerFile::parse(
            r#"
            [all]
            url = "{merchant}/pay"
            body = '{"amount": {amount}, "fils": {fils}, "case": "{case}", "ref": "{reference}", "ms": {payWithinMs}}'
            ["002"]
            method = "PUT"
            url = "{merchant}/leave"
            headers = { Accept = "{case}" }
            "#,
        )
        .unwrap();
        let request = file.request(Case::Paid).unwrap();
        assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "{merchant}/pay"));
        let filled = |trial| filled(&request.body, "http://shop", trial, "R-1");
        let paid = Trial { case: Case::Paid, variant: Variant::Plain };
        assert_eq!(filled(paid), r#"{"amount": 500.01, "fils": 50001, "case": "001", "ref": "R-1", "ms": 60000}"#);
        // R6's deadline is told apart from the end of the payer's time.
        let unknown = Trial { case: Case::CreateFails, variant: Variant::Unknown };
        assert_eq!(filled(unknown), r#"{"amount": 14.03, "fils": 1403, "case": "003", "ref": "R-1", "ms": 600000}"#);
        assert_eq!(file.request(Case::PayerLeaves).unwrap().method, "PUT");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        for (text, said) in [
            ("", "there is no request"),
            ("[all]\nbody = \"\"", "missing field `url`"),
            ("[\"010\"]\nurl = \"x\"", "there is no case \"010\""),
            ("[all]\nurl = \"x\"\nverb = \"y\"", "unknown field `verb`"),
        ] {
            let error = format!("{:#}", TriggerFile::parse(text).unwrap_err());
            assert!(error.contains(said), "{error}");
        }
    }
}
