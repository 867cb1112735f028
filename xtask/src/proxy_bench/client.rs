//! The cheapest client there is, since it shares the processors with what it measures: a request is bytes that were made
//! beforehand, and an answer is read as far as its `content-length` says. HTTP/1.1, connections are kept.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// A request as it is sent.
pub(super) type Request = Vec<u8>;

/// A request's bytes.
pub(super) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: proxy\r\n");
    for (name, value) in headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    if !body.is_empty() {
        text.push_str("content-type: application/json\r\n");
    }
    text.extend(["content-length: ", &body.len().to_string(), "\r\n\r\n", body]);
    text.into_bytes()
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    /// The HTTP status.
    pub(super) status: u16,
    /// Its status line and header lines.
    pub(super) head: String,
    /// Its body.
    pub(super) body: String,
}

impl Answer {
    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// Fails unless the status is one of success.
    pub(super) fn ok(self) -> Result<Self> {
        if !(200..300).contains(&self.status) {
            bail!("an answer that was not looked for: {} {}", self.status, self.body);
        }
        Ok(self)
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then(|| value.trim()))
}

/// A connection, for one request at a time.
pub(super) struct Connection {
    stream: TcpStream,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    pub(super) async fn ask(&mut self, request: &[u8]) -> Result<Answer> {
        self.stream.write_all(request).await.context("the connection has ended")?;
        let mut read = Vec::new();
        let head = loop {
            if let Some(end) = read.windows(4).position(|end| end == b"\r\n\r\n") {
                break end + 4;
            }
            self.read(&mut read).await?;
        };
        let text = std::str::from_utf8(&read[..head]).context("a header that is no text")?;
        let status = text.get(9..12).and_then(|status| status.parse().ok()).context("an answer without a status")?;
        let length = match header(text, "content-length") {
            Some(length) => length.parse().context("a content-length that is no number")?,
            None if status == 304 => 0,
            None => bail!("an answer without a content-length: {text}"),
        };
        let text = text.to_owned();
        while read.len() < head + length {
            self.read(&mut read).await?;
        }
        let body = String::from_utf8(read.split_off(head)).context("a body that is no text")?;
        Ok(Answer { status, head: text, body })
    }

    async fn read(&mut self, to: &mut Vec<u8>) -> Result<()> {
        to.reserve(1024);
        if self.stream.read_buf(to).await.context("the connection has ended")? == 0 {
            bail!("the connection has ended");
        }
        Ok(())
    }
}

/// Sends each of these once, over so many connections side by side. Answers come in the requests' order.
pub(super) async fn ask_all(to: SocketAddr, connections: usize, requests: Vec<Request>) -> Result<Vec<Answer>> {
    let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
    let mut tasks = JoinSet::new();
    for _ in 0..connections.min(requests.len()) {
        let (requests, next) = (Arc::clone(&requests), Arc::clone(&next));
        let mut connection = Connection::open(to).await?;
        tasks.spawn(async move {
            let mut answers = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(request) = requests.get(number) else { return anyhow::Ok(answers) };
                answers.push((number, connection.ask(request).await?.ok()?));
            }
        });
    }
    let mut answers = Vec::with_capacity(requests.len());
    while let Some(some) = tasks.join_next().await {
        answers.extend(some??);
    }
    answers.sort_by_key(|(number, _)| *number);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}

/// Sends these round and round for so long, over so many connections, each with one request at a time. Answers how long
/// each took.
pub(super) async fn ask_for(
    span: Duration,
    to: SocketAddr,
    connections: usize,
    requests: &[Request],
) -> Result<Vec<Duration>> {
    let requests: Arc<[Request]> = requests.into();
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(to).await?);
    }
    let until = Instant::now() + span;
    let mut tasks = JoinSet::new();
    for (first, mut connection) in open.into_iter().enumerate() {
        let requests = Arc::clone(&requests);
        tasks.spawn(async move {
            let mut took = Vec::new();
            for request in requests.iter().cycle().skip(first) {
                let begun = Instant::now();
                if begun >= until {
                    break;
                }
                connection.ask(request).await?.ok()?;
                took.push(begun.elapsed());
            }
            anyhow::Ok(took)
        });
    }
    let mut took = Vec::new();
    while let Some(some) = tasks.join_next().await {
        took.extend(some??);
    }
    Ok(took)
}
