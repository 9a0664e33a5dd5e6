//! How far the scrub is, in numbers.
//!
//! Owns: what the drives' loops published, pausing and asking for a pass; `GET /admin/v1/scrub` and
//! the gauges.
//! Leaves to others: scrubbing.
//! Always: an age is an upper bound: it is counted from the beginning of the last complete pass.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use holdfast_protocol::DriveId;
use holdfast_protocol::admin::scrub::{DriveScrub, ScrubStatus, WatchStatus};
use holdfast_protocol::row::ScrubRow;

use crate::context::Context;

/// What the loops published.
#[derive(Debug, Default)]
pub(crate) struct ScrubBook {
    pub(crate) paused: bool,
    /// How often a pass was asked for.
    pub(crate) starts: u64,
    pub(crate) drives: BTreeMap<DriveId, ScrubRow>,
    pub(crate) watched: WatchStatus,
}

/// Everything was verified, or was new, so many seconds ago at most.
fn oldest_seconds(row: &ScrubRow, now: u64) -> u64 {
    let from = match row.last_started_ms {
        0 => row.since_ms,
        last => last,
    };
    now.saturating_sub(from) / 1000
}

fn time(ms: u64) -> Option<u64> {
    (ms > 0).then_some(ms)
}

impl Context {
    pub(crate) fn scrub_book(&self) -> MutexGuard<'_, ScrubBook> {
        self.scrub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn pause_scrub(&self, paused: bool) {
        self.scrub_book().paused = paused;
        self.scrub_bell.notify_waiters();
    }

    pub(crate) fn start_scrub(&self) {
        {
            let mut book = self.scrub_book();
            book.paused = false;
            book.starts += 1;
        }
        self.scrub_bell.notify_waiters();
    }

    /// Writes that a drive holds, as it said last.
    fn records_of(&self, drive: DriveId) -> Option<u64> {
        let health = self.health();
        let status = health.drives.get(&drive)?.status.as_ref()?;
        Some(status.records)
    }

    fn progress(&self, drive: DriveId, row: &ScrubRow) -> Option<f64> {
        let all = self.records_of(drive)?.max(row.records).max(1);
        (row.started_ms > 0).then(|| row.records as f64 / all as f64)
    }

    /// Sets the gauges.
    pub(crate) fn publish_scrub(&self) {
        let now = self.clock().unix_ms();
        let drives = self.scrub_book().drives.clone();
        for (drive, row) in drives {
            let progress = self.progress(drive, &row);
            let gauges = &self.metrics.scrub;
            gauges.set(
                drive,
                progress,
                row.last_ended_ms / 1000,
                oldest_seconds(&row, now),
            );
        }
    }

    /// How far the scrub is.
    pub(crate) fn scrub_status(&self) -> ScrubStatus {
        let now = self.clock().unix_ms();
        let (paused, rows, watched) = {
            let book = self.scrub_book();
            (book.paused, book.drives.clone(), book.watched)
        };
        let mut drives = Vec::with_capacity(rows.len());
        let (mut done, mut all) = (0, 0);
        for (drive, row) in &rows {
            if row.started_ms > 0 {
                done += row.records;
                all += self.records_of(*drive).unwrap_or(0).max(row.records).max(1);
            }
            let state = match (self.store.drives().is_reachable(*drive), row.started_ms) {
                (false, _) => "absent",
                (true, _) if paused => "paused",
                (true, 0) => "waiting",
                (true, _) => "running",
            };
            drives.push(DriveScrub {
                drive: drive.to_string(),
                state: state.to_owned(),
                progress_ratio: self.progress(*drive, row),
                started_ms: time(row.started_ms),
                bytes: row.bytes,
                records: row.records,
                errors: row.errors,
                last_started_ms: time(row.last_started_ms),
                last_complete_ms: time(row.last_ended_ms),
                last_bytes: row.last_bytes,
                oldest_unscrubbed_seconds: oldest_seconds(row, now),
                fresh_checked_ms: time(row.fresh_ms),
            });
        }
        let ends: Option<Vec<u64>> = rows.values().map(|row| time(row.last_ended_ms)).collect();
        let config = &self.config;
        let scrub = &self.metrics.scrub;
        ScrubStatus {
            paused,
            period_seconds: config.scrub_period.as_secs(),
            fresh_within_seconds: config.scrub_fresh_within.as_secs(),
            progress_ratio: (all > 0).then(|| done as f64 / all as f64),
            last_complete_ms: ends.and_then(|ends| ends.into_iter().max()),
            oldest_unscrubbed_seconds: rows
                .values()
                .map(|row| oldest_seconds(row, now))
                .max()
                .unwrap_or(0),
            scrubbed_bytes: scrub.bytes.get(),
            errors_found: scrub.errors_found(),
            watched,
            drives,
        }
    }
}
