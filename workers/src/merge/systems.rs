//! System records and the life of buckets.
//!
//! Owns: the newest record of each kind and name, and which buckets exist.
//! Leaves to others: what is in them.
//! Always: the highest order found counts, whether it reached its quorum or not; it is written back
//! before it is used.

use std::collections::BTreeMap;

use holdfast_protocol::{BucketId, Order};

use super::decide::{Deciding, Fate};
use super::facts::{BUCKET_KIND, Fact, Found};

impl<'a> Deciding<'a> {
    /// Decides system records.
    pub(super) fn systems(&mut self) {
        let mut named: BTreeMap<(&str, &str), Vec<&'a Found>> = BTreeMap::new();
        for found in self
            .records
            .found
            .values()
            .filter(|found| !self.is_voided(found))
        {
            if let Some(Fact::System { kind, name, .. }) = &found.fact {
                named.entry((kind, name)).or_default().push(found);
            }
        }
        let newest = self.newest_in_buckets();
        for ((kind, _), mut list) in named {
            Self::descending(&mut list);
            let mut winner = None;
            for (at, found) in list.iter().enumerate() {
                let fate = match winner {
                    Some(()) => Fate::OldSystem,
                    None if kind == BUCKET_KIND
                        && is_disproved(found, &list[at + 1..], &newest) =>
                    {
                        Fate::Void
                    }
                    None => {
                        winner = Some(());
                        if let Some(Fact::System {
                            bucket: Some(bucket),
                            ..
                        }) = found.fact
                        {
                            self.live.insert(bucket);
                        }
                        if kind == BUCKET_KIND {
                            self.deleted.extend(deleted(found, &list[at + 1..]));
                        }
                        Fate::System
                    }
                };
                self.set(found, fate);
            }
        }
    }

    /// The highest order of anything in each bucket, whatever became of it: its writer saw the
    /// bucket.
    fn newest_in_buckets(&self) -> BTreeMap<BucketId, Order> {
        let mut newest: BTreeMap<BucketId, Order> = BTreeMap::new();
        for found in self.records.found.values() {
            if let Some(bucket) = found.fact.as_ref().and_then(Fact::bucket) {
                let order = newest.entry(bucket).or_default();
                *order = found.order.max(*order);
            }
        }
        newest
    }
}

/// Clause 5: a DeleteBucket is disproved by anything in the bucket of higher order.
fn is_disproved(deletion: &Found, older: &[&Found], newest: &BTreeMap<BucketId, Order>) -> bool {
    if deletion.is_known {
        return false;
    }
    let last = deleted(deletion, older).and_then(|bucket| newest.get(&bucket));
    last.is_some_and(|last| *last > deletion.order)
}

/// The bucket that a record deletes, if it does.
fn deleted(deletion: &Found, older: &[&Found]) -> Option<BucketId> {
    let is_deletion = matches!(
        deletion.fact,
        Some(Fact::System {
            is_deleted: true,
            ..
        })
    );
    let bucket = |found: &&Found| match found.fact {
        Some(Fact::System { bucket, .. }) => bucket,
        _ => None,
    };
    older.iter().find_map(bucket).filter(|_| is_deletion)
}
