//! What instances tell each other: that an order has a new version. PostgreSQL's `NOTIFY`, sent after the commit and many at
//! a time (inside a transaction it would make all commits wait for each other).
//!
//! A hint may be lost, and nothing depends on it but speed: whoever has lost the connection asks the tables, and so does
//! everybody from time to time ([`instances`](crate::instances)).

use payby_checkout::order_number::OrderNumber;
use sqlx::AnyPool;
use sqlx::postgres::PgListener;

use super::Result;

const CHANNEL: &str = "payby_orders";

/// PostgreSQL takes less than 8,000 bytes; an order number has 64, a version 20.
pub(super) const MOST: usize = 80;

/// An order has this version now.
pub type Hint = (OrderNumber, u64);

/// The other instances, as far as they can be heard.
#[derive(Debug)]
pub struct Listener(PgListener);

impl Listener {
    pub(super) async fn open(url: &str) -> Result<Self> {
        let mut listener = PgListener::connect(url).await?;
        listener.listen(CHANNEL).await?;
        Ok(Self(listener))
    }

    /// The next hints; `None` if some may have been lost, since the connection was. It is open again then.
    ///
    /// # Errors
    /// It cannot be opened again now.
    pub async fn next(&mut self) -> Result<Option<Vec<Hint>>> {
        Ok(self.0.try_recv().await?.map(|notification| read(notification.payload())))
    }
}

pub(super) async fn send(pool: &AnyPool, hints: &[Hint]) -> Result<()> {
    for some in hints.chunks(MOST) {
        sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(text(some)).execute(pool).await?;
    }
    Ok(())
}

fn text(hints: &[Hint]) -> String {
    let lines: Vec<_> = hints.iter().map(|(number, version)| format!("{number} {version}")).collect();
    lines.join("\n")
}

/// A line that another version of this program has written in another way is no hint.
fn read(text: &str) -> Vec<Hint> {
    let hint = |line: &str| {
        let (number, version) = line.split_once(' ')?;
        Some((number.parse().ok()?, version.parse().ok()?))
    };
    text.lines().filter_map(hint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_read_as_they_were_written_and_fit_into_a_notification() {
        let longest = "N".repeat(64);
        let hints = vec![(longest.parse().unwrap(), u64::MAX); MOST];
        let written = text(&hints);
        assert!(written.len() < 8_000);
        assert_eq!(read(&written), hints);
        assert_eq!(read("rubbish\n\nN-1 x\nN 1\nN-2 7 8"), [("N".parse().unwrap(), 1)]);
    }
}
