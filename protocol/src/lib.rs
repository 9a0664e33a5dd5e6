//! Every byte that leaves or outlives a process.
//!
//! Owns: ids, units, the layout arithmetic of shards, manifests, records, index rows, drive
//! formats, RPC messages and frames, and the JSON of the admin API.
//! Leaves to others: doing anything with them. There is no I/O here.
//! Always: a decoder bounds every length before it allocates, checks magic, version and checksum,
//! and returns a typed error for anything else; it never panics.

pub mod account;
pub mod admin;
pub mod checksum;
pub mod codec;
pub mod drive;
pub mod ids;
pub mod layout;
pub mod manifest;
pub mod map;
pub mod record;
pub mod row;
pub mod rpc;

pub use account::{AccountRecord, KeyRecord, Sealed};
pub use checksum::{BlockIdentity, block_checksum};
pub use codec::FormatError;
pub use ids::{
    BucketId, ClaimantId, ClusterId, DriveId, GatewayId, Generation, GroupId, IndexId, LogId,
    MapVersion, MovedWrite, NodeId, Order, WriteId,
};
pub use layout::{BLOCK_LEN, ByteRange, CellRef, Geometry, STRIPE_LEN, ShardLayout};
pub use manifest::{
    Body, ChecksumKind, ChecksumType, ETag, Manifest, ManifestKind, Metadata, ObjectChecksum,
    PartRef, VersionName,
};
pub use map::{ClusterMap, DriveUse, MapDrive};
pub use record::{EncodedRecord, Record, RecordHead, RecordKind, TombstoneTarget};
pub use row::{
    BucketRow, MetadataRow, PartRow, Placement, PurgeKind, PurgeRow, UploadRow, VersionRow,
};
