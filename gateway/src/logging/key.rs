//! Names of log objects.
//!
//! Owns: dates in logs and in keys; the two forms of keys.
//! Leaves to others: which form a bucket has ([`crate::settings`]).
//! Always: no two log objects have the same name, as far as 64 random bits go.

use crate::settings::{KeyFormat, Logging, PartitionDate};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A time, in its parts (UTC).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Time {
    year: u64,
    month: u64,
    day: u64,
    second: u64,
}

impl Time {
    /// Of milliseconds since 1970.
    pub fn of(ms: u64) -> Self {
        // From 0000-03-01, in eras of 400 years (H. Hinnant's civil_from_days).
        let days = ms / 86_400_000 + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        Self {
            year: era * 400 + year + u64::from(month <= 2),
            month,
            day,
            second: ms / 1000 % 86_400,
        }
    }

    /// As in a record.
    pub fn in_log(&self) -> String {
        let month = usize::try_from(self.month - 1).unwrap_or_default();
        let (hour, minute, second) = self.clock();
        format!(
            "{:02}/{}/{:04}:{hour:02}:{minute:02}:{second:02} +0000",
            self.day,
            MONTHS.get(month).copied().unwrap_or_default(),
            self.year,
        )
    }

    /// As in events.
    pub fn in_event(&self, ms: u64) -> String {
        let (hour, minute, second) = self.clock();
        format!(
            "{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z",
            self.year, self.month, self.day
        )
    }

    /// As in the names of log objects.
    fn in_key(&self) -> String {
        let (hour, minute, second) = self.clock();
        format!(
            "{:04}-{:02}-{:02}-{hour:02}-{minute:02}-{second:02}",
            self.year, self.month, self.day
        )
    }

    /// As the folders of inventories.
    pub(crate) fn in_folder(&self) -> String {
        let (hour, minute, _) = self.clock();
        format!(
            "{:04}-{:02}-{:02}T{hour:02}-{minute:02}Z",
            self.year, self.month, self.day
        )
    }

    /// As partitions of inventories.
    pub(crate) fn in_partition(&self) -> String {
        let (hour, minute, _) = self.clock();
        format!(
            "{:04}-{:02}-{:02}-{hour:02}-{minute:02}",
            self.year, self.month, self.day
        )
    }

    /// The folders of a day.
    fn in_folders(&self) -> String {
        format!("{:04}/{:02}/{:02}", self.year, self.month, self.day)
    }

    const fn clock(&self) -> (u64, u64, u64) {
        (self.second / 3600, self.second / 60 % 60, self.second % 60)
    }
}

/// Of which bucket the log is.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The number of its owner's account.
    pub account: &'a str,
    /// Its region.
    pub region: &'a str,
    /// Its name.
    pub bucket: &'a str,
}

/// The name of a log object that is delivered now, of records of the day of `event_ms`.
pub fn name(
    logging: &Logging,
    source: Source<'_>,
    now_ms: u64,
    event_ms: u64,
    unique: u64,
) -> String {
    let prefix = &logging.prefix;
    let now = Time::of(now_ms);
    let Source {
        account,
        region,
        bucket,
    } = source;
    let date = match logging.format {
        None | Some(KeyFormat::Simple) => {
            return format!("{prefix}{}-{unique:016X}", now.in_key());
        }
        Some(KeyFormat::Partitioned(PartitionDate::DeliveryTime)) => now,
        // The day of the records; S3 leaves the time out of the name.
        Some(KeyFormat::Partitioned(PartitionDate::EventTime)) => Time {
            second: 0,
            ..Time::of(event_ms)
        },
    };
    format!(
        "{prefix}{account}/{region}/{bucket}/{}/{}-{unique:016X}",
        date.in_folders(),
        date.in_key()
    )
}

#[cfg(test)]
mod tests {
    //! Facts about dates and names.
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (ms, expected) in [
            (0, "01/Jan/1970:00:00:00 +0000"),
            (951_782_400_000, "29/Feb/2000:00:00:00 +0000"),
            (1_795_331_700_999, "22/Nov/2026:07:15:00 +0000"),
            (4_107_542_399_000, "28/Feb/2100:23:59:59 +0000"),
        ] {
            assert_eq!(Time::of(ms).in_log(), expected);
        }
    }

    #[test]
    fn names_are_in_the_form_that_is_configured() {
        let name = |format| {
            let logging = Logging {
                bucket: "logs".to_owned(),
                prefix: "p/".to_owned(),
                format,
            };
            let source = Source {
                account: "123456789012",
                region: "eu-test-1",
                bucket: "photos",
            };
            super::name(&logging, source, 1_795_331_700_000, 1_795_240_000_000, 0xab)
        };
        assert_eq!(name(None), "p/2026-11-22-07-15-00-00000000000000AB");
        assert_eq!(name(Some(KeyFormat::Simple)), name(None));
        assert_eq!(
            name(Some(KeyFormat::Partitioned(PartitionDate::DeliveryTime))),
            "p/123456789012/eu-test-1/photos/2026/11/22/2026-11-22-07-15-00-00000000000000AB"
        );
        assert_eq!(
            name(Some(KeyFormat::Partitioned(PartitionDate::EventTime))),
            "p/123456789012/eu-test-1/photos/2026/11/21/2026-11-21-00-00-00-00000000000000AB"
        );
    }
}
