//! Several instances over one PostgreSQL: a request that waits in one is answered when another brings news.
//!
//! Each tells the others which orders have a new version, after the commit and many at a time. That is a hint: who has lost
//! the connection asks the tables once it is back, and everybody asks them every few seconds.

use payby_checkout::schedule;
use payby_checkout::time::Millis;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::app::App;
use crate::random;
use crate::store::{Error, Hint, Listener};

/// How often the tables are asked for what somebody waits for, in case a hint was lost.
const SLOW_POLL: Millis = Millis::from_secs(5);

/// How many hints are sent, or versions read, at a time.
const MOST: usize = 500;

/// Tells and listens until the proxy is to stop.
pub fn start(app: &App, hints: UnboundedReceiver<Hint>) {
    if app.store.is_shared() {
        drop(app.spawn(tell(app.clone(), hints)));
        drop(app.spawn(listen(app.clone())));
        drop(app.spawn(look(app.clone())));
    }
}

async fn tell(app: App, mut hints: UnboundedReceiver<Hint>) {
    let mut some = Vec::new();
    loop {
        tokio::select! {
            count = hints.recv_many(&mut some, MOST) => if count == 0 { return },
            () = app.stopped() => return,
        }
        if let Err(error) = app.store.send_hints(&some).await {
            tracing::warn!(%error, "the other instances will hear of changes late");
        }
        some.clear();
    }
}

async fn listen(app: App) {
    let mut failures = 0;
    loop {
        let why = tokio::select! {
            why = hear(&app, &mut failures) => why,
            () = app.stopped() => return,
        };
        let Err(error) = why else { return };
        failures += 1;
        tracing::warn!(%error, "the other instances cannot be heard");
        if !app.sleep(schedule::back_off(failures, None, random::number())).await {
            return;
        }
    }
}

async fn hear(app: &App, failures: &mut u32) -> Result<(), Error> {
    let Some(mut listener) = app.store.listen().await? else { return Ok(()) };
    loop {
        catch_up(app).await?;
        *failures = 0;
        follow(app, &mut listener).await?;
    }
}

/// Comes back when hints may have been lost.
async fn follow(app: &App, listener: &mut Listener) -> Result<(), Error> {
    while let Some(hints) = listener.next().await? {
        for (number, version) in hints {
            app.waiting.hint(&number, version);
        }
    }
    tracing::info!("the connection to the other instances was lost and is back");
    Ok(())
}

async fn look(app: App) {
    while app.sleep(SLOW_POLL).await {
        if let Err(error) = catch_up(&app).await {
            tracing::warn!(%error, "the orders that somebody waits for cannot be read");
        }
    }
}

/// Reads the versions of all orders that somebody waits for.
async fn catch_up(app: &App) -> Result<(), Error> {
    for numbers in app.waiting.numbers().chunks(MOST) {
        for (number, version) in app.store.versions(numbers).await? {
            app.waiting.hint(&number, version);
        }
    }
    Ok(())
}
