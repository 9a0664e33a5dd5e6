//! Reads records: one good copy is enough.
//!
//! Owns: which copy is asked first, asking another when one fails or is slow, and verification.
//! Leaves to others: coded bodies ([`crate::reader`]).
//! Always: what leaves here passed its checksums and belongs to the write that was asked for.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt};
use holdfast_protocol::rpc::{DriveError, DriveReply, DriveRequest};
use holdfast_protocol::{ByteRange, DriveId, EncodedRecord, Record, VersionRow, WriteId};

use crate::error::StoreError;
use crate::reader::Who;
use crate::store::Store;

impl Store {
    pub(crate) async fn read_inline(
        &self,
        row: &VersionRow,
        range: ByteRange,
        who: Who,
    ) -> Result<Bytes, StoreError> {
        let _client = self.enter(who);
        let record = self.read_record(row, true).await?;
        let len = record.body.len() as u64;
        let (start, end) = (range.start.min(len), range.end.min(len));
        Ok(record.body.slice(start as usize..end.max(start) as usize))
    }

    /// A copy of a row's record, verified: the first good one. Another holder is asked as soon as
    /// one fails or is slow.
    ///
    /// # Errors
    /// `NoCopy` if none has one.
    pub async fn read_record(
        &self,
        row: &VersionRow,
        with_body: bool,
    ) -> Result<EncodedRecord, StoreError> {
        let write = row.manifest.write;
        let order = self.by_reachability(&row.placement.holders, write);
        let ask = |drive| async move { (drive, self.record_from(drive, write, with_body).await) };
        let mut candidates = order.iter().copied();
        let mut reads: FuturesUnordered<_> = candidates.next().map(ask).into_iter().collect();
        let mut slow = self.world().clock.sleep(self.copy_delay(&order));
        loop {
            tokio::select! {
                biased;
                read = reads.next() => match read {
                    None => return Err(StoreError::NoCopy { write }),
                    Some((_, Ok(record))) => return Ok(record),
                    Some((drive, Err(error))) => {
                        self.copy_failed(row, drive, &error);
                        reads.extend(candidates.next().map(ask));
                    }
                },
                () = &mut slow => {
                    if let Some(next) = candidates.next() {
                        self.shared.metrics.hedged_reads.inc();
                        reads.push(ask(next));
                    }
                    slow = self.world().clock.sleep(self.copy_delay(&order));
                }
            }
        }
    }

    fn copy_failed(&self, row: &VersionRow, drive: DriveId, error: &DriveError) {
        self.count_read_error(error);
        if !matches!(error, DriveError::Unreachable { .. } | DriveError::TimedOut) {
            self.trouble(&row.manifest, drive);
        }
        let write = row.manifest.write;
        tracing::warn!(%drive, %write, %error, "record unreadable, trying another copy");
    }

    /// How long one copy is waited for before the next is asked.
    fn copy_delay(&self, holders: &[DriveId]) -> Duration {
        let means = holders
            .iter()
            .filter_map(|&drive| self.drives().read_latency(drive));
        let mean = means.min().unwrap_or_default();
        self.config().hedge_delay_min.max(mean * 4)
    }

    /// Reachable drives first, rotated by the write so that copies share the load.
    fn by_reachability(&self, holders: &[DriveId], write: WriteId) -> Vec<DriveId> {
        let mut order = holders.to_vec();
        if !order.is_empty() {
            let by = write.counter as usize % order.len();
            order.rotate_left(by);
        }
        order.sort_by_key(|&drive| !self.shared.drives.is_reachable(drive));
        order
    }

    /// A drive's copy of a record, its checksums verified (that of the body only if it was wanted).
    ///
    /// # Errors
    /// What the drive says, or `Damaged`.
    pub async fn record_from(
        &self,
        drive: DriveId,
        write: WriteId,
        with_body: bool,
    ) -> Result<EncodedRecord, DriveError> {
        let request = DriveRequest::ReadRecord { write, with_body };
        let reply = self
            .shared
            .drives
            .call(drive, self.config().drive_deadline, request)
            .await?;
        let DriveReply::Record { record, .. } = reply else {
            return Err(DriveError::BadRequest {
                what: "unexpected answer".to_owned(),
            });
        };
        let damaged = |what: &dyn std::fmt::Display| {
            self.shared.metrics.checksum_failures.inc();
            DriveError::Damaged {
                what: what.to_string(),
            }
        };
        let head = match with_body {
            true => record.verify(self.cluster()).map_err(|e| damaged(&e))?,
            false => {
                let decoded = Record::decode(&record).map_err(|e| damaged(&e))?;
                if decoded.write() != write {
                    return Err(damaged(&"another write's record"));
                }
                return Ok(record);
            }
        };
        match head.write == write {
            true => Ok(record),
            false => Err(damaged(&"another write's record")),
        }
    }

    pub(crate) fn count_read_error(&self, error: &DriveError) {
        let reason = match error {
            DriveError::NotFound | DriveError::NoSuchDrive | DriveError::Purged => "missing",
            DriveError::Damaged { .. } | DriveError::Arrived { .. } => "damaged",
            DriveError::TimedOut | DriveError::Busy => "slow",
            DriveError::Unreachable { .. } => "unreachable",
            _ => "refused",
        };
        self.shared
            .metrics
            .read_errors
            .with_label_values(&[reason])
            .inc();
    }
}
