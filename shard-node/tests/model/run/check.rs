//! Whether the drive is what the model says.
//!
//! Owns: reading everything back, and counting space.
//! Leaves to others: operations ([`super`]).
//! Always: wrong bytes with right checksums end the run, whatever was injected.

use std::path::Path;

use holdfast_protocol::rpc::{DriveError, DriveReply, DriveRequest};
use holdfast_seam::Disk;

use super::{DIR, Run, record_of, shard_of};
use crate::WRITES;
use crate::support::write_id;

impl Run {
    pub(crate) async fn check(&self) {
        if self.disk_is_off() {
            return;
        }
        self.drive().audit().unwrap();
        for write in 0..WRITES {
            self.check_write(write).await;
        }
        self.check_space();
    }

    fn disk_is_off(&self) -> bool {
        self.disk.list(Path::new(DIR)).is_err()
    }

    async fn check_write(&self, write: u64) {
        let known = self.known[&write];
        let id = write_id(write + 1);
        let request = DriveRequest::ReadRecord {
            write: id,
            with_body: true,
        };
        match (known.sealed, self.ask(request).await) {
            (Some(_), Ok(DriveReply::Record { record, .. })) => {
                assert_eq!(record, record_of(write), "record of {write}");
            }
            (Some(_), Err(DriveError::Damaged { .. })) => assert!(self.flipped, "{write}"),
            (None, Err(DriveError::NotFound)) => return,
            (sealed, other) => panic!("record of {write}, {sealed:?}: {other:?}"),
        }
        let Some(shard) = shard_of(write) else { return };
        let request = DriveRequest::Read {
            write: id,
            shard: shard.index,
            spans: shard.spans(),
        };
        match self.ask(request).await {
            Ok(DriveReply::Blocks { pieces }) => {
                for (cell, piece) in shard.cells.iter().zip(pieces) {
                    let same = piece.bytes == cell.bytes && piece.checksums == cell.checksums;
                    // The caller would notice: the checksums are bound to what they cover.
                    assert!(same || self.flipped, "blocks of {write}");
                }
            }
            other => assert!(self.flipped, "blocks of {write}: {other:?}"),
        }
    }

    /// Without doubt or damage, the space in use is what the sealed writes need.
    fn check_space(&self) {
        let doubt = self
            .known
            .values()
            .any(|known| known.maybe_sealed || known.maybe_purged);
        if doubt || self.leftovers || self.flipped || self.faulty || !self.staged.is_empty() {
            return;
        }
        let pages = |len: u64| len.div_ceil(4096) * 4096;
        let (mut least, mut most) = (0, 0);
        for (write, _) in self
            .known
            .iter()
            .filter(|(_, known)| known.sealed.is_some())
        {
            let record = record_of(*write).len() as u64;
            let shard = shard_of(*write).map_or(0, |shard| pages(shard.len()));
            let (spill, inline) = if record > 4096 {
                (pages(record), 0)
            } else {
                (0, record)
            };
            least += shard + spill + inline;
            most += shard + spill + inline + 2048;
        }
        let used = self.drive().status().used_bytes;
        assert!(
            (least..=most).contains(&used),
            "{least} <= {used} <= {most}"
        );
    }
}
