//! Keys of rows, whose lexical order is the order of what they name.
//!
//! Owns: the byte form of every key of every table.
//! Leaves to others: the rows ([`crate::rows`]) and how tables share an engine.
//! Always: keys of one kind sort like (bucket, key bytes, …), whatever bytes the S3 key holds.

use bytes::{BufMut, Bytes, BytesMut};
use holdfast_protocol::{BucketId, DriveId, Order, WriteId};

/// [`crate::Table::Bucket`]: the name's bytes.
pub fn bucket(name: &str) -> Bytes {
    Bytes::copy_from_slice(name.as_bytes())
}

/// [`crate::Table::Current`]: bucket, then the key's bytes as they are.
pub fn current(bucket: BucketId, key: &str) -> Bytes {
    current_bytes(bucket, key.as_bytes())
}

/// As [`current`], for a bound that need not be UTF-8.
pub fn current_bytes(bucket: BucketId, key: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(8 + key.len());
    out.put_u64(bucket.get());
    out.put_slice(key);
    out.freeze()
}

/// The bytes of the S3 key in a key of [`crate::Table::Current`]; `None` if it is too short.
pub fn current_key(stored: &[u8]) -> Option<&[u8]> {
    stored.get(8..)
}

/// [`crate::Table::Noncurrent`]: bucket, key, then the newest version first.
pub fn noncurrent(bucket: BucketId, key: &str, version: Order) -> Bytes {
    let mut out = escaped(b"", bucket, key, 12);
    out.extend(version.to_key().map(|byte| !byte));
    out.freeze()
}

/// [`crate::Table::Metadata`]: bucket, key, version, as in [`noncurrent`].
pub fn metadata(bucket: BucketId, key: &str, version: Order) -> Bytes {
    noncurrent(bucket, key, version)
}

/// [`crate::Table::Null`]: bucket, key.
pub fn null(bucket: BucketId, key: &str) -> Bytes {
    noncurrent_prefix(bucket, key)
}

/// What all keys of [`noncurrent`] of one S3 key begin with.
pub fn noncurrent_prefix(bucket: BucketId, key: &str) -> Bytes {
    escaped(b"", bucket, key, 0).freeze()
}

/// What all keys of [`noncurrent`] begin with whose S3 key begins with `prefix`.
pub fn noncurrents_prefix(bucket: BucketId, prefix: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(10 + prefix.len());
    out.put_u64(bucket.get());
    escape(prefix.as_bytes(), &mut out);
    out.freeze()
}

/// [`crate::Table::Upload`]: bucket, key, then the upload, which is its oldest write first.
pub fn upload(bucket: BucketId, key: &str, upload: WriteId) -> Bytes {
    let mut out = escaped(UPLOAD_BY_KEY, bucket, key, 16);
    out.put_slice(&upload.to_key());
    out.freeze()
}

/// What all keys of [`upload`] of one S3 key begin with.
pub fn upload_prefix(bucket: BucketId, key: &str) -> Bytes {
    escaped(UPLOAD_BY_KEY, bucket, key, 0).freeze()
}

/// What all keys of [`upload`] begin with whose S3 key begins with `prefix`.
pub fn uploads_prefix(bucket: BucketId, prefix: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(11 + prefix.len());
    out.put_slice(UPLOAD_BY_KEY);
    out.put_u64(bucket.get());
    escape(prefix, &mut out);
    out.freeze()
}

/// [`crate::Table::Upload`]: finds the bucket and key of an upload of which only the id is known.
pub fn upload_by_id(upload: WriteId) -> Bytes {
    let mut out = BytesMut::with_capacity(17);
    out.put_slice(UPLOAD_BY_ID);
    out.put_slice(&upload.to_key());
    out.freeze()
}

/// [`crate::Table::Part`]: upload, then number.
pub fn part(upload: WriteId, number: u16) -> Bytes {
    let mut out = BytesMut::with_capacity(18);
    out.put_slice(&upload.to_key());
    out.put_u16(number);
    out.freeze()
}

/// What all keys of [`part`] of one upload begin with.
pub fn part_prefix(upload: WriteId) -> Bytes {
    Bytes::copy_from_slice(&upload.to_key())
}

/// [`crate::Table::Heal`]: margin, then spread at random, so that equals are healed in no order
/// that a client chose.
pub fn heal(margin: u8, write: WriteId) -> Bytes {
    let mut out = BytesMut::with_capacity(25);
    out.put_u8(margin);
    out.put_u64(spread(write));
    out.put_slice(&write.to_key());
    out.freeze()
}

/// [`crate::Table::Purge`]: the order of the retiring change, then the write that names the entry.
pub fn purge(order: Order, write: WriteId) -> Bytes {
    let mut out = BytesMut::with_capacity(28);
    out.put_slice(&order.to_key());
    out.put_slice(&write.to_key());
    out.freeze()
}

/// [`crate::Table::Due`]: the time, bucket, key, then the upload, if it is about one.
pub fn due(due_ms: u64, bucket: BucketId, key: &str, upload: Option<WriteId>) -> Bytes {
    let mut out = escaped(&due_ms.to_be_bytes(), bucket, key, 16);
    if let Some(upload) = upload {
        out.put_slice(&upload.to_key());
    }
    out.freeze()
}

