//! Rows of the index: what makes a version visible, and the queues beside it.
//!
//! Owns: the fields and byte forms (`HFRW`, `docs/formats/row.md`).
//! Leaves to others: keys and tables (index), meaning (gateway, workers).
//! Always: a row carries the placement as it really is; the manifest inside is the one in the
//! record.

mod heal;
mod listed;
mod marks;
mod name;
mod scrub;
mod usage;

use bytes::Bytes;

use crate::codec::{FormatError, Reader, Writer};
use crate::ids::{BucketId, DriveId, Order, WriteId};
use crate::manifest::{ETag, Manifest, ObjectChecksum, decode_checksum, encode_checksum};

pub use heal::HealRow;
pub use listed::ListedVersion;
pub use marks::{IdentityRow, SeenRow};
pub use name::RowName;
pub use scrub::ScrubRow;
pub use usage::{GeometryUsage, Usage};

/// First bytes of a row.
pub const MAGIC: [u8; 4] = *b"HFRW";
/// The version that this release writes; none before it was released.
pub const VERSION: u8 = 2;
const MANIFEST_LEN_MAX: usize = 16 << 20;
const HOLDERS_MAX: usize = 1024;
const WRITES_MAX: usize = 32 << 10;
const CONFIG_MAX: usize = 64;
const CONFIG_LEN_MAX: usize = 2 << 20;

/// Where a write's shards or copies are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Coded body: the drive of each shard, in shard order. Anything else: the drives with a copy.
    pub holders: Vec<DriveId>,
    /// Coded body: bit i is set while shard i is not durable on `holders[i]`. Else: number of
    /// copies still to be made.
    pub missing: u64,
    /// Other drives that a byte of the write was ever sent to: a purge must reach them too.
    pub touched: Vec<DriveId>,
}

impl Placement {
    fn encode(&self, out: &mut Writer) {
        for list in [&self.holders, &self.touched] {
            out.u32(list.len() as u32);
            list.iter().for_each(|drive| drive.encode(out));
        }
        out.u64(self.missing);
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, FormatError> {
        let mut list = || {
            let count = input.count("drives", HOLDERS_MAX)?;
            (0..count)
                .map(|_| DriveId::decode(input))
                .collect::<Result<Vec<_>, _>>()
        };
        let (holders, touched) = (list()?, list()?);
        Ok(Self {
            holders,
            touched,
            missing: input.u64()?,
        })
    }
    /// Every drive that may hold a byte of the write.
    pub fn drives(&self) -> impl Iterator<Item = DriveId> + '_ {
        self.holders.iter().chain(&self.touched).copied()
    }
}

/// A visible version, a part that waits under its upload, or the metadata record of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRow {
    /// The description: as in the record, but for the metadata of a version that `changed`.
    pub manifest: Manifest,
    /// Where it is now.
    pub placement: Placement,
    /// The order of the metadata record that says what metadata the version has, if there is one:
    /// then it has a row of its own.
    pub changed: Option<Order>,
}

/// Parts are kept like versions.
pub type PartRow = VersionRow;

/// Metadata records are kept like versions.
pub type MetadataRow = VersionRow;

impl VersionRow {
    /// The byte form.
    pub fn encode(&self) -> Bytes {
        let mut out = start(1);
        out.bytes(&self.manifest.encode());
        self.placement.encode(&mut out);
        match self.changed {
            None => out.u8(0),
            Some(order) => {
                out.u8(1);
                order.encode(&mut out);
            }
        }
        out.finish()
    }
    /// Reads the byte form.
    ///
    /// # Errors
    /// A [`FormatError`] that names the first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut input = open(bytes, 1)?;
        let manifest = Manifest::decode(input.bytes("manifest", MANIFEST_LEN_MAX)?)?;
        let row = Self {
            manifest,
            placement: Placement::decode(&mut input)?,
            changed: match input.bool("changed")? {
                false => None,
                true => Some(Order::decode(&mut input)?),
            },
        };
        input.end()?;
        Ok(row)
    }
}

/// An upload: open, or completed less than a day ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadRow {
    /// Of kind [`crate::ManifestKind::Upload`].
    pub manifest: Manifest,
    /// Where its record is.
    pub placement: Placement,
    /// What Complete answered, so that a repeat gets the same.
    pub completed: Option<Completed>,
}

/// The outcome of a Complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// The version's write.
    pub write: WriteId,
    /// The version's order.
    pub order: Order,
    /// Its entity tag.
    pub etag: ETag,
    /// Its checksum, if it has one.
    pub checksum: Option<ObjectChecksum>,
    /// CRC-64 of the part list the client sent: a repeat must name the same parts.
    pub request_digest: u64,
    /// When (milliseconds since 1970); the row lives a day longer.
    pub at_ms: u64,
}

