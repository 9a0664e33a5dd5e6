//! The scrub of one drive.
//!
//! Owns: when a pass begins, its cursor, new data, its pace.
//! Leaves to others: what is wrong with a write ([`super::examine`]).
//! Always: passes begin every half period and take half a period at most, so that no byte waits
//! longer than a period; the cursor moves only past what was verified.

use std::sync::Arc;
use std::time::Duration;

use holdfast_protocol::row::ScrubRow;
use holdfast_protocol::rpc::DriveError;
use holdfast_protocol::{DriveId, Order};
use holdfast_seam::Monotonic;
use holdfast_store::survey::{self, InventoryQuery};

use super::examine::examine;
use crate::context::Context;
use crate::error::{Result, WorkersError, chain};
use crate::pace::{Limits, Pacer};

/// Writes listed at once.
const PAGE: u32 = 256;
/// Writes listed at once that are only counted.
const COUNT_PAGE: u32 = 4096;
/// How soon a drive that failed is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// A pass goes at this rate at least while clients are quiet, in bytes per second.
const RATE_MIN: u64 = 1 << 20;
/// And at this one, whatever clients do.
const FLOOR_MIN: u64 = 64 << 10;
/// What an examined write costs beside its bytes.
const WRITE_COST: u64 = 4 << 10;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Verify what was written since the last time.
    Fresh,
    /// Go on with the pass.
    Page,
    /// Begin a pass.
    Begin,
    /// Nothing, for so long.
    Rest(Duration),
}

/// Scrubs a drive, until it leaves the map.
pub(super) struct DriveScrubber {
    ctx: Arc<Context>,
    drive: DriveId,
    row: ScrubRow,
    pacer: Pacer,
    /// An operator asked for this pass: it does not spread itself over its time.
    is_asked: bool,
    starts_seen: u64,
    saved: Monotonic,
}

impl DriveScrubber {
    pub(super) fn new(ctx: Arc<Context>, drive: DriveId) -> Self {
        let starts_seen = ctx.scrub_book().starts;
        Self {
            drive,
            row: ScrubRow::default(),
            pacer: Pacer::default(),
            is_asked: false,
            starts_seen,
            saved: ctx.clock().now(),
            ctx,
        }
    }

    /// Runs until the drive is no longer of the map; returns it.
    pub(super) async fn run(mut self) -> DriveId {
        while let Err(error) = self.load().await {
            tracing::warn!(error = %chain(&error), "scrub cursor not read, trying again");
            self.ctx.clock().sleep(RETRY).await;
        }
        while self.ctx.living().contains(&self.drive) {
            if let Err(error) = self.step().await {
                let (drive, error) = (self.drive, chain(&error));
                tracing::debug!(%drive, error, "scrub of the drive failed, trying again");
                self.ctx.clock().sleep(RETRY).await;
            }
        }
        self.drive
    }

    async fn load(&mut self) -> Result<()> {
        self.row = match self.ctx.kept_scrub(self.drive).await? {
            Some(row) => row,
            None => {
                let now = self.ctx.clock().unix_ms();
                let row = ScrubRow {
                    since_ms: now,
                    // The first pass covers what is older.
                    fresh_mark: self.ctx.index.settled().await?,
                    fresh_ms: now,
                    ..ScrubRow::default()
                };
                self.ctx.keep_scrub(self.drive, &row).await?;
                row
            }
        };
        self.publish();
        Ok(())
    }

    async fn step(&mut self) -> Result<()> {
        let ctx = Arc::clone(&self.ctx);
        let bell = ctx.scrub_bell.notified();
        tokio::pin!(bell);
        // From here on a ring is not missed.
        bell.as_mut().enable();
        let starts = ctx.scrub_book().starts;
        if starts != self.starts_seen {
            self.starts_seen = starts;
            self.is_asked = true;
            if self.row.started_ms == 0 {
                return self.begin().await;
            }
        }
        let may_run = !ctx.scrub_book().paused && ctx.store.drives().is_reachable(self.drive);
        let next = match may_run {
            true => self.next(ctx.clock().unix_ms()),
            false => Next::Rest(ctx.config.rescan_interval),
        };
        match next {
            Next::Fresh => self.fresh().await,
            Next::Page => self.page().await,
            Next::Begin => self.begin().await,
            Next::Rest(rest) => {
                let rest = rest.min(ctx.config.rescan_interval);
                tokio::select! {
                    biased;
                    () = bell => {}
                    () = ctx.clock().sleep(rest) => {}
                }
                Ok(())
            }
        }
    }

