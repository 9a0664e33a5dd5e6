//! Checks an index against its drives, both ways, while they serve.
//!
//! Owns: finding what does not agree, and looking again before it is said ([`objects`],
//! [`versions`]).
//! Leaves to others: mending it ([`crate::heal`], [`crate::compare`]), to which findings are handed
//! when that is asked for.
//! Always: no object is changed; what is on its way, waits to be healed or waits to be purged is no
//! problem.

mod objects;
mod versions;

use std::collections::{BTreeMap, BTreeSet};

use holdfast_index::rows::{self, PurgeEntry};
use holdfast_index::{Locks, Mode};
use holdfast_protocol::admin::check::{
    CheckCounts, CheckObject, CheckProblem, CheckReport, CheckRequest,
};
use holdfast_protocol::row::{RowName, Usage};
use holdfast_protocol::{Body, BucketId, DriveId, Manifest};
use holdfast_store::Trouble;

use crate::context::{CompareReason, Context};
use crate::error::Result;
use crate::pace::Pacer;
use crate::sweep::{self, Look};
use crate::window::{PlacedRow, RowScan, Window, Windows};

/// Problems that are listed; more are counted.
const PROBLEMS_MAX: usize = 1000;

/// Checks; see [`crate::Workers::check`].
pub(crate) async fn check(
    ctx: &Context,
    request: CheckRequest,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<CheckReport> {
    // Moves the settled mark past orders that ended without a commit.
    ctx.index.flush().await?;
    let living = ctx.living();
    let (asked, absent): (Vec<DriveId>, Vec<DriveId>) = living
        .iter()
        .partition(|drive| ctx.store.drives().is_reachable(**drive));
    let mut check = Check {
        ctx,
        absent: absent.into_iter().collect(),
        problems: Vec::new(),
        counts: CheckCounts::default(),
        usage: BTreeMap::new(),
        rows_read: 0,
        request,
        objects: Vec::new(),
        names: BTreeMap::new(),
        troubles: Vec::new(),
        to_compare: BTreeSet::new(),
        pacer: Pacer::default(),
    };
    check.buckets().await?;
    let config = &ctx.config;
    let mut windows = Windows::new(
        &ctx.store,
        &*ctx.index,
        config.drive_deadline,
        config.inventory_page,
        config.compare_window,
        &asked,
    );
    let mut is_first = true;
    while let Some(window) = windows.next().await? {
        check.absent.extend(windows.failed.keys());
        check.window(window, is_first, progress).await?;
        is_first = false;
    }
    check.pointers().await?;
    check.usages().await?;
    check.systems(&asked).await?;
    let handed = check.hand_over().await?;
    Ok(CheckReport {
        handed_to_healer: handed,
        ..check.report()
    })
}

struct Check<'a> {
    ctx: &'a Context,
    absent: BTreeSet<DriveId>,
    problems: Vec<CheckProblem>,
    counts: CheckCounts,
    usage: BTreeMap<BucketId, Usage>,
    rows_read: u64,
    request: CheckRequest,
    objects: Vec<CheckObject>,
    /// Buckets by id.
    names: BTreeMap<BucketId, String>,
    troubles: Vec<Trouble>,
    to_compare: BTreeSet<DriveId>,
    pacer: Pacer,
}

