//! Versions that one more loss would destroy.
//!
//! Owns: which versions came to light although they were not acknowledged; whether a drive holds
//! what is needed to read one of those, and waiting until none does.
//! Leaves to others: what is broken when ([`crate::plan`]), healing.
//! Always: what was acknowledged is not spared: it must survive the loss of any drive.

use std::collections::BTreeSet;

use holdfast_index::{MemoryIndex, Table};
use holdfast_protocol::row::{PartRow, UploadRow, VersionRow};
use holdfast_protocol::{Body, DriveId, Geometry, Manifest, Placement, WriteId};

use super::{Director, Done, HEAL_MAX};
use crate::verdict;

/// What merges showed.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// The index as the last gateway that served left it: all that was acknowledged is in it.
    before: Option<MemoryIndex>,
    /// As the next one served it first.
    after: Option<MemoryIndex>,
    writes: BTreeSet<WriteId>,
}

impl Shown {
    /// A gateway that served has ended.
    pub(super) fn end(&mut self, index: MemoryIndex) {
        self.before = Some(index);
    }

    /// A gateway serves; no client has asked it for anything.
    pub(super) fn begin(&mut self, index: MemoryIndex) {
        self.after = Some(index);
    }

    /// Notes what came to light, if one began.
    pub(super) async fn look(&mut self) -> Done<()> {
        if let (Some(before), Some(after)) = (&self.before, self.after.take()) {
            let known: BTreeSet<WriteId> = writes(before).await?;
            let shown = writes(&after).await?;
            self.writes.extend(shown.difference(&known));
        }
        Ok(())
    }
}

impl Director {
    /// Whether a version that a merge showed cannot be read without this drive: it may have come to
    /// light with as few shards as it takes to read it, and promises no more until it is healed.
    pub(super) async fn is_last(&self, drive: DriveId) -> Done<bool> {
        if self.shown.writes.is_empty() {
            return Ok(false);
        }
        let served = self.gateway.as_ref().map(|it| it.index.snapshot());
        let Some(index) = served.as_ref().or(self.memory.as_ref()) else {
            return Ok(false);
        };
        let placed = placed(index).await?;
        Ok(placed.iter().any(|(manifest, placement)| {
            self.shown.writes.contains(&manifest.write)
                && needs(manifest.geometry, &manifest.body, placement, drive)
        }))
    }

    /// Waits until every such version can be read without this drive.
    pub(super) async fn spared(&mut self, drive: DriveId) -> Done<()> {
        let deadline = self.exec.now() + HEAL_MAX.as_nanos() as u64;
        while self.is_last(drive).await? && self.exec.now() < deadline {
            self.load.slow_down(true);
            for _ in 0..40 {
                self.tick().await?;
            }
        }
        Ok(())
    }
}

async fn writes(index: &MemoryIndex) -> Done<BTreeSet<WriteId>> {
    let placed = placed(index).await?.into_iter();
    Ok(placed.map(|(manifest, _)| manifest.write).collect())
}

/// Versions, parts and uploads, and where they are.
async fn placed(index: &MemoryIndex) -> Done<Vec<(Manifest, Placement)>> {
    let tables = [
        Table::Current,
        Table::Noncurrent,
        Table::Part,
        Table::Metadata,
        Table::Upload,
    ];
    let mut placed = Vec::new();
    for table in tables {
        for (_, row) in verdict::rows(index, table).await? {
            placed.push(match table {
                // Beside each upload there is a row that leads to it.
                Table::Upload => match UploadRow::decode(&row.value) {
                    Ok(row) => (row.manifest, row.placement),
                    Err(_) => continue,
                },
                Table::Part | Table::Metadata => {
                    let row = PartRow::decode(&row.value).map_err(verdict::damaged)?;
                    (row.manifest, row.placement)
                }
                _ => {
                    let row = VersionRow::decode(&row.value).map_err(verdict::damaged)?;
                    (row.manifest, row.placement)
                }
            });
        }
    }
    Ok(placed)
}

/// Whether too little is left of a version without this drive.
fn needs(geometry: Geometry, body: &Body, placement: &Placement, drive: DriveId) -> bool {
    let Some(at) = placement.holders.iter().position(|it| *it == drive) else {
        return false;
    };
    match body {
        Body::Coded { .. } => {
            let good = placement.holders.len() - placement.missing.count_ones() as usize;
            placement.missing & (1 << at) == 0 && good <= geometry.data()
        }
        _ => geometry.copies() as u64 <= placement.missing + 1,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_version_needs_a_drive_when_it_has_no_shard_or_copy_to_spare() {
        let geometry = Geometry::new(2, 1).unwrap();
        let of = |missing| Placement {
            holders: (1..=3).map(DriveId::new).collect(),
            missing,
            touched: Vec::new(),
        };
        let coded = Body::Coded {
            drives: Vec::new(),
            digests: Vec::new(),
        };
        let is_last =
            |body, missing, drive| needs(geometry, body, &of(missing), DriveId::new(drive));
        assert!(!is_last(&coded, 0b000, 1));
        assert!(is_last(&coded, 0b100, 1));
        assert!(!is_last(&coded, 0b100, 3), "nothing is there");
        assert!(!is_last(&coded, 0b100, 4));
        assert!(!is_last(&Body::Inline, 0, 1));
        assert!(is_last(&Body::Inline, 1, 1));
    }
}