/// [`crate::Table::Usage`].
pub fn usage(bucket: BucketId) -> Bytes {
    Bytes::copy_from_slice(&bucket.get().to_be_bytes())
}

/// [`crate::Table::Seen`].
pub fn seen(drive: DriveId) -> Bytes {
    Bytes::copy_from_slice(&drive.get().to_be_bytes())
}

/// [`crate::Table::System`]: kind, then name.
pub fn system(kind: &str, name: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(kind.len() + name.len() + 4);
    escape(kind.as_bytes(), &mut out);
    out.put_slice(&TERMINATOR);
    out.put_slice(name.as_bytes());
    out.freeze()
}

/// What all keys of [`system`] of one kind begin with.
pub fn system_prefix(kind: &str) -> Bytes {
    system(kind, "")
}

/// The least key above all that begin with `prefix`; `None` if there is none.
pub fn after_prefix(prefix: &[u8]) -> Option<Bytes> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut out = BytesMut::from(&prefix[..=last]);
    out[last] += 1;
    Some(out.freeze())
}

/// Splits a key of [`noncurrent`] or [`metadata`] into bucket, key bytes and version.
pub fn parse_noncurrent(stored: &[u8]) -> Option<(BucketId, Vec<u8>, Order)> {
    let (bucket, key, rest) = parse_escaped(stored)?;
    let version: [u8; 12] = rest.try_into().ok()?;
    Some((bucket, key, Order::from_key(version.map(|byte| !byte))))
}

/// Splits a key of [`null`] into bucket and key bytes.
pub fn parse_null(stored: &[u8]) -> Option<(BucketId, Vec<u8>)> {
    let (bucket, key, rest) = parse_escaped(stored)?;
    rest.is_empty().then_some((bucket, key))
}

/// Splits a key of [`upload`] into bucket, key bytes and upload; `None` for one of
/// [`upload_by_id`].
pub fn parse_upload(stored: &[u8]) -> Option<(BucketId, Vec<u8>, WriteId)> {
    let (bucket, key, rest) = parse_escaped(stored.strip_prefix(UPLOAD_BY_KEY)?)?;
    Some((bucket, key, WriteId::from_key(rest.try_into().ok()?)))
}

/// Splits a key of [`part`] into upload and number.
pub fn parse_part(stored: &[u8]) -> Option<(WriteId, u16)> {
    let (upload, number) = stored.split_at_checked(16)?;
    let upload = WriteId::from_key(upload.try_into().ok()?);
    Some((upload, u16::from_be_bytes(number.try_into().ok()?)))
}

/// Splits a key of [`heal`] into margin and write.
pub fn parse_heal(stored: &[u8]) -> Option<(u8, WriteId)> {
    let (head, write) = stored.split_at_checked(9)?;
    Some((head[0], WriteId::from_key(write.try_into().ok()?)))
}

/// Splits a key of [`due`] into time, bucket, key bytes and upload.
pub fn parse_due(stored: &[u8]) -> Option<(u64, BucketId, Vec<u8>, Option<WriteId>)> {
    let (due_ms, rest) = stored.split_at_checked(8)?;
    let (bucket, key, upload) = parse_escaped(rest)?;
    let upload = match upload {
        [] => None,
        upload => Some(WriteId::from_key(upload.try_into().ok()?)),
    };
    let due_ms = u64::from_be_bytes(due_ms.try_into().ok()?);
    Some((due_ms, bucket, key, upload))
}

/// Splits a key of [`purge`] into order and write.
pub fn parse_purge(stored: &[u8]) -> Option<(Order, WriteId)> {
    let (order, write) = stored.split_at_checked(12)?;
    let order = Order::from_key(order.try_into().ok()?);
    Some((order, WriteId::from_key(write.try_into().ok()?)))
}

const UPLOAD_BY_KEY: &[u8] = b"k";
const UPLOAD_BY_ID: &[u8] = b"i";
/// Ends an escaped key: below every byte that may follow within one (0x00 is followed by 0xff).
const TERMINATOR: [u8; 2] = [0x00, 0x01];

fn escape(key: &[u8], out: &mut BytesMut) {
    for byte in key {
        out.put_u8(*byte);
        if *byte == 0 {
            out.put_u8(0xff);
        }
    }
}

fn escaped(head: &[u8], bucket: BucketId, key: &str, more: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(head.len() + 10 + key.len() + more);
    out.put_slice(head);
    out.put_u64(bucket.get());
    escape(key.as_bytes(), &mut out);
    out.put_slice(&TERMINATOR);
    out
}

fn parse_escaped(stored: &[u8]) -> Option<(BucketId, Vec<u8>, &[u8])> {
    let (bucket, mut rest) = stored.split_at_checked(8)?;
    let bucket = BucketId::new(u64::from_be_bytes(bucket.try_into().ok()?));
    let mut key = Vec::with_capacity(rest.len());
    loop {
        match rest {
            [0x00, 0xff, tail @ ..] => {
                key.push(0);
                rest = tail;
            }
            [0x00, 0x01, tail @ ..] => return Some((bucket, key, tail)),
            [0x00, ..] | [] => return None,
            [byte, tail @ ..] => {
                key.push(*byte);
                rest = tail;
            }
        }
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014) over the write's fields.
fn spread(write: WriteId) -> u64 {
    let number = u128::from_be_bytes(write.to_key());
    let mut mixed = (number >> 64) as u64 ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;
