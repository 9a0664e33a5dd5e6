//! What the objects in memory are, and how they are read and written.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use holdfast_protocol::{
    BucketRow, ByteRange, ChecksumType, ETag, Geometry, Metadata, ObjectChecksum,
};
use md5::{Digest, Md5};

use crate::error::GatewayError;
use crate::names::{BucketName, ObjectKey};
use crate::object::Classes;
use crate::object::types::*;
use crate::s3::claims::compute;

/// A stored object.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub body: Vec<u8>,
    pub metadata: Metadata,
    pub checksum: Option<ObjectChecksum>,
    pub etag: ETag,
    pub modified_ms: u64,
    pub parts: Vec<u64>,
}

#[derive(Debug)]
pub(super) struct Upload {
    pub bucket: String,
    pub key: String,
    pub create: CreateUpload,
    pub parts: BTreeMap<u16, Stored>,
}

type Keys = BTreeMap<(String, String), Stored>;

#[derive(Default)]
pub(super) struct Memory {
    pub buckets: Mutex<BTreeMap<String, BucketRow>>,
    pub objects: Mutex<Keys>,
    pub uploads: Mutex<BTreeMap<String, Upload>>,
    pub counter: AtomicU64,
    pub classes: OnceLock<Classes>,
    /// Makes reads fail after their first half.
    pub break_reads: AtomicBool,
    /// The next call of `head` panics.
    pub panic: AtomicBool,
    /// Seen by the last write.
    pub last_len: Mutex<Option<Option<u64>>>,
}

pub(super) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64
}

/// The storage classes: `GLACIER` and `COLD`, beside those that are always there.
pub(super) fn classes() -> Classes {
    let geometry = |text| Geometry::parse(text).unwrap();
    let given = [("GLACIER", "4+1"), ("COLD", "2+1")];
    let given = given.map(|(name, text)| (name.to_owned(), geometry(text)));
    Classes::new(geometry("4+2"), given).unwrap()
}

impl Memory {
    pub fn get_stored(&self, key: &str) -> Option<Stored> {
        let objects = self.objects.lock().unwrap();
        objects.get(&("bkt".to_owned(), key.to_owned())).cloned()
    }
    pub fn count(&self) -> usize {
        self.objects.lock().unwrap().len()
    }

    pub fn find(&self, bucket: &BucketName, key: &ObjectKey) -> Result<Stored, GatewayError> {
        self.row(bucket)?;
        let objects = self.objects.lock().unwrap();
        objects
            .get(&(bucket.to_string(), key.to_string()))
            .cloned()
            .ok_or_else(|| GatewayError::NoSuchKey {
                key: key.to_string(),
            })
    }
    pub fn row(&self, name: &BucketName) -> Result<BucketRow, GatewayError> {
        let buckets = self.buckets.lock().unwrap();
        buckets
            .get(name.as_str())
            .cloned()
            .ok_or_else(|| GatewayError::NoSuchBucket {
                bucket: name.to_string(),
            })
    }

    pub async fn receive(&self, incoming: Incoming) -> Result<Stored, GatewayError> {
        *self.last_len.lock().unwrap() = Some(incoming.len);
        let mut stream = incoming.stream;
        let mut body = Vec::new();
        while let Some(bytes) = stream.next().await {
            body.extend_from_slice(&bytes.map_err(GatewayError::Body)?);
        }
        if let Some(expected) = incoming.len
            && expected != body.len() as u64
        {
            return Err(GatewayError::IncompleteBody {
                expected,
                got: body.len() as u64,
            });
        }
        let claims = (incoming.claims)()?;
        let md5: [u8; 16] = Md5::digest(&body).into();
        if claims.md5.is_some_and(|claimed| claimed != md5) {
            return Err(GatewayError::BadDigest {
                what: "Content-MD5",
            });
        }
        let checksum = incoming.checksum.map(|kind| ObjectChecksum {
            kind,
            covers: ChecksumType::FullObject,
            digest: compute(kind, &body),
        });
        if let (Some((_, claimed)), Some(sum)) = (&claims.checksum, &checksum)
            && *claimed != sum.digest
        {
            return Err(GatewayError::BadDigest {
                what: "x-amz-checksum",
            });
        }
        Ok(Stored {
            body,
            metadata: Metadata::default(),
            checksum,
            etag: ETag { md5, parts: 0 },
            modified_ms: now_ms(),
            parts: Vec::new(),
        })
    }

