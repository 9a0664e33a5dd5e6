//! What a listing shows of a version's row.
//!
//! Owns: reading it without what a listing does not show: drives, digests, parts, most metadata.
//! Leaves to others: the row's form ([`super::VersionRow`]), walking the index.
//! Always: the row's checksum is verified, which covers the manifest; what is shown is what the
//! whole row says.

use super::{MANIFEST_LEN_MAX, open};
use crate::codec::{FormatError, Reader};
use crate::ids::Order;
use crate::layout::Geometry;
use crate::manifest::{
    self, ChecksumKind, ChecksumType, ETag, KEY_LEN_MAX, METADATA_COUNT_MAX, METADATA_NAME_MAX,
    METADATA_VALUE_MAX, ManifestKind, OWNER, PARTS_MAX, STORAGE_CLASS, VersionName,
};

/// What a listing shows of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVersion {
    /// How S3 calls it.
    pub name: VersionName,
    /// Which of the key's versions.
    pub version: Order,
    /// Whether it is a delete marker.
    pub is_delete_marker: bool,
    /// When it was made (milliseconds since 1970).
    pub created_ms: u64,
    /// Bytes.
    pub len: u64,
    /// The entity tag.
    pub etag: ETag,
    /// The algorithm of the checksum kept for the client, and what it covers.
    pub checksum: Option<(ChecksumKind, ChecksumType)>,
    /// Its storage class, if it names one.
    pub storage_class: Option<String>,
    /// Its owner, if that is not the bucket's.
    pub owner: Option<String>,
}

impl ListedVersion {
    /// Reads it from the byte form of a [`super::VersionRow`].
    ///
    /// # Errors
    /// A [`FormatError`] that names the first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut row = open(bytes, 1)?;
        let manifest = row.bytes("manifest", MANIFEST_LEN_MAX)?;
        let mut input = Reader::new(manifest);
        let input = &mut input;
        if input.array::<4>()? != manifest::MAGIC {
            return Err(FormatError::Magic { what: "manifest" });
        }
        let version = input.u8()?;
        if version != manifest::VERSION {
            let what = "manifest";
            return Err(FormatError::Version { what, version });
        }
        let ManifestKind::Version(name) = manifest::decode_kind(input)? else {
            return Err(FormatError::Invalid {
                what: "listed version",
            });
        };
        input.raw(8)?; // bucket
        input.bytes("key", KEY_LEN_MAX)?;
        input.raw(16 + 12)?; // write, order
        let version = Order::decode(input)?;
        input.raw(8)?; // map version
        let (created_ms, len) = (input.u64()?, input.u64()?);
        let etag = ETag {
            md5: input.array()?,
            parts: input.u16()?,
        };
        let geometry = Geometry::decode(input)?;
        let is_delete_marker = skip_body(input, geometry)?;
        let checksum = manifest::decode_checksum_type(input)?;
        let (storage_class, owner) = metadata(input)?;
        Ok(Self {
            name,
            version,
            is_delete_marker,
            created_ms,
            len,
            etag,
            checksum,
            storage_class,
            owner,
        })
    }
}

/// Whether it is a delete marker.
fn skip_body(input: &mut Reader<'_>, geometry: Geometry) -> Result<bool, FormatError> {
    match input.u8()? {
        0 | 2 => {}
        1 => return Ok(true),
        3 => drop(input.raw(geometry.total() * (8 + 8))?),
        4 => {
            input.raw(16)?;
            let parts = input.count("parts", PARTS_MAX)?;
            input.raw(parts * (2 + 16 + 8))?;
        }
        _ => return Err(FormatError::Invalid { what: "body kind" }),
    }
    Ok(false)
}

/// Storage class and owner.
fn metadata(input: &mut Reader<'_>) -> Result<(Option<String>, Option<String>), FormatError> {
    let (mut class, mut owner) = (None, None);
    for _ in 0..input.count("metadata entries", METADATA_COUNT_MAX)? {
        let name = input.bytes("metadata name", METADATA_NAME_MAX)?;
        let value = input.bytes("metadata value", METADATA_VALUE_MAX)?;
        let wanted = match name {
            _ if name == STORAGE_CLASS.as_bytes() => &mut class,
            _ if name == OWNER.as_bytes() => &mut owner,
            _ => continue,
        };
        if wanted.is_none() {
            let what = "metadata value";
            let value = std::str::from_utf8(value).map_err(|_| FormatError::Invalid { what })?;
            *wanted = Some(value.to_owned());
        }
    }
    Ok((class, owner))
}
