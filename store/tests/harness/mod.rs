//! Six drives and a store over them.
//!
//! Owns: starting and closing them, writing and reading bodies, drives that go or hang.
//! Leaves to others: what is tested.
//! Always: nothing fails unless a test says so.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use holdfast_protocol::rpc::{DriveCall, DriveError, DriveReply, DriveRequest};
use holdfast_protocol::{
    Body, BucketId, ByteRange, ClaimantId, ClusterId, DriveId, DriveUse, ETag, Generation,
    Geometry, GroupId, IndexId, Manifest, ManifestKind, MapDrive, MapVersion, Metadata, NodeId,
    Order, Record, VersionName, VersionRow, WriteId,
};
use holdfast_seam::{NodeClient, World};
use holdfast_shard_node::{Drive, DriveConfig, FormatOptions, Node};
use holdfast_store::placement::compute_map;
use holdfast_store::{
    BodyPlan, Drives, Sealed, Serving, StagedBody, Store, StoreConfig, StoreError, StoreMetrics,
    Trouble,
};
use tokio::sync::mpsc;

pub const CLUSTER: ClusterId = ClusterId::new(7);

pub struct Cluster {
    pub store: Store,
    pub node: Arc<Node>,
    pub ids: Vec<DriveId>,
    pub dirs: Vec<PathBuf>,
    pub trouble: mpsc::Receiver<Trouble>,
    pub metrics: StoreMetrics,
    counter: u64,
    _dir: tempfile::TempDir,
}

impl Cluster {
    pub async fn start(geometry: Geometry, count: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = World::real(4);
        let ids: Vec<DriveId> = (1..=count).map(DriveId::new).collect();
        let mut drives = Vec::new();
        let mut dirs = Vec::new();
        for id in &ids {
            let path = dir.path().join(id.to_string());
            let options = FormatOptions::default();
            Drive::format(&world, &path, CLUSTER, *id, options)
                .await
                .unwrap();
            let config = DriveConfig {
                prewrite_bytes: 8 << 20,
                ..DriveConfig::default()
            };
            let drive = Drive::open(&world, config, &path, CLUSTER, Some(*id))
                .await
                .unwrap();
            drives.push(Arc::new(drive));
            dirs.push(path);
        }
        let node = Arc::new(Node::new(world.clone(), drives));
        let directory = Arc::new(Drives::new(world.clock.clone()));
        let (index, generation) = (IndexId::new(9), Generation::new(1));
        directory.serve(Serving {
            index,
            generation,
            ..Serving::default()
        });
        for id in &ids {
            directory.attach(*id, node.clone());
            let claim = DriveRequest::Claim {
                generation,
                claimant: ClaimantId::new(1),
                takeover: false,
            };
            let deadline = std::time::Duration::from_secs(10);
            let reply = directory.call(*id, deadline, claim).await.unwrap();
            assert_eq!(reply, DriveReply::Claimed);
        }
        let map = compute_map(CLUSTER, MapVersion::new(1), geometry, map_drives(&ids)).unwrap();
        let metrics = StoreMetrics::register(&prometheus::Registry::new()).unwrap();
        let (send, trouble) = mpsc::channel(64);
        let config = StoreConfig::default();
        let store = Store::new(config, world, directory, map, metrics.clone(), send);
        Self {
            store,
            node,
            ids,
            dirs,
            trouble,
            metrics,
            counter: 0,
            _dir: dir,
        }
    }

    pub fn next(&mut self) -> WriteId {
        self.counter += 1;
        WriteId {
            counter: self.counter,
            ..WriteId::from_key([1; 16])
        }
    }

    pub fn detach(&self, count: usize) -> Vec<DriveId> {
        let gone: Vec<DriveId> = self.ids[..count].to_vec();
        gone.iter().for_each(|&id| self.store.drives().detach(id));
        gone
    }

    pub fn attach_all(&self) {
        for &id in &self.ids {
            self.store.drives().attach(id, self.node.clone());
        }
    }

    /// Lets drives take calls and never answer.
    pub fn silence(&self, drives: &[DriveId]) {
        for &id in drives {
            self.store.drives().attach(id, Arc::new(Silent));
        }
    }

    /// Writes a body in pieces of `piece` bytes, and returns its row.
    pub async fn put(
        &mut self,
        body: &[u8],
        piece: usize,
        announce: bool,
    ) -> Result<VersionRow, StoreError> {
        let write = self.next();
        let group = GroupId::new(write.counter as u16 % 1024);
        let plan = BodyPlan {
            write,
            group,
            len: announce.then_some(body.len() as u64),
            checksum: None,
            geometry: None,
        };
        let pieces: Vec<_> = body
            .chunks(piece)
            .map(|c| Ok::<_, StoreError>(Bytes::copy_from_slice(c)))
            .collect();
        let staged = self.store.receive(plan, stream::iter(pieces)).await?;
        assert_eq!(staged.digests.len, body.len() as u64);
        let mut manifest = self.manifest(write, body.len() as u64);
        let sealed = match staged.body {
            StagedBody::Coded(coded) => {
                manifest.body = Body::Coded {
                    drives: coded.drives.clone(),
                    digests: coded.digests.clone(),
                };
                self.store.seal_coded(&manifest, coded).await?
            }
            StagedBody::Inline(bytes) => {
                manifest.body = Body::Inline;
                self.small(&manifest, bytes, group).await?
            }
            StagedBody::Empty => self.small(&manifest, Bytes::new(), group).await?,
        };
        Ok(VersionRow {
            manifest,
            placement: sealed.placement,
            changed: None,
        })
    }

    async fn small(
        &self,
        manifest: &Manifest,
        body: Bytes,
        group: GroupId,
    ) -> Result<Sealed, StoreError> {
        let record = Record::Commit {
            manifest: manifest.clone(),
            body,
        };
        self.store.seal_small(&record, group).await
    }

    fn manifest(&self, write: WriteId, len: u64) -> Manifest {
        let order = Order {
            generation: Generation::new(1),
            sequence: write.counter,
        };
        Manifest {
            kind: ManifestKind::Version(VersionName::Null),
            bucket: BucketId::new(1),
            key: format!("key-{}", write.counter),
            write,
            order,
            version: order,
            map_version: MapVersion::new(1),
            created_ms: 0,
            len,
            etag: ETag::default(),
            geometry: self.store.map().geometry,
            body: Body::Empty,
            checksum: None,
            metadata: Metadata::default(),
        }
    }

    pub async fn get(&self, row: &VersionRow, range: ByteRange) -> Result<Vec<u8>, StoreError> {
        let row = Arc::new(row.clone());
        let pieces: Vec<Bytes> = self.store.read(row, range).boxed().try_collect().await?;
        Ok(pieces.concat())
    }

    pub async fn close(self) {
        self.node.close().await;
    }
}

/// A node that hangs.
#[derive(Debug)]
struct Silent;

#[async_trait::async_trait]
impl NodeClient for Silent {
    async fn call(&self, _: DriveCall) -> Result<DriveReply, DriveError> {
        std::future::pending().await
    }
}

fn map_drives(ids: &[DriveId]) -> Vec<MapDrive> {
    let node = |id: &DriveId| NodeId::new(id.get());
    let usage = DriveUse::Active;
    ids.iter()
        .map(|id| MapDrive {
            id: *id,
            node: node(id),
            weight: 1,
            usage,
            is_whole: true,
        })
        .collect()
}

/// Bytes that no two lengths or seeds share.
pub fn body(len: usize, seed: u64) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x as u8
        })
        .collect()
}
