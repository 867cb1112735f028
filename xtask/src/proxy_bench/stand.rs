//! What is measured, running: the simulated PayBy and proxies, built as they ship and configured as an operator would, with
//! the limits so far up that no bench meets them; and what customers and PayBy do to them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use payby_checkout::gateway::signature::SigningKey;
use payby_checkout::protocol::OpenedPurchase;
use sqlx::{AnyConnection, Connection as _};

use super::client::{Connection, Request, ask_all, request};
use super::meter::Process;
use crate::backend::{ApiKey, PARTNER_ID, Programs, proxy_config};
use crate::children::{self, Server};
use crate::process::this_program;

/// A shop's customers come side by side, so many at a time.
pub(super) const SIDE_BY_SIDE: usize = 8;

/// Of orders that are only to be there, so many are made at a time. The queries of those that are live already come many
/// side by side, and fewer would be lost among them.
pub(super) const CREATED_AT_A_TIME: usize = 128;

/// How long it may take until all requests are parked.
const PARKED_WITHIN: Duration = Duration::from_mins(2);

/// Of the proxy's settings, those that a bench must not meet.
const LIMITS: [&str; 6] =
    ["TOKEN_PER_SECOND", "TOKEN_BURST", "ADDRESS_PER_SECOND", "ADDRESS_BURST", "OVERALL_PER_SECOND", "OVERALL_BURST"];

/// The simulated PayBy, for all proxies.
pub(super) struct Gateway {
    programs: Programs,
    folder: PathBuf,
    keys: PathBuf,
    url: String,
    api_key: ApiKey,
    /// PayBy's own: the bench signs its notifications itself, beforehand, so that they can be sent at one moment.
    pub(super) signing: SigningKey,
    _server: Server,
}

impl Gateway {
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let beside = |name: &str| this_program().with_file_name(name);
        let programs = Programs { sim: beside("payby-sim"), proxy: beside("payby-proxy") };
        let keys = folder.join("keys");
        let mut command = Command::new(&programs.sim);
        command.args(["--listen", "127.0.0.1:0", "--partner-id", PARTNER_ID, "--keys"]).arg(&keys);
        // Its log would be written by this process.
        let mut server = Server::start("payby-sim", command.env("RUST_LOG", "warn"), folder, false)?;
        let url = server.url()?;
        let signing = SigningKey::from_pem(&fs::read_to_string(keys.join("payby_private.pem"))?.into())?;
        let api_key = ApiKey::make(&programs.proxy)?;
        Ok(Self { programs, folder: folder.to_owned(), keys, url, api_key, signing, _server: server })
    }
}

/// One instance of the proxy.
pub(super) struct Proxy {
    server: Server,
    pub(super) address: SocketAddr,
    metrics: SocketAddr,
    authorization: String,
    database: String,
}

impl Proxy {
    /// On this database. The log is as it is by default, which is part of what a request costs.
    pub(super) fn start(gateway: &Gateway, name: &str, database: &str) -> Result<Self> {
        let folder = gateway.folder.join(name);
        fs::create_dir_all(&folder)?;
        let (port, metrics) = (children::free_port()?, children::free_port()?);
        let config = folder.join("payby-proxy.toml");
        let settings = proxy_config(&folder, &gateway.keys, port, port, &gateway.url, &gateway.api_key.sha256);
        fs::write(&config, settings)?;
        let mut command = Command::new(&gateway.programs.proxy);
        command
            .arg("serve")
            .arg("--config")
            .arg(&config)
            .env("PAYBY_PROXY_DATABASE__URL", database)
            .env("PAYBY_PROXY_METRICS__LISTEN", format!("127.0.0.1:{metrics}"))
            .env("PAYBY_PROXY_LIMITS__PARKED_REQUESTS", "100000")
            .envs(LIMITS.map(|limit| (format!("PAYBY_PROXY_LIMITS__{limit}"), "1000000")));
        let mut server = Server::start("payby-proxy", &mut command, &folder, false)?;
        let address = server.url()?.trim_start_matches("http://").parse()?;
        let metrics = SocketAddr::from(([127, 0, 0, 1], metrics));
        let authorization = format!("Bearer {}", gateway.api_key.key);
        Ok(Self { server, address, metrics, authorization, database: database.to_owned() })
    }

    pub(super) fn process(&self) -> Process {
        Process::of(&self.server)
    }

