//! Records that wait to be delivered.
//!
//! Owns: taking records without ever waiting; one buffer for each bucket and day; when a buffer is
//! delivered; the bound of all of them.
//! Leaves to others: delivering (`s3`).
//! Always: bounded in records that come and in bytes that wait.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use super::metrics::AccessLogMetrics;

/// Records that were not looked at yet.
const COMING_MAX: usize = 8192;
/// A buffer is delivered when it has so many bytes.
const OBJECT_LEN: usize = 4 << 20;
/// How often a delivery is tried.
const ATTEMPTS_MAX: u32 = 5;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A record on its way.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The bucket that it is about.
    pub bucket: String,
    /// When it came (milliseconds since 1970).
    pub time_ms: u64,
    /// The line.
    pub line: String,
}

/// Takes records.
#[derive(Clone, Debug)]
pub struct AccessLog {
    sender: mpsc::Sender<Entry>,
    metrics: AccessLogMetrics,
}

impl AccessLog {
    /// Takes records, and where they come out.
    pub fn new(metrics: AccessLogMetrics) -> (Self, mpsc::Receiver<Entry>) {
        let (sender, receiver) = mpsc::channel(COMING_MAX);
        (Self { sender, metrics }, receiver)
    }

    /// Takes a record; it is dropped if too many come.
    pub fn add(&self, entry: Entry) {
        if self.sender.try_send(entry).is_err() {
            self.metrics.dropped(1);
        }
    }

    /// Where to count.
    pub fn metrics(&self) -> &AccessLogMetrics {
        &self.metrics
    }
}

/// Records of a bucket and a day, for one log object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The bucket that they are about.
    pub bucket: String,
    /// When the first one came (milliseconds since 1970).
    pub since_ms: u64,
    /// The lines.
    pub text: String,
    /// How many.
    pub records: u64,
    /// How often they could not be delivered.
    pub attempts: u32,
}

/// All that waits.
#[derive(Debug)]
pub struct Buffers {
    len_max: usize,
    interval_ms: u64,
    len: usize,
    /// By bucket and day.
    waiting: BTreeMap<(String, u64), Batch>,
    /// What could not be delivered, and when that was.
    again: Vec<(u64, Batch)>,
}

impl Buffers {
    /// At most `len_max` bytes; each record waits `interval_ms` at most.
    pub fn new(len_max: usize, interval_ms: u64) -> Self {
        Self {
            len_max,
            interval_ms,
            len: 0,
            waiting: BTreeMap::new(),
            again: Vec::new(),
        }
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a record; `false` if there is no room for it.
    pub fn add(&mut self, entry: Entry) -> bool {
        if self.len + entry.line.len() > self.len_max {
            return false;
        }
        self.len += entry.line.len();
        let day = entry.time_ms / DAY_MS;
        let at = (entry.bucket.clone(), day);
        let batch = self.waiting.entry(at).or_insert_with(|| Batch {
            bucket: entry.bucket,
            since_ms: entry.time_ms,
            text: String::new(),
            records: 0,
            attempts: 0,
        });
        batch.text.push_str(&entry.line);
        batch.records += 1;
        true
    }

    /// Takes out what is to be delivered now: what waited long enough, or is long enough.
    pub fn due(&mut self, now_ms: u64) -> Vec<Batch> {
        let interval_ms = self.interval_ms;
        let is_due = |batch: &Batch| {
            now_ms.saturating_sub(batch.since_ms) >= interval_ms || batch.text.len() >= OBJECT_LEN
        };
        let mut due: Vec<Batch> = Vec::new();
        self.waiting.retain(|_, batch| match is_due(batch) {
            true => {
                due.push(batch.clone());
                false
            }
            false => true,
        });
        self.again.retain(|(since_ms, batch)| {
            let is_due = now_ms.saturating_sub(*since_ms) >= interval_ms;
            if is_due {
                due.push(batch.clone());
            }
            !is_due
        });
        self.len -= due.iter().map(|batch| batch.text.len()).sum::<usize>();
        due
    }

    /// Takes out everything.
    pub fn all(&mut self) -> Vec<Batch> {
        self.len = 0;
        let waiting = std::mem::take(&mut self.waiting).into_values();
        let again = std::mem::take(&mut self.again).into_iter();
        waiting.chain(again.map(|(_, batch)| batch)).collect()
    }

    /// Takes back what could not be delivered; `false` if that was too often, or there is no room.
    pub fn give_back(&mut self, mut batch: Batch, now_ms: u64) -> bool {
        batch.attempts += 1;
        if batch.attempts >= ATTEMPTS_MAX || self.len + batch.text.len() > self.len_max {
            return false;
        }
        self.len += batch.text.len();
        self.again.push((now_ms, batch));
        true
    }
}

#[cfg(test)]
mod tests {
    //! Facts about what waits.
    use super::*;

    fn entry(bucket: &str, time_ms: u64, len: usize) -> Entry {
        Entry {
            bucket: bucket.to_owned(),
            time_ms,
            line: "x".repeat(len),
        }
    }

    #[test]
    fn a_record_waits_no_longer_than_the_interval() {
        let mut buffers = Buffers::new(1000, 60);
        assert!(buffers.add(entry("a", 100, 1)));
        assert!(buffers.add(entry("b", 120, 2)));
        assert!(buffers.add(entry("a", 150, 3)));
        assert!(buffers.due(159).is_empty());
        let due = buffers.due(160);
        assert_eq!(due.len(), 1);
        assert_eq!((due[0].bucket.as_str(), due[0].records), ("a", 2));
        assert_eq!(buffers.len(), 2);
        assert_eq!(buffers.due(1000).len(), 1);
        assert!(buffers.is_empty());
    }

    #[test]
    fn days_are_apart_and_long_buffers_do_not_wait() {
        let mut buffers = Buffers::new(10 << 20, 1 << 40);
        assert!(buffers.add(entry("a", DAY_MS - 1, OBJECT_LEN)));
        assert!(buffers.add(entry("a", DAY_MS, 1)));
        let due = buffers.due(DAY_MS);
        assert_eq!((due.len(), due[0].since_ms), (1, DAY_MS - 1));
        assert_eq!(buffers.all().len(), 1);
        assert!(buffers.is_empty());
    }

    #[test]
    fn memory_is_bounded_also_by_what_cannot_be_delivered() {
        let mut buffers = Buffers::new(10, 5);
        assert!(buffers.add(entry("a", 0, 6)));
        assert!(!buffers.add(entry("b", 0, 5)));
        let mut batch = buffers.due(5).remove(0);
        for attempt in 1..ATTEMPTS_MAX {
            assert!(buffers.give_back(batch, 0));
            assert!(!buffers.add(entry("b", 0, 5)));
            batch = buffers.due(5).remove(0);
            assert_eq!(batch.attempts, attempt);
        }
        assert!(!buffers.give_back(batch, 0));
        assert!(buffers.is_empty());
    }
}
