//! Listings as S3 clients see them.
//!
//! Owns: prefixes, delimiters, markers, truncation; seeking past common prefixes.
//! Leaves to others: encoding of markers and XML (gateway).
//! Always: entries are keys and common prefixes in one byte order, and a listing shows those
//! strictly above its marker; so a marker inside a common prefix hides that prefix, and paging
//! never repeats one. A common prefix stands for at least one entry that would be shown.

use std::ops::Bound;

use bytes::Bytes;
use holdfast_protocol::codec::FormatError;
use holdfast_protocol::row::ListedVersion;
use holdfast_protocol::{BucketId, UploadRow, WriteId};

use crate::{IndexError, Read, Result, Row, Scan, ScanLimit, Table, keys};

/// What to list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListQuery<'a> {
    /// The bucket.
    pub bucket: BucketId,
    /// Only keys that begin with it.
    pub prefix: &'a str,
    /// Rolls up keys that share what precedes it after the prefix; empty for none.
    pub delimiter: &'a str,
    /// Only entries above it: a key or a common prefix, present or not. Version 1 calls it marker,
    /// version 2 start-after or (decoded) continuation token.
    pub after: Option<&'a str>,
    /// Most entries, common prefixes included.
    pub max_keys: usize,
}

/// Entries of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<T> {
    /// Keys that are not rolled up, ascending.
    pub entries: Vec<T>,
    /// Ascending.
    pub common_prefixes: Vec<String>,
    /// Whether there are more.
    pub truncated: bool,
    /// When truncated: the last entry, to be given as [`ListQuery::after`].
    pub next: Option<String>,
}

/// A current version in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListEntry {
    /// Its key.
    pub key: String,
    /// The version, never a delete marker.
    pub version: ListedVersion,
}

/// An open upload in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadEntry {
    /// Its key.
    pub key: String,
    /// Its id.
    pub upload: WriteId,
    /// The upload.
    pub row: UploadRow,
}

/// Rows of the first read after a seek: as many as a small directory has, and cheap to throw away.
pub(crate) const CHUNK_ROWS_MIN: usize = 16;
/// Most rows of a read.
pub(crate) const CHUNK_ROWS_MAX: usize = 1001;

/// Lists the current versions of a bucket.
///
/// # Errors
/// `Read`, `Damaged`.
pub async fn list_current(reader: impl Read, query: ListQuery<'_>) -> Result<Listing<ListEntry>> {
    let at = |prefix: &str| keys::current(query.bucket, prefix);
    let source = Source {
        table: Table::Current,
        at,
        after: |key: &str| Bound::Excluded(at(key)),
        key_of: |stored: &[u8]| {
            let key = std::str::from_utf8(keys::current_key(stored)?).ok()?;
            Some(key.to_owned())
        },
        entry: |key: &str, row: &Row| {
            let version = ListedVersion::decode(&row.value)?;
            let is_shown = !version.is_delete_marker;
            Ok(is_shown.then(|| ListEntry {
                key: key.to_owned(),
                version,
            }))
        },
    };
    source.list(reader, query).await
}

/// Lists the open uploads of a bucket, by key and then by id.
///
/// `upload_after` continues within the key [`ListQuery::after`], as S3's upload-id-marker does
/// beside its key-marker; the next one is the id of the last entry, unless that is a common prefix.
/// An upload that is not `shown` is in no page, no prefix and no marker.
///
/// # Errors
/// `Read`, `Damaged`.
pub async fn list_uploads(
    reader: impl Read,
    query: ListQuery<'_>,
    upload_after: Option<WriteId>,
    shown: impl Fn(&UploadRow) -> bool,
) -> Result<Listing<UploadEntry>> {
    let source = Source {
        table: Table::Upload,
        at: |prefix: &str| keys::uploads_prefix(query.bucket, prefix.as_bytes()),
        after: |key: &str| match upload_after {
            Some(upload) => Bound::Excluded(keys::upload(query.bucket, key, upload)),
            None => past(&keys::upload_prefix(query.bucket, key)),
        },
        key_of: |stored: &[u8]| {
            let (_, key, _) = keys::parse_upload(stored)?;
            String::from_utf8(key).ok()
        },
        entry: |key: &str, row: &Row| {
            let row = UploadRow::decode(&row.value)?;
            let is_shown = row.completed.is_none() && shown(&row);
            Ok(is_shown.then(|| UploadEntry {
                key: key.to_owned(),
                upload: row.manifest.write,
                row,
            }))
        },
    };
    source.list(reader, query).await
}

/// Where keys begin that are above all that begin with `prefix`.
pub(crate) fn past(prefix: &[u8]) -> Bound<Bytes> {
    keys::after_prefix(prefix).map_or(Bound::Unbounded, Bound::Included)
}

/// A table that lists S3 keys.
struct Source<At, After, KeyOf, Entry> {
    table: Table,
    /// Where stored keys begin whose S3 key begins with a prefix; they are those that begin with
    /// it.
    at: At,
    /// Where stored keys begin that follow a marker.
    after: After,
    /// The S3 key of a stored key.
    key_of: KeyOf,
    /// What is shown of a row, if anything.
    entry: Entry,
}

