//! The manifest: the self-contained description of one object version, part or upload.
//!
//! Owns: its fields, bounds and byte form (`HFMN`, see `docs/formats/manifest.md`).
//! Leaves to others: deciding whether the version exists (index) and where its shards are *now*
//! (row).
//! Always: a manifest alone is enough to read the object from the drives it names.

mod metadata;

use std::fmt;

use bytes::Bytes;

use crate::codec::{FormatError, Reader, Writer};
use crate::ids::{BucketId, DriveId, MapVersion, Order, WriteId};
use crate::layout::Geometry;

pub(crate) use metadata::{METADATA_COUNT_MAX, METADATA_NAME_MAX, METADATA_VALUE_MAX};
pub use metadata::{Metadata, OWNER, STORAGE_CLASS};

/// First bytes of a manifest.
pub const MAGIC: [u8; 4] = *b"HFMN";
/// The version that this release writes; none before it was released.
pub const VERSION: u8 = 2;
/// Longest object key, in bytes.
pub const KEY_LEN_MAX: usize = 1024;
/// Most parts of one version.
pub const PARTS_MAX: usize = 10_000;
const CHECKSUM_LEN_MAX: usize = 64;

/// What the manifest describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestKind {
    /// An object version.
    Version(VersionName),
    /// A part of an upload.
    Part {
        /// The upload.
        upload: WriteId,
        /// 1 to 10,000.
        number: u16,
    },
    /// An open upload; its metadata waits for Complete. The upload's id is the write id.
    Upload,
    /// New metadata of a version: replaces all that it had, never its shards. Without a body.
    Metadata {
        /// How S3 calls the version.
        name: VersionName,
        /// The write whose metadata it replaces.
        target: WriteId,
    },
}

/// How S3 calls the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionName {
    /// The null version: a bucket without versioning, or with versioning suspended.
    Null,
    /// A version of a versioned bucket, named by [`Manifest::version`].
    Ordered,
}

/// Where the bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// None: an upload, or an empty object.
    Empty,
    /// A delete marker.
    DeleteMarker,
    /// In the record itself, on m + 1 drives.
    Inline,
    /// Cut into stripes and shards.
    Coded {
        /// The drives of the write in shard order, as planned when its record was made.
        drives: Vec<DriveId>,
        /// Per shard: CRC-64 over its block checksums (8 bytes each, little-endian) in order.
        digests: Vec<u64>,
    },
    /// In the parts of an upload.
    Parts {
        /// The upload that was completed.
        upload: WriteId,
        /// In ascending part number.
        parts: Vec<PartRef>,
    },
}

/// One part, as Complete names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartRef {
    /// 1 to 10,000.
    pub number: u16,
    /// The write that made it.
    pub write: WriteId,
    /// Bytes.
    pub len: u64,
}

/// An entity tag: an MD5, or the MD5 of the parts' MD5s and their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ETag {
    /// The digest.
    pub md5: [u8; 16],
    /// Number of parts; 0 for a single write.
    pub parts: u16,
}

impl fmt::Display for ETag {
    /// The S3 form, without quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.md5))?;
        if self.parts > 0 {
            write!(f, "-{}", self.parts)?;
        }
        Ok(())
    }
}

/// The algorithms of `x-amz-checksum-*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChecksumKind {
    /// CRC-32 (ISO-HDLC).
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl ChecksumKind {
    /// All of them, in their order on disk.
    pub const ALL: [Self; 5] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
    ];

    /// Length of the digest in bytes.
    #[allow(clippy::len_without_is_empty)]
    pub const fn len(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

/// What a multipart checksum covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumType {
    /// The bytes of the whole object.
    FullObject,
    /// The parts' checksums; shown with `-count`.
    Composite,
}

/// A checksum that the client gave or asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectChecksum {
    /// The algorithm.
    pub kind: ChecksumKind,
    /// What it covers.
    pub covers: ChecksumType,
    /// The digest, `kind.len()` bytes; empty in an upload, which only names kind and type.
    pub digest: Vec<u8>,
}

