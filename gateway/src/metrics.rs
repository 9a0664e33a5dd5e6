//! What the S3 front counts (`docs/metrics.md`).
//!
//! Owns: names, labels and buckets.
//! Leaves to others: serving them (`admin`).
//! Always: labels come from small closed sets: operations, status codes, reasons.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

/// Uploads that were aborted because nobody continued them, made and registered.
///
/// # Errors
/// The name is registered already.
pub fn abandoned_uploads(registry: &Registry) -> prometheus::Result<IntCounter> {
    let counter = IntCounter::new(
        "holdfast_sweep_abandoned_uploads_total",
        "Multipart uploads aborted because nobody continued them.",
    )?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

/// What lifecycle rules do.
#[derive(Clone, Debug)]
pub struct LifecycleMetrics {
    expired: IntCounterVec,
    pub(crate) failures: IntCounter,
    pub(crate) backlog: IntGauge,
    pub(crate) moving: IntGauge,
    pub(crate) backfills: IntGauge,
}

impl LifecycleMetrics {
    /// Makes and registers them.
    ///
    /// # Errors
    /// One of the names is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let made = Self {
            expired: IntCounterVec::new(
                Opts::new(
                    "holdfast_lifecycle_expired_total",
                    "What lifecycle rules let go, by what it was.",
                ),
                &["action"],
            )?,
            failures: IntCounter::new(
                "holdfast_lifecycle_failures_total",
                "Keys on which a lifecycle rule could not be carried out; it is tried again.",
            )?,
            backlog: IntGauge::new(
                "holdfast_lifecycle_backlog_entries",
                "Entries that are due and not done.",
            )?,
            moving: IntGauge::new(
                "holdfast_lifecycle_moving_entries",
                "Keys of which versions are to move to another storage class, and did not yet.",
            )?,
            backfills: IntGauge::new(
                "holdfast_lifecycle_backfills",
                "Buckets that are gone through because their rules are new.",
            )?,
        };
        for action in ["current", "noncurrent", "marker", "upload", "transition"] {
            made.expired(action, 0);
        }
        registry.register(Box::new(made.expired.clone()))?;
        registry.register(Box::new(made.failures.clone()))?;
        registry.register(Box::new(made.backlog.clone()))?;
        registry.register(Box::new(made.moving.clone()))?;
        registry.register(Box::new(made.backfills.clone()))?;
        Ok(made)
    }

    pub(crate) fn expired(&self, action: &str, count: u64) {
        self.expired.with_label_values(&[action]).inc_by(count);
    }
}

/// How many accounts and keys there are.
#[derive(Clone, Debug)]
pub struct AccountMetrics {
    accounts: IntGauge,
    keys: IntGauge,
    unusable: IntGauge,
}

impl AccountMetrics {
    /// Makes and registers them.
    ///
    /// # Errors
    /// One of the names is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let made = Self {
            accounts: IntGauge::new("holdfast_auth_accounts", "Accounts.")?,
            keys: IntGauge::new("holdfast_auth_keys", "Access keys of all accounts.")?,
            unusable: IntGauge::new(
                "holdfast_auth_unusable_keys",
                "Access keys whose secret the master key does not open.",
            )?,
        };
        for gauge in [&made.accounts, &made.keys, &made.unusable] {
            registry.register(Box::new(gauge.clone()))?;
        }
        Ok(made)
    }

    pub(crate) fn set(&self, accounts: usize, keys: usize, unusable: usize) {
        for (gauge, count) in [
            (&self.accounts, accounts),
            (&self.keys, keys),
            (&self.unusable, unusable),
        ] {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}

/// The metrics of the S3 front.
#[derive(Clone, Debug)]
pub struct S3Metrics {
    requests: IntCounterVec,
    duration: HistogramVec,
    first_byte: Histogram,
    received: IntCounter,
    sent: IntCounter,
    in_flight: IntGauge,
    rejected: IntCounterVec,
}

impl S3Metrics {
    /// Makes them, not yet registered.
    ///
    /// # Errors
    /// A name or label is invalid: a bug that every test would show.
    pub fn new() -> prometheus::Result<Self> {
        let buckets = vec![
            0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
            60.0,
        ];
        let duration = HistogramOpts::new(
            "holdfast_s3_request_duration_seconds",
            "Time from the head of a request to the last byte of its answer.",
        )
        .buckets(buckets.clone());
        let first_byte = HistogramOpts::new(
            "holdfast_s3_first_byte_seconds",
            "Time from the head of a request to the head of its answer.",
        )
        .buckets(buckets);
        Ok(Self {
            requests: IntCounterVec::new(
                Opts::new("holdfast_s3_requests_total", "Requests answered."),
                &["op", "code"],
            )?,
            duration: HistogramVec::new(duration, &["op"])?,
            first_byte: Histogram::with_opts(first_byte)?,
            received: IntCounter::new(
                "holdfast_s3_received_bytes_total",
                "Bytes of request bodies, framing included.",
            )?,
            sent: IntCounter::new("holdfast_s3_sent_bytes_total", "Bytes of answers' bodies.")?,
            in_flight: IntGauge::new(
                "holdfast_s3_requests_in_flight",
                "Requests whose answer is not finished.",
            )?,
            rejected: IntCounterVec::new(
                Opts::new(
                    "holdfast_s3_rejected_total",
                    "Requests and connections refused before they were an operation.",
                ),
                &["reason"],
            )?,
        })
    }
    /// Registers all of them.
    ///
    /// # Errors
    /// One of the names is registered already.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.requests.clone()))?;
        registry.register(Box::new(self.duration.clone()))?;
        registry.register(Box::new(self.first_byte.clone()))?;
        registry.register(Box::new(self.received.clone()))?;
        registry.register(Box::new(self.sent.clone()))?;
        registry.register(Box::new(self.in_flight.clone()))?;
        registry.register(Box::new(self.rejected.clone()))
    }

    pub(crate) fn started(&self) {
        self.in_flight.inc();
    }
    pub(crate) fn answered(&self, op: &str, code: u16, seconds: f64) {
        self.requests
            .with_label_values(&[op, &code.to_string()])
            .inc();
        self.first_byte.observe(seconds);
    }
    pub(crate) fn finished(&self, op: &str, seconds: f64, received: u64, sent: u64) {
        self.in_flight.dec();
        self.duration.with_label_values(&[op]).observe(seconds);
        self.received.inc_by(received);
        self.sent.inc_by(sent);
    }
    pub(crate) fn rejected(&self, reason: &str) {
        self.rejected.with_label_values(&[reason]).inc();
    }
}
