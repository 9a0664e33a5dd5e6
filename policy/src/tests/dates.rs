//! Goal: dates of conditions are those of the W3C's note, or seconds.

use proptest::prelude::*;

use crate::dates::{format, parse};

fn seconds(text: &str) -> Option<i128> {
    parse(text).map(|nanos| nanos.div_euclid(1_000_000_000))
}

#[test]
fn dates_are_read_in_every_form_of_the_note() {
    for (text, expected) in [
        ("1970", 0),
        ("1970-01", 0),
        ("1970-01-01", 0),
        ("1970-01-01T00:00Z", 0),
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-02T00:00:00.999Z", 86_400),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T19:00:00-05:00", 0),
        ("2000-02-29T12:30:15Z", 951_827_415),
        ("2026-11-22", 1_795_305_600),
        ("0", 0),
        ("951827415", 951_827_415),
        ("-1", -1),
        ("-2000", -2000),
        ("12345", 12_345),
    ] {
        assert_eq!(seconds(text), Some(expected), "{text}");
    }
    assert_eq!(parse("1970-01-01T00:00:00.25Z"), Some(250_000_000));
    assert_eq!(parse("1970-01-01T00:00:00.1234567891Z"), Some(123_456_789));
}

#[test]
fn dates_that_do_not_exist_are_none() {
    for text in [
        "",
        "-",
        "+1",
        "2001-02-29",
        "2026-13-01",
        "2026-00-01",
        "2026-1-1",
        "2026-01-01T",
        "2026-01-01T24:00:00Z",
        "2026-01-01T23:60:00Z",
        "2026-01-01T23:59:61Z",
        "2026-01-01T00:00:00",
        "2026-01-01T00Z",
        "2026-01T00:00:00Z",
        "2026-01-01 00:00:00Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+0100",
        "2026-01-01T00:00:00:00Z",
        "2026-01-01-01",
        "20260101T000000Z",
        "tomorrow",
        "99999999999999999999",
        "٢٠٢٦-01-01",
    ] {
        assert_eq!(parse(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn a_time_that_is_written_reads_as_itself(unix_s in -62_000_000_000i64..253_402_300_799) {
        let text = format(unix_s).unwrap();
        prop_assert_eq!(seconds(&text), Some(i128::from(unix_s)), "{}", text);
    }

    #[test]
    fn no_text_is_too_odd_to_be_looked_at(text in "[0-9TZ:.+ é-]{0,30}") {
        let _ = parse(&text);
    }
}
