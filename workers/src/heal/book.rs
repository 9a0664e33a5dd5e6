//! How far healing is.
//!
//! Owns: the numbers behind `GET /admin/v1/heal` and the gauges; pausing and holding back.
//! Leaves to others: healing.
//! Always: the backlog is 0 only when the queue is empty and no drive that may miss something waits
//! to be compared.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use holdfast_index::rows;
use holdfast_protocol::admin::durability::DurabilitySummary;
use holdfast_protocol::admin::heal::HealStatus;
use holdfast_protocol::row::RowName;
use holdfast_protocol::{DriveId, WriteId};
use holdfast_seam::Monotonic;

use super::durability::Degraded;
use crate::context::{CompareReason, Context};
use crate::error::Result;
use crate::pace::Limits;

/// The rate is measured over this long.
const RATE_WINDOW: Duration = Duration::from_secs(30);
const MARGINS: usize = 65;
/// Healing goes at this rate at least, however clients fare, in bytes per second.
const HEAL_FLOOR: u64 = 8 << 20;

/// Numbers of the healer.
#[derive(Debug, Default)]
pub(crate) struct HealBook {
    pub(super) rows: i64,
    by_margin: Vec<u64>,
    active: u64,
    /// Rows that were tried and wait for a drive, or for another try.
    pub(crate) waiting: u64,
    /// Of these, rows that keep no drive that is being filled from being whole.
    pub(super) apart: u64,
    /// Since when which rows were found to be beyond repair ([`super::beyond`]).
    pub(super) beyond: BTreeMap<WriteId, Monotonic>,
    pub(super) durability: DurabilitySummary,
    paused: bool,
    pub(super) held_back: Option<String>,
    /// Drives that are out, of which all is queued: that they are gone is no news.
    pub(super) known_gone: BTreeSet<DriveId>,
    /// When how many rows and bytes were healed, of late.
    recent: VecDeque<(Monotonic, u64, u64)>,
}

impl HealBook {
    pub(crate) fn holds_back(&self) -> bool {
        self.paused || self.held_back.is_some()
    }

    /// Why nothing is healed at present, if so.
    pub(super) fn why_not(&self) -> Option<String> {
        let paused = self.paused.then(|| "healing is paused".to_owned());
        paused.or_else(|| self.held_back.clone())
    }

    pub(crate) fn holds_back_for_drives(&self) -> bool {
        self.held_back.is_some()
    }

    fn note(&mut self, rows: u64, bytes: u64, now: Monotonic) {
        self.recent.push_back((now, rows, bytes));
        while self
            .recent
            .front()
            .is_some_and(|(at, ..)| now.since(*at) > RATE_WINDOW)
        {
            self.recent.pop_front();
        }
    }

    /// Rows and bytes that were healed of late, and over how many seconds.
    fn pace(&self, now: Monotonic) -> (u64, u64, u64) {
        let recent = self
            .recent
            .iter()
            .filter(|(at, ..)| now.since(*at) <= RATE_WINDOW);
        let (rows, bytes) = recent.fold((0, 0), |(rows, bytes), (_, r, b)| (rows + r, bytes + b));
        let first = self.recent.iter().map(|(at, ..)| *at).min();
        let measured = first.map_or(Duration::ZERO, |first| now.since(first));
        (rows, bytes, measured.min(RATE_WINDOW).as_secs().max(1))
    }

    /// In how many seconds all is healed at the pace of late; `None` if that is not known. What
    /// waits for a drive to come back, or is being compared, has no measured end.
    fn eta(&self, comparing: u64, now: Monotonic) -> Option<u64> {
        if comparing > 0 || self.holds_back() {
            return None;
        }
        let (rows, _, seconds) = self.pace(now);
        match (self.rows.max(0) as u64, rows, self.waiting) {
            (0, ..) => Some(0),
            (_, 0, _) | (.., 1..) => None,
            (queued, rows, 0) => Some((queued * seconds).div_ceil(rows)),
        }
    }
}

impl Context {
    pub(crate) fn heal_book(&self) -> MutexGuard<'_, HealBook> {
        self.heal_state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the queue.
    pub(crate) async fn count_heal_queue(&self) -> Result<()> {
        let mut by_margin = vec![0_u64; MARGINS];
        let (mut degraded, mut missing_shards) = (Degraded::default(), 0);
        let mut after: Option<bytes::Bytes> = None;
        loop {
            let page = rows::heal_queue(&*self.index, after.as_deref(), 4096).await?;
            for entry in &page.items {
                by_margin[usize::from(entry.margin).min(MARGINS - 1)] += 1;
                *degraded.by_margin.entry(entry.margin).or_default() += 1;
                let parity = entry.geometry.parity() as u8;
                let missing = parity.saturating_sub(entry.margin).max(1);
                missing_shards += i64::from(missing);
                if matches!(entry.name, RowName::Version { .. }) {
                    *degraded.versions.entry(parity).or_default() += 1;
                }
            }
            after = page.items.last().map(|entry| entry.key.clone());
            if !page.more || after.is_none() {
                break;
            }
        }
        let rows: u64 = by_margin.iter().sum();
        self.metrics.missing_shards.set(missing_shards);
        let used = by_margin
            .iter()
            .rposition(|rows| *rows > 0)
            .map_or(0, |last| last + 1);
        by_margin.truncate(used);
        {
            let mut book = self.heal_book();
            book.rows = rows as i64;
            book.by_margin = by_margin;
        }
        self.publish_backlog();
        self.sum_durability(&degraded).await
    }