/// The self-contained description of one object version, part or upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What it describes.
    pub kind: ManifestKind,
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: String,
    /// The write that made it.
    pub write: WriteId,
    /// Its place among all changes.
    pub order: Order,
    /// Which version this write is of: what its id in S3 says and what sorts it among the key's
    /// versions. The order of the version's first write; a later one, re-encoded, keeps it, and so
    /// does metadata. [`Order::ZERO`] for parts and uploads.
    pub version: Order,
    /// The cluster map it was placed by.
    pub map_version: MapVersion,
    /// Wall clock at the commit, for people only (milliseconds since 1970).
    pub created_ms: u64,
    /// Bytes.
    pub len: u64,
    /// The entity tag.
    pub etag: ETag,
    /// How the body is coded; also of inline bodies, whose copies it counts.
    pub geometry: Geometry,
    /// Where the bytes are.
    pub body: Body,
    /// The checksum kept for the client, if any.
    pub checksum: Option<ObjectChecksum>,
    /// Headers and tags.
    pub metadata: Metadata,
}

impl Manifest {
    /// The byte form, with magic, version and checksum.
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::format(MAGIC, VERSION, 256 + self.key.len());
        encode_kind(&self.kind, &mut out);
        self.bucket.encode(&mut out);
        out.str(&self.key);
        self.write.encode(&mut out);
        self.order.encode(&mut out);
        self.version.encode(&mut out);
        self.map_version.encode(&mut out);
        out.u64(self.created_ms);
        out.u64(self.len);
        out.raw(&self.etag.md5);
        out.u16(self.etag.parts);
        self.geometry.encode(&mut out);
        encode_body(&self.body, &mut out);
        encode_checksum(self.checksum.as_ref(), &mut out);
        self.metadata.encode(&mut out);
        out.finish()
    }

    /// Reads the byte form.
    ///
    /// # Errors
    /// A [`FormatError`] that names the first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut input = Reader::only(bytes, MAGIC, VERSION, "manifest")?;
        let input = &mut input;
        let kind = decode_kind(input)?;
        let bucket = BucketId::decode(input)?;
        let key = input.str("key", KEY_LEN_MAX)?.to_owned();
        let write = WriteId::decode(input)?;
        let order = Order::decode(input)?;
        let version = Order::decode(input)?;
        let map_version = MapVersion::decode(input)?;
        let (created_ms, len) = (input.u64()?, input.u64()?);
        let etag = ETag {
            md5: input.array()?,
            parts: input.u16()?,
        };
        let geometry = Geometry::decode(input)?;
        let body = decode_body(input, geometry)?;
        let checksum = decode_checksum(input)?;
        let metadata = Metadata::decode(input)?;
        input.end()?;
        Ok(Self {
            kind,
            bucket,
            key,
            write,
            order,
            version,
            map_version,
            created_ms,
            len,
            etag,
            geometry,
            body,
            checksum,
            metadata,
        })
    }
}

fn encode_kind(kind: &ManifestKind, out: &mut Writer) {
    match kind {
        ManifestKind::Version(VersionName::Null) => out.u8(1),
        ManifestKind::Version(VersionName::Ordered) => out.u8(2),
        ManifestKind::Part { upload, number } => {
            out.u8(3);
            upload.encode(out);
            out.u16(*number);
        }
        ManifestKind::Upload => out.u8(4),
        ManifestKind::Metadata { name, target } => {
            out.u8(5);
            out.u8(match name {
                VersionName::Null => 1,
                VersionName::Ordered => 2,
            });
            target.encode(out);
        }
    }
}

pub(crate) fn decode_kind(input: &mut Reader<'_>) -> Result<ManifestKind, FormatError> {
    Ok(match input.u8()? {
        1 => ManifestKind::Version(VersionName::Null),
        2 => ManifestKind::Version(VersionName::Ordered),
        3 => ManifestKind::Part {
            upload: WriteId::decode(input)?,
            number: input.u16()?,
        },
        4 => ManifestKind::Upload,
        5 => ManifestKind::Metadata {
            name: match input.u8()? {
                1 => VersionName::Null,
                2 => VersionName::Ordered,
                _ => {
                    return Err(FormatError::Invalid {
                        what: "version name",
                    });
                }
            },
            target: WriteId::decode(input)?,
        },
        _ => {
            return Err(FormatError::Invalid {
                what: "manifest kind",
            });
        }
    })
}

