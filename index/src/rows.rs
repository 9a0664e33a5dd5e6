//! Rows with their types.
//!
//! Owns: which typed row is under which key, for reading.
//! Leaves to others: writing them ([`crate::write`]), byte forms (protocol), listings for clients
//! ([`crate::listing`]).
//! Always: a row that cannot be decoded is a `Damaged` error that names it, never an absent row.

use std::ops::Bound;

use bytes::Bytes;
use holdfast_protocol::codec::FormatError;
use holdfast_protocol::row::{HealRow, RowName, SeenRow, Usage};
use holdfast_protocol::rpc::LogPosition;
use holdfast_protocol::{
    BucketId, BucketRow, DriveId, Geometry, ManifestKind, MetadataRow, Order, PartRow, PurgeRow,
    UploadRow, VersionName, VersionRow, WriteId,
};

use crate::{IndexError, Read, Result, Row, ScanLimit, Table, keys};

/// Items in ascending order of their keys, and whether there are more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Whether there are more after the last.
    pub more: bool,
}

/// Which table a version was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionPlace {
    /// [`Table::Current`].
    Current,
    /// [`Table::Noncurrent`].
    Noncurrent,
}

/// A version as clients name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The current one.
    Current,
    /// The null version.
    Null,
    /// The version of a versioned bucket with this [`Manifest::version`].
    Id(Order),
}

/// An entry of the heal queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealEntry {
    /// Its key in [`Table::Heal`].
    pub key: Bytes,
    /// Good shards or copies that can still be lost.
    pub margin: u8,
    /// The order of the row it names.
    pub order: Order,
    /// The row.
    pub name: RowName,
    /// How it is coded, or copied.
    pub geometry: Geometry,
}

/// An entry of the purge queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeEntry {
    /// Its key in [`Table::Purge`].
    pub key: Bytes,
    /// The order of the change that retired the writes.
    pub order: Order,
    /// The write that names the entry.
    pub write: WriteId,
    /// What to purge.
    pub row: PurgeRow,
}

fn decode<T>(table: Table, key: &[u8], decoded: std::result::Result<T, FormatError>) -> Result<T> {
    decoded.map_err(|e| IndexError::damaged(table, key, e))
}

fn parsed<T>(table: Table, key: &[u8], parsed: Option<T>) -> Result<T> {
    decode(
        table,
        key,
        parsed.ok_or(FormatError::Invalid { what: "row key" }),
    )
}

async fn one<T>(
    reader: &mut impl Read,
    table: Table,
    key: Bytes,
    form: impl FnOnce(&[u8]) -> std::result::Result<T, FormatError>,
) -> Result<Option<T>> {
    match reader.read(table, &key).await? {
        None => Ok(None),
        Some(row) => decode(table, &key, form(&row.value)).map(Some),
    }
}

/// Rows whose keys begin with `prefix`, after the key `after`.
async fn page<T>(
    mut reader: impl Read,
    table: Table,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
    form: impl Fn(&Bytes, &Row) -> Result<T>,
) -> Result<Page<T>> {
    let end = keys::after_prefix(prefix);
    let from = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let scan = reader
        .range(table, from, to, ScanLimit::rows(limit))
        .await?;
    let items = scan.rows.iter().map(|(key, row)| form(key, row));
    Ok(Page {
        items: items.collect::<Result<_>>()?,
        more: scan.more,
    })
}

/// The bucket of that name.
///
/// # Errors
/// `Read`, `Damaged`.
pub async fn get_bucket(mut reader: impl Read, name: &str) -> Result<Option<BucketRow>> {
    one(
        &mut reader,
        Table::Bucket,
        keys::bucket(name),
        BucketRow::decode,
    )
    .await
}

