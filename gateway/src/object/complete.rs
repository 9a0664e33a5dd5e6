//! CompleteMultipartUpload.
//!
//! Owns: checking the named parts, the entity tag and checksum of the whole, and the commit.
//! Leaves to others: the parts' bytes, which do not move.
//! Always: repeats with the same answer for a day; parts that are not named are retired.

use std::sync::Arc;

use crc_fast::{CrcAlgorithm, checksum_combine};
use holdfast_index::rows::{self, Which};
use holdfast_index::{Batch, Locks, Mode, Row, Table, Transaction, UsageDelta, keys};
use holdfast_protocol::checksum::crc64;
use holdfast_protocol::row::{Completed, PartRow, UploadRow, VersionRow};
use holdfast_protocol::{
    Body, ChecksumKind, ChecksumType, ETag, Manifest, ManifestKind, ObjectChecksum, PartRef,
};
use holdfast_store::digest::md5;
use holdfast_store::{Checksum, StagedBody};

use super::bucket::Bucket;
use super::lifecycle::{Changed, told};
use super::lock;
use super::part::part_info;
use super::put::checksum_header;
use super::reparts::is_hidden;
use super::service::{Retired, Service, note_seen, queue_purge};
use super::types::{CompleteUpload, CompletedObject, NamedPart};
use super::upload::{INITIATOR, no_such_upload, parse_upload};
use super::version::VersionId;
use crate::error::GatewayError;
use crate::notify::{EventKind, Origin};

/// All parts but the last have at least so many bytes.
pub const PART_LEN_MIN: u64 = 5 << 20;
/// Largest object: 50 TiB (S3 raised its limit from 5 TiB in 2025).
pub const OBJECT_LEN_MAX: u64 = 50 << 40;
/// How long a completed upload answers again.
const ANSWER_MS: u64 = 24 * 60 * 60 * 1000;

impl Service {
    pub(super) async fn complete(
        &self,
        done: CompleteUpload,
    ) -> Result<CompletedObject, GatewayError> {
        let bucket = self.live_bucket(&done.bucket).await?;
        let service = self.clone();
        let origin = Origin::current().map(|origin| origin.by(&done.by));
        let work = async move { service.commit_complete(bucket, done, origin).await };
        self.to_the_end("complete upload", work).await
    }

    async fn commit_complete(
        &self,
        bucket: Arc<Bucket>,
        done: CompleteUpload,
        origin: Option<Origin>,
    ) -> Result<CompletedObject, GatewayError> {
        let upload = parse_upload(&done.upload)?;
        let key = done.key.as_str();
        let locks = Locks::none()
            .upload(upload, Mode::Exclusive)
            .key(bucket.id, key);
        let (mut txn, bucket) = self.begin_in(&bucket, locks).await?;
        let mut row = self.upload_in(txn.as_mut(), bucket.id, key, upload).await?;
        if is_hidden(&row) {
            return Err(no_such_upload(&done.upload));
        }
        let request_digest = digest_request(&done.parts);
        let present = self.present(txn.as_mut(), &bucket, key).await?;
        if let Some(completed) = &row.completed {
            let mut again = self.repeat(completed, request_digest, &done)?;
            again.version = self
                .completed_as(txn.as_mut(), &bucket, key, completed)
                .await?;
            return Ok(again);
        }
        let stored = self.parts(upload).await?;
        let (named, unnamed) = choose(&done.parts, stored)?;
        let checksum = whole_checksum(&row, &done, &named)?;
        let old = present.current.as_ref();
        self.decide(&done.conditions, old, bucket.id, key).await?;
        let order = txn.take_order();
        let manifest = self.whole(&bucket, &row, order, &named, checksum)?;
        let sealed = self.seal_body(&manifest, StagedBody::Empty).await?;
        let new = VersionRow {
            manifest,
            placement: sealed.placement,
            changed: None,
        };
        let mut batch = Batch::new();
        self.place(&mut batch, &bucket, &present, &new).await?;
        self.note(&mut batch, &bucket, Changed::Closed(&row.manifest));
        close(&mut batch, &mut row, &new.manifest, request_digest);
        let mut retired = Retired::default();
        for part in &unnamed {
            self.retire_part(upload, part, &mut retired, &mut batch);
        }
        queue_purge(&mut batch, order, retired, None);
        note_seen(&mut batch, &sealed.seen);
        let happened = (EventKind::CreatedComplete, &new.manifest, order);
        self.announce(&mut batch, &bucket, happened, origin.as_ref())?;
        self.commit(txn, batch).await?;
        self.notify(true, false);
        Ok(CompletedObject {
            version: bucket.id_of_new(&new.manifest),
            expires: told(bucket.settings().lifecycle.as_ref(), &new.manifest),
            etag: new.manifest.etag,
            checksum: new.manifest.checksum,
        })
    }

