//! The listing of all versions, as S3 clients see it.
//!
//! Owns: walking current and noncurrent versions together.
//! Leaves to others: prefixes, delimiters and pages ([`crate::listing`]).
//! Always: the versions of a key are shown as of one moment, newest first, each once. A key that
//! has a noncurrent version has a current one.

use std::ops::Bound;

use bytes::Bytes;
use holdfast_protocol::Order;
use holdfast_protocol::codec::FormatError;
use holdfast_protocol::row::ListedVersion;

use crate::listing::{
    CHUNK_ROWS_MAX, CHUNK_ROWS_MIN, ListQuery, Listing, Progress, common_prefix, past,
};
use crate::{IndexError, Read, Result, Row, Scan, ScanLimit, Table, keys};

/// A version in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionEntry {
    /// Its key.
    pub key: String,
    /// Whether it is the key's current one.
    pub is_latest: bool,
    /// The version, which may be a delete marker.
    pub version: ListedVersion,
}

/// Lists the versions of a bucket: by key, then newest first.
///
/// `version_after` continues within the key [`ListQuery::after`], with what is older than that
/// version; without it the listing goes on behind that key. A common prefix stands for versions and
/// delete markers alike.
///
/// # Errors
/// `Read`, `Damaged`.
pub async fn list_versions(
    mut reader: impl Read,
    query: ListQuery<'_>,
    version_after: Option<Order>,
) -> Result<Listing<VersionEntry>> {
    let mut progress = Progress::new();
    if query.max_keys == 0 {
        return Ok(progress.end());
    }
    let mut from = first(&query, version_after);
    let most = CHUNK_ROWS_MAX.min(query.max_keys.saturating_add(1));
    let mut rows = match query.delimiter.is_empty() {
        true => most,
        false => CHUNK_ROWS_MIN,
    };
    loop {
        let Some(chunk) = read_chunk(&mut reader, &query, &from, rows).await? else {
            // Fewer rows take less time, in which less can move.
            rows = (rows / 2).max(1);
            continue;
        };
        for found in &chunk.found {
            if !progress.passes_over(&found.key)
                && !progress.show(&query, &found.key, || Ok(found.entry()))?
            {
                return Ok(progress.end());
            }
        }
        let Some(next) = chunk.next else {
            return Ok(progress.end());
        };
        let rolled_up = progress.rolled_up.as_ref();
        from = match (rolled_up, chunk.found.last()) {
            (Some(prefix), Some(last)) if last.key.starts_with(prefix.as_str()) => {
                rows = CHUNK_ROWS_MIN;
                From::Past(prefix.clone())
            }
            _ => {
                rows = most.max(CHUNK_ROWS_MIN).min(rows * 4);
                next
            }
        };
    }
}

/// Where a read begins.
#[derive(Clone, Debug)]
enum From {
    /// With the first key that is not below this one.
    At(String),
    /// Behind all keys that begin so.
    Past(String),
    /// Behind this key.
    Behind(String),
    /// Within this key, with what is older than this version.
    Within(String, Order),
}

/// A row that the listing may show.
struct Found {
    key: String,
    table: Table,
    version: ListedVersion,
}

/// Rows by key, newest first, and where those begin that follow.
struct Chunk {
    found: Vec<Found>,
    next: Option<From>,
}

impl Found {
    fn entry(&self) -> VersionEntry {
        VersionEntry {
            key: self.key.clone(),
            is_latest: self.table == Table::Current,
            version: self.version.clone(),
        }
    }
}

fn first(query: &ListQuery<'_>, version_after: Option<Order>) -> From {
    match query.after {
        Some(after) if after >= query.prefix => {
            match (common_prefix(query, after), version_after) {
                (Some(prefix), _) => From::Past(prefix.to_owned()),
                (None, Some(version)) => From::Within(after.to_owned(), version),
                (None, None) => From::Behind(after.to_owned()),
            }
        }
        _ => From::At(query.prefix.to_owned()),
    }
}

/// Reads up to `rows` rows of each table. `None` if a version moved between the tables meanwhile:
/// what was current may have become noncurrent, or the other way, and would be missed.
async fn read_chunk(
    reader: &mut impl Read,
    query: &ListQuery<'_>,
    from: &From,
    rows: usize,
) -> Result<Option<Chunk>> {
    let before = scan_current(reader, query, from, rows).await?;
    let last = before.rows.last().map(|(stored, _)| current_key(stored));
    let last = last.transpose()?;
    let bound = match &last {
        Some(last) if before.more => past(&keys::noncurrent_prefix(query.bucket, last)),
        _ => past(&keys::noncurrents_prefix(query.bucket, query.prefix)),
    };
    let older = scan_noncurrent(reader, query, from, bound, rows).await?;
    let after = scan_current(reader, query, from, rows).await?;
    let orders = |scan: &Scan| -> Vec<(Bytes, Order)> {
        let order = |(stored, row): &(Bytes, Row)| (stored.clone(), row.order);
        scan.rows.iter().map(order).collect()
    };
    if orders(&before) != orders(&after) || before.more != after.more {
        return Ok(None);
    }
    let next = last.filter(|_| before.more).map(From::Behind);
    merge(after, older, from, next).map(Some)
}