impl Check<'_> {
    fn report(self) -> CheckReport {
        CheckReport {
            clean: self.counts.problems == 0,
            complete: self.absent.is_empty(),
            absent_drives: self.absent.iter().map(ToString::to_string).collect(),
            problems: self.problems,
            counts: self.counts,
            objects: self.objects,
            deep: self.request.deep,
            handed_to_healer: 0,
        }
    }

    fn problem(
        &mut self,
        kind: &str,
        of: Option<(BucketId, &str)>,
        drive: Option<DriveId>,
        what: String,
    ) {
        self.counts.problems += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(CheckProblem {
                kind: kind.to_owned(),
                bucket: of.map(|(bucket, _)| bucket.to_string()),
                key: of
                    .map(|(_, key)| key.to_owned())
                    .filter(|key| !key.is_empty()),
                drive: drive.map(|drive| drive.to_string()),
                what,
            });
        }
    }

    async fn buckets(&mut self) -> Result<()> {
        let mut after: Option<String> = None;
        loop {
            let page = rows::list_buckets(&*self.ctx.index, "", after.as_deref(), 1000).await?;
            for bucket in &page.items {
                self.counts.buckets += 1;
                self.usage.entry(bucket.id).or_default();
                self.names.insert(bucket.id, bucket.name.clone());
            }
            after = page.items.last().map(|bucket| bucket.name.clone());
            if !page.more || after.is_none() {
                return Ok(());
            }
        }
    }

    async fn window(
        &mut self,
        mut window: Window,
        is_first: bool,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<()> {
        self.counts.copies += window
            .seen
            .values()
            .map(|seen| seen.len() as u64)
            .sum::<u64>();
        let mut scan = RowScan::new(&*self.ctx.index);
        let mut suspects = Vec::new();
        while let Some(page) = scan.next().await? {
            self.rows_read += page.len() as u64;
            progress(self.rows_read);
            for row in page {
                match row {
                    Ok(row) => {
                        if is_first {
                            self.count(&row);
                            self.related(&row).await?;
                        }
                        let is_deep = self.request.deep && window.holds(row.row.manifest.write);
                        if self.differs(&row, &mut window) || is_deep {
                            suspects.push(row.name);
                        }
                    }
                    Err(error) if is_first => {
                        self.problem("row", None, None, error.to_string());
                    }
                    Err(_) => {}
                }
            }
        }
        let weak = self.purges(&mut window, is_first).await?;
        self.guards(weak).await?;
        for name in suspects {
            self.look_again(&name).await?;
        }
        self.unknown(&window).await
    }

    fn count(&mut self, placed: &PlacedRow) {
        let manifest = &placed.row.manifest;
        match placed.name {
            RowName::Version { .. } => self.counts.versions += 1,
            RowName::Part { .. } => self.counts.parts += 1,
            RowName::Upload { .. } => self.counts.uploads += 1,
            RowName::Metadata { .. } => {}
        }
        add_usage(self.usage.entry(manifest.bucket).or_default(), placed);
    }

    /// Whether a row and the drives do not agree at first sight.
    fn differs(&self, placed: &PlacedRow, window: &mut Window) -> bool {
        let (manifest, placement) = (&placed.row.manifest, &placed.row.placement);
        let write = manifest.write;
        if !window.holds(write) {
            return false;
        }
        let is_settled = manifest.order < window.mark;
        let mut differs = placement.missing != 0;
        for (at, &drive) in placement.holders.iter().enumerate() {
            let entry = window.explain(write, drive);
            let good = match (&manifest.body, entry) {
                (_, None) => self.absent.contains(&drive),
                (Body::Coded { digests, .. }, Some(entry)) => {
                    let digest = digests.get(at).copied().unwrap_or_default();
                    entry.shard == Some((at as u8, digest)) && !entry.damaged
                }
                (_, Some(entry)) => !entry.damaged,
            };
            differs |= !good;
        }
        for &drive in &placement.touched {
            window.explain(write, drive);
        }
        let seen = window.seen.get(&write).into_iter().flatten();
        differs |= seen.into_iter().any(|seen| !seen.is_known);
        window.explain_all(write);
        is_settled && differs
    }

    /// Explains what waits to be purged; returns guards of which a holder seems to lack its copy.
    async fn purges(&mut self, window: &mut Window, is_first: bool) -> Result<Vec<PurgeEntry>> {
        let mut weak = Vec::new();
        let mut after: Option<bytes::Bytes> = None;
        loop {
            let page = rows::purge_queue(&*self.ctx.index, after.as_deref(), 512).await?;
            for entry in &page.items {
                entry
                    .row
                    .writes
                    .iter()
                    .for_each(|write| window.explain_all(*write));
                if self.is_weak(entry, window) {
                    weak.push(entry.clone());
                }
                entry
                    .row
                    .guard
                    .iter()
                    .for_each(|guard| window.explain_all(*guard));
                if is_first {
                    self.counts.purging += entry.row.writes.len() as u64;
                }
            }
            after = page.items.last().map(|entry| entry.key.clone());
            if !page.more || after.is_none() {
                return Ok(weak);
            }
        }
    }

    fn is_weak(&self, entry: &PurgeEntry, window: &mut Window) -> bool {
        let Some(guard) = entry.row.guard.filter(|guard| window.holds(*guard)) else {
            return false;
        };
        if entry.order >= window.mark {
            return false;
        }
        let lacks = |drive: &DriveId| {
            let kept = window.explain(guard, *drive);
            kept.is_none_or(|kept| kept.damaged) && !self.absent.contains(drive)
        };
        entry.row.guard_holders.iter().any(lacks)
    }

    /// Hands what was found to those who mend it, if that was asked for; returns how much.
    async fn hand_over(&mut self) -> Result<u64> {
        if !self.request.heal {
            return Ok(0);
        }
        let troubles = std::mem::take(&mut self.troubles);
        let count = troubles.len() + self.to_compare.len();
        self.ctx.queue_troubles(troubles).await?;
        for &drive in &self.to_compare {
            self.ctx.ask_compare(drive, CompareReason::Routine);
        }
        Ok(count as u64)
    }

    /// Copies that no row explains.
    async fn unknown(&mut self, window: &Window) -> Result<()> {
        let deadline = self.ctx.config.drive_deadline;
        for (drive, entry) in window.unexplained() {
            if self.ctx.is_being_swept(entry.write) {
                self.counts.purging += 1;
                continue;
            }
            let (store, index) = (&self.ctx.store, &*self.ctx.index);
            match sweep::look(store, index, deadline, drive, &entry).await {
                Ok(Look::Unknown | Look::LooseVoid { .. }) => {
                    let what = format!("{:?} of write {} is in no row", entry.kind, entry.write);
                    self.to_compare.insert(drive);
                    self.problem("unknown_write", None, Some(drive), what);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%drive, error = %crate::error::chain(&error), "not checked");
                    self.absent.insert(drive);
                }
            }
        }
        Ok(())
    }

    /// Sums that differ are counted again with the bucket held.
    async fn usages(&mut self) -> Result<()> {
        for (bucket, counted) in std::mem::take(&mut self.usage) {
            if rows::get_usage(&*self.ctx.index, bucket).await? == counted {
                continue;
            }
            let locks = Locks::none().bucket(bucket, Mode::Exclusive);
            let _held = self.ctx.begin(locks).await?;
            let mut counted = Usage::default();
            let mut scan = RowScan::new(&*self.ctx.index);
            while let Some(page) = scan.next().await? {
                let of_bucket = page.into_iter().flatten();
                for row in of_bucket.filter(|row| row.row.manifest.bucket == bucket) {
                    add_usage(&mut counted, &row);
                }
            }
            let stored = rows::get_usage(&*self.ctx.index, bucket).await?;
            if stored != counted {
                let what = format!("usage says {stored:?}, rows sum up to {counted:?}");
                self.problem("usage", Some((bucket, "")), None, what);
            }
        }
        Ok(())
    }

    /// Every drive must have the newest system records.
    async fn systems(&mut self, asked: &[DriveId]) -> Result<()> {
        let lacking = crate::systems::lacking(self.ctx, asked).await?;
        for (drive, count) in lacking {
            let what = format!("{count} of the newest system records are not there");
            self.to_compare.insert(drive);
            match self.ctx.compares().swept.contains(&drive) {
                true => self.problem("system", None, Some(drive), what),
                false => self.counts.healing += count as u64,
            }
        }
        Ok(())
    }
}

/// What a row adds to the usage of its bucket.
fn add_usage(usage: &mut Usage, placed: &PlacedRow) {
    let manifest: &Manifest = &placed.row.manifest;
    match (&placed.name, &manifest.body) {
        (RowName::Version { .. }, Body::DeleteMarker)
        | (RowName::Part { .. } | RowName::Metadata { .. }, _) => {}
        (RowName::Version { .. }, _) => {
            usage.change(manifest.geometry, |objects, bytes| {
                *objects += 1;
                *bytes += manifest.len;
            });
        }
        (RowName::Upload { .. }, _) => usage.uploads += u64::from(!placed.is_completed),
    }
}
