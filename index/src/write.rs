//! Changes of rows with their types.
//!
//! Owns: which typed row goes under which key, with which order and guard.
//! Leaves to others: reading ([`crate::rows`]), which changes belong together (gateway, workers).
//! Always: a row's order is that of its manifest or bucket; a noncurrent null version has what
//! finds it without its order.

use holdfast_protocol::row::{HealRow, RowName};
use holdfast_protocol::{
    BucketId, BucketRow, Manifest, ManifestKind, MetadataRow, Order, PartRow, PurgeRow, UploadRow,
    VersionName, VersionRow, WriteId,
};

use crate::{Batch, Row, Table, keys};

fn version_row(row: &VersionRow) -> Row {
    Row::new(row.manifest.order, row.encode())
}

fn noncurrent_key(manifest: &Manifest) -> bytes::Bytes {
    keys::noncurrent(manifest.bucket, &manifest.key, manifest.version)
}

fn metadata_key(manifest: &Manifest) -> bytes::Bytes {
    keys::metadata(manifest.bucket, &manifest.key, manifest.version)
}

fn is_null(manifest: &Manifest) -> bool {
    manifest.kind == ManifestKind::Version(VersionName::Null)
}

fn upload_key(manifest: &Manifest) -> bytes::Bytes {
    keys::upload(manifest.bucket, &manifest.key, manifest.write)
}

impl Batch {
    /// Writes a bucket, in place of one of lower order.
    pub fn put_bucket(&mut self, row: &BucketRow) -> &mut Self {
        let key = keys::bucket(&row.name);
        self.put(Table::Bucket, key, Row::new(row.order, row.encode()))
    }

    /// Removes the bucket of that name and order.
    pub fn delete_bucket(&mut self, name: &str, present: Order) -> &mut Self {
        self.delete_exactly(Table::Bucket, keys::bucket(name), present)
    }

    /// Makes a version current, in place of one of lower order.
    pub fn put_current(&mut self, row: &VersionRow) -> &mut Self {
        let key = keys::current(row.manifest.bucket, &row.manifest.key);
        self.put(Table::Current, key, version_row(row))
    }

    /// Changes the current version, which has the order `present`: placement or metadata.
    pub fn replace_current(&mut self, row: &VersionRow, present: Order) -> &mut Self {
        let key = keys::current(row.manifest.bucket, &row.manifest.key);
        self.replace(Table::Current, key, version_row(row), present)
    }

    /// Removes the current version, which has the order `present`.
    pub fn delete_current(&mut self, bucket: BucketId, key: &str, present: Order) -> &mut Self {
        self.delete_exactly(Table::Current, keys::current(bucket, key), present)
    }

    /// Writes a noncurrent version, whatever is there of it. In a batch that also removes a null
    /// version of the key from among them, the removal comes first.
    pub fn put_noncurrent(&mut self, row: &VersionRow) -> &mut Self {
        let manifest = &row.manifest;
        if is_null(manifest) {
            let at = keys::null(manifest.bucket, &manifest.key);
            let version = Row::new(manifest.version, bytes::Bytes::new());
            self.set(Table::Null, at, version);
        }
        self.set(
            Table::Noncurrent,
            noncurrent_key(manifest),
            version_row(row),
        )
    }

    /// Changes a noncurrent version, which has the order `present`: placement, metadata or how it
    /// is stored.
    pub fn replace_noncurrent(&mut self, row: &VersionRow, present: Order) -> &mut Self {
        let key = noncurrent_key(&row.manifest);
        self.replace(Table::Noncurrent, key, version_row(row), present)
    }

    /// Removes the noncurrent version of this manifest, which must be there.
    pub fn delete_noncurrent(&mut self, manifest: &Manifest) -> &mut Self {
        if is_null(manifest) {
            self.delete(Table::Null, keys::null(manifest.bucket, &manifest.key));
        }
        let key = noncurrent_key(manifest);
        self.delete_exactly(Table::Noncurrent, key, manifest.order)
    }

    /// Writes the metadata record of a version, in place of one of lower order.
    pub fn put_metadata(&mut self, row: &MetadataRow) -> &mut Self {
        self.put(
            Table::Metadata,
            metadata_key(&row.manifest),
            version_row(row),
        )
    }

