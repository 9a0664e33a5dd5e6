//! What a rebuild could not decide: rows that are kept beside the system records and are never sent
//! to a drive.
//!
//! Owns: keys of which nobody knows whether they exist, and the drives that could tell.
//! Leaves to others: deciding, and deciding again when such a drive is back (workers); what a
//! client is told (gateway).
//! Always: a rebuild takes all of them away before it leaves new ones.

use std::collections::BTreeSet;

use holdfast_protocol::{BucketId, DriveId};

use crate::{Batch, Index, Result, Row, Table, keys, rows};

/// Names keys in doubt; and, as [`ANY`], that any key may be.
const KEY_KIND: &str = "local.doubt-key";
/// No key's name looks like these.
const ANY: &str = "any";
const UNLISTED: &str = "unlisted";
/// Names drives that were absent and could tell.
const DRIVE_KIND: &str = "local.awaited";
/// More than a cluster has.
const DRIVES_MAX: usize = 20_000;

fn name(bucket: BucketId, key: &str) -> String {
    format!("{:016x}/{key}", bucket.get())
}

fn note(batch: &mut Batch, kind: &str, name: &str) {
    let row = Row::unordered(bytes::Bytes::new());
    batch.set(Table::System, keys::system(kind, name), row);
}

/// Notes that nobody knows whether this key exists.
pub fn add_key(batch: &mut Batch, bucket: BucketId, key: &str) {
    note(batch, KEY_KIND, &name(bucket, key));
}

/// Notes that any key may exist that is not shown.
pub fn add_any(batch: &mut Batch) {
    note(batch, KEY_KIND, ANY);
}

/// Notes that a key may be missing from any listing, until drives that could tell are back.
pub fn add_unlisted(batch: &mut Batch) {
    note(batch, KEY_KIND, UNLISTED);
}

/// Notes a drive that was absent.
pub fn add_drive(batch: &mut Batch, drive: DriveId) {
    note(batch, DRIVE_KIND, &drive.to_string());
}

/// The key was deleted: whatever there was of it, it is no longer.
pub fn remove_key(batch: &mut Batch, bucket: BucketId, key: &str) {
    let at = keys::system(KEY_KIND, &name(bucket, key));
    batch.delete(Table::System, at);
}

/// Whether any key may exist that is not shown, in buckets that are not shown, too.
///
/// # Errors
/// `Read`.
pub async fn any(index: &dyn Index) -> Result<bool> {
    Ok(rows::get_system(index, KEY_KIND, ANY).await?.is_some())
}

/// Whether a key may be missing from any listing, and drives that could tell are awaited.
///
/// # Errors
/// `Read`.
pub async fn is_unlisted(index: &dyn Index) -> Result<bool> {
    let row = rows::get_system(index, KEY_KIND, UNLISTED).await?;
    Ok(row.is_some())
}

/// Whether a key may exist although no row shows it.
///
/// # Errors
/// `Read`.
pub async fn of_key(index: &dyn Index, bucket: BucketId, key: &str) -> Result<bool> {
    let name = name(bucket, key);
    Ok(rows::get_system(index, KEY_KIND, &name).await?.is_some() || any(index).await?)
}

/// The first key in doubt that begins with `prefix`.
///
/// # Errors
/// `Read`.
pub async fn first(index: &dyn Index, bucket: BucketId, prefix: &str) -> Result<Option<String>> {
    let from = name(bucket, prefix);
    if !prefix.is_empty() && rows::get_system(index, KEY_KIND, &from).await?.is_some() {
        return Ok(Some(prefix.to_owned()));
    }
    let page = rows::list_system(index, KEY_KIND, Some(&from), 1).await?;
    let found = page.items.into_iter().next().map(|(name, _)| name);
    let found = found.filter(|name| name.starts_with(&from));
    Ok(found.and_then(|name| Some(name.split_once('/')?.1.to_owned())))
}

/// Drives that were absent when the index was rebuilt and left something in doubt.
///
/// # Errors
/// `Read`.
pub async fn drives(index: &dyn Index) -> Result<BTreeSet<DriveId>> {
    let page = rows::list_system(index, DRIVE_KIND, None, DRIVES_MAX).await?;
    let names = page.items.iter();
    Ok(names
        .filter_map(|(name, _)| DriveId::parse(name).ok())
        .collect())
}

/// Whether a rebuild left anything in doubt.
///
/// # Errors
/// `Read`.
pub async fn exists(index: &dyn Index) -> Result<bool> {
    let page = rows::list_system(index, KEY_KIND, None, 1).await?;
    Ok(!page.items.is_empty())
}
