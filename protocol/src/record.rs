//! Records: what a drive keeps so that the index can be replaced.
//!
//! Owns: the kinds of records, their common head and byte form (`HFRC`, `docs/formats/record.md`).
//! Leaves to others: how a drive stores them (`drive`), and what a set of them means (merge).
//! Always: head and body are separate buffers with separate checksums, so that a body is never
//! copied to be framed and can be read in part.

use bytes::Bytes;

use crate::checksum::{BlockIdentity, block_checksum};
use crate::codec::{FormatError, Reader, Writer};
use crate::ids::{BucketId, ClusterId, Order, WriteId};
use crate::manifest::{KEY_LEN_MAX, Manifest};

/// First bytes of a record.
pub const MAGIC: [u8; 4] = *b"HFRC";
/// The version that this release writes; none before it was released.
pub const VERSION: u8 = 2;
/// Longest record head, in bytes: 10,000 parts and full metadata fit.
pub const HEAD_LEN_MAX: usize = 16 << 20;
/// Longest inline body, in bytes; what a gateway inlines is configured below it.
pub const BODY_LEN_MAX: usize = 1 << 20;
/// Longest value of a system record, in bytes.
pub const SYSTEM_VALUE_MAX: usize = 8 << 20;

/// What a tombstone deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TombstoneTarget {
    /// Every lower order of the key's null version, also writes never shown.
    Null,
    /// Every lower order of this version of a key, also writes never shown.
    Version {
        /// Which ([`Manifest::version`]).
        version: Order,
        /// The write that was shown when it was deleted.
        write: WriteId,
    },
    /// The upload made by this write, and its parts (Abort).
    Upload(WriteId),
}

/// A record, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A version, part, upload or new metadata of a version, with its body when small.
    Commit {
        /// Its description.
        manifest: Manifest,
        /// The body of [`crate::Body::Inline`]; empty otherwise.
        body: Bytes,
    },
    /// Deletes.
    Tombstone {
        /// The record's own write.
        write: WriteId,
        /// Its place among all changes.
        order: Order,
        /// The bucket.
        bucket: BucketId,
        /// The key.
        key: String,
        /// What it deletes.
        target: TombstoneTarget,
    },
    /// Says that a write never took effect and never will.
    Void {
        /// The record's own write.
        write: WriteId,
        /// Its place among all changes.
        order: Order,
        /// The write that is void.
        target: WriteId,
    },
    /// A bucket and its configuration, a user, a policy, the cluster map: the newest order of
    /// (kind, name) counts.
    System {
        /// The record's own write.
        write: WriteId,
        /// Its place among all changes.
        order: Order,
        /// Which kind of state, for instance `bucket`.
        kind: String,
        /// Which one of that kind.
        name: String,
        /// The state; empty when deleted.
        value: Bytes,
    },
}

/// Which kind of record, as stored in heads and inventories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// [`Record::Commit`].
    Commit = 1,
    /// [`Record::Tombstone`].
    Tombstone = 3,
    /// [`Record::Void`].
    Void = 4,
    /// [`Record::System`].
    System = 5,
}

impl RecordKind {
    /// Reads the byte form.
    ///
    /// # Errors
    /// `Invalid` for an unknown kind.
    pub fn from_u8(tag: u8) -> Result<Self, FormatError> {
        Ok(match tag {
            1 => Self::Commit,
            3 => Self::Tombstone,
            4 => Self::Void,
            5 => Self::System,
            _ => {
                return Err(FormatError::Invalid {
                    what: "record kind",
                });
            }
        })
    }
}

/// What a drive needs to know of a record without decoding all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHead {
    /// The kind.
    pub kind: RecordKind,
    /// The record's write.
    pub write: WriteId,
    /// Its place among all changes.
    pub order: Order,
    /// Bytes of the body that follows the head.
    pub body_len: u32,
    /// Checksum of that body, bound to the write ([`BlockIdentity::INLINE`]); 0 when there is none.
    pub body_checksum: u64,
}

/// A record in its byte form: what travels and what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedRecord {
    /// Kind, write, order, body length and checksum, fields, and a CRC-64 over all of it.
    pub head: Bytes,
    /// The inline body; empty when there is none.
    pub body: Bytes,
}

impl EncodedRecord {
    /// Bytes of head and body.
    pub fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }
    /// Whether both are empty (never so for a valid record).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Reads and verifies the head's fixed part.
    ///
    /// # Errors
    /// `Truncated`, `Magic`, `Version`, `Checksum`, or `Invalid` if the body has another length.
    pub fn parse_head(&self) -> Result<RecordHead, FormatError> {
        let (head, _) = split_head(&self.head)?;
        if head.body_len as usize != self.body.len() {
            return Err(FormatError::Invalid {
                what: "record body length",
            });
        }
        Ok(head)
    }
    /// Verifies the body's checksum for `cluster`.
    ///
    /// # Errors
    /// As [`EncodedRecord::parse_head`], and `Checksum` if the body does not match.
    pub fn verify(&self, cluster: ClusterId) -> Result<RecordHead, FormatError> {
        let head = self.parse_head()?;
        if head.body_checksum != body_checksum(cluster, head.write, &self.body) {
            return Err(FormatError::Checksum {
                what: "record body",
            });
        }
        Ok(head)
    }
}

