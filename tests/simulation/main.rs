//! Both hops in one simulation, faster than time and from one seed: a customer with several tabs, the proxy, the gateway, and a
//! network and a power supply that fail in every way they can. After every event it checks what must always hold.
//!
//! What runs here is what ships: the page's [`Checkout`](payby_checkout::checkout::Checkout) and the proxy's
//! [`Standing`](payby_checkout::hop::Standing). What surrounds them (the proxy's tasks and its database, the gateway)
//! is modelled in a few hundred lines.
//!
//! ```sh
//! cargo xtask sim --seeds 1000000     # many, on all cores
//! cargo xtask sim --seed 4711         # one, with what happened line by line
//! ```
//!
//! | to find | look in |
//! |---|---|
//! | what happens, in which order | [`world`] |
//! | the customer and the tabs | [`page`] |
//! | the proxy: requests, rounds of calls, crashes | [`proxy`] |
//! | PayBy | [`gateway`] |
//! | what can go wrong, and how often it did | [`chance`] |
//! | what must hold | [`check`] |
//! | what shops write instead | [`naive`] |
#![cfg(not(target_arch = "wasm32"))]
#![allow(unreachable_pub, clippy::unwrap_used, clippy::cast_precision_loss, reason = "a test")]

mod chance;
mod check;
mod gateway;
mod naive;
mod page;
mod proxy;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use self::chance::Counts;
use self::world::World;

/// How many seeds a plain `cargo test` tries.
const FEW: u64 = 2_000;

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text:?} is not a number")))
}

#[test]
fn whatever_happens_nobody_pays_twice_and_every_order_comes_to_its_end() {
    if let Some(seed) = setting("SIM_SEED") {
        let mut world = World::new(seed, true);
        let result = world.run();
        println!("{}", world.trace.join("\n"));
        assert!(result.is_ok(), "seed {seed}: {}", result.unwrap_err());
        return;
    }
    let seeds = setting("SIM_SEEDS").unwrap_or(FEW);
    let first = setting("SIM_FIRST").unwrap_or(0);
    let begun = Instant::now();
    let next = AtomicU64::new(first);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let run = || {
        let mut counts = Counts::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                return Ok(counts);
            }
            let mut world = World::new(seed, false);
            if let Err(broken) = world.run() {
                return Err((seed, broken));
            }
            counts.add(&world.chance.counts);
        }
    };
    let mut counts = Counts::default();
    let results = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect::<Vec<_>>()
    });
    for result in results {
        match result {
            Ok(more) => counts.add(&more),
            Err((seed, broken)) => {
                let mut world = World::new(seed, true);
                let _ = world.run();
                let from = world.trace.len().saturating_sub(60);
                println!("{}", world.trace[from..].join("\n"));
                panic!("seed {seed}: {broken}\nto replay it: cargo xtask sim --seed {seed}");
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{seeds} seeds, no violation, {:.0} seeds a second", seeds as f64 / seconds);
    println!("{counts}");
    // A few seeds prove little; a fault that never fires in them proves nothing.
    if seeds >= FEW {
        let idle = counts.never_fired();
        assert!(idle.is_empty(), "these faults never fired: {idle:?}");
    }
}

#[test]
fn policies_that_shops_write_let_customers_pay_twice() {
    let seeds = setting("SIM_SEEDS").unwrap_or(FEW).min(100_000);
    println!("of {seeds} purchases:          paid twice   paid, and the shop does not know");
    for (policy, words) in naive::Policy::ALL {
        let ends: Vec<_> = (0..seeds).map(|seed| naive::run(policy, seed)).collect();
        let twice = ends.iter().filter(|end| end.paid > 1).count();
        let unknown = ends.iter().filter(|end| end.paid > 0 && !end.shop_knows).count();
        println!("{words:<34} {twice:>7} {unknown:>7}");
        assert!(twice > 0, "{words}: the faults are too kind to tell anything");
    }
    println!("{:<34} {:>7} {:>7}   (or a seed fails)", "ours", 0, 0);
}

#[test]
fn a_seed_run_twice_is_the_same_to_the_letter() {
    for seed in 0..20 {
        let [a, b] = [0, 1].map(|_| {
            let mut world = World::new(seed, true);
            let result = world.run();
            (world.trace, result)
        });
        assert!(a == b, "seed {seed}");
    }
}
