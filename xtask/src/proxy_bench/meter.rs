//! What the machine tells: a process' processor time and memory, and what a signature and a write to the disk cost here, the
//! references that costs are held against. Linux only: it reads `/proc`.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use payby_checkout::gateway::signature::SigningKey;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::children::Server;

const NEEDS_LINUX: &str = "this bench needs Linux' /proc";

/// A process that is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process(u32);

impl Process {
    pub(super) fn of(server: &Server) -> Self {
        Self(server.id())
    }

    /// How long its threads were on a processor so far, in user and system mode. In nanoseconds, where `/proc/…/stat` counts
    /// in steps of 10 ms; what threads used that have ended is not in it, but the proxy's stay.
    pub(super) fn processor_time(self) -> Result<Duration> {
        let mut sum = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.0)).context(NEEDS_LINUX)? {
            // One that has just ended has no more to tell.
            let Ok(times) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
            sum += times.split(' ').next().and_then(|time| time.parse::<u64>().ok()).context("a thread's time")?;
        }
        Ok(Duration::from_nanos(sum))
    }

    /// The same, since it was at this.
    pub(super) fn processor_time_since(self, begun: Duration) -> Result<Duration> {
        Ok(self.processor_time()?.saturating_sub(begun))
    }

    /// What it holds in memory now, in bytes.
    pub(super) fn resident_memory(self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).context(NEEDS_LINUX)?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
        Ok(kilobytes.context("a process' memory")? * 1024)
    }
}

/// The processor time of one RSA-2048 signature over a request of usual length, by the library that the proxy signs with.
pub(super) fn signature(key: &SigningKey) -> Duration {
    const ROUNDS: u32 = 200;
    let body = [b'x'; 500];
    let begun = thread_time();
    for _ in 0..ROUNDS {
        std::hint::black_box(key.sign(std::hint::black_box(&body)));
    }
    thread_time().saturating_sub(begun) / ROUNDS
}

fn thread_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

/// How long it takes until 4 KiB, appended to a file, are on the disk: what a database's commit cannot go below.
pub(super) fn write_to_disk(folder: &Path) -> Result<Vec<Duration>> {
    let mut file = File::create(folder.join("fsync"))?;
    let mut took = Vec::new();
    for _ in 0..50 {
        let begun = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        took.push(begun.elapsed());
    }
    Ok(took)
}

/// Lets this process and those that it starts open so many files, sockets among them.
pub(super) fn open_files(wanted: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let most = limit.maximum.map(|most| most.max(wanted));
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: most })
        .with_context(|| format!("{wanted} open files are needed: raise the hard limit (ulimit -Hn {wanted}), as root"))
}

/// The value that so many percent of the sorted values do not exceed: the nearest rank.
pub(super) fn quantile(sorted: &[f64], percent: usize) -> f64 {
    sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// In milliseconds, sorted.
pub(super) fn milliseconds(took: &[Duration]) -> Vec<f64> {
    let mut took: Vec<_> = took.iter().map(|took| took.as_secs_f64() * 1e3).collect();
    took.sort_by(f64::total_cmp);
    took
}