/// Buckets by name: those that begin with `prefix`, after the name `after`.
///
/// # Errors
/// `Read`, `Damaged`.
pub async fn list_buckets(
    reader: impl Read,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<BucketRow>> {
    let after = after.map(str::as_bytes);
    page(
        reader,
        Table::Bucket,
        prefix.as_bytes(),
        after,
        limit,
        |key, row| decode(Table::Bucket, key, BucketRow::decode(&row.value)),
    )
    .await
}

/// The current version of a key, which may be a delete marker.
///
/// # Errors
/// `Read`, `Damaged`.
pub async fn get_current(
    mut reader: impl Read,
    bucket: BucketId,
    key: &str,
) -> Result<Option<VersionRow>> {
    let stored = keys::current(bucket, key);
    one(&mut reader, Table::Current, stored, VersionRow::decode).await
}

/// The noncurrent version of that name.
///
/// # Errors
/// `Read`, `Damaged`.
pub async fn get_noncurrent(
    mut reader: impl Read,
    bucket: BucketId,
    key: &str,
    version: Order,
) -> Result<Option<VersionRow>> {
    let stored = keys::noncurrent(bucket, key, version);
    one(&mut reader, Table::Noncurrent, stored, VersionRow::decode).await
}

/// Which noncurrent version of a key is its null version, if one is.
///
/// # Errors
/// `Read`.
pub async fn get_null(mut reader: impl Read, bucket: BucketId, key: &str) -> Result<Option<Order>> {
    let found = reader.read(Table::Null, &keys::null(bucket, key)).await?;
    Ok(found.map(|row| row.order))
}

/// The metadata record of a version, if it has one.
///
/// # Errors
/// `Read`, `Damaged`.
pub async fn get_metadata(
    mut reader: impl Read,
    bucket: BucketId,
    key: &str,
    version: Order,
) -> Result<Option<MetadataRow>> {
    let stored = keys::metadata(bucket, key, version);
    one(&mut reader, Table::Metadata, stored, MetadataRow::decode).await
}

/// A version as clients name it, and where it is.
///
/// # Errors
/// `Read`, `Damaged`.
pub async fn get_version(
    reader: impl Read,
    bucket: BucketId,
    key: &str,
    which: Which,
) -> Result<Option<(VersionPlace, VersionRow)>> {
    let is_it = |row: &VersionRow| match which {
        Which::Current => true,
        Which::Null => row.manifest.kind == ManifestKind::Version(VersionName::Null),
        Which::Id(version) => {
            row.manifest.kind == ManifestKind::Version(VersionName::Ordered)
                && row.manifest.version == version
        }
    };
    locate(reader, bucket, key, which, is_it).await
}

/// The version that is it, found among the noncurrent ones as `which` says.
///
/// A version may become current, or cease to be, between two reads: then it was in neither place.
/// A noncurrent version becomes current only when the row that is current goes for good: if that is
/// still the same afterwards, nothing moved between the reads.
async fn locate(
    mut reader: impl Read,
    bucket: BucketId,
    key: &str,
    which: Which,
    is_it: impl Fn(&VersionRow) -> bool,
) -> Result<Option<(VersionPlace, VersionRow)>> {
    let stored = keys::current(bucket, key);
    let mut current = reader.read(Table::Current, &stored).await?;
    loop {
        if let Some(row) = &current {
            let row = decode(Table::Current, &stored, VersionRow::decode(&row.value))?;
            if is_it(&row) {
                return Ok(Some((VersionPlace::Current, row)));
            }
        }
        let version = match which {
            Which::Current => None,
            Which::Id(version) => Some(version),
            Which::Null => {
                let null = reader.read(Table::Null, &keys::null(bucket, key)).await?;
                null.map(|row| row.order)
            }
        };
        if let Some(version) = version {
            let at = keys::noncurrent(bucket, key, version);
            let row = one(&mut reader, Table::Noncurrent, at, VersionRow::decode).await?;
            if let Some(row) = row.filter(&is_it) {
                return Ok(Some((VersionPlace::Noncurrent, row)));
            }
        }
        let again = reader.read(Table::Current, &stored).await?;
        let order = |row: &Option<Row>| row.as_ref().map(|row| row.order);
        if order(&again) == order(&current) {
            return Ok(None);
        }
        current = again;
    }
}

/// The noncurrent versions of a key, newest first, those older than `before`.
///
/// # Errors
/// `Read`, `Damaged`.
pub async fn list_noncurrent(
    reader: impl Read,
    bucket: BucketId,
    key: &str,
    before: Option<Order>,
    limit: usize,
) -> Result<Page<VersionRow>> {
    let prefix = keys::noncurrent_prefix(bucket, key);
    let after = before.map(|version| keys::noncurrent(bucket, key, version));
    let table = Table::Noncurrent;
    page(
        reader,
        table,
        &prefix,
        after.as_deref(),
        limit,
        |key, row| decode(table, key, VersionRow::decode(&row.value)),
    )
    .await
}

/// The version that a write made or stored anew, wherever it is.
///
/// # Errors
/// `Read`, `Damaged`.
pub async fn find_version(
    reader: impl Read,
    bucket: BucketId,
    key: &str,
    version: Order,
    write: WriteId,
) -> Result<Option<(VersionPlace, VersionRow)>> {
    let is_it = |row: &VersionRow| row.manifest.write == write;
    locate(reader, bucket, key, Which::Id(version), is_it).await
}

/// An upload of a key, open or completed lately.
///
/// # Errors
/// `Read`, `Damaged`.
pub async fn get_upload(
    mut reader: impl Read,
    bucket: BucketId,
    key: &str,
    upload: WriteId,
) -> Result<Option<UploadRow>> {
    let stored = keys::upload(bucket, key, upload);
    one(&mut reader, Table::Upload, stored, UploadRow::decode).await
}

/// An upload of which only the id is known.
///
/// # Errors
/// `Read`, `Damaged`.
pub async fn find_upload(mut reader: impl Read, upload: WriteId) -> Result<Option<UploadRow>> {
    let stored = keys::upload_by_id(upload);
    let Some(row) = reader.read(Table::Upload, &stored).await? else {
        return Ok(None);
    };
    let name = decode(Table::Upload, &stored, RowName::decode(&row.value))?;
    let RowName::Upload { bucket, key, write } = name else {
        return parsed(Table::Upload, &stored, None);
    };
    let stored = keys::upload(bucket, &key, write);
    one(&mut reader, Table::Upload, stored, UploadRow::decode).await
}

/// A part of an upload.
///
/// # Errors
/// `Read`, `Damaged`.
pub async fn get_part(
    mut reader: impl Read,
    upload: WriteId,
    number: u16,
) -> Result<Option<PartRow>> {
    let stored = keys::part(upload, number);
    one(&mut reader, Table::Part, stored, PartRow::decode).await
}

/// Parts of an upload by number, those above `after`.
///
/// # Errors
/// `Read`, `Damaged`.
pub async fn list_parts(
    reader: impl Read,
    upload: WriteId,
    after: Option<u16>,
    limit: usize,
) -> Result<Page<(u16, PartRow)>> {
    let prefix = keys::part_prefix(upload);
    let after = after.map(|number| keys::part(upload, number));
    page(
        reader,
        Table::Part,
        &prefix,
        after.as_deref(),
        limit,
        |key, row| {
            let (_, number) = parsed(Table::Part, key, keys::parse_part(key))?;
            let part = decode(Table::Part, key, PartRow::decode(&row.value))?;
            Ok((number, part))
        },
    )
    .await
}

/// The heal queue, least margin first, after the key `after`.
///
/// # Errors
/// `Read`, `Damaged`.
pub async fn heal_queue(
    reader: impl Read,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Page<HealEntry>> {
    page(reader, Table::Heal, b"", after, limit, |key, row| {
        let (margin, _) = parsed(Table::Heal, key, keys::parse_heal(key))?;
        let HealRow { name, geometry } = decode(Table::Heal, key, HealRow::decode(&row.value))?;
        Ok(HealEntry {
            key: key.clone(),
            margin,
            order: row.order,
            name,
            geometry,
        })
    })
    .await
}

/// The purge queue, oldest first, after the key `after`.
///
/// # Errors
/// `Read`, `Damaged`.
pub async fn purge_queue(
    reader: impl Read,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Page<PurgeEntry>> {
    page(reader, Table::Purge, b"", after, limit, |key, row| {
        let (order, write) = parsed(Table::Purge, key, keys::parse_purge(key))?;
        Ok(PurgeEntry {
            key: key.clone(),
            order,
            write,
            row: decode(Table::Purge, key, PurgeRow::decode(&row.value))?,
        })
    })
    .await
}

/// What a bucket holds.
///
/// # Errors
/// `Read`, `Damaged`.
pub async fn get_usage(mut reader: impl Read, bucket: BucketId) -> Result<Usage> {
    let usage = one(
        &mut reader,
        Table::Usage,
        keys::usage(bucket),
        Usage::decode,
    )
    .await?;
    Ok(usage.unwrap_or_default())
}

/// How far a drive's log was seen.
///
/// # Errors
/// `Read`, `Damaged`.
pub async fn get_seen(mut reader: impl Read, drive: DriveId) -> Result<Option<LogPosition>> {
    let decode = |bytes: &[u8]| SeenRow::decode(bytes).map(|row| row.end);
    one(&mut reader, Table::Seen, keys::seen(drive), decode).await
}

/// The newest system record of a kind and name: its order and value, which is empty when deleted.
///
/// # Errors
/// `Read`.
pub async fn get_system(mut reader: impl Read, kind: &str, name: &str) -> Result<Option<Row>> {
    reader.read(Table::System, &keys::system(kind, name)).await
}

/// The newest system records of a kind by name, after the name `after`.
///
/// # Errors
/// `Read`, `Damaged`.
pub async fn list_system(
    reader: impl Read,
    kind: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<(String, Row)>> {
    let prefix = keys::system_prefix(kind);
    let after = after.map(|name| keys::system(kind, name));
    page(
        reader,
        Table::System,
        &prefix,
        after.as_deref(),
        limit,
        |key, row| {
            let name = std::str::from_utf8(&key[prefix.len()..]).ok();
            let name = parsed(Table::System, key, name)?;
            Ok((name.to_owned(), row.clone()))
        },
    )
    .await
}

#[cfg(test)]
mod tests;