    /// Opens so many purchases, each with the number that its order will have.
    pub(super) async fn open_purchases(&self, count: usize) -> Result<Vec<Sale>> {
        let names: Vec<_> = (0..count).map(|_| next()).collect();
        let open = |name: &u64| {
            let body =
                format!(r#"{{"reference":"bench-{name}","amount":"12.50","currency":"AED","subject":"Tea, 250 g"}}"#);
            request("POST", "/v1/purchases", &[("authorization", &self.authorization)], &body)
        };
        let answers = ask_all(self.address, CREATED_AT_A_TIME, names.iter().map(open).collect()).await?;
        let sale = |(name, answer): (u64, super::client::Answer)| {
            let OpenedPurchase { token, .. } = serde_json::from_str(&answer.body)?;
            // As long as the standard format's.
            Ok(Sale { authorization: format!("Bearer {token}"), number: format!("1KZ{name:022}") })
        };
        names.into_iter().zip(answers).map(sale).collect()
    }

    /// Creates these orders, so many at a time.
    pub(super) async fn create(&self, sales: &[Sale], at_a_time: usize) -> Result<()> {
        let answers = ask_all(self.address, at_a_time, sales.iter().map(Sale::put).collect()).await?;
        let strange = answers.iter().find(|answer| !answer.body.contains(r#""status":"pending""#));
        ensure!(strange.is_none(), "an order was not created: {strange:?}");
        Ok(())
    }

    /// So many live orders.
    pub(super) async fn orders(&self, count: usize) -> Result<Vec<Sale>> {
        let sales = self.open_purchases(count).await?;
        self.create(&sales, CREATED_AT_A_TIME).await?;
        Ok(sales)
    }

    /// Has PayBy tell that these orders are paid.
    pub(super) async fn pay(&self, gateway: &Gateway, sales: &[Sale]) -> Result<()> {
        let notifications = sales.iter().map(|sale| sale.notification(gateway)).collect();
        ask_all(self.address, SIDE_BY_SIDE, notifications).await.map(drop)
    }

    /// What a metric stands at: the sum of the lines that begin so.
    pub(super) async fn metric(&self, begins: &str) -> Result<f64> {
        let answer = Connection::open(self.metrics).await?.ask(&request("GET", "/metrics", &[], "")).await?.ok()?;
        let lines = answer.body.lines().filter(|line| line.starts_with(begins));
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// How often it has asked PayBy where an order stands.
    pub(super) async fn queries(&self) -> Result<f64> {
        self.metric(r#"payby_proxy_gateway_calls_total{call="getOrder""#).await
    }

    /// For each live order, how long ago PayBy was asked about it, or, before that, how long ago it was created.
    pub(super) async fn since_queries(&self) -> Result<Vec<Duration>> {
        sqlx::any::install_default_drivers();
        let mut connection = AnyConnection::connect(&self.database).await?;
        let sql = "SELECT COALESCE(queried_at, created_at) FROM orders WHERE status IN ('unknown', 'pending')";
        let queried: Vec<i64> = sqlx::query_scalar(sql).fetch_all(&mut connection).await?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        Ok(queried.iter().map(|at| now.saturating_sub(Duration::from_millis(at.unsigned_abs()))).collect())
    }

    /// Waits until so many requests are parked. They may come back and be parked again meanwhile, so some may be on the way.
    pub(super) async fn wait_for_parked(&mut self, count: usize) -> Result<()> {
        #[allow(clippy::cast_precision_loss, reason = "a count of connections")]
        let enough = count as f64 * 0.99;
        let begun = Instant::now();
        while self.metric("payby_proxy_parked_requests ").await? < enough {
            ensure!(begun.elapsed() < PARKED_WITHIN, "{count} requests are not parked within {PARKED_WITHIN:?}");
            self.server.expect_alive()?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

/// A purchase that a customer is to pay, and its order's number.
#[derive(Clone, Debug)]
pub(super) struct Sale {
    authorization: String,
    pub(super) number: String,
}

impl Sale {
    /// Creates the order.
    pub(super) fn put(&self) -> Request {
        self.ask("PUT", &[])
    }

    /// Reads it.
    pub(super) fn get(&self) -> Request {
        self.ask("GET", &[])
    }

    /// Waits until it is another than this version.
    pub(super) fn held(&self, etag: &str) -> Request {
        self.ask("GET", &[("prefer", "wait=25"), ("if-none-match", etag)])
    }

    fn ask(&self, method: &str, headers: &[(&str, &str)]) -> Request {
        let mut all = vec![("authorization", self.authorization.as_str())];
        all.extend(headers);
        request(method, &format!("/v1/orders/{}", self.number), &all, "")
    }

    /// PayBy's notification that it is paid.
    pub(super) fn notification(&self, gateway: &Gateway) -> Request {
        let (name, number) = (next(), &self.number);
        let body = format!(
            r#"{{"notify_id":"bench-{name}","notify_timestamp":1700000000000,"acquireOrder":{{"merchantOrderNo":"{number}","orderNo":"13{name:018}","status":"PAID_SUCCESS","totalAmount":{{"amount":12.50,"currency":"AED"}},"subject":"Tea, 250 g","paySceneCode":"DYNQR","paymentInfo":{{"paidAmount":{{"amount":12.50,"currency":"AED"}},"paidTime":1700000000000,"payChannel":"BALANCE"}}}}}}"#
        );
        request("POST", "/payby/notifications", &[("sign", &gateway.signing.sign(body.as_bytes()))], &body)
    }
}

/// A number that no other has.
fn next() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

/// The SQLite database of this name, for one proxy.
pub(super) fn sqlite(folder: &Path, name: &str) -> Result<String> {
    let folder = folder.join(name);
    fs::create_dir_all(&folder).context("a folder for the database")?;
    Ok(format!("sqlite://{}", folder.join("payby-proxy.db").display()))
}
