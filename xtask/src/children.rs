//! Servers that run beside us: started, waited for, logged, and never left behind.
//!
//! A server says on its standard output `<name> is listening on http://127.0.0.1:PORT` once it can be used. Whatever it
//! says goes into its log file. It is stopped when its [`Server`] is dropped, that is also when we fail half-way.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a server may take until it listens: databases and keys are made on the first start.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// How long a server may take to stop by itself.
const STOPPED_WITHIN: Duration = Duration::from_secs(3);

/// How often we look.
const TICK: Duration = Duration::from_millis(50);

/// A running child of ours.
pub(crate) struct Server {
    /// What it calls itself.
    pub(crate) name: &'static str,
    /// Its log file.
    pub(crate) log: PathBuf,
    child: Child,
    readers: Vec<JoinHandle<()>>,
    ready: mpsc::Receiver<String>,
}

impl Server {
    /// Starts a child whose output goes to `<folder>/<name>.log`, and with `echo` also to the terminal.
    pub(crate) fn start(name: &'static str, command: &mut Command, folder: &Path, echo: bool) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = Arc::new(Mutex::new(File::create(&log).with_context(|| format!("cannot make {}", log.display()))?));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let (said, ready) = mpsc::channel();
        let stdout = child.stdout.take().context("its output is piped")?;
        let stderr = child.stderr.take().context("its errors are piped")?;
        let readers = vec![
            copy_lines(name, stdout, Arc::clone(&file), echo, Some(said)),
            copy_lines(name, stderr, file, echo, None),
        ];
        Ok(Self { name, log, child, readers, ready })
    }

    /// The system's number for it.
    #[cfg(feature = "proxy-bench")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the server's ready line and answers its URL.
    pub(crate) fn url(&mut self) -> Result<String> {
        let begun = Instant::now();
        while begun.elapsed() < READY_WITHIN {
            if let Ok(url) = self.ready.recv_timeout(TICK) {
                return Ok(url);
            }
            self.expect_alive()?;
        }
        bail!("{} did not listen within {READY_WITHIN:?}{}", self.name, self.last_lines());
    }

    /// Fails, with the end of its log, if the child has ended.
    pub(crate) fn expect_alive(&mut self) -> Result<()> {
        check_interrupt()?;
        if let Some(status) = self.child.try_wait()? {
            check_interrupt_soon()?;
            self.join_readers();
            bail!("{} has ended ({status}){}", self.name, self.last_lines());
        }
        Ok(())
    }

    /// Whether the child has ended, and how.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        if status.is_some() {
            self.join_readers();
        }
        Ok(status)
    }

    /// Stops the child: politely, and if that does not help, at once.
    pub(crate) fn stop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            // Without a `kill` program (Windows, a very small Linux), "at once" is all there is.
            let politely = Command::new("kill").arg(self.child.id().to_string()).stderr(Stdio::null()).status();
            let begun = Instant::now();
            while politely.as_ref().is_ok_and(ExitStatus::success)
                && begun.elapsed() < STOPPED_WITHIN
                && self.child.try_wait().is_ok_and(|status| status.is_none())
            {
                thread::sleep(TICK);
            }
            // It may have ended in between; then there is nothing to kill.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        self.join_readers();
    }

    fn join_readers(&mut self) {
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }

    /// The end of the log, for an error's message.
    fn last_lines(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(20)..];
        if last.is_empty() {
            ", and has said nothing".to_owned()
        } else {
            format!("; its last words:\n{}", last.join("\n"))
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Copies a child's lines into its log until it closes the pipe, and reports the URL of its ready line.
fn copy_lines(
    name: &'static str,
    from: impl Read + Send + 'static,
    log: Arc<Mutex<File>>,
    echo: bool,
    said: Option<mpsc::Sender<String>>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if let Ok(mut log) = log.lock() {
                // A full disk must not stop the server that it is about.
                let _ = writeln!(log, "{line}");
            }
            if echo {
                println!("{name} │ {line}");
            }
            let url = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(" is listening on "));
            if let (Some(url), Some(said)) = (url, &said) {
                // Nobody listens any more once the first URL is known.
                let _ = said.send(url.trim().to_owned());
            }
        }
    })
}

/// A port on which nobody listens now. Somebody may take it before it is used: then try again.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").context("no free port")?.local_addr()?.port())
}

/// Set by Ctrl-C.
static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on Ctrl-C, a hang-up or a polite kill end us through an error ([`check_interrupt`]), so that servers are
/// stopped.
pub(crate) fn catch_interrupts() -> Result<()> {
    let flag = Arc::clone(INTERRUPTED.get_or_init(Arc::default));
    match ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)) {
        Ok(()) | Err(ctrlc::Error::MultipleHandlers) => Ok(()),
        Err(error) => Err(error).context("cannot listen for Ctrl-C"),
    }
}

/// Whether Ctrl-C was pressed.
pub(crate) fn is_interrupted() -> bool {
    INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Fails if Ctrl-C was pressed.
pub(crate) fn check_interrupt() -> Result<()> {
    if is_interrupted() {
        bail!("interrupted");
    }
    Ok(())
}

/// The same, a moment later: a terminal's Ctrl-C reaches our children as well, and maybe before us.
fn check_interrupt_soon() -> Result<()> {
    thread::sleep(4 * TICK);
    check_interrupt()
}

/// Waits until Ctrl-C is pressed, and fails when one of the servers ends before.
pub(crate) fn wait_for_interrupt(servers: &mut [Server]) -> Result<()> {
    while !is_interrupted() {
        for server in &mut *servers {
            if let Err(error) = server.expect_alive() {
                return if is_interrupted() { Ok(()) } else { Err(error) };
            }
        }
        thread::sleep(TICK);
    }
    Ok(())
}
