//! What the copies that were found of one record tell.
//!
//! Owns: whether a record is readable, whether it may have been acknowledged, and whether it is
//! only there because a drive forgot that it had purged it.
//! Leaves to others: what several records mean together ([`super::decide`]).
//! Always: a record that was acknowledged, and that lost no more than its margin, is readable or
//! may have been acknowledged, and is not forgotten.

use std::collections::BTreeSet;

use holdfast_protocol::{DriveId, RecordKind, WriteId};

use super::facts::{Found, Kept, Records, coded, good_shards};

impl Records {
    /// Whether the record can be used: known to the index, or one copy was read and, of a coded
    /// body, k shards are good.
    pub fn is_readable(&self, found: &Found) -> bool {
        if found.is_known {
            return true;
        }
        match coded(found.fact.as_ref()) {
            Some((geometry, _, digests)) => good_shards(found, digests).len() >= geometry.data(),
            None => found.fact.is_some() && !found.is_unreadable,
        }
    }

    /// Whether a record that cannot be read may have been acknowledged: copies seen plus absent
    /// drives reach the quorum, as each of these may hold a shard that was planned for it, or that
    /// was moved to it; or a shard is seen that has moved, which only happens after the commit.
    ///
    /// What a drive held that is gone counts only while another is absent. With all of them there,
    /// what was acknowledged was brought to others before its successor counted as whole, and is
    /// seen there; and nothing more will ever be found.
    pub fn may_be_acknowledged(&self, found: &Found) -> bool {
        if self.index_decides {
            return found.is_known;
        }
        let Some((geometry, drives, _)) = coded(found.fact.as_ref()) else {
            return found.copies.len() + self.unseen(found) >= self.geometry.copies();
        };
        let planned = |gone: &BTreeSet<DriveId>| -> BTreeSet<usize> {
            let shards = drives.iter().enumerate();
            let shards = shards.filter(|(_, drive)| gone.contains(*drive));
            shards.map(|(shard, _)| shard).collect()
        };
        // What was planned for a drive that is being filled was planned after it came.
        let unasked: BTreeSet<DriveId> = self.absent.difference(&self.filling).copied().collect();
        let may_have_another = |drive: &&DriveId| {
            !drives.contains(drive) && !found.copies.iter().any(|copy| copy.drive == **drive)
        };
        let moved = unasked.iter().filter(may_have_another).count();
        let mut shards = planned(&unasked);
        for copy in &found.copies {
            let Some((shard, _)) = copy.shard else {
                continue;
            };
            if drives.get(usize::from(shard)) != Some(&copy.drive) {
                return true;
            }
            shards.insert(shard.into());
        }
        if !self.absent.is_empty() {
            shards.extend(planned(&self.dead));
        }
        shards.len() + moved >= geometry.write_quorum()
    }

    /// Writes that are gone, and that only drives show which lost entries of their log: what they
    /// lost may have been the purge. Had such a write been acknowledged and not been retired, a
    /// drive that lost nothing would hold some of it, or enough drives are absent that all of it
    /// may be there.
    ///
    /// Guards and system records are taken as they are found.
    pub(super) fn forgotten(&self) -> BTreeSet<WriteId> {
        let is_partial = |copy: &Kept| self.partial.contains(&copy.drive);
        let is_forgotten = |found: &&Found| {
            let needed = match coded(found.fact.as_ref()) {
                Some((geometry, ..)) => geometry.write_quorum(),
                None => self.geometry_of(found).copies(),
            };
            found.kind == RecordKind::Commit
                && !found.is_known
                && found.copies.iter().all(is_partial)
                && found.copies.len() + self.unseen(found) < needed
        };
        match self.index_decides || self.partial.is_empty() {
            true => BTreeSet::new(),
            false => {
                let found = self.found.values().filter(is_forgotten);
                found.map(|found| found.write).collect()
            }
        }
    }

    /// Drives that were not asked, or are not whole, and of which no copy was found.
    fn unseen(&self, found: &Found) -> usize {
        let is_seen = |drive: &DriveId| found.copies.iter().any(|copy| copy.drive == *drive);
        self.absent.iter().filter(|drive| !is_seen(drive)).count()
    }

    /// Whether a record of which nothing at all was found may have been acknowledged.
    pub(crate) fn may_be_hidden(&self) -> bool {
        !self.index_decides && self.absent.len() >= self.geometry.copies()
    }
}