    fn window_ms(&self) -> u64 {
        self.ctx.config.scrub_period.as_millis() as u64 / 2
    }

    fn next(&self, now: u64) -> Next {
        let row = &self.row;
        let fresh_at = row.fresh_ms + self.ctx.config.scrub_fresh_within.as_millis() as u64 / 2;
        if now >= fresh_at {
            return Next::Fresh;
        }
        if row.started_ms > 0 {
            return Next::Page;
        }
        let begin_at = match row.last_started_ms {
            0 => row.since_ms,
            last => last + self.window_ms(),
        };
        match now >= begin_at {
            true => Next::Begin,
            false => Next::Rest(Duration::from_millis(begin_at.min(fresh_at) - now)),
        }
    }

    async fn begin(&mut self) -> Result<()> {
        self.row = ScrubRow {
            started_ms: self.ctx.clock().unix_ms().max(1),
            cursor: None,
            bytes: 0,
            records: 0,
            errors: 0,
            ..self.row
        };
        tracing::debug!(drive = %self.drive, "scrub pass begins");
        self.save().await
    }

    async fn page(&mut self) -> Result<()> {
        let query = InventoryQuery {
            after: self.row.cursor,
            ..InventoryQuery::from_order(Order::ZERO, PAGE)
        };
        let page = self.list(query).await?;
        for entry in &page.entries {
            if self.ctx.scrub_book().paused || self.starts_seen != self.ctx.scrub_book().starts {
                return self.save().await;
            }
            let found = examine(&self.ctx, self.drive, entry).await;
            let found = found.map_err(|source| self.failed(source))?;
            self.row.cursor = Some(entry.write);
            self.row.records += 1;
            self.row.bytes += found.bytes;
            self.row.errors += u64::from(found.is_bad);
            self.publish();
            self.spend(found.bytes).await;
            self.save_sometimes().await?;
        }
        match page.more {
            true => Ok(()),
            false => self.complete().await,
        }
    }

    async fn complete(&mut self) -> Result<()> {
        let (drive, row) = (self.drive, &mut self.row);
        row.last_started_ms = row.started_ms;
        row.last_ended_ms = self.ctx.clock().unix_ms();
        row.last_bytes = row.bytes;
        (row.started_ms, row.cursor) = (0, None);
        self.is_asked = false;
        let (bytes, records, errors) = (row.bytes, row.records, row.errors);
        tracing::info!(%drive, bytes, records, errors, "scrub pass complete");
        self.save().await
    }

    /// Verifies what was written since the last time, from where that was left.
    async fn fresh(&mut self) -> Result<()> {
        if self.row.fresh_cursor.is_none() {
            self.row.fresh_until = self.ctx.index.settled().await?;
        }
        let mut left = self.count_fresh().await?;
        let (mut entries, mut bytes) = (0, 0);
        loop {
            let query = InventoryQuery {
                after: self.row.fresh_cursor,
                ..InventoryQuery::from_order(self.row.fresh_mark, PAGE)
            };
            let page = self.list(query).await?;
            for entry in &page.entries {
                if self.ctx.scrub_book().paused {
                    return self.save().await;
                }
                let found = examine(&self.ctx, self.drive, entry).await;
                let found = found.map_err(|source| self.failed(source))?;
                self.row.fresh_cursor = Some(entry.write);
                left = left.saturating_sub(1);
                entries += 1;
                bytes += found.bytes;
                self.spend_fresh(found.bytes, left * (bytes / entries))
                    .await;
                self.save_sometimes().await?;
            }
            if !page.more {
                break;
            }
        }
        self.row.fresh_mark = self.row.fresh_until.max(self.row.fresh_mark);
        self.row.fresh_cursor = None;
        self.row.fresh_ms = self.ctx.clock().unix_ms();
        self.save().await
    }