impl UploadRow {
    /// The byte form.
    pub fn encode(&self) -> Bytes {
        let mut out = start(2);
        out.bytes(&self.manifest.encode());
        self.placement.encode(&mut out);
        match &self.completed {
            None => out.u8(0),
            Some(done) => {
                out.u8(1);
                done.write.encode(&mut out);
                done.order.encode(&mut out);
                out.raw(&done.etag.md5);
                out.u16(done.etag.parts);
                encode_checksum(done.checksum.as_ref(), &mut out);
                out.u64(done.request_digest);
                out.u64(done.at_ms);
            }
        }
        out.finish()
    }
    /// Reads the byte form.
    ///
    /// # Errors
    /// A [`FormatError`] that names the first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut input = open(bytes, 2)?;
        let manifest = Manifest::decode(input.bytes("manifest", MANIFEST_LEN_MAX)?)?;
        let placement = Placement::decode(&mut input)?;
        let completed = match input.bool("completed")? {
            false => None,
            true => Some(Completed {
                write: WriteId::decode(&mut input)?,
                order: Order::decode(&mut input)?,
                etag: ETag {
                    md5: input.array()?,
                    parts: input.u16()?,
                },
                checksum: decode_checksum(&mut input)?,
                request_digest: input.u64()?,
                at_ms: input.u64()?,
            }),
        };
        input.end()?;
        Ok(Self {
            manifest,
            placement,
            completed,
        })
    }
}

/// A bucket and its configuration; also the value of its system record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketRow {
    /// Its identity.
    pub id: BucketId,
    /// Its name.
    pub name: String,
    /// The order of its last change.
    pub order: Order,
    /// When it was made (milliseconds since 1970).
    pub created_ms: u64,
    /// The canonical id of the account that owns it; in rows that are older than accounts, the
    /// administrator's access key.
    pub owner: String,
    /// Named configurations (`versioning`, `cors`, …), each in its own byte form.
    pub config: Vec<(String, Bytes)>,
}

impl BucketRow {
    /// The byte form.
    pub fn encode(&self) -> Bytes {
        let mut out = start(3);
        self.id.encode(&mut out);
        out.str(&self.name);
        self.order.encode(&mut out);
        out.u64(self.created_ms);
        out.str(&self.owner);
        out.u32(self.config.len() as u32);
        for (name, value) in &self.config {
            out.str(name);
            out.bytes(value);
        }
        out.finish()
    }
    /// Reads the byte form.
    ///
    /// # Errors
    /// A [`FormatError`] that names the first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut input = open(bytes, 3)?;
        let id = BucketId::decode(&mut input)?;
        let name = input.str("bucket name", 255)?.to_owned();
        let order = Order::decode(&mut input)?;
        let created_ms = input.u64()?;
        let owner = input.str("owner", 255)?.to_owned();
        let count = input.count("configurations", CONFIG_MAX)?;
        let config = (0..count)
            .map(|_| {
                let name = input.str("configuration name", 64)?.to_owned();
                let value = input.bytes("configuration", CONFIG_LEN_MAX)?;
                Ok((name, Bytes::copy_from_slice(value)))
            })
            .collect::<Result<_, FormatError>>()?;
        input.end()?;
        Ok(Self {
            id,
            name,
            order,
            created_ms,
            owner,
            config,
        })
    }
}

/// What becomes of the writes of a [`PurgeRow`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeKind {
    /// They are gone for good: no row will show them again.
    Gone,
    /// They live on elsewhere, and may return to a drive that they left.
    Moved,
}

/// Writes whose shards and records are to go, and who has still to say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeRow {
    /// The writes to purge.
    pub writes: Vec<WriteId>,
    /// What becomes of them; a moved one left its drives with the order of the row.
    pub kind: PurgeKind,
    /// The tombstone or void that guards them, to be forgotten once all drives have answered.
    pub guard: Option<WriteId>,
    /// Drives that have not yet acknowledged the purge durably.
    pub waiting: Vec<DriveId>,
    /// Drives that hold the guard.
    pub guard_holders: Vec<DriveId>,
}

impl PurgeRow {
    /// The byte form.
    pub fn encode(&self) -> Bytes {
        let mut out = start(4);
        out.u32(self.writes.len() as u32);
        self.writes.iter().for_each(|write| write.encode(&mut out));
        out.u8(u8::from(self.kind == PurgeKind::Moved));
        match self.guard {
            None => out.u8(0),
            Some(guard) => {
                out.u8(1);
                guard.encode(&mut out);
            }
        }
        for list in [&self.waiting, &self.guard_holders] {
            out.u32(list.len() as u32);
            list.iter().for_each(|drive| drive.encode(&mut out));
        }
        out.finish()
    }
    /// Reads the byte form.
    ///
    /// # Errors
    /// A [`FormatError`] that names the first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut input = open(bytes, 4)?;
        let count = input.count("writes", WRITES_MAX)?;
        let writes = (0..count)
            .map(|_| WriteId::decode(&mut input))
            .collect::<Result<_, _>>()?;
        let kind = match input.bool("moved writes")? {
            true => PurgeKind::Moved,
            false => PurgeKind::Gone,
        };
        let guard = match input.bool("guard")? {
            true => Some(WriteId::decode(&mut input)?),
            false => None,
        };
        let mut list = || {
            let count = input.count("drives", HOLDERS_MAX)?;
            (0..count)
                .map(|_| DriveId::decode(&mut input))
                .collect::<Result<Vec<_>, _>>()
        };
        let (waiting, guard_holders) = (list()?, list()?);
        input.end()?;
        Ok(Self {
            writes,
            kind,
            guard,
            waiting,
            guard_holders,
        })
    }
}

fn start(kind: u8) -> Writer {
    let mut out = Writer::format(MAGIC, VERSION, 256);
    out.u8(kind);
    out
}

fn open(bytes: &[u8], kind: u8) -> Result<Reader<'_>, FormatError> {
    let mut input = Reader::only(bytes, MAGIC, VERSION, "row")?;
    match input.u8()? == kind {
        true => Ok(input),
        false => Err(FormatError::Invalid { what: "row kind" }),
    }
}