/// What a listing has gathered, and where it stands.
pub(crate) struct Progress<T> {
    pub(crate) listing: Listing<T>,
    /// The common prefix shown last: keys that begin with it are passed over.
    pub(crate) rolled_up: Option<String>,
}

impl<T> Progress<T> {
    pub(crate) fn new() -> Self {
        Self {
            listing: Listing::empty(),
            rolled_up: None,
        }
    }

    /// Whether what is under this key stands in the common prefix shown last.
    pub(crate) fn passes_over(&self, key: &str) -> bool {
        let prefix = self.rolled_up.as_deref();
        prefix.is_some_and(|prefix| key.starts_with(prefix))
    }

    /// Shows what is under a key, or the common prefix it stands in. Returns whether there was
    /// room; if not, the listing is truncated before it.
    ///
    /// # Errors
    /// What `entry` says.
    pub(crate) fn show(
        &mut self,
        query: &ListQuery<'_>,
        key: &str,
        entry: impl FnOnce() -> Result<T>,
    ) -> Result<bool> {
        let listing = &mut self.listing;
        if listing.entries.len() + listing.common_prefixes.len() == query.max_keys {
            listing.truncated = true;
            return Ok(false);
        }
        match common_prefix(query, key) {
            Some(prefix) => {
                listing.common_prefixes.push(prefix.to_owned());
                listing.next = Some(prefix.to_owned());
                self.rolled_up = Some(prefix.to_owned());
            }
            None => {
                listing.entries.push(entry()?);
                listing.next = Some(key.to_owned());
            }
        }
        Ok(true)
    }

    /// The listing: what continues it is told only if there is more.
    pub(crate) fn end(mut self) -> Listing<T> {
        if !self.listing.truncated {
            self.listing.next = None;
        }
        self.listing
    }
}

impl<At, After, KeyOf, Entry, T> Source<At, After, KeyOf, Entry>
where
    At: Fn(&str) -> Bytes,
    After: Fn(&str) -> Bound<Bytes>,
    KeyOf: Fn(&[u8]) -> Option<String>,
    Entry: Fn(&str, &Row) -> std::result::Result<Option<T>, FormatError>,
{
    async fn list(self, mut reader: impl Read, query: ListQuery<'_>) -> Result<Listing<T>> {
        let mut progress = Progress::new();
        if query.max_keys == 0 {
            return Ok(progress.listing);
        }
        let end = keys::after_prefix(&(self.at)(query.prefix));
        let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut from = self.first(&query);
        let mut chunk = match query.delimiter.is_empty() {
            true => CHUNK_ROWS_MAX.min(query.max_keys.saturating_add(1)),
            false => CHUNK_ROWS_MIN,
        };
        loop {
            let bound = from.as_ref().map(Bytes::as_ref);
            let limit = ScanLimit::rows(chunk);
            let scan = reader.range(self.table, bound, to, limit).await?;
            self.take(&scan, &query, &mut progress)?;
            let Some((last, _)) = scan.rows.last() else {
                break;
            };
            if progress.listing.truncated || !scan.more {
                break;
            }
            let last_key = self.key_of(last)?;
            from = match &progress.rolled_up {
                Some(prefix) if last_key.starts_with(prefix.as_str()) => {
                    chunk = CHUNK_ROWS_MIN;
                    past(&(self.at)(prefix))
                }
                _ => {
                    chunk = CHUNK_ROWS_MAX.min(chunk * 4);
                    Bound::Excluded(last.clone())
                }
            };
        }
        Ok(progress.end())
    }

    /// Where the listing begins.
    fn first(&self, query: &ListQuery<'_>) -> Bound<Bytes> {
        match query.after {
            Some(after) if after >= query.prefix => match common_prefix(query, after) {
                Some(prefix) => past(&(self.at)(prefix)),
                None => (self.after)(after),
            },
            _ => Bound::Included((self.at)(query.prefix)),
        }
    }

    /// Adds what the rows show, until one is shown too many.
    fn take(&self, scan: &Scan, query: &ListQuery<'_>, progress: &mut Progress<T>) -> Result<()> {
        for (stored, row) in &scan.rows {
            let key = self.key_of(stored)?;
            if progress.passes_over(&key) {
                continue;
            }
            let entry =
                (self.entry)(&key, row).map_err(|e| IndexError::damaged(self.table, stored, e))?;
            let Some(entry) = entry else { continue };
            if !progress.show(query, &key, || Ok(entry))? {
                break;
            }
        }
        Ok(())
    }

    fn key_of(&self, stored: &[u8]) -> Result<String> {
        let what = "listed key";
        (self.key_of)(stored)
            .ok_or_else(|| IndexError::damaged(self.table, stored, FormatError::Invalid { what }))
    }
}

/// What `key` is rolled up into.
pub(crate) fn common_prefix<'k>(query: &ListQuery<'_>, key: &'k str) -> Option<&'k str> {
    let rest = key.strip_prefix(query.prefix)?;
    let found = match query.delimiter {
        "" => return None,
        delimiter => rest.find(delimiter)?,
    };
    Some(&key[..query.prefix.len() + found + query.delimiter.len()])
}

impl<T> Listing<T> {
    fn empty() -> Self {
        Self {
            entries: Vec::new(),
            common_prefixes: Vec::new(),
            truncated: false,
            next: None,
        }
    }
}

#[cfg(test)]
mod tests;