    /// Changes the metadata record of a version, which has the order `present`: its placement.
    pub fn replace_metadata(&mut self, row: &MetadataRow, present: Order) -> &mut Self {
        let key = metadata_key(&row.manifest);
        self.replace(Table::Metadata, key, version_row(row), present)
    }

    /// Removes the metadata record of this manifest, which must be there.
    pub fn delete_metadata(&mut self, manifest: &Manifest) -> &mut Self {
        self.delete_exactly(Table::Metadata, metadata_key(manifest), manifest.order)
    }

    /// Writes a new upload, with what finds it by its id.
    pub fn put_upload(&mut self, row: &UploadRow) -> &mut Self {
        let manifest = &row.manifest;
        let name = RowName::Upload {
            bucket: manifest.bucket,
            key: manifest.key.clone(),
            write: manifest.write,
        };
        let by_id = keys::upload_by_id(manifest.write);
        self.put(
            Table::Upload,
            by_id,
            Row::new(manifest.order, name.encode()),
        );
        let stored = Row::new(manifest.order, row.encode());
        self.put(Table::Upload, upload_key(manifest), stored)
    }

    /// Changes an upload: completed, or its placement.
    pub fn replace_upload(&mut self, row: &UploadRow) -> &mut Self {
        let order = row.manifest.order;
        let stored = Row::new(order, row.encode());
        self.replace(Table::Upload, upload_key(&row.manifest), stored, order)
    }

    /// Removes an upload, with what finds it by its id.
    pub fn delete_upload(&mut self, manifest: &Manifest) -> &mut Self {
        self.delete(Table::Upload, keys::upload_by_id(manifest.write));
        self.delete_exactly(Table::Upload, upload_key(manifest), manifest.order)
    }

    /// Writes a part, in place of one of lower order. Does nothing for a manifest of another kind.
    pub fn put_part(&mut self, row: &PartRow) -> &mut Self {
        let ManifestKind::Part { upload, number } = row.manifest.kind else {
            debug_assert!(false, "not a part: {:?}", row.manifest.kind);
            return self;
        };
        self.put(Table::Part, keys::part(upload, number), version_row(row))
    }

    /// Changes a part, which has the order `present`. Does nothing for a manifest of another kind.
    pub fn replace_part(&mut self, row: &PartRow, present: Order) -> &mut Self {
        let ManifestKind::Part { upload, number } = row.manifest.kind else {
            debug_assert!(false, "not a part: {:?}", row.manifest.kind);
            return self;
        };
        let key = keys::part(upload, number);
        self.replace(Table::Part, key, version_row(row), present)
    }

    /// Removes the part, which has the order `present`.
    pub fn delete_part(&mut self, upload: WriteId, number: u16, present: Order) -> &mut Self {
        self.delete_exactly(Table::Part, keys::part(upload, number), present)
    }

    /// Queues a row, which has this manifest, to be healed.
    pub fn put_heal(&mut self, margin: u8, name: &RowName, manifest: &Manifest) -> &mut Self {
        let key = keys::heal(margin, name.write());
        let row = HealRow {
            name: name.clone(),
            geometry: manifest.geometry,
        };
        self.set(Table::Heal, key, Row::new(manifest.order, row.encode()))
    }

    /// Takes a row out of the heal queue.
    pub fn delete_heal(&mut self, margin: u8, write: WriteId) -> &mut Self {
        self.delete(Table::Heal, keys::heal(margin, write))
    }

    /// Queues writes to be purged, retired by the change of that order; `write` names the entry.
    pub fn put_purge(&mut self, order: Order, write: WriteId, row: &PurgeRow) -> &mut Self {
        let key = keys::purge(order, write);
        self.set(Table::Purge, key, Row::new(order, row.encode()))
    }

    /// Takes an entry out of the purge queue.
    pub fn delete_purge(&mut self, order: Order, write: WriteId) -> &mut Self {
        self.delete(Table::Purge, keys::purge(order, write))
    }

    /// Writes a system record, in place of one of lower order; an empty value says that it is
    /// deleted.
    pub fn put_system(&mut self, kind: &str, name: &str, row: Row) -> &mut Self {
        self.put(Table::System, keys::system(kind, name), row)
    }
}