    /// The version that Complete makes.
    fn whole(
        &self,
        in_bucket: &Bucket,
        upload_row: &UploadRow,
        order: holdfast_protocol::Order,
        named: &[PartRow],
        checksum: Option<ObjectChecksum>,
    ) -> Result<Manifest, GatewayError> {
        let mut md5s = Vec::with_capacity(named.len() * 16);
        named
            .iter()
            .for_each(|part| md5s.extend_from_slice(&part.manifest.etag.md5));
        let parts = part_refs(named);
        let (bucket, key) = (upload_row.manifest.bucket, &upload_row.manifest.key);
        let upload = upload_row.manifest.write;
        let kind = ManifestKind::Version(in_bucket.name_of_new());
        let manifest = self.manifest(kind, bucket, key, self.ids.next(), order);
        let mut metadata = upload_row.manifest.metadata.clone();
        metadata.remove(INITIATOR);
        lock::settle(in_bucket.settings(), &mut metadata, manifest.created_ms)?;
        Ok(Manifest {
            len: parts.iter().map(|part| part.len).sum(),
            etag: ETag {
                md5: md5(&md5s),
                parts: parts.len() as u16,
            },
            body: Body::Parts { upload, parts },
            checksum,
            metadata,
            ..manifest
        })
    }

    /// A Complete that was answered before: the same parts get the same answer, for a day.
    fn repeat(
        &self,
        completed: &Completed,
        request_digest: u64,
        done: &CompleteUpload,
    ) -> Result<CompletedObject, GatewayError> {
        let now = self.store.world().clock.unix_ms();
        let fresh = now.saturating_sub(completed.at_ms) < ANSWER_MS;
        if !fresh || completed.request_digest != request_digest {
            return Err(no_such_upload(&done.upload));
        }
        Ok(CompletedObject {
            etag: completed.etag,
            checksum: completed.checksum.clone(),
            version: None,
            expires: None,
        })
    }

    /// The version id that an earlier Complete answered with. The upload does not keep it: a null
    /// version that was replaced since then is taken for one that was not.
    async fn completed_as(
        &self,
        txn: &mut dyn Transaction,
        bucket: &Bucket,
        key: &str,
        completed: &Completed,
    ) -> Result<Option<VersionId>, GatewayError> {
        if !bucket.has_versions() {
            return Ok(None);
        }
        let null = rows::get_version(txn, bucket.id, key, Which::Null).await?;
        // Not by the write: it may have moved to another storage class.
        let is_null = null.is_some_and(|(_, row)| row.manifest.version == completed.order);
        Ok((!is_null).then_some(VersionId::Ordered(completed.order)))
    }
}

/// How a version of parts names them.
pub(super) fn part_refs(parts: &[PartRow]) -> Vec<PartRef> {
    let refs = parts.iter().map(|part| PartRef {
        number: part_info(part).number,
        write: part.manifest.write,
        len: part.manifest.len,
    });
    refs.collect()
}

/// The upload's row says from now on what it became.
pub(super) fn close(batch: &mut Batch, row: &mut UploadRow, new: &Manifest, request_digest: u64) {
    let (bucket, order) = (new.bucket, new.order);
    row.completed = Some(Completed {
        write: new.write,
        order,
        etag: new.etag,
        checksum: new.checksum.clone(),
        request_digest,
        at_ms: new.created_ms,
    });
    let (opened, upload) = (row.manifest.order, row.manifest.write);
    let at = keys::upload(bucket, &row.manifest.key, upload);
    let closed = Row::new(order, row.encode());
    batch.replace(Table::Upload, at, closed, opened);
    batch.usage(bucket, UsageDelta::Uploads(-1));
}

fn digest_request(parts: &[NamedPart]) -> u64 {
    let text: Vec<String> = parts
        .iter()
        .map(|part| format!("{}:{}", part.number, part.etag))
        .collect();
    crc64(text.join(",").as_bytes())
}

/// The stored parts that are named, in order, and those that are not.
fn choose(
    named: &[NamedPart],
    stored: Vec<PartRow>,
) -> Result<(Vec<PartRow>, Vec<PartRow>), GatewayError> {
    if named.is_empty() {
        return Err(GatewayError::InvalidRequest {
            why: "You must specify at least one part".to_owned(),
        });
    }
    let mut stored = stored.into_iter().peekable();
    let (mut chosen, mut others) = (Vec::with_capacity(named.len()), Vec::new());
    let mut last = 0;
    for part in named {
        if part.number <= last {
            return Err(GatewayError::InvalidPartOrder {
                number: part.number,
            });
        }
        last = part.number;
        while let Some(other) = stored.next_if(|row| number(row) < part.number) {
            others.push(other);
        }
        let missing = GatewayError::InvalidPart {
            number: part.number,
            why: "it was not uploaded",
        };
        let row = stored
            .next_if(|row| number(row) == part.number)
            .ok_or(missing)?;
        check_part(part, &row)?;
        chosen.push(row);
    }
    others.extend(stored);
    let total: u64 = chosen.iter().map(|part| part.manifest.len).sum();
    if total > OBJECT_LEN_MAX {
        return Err(GatewayError::TooLarge {
            len: total,
            max: OBJECT_LEN_MAX,
        });
    }
    let all_but_last = chosen.len() - 1;
    match chosen[..all_but_last]
        .iter()
        .find(|part| part.manifest.len < PART_LEN_MIN)
    {
        Some(small) => Err(GatewayError::PartTooSmall {
            number: number(small),
            len: small.manifest.len,
            min: PART_LEN_MIN,
        }),
        None => Ok((chosen, others)),
    }
}

