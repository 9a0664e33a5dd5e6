//! Drives that are gone: dead, or out for so long that what they hold is healed elsewhere.
//!
//! Owns: a run of its own over the rows, which notes and queues what they held; its cursor, which
//! survives restarts.
//! Leaves to others: comparing drives that answer ([`super`]), guards ([`crate::guard`]), healing.
//! Always: a dead drive is done with only when all rows were looked at; one that came back is not
//! looked for any more, but compared.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use holdfast_index::{Batch, Row, Table, keys, rows};
use holdfast_protocol::{DriveId, Placement};

use super::{NOTES, PAUSE, RETRY};
use crate::context::Context;
use crate::error::{Result, chain};
use crate::placed::{self, Change};
use crate::window::{PlacedRow, RowScan};

/// Kind of the local rows that say how far the rows were looked at for a drive; they are kept
/// beside the system records and are never sent to a drive.
const LOST_KIND: &str = "local.lost";
/// Value of such a row when all were.
const DONE: &[u8] = b"";
/// Pages between two notes of the cursor.
const SAVE_PAGES: u32 = 16;

/// Holders that lack what they should hold, by their place in the row.
pub(super) type Lost = Vec<(usize, DriveId)>;

/// The worker.
pub(crate) struct LostDrives {
    ctx: Arc<Context>,
}

impl LostDrives {
    pub(crate) fn new(ctx: Arc<Context>) -> Self {
        Self { ctx }
    }

    pub(crate) async fn run(self) {
        let stop = self.ctx.stop.clone();
        loop {
            let next = self.ctx.compares().lost.first().copied();
            let rest = match next {
                Some(drive) => match stop.unless(self.look_for(drive)).await {
                    None => return,
                    Some(Ok(())) => continue,
                    Some(Err(error)) => {
                        let error = chain(&error);
                        tracing::warn!(%drive, error, "not all of a lost drive is queued yet");
                        RETRY
                    }
                },
                None => {
                    if let Err(error) = self.ctx.accept_losses().await {
                        tracing::warn!(error = %chain(&error), "lost drives are not noted yet");
                    }
                    self.ctx.config.rescan_interval
                }
            };
            let bell = self.ctx.lost.wait(self.ctx.clock(), rest);
            if stop.unless(bell).await.is_none() {
                return;
            }
        }
    }

    /// Looks through the rows for what a drive held, from where that was left, together with drives
    /// of which nothing was looked for either.
    async fn look_for(&self, first: DriveId) -> Result<()> {
        let ctx = &self.ctx;
        let from = self.cursor(first).await?;
        let mut drives = BTreeSet::from([first]);
        let others = ctx.compares().lost.clone();
        for drive in others {
            if self.cursor(drive).await? == from {
                drives.insert(drive);
            }
        }
        let mut queued = 0;
        if from.as_deref() != Some(DONE) {
            tracing::info!(?drives, "looking for what lost drives held");
            let mut scan = RowScan::new(&*ctx.index);
            scan.go_on(from.as_deref());
            let mut pages = 0;
            while let Some(page) = scan.next().await? {
                self.leave_returned(&mut drives).await?;
                if drives.is_empty() {
                    return Ok(());
                }
                queued += self.page(page.into_iter().flatten(), &drives).await?;
                pages += 1;
                if pages % SAVE_PAGES == 0
                    && let Some(cursor) = scan.cursor()
                {
                    self.save(&drives, cursor).await?;
                }
                ctx.clock().sleep(PAUSE).await;
            }
            self.save(&drives, Bytes::from_static(DONE)).await?;
            // One that came back before that was saved was forgotten too early.
            self.leave_returned(&mut drives).await?;
        }
        {
            let mut book = ctx.compares();
            book.lost.retain(|drive| !drives.contains(drive));
        }
        tracing::info!(?drives, queued, "what lost drives held is queued");
        ctx.publish_backlog();
        // Guards that they held get new holders.
        ctx.purge_everything();
        ctx.heal_everything();
        Ok(())
    }

    /// Those that answer again were compared, or will be.
    async fn leave_returned(&self, drives: &mut BTreeSet<DriveId>) -> Result<()> {
        let back: Vec<DriveId> = {
            let book = self.ctx.compares();
            let is_back = |drive: &&DriveId| !book.lost.contains(*drive);
            drives.iter().filter(is_back).copied().collect()
        };
        for drive in back {
            drives.remove(&drive);
            self.ctx.forget_lost(drive).await?;
        }
        Ok(())
    }

