//! When a list is due.
//!
//! Owns: the days and weeks in which a list is written once.
//! Leaves to others: whether that was done.
//! Always: in UTC; a week begins on Sunday, as S3 delivers.

use crate::settings::Frequency;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// 1970-01-04 was a Sunday.
const SUNDAY: u64 = 3;

/// The beginning of the day or week that `now_ms` is in (milliseconds since 1970). A list is due
/// if none was begun since.
pub const fn since(frequency: Frequency, now_ms: u64) -> u64 {
    let day = now_ms / DAY_MS;
    let first = match frequency {
        Frequency::Daily => day,
        // Days before the first Sunday belong to that of the first day.
        Frequency::Weekly if day < SUNDAY => 0,
        Frequency::Weekly => day - (day - SUNDAY) % 7,
    };
    first * DAY_MS
}
