//! UTC dates of the proleptic Gregorian calendar, from 1970 to 9999, as the `dated` format writes them: `YYYYMMDDhhmmssSSS`.
//!
//! Years are counted from March here, so that a leap day is the last day of its year.

use crate::time::UnixMillis;

/// The digits of a moment.
pub(super) const DIGITS: usize = 17;

/// 10000-01-01T00:00Z.
const END: u64 = 253_402_300_800_000;

const DAY: u64 = 86_400_000;

/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: u64 = 719_468;

/// Days in 400 years.
const ERA: u64 = 146_097;

/// Each unit of the layout: its digits.
const WIDTHS: [usize; 7] = [4, 2, 2, 2, 2, 2, 3];

/// The moment in digits, each 0 to 9; `None` past the year 9999.
#[allow(clippy::cast_possible_truncation, reason = "a digit")]
pub(super) fn to_digits(UnixMillis(moment): UnixMillis) -> Option<[u8; DIGITS]> {
    if moment >= END {
        return None;
    }
    let (year, month, day) = date(moment / DAY);
    let within = moment % DAY;
    let units = [year, month, day, within / 3_600_000, within / 60_000 % 60, within / 1_000 % 60, within % 1_000];
    let mut digits = [0; DIGITS];
    let mut end = 0;
    for (mut unit, width) in units.into_iter().zip(WIDTHS) {
        end += width;
        for place in (end - width..end).rev() {
            digits[place] = (unit % 10) as u8;
            unit /= 10;
        }
    }
    Some(digits)
}

/// The moment that the digits name; `None` if one is above 9, or there is no such moment from 1970 on.
pub(super) fn from_digits(digits: &[u8]) -> Option<UnixMillis> {
    let mut units = [0_u64; 7];
    let mut rest = digits;
    for (unit, width) in units.iter_mut().zip(WIDTHS) {
        let (own, behind) = rest.split_at_checked(width)?;
        for digit in own {
            if *digit > 9 {
                return None;
            }
            *unit = *unit * 10 + u64::from(*digit);
        }
        rest = behind;
    }
    let [year, month, day, hour, minute, second, milli] = units;
    if !(1..=12).contains(&month) || year < 1970 {
        return None;
    }
    let moment = days(year, month, day)? * DAY + hour * 3_600_000 + minute * 60_000 + second * 1_000 + milli;
    // Only what is written back the same was a moment: 30 February and 24:61 are none.
    let written = to_digits(UnixMillis(moment))?;
    (written[..] == *digits).then_some(UnixMillis(moment))
}

/// Year, month and day of a day since 1970-01-01.
const fn date(day: u64) -> (u64, u64, u64) {
    let day = day + EPOCH;
    let (era, of_era) = (day / ERA, day % ERA);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + (month <= 2) as u64;
    (year, month, of_year - (153 * from_march + 2) / 5 + 1)
}

/// The day since 1970-01-01.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, from_march) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let (era, year_of_era) = (year / 400, year % 400);
    let of_year = (153 * from_march + 2) / 5 + day.checked_sub(1)?;
    (era * ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year).checked_sub(EPOCH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(moment: u64) -> String {
        to_digits(UnixMillis(moment)).unwrap().iter().map(|digit| char::from(b'0' + digit)).collect()
    }

    fn read(text: &str) -> Option<u64> {
        let digits: Vec<u8> = text.bytes().map(|byte| byte - b'0').collect();
        from_digits(&digits).map(|moment| moment.0)
    }

    #[test]
    fn landmarks() {
        for (moment, text) in [
            (0, "19700101000000000"),
            (951_782_400_000, "20000229000000000"),
            (951_868_799_999, "20000229235959999"),
            (951_868_800_000, "20000301000000000"),
            (1_709_164_800_123, "20240229000000123"),
            (4_107_542_400_000, "21000301000000000"),
            (END - 1, "99991231235959999"),
        ] {
            assert_eq!(written(moment), text);
            assert_eq!(read(text), Some(moment));
        }
        assert_eq!(to_digits(UnixMillis(END)), None);
    }

    #[test]
    fn what_is_no_moment_is_not_read() {
        for text in [
            "20230229000000000",
            "21000229000000000",
            "20240431000000000",
            "20241301000000000",
            "20240001000000000",
            "20240100000000000",
            "20240101240000000",
            "20240101006000000",
            "20240101000060000",
            "19691231235959999",
            "2024010100000000",
            "2024010100000000A",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_and_sorts(a in 0..END, b in 0..END) {
            prop_assert_eq!(read(&written(a)), Some(a));
            prop_assert_eq!(a.cmp(&b), written(a).cmp(&written(b)));
        }
    }
}