fn encode_body(body: &Body, out: &mut Writer) {
    match body {
        Body::Empty => out.u8(0),
        Body::DeleteMarker => out.u8(1),
        Body::Inline => out.u8(2),
        Body::Coded { drives, digests } => {
            out.u8(3);
            drives.iter().for_each(|drive| drive.encode(out));
            digests.iter().for_each(|digest| out.u64(*digest));
        }
        Body::Parts { upload, parts } => {
            out.u8(4);
            upload.encode(out);
            out.u32(parts.len() as u32);
            for part in parts {
                out.u16(part.number);
                part.write.encode(out);
                out.u64(part.len);
            }
        }
    }
}

fn decode_body(input: &mut Reader<'_>, geometry: Geometry) -> Result<Body, FormatError> {
    Ok(match input.u8()? {
        0 => Body::Empty,
        1 => Body::DeleteMarker,
        2 => Body::Inline,
        3 => Body::Coded {
            drives: (0..geometry.total())
                .map(|_| DriveId::decode(input))
                .collect::<Result<_, _>>()?,
            digests: (0..geometry.total())
                .map(|_| input.u64())
                .collect::<Result<_, _>>()?,
        },
        4 => {
            let upload = WriteId::decode(input)?;
            let count = input.count("parts", PARTS_MAX)?;
            let parts = (0..count)
                .map(|_| {
                    Ok(PartRef {
                        number: input.u16()?,
                        write: WriteId::decode(input)?,
                        len: input.u64()?,
                    })
                })
                .collect::<Result<_, FormatError>>()?;
            Body::Parts { upload, parts }
        }
        _ => return Err(FormatError::Invalid { what: "body kind" }),
    })
}

pub(crate) fn encode_checksum(checksum: Option<&ObjectChecksum>, out: &mut Writer) {
    let Some(checksum) = checksum else {
        out.u8(0);
        return;
    };
    out.u8(match checksum.kind {
        ChecksumKind::Crc32 => 1,
        ChecksumKind::Crc32c => 2,
        ChecksumKind::Crc64Nvme => 3,
        ChecksumKind::Sha1 => 4,
        ChecksumKind::Sha256 => 5,
    });
    out.u8(match checksum.covers {
        ChecksumType::FullObject => 1,
        ChecksumType::Composite => 2,
    });
    out.bytes(&checksum.digest);
}

pub(crate) fn decode_checksum(
    input: &mut Reader<'_>,
) -> Result<Option<ObjectChecksum>, FormatError> {
    let Some((kind, covers, digest)) = decode_parts_of_checksum(input)? else {
        return Ok(None);
    };
    Ok(Some(ObjectChecksum {
        kind,
        covers,
        digest: digest.to_vec(),
    }))
}

/// Kind and type of a checksum, past its digest.
pub(crate) fn decode_checksum_type(
    input: &mut Reader<'_>,
) -> Result<Option<(ChecksumKind, ChecksumType)>, FormatError> {
    let checksum = decode_parts_of_checksum(input)?;
    Ok(checksum.map(|(kind, covers, _)| (kind, covers)))
}

type ChecksumParts<'a> = (ChecksumKind, ChecksumType, &'a [u8]);

fn decode_parts_of_checksum<'a>(
    input: &mut Reader<'a>,
) -> Result<Option<ChecksumParts<'a>>, FormatError> {
    let kind = match input.u8()? {
        0 => return Ok(None),
        tag @ 1..=5 => ChecksumKind::ALL[usize::from(tag) - 1],
        _ => {
            return Err(FormatError::Invalid {
                what: "checksum kind",
            });
        }
    };
    let covers = match input.u8()? {
        1 => ChecksumType::FullObject,
        2 => ChecksumType::Composite,
        _ => {
            return Err(FormatError::Invalid {
                what: "checksum type",
            });
        }
    };
    let digest = input.bytes("checksum", CHECKSUM_LEN_MAX)?;
    if !digest.is_empty() && digest.len() != kind.len() {
        return Err(FormatError::Invalid {
            what: "checksum length",
        });
    }
    Ok(Some((kind, covers, digest)))
}
