//! Removing noncurrent versions, many by one commit.
//!
//! Owns: their tombstones and their commit.
//! Leaves to others: which versions go ([`super::expire`]).
//! Always: all that can fail but the tombstones comes before them; what has a durable tombstone
//! goes with the commit, whatever became of the others, so that none is left behind which a later
//! start would act upon.

use std::collections::VecDeque;

use futures::future::join_all;
use holdfast_index::rows;
use holdfast_index::{Batch, Transaction};
use holdfast_protocol::{Manifest, Order, Record, TombstoneTarget};
use holdfast_store::placement::group_of;

use crate::error::GatewayError;
use crate::notify::EventKind;
use crate::object::bucket::Bucket;
use crate::object::service::{Retired, Service, note_seen, queue_purge};
use crate::object::version::VersionId;

/// Tombstones that are made durable at once.
const AT_ONCE: usize = 32;
/// A commit of this weight takes no more versions.
const BATCH_BYTES: usize = 4 << 20;

/// A noncurrent version that goes.
struct Removal {
    order: Order,
    tombstone: Record,
    manifest: Manifest,
    retired: Retired,
    batch: Batch,
}

impl Service {
    /// Removes noncurrent versions for good, the last first, by one commit. Returns how many: it
    /// ends early where the commit gets too large or a drive fails.
    pub(super) async fn remove_noncurrent(
        &self,
        mut txn: Box<dyn Transaction>,
        bucket: &Bucket,
        key: &str,
        going: &VecDeque<VersionId>,
    ) -> Result<u64, GatewayError> {
        let going: Vec<VersionId> = going.iter().rev().copied().collect();
        let (mut batch, mut count, mut failed) = (Batch::new(), 0, None);
        for some in going.chunks(AT_ONCE) {
            let added = self.add_removals(&mut *txn, &mut batch, bucket, key, some);
            let (added, outcome) = added.await;
            count += added;
            failed = outcome.err();
            if failed.is_some() || batch.weight() > BATCH_BYTES {
                break;
            }
        }
        match failed {
            Some(error) if count == 0 => return Err(error),
            // What is durable takes effect; the next look meets the fault again.
            _ => {}
        }
        self.commit(txn, batch).await?;
        self.notify(true, false);
        Ok(count)
    }

    /// Makes the tombstones of noncurrent versions durable, and adds the removal of those to
    /// `batch` whose tombstone is: one that could count after a crash is never left without its
    /// commit. Returns how many, and why not all.
    async fn add_removals(
        &self,
        txn: &mut dyn Transaction,
        batch: &mut Batch,
        bucket: &Bucket,
        key: &str,
        going: &[VersionId],
    ) -> (u64, Result<(), GatewayError>) {
        let mut removals = Vec::new();
        for id in going {
            // All that may fail but the tombstones themselves comes before any of them.
            match self.removal(txn, bucket, key, *id).await {
                Ok(removal) => removals.push(removal),
                Err(error) => return (0, Err(error)),
            }
        }
        let sealing = removals.iter();
        let sealing = sealing.map(|removal| self.seal(&removal.tombstone, bucket.id, key));
        let sealed = join_all(sealing).await;
        let group = self.store.group(group_of(bucket.id, key));
        let (mut count, mut outcome) = (0, Ok(()));
        for (removal, sealed) in removals.into_iter().zip(sealed) {
            let sealed = match sealed {
                Ok(sealed) => sealed,
                Err(error) => {
                    outcome = outcome.and(Err(error.into()));
                    continue;
                }
            };
            let write = removal.tombstone.write();
            let guard = (write, &sealed.placement, group.clone());
            let happened = (EventKind::Expired, &removal.manifest, removal.order);
            outcome = outcome.and(self.announce(batch, bucket, happened, None));
            batch.append(removal.batch);
            queue_purge(batch, removal.order, removal.retired, Some(guard));
            note_seen(batch, &sealed.seen);
            count += 1;
        }
        (count, outcome)
    }

    /// What removing a noncurrent version takes, nothing of which is done yet.
    async fn removal(
        &self,
        txn: &mut dyn Transaction,
        bucket: &Bucket,
        key: &str,
        id: VersionId,
    ) -> Result<Removal, GatewayError> {
        let found = rows::get_version(&mut *txn, bucket.id, key, id.which()).await?;
        let (_, row) = found.ok_or_else(|| GatewayError::Internal {
            what: format!("version {id} was listed and is not there"),
        })?;
        let target = match id {
            VersionId::Null => TombstoneTarget::Null,
            VersionId::Ordered(version) => TombstoneTarget::Version {
                version,
                write: row.manifest.write,
            },
        };
        let order = txn.take_order();
        let (mut batch, mut retired) = (Batch::new(), Retired::default());
        batch.delete_noncurrent(&row.manifest);
        batch.count(&row.manifest, -1);
        self.retire_version(&row, &mut retired, &mut batch).await?;
        Ok(Removal {
            order,
            tombstone: self.tombstone(order, bucket.id, key, target),
            manifest: row.manifest,
            retired,
            batch,
        })
    }
}
