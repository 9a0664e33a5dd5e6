//! Looks at the bodies of what may never have been acknowledged.
//!
//! Owns: which records a merge does not take by their heads, and reading them.
//! Leaves to others: what follows for them ([`super::copies`], [`super::decide`]).
//! Always: what is found by fewer drives than acknowledge a write, and shown, could be read a
//! moment ago: it takes the place of what was acknowledged before it. Of a coded body that is so
//! where it must be asked: where absent drives cannot hold the rest, or something older goes.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{self, StreamExt};
use holdfast_protocol::rpc::{DriveError, DriveReply, DriveRequest};
use holdfast_protocol::{BucketId, DriveId, Order, RecordKind, VersionName, WriteId};

use super::facts::{BodyFact, Fact, Found, Records, coded, good_shards};
use super::gather::{Asking, holders};

/// Bodies read at the same time.
const READS: usize = 32;
/// How long a drive may take to read one shard, beside its deadline: the longest is some 1.2 GiB.
const SHARD_READ: Duration = Duration::from_secs(60);

/// Of what only one can exist.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    Null(BucketId, String),
    Part(WriteId, u16),
}

/// What a closer look found.
struct Looked {
    write: WriteId,
    bad: Vec<DriveId>,
    is_unreadable: bool,
}

impl Asking<'_> {
    /// Notes which copies and shards turn out to be damaged of records whose heads alone do not
    /// tell that they can be read.
    pub(crate) async fn look_closer(&self, records: &mut Records) {
        let oldest = oldest(records);
        let doubtful: Vec<Found> = records
            .found
            .values()
            .filter(|found| records.needs_closer_look(found, &oldest))
            .cloned()
            .collect();
        let mut looks = stream::iter(doubtful)
            .map(|found| async move { self.look(&found).await })
            .buffer_unordered(READS);
        let mut looked = Vec::new();
        while let Some(look) = looks.next().await {
            looked.push(look);
        }
        for look in looked {
            let Some(found) = records.found.get_mut(&look.write) else {
                continue;
            };
            found.is_unreadable = look.is_unreadable;
            for kept in &mut found.copies {
                kept.is_damaged |= look.bad.contains(&kept.drive);
            }
            found.copies.sort_unstable();
        }
    }

    async fn look(&self, found: &Found) -> Looked {
        let write = found.write;
        let Some((_, _, digests)) = coded(found.fact.as_ref()) else {
            let (kept, bad) = self.read(write, &holders(&found.copies), true).await;
            return Looked {
                write,
                bad,
                is_unreadable: kept.is_none(),
            };
        };
        let mut shards = Vec::new();
        for (shard, drives) in good_shards(found, digests) {
            shards.extend(drives.into_iter().map(|drive| (shard, drive)));
        }
        let read = shards.into_iter().map(|(shard, drive)| async move {
            let is_bad = self.is_shard_bad(drive, write, shard).await;
            is_bad.then_some(drive)
        });
        Looked {
            write,
            bad: join_all(read).await.into_iter().flatten().collect(),
            is_unreadable: false,
        }
    }

    /// Whether a shard cannot be read from its medium; one that is not answered for is not bad.
    async fn is_shard_bad(&self, drive: DriveId, write: WriteId, shard: u8) -> bool {
        let request = DriveRequest::Verify { write, shard };
        let deadline = self.deadline + SHARD_READ;
        let is_bad = match self.store.drives().call(drive, deadline, request).await {
            Ok(DriveReply::Verified { bad, .. }) => !bad.is_empty(),
            Ok(_) => false,
            Err(error) => matches!(
                error,
                DriveError::NotFound
                    | DriveError::Purged
                    | DriveError::Damaged { .. }
                    | DriveError::Io { .. }
            ),
        };
        if is_bad {
            tracing::warn!(%drive, %write, shard, "shard of an unfinished write unreadable");
        }
        is_bad
    }
}

impl Records {
    fn needs_closer_look(&self, found: &Found, oldest: &BTreeMap<Slot, Order>) -> bool {
        if found.is_known || found.kind != RecordKind::Commit {
            return false;
        }
        match &found.fact {
            Some(
                Fact::Version {
                    geometry,
                    body: BodyFact::Small,
                    ..
                }
                | Fact::Part {
                    geometry,
                    body: BodyFact::Small,
                    ..
                },
            ) => {
                let good = found.copies.iter().filter(|copy| !copy.is_damaged);
                good.count() < geometry.copies()
            }
            fact => coded(fact.as_ref()).is_some_and(|(geometry, _, digests)| {
                let good = good_shards(found, digests).len();
                let slot = fact.as_ref().and_then(slot_of);
                let first = slot.and_then(|slot| oldest.get(&slot));
                let covers = first.is_some_and(|first| *first < found.order);
                (geometry.data()..geometry.write_quorum()).contains(&good)
                    && (covers || !self.may_be_acknowledged(found))
            }),
        }
    }
}

/// Of each slot the oldest record that was found.
fn oldest(records: &Records) -> BTreeMap<Slot, Order> {
    let mut oldest: BTreeMap<Slot, Order> = BTreeMap::new();
    for found in records.found.values() {
        if let Some(slot) = found.fact.as_ref().and_then(slot_of) {
            let order = oldest.entry(slot).or_insert(found.order);
            *order = found.order.min(*order);
        }
    }
    oldest
}

fn slot_of(fact: &Fact) -> Option<Slot> {
    match fact {
        Fact::Version {
            bucket,
            key,
            name: VersionName::Null,
            ..
        } => Some(Slot::Null(*bucket, key.clone())),
        Fact::Part { upload, number, .. } => Some(Slot::Part(*upload, *number)),
        _ => None,
    }
}