    pub fn store(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        conditions: &WriteConditions,
        stored: &Stored,
    ) -> Result<WrittenObject, GatewayError> {
        let mut objects = self.objects.lock().unwrap();
        let name = (bucket.to_string(), key.to_string());
        let present = objects.get(&name);
        if let Some(tags) = &conditions.if_match
            && !present.is_some_and(|present| tags.matches(&present.etag))
        {
            return Err(GatewayError::Precondition {
                condition: "If-Match",
            });
        }
        if let Some(tags) = &conditions.if_none_match
            && present.is_some_and(|present| tags.matches(&present.etag))
        {
            return Err(GatewayError::Precondition {
                condition: "If-None-Match",
            });
        }
        objects.insert(name, stored.clone());
        Ok(WrittenObject {
            etag: stored.etag,
            checksum: stored.checksum.clone(),
            len: stored.body.len() as u64,
            modified_ms: stored.modified_ms,
            version: None,
            expires: None,
        })
    }
}

pub(super) fn check_read(stored: &Stored, conditions: &ReadConditions) -> Result<(), GatewayError> {
    let failed = |condition| Err(GatewayError::Precondition { condition });
    let not_modified = GatewayError::NotModified {
        etag: stored.etag,
        modified_ms: stored.modified_ms,
    };
    let seconds = stored.modified_ms / 1000;
    if conditions
        .if_match
        .as_ref()
        .is_some_and(|tags| !tags.matches(&stored.etag))
    {
        return failed("If-Match");
    }
    if conditions
        .if_unmodified_since
        .is_some_and(|ms| seconds > ms / 1000)
    {
        return failed("If-Unmodified-Since");
    }
    if conditions
        .if_none_match
        .as_ref()
        .is_some_and(|tags| tags.matches(&stored.etag))
    {
        return Err(not_modified);
    }
    if conditions
        .if_modified_since
        .is_some_and(|ms| seconds <= ms / 1000)
    {
        return Err(not_modified);
    }
    Ok(())
}

pub(super) fn info(stored: &Stored, part: Option<u32>) -> Result<ObjectInfo, GatewayError> {
    let len = stored.body.len() as u64;
    let mut info = ObjectInfo {
        len,
        etag: stored.etag,
        modified_ms: stored.modified_ms,
        metadata: stored.metadata.clone(),
        checksum: stored.checksum.clone(),
        part_count: (!stored.parts.is_empty()).then_some(stored.parts.len() as u32),
        part_range: None,
        version: None,
        expires: None,
    };
    if let Some(number) = part {
        let lens = if stored.parts.is_empty() {
            vec![len]
        } else {
            stored.parts.clone()
        };
        let index = number as usize - 1;
        if index >= lens.len() {
            return Err(GatewayError::NoSuchPart {
                number,
                count: lens.len() as u32,
            });
        }
        let start = lens[..index].iter().sum();
        info.part_range = Some(ByteRange::new(start, start + lens[index]));
    }
    Ok(info)
}

pub(super) fn part_info(number: u16, stored: &Stored) -> PartInfo {
    PartInfo {
        number,
        len: stored.body.len() as u64,
        etag: stored.etag,
        modified_ms: stored.modified_ms,
        checksum: stored.checksum.clone(),
    }
}

pub(super) fn resolve(range: RangeSpec, len: u64) -> Result<ByteRange, GatewayError> {
    let (start, end) = match range {
        RangeSpec::From { first, last } => (
            first,
            last.map_or(len, |last| last.saturating_add(1).min(len)),
        ),
        RangeSpec::Suffix(suffix) => (len.saturating_sub(suffix), len),
    };
    match start < end {
        true => Ok(ByteRange::new(start, end)),
        false => Err(GatewayError::InvalidRange { len }),
    }
}