fn number(row: &PartRow) -> u32 {
    part_info(row).number.into()
}

fn check_part(named: &NamedPart, row: &PartRow) -> Result<(), GatewayError> {
    let refuse = |why| {
        Err(GatewayError::InvalidPart {
            number: named.number,
            why,
        })
    };
    if named.etag != row.manifest.etag.to_string() {
        return refuse("it has another entity tag");
    }
    match (&named.checksum, &row.manifest.checksum) {
        (Some((kind, digest)), Some(ours)) if *kind == ours.kind && *digest != ours.digest => {
            refuse("it has another checksum")
        }
        _ => Ok(()),
    }
}

/// The checksum of the whole, held against what the client gives.
fn whole_checksum(
    upload: &UploadRow,
    done: &CompleteUpload,
    parts: &[PartRow],
) -> Result<Option<ObjectChecksum>, GatewayError> {
    let announced = upload
        .manifest
        .checksum
        .as_ref()
        .map(|sum| (sum.kind, sum.covers));
    let first = parts
        .first()
        .and_then(|part| part.manifest.checksum.as_ref());
    let (kind, covers) = match (announced, first) {
        (Some(announced), _) => announced,
        (None, Some(first)) => (first.kind, default_type(first.kind)),
        (None, None) => return Ok(None),
    };
    if done.checksum_type.is_some_and(|given| given != covers) {
        return Err(GatewayError::InvalidRequest {
            why: "The checksum type does not match that of the upload".to_owned(),
        });
    }
    let sums: Option<Vec<&ObjectChecksum>> = parts
        .iter()
        .map(|part| {
            part.manifest
                .checksum
                .as_ref()
                .filter(|sum| sum.kind == kind)
        })
        .collect();
    let Some(sums) = sums else { return Ok(None) };
    let digest = match covers {
        ChecksumType::Composite => composite(kind, &sums),
        ChecksumType::FullObject => match combined(kind, &sums, parts) {
            Some(digest) => digest,
            None => return Ok(None),
        },
    };
    if let Some((given, theirs)) = &done.checksum
        && (*given != kind || *theirs != digest)
    {
        return Err(GatewayError::BadDigest {
            what: checksum_header(*given),
        });
    }
    let len: u64 = parts.iter().map(|part| part.manifest.len).sum();
    if done.len.is_some_and(|given| given != len) {
        return Err(GatewayError::InvalidRequest {
            why: format!("x-amz-mp-object-size is not the size of the object, {len}"),
        });
    }
    Ok(Some(ObjectChecksum {
        kind,
        covers,
        digest,
    }))
}

fn default_type(kind: ChecksumKind) -> ChecksumType {
    match kind {
        ChecksumKind::Crc64Nvme => ChecksumType::FullObject,
        _ => ChecksumType::Composite,
    }
}

/// The checksum over the parts' checksums.
fn composite(kind: ChecksumKind, sums: &[&ObjectChecksum]) -> Vec<u8> {
    let mut whole = Checksum::new(kind);
    sums.iter().for_each(|sum| whole.update(&sum.digest));
    whole.finish()
}

/// The checksum of the concatenation, from those of the parts; `None` for SHA, which cannot be
/// combined.
fn combined(kind: ChecksumKind, sums: &[&ObjectChecksum], parts: &[PartRow]) -> Option<Vec<u8>> {
    let algorithm = match kind {
        ChecksumKind::Crc32 => CrcAlgorithm::Crc32IsoHdlc,
        ChecksumKind::Crc32c => CrcAlgorithm::Crc32Iscsi,
        ChecksumKind::Crc64Nvme => CrcAlgorithm::Crc64Nvme,
        ChecksumKind::Sha1 | ChecksumKind::Sha256 => return None,
    };
    let number = |digest: &[u8]| {
        digest
            .iter()
            .fold(0, |sum, &byte| sum << 8 | u64::from(byte))
    };
    let mut pairs = sums.iter().zip(parts);
    let mut whole = number(&pairs.next()?.0.digest);
    for (sum, part) in pairs {
        whole = checksum_combine(algorithm, whole, number(&sum.digest), part.manifest.len);
    }
    Some(whole.to_be_bytes()[8 - kind.len()..].to_vec())
}
