//! Names of rows that have a placement.
//!
//! Owns: the fields and byte form of kind 5.
//! Leaves to others: finding the row that is named (index).
//! Always: as of all rows.

use bytes::Bytes;

use super::{open, start};
use crate::codec::{FormatError, Writer};
use crate::ids::{BucketId, Order, WriteId};
use crate::manifest::KEY_LEN_MAX;

/// Names a row whose shards or copies are incomplete, wherever it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RowName {
    /// A version.
    Version {
        /// Its bucket.
        bucket: BucketId,
        /// Its key.
        key: String,
        /// Which of the key's versions.
        version: Order,
        /// Its write.
        write: WriteId,
    },
    /// A part, also of a completed upload.
    Part {
        /// The upload.
        upload: WriteId,
        /// The part's number.
        number: u16,
        /// The part's write.
        write: WriteId,
    },
    /// An upload's own record.
    Upload {
        /// Its bucket.
        bucket: BucketId,
        /// Its key.
        key: String,
        /// Its write.
        write: WriteId,
    },
    /// The metadata record of a version.
    Metadata {
        /// Its bucket.
        bucket: BucketId,
        /// Its key.
        key: String,
        /// Which of the key's versions.
        version: Order,
        /// Its write.
        write: WriteId,
    },
}

impl RowName {
    /// The write of the row.
    pub fn write(&self) -> WriteId {
        match self {
            Self::Version { write, .. }
            | Self::Part { write, .. }
            | Self::Upload { write, .. }
            | Self::Metadata { write, .. } => *write,
        }
    }
    /// The byte form.
    pub fn encode(&self) -> Bytes {
        let mut out = start(5);
        match self {
            Self::Version {
                bucket,
                key,
                version,
                write,
            } => of_version(1, *bucket, key, *version, *write, &mut out),
            Self::Metadata {
                bucket,
                key,
                version,
                write,
            } => of_version(4, *bucket, key, *version, *write, &mut out),
            Self::Upload { bucket, key, write } => {
                out.u8(3);
                bucket.encode(&mut out);
                out.str(key);
                write.encode(&mut out);
            }
            Self::Part {
                upload,
                number,
                write,
            } => {
                out.u8(2);
                upload.encode(&mut out);
                out.u16(*number);
                write.encode(&mut out);
            }
        }
        out.finish()
    }
    /// Reads the byte form.
    ///
    /// # Errors
    /// A [`FormatError`] that names the first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut input = open(bytes, 5)?;
        let name = match input.u8()? {
            2 => Self::Part {
                upload: WriteId::decode(&mut input)?,
                number: input.u16()?,
                write: WriteId::decode(&mut input)?,
            },
            3 => Self::Upload {
                bucket: BucketId::decode(&mut input)?,
                key: input.str("key", KEY_LEN_MAX)?.to_owned(),
                write: WriteId::decode(&mut input)?,
            },
            tag @ (1 | 4) => {
                let bucket = BucketId::decode(&mut input)?;
                let key = input.str("key", KEY_LEN_MAX)?.to_owned();
                let version = Order::decode(&mut input)?;
                let write = WriteId::decode(&mut input)?;
                match tag {
                    1 => Self::Version {
                        bucket,
                        key,
                        version,
                        write,
                    },
                    _ => Self::Metadata {
                        bucket,
                        key,
                        version,
                        write,
                    },
                }
            }
            _ => return Err(FormatError::Invalid { what: "row name" }),
        };
        input.end()?;
        Ok(name)
    }
}

fn of_version(
    tag: u8,
    bucket: BucketId,
    key: &str,
    version: Order,
    write: WriteId,
    out: &mut Writer,
) {
    out.u8(tag);
    bucket.encode(out);
    out.str(key);
    version.encode(out);
    write.encode(out);
}
