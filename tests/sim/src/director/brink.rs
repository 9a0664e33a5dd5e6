//! Versions that one more loss would destroy.
//!
//! Owns: whether a drive holds what is needed to read a version, and waiting until none does.
//! Leaves to others: what is broken when ([`crate::plan`]), healing.
//! Always: asked of the index that is served, or that a gateway left; what no row shows may go.

use holdfast_index::{MemoryIndex, Table};
use holdfast_protocol::row::{PartRow, UploadRow, VersionRow};
use holdfast_protocol::{Body, DriveId, Geometry, Placement};

use super::{Director, Done, HEAL_MAX};
use crate::verdict;

impl Director {
    /// Whether a version that is shown cannot be read without this drive: a write that was not
    /// acknowledged may come to light with as few shards as it takes to read it, and promises no
    /// more until it is healed.
    pub(super) async fn is_last(&self, drive: DriveId) -> Done<bool> {
        let served = self.gateway.as_ref().map(|it| it.index.snapshot());
        match served.as_ref().or(self.memory.as_ref()) {
            Some(index) => is_last(index, drive).await,
            None => Ok(false),
        }
    }

    /// Waits until every version can be read without this drive.
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

async fn is_last(index: &MemoryIndex, drive: DriveId) -> Done<bool> {
    let tables = [
        Table::Current,
        Table::Noncurrent,
        Table::Part,
        Table::Upload,
    ];
    for table in tables {
        for (_, row) in verdict::rows(index, table).await? {
            let placed = match table {
                // Beside each upload there is a row that leads to it.
                Table::Upload => match UploadRow::decode(&row.value) {
                    Ok(row) => (row.manifest, row.placement),
                    Err(_) => continue,
                },
                Table::Part => {
                    let row = PartRow::decode(&row.value).map_err(verdict::damaged)?;
                    (row.manifest, row.placement)
                }
                _ => {
                    let row = VersionRow::decode(&row.value).map_err(verdict::damaged)?;
                    (row.manifest, row.placement)
                }
            };
            if needs(placed.0.geometry, &placed.0.body, &placed.1, drive) {
                return Ok(true);
            }
        }
    }
    Ok(false)
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
