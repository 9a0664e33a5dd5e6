//! HeadObject and GetObject.
//!
//! Owns: choosing the version, deciding conditions, turning ranges and part numbers into bytes, and
//! one stream over all parts.
//! Leaves to others: reading shards (store).
//! Always: a reader is registered before the row is read, until its stream ends: nothing it may
//! read is purged meanwhile. A stream ends with its first error.

use std::sync::Arc;

use futures::future::ready;
use futures::{Stream, StreamExt, stream};
use holdfast_index::rows;
use holdfast_protocol::row::VersionRow;
use holdfast_protocol::{Body, BucketId, ByteRange, Manifest, PartRef};
use holdfast_store::Store;
use holdfast_workers::Reading;

use super::bucket::Bucket;
use super::conditions::check_read;
use super::lifecycle::told;
use super::put::visible;
use super::service::Service;
use super::types::{GetObject, ObjectInfo, ObjectRead, RangeSpec, ReadConditions, ReadStream};
use super::version::VersionId;
use crate::error::GatewayError;
use crate::names::{BucketName, ObjectKey};

/// How often a read starts again because the object was replaced meanwhile.
pub(super) const ATTEMPTS_MAX: usize = 8;
/// A reader of more segments is not asked which they are: it would need too much memory.
const NARROW_MAX: usize = 1024;

/// A piece of an object: a row and the bytes of it.
pub(super) type Segment = (Arc<VersionRow>, ByteRange);

impl Service {
    pub(super) async fn head_object(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: Option<VersionId>,
        part: Option<u32>,
        conditions: &ReadConditions,
    ) -> Result<ObjectInfo, GatewayError> {
        let bucket = self.live_bucket(bucket).await?;
        let row = self.existing(&bucket, key, version).await?;
        check_read(conditions, &row.manifest)?;
        let mut info = self.describe(&bucket, &row, part).await?;
        if version.is_none() {
            info.expires = told(bucket.settings().lifecycle.as_ref(), &row.manifest);
        }
        Ok(info)
    }

    pub(super) async fn get_object(&self, get: GetObject) -> Result<ObjectRead, GatewayError> {
        let mut reader = self.readers.enter();
        let bucket = self.live_bucket(&get.bucket).await?;
        let mut attempt = 0;
        let (info, range, segments) = loop {
            let row = self.existing(&bucket, &get.key, get.version).await?;
            check_read(&get.conditions, &row.manifest)?;
            let mut info = self.describe(&bucket, &row, get.part).await?;
            if get.version.is_none() {
                info.expires = told(bucket.settings().lifecycle.as_ref(), &row.manifest);
            }
            let range = match (info.part_range, get.range) {
                (Some(range), _) => range,
                (None, Some(wanted)) => resolve(wanted, info.len)?,
                (None, None) => ByteRange::new(0, info.len),
            };
            match self.segments(Arc::new(row), range).await? {
                Some(segments) => break (info, range, segments),
                None if attempt < ATTEMPTS_MAX => attempt += 1,
                None => {
                    return Err(GatewayError::Busy {
                        why: "the object changes too fast",
                    });
                }
            }
        };
        narrow(&mut reader, &segments);
        let mut pieces = read_all(self.store.clone(), segments);
        // What cannot be read at all is answered with an error, not with a cut body.
        let first = pieces.next().await.transpose()?;
        let first = stream::iter(first.map(Ok));
        let stream = first
            .chain(pieces)
            .map(move |piece| {
                let _held = &reader;
                piece
            })
            .boxed();
        let partial = get.range.is_some() || get.part.is_some();
        Ok(ObjectRead {
            info,
            range,
            partial,
            stream,
        })
    }

    /// The object, or that version of it.
    ///
    /// # Errors
    /// `NoSuchKey`, `NoSuchVersion`; `DeleteMarker` if it is one.
    pub(super) async fn existing(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        version: Option<VersionId>,
    ) -> Result<VersionRow, GatewayError> {
        let row = match version {
            None => self.current(bucket.id, key).await?,
            Some(id) => {
                let which = id.which();
                let found = rows::get_version(&*self.index, bucket.id, key.as_str(), which);
                found.await?.map(|(_, row)| row)
            }
        };
        let Some(row) = row else {
            return Err(self.missing(bucket.id, key, version).await?);
        };
        match visible(&row) {
            Some(_) => Ok(row),
            None => Err(GatewayError::DeleteMarker {
                key: key.as_str().to_owned(),
                version: VersionId::of(&row.manifest),
                was_named: version.is_some(),
                modified_ms: row.manifest.created_ms,
            }),
        }
    }

    /// What is said of an object or version that no row shows.
    ///
    /// # Errors
    /// `Unavailable` if that does not mean that there is none.
    pub(super) async fn missing(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        version: Option<VersionId>,
    ) -> Result<GatewayError, GatewayError> {
        self.sure(bucket, key.as_str()).await?;
        let key = key.as_str().to_owned();
        Ok(match version {
            None => GatewayError::NoSuchKey { key },
            Some(version) => GatewayError::NoSuchVersion {
                key,
                version: version.to_string(),
            },
        })
    }

