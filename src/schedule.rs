//! When to ask again. Waiting follows one law, trouble follows another; both take their randomness as an argument.

use crate::time::Millis;

/// The pause before the first question after an order was created.
pub const FIRST: Millis = Millis(2_600);

/// The law's starting interval.
const BASE: u64 = 1_500;

/// The law's longest interval. Most questions are about orders that nobody pays: `cargo xtask bench watch` counts them, and what
/// any other schedule would need.
const CAP: u64 = 300_000;

/// How far jitter moves an interval, in percent either way.
const JITTER_PERCENT: u64 = 15;

/// The shortest and the longest pause after failures.
const BACK_OFF: (u64, u64) = (1_000, 60_000);

/// The pause before the next question when the order has been open for `age` and the gateway is well:
/// δ(t) = 1.5 s · (1 + t/70 s + (t/140 s)²), at most 300 s, ±15 % by `random`.
///
/// `random` is uniform over all of `u32`.
#[must_use]
pub const fn pause(age: Millis, random: u32) -> Millis {
    // Beyond this age the cap holds anyway, and the square stays far from overflow.
    let t = if age.0 > 10_000_000 { 10_000_000 } else { age.0 };
    let law = BASE + BASE * t / 70_000 + BASE * t / 140_000 * t / 140_000;
    let interval = if law > CAP { CAP } else { law };
    let low = interval * (100 - JITTER_PERCENT) / 100;
    Millis(low + scaled(interval * 2 * JITTER_PERCENT / 100, random))
}

/// The pause after the `failures`-th failure in a row: full-jitter exponential back-off from 1 to 60 s, never below
/// what the server asked for in `Retry-After`.
#[must_use]
pub const fn back_off(failures: u32, retry_after: Option<Millis>, random: u32) -> Millis {
    let doublings = if failures == 0 { 0 } else { failures - 1 };
    let ceiling = if doublings >= 6 { BACK_OFF.1 } else { (2 * BACK_OFF.0) << doublings };
    let ceiling = if ceiling > BACK_OFF.1 { BACK_OFF.1 } else { ceiling };
    let pause = BACK_OFF.0 + scaled(ceiling - BACK_OFF.0, random);
    match retry_after {
        Some(floor) if floor.0 > pause => floor,
        _ => Millis(pause),
    }
}

/// `span`, scaled by `random` over all of `u32`.
const fn scaled(span: u64, random: u32) -> u64 {
    (span * random as u64) >> 32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIDDLE: u32 = u32::MAX / 2;

    #[test]
    fn the_law_at_its_landmarks() {
        for (age_seconds, without_jitter) in [(0, 1_500), (100, 4_408), (200, 8_847), (1_000, 99_459), (7_200, 300_000)]
        {
            let pause = pause(Millis::from_secs(age_seconds), MIDDLE);
            assert!(pause.0.abs_diff(without_jitter) <= without_jitter / 500, "{age_seconds} s: {pause:?}");
        }
    }

    #[test]
    fn back_off_doubles_its_ceiling_up_to_a_minute() {
        for (failures, longest) in [(1, 2_000), (2, 4_000), (5, 32_000), (6, 60_000), (60, 60_000)] {
            assert_eq!(back_off(failures, None, 0), Millis(1_000));
            assert!(back_off(failures, None, u32::MAX).0.abs_diff(longest) <= 1, "{failures}");
        }
    }

    #[test]
    fn retry_after_is_a_floor() {
        assert_eq!(back_off(1, Some(Millis::from_secs(90)), 0), Millis::from_secs(90));
        assert_eq!(back_off(1, Some(Millis(10)), 0), Millis(1_000));
    }

    proptest! {
        #[test]
        fn jitter_stays_within_its_bounds(age in any::<u64>(), random in any::<u32>()) {
            let middle = pause(Millis(age), MIDDLE).0;
            let pause = pause(Millis(age), random).0;
            prop_assert!(pause * 100 >= middle * 84 && pause * 100 <= middle * 116);
        }

        #[test]
        fn waiting_never_gets_shorter_with_age(age in 0_u64..20_000_000, more in 0_u64..20_000_000, random in any::<u32>()) {
            prop_assert!(pause(Millis(age), random) <= pause(Millis(age + more), random));
        }
    }
}