/// The checksum of an inline body; 0 when it is empty.
pub fn body_checksum(cluster: ClusterId, write: WriteId, body: &[u8]) -> u64 {
    if body.is_empty() {
        return 0;
    }
    let shard = BlockIdentity::INLINE;
    block_checksum(
        BlockIdentity {
            cluster,
            write,
            shard,
            stripe: 0,
            block: 0,
        },
        body,
    )
}

impl Record {
    /// The kind.
    pub fn kind(&self) -> RecordKind {
        match self {
            Self::Commit { .. } => RecordKind::Commit,
            Self::Tombstone { .. } => RecordKind::Tombstone,
            Self::Void { .. } => RecordKind::Void,
            Self::System { .. } => RecordKind::System,
        }
    }

    /// The record's write.
    pub fn write(&self) -> WriteId {
        match self {
            Self::Commit { manifest, .. } => manifest.write,
            Self::Tombstone { write, .. }
            | Self::Void { write, .. }
            | Self::System { write, .. } => *write,
        }
    }

    /// The record's place among all changes.
    pub fn order(&self) -> Order {
        match self {
            Self::Commit { manifest, .. } => manifest.order,
            Self::Tombstone { order, .. }
            | Self::Void { order, .. }
            | Self::System { order, .. } => *order,
        }
    }

    /// The byte form for `cluster`.
    pub fn encode(&self, cluster: ClusterId) -> EncodedRecord {
        let body = match self {
            Self::Commit { body, .. } => body.clone(),
            _ => Bytes::new(),
        };
        let mut out = Writer::format(MAGIC, VERSION, 256);
        out.u8(self.kind() as u8);
        self.write().encode(&mut out);
        self.order().encode(&mut out);
        out.u32(body.len() as u32);
        out.u64(body_checksum(cluster, self.write(), &body));
        match self {
            Self::Commit { manifest, .. } => out.bytes(&manifest.encode()),
            Self::Tombstone {
                bucket,
                key,
                target,
                ..
            } => {
                bucket.encode(&mut out);
                out.str(key);
                encode_target(*target, &mut out);
            }
            Self::Void { target, .. } => target.encode(&mut out),
            Self::System {
                kind, name, value, ..
            } => {
                out.str(kind);
                out.str(name);
                out.bytes(value);
            }
        }
        EncodedRecord {
            head: out.finish(),
            body,
        }
    }

    /// Decodes a record whose body was verified or is not needed.
    ///
    /// # Errors
    /// A [`FormatError`] that names the first field that is wrong.
    pub fn decode(encoded: &EncodedRecord) -> Result<Self, FormatError> {
        let (head, mut input) = split_head(&encoded.head)?;
        let (write, order) = (head.write, head.order);
        let input = &mut input;
        let record = match head.kind {
            RecordKind::Commit => {
                let manifest = Manifest::decode(input.bytes("manifest", HEAD_LEN_MAX)?)?;
                if manifest.write != write || manifest.order != order {
                    return Err(FormatError::Invalid {
                        what: "record head",
                    });
                }
                Self::Commit {
                    manifest,
                    body: encoded.body.clone(),
                }
            }
            RecordKind::Tombstone => Self::Tombstone {
                write,
                order,
                bucket: BucketId::decode(input)?,
                key: input.str("key", KEY_LEN_MAX)?.to_owned(),
                target: decode_target(input)?,
            },
            RecordKind::Void => Self::Void {
                write,
                order,
                target: WriteId::decode(input)?,
            },
            RecordKind::System => Self::System {
                write,
                order,
                kind: input.str("system kind", 64)?.to_owned(),
                name: input.str("system name", KEY_LEN_MAX)?.to_owned(),
                value: Bytes::copy_from_slice(input.bytes("system value", SYSTEM_VALUE_MAX)?),
            },
        };
        input.end()?;
        Ok(record)
    }
}

fn split_head(bytes: &[u8]) -> Result<(RecordHead, Reader<'_>), FormatError> {
    let mut input = Reader::only(bytes, MAGIC, VERSION, "record")?;
    let head = RecordHead {
        kind: RecordKind::from_u8(input.u8()?)?,
        write: WriteId::decode(&mut input)?,
        order: Order::decode(&mut input)?,
        body_len: input.count("record body", BODY_LEN_MAX)? as u32,
        body_checksum: input.u64()?,
    };
    Ok((head, input))
}

fn encode_target(target: TombstoneTarget, out: &mut Writer) {
    match target {
        TombstoneTarget::Null => out.u8(1),
        TombstoneTarget::Version { version, write } => {
            out.u8(2);
            version.encode(out);
            write.encode(out);
        }
        TombstoneTarget::Upload(write) => {
            out.u8(3);
            write.encode(out);
        }
    }
}

fn decode_target(input: &mut Reader<'_>) -> Result<TombstoneTarget, FormatError> {
    Ok(match input.u8()? {
        1 => TombstoneTarget::Null,
        2 => TombstoneTarget::Version {
            version: Order::decode(input)?,
            write: WriteId::decode(input)?,
        },
        3 => TombstoneTarget::Upload(WriteId::decode(input)?),
        _ => {
            return Err(FormatError::Invalid {
                what: "tombstone target",
            });
        }
    })
}