fn merge(current: Scan, older: Scan, from: &From, next: Option<From>) -> Result<Chunk> {
    let mut noncurrent = Vec::with_capacity(older.rows.len());
    for (stored, row) in older.rows {
        noncurrent.push(Found {
            key: noncurrent_key(&stored)?,
            table: Table::Noncurrent,
            version: decode(Table::Noncurrent, &stored, &row)?,
        });
    }
    // What follows the last one that was read may be of its key, too.
    let cut = noncurrent.last().filter(|_| older.more);
    let cut = cut.map(|last| (last.key.clone(), last.version.version));
    let mut noncurrent = noncurrent.into_iter().peekable();
    let mut found = Vec::new();
    for (stored, row) in current.rows {
        let key = current_key(&stored)?;
        if cut.as_ref().is_some_and(|(last, _)| key > *last) {
            break;
        }
        let listed = decode(Table::Current, &stored, &row)?;
        let version = listed.version;
        let is_before = matches!(from, From::Within(at, after) if *at == key && version >= *after);
        if !is_before {
            found.push(Found {
                key: key.clone(),
                table: Table::Current,
                version: listed,
            });
        }
        // One that is not older, or of no key here, was noncurrent for a moment only.
        while let Some(older) = noncurrent.next_if(|older| older.key <= key) {
            let is_older = older.key == key && older.version.version < version;
            found.extend(Some(older).filter(|_| is_older));
        }
    }
    let next = match cut {
        Some((key, version)) => Some(From::Within(key, version)),
        None => next,
    };
    Ok(Chunk { found, next })
}

async fn scan_current(
    reader: &mut impl Read,
    query: &ListQuery<'_>,
    from: &From,
    rows: usize,
) -> Result<Scan> {
    let at = |key: &str| keys::current(query.bucket, key);
    let from = match from {
        From::At(key) | From::Within(key, _) => Bound::Included(at(key)),
        From::Past(prefix) => past(&at(prefix)),
        From::Behind(key) => Bound::Excluded(at(key)),
    };
    scan(reader, Table::Current, from, past(&at(query.prefix)), rows).await
}

async fn scan_noncurrent(
    reader: &mut impl Read,
    query: &ListQuery<'_>,
    from: &From,
    to: Bound<Bytes>,
    rows: usize,
) -> Result<Scan> {
    let bucket = query.bucket;
    let from = match from {
        From::At(key) => Bound::Included(keys::noncurrents_prefix(bucket, key)),
        From::Past(prefix) => past(&keys::noncurrents_prefix(bucket, prefix)),
        From::Behind(key) => past(&keys::noncurrent_prefix(bucket, key)),
        From::Within(key, version) => Bound::Excluded(keys::noncurrent(bucket, key, *version)),
    };
    scan(reader, Table::Noncurrent, from, to, rows).await
}

/// `to` as [`past`] gives it: the first that does not belong to the range.
async fn scan(
    reader: &mut impl Read,
    table: Table,
    from: Bound<Bytes>,
    to: Bound<Bytes>,
    rows: usize,
) -> Result<Scan> {
    let to = match &to {
        Bound::Included(end) => Bound::Excluded(end.as_ref()),
        _ => Bound::Unbounded,
    };
    let limit = ScanLimit::rows(rows);
    let from = from.as_ref().map(Bytes::as_ref);
    reader.range(table, from, to, limit).await
}

fn damaged(table: Table, stored: &[u8]) -> IndexError {
    let what = "listed key";
    IndexError::damaged(table, stored, FormatError::Invalid { what })
}

fn current_key(stored: &[u8]) -> Result<String> {
    let key = keys::current_key(stored).and_then(|key| std::str::from_utf8(key).ok());
    key.map(str::to_owned)
        .ok_or_else(|| damaged(Table::Current, stored))
}

fn noncurrent_key(stored: &[u8]) -> Result<String> {
    keys::parse_noncurrent(stored)
        .and_then(|(_, key, _)| String::from_utf8(key).ok())
        .ok_or_else(|| damaged(Table::Noncurrent, stored))
}

fn decode(table: Table, stored: &[u8], row: &Row) -> Result<ListedVersion> {
    ListedVersion::decode(&row.value).map_err(|error| IndexError::damaged(table, stored, error))
}

#[cfg(test)]
mod tests;