    /// How many new writes are left to be looked at.
    async fn count_fresh(&self) -> Result<u64> {
        let mut query = InventoryQuery {
            after: self.row.fresh_cursor,
            ..InventoryQuery::from_order(self.row.fresh_mark, COUNT_PAGE)
        };
        let mut count = 0;
        loop {
            let page = self.list(query).await?;
            count += page.entries.len() as u64;
            query.after = page.entries.last().map(|entry| entry.write);
            if !page.more {
                return Ok(count);
            }
        }
    }

    async fn list(&self, query: InventoryQuery) -> Result<survey::InventoryPage> {
        let (drives, deadline) = (self.ctx.store.drives(), self.ctx.config.drive_deadline);
        let listed = survey::inventory(drives, self.drive, deadline, query).await;
        listed.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: DriveError) -> WorkersError {
        WorkersError::Drive {
            drive: self.drive,
            source,
        }
    }

    /// Waits as the rate demands: even over the time that is left for the pass.
    async fn spend(&self, bytes: u64) {
        let used = {
            let health = self.ctx.health();
            let entry = health.drives.get(&self.drive);
            let status = entry.and_then(|entry| entry.status.as_ref());
            status.map_or(0, |status| status.used_bytes)
        };
        let end = self.row.started_ms + self.window_ms();
        let seconds = end.saturating_sub(self.ctx.clock().unix_ms()) / 1000;
        let left = used.saturating_sub(self.row.bytes);
        let limits = limits(
            left / seconds.max(60) / 4 * 5,
            self.ctx.config.scrub_bytes_per_second,
            self.is_asked,
        );
        self.pacer.take(&self.ctx, bytes + WRITE_COST, limits).await;
    }

    /// As [`Self::spend`], for new data of which about so many bytes are left: it takes an eighth
    /// of the time within which it is to be verified, so that passes go on, too.
    async fn spend_fresh(&self, bytes: u64, left: u64) {
        let seconds = self.ctx.config.scrub_fresh_within.as_secs() / 8;
        let cap = self.ctx.config.scrub_bytes_per_second;
        let limits = limits(left / seconds.max(1) / 4 * 5, cap, false);
        self.pacer.take(&self.ctx, bytes + WRITE_COST, limits).await;
    }

    async fn save_sometimes(&mut self) -> Result<()> {
        let since = self.ctx.clock().now().since(self.saved);
        match since >= self.ctx.config.scrub_save_interval {
            true => self.save().await,
            false => Ok(()),
        }
    }

    fn publish(&self) {
        self.ctx.scrub_book().drives.insert(self.drive, self.row);
    }

    async fn save(&mut self) -> Result<()> {
        self.publish();
        self.ctx.publish_scrub();
        self.ctx.keep_scrub(self.drive, &self.row).await?;
        self.saved = self.ctx.clock().now();
        Ok(())
    }
}

/// At what rate to go on when `needed` bytes per second are in time: faster when an operator asked
/// for it, slower for clients, but never too slow to be in time; `cap` bounds it, 0 does not.
fn limits(needed: u64, cap: u64, is_asked: bool) -> Limits {
    let under = |rate: u64| if cap == 0 { rate } else { rate.min(cap) };
    let even = under(needed.max(RATE_MIN));
    Limits {
        quiet: if is_asked { cap } else { even },
        busy: if is_asked { under(16 * even) } else { even },
        floor: under(needed.max(FLOOR_MIN)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_verified_slowly_and_gives_way_to_clients() {
        let (cap, gentle) = (128 << 20, limits(1000, 128 << 20, false));
        assert_eq!(gentle.quiet, RATE_MIN);
        assert_eq!(gentle.floor, FLOOR_MIN);
        let much = limits(50 << 20, cap, false);
        assert_eq!((much.quiet, much.floor), (50 << 20, 50 << 20));
        let too_much = limits(1 << 40, cap, false);
        assert_eq!((too_much.quiet, too_much.floor), (cap, cap));
        let asked = limits(1000, cap, true);
        assert_eq!((asked.quiet, asked.floor), (cap, FLOOR_MIN));
        assert_eq!(limits(1 << 40, 0, true).quiet, 0, "no bound");
    }
}
