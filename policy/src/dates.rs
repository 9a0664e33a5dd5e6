//! Dates in conditions.
//!
//! Owns: reading the forms of ISO 8601 that the W3C's note has, and seconds since 1970.
//! Leaves to others: comparing ([`crate::condition`]).
//! Always: an offset is honoured; a date that does not exist is none.

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

/// Nanoseconds since 1970.
pub(crate) type Instant = i128;

/// Reads `YYYY[-MM[-DD[Thh:mm[:ss[.f]]Z]]]` (or an offset for `Z`), or seconds since 1970. Four
/// digits are a year.
pub(crate) fn parse(text: &str) -> Option<Instant> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
    if is_number && (text.len() != 4 || text.starts_with('-')) {
        let seconds: i64 = text.parse().ok()?;
        return Some(Instant::from(seconds) * 1_000_000_000);
    }
    let (date, rest) = match text.split_once('T') {
        Some((date, rest)) => (date, Some(rest)),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let year = number(parts.next()?, 4)?;
    let (month, day) = (parts.next(), parts.next());
    if parts.next().is_some() || (rest.is_some() && day.is_none()) {
        return None;
    }
    let month = Month::try_from(u8::try_from(month.map_or(Some(1), |m| number(m, 2))?).ok()?);
    let day = u8::try_from(day.map_or(Some(1), |d| number(d, 2))?).ok()?;
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month.ok()?, day).ok()?;
    let moment = match rest {
        None => PrimitiveDateTime::new(date, Time::MIDNIGHT).assume_utc(),
        Some(rest) => {
            let (time, offset) = zone(rest)?;
            PrimitiveDateTime::new(date, clock(time)?).assume_offset(offset)
        }
    };
    Some(moment.unix_timestamp_nanos())
}

/// The time of day, and the offset behind it.
fn zone(text: &str) -> Option<(&str, UtcOffset)> {
    if let Some(time) = text.strip_suffix('Z') {
        return Some((time, UtcOffset::UTC));
    }
    let at = text.rfind(['+', '-'])?;
    let (time, offset) = text.split_at_checked(at)?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    let seconds = match offset.starts_with('-') {
        true => -seconds,
        false => seconds,
    };
    Some((time, UtcOffset::from_whole_seconds(seconds).ok()?))
}

fn clock(text: &str) -> Option<Time> {
    let mut parts = text.split(':');
    let hour = u8::try_from(number(parts.next()?, 2)?).ok()?;
    let minute = u8::try_from(number(parts.next()?, 2)?).ok()?;
    let (second, nanos) = match parts.next().map(|text| text.split_once('.').ok_or(text)) {
        None => (0, 0),
        Some(Err(second)) => (number(second, 2)?, 0),
        Some(Ok((second, fraction))) => (number(second, 2)?, nanos(fraction)?),
    };
    match parts.next() {
        None => Time::from_hms_nano(hour, minute, u8::try_from(second).ok()?, nanos).ok(),
        Some(_) => None,
    }
}

/// A fraction of a second; what is beyond nanoseconds is cut off.
fn nanos(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let nine: String = text.chars().chain("000000000".chars()).take(9).collect();
    digits.then(|| nine.parse().ok())?
}

/// Exactly `count` digits.
fn number(text: &str, count: usize) -> Option<u32> {
    let digits = text.len() == count && text.bytes().all(|c| c.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// The moment as S3 writes it; none if its year has not four digits.
pub(crate) fn format(unix_s: i64) -> Option<String> {
    let moment = OffsetDateTime::from_unix_timestamp(unix_s).ok()?;
    (0..=9999).contains(&moment.year()).then(|| {
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            moment.year(),
            u8::from(moment.month()),
            moment.day(),
            moment.hour(),
            moment.minute(),
            moment.second()
        )
    })
}
