//! Random values of every format, from a seed.

use bytes::Bytes;
use holdfast_protocol::ids::{
    BucketId, ClaimantId, ClusterId, DriveId, GatewayId, Generation, IndexId, LogId, MapVersion,
    MovedWrite, NodeId, Order, WriteId,
};
use holdfast_protocol::record::RecordKind;
use holdfast_protocol::rpc::control::{
    Assignment, ControlCall, ControlReply, DriveHealth, DriveReport,
};
use holdfast_protocol::rpc::wire::DriveAnswer;
use holdfast_protocol::rpc::{
    BlockSpan, Cell, DriveCall, DriveReply, DriveRequest, DriveStatus, InventoryEntry, LeaseView,
    LogPosition, Piece, SealShard,
};
use holdfast_protocol::{
    Body, ChecksumKind, ChecksumType, EncodedRecord, Geometry, Manifest, ManifestKind, Metadata,
    ObjectChecksum, PartRef, Placement, Record, TombstoneTarget, VersionName, VersionRow,
};

use crate::rpc_samples;
use crate::samples::{CLUSTER, manifests};

/// Values that look random and are the same for the same seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }
    pub fn u64(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // Edges are as likely as all the rest.
        match self.0 % 8 {
            0 => 0,
            1 => u64::MAX,
            2 => 1,
            _ => self.0.wrapping_mul(0x2545_f491_4f6c_dd1d),
        }
    }
    pub fn below(&mut self, end: u64) -> u64 {
        self.u64() % end
    }
    fn u32(&mut self) -> u32 {
        self.u64() as u32
    }
    fn u16(&mut self) -> u16 {
        self.u64() as u16
    }
    fn u8(&mut self) -> u8 {
        self.u64() as u8
    }
    fn u128(&mut self) -> u128 {
        (u128::from(self.u64()) << 64) | u128::from(self.u64())
    }
    fn flip(&mut self) -> bool {
        self.below(2) == 1
    }
    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flip().then(|| make(self))
    }
    fn list<T>(&mut self, max: u64, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(max + 1)).map(|_| make(self)).collect()
    }
    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }
    pub fn bytes(&mut self, max: u64) -> Bytes {
        self.list(max, Self::u8).into()
    }
    fn text(&mut self, max: u64) -> String {
        let letters = ['a', '/', ' ', '%', '\0', 'ä', '語', '🦀'];
        self.list(max / 4, |dice| dice.pick(&letters))
            .into_iter()
            .collect()
    }
    fn write(&mut self) -> WriteId {
        WriteId {
            gateway: GatewayId::new(self.u32()),
            gateway_epoch: self.u32(),
            counter: self.u64(),
        }
    }
    fn order(&mut self) -> Order {
        Order {
            generation: Generation::new(self.u32()),
            sequence: self.u64(),
        }
    }
    fn drive(&mut self) -> DriveId {
        DriveId::new(self.u64())
    }
    fn drives(&mut self, max: u64) -> Vec<DriveId> {
        self.list(max, Self::drive)
    }
    fn metadata(&mut self) -> Metadata {
        Metadata(self.list(4, |dice| (dice.text(60), dice.text(200))))
    }
    fn body(&mut self, geometry: Geometry) -> Body {
        match self.below(5) {
            0 => Body::Empty,
            1 => Body::DeleteMarker,
            2 => Body::Inline,
            3 => Body::Coded {
                drives: (0..geometry.total()).map(|_| self.drive()).collect(),
                digests: (0..geometry.total()).map(|_| self.u64()).collect(),
            },
            _ => Body::Parts {
                upload: self.write(),
                parts: self.list(20, |dice| PartRef {
                    number: dice.u16(),
                    write: dice.write(),
                    len: dice.u64(),
                }),
            },
        }
    }
    fn checksum(&mut self) -> ObjectChecksum {
        let kind = self.pick(&ChecksumKind::ALL);
        let covers = self.pick(&[ChecksumType::FullObject, ChecksumType::Composite]);
        let len = if self.flip() { kind.len() } else { 0 };
        let digest = (0..len).map(|_| self.u8()).collect();
        ObjectChecksum {
            kind,
            covers,
            digest,
        }
    }
    pub fn manifest(&mut self) -> Manifest {
        let mut manifest = self.pick(&manifests());
        let (data, parity) = (self.below(32) as u8 + 1, self.below(32) as u8 + 1);
        manifest.kind = match self.below(5) {
            0 => ManifestKind::Version(VersionName::Null),
            1 => ManifestKind::Version(VersionName::Ordered),
            2 => ManifestKind::Upload,
            3 => ManifestKind::Metadata {
                name: self.pick(&[VersionName::Null, VersionName::Ordered]),
                target: self.write(),
            },
            _ => ManifestKind::Part {
                upload: self.write(),
                number: self.u16(),
            },
        };
        manifest.geometry = Geometry::new(data, parity).unwrap();
        manifest.body = self.body(manifest.geometry);
        manifest.bucket = BucketId::new(self.u64());
        manifest.key = self.text(1024);
        manifest.write = self.write();
        manifest.order = self.order();
        manifest.version = self.order();
        manifest.map_version = MapVersion::new(self.u64());
        (manifest.created_ms, manifest.len) = (self.u64(), self.u64());
        manifest.etag.parts = self.u16();
        manifest.checksum = self.maybe(Self::checksum);
        manifest.metadata = self.metadata();
        manifest
    }
    pub fn record(&mut self) -> Record {
        let (write, order) = (self.write(), self.order());
        let (bucket, key) = (BucketId::new(self.u64()), self.text(1024));
        match self.below(4) {
            0 => Record::Commit {
                manifest: self.manifest(),
                body: self.bytes(300),
            },
            1 => Record::Tombstone {
                write,
                order,
                bucket,
                key,
                target: match self.below(3) {
                    0 => TombstoneTarget::Null,
                    1 => TombstoneTarget::Version {
                        version: self.order(),
                        write: self.write(),
                    },
                    _ => TombstoneTarget::Upload(self.write()),
                },
            },
            2 => Record::Void {
                write,
                order,
                target: self.write(),
            },
            _ => Record::System {
                write,
                order,
                kind: self.text(64),
                name: self.text(1024),
                value: self.bytes(300),
            },
        }
    }
    pub fn version_row(&mut self) -> VersionRow {
        VersionRow {
            manifest: self.manifest(),
            placement: Placement {
                holders: self.drives(64),
                missing: self.u64(),
                touched: self.drives(10),
            },
            changed: self.maybe(Self::order),
        }
    }
    fn encoded(&mut self) -> EncodedRecord {
        self.record().encode(CLUSTER)
    }
    fn cell(&mut self) -> Cell {
        Cell {
            stripe: self.u32(),
            checksums: self.list(16, Self::u64),
            bytes: self.bytes(2000),
        }
    }
    fn seal_shard(&mut self) -> SealShard {
        SealShard {
            shard: self.u8(),
            len: self.u64(),
            stripe_count: self.u32(),
            digest: self.u64(),
            last: self.maybe(Self::cell),
        }
    }
    fn kind(&mut self) -> RecordKind {
        self.pick(&[
            RecordKind::Commit,
            RecordKind::Tombstone,
            RecordKind::Void,
            RecordKind::System,
        ])
    }
    fn span(&mut self) -> BlockSpan {
        BlockSpan {
            stripe: self.u32(),
            first_block: self.u16(),
            block_count: self.u16(),
        }
    }
    fn moved(&mut self) -> MovedWrite {
        MovedWrite {
            write: self.write(),
            order: self.order(),
        }
    }
    fn request(&mut self) -> DriveRequest {
        let (write, shard) = (self.write(), self.u8());
        match self.below(14) {
            0 => DriveRequest::Stage {
                write,
                shard,
                len_hint: self.maybe(Self::u64),
                admitted: self.order(),
                cell: self.cell(),
            },
            1 => DriveRequest::Seal {
                admitted: self.order(),
                record: self.encoded(),
                shard: self.maybe(Self::seal_shard),
            },
            2 => DriveRequest::Discard { write },
            3 => DriveRequest::Read {
                write,
                shard,
                spans: self.list(20, Self::span),
            },
            4 => DriveRequest::ReadRecord {
                write,
                with_body: self.flip(),
            },
            5 => DriveRequest::Purge {
                order: self.order(),
                writes: self.list(50, Self::write),
            },
            6 => DriveRequest::Inventory {
                after: self.maybe(Self::write),
                min_order: self.order(),
                kind: self.maybe(Self::kind),
                limit: self.u32(),
            },
            7 => DriveRequest::Claim {
                generation: Generation::new(self.u32()),
                claimant: ClaimantId::new(self.u128()),
                takeover: self.flip(),
            },
            8 => DriveRequest::Status,
            9 => DriveRequest::Lease {
                claimant: ClaimantId::new(self.u128()),
                len_ms: self.u32(),
                holder: self.text(256),
            },
            10 => DriveRequest::LeaseState,
            11 => DriveRequest::Leave {
                moved: self.list(50, Self::moved),
            },
            12 => DriveRequest::Compared {
                log: LogId::new(self.u64()),
            },
            _ => DriveRequest::Verify { write, shard },
        }
    }
    pub fn call(&mut self) -> DriveCall {
        DriveCall {
            drive: self.drive(),
            index: IndexId::new(self.u128()),
            generation: Generation::new(self.u32()),
            map_version: MapVersion::new(self.u64()),
            deadline_ms: self.u32(),
            request: self.request(),
        }
    }
    fn position(&mut self) -> LogPosition {
        LogPosition {
            log: LogId::new(self.u64()),
            batch: self.u64(),
        }
    }
    fn status(&mut self) -> DriveStatus {
        DriveStatus {
            cluster: ClusterId::new(self.u128()),
            drive: self.drive(),
            generation: Generation::new(self.u32()),
            index: self.maybe(|dice| IndexId::new(dice.u128())),
            end: self.position(),
            writable: self.flip(),
            trouble: self.maybe(|dice| dice.text(4096)),
            used_bytes: self.u64(),
            free_bytes: self.u64(),
            records: self.u64(),
            syncs: self.u64(),
            told: self.order(),
            partial: self.flip(),
            found: self.u64(),
        }
    }
    fn entry(&mut self) -> InventoryEntry {
        InventoryEntry {
            write: self.write(),
            order: self.order(),
            kind: self.kind(),
            shard: self.maybe(|dice| (dice.u8(), dice.u64())),
            damaged: self.flip(),
        }
    }
    fn reply(&mut self) -> DriveReply {
        match self.below(8) {
            0 => DriveReply::Sealed {
                position: self.position(),
            },
            1 => DriveReply::Blocks {
                pieces: self.list(10, |dice| Piece {
                    bytes: dice.bytes(500),
                    checksums: dice.list(16, Self::u64),
                }),
            },
            2 => DriveReply::Record {
                record: self.encoded(),
                shard: self.maybe(|dice| (dice.u8(), dice.u64())),
            },
            3 => DriveReply::Purged {
                position: self.position(),
            },
            4 => DriveReply::Inventory {
                entries: self.list(100, Self::entry),
                more: self.flip(),
            },
            5 => DriveReply::Status(self.status()),
            6 => DriveReply::Leased(LeaseView {
                granted: self.maybe(|dice| ClaimantId::new(dice.u128())),
                claimant: self.maybe(|dice| ClaimantId::new(dice.u128())),
                holder: self.text(256),
                left_ms: self.u32(),
                renewals: self.u64(),
            }),
            _ => DriveReply::Verified {
                bad: self.list(1024, |dice| (dice.u32(), dice.u16())),
                blocks: self.u64(),
            },
        }
    }
    pub fn answer(&mut self) -> DriveAnswer {
        match self.flip() {
            true => Ok(self.reply()),
            false => self.pick(&rpc_samples::answers()),
        }
    }
    fn report(&mut self) -> DriveReport {
        DriveReport {
            drive: self.maybe(Self::drive),
            label: self.text(4096),
            used_bytes: self.u64(),
            free_bytes: self.u64(),
            error: self.maybe(|dice| dice.text(4096)),
        }
    }
    fn health(&mut self) -> DriveHealth {
        DriveHealth {
            drive: self.drive(),
            used_bytes: self.u64(),
            free_bytes: self.u64(),
            writable: self.flip(),
            trouble: self.maybe(|dice| dice.text(4096)),
        }
    }
    pub fn control_call(&mut self) -> ControlCall {
        let node = NodeId::new(self.u64());
        match self.flip() {
            true => ControlCall::Register {
                node,
                listen: self.text(300),
                cluster: self.maybe(|dice| ClusterId::new(dice.u128())),
                drives: self.list(20, Self::report),
            },
            false => ControlCall::Heartbeat {
                node,
                drives: self.list(20, Self::health),
            },
        }
    }
    fn assignment(&mut self) -> Assignment {
        match self.below(3) {
            0 => Assignment::Keep,
            1 => Assignment::Format {
                drive: self.drive(),
            },
            _ => Assignment::Refuse {
                why: self.text(4096),
            },
        }
    }
    pub fn control_reply(&mut self) -> ControlReply {
        match self.below(3) {
            0 => ControlReply::Registered {
                cluster: ClusterId::new(self.u128()),
                drives: self.list(20, Self::assignment),
            },
            1 => ControlReply::HeartbeatAck {
                register_again: self.flip(),
            },
            _ => ControlReply::Refused {
                why: self.text(4096),
            },
        }
    }
}