    /// Rows that entered the queue, or left it.
    pub(crate) fn heal_rows(&self, change: i64) {
        {
            let mut book = self.heal_book();
            book.rows = (book.rows + change).max(0);
        }
        self.publish_backlog();
    }

    /// Sets the gauges of the backlog.
    pub(crate) fn publish_backlog(&self) {
        let comparing = self.comparing_objects();
        let rows = self.heal_book().rows;
        self.metrics.heal_backlog.set(rows + comparing as i64);
        let book = self.compares();
        let drives = book.pending.len() + book.running.len() + book.lost.len();
        self.metrics.drives_comparing.set(drives as i64);
    }

    /// About how many objects the drives hold that may miss something; at least one for each drive.
    pub(super) fn comparing_objects(&self) -> u64 {
        let (not_whole, filling) = self.not_whole();
        self.records_of_drives(not_whole.iter().copied()) + filling
    }

    /// About how many objects drives hold, as they said last.
    pub(super) fn records_of_drives(&self, drives: impl Iterator<Item = DriveId>) -> u64 {
        let health = self.health();
        let records = |drive| {
            let entry = health.drives.get(&drive);
            let status = entry.and_then(|entry| entry.status.as_ref());
            status.map_or(1, |status| status.records.max(1))
        };
        drives.map(records).sum()
    }

    /// Drives that may miss something, and how many others are being filled.
    pub(crate) fn not_whole(&self) -> (BTreeSet<DriveId>, u64) {
        let book = self.compares();
        let not_whole: BTreeSet<_> = book
            .pending
            .iter()
            .chain(&book.running)
            .filter(|(_, reason)| **reason != CompareReason::Routine)
            .map(|(drive, _)| *drive)
            .chain(book.lost.iter().copied())
            .collect();
        drop(book);
        let filling = self.filling();
        let filling = filling.iter().filter(|drive| !not_whole.contains(drive));
        let filling = filling.count() as u64;
        (not_whole, filling)
    }

    pub(crate) fn heal_active(&self, change: i64) {
        let mut book = self.heal_book();
        book.active = book.active.saturating_add_signed(change);
        self.metrics.heal_active.set(book.active as i64);
    }

    /// A row is whole; it may have been all the time.
    pub(crate) fn healed(&self, bytes: u64, now: Monotonic) {
        if bytes > 0 {
            self.metrics.healed_objects.inc();
        }
        self.heal_rows(-1);
        self.note_healed(1, bytes, now);
    }

    /// Bytes were written for a row that is not whole yet.
    pub(crate) fn heal_wrote(&self, bytes: u64, now: Monotonic) {
        self.note_healed(0, bytes, now);
    }

    fn note_healed(&self, rows: u64, bytes: u64, now: Monotonic) {
        self.metrics.healed_bytes.inc_by(bytes);
        self.heal_book().note(rows, bytes, now);
    }

    /// Waits until the budget allows to write so many bytes. Rows that cannot lose another shard do
    /// not give way to clients.
    pub(crate) async fn heal_budget(&self, bytes: u64, margin: u8) {
        let quiet = self.config.heal_bytes_per_second;
        let busy = match (quiet, self.config.heal_busy_bytes_per_second) {
            (0, busy) => busy,
            (quiet, 0) => quiet,
            (quiet, busy) => quiet.min(busy),
        };
        let limits = match margin {
            0 => Limits {
                quiet,
                busy: quiet,
                floor: 0,
            },
            _ => Limits {
                quiet,
                busy,
                floor: busy.min(HEAL_FLOOR),
            },
        };
        self.heal_pacer.take(self, bytes, limits).await;
    }

    pub(crate) fn pause_heal(&self, paused: bool) {
        self.heal_book().paused = paused;
        self.heal.ring();
    }

    /// How far healing is.
    pub(crate) fn heal_status(&self, now: Monotonic) -> HealStatus {
        let comparing = self.comparing_objects();
        let drives = {
            let book = self.compares();
            let not_whole = book.pending.iter().chain(&book.running);
            let not_whole = not_whole.filter(|(_, reason)| **reason != CompareReason::Routine);
            let not_whole = not_whole.map(|(drive, _)| drive).chain(&book.lost);
            not_whole.map(ToString::to_string).collect()
        };
        let book = self.heal_book();
        let (_, bytes, seconds) = book.pace(now);
        let queued = book.rows.max(0) as u64;
        HealStatus {
            backlog_objects: queued + comparing,
            backlog_by_margin: book.by_margin.clone(),
            waiting_objects: queued.saturating_sub(book.active),
            active_objects: book.active,
            healed_objects: self.metrics.healed_objects.get(),
            healed_bytes: self.metrics.healed_bytes.get(),
            failures: self.metrics.heal_failures.get(),
            bytes_per_second: bytes / seconds,
            eta_seconds: book.eta(comparing, now),
            paused: book.paused,
            held_back: book.held_back.clone(),
            drives_comparing: drives,
        }
    }
}

#[cfg(test)]
mod tests;
