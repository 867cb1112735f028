//! PostgreSQL over TLS, with a certificate authority of the operator's own. With `sslmode=verify-full` in the URL nobody is
//! believed but a server of that name, certified by the authority in `sslrootcert` or by a public one.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use payby_proxy::store::{Error, Store};
use sqlx::{Connection as _, PgConnection};

use crate::postgres;

/// Two authorities, and what the first one says of `localhost`.
const CERTIFICATES: &str = r#"
    new() {
        name=$1
        shift
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$name" \
            -keyout "$name.key" -out "$name.pem" "$@" || exit
    }
    new authority -addext basicConstraints=critical,CA:TRUE
    new stranger -addext basicConstraints=critical,CA:TRUE
    new server -CA authority.pem -CAkey authority.key -addext basicConstraints=CA:FALSE -addext subjectAltName=DNS:localhost
"#;

/// From the server's own folder, which is within the one of the certificates.
const SERVER_PEM: &str = "--ssl_cert_file=../server.pem";
const SERVER_KEY: &str = "--ssl_key_file=../server.key";

/// A server that speaks TLS.
struct Server {
    folder: PathBuf,
    port: u16,
}

impl Server {
    /// Once more, if somebody has taken the port meanwhile.
    fn start() -> Self {
        let (mut said, mut attempts) = (String::new(), 0..3);
        let started = attempts.find_map(|_| {
            let server = Self { folder: postgres::new_folder(), port: free_port() };
            make_certificates(&server.folder);
            let port = format!("--port={}", server.port);
            let settings = ["--listen_addresses=127.0.0.1", &port, "--ssl=on", SERVER_PEM, SERVER_KEY];
            postgres::start(&server.folder, &settings).map(|()| server).map_err(|why| said = why).ok()
        });
        started.unwrap_or_else(|| panic!("PostgreSQL has not started:\n{said}"))
    }

    async fn open(&self, host: &str, authority: &str) -> Result<Store, Error> {
        let authority = self.folder.join(authority);
        let tls = format!("sslmode=verify-full&sslrootcert={}", authority.display());
        Store::open(&format!("postgres://test@{host}:{}/postgres?{tls}", self.port)).await
    }

    async fn refuses(&self, host: &str, authority: &str) -> String {
        self.open(host, authority).await.unwrap_err().to_string()
    }

    /// How many connections it has, and how many of them are encrypted; by way of its socket.
    async fn connections(&self) -> (i64, i64) {
        let url = format!("postgres://test@localhost:{}/postgres?host={}", self.port, self.folder.display());
        let count = "SELECT count(*), count(*) FILTER (WHERE ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                     WHERE client_addr IS NOT NULL";
        sqlx::query_as(count).fetch_one(&mut PgConnection::connect(&url).await.unwrap()).await.unwrap()
    }
}

fn make_certificates(folder: &Path) {
    let made = Command::new("sh").args(["-ec", CERTIFICATES]).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "these tests need openssl, 3.0 or newer: {said}");
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn only_the_server_of_that_name_by_that_authority_is_believed_and_nothing_goes_unencrypted() {
    let server = Server::start();
    let store = server.open("localhost", "authority.pem").await.unwrap();
    let listener = store.listen().await.unwrap();
    assert!(listener.is_some());
    let (all, encrypted) = server.connections().await;
    assert!(all >= 2, "of the pool and of the listener: {all}");
    assert_eq!(encrypted, all);

    let stranger = server.refuses("localhost", "stranger.pem").await;
    assert!(stranger.contains("invalid peer certificate: UnknownIssuer"), "{stranger}");
    let misnamed = server.refuses("127.0.0.1", "authority.pem").await;
    assert!(misnamed.contains(r#"not valid for name "127.0.0.1""#), "{misnamed}");
    let no_file = server.refuses("localhost", "nowhere.pem").await;
    let named = server.folder.join("nowhere.pem").display().to_string();
    assert!(no_file.contains(&format!("sslrootcert names {named}, which cannot be read: No such file")), "{no_file}");
}