    async fn page(
        &self,
        rows: impl Iterator<Item = PlacedRow>,
        drives: &BTreeSet<DriveId>,
    ) -> Result<u64> {
        let lost = rows.filter_map(|row| {
            let lost = held(&row, drives);
            (!lost.is_empty()).then_some((row, lost))
        });
        let ctx = &self.ctx;
        let mut notes = stream::iter(lost)
            .map(|(row, lost)| async move { note_lost(ctx, &row, &lost).await })
            .buffer_unordered(NOTES);
        let mut queued = 0;
        while let Some(noted) = notes.next().await {
            let noted = noted?;
            ctx.heal_rows(i64::from(noted));
            queued += u64::from(noted);
        }
        if queued > 0 {
            ctx.heal.ring();
        }
        Ok(queued)
    }

    async fn cursor(&self, drive: DriveId) -> Result<Option<Bytes>> {
        let row = rows::get_system(&*self.ctx.index, LOST_KIND, &drive.to_string()).await?;
        Ok(row.map(|row| row.value))
    }

    async fn save(&self, drives: &BTreeSet<DriveId>, cursor: Bytes) -> Result<()> {
        let mut batch = Batch::new();
        for drive in drives {
            let key = keys::system(LOST_KIND, &drive.to_string());
            batch.set(Table::System, key, Row::unordered(cursor.clone()));
        }
        self.ctx.commit_alone(batch).await
    }
}

/// What drives hold of a row, as far as it is not noted as missing already.
fn held(row: &PlacedRow, drives: &BTreeSet<DriveId>) -> Lost {
    let placement = &row.row.placement;
    let is_coded = placed::is_coded(&row.row.manifest);
    let holders = placement.holders.iter().copied().enumerate();
    holders
        .filter(|(at, _)| !is_coded || placement.missing & (1 << at) == 0)
        .filter(|(_, drive)| drives.contains(drive))
        .collect()
}

impl Context {
    /// A drive is on the dead list, or out: rows that name it must be healed elsewhere.
    pub(crate) fn ask_lost(&self, drive: DriveId) {
        {
            let mut book = self.compares();
            book.lost.insert(drive);
            // It is compared when it comes back, if it does.
            book.pending.remove(&drive);
        }
        self.lost.ring();
    }

    /// A drive that was out is back: should it be lost again, everything is looked at anew.
    pub(crate) async fn forget_lost(&self, drive: DriveId) -> Result<()> {
        self.compares().lost.remove(&drive);
        self.forget_known_gone(drive).await?;
        let name = drive.to_string();
        if rows::get_system(&*self.index, LOST_KIND, &name)
            .await?
            .is_some()
        {
            let mut batch = Batch::new();
            batch.delete(Table::System, keys::system(LOST_KIND, &name));
            self.commit_alone(batch).await?;
        }
        Ok(())
    }
}

/// Notes in a row that holders lack what they should hold, if they still are holders, and queues it
/// under its new margin. Returns whether it did.
pub(super) async fn note_lost(ctx: &Context, row: &PlacedRow, lost: &Lost) -> Result<bool> {
    let Some(placed) = placed::find(&*ctx.index, &row.name).await? else {
        return Ok(false);
    };
    ctx.found_wrong(row.name.write());
    let manifest = placed.manifest().clone();
    let edit = |placement: &mut Placement| {
        let still = |(at, drive): &&(usize, DriveId)| placement.holders.get(*at) == Some(drive);
        let still: Lost = lost.iter().filter(still).copied().collect();
        if still.is_empty() {
            return None;
        }
        if placed::is_coded(&manifest) {
            let bits = still.iter().fold(0, |bits, (at, _)| bits | 1_u64 << at);
            placement.missing |= bits;
        } else {
            let kept = placement.holders.len() - still.len();
            let short = manifest.geometry.copies().saturating_sub(kept) as u64;
            placement.missing = placement.missing.max(short);
        }
        let mut change = Change::default();
        for margin in 0..=manifest.geometry.parity() as u8 {
            change.batch.delete_heal(margin, manifest.write);
        }
        let margin = placed::margin(&manifest, placement);
        change.batch.put_heal(margin, &row.name, &manifest);
        Some(change)
    };
    Ok(ctx.change(&placed, edit).await?.is_some())
}
