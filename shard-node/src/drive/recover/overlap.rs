//! Pages that two writes claim.
//!
//! Owns: finding such claims after replay, and settling them.
//! Leaves to others: how they came about: a purge between two writes was in a damaged batch.
//! Always: afterwards every page has one owner at most.

use std::collections::BTreeMap;

use holdfast_protocol::WriteId;
use holdfast_protocol::drive::{EntryHead, Extent, PAGE_LEN, TableEntry};

use super::Replay;

impl Replay<'_> {
    /// The pages that are in use. Where two writes claim the same (a purge between them was lost),
    /// the one whose blocks are gone is kept by name only.
    pub(super) fn resolve_overlaps(&mut self) -> Vec<Extent> {
        loop {
            let (used, doubtful) = self.claims();
            if doubtful.is_empty() {
                return used;
            }
            self.odd = true;
            for write in doubtful {
                tracing::error!(%write, "pages are claimed twice");
                self.forget_place(write);
            }
        }
    }

    /// All claimed extents, and the writes whose claims collide and do not hold what they should.
    fn claims(&self) -> (Vec<Extent>, Vec<WriteId>) {
        let count = (self.superblock.chunk_len / PAGE_LEN) as u32;
        let chunks = self.chunks.keys().copied().chain([self.tail.next_chunk]);
        let mut claims: Vec<(Extent, Option<WriteId>)> =
            chunks.map(|page| (Extent { page, count }, None)).collect();
        for row in self.table.after(None) {
            claims.extend(row.extents.iter().map(|extent| (*extent, Some(row.write))));
        }
        claims.sort_unstable_by_key(|claim| claim.0);
        let mut colliding: BTreeMap<WriteId, bool> = BTreeMap::new();
        let mut last: Option<(u64, Option<WriteId>)> = None;
        for (extent, owner) in &claims {
            if let Some((end, other)) = last
                && extent.page < end
            {
                let with_log = owner.is_none() || other.is_none();
                for write in [*owner, other].into_iter().flatten() {
                    *colliding.entry(write).or_default() |= with_log;
                }
            }
            if last.is_none_or(|(end, _)| end < extent.end()) {
                last = Some((extent.end(), *owner));
            }
        }
        let mut doubtful: Vec<WriteId> = colliding
            .iter()
            .filter(|(write, with_log)| **with_log || !self.holds(**write))
            .map(|(write, _)| *write)
            .collect();
        if doubtful.is_empty() {
            doubtful.extend(colliding.keys().copied());
        }
        (claims.into_iter().map(|claim| claim.0).collect(), doubtful)
    }

    /// Whether a held write can be read whole.
    fn holds(&self, write: WriteId) -> bool {
        let Some(row) = self.table.get(write) else {
            return false;
        };
        let mut bytes = vec![0; row.len as usize];
        if self.files.read(row.address, &mut bytes).is_err() {
            return false;
        }
        EntryHead::decode(&bytes).is_ok_and(|head| self.is_readable(&bytes, 0, &head))
    }

    fn forget_place(&mut self, write: WriteId) {
        if let Some(row) = self.table.get(write) {
            self.table.insert(&TableEntry {
                damaged: true,
                extents: Vec::new(),
                ..row
            });
        }
    }
}