    /// The pieces of `range`, in order; `None` if the object was replaced meanwhile.
    pub(super) async fn segments(
        &self,
        row: Arc<VersionRow>,
        range: ByteRange,
    ) -> Result<Option<Vec<Segment>>, GatewayError> {
        let Body::Parts { upload, parts } = &row.manifest.body else {
            return Ok(Some(vec![(row, range)]));
        };
        let mut segments = Vec::new();
        let mut offset = 0;
        for part in parts {
            let (start, end) = (range.start.max(offset), range.end.min(offset + part.len));
            if start < end {
                let found = rows::get_part(&*self.index, *upload, part.number).await?;
                let Some(found) = found.filter(|found| found.manifest.write == part.write) else {
                    return Ok(None);
                };
                segments.push((
                    Arc::new(found),
                    ByteRange::new(start - offset, end - offset),
                ));
            }
            offset += part.len;
        }
        Ok(Some(segments))
    }

    pub(super) async fn describe(
        &self,
        bucket: &Bucket,
        row: &VersionRow,
        part: Option<u32>,
    ) -> Result<ObjectInfo, GatewayError> {
        let manifest = &row.manifest;
        let mut info = ObjectInfo {
            len: manifest.len,
            etag: manifest.etag,
            modified_ms: manifest.created_ms,
            metadata: manifest.metadata.clone(),
            checksum: manifest.checksum.clone(),
            part_count: part_count(manifest),
            part_range: None,
            version: bucket.id_of(manifest),
            expires: None,
        };
        let Some(number) = part else { return Ok(info) };
        let Body::Parts { upload, parts } = &manifest.body else {
            if number != 1 {
                return Err(GatewayError::NoSuchPart { number, count: 1 });
            }
            info.part_range = Some(ByteRange::new(0, manifest.len));
            return Ok(info);
        };
        let (start, part) = find_part(parts, number)?;
        info.part_range = Some(ByteRange::new(start, start + part.len));
        let row = rows::get_part(&*self.index, *upload, part.number).await?;
        info.checksum = row.and_then(|row| row.manifest.checksum);
        Ok(info)
    }
}

/// The number-th part of an object (as S3 counts: by position) and where it begins.
fn find_part(parts: &[PartRef], number: u32) -> Result<(u64, &PartRef), GatewayError> {
    let count = parts.len() as u32;
    let at = (number as usize).checked_sub(1);
    let part = at
        .and_then(|at| parts.get(at))
        .ok_or(GatewayError::NoSuchPart { number, count })?;
    let start = parts[..at.unwrap_or(0)].iter().map(|part| part.len).sum();
    Ok((start, part))
}

fn part_count(manifest: &Manifest) -> Option<u32> {
    match &manifest.body {
        Body::Parts { parts, .. } => Some(parts.len() as u32),
        _ => None,
    }
}

/// Says what is read from now on, so that a slow client delays the purge of nothing else.
pub(super) fn narrow(reader: &mut Reading, segments: &[Segment]) {
    if segments.len() <= NARROW_MAX {
        reader.narrow(segments.iter().map(|(row, _)| row.manifest.write));
    }
}

/// The bytes of all segments, up to the first that cannot be read.
pub(super) fn read_all(store: Store, segments: Vec<Segment>) -> ReadStream {
    let pieces = stream::iter(segments).flat_map(move |(row, range)| store.read(row, range));
    up_to_error(pieces)
        .map(|piece| piece.map_err(GatewayError::Store))
        .boxed()
}

/// Pieces are read ahead: some that follow an error may be there already, and are no part of the
/// answer.
fn up_to_error<T, E>(pieces: impl Stream<Item = Result<T, E>>) -> impl Stream<Item = Result<T, E>> {
    pieces.scan(false, |is_cut, piece| {
        let next = (!*is_cut).then_some(piece);
        *is_cut |= next.as_ref().is_some_and(Result::is_err);
        ready(next)
    })
}

/// The bytes that a range names in an object of `len` bytes.
///
/// # Errors
/// `InvalidRange` if there are none.
pub(super) fn resolve(range: RangeSpec, len: u64) -> Result<ByteRange, GatewayError> {
    let (start, end) = match range {
        RangeSpec::From { first, last } => (
            first,
            last.map_or(len, |last| last.saturating_add(1).min(len)),
        ),
        RangeSpec::Suffix(count) => (len.saturating_sub(count), len),
    };
    match start < end {
        true => Ok(ByteRange::new(start, end)),
        false => Err(GatewayError::InvalidRange { len }),
    }
}

#[cfg(test)]
mod tests {
    //! Facts about streams of pieces.
    use super::*;

    #[tokio::test]
    async fn nothing_follows_an_error() {
        let pieces = stream::iter([Ok(1), Err("unreadable"), Ok(3), Err("too")]);
        let read: Vec<_> = up_to_error(pieces).collect().await;
        assert_eq!(read, [Ok(1), Err("unreadable")]);
    }
}
