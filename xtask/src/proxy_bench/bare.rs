//! What the framework costs: a server that gives every reader of an order one and the same answer, headers and all, and
//! knows nothing. A program of its own, as the proxy is.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::routing::get;
use tokio::net::TcpListener;

use super::client::Answer;

/// What the server calls itself.
pub(super) const NAME: &str = "bare";

/// What hyper adds by itself.
const ADDED: [&str; 2] = ["content-length", "date"];

/// Writes down what the server is to answer.
pub(super) fn prescribe(answer: &Answer, file: &Path) -> Result<()> {
    let lines = answer.head.lines().skip(1).filter(|line| {
        line.split_once(':').is_some_and(|(name, _)| !ADDED.contains(&name.to_ascii_lowercase().as_str()))
    });
    let head: Vec<_> = lines.collect();
    Ok(fs::write(file, head.join("\n") + "\n\n" + &answer.body)?)
}

/// Serves until it is killed.
pub(super) async fn serve(file: &Path) -> Result<()> {
    let text = fs::read_to_string(file)?;
    let (head, body) = text.split_once("\n\n").context("an answer")?;
    let (mut headers, body) = (HeaderMap::new(), body.to_owned());
    for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
        headers.insert(name.parse::<HeaderName>()?, value.parse::<HeaderValue>()?);
    }
    let answer = move || async move { (headers.clone(), body.clone()) };
    let router = Router::new().route("/v1/orders/{order_number}", get(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{NAME} is listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, router).await?)
}
