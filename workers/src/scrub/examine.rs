//! Looks at one write on one drive.
//!
//! Owns: reading its record and its shard, and reporting what is bad.
//! Leaves to others: mending it ([`crate::heal`], [`crate::compare`]).
//! Always: a drive that does not answer is an error, not a finding.

use std::time::Duration;

use holdfast_protocol::rpc::{DriveError, DriveReply, DriveRequest, InventoryEntry};
use holdfast_protocol::{BLOCK_LEN, DriveId, Record, RecordKind, WriteId};
use holdfast_store::{Trouble, row_name, survey};

use crate::context::{CompareReason, Context};
use crate::error::chain;

/// Slowest reading of a medium that is waited for, in bytes per second.
const VERIFY_RATE: u64 = 4 << 20;

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Examined {
    /// Bytes verified.
    pub(super) bytes: u64,
    /// Whether record or shard is bad; it was reported.
    pub(super) is_bad: bool,
}

/// Reads record and shard of a write, and reports what is bad.
///
/// # Errors
/// The drive cannot be asked now.
pub(super) async fn examine(
    ctx: &Context,
    drive: DriveId,
    entry: &InventoryEntry,
) -> Result<Examined, DriveError> {
    let (drives, cluster) = (ctx.store.drives(), ctx.store.cluster());
    let (write, deadline) = (entry.write, ctx.config.drive_deadline);
    let kept = survey::read_record(drives, cluster, drive, deadline, write, true).await;
    let kept = match judge(ctx, entry, drive, kept)? {
        Read::Good(kept) => kept,
        Read::Gone => return Ok(Examined::default()),
        Read::Bad(error) => {
            ctx.found_bad(drive, entry, None, "record", &error).await;
            return Ok(Examined {
                bytes: 0,
                is_bad: true,
            });
        }
    };
    let mut bytes = (kept.encoded.head.len() + kept.encoded.body.len()) as u64;
    let mut bad = None;
    if let Some((shard, _)) = kept.shard {
        let request = DriveRequest::Verify { write, shard };
        let len = match &kept.record {
            Record::Commit { manifest, .. } => manifest.len / manifest.geometry.data() as u64,
            _ => 0,
        };
        let deadline = deadline + Duration::from_secs(len / VERIFY_RATE);
        let verified = drives.call(drive, deadline, request).await;
        match judge(ctx, entry, drive, verified)? {
            Read::Good(DriveReply::Verified { bad: found, blocks }) => {
                bytes += blocks * u64::from(BLOCK_LEN);
                bad = found
                    .first()
                    .map(|(stripe, block)| format!("block {block} of stripe {stripe}"));
            }
            Read::Good(_) => bad = Some("unexpected answer".to_owned()),
            Read::Gone => {}
            Read::Bad(error) => bad = Some(error.to_string()),
        }
    }
    ctx.metrics.scrub.bytes.inc_by(bytes);
    ctx.metrics.scrub.records.inc();
    if let Some(why) = &bad {
        let error = DriveError::Damaged { what: why.clone() };
        let record = Some(&kept.record);
        ctx.found_bad(drive, entry, record, "shard", &error).await;
    }
    Ok(Examined {
        bytes,
        is_bad: bad.is_some(),
    })
}

enum Read<T> {
    Good(T),
    /// Purged meanwhile.
    Gone,
    Bad(DriveError),
}

/// What never comes although the drive answers others is as good as bad.
fn judge<T>(
    ctx: &Context,
    entry: &InventoryEntry,
    drive: DriveId,
    read: Result<T, DriveError>,
) -> Result<Read<T>, DriveError> {
    let is_hung = ctx.note_read(entry.write, drive, read.as_ref().err());
    match read {
        Err(error) if is_hung => Ok(Read::Bad(error)),
        Ok(value) => Ok(Read::Good(value)),
        Err(DriveError::NotFound | DriveError::Purged) => Ok(Read::Gone),
        Err(error @ (DriveError::Damaged { .. } | DriveError::Io { .. })) => Ok(Read::Bad(error)),
        Err(error) => Err(error),
    }
}

impl Context {
    /// Has what is bad mended: rows by the healer, guards and system records by a comparison.
    async fn found_bad(
        &self,
        drive: DriveId,
        entry: &InventoryEntry,
        record: Option<&Record>,
        kind: &'static str,
        error: &DriveError,
    ) {
        let write = entry.write;
        tracing::warn!(%drive, %write, kind, %error, "scrub found damage");
        self.metrics.scrub.errors.with_label_values(&[kind]).inc();
        let row = match record {
            Some(Record::Commit { manifest, .. }) => Some(row_name(manifest)),
            _ if entry.kind == RecordKind::Commit => self.name_elsewhere(drive, write).await,
            _ => None,
        };
        let Some(row) = row else {
            self.ask_compare(drive, CompareReason::Routine);
            return;
        };
        let queued = self.queue_troubles(vec![Trouble { row, drive }]).await;
        if let Err(error) = queued {
            let error = chain(&error);
            tracing::warn!(%write, error, "damage not queued; the next pass finds it again");
        }
    }

    /// The row of a write whose record is not readable on `drive`, by another copy.
    async fn name_elsewhere(
        &self,
        drive: DriveId,
        write: WriteId,
    ) -> Option<holdfast_protocol::row::RowName> {
        let (drives, cluster) = (self.store.drives(), self.store.cluster());
        let deadline = self.config.drive_deadline;
        for other in self.living().into_iter().filter(|other| *other != drive) {
            let kept = survey::read_record(drives, cluster, other, deadline, write, false).await;
            if let Ok(survey::KeptRecord {
                record: Record::Commit { manifest, .. },
                ..
            }) = kept
            {
                return Some(row_name(&manifest));
            }
        }
        None
    }
}
