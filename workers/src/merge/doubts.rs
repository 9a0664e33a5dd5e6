//! What a rebuild leaves in doubt, so that it is known while the index is served.
//!
//! Owns: rows for what could not be decided, and for the drives that could tell.
//! Leaves to others: their form (`index::doubt`), deciding ([`super::decide`]), having the index
//! rebuilt again once a drive is back ([`crate::reclaim`]).
//! Always: when more drives of a group were absent than may be, any key may exist.

use std::collections::BTreeSet;

use holdfast_index::{Batch, Row, Table, doubt, keys};
use holdfast_protocol::{ClusterMap, DriveId};

use super::decide::{Doubt, Fate, Merged};
use super::facts::Records;
use super::gather::check_absent;
use crate::claim::Claimed;
use crate::sweep::DOUBT_KIND;

/// The rows, in batches of not too many.
pub(super) fn rows(
    map: &ClusterMap,
    claimed: &Claimed,
    records: &Records,
    merged: &Merged,
) -> Vec<Batch> {
    let mut batches = vec![Batch::new()];
    let is_hidden = check_absent(map, &records.absent).is_err();
    if merged.doubts.is_empty() && !is_hidden {
        return batches;
    }
    let any = merged
        .doubts
        .iter()
        .any(|doubt| matches!(doubt, Doubt::Write(_)));
    if any || is_hidden {
        doubt::add_any(&mut batches[0]);
    }
    let awaited = awaited(map, claimed, records);
    // Who forced a rebuild wants to see what there is.
    if any && !is_hidden && !awaited.is_empty() {
        doubt::add_unlisted(&mut batches[0]);
    }
    for drive in awaited {
        doubt::add_drive(&mut batches[0], drive);
    }
    let doubtful = merged
        .fates
        .iter()
        .filter(|(_, fate)| **fate == Fate::Doubt);
    let writes: Vec<String> = doubtful.map(|(write, _)| write.to_string()).collect();
    for writes in writes.chunks(1000) {
        let mut batch = Batch::new();
        for write in writes {
            let key = keys::system(DOUBT_KIND, write);
            batch.set(Table::System, key, Row::unordered(bytes::Bytes::new()));
        }
        batches.push(batch);
    }
    let doubts: Vec<&Doubt> = merged.doubts.iter().collect();
    for doubts in doubts.chunks(1000) {
        let mut batch = Batch::new();
        for doubt in doubts {
            if let Doubt::Key { bucket, key } = doubt {
                doubt::add_key(&mut batch, *bucket, key);
            }
        }
        batches.push(batch);
    }
    batches
}

/// Drives that could tell more if they were asked. Those that answered and are not whole have said
/// all that they know.
fn awaited(map: &ClusterMap, claimed: &Claimed, records: &Records) -> BTreeSet<DriveId> {
    let filling: BTreeSet<DriveId> = map.filling().collect();
    let is_partial = |drive: &DriveId| {
        claimed.granted.contains(drive)
            && (filling.contains(drive)
                || claimed.blank.contains(drive)
                || claimed.lost_logs.contains(drive))
    };
    let absent = records.absent.iter().copied();
    absent.filter(|drive| !is_partial(drive)).collect()
}
