//! A drive over the simulated disk, with virtual time.
//!
//! Owns: starting it, crashing it, finding bytes on its disk.
//! Leaves to others: what is tested.
//! Always: nothing fails unless a test says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_protocol::rpc::{DriveError, DriveReply, DriveRequest, DriveStatus};
use holdfast_seam::World;
use holdfast_shard_node::{Drive, DriveConfig, FormatOptions, NodeError};
use holdfast_sim::SimDisk;

use super::*;

pub const DIR: &str = "/drive";

pub fn config() -> DriveConfig {
    DriveConfig {
        reserve_bytes: 0,
        prewrite_bytes: 0,
        checkpoint_log_bytes: 1 << 20,
        ..DriveConfig::default()
    }
}

pub struct Rig {
    pub disk: SimDisk,
    pub world: World,
    pub config: DriveConfig,
}

impl Rig {
    pub async fn new(config: DriveConfig) -> (Self, Drive) {
        let disk = SimDisk::new(1);
        let world = world::world(Arc::new(disk.clone()), 1);
        let options = FormatOptions {
            arena_len: 8 << 20,
            chunk_len: 64 << 10,
        };
        Drive::format(&world, Path::new(DIR), CLUSTER, DRIVE, options)
            .await
            .unwrap();
        let rig = Self {
            disk,
            world,
            config,
        };
        let drive = rig.open().await.unwrap();
        (rig, drive)
    }

    pub async fn open(&self) -> Result<Drive, NodeError> {
        let config = self.config.clone();
        Drive::open(&self.world, config, Path::new(DIR), CLUSTER, Some(DRIVE)).await
    }

    pub async fn crash(&self, drive: Drive) -> Drive {
        drive.abandon().await;
        self.disk.crash();
        self.open().await.unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        Path::new(DIR).join(name)
    }

    /// Where `needle` lies in the first arena, the last time.
    pub fn find(&self, needle: &[u8]) -> u64 {
        let bytes = self.disk.contents(&self.path("space.0")).unwrap();
        let at = bytes.windows(needle.len()).rposition(|part| part == needle);
        at.unwrap() as u64
    }
}

pub async fn status(drive: &Drive) -> DriveStatus {
    match ask(drive, DriveRequest::Status).await {
        Ok(DriveReply::Status(status)) => status,
        other => panic!("{other:?}"),
    }
}

pub async fn purge(drive: &Drive, writes: impl IntoIterator<Item = u64>) {
    let writes = writes.into_iter().map(write_id).collect();
    let purged = ask(
        drive,
        DriveRequest::Purge {
            order: Order::ZERO,
            writes,
        },
    )
    .await;
    assert!(
        matches!(purged, Ok(DriveReply::Purged { .. })),
        "{purged:?}"
    );
}

pub async fn verify(drive: &Drive, shard: &Shard) -> Result<DriveReply, DriveError> {
    let request = DriveRequest::Verify {
        write: shard.write,
        shard: shard.index,
    };
    ask(drive, request).await
}
