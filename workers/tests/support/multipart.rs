//! What a gateway does for multipart uploads.

use bytes::Bytes;
use holdfast_index::{Batch, Index, Locks, Row, Table, Transaction, UsageDelta, keys};
use holdfast_protocol::checksum::crc64;
use holdfast_protocol::row::Completed;
use holdfast_protocol::{
    Body, DriveId, ManifestKind, Order, PartRef, PartRow, PurgeKind, PurgeRow, Record, UploadRow,
    VersionRow, WriteId,
};
use holdfast_store::placement::group_of;
use holdfast_store::{BodyPlan, StagedBody};

use super::{BUCKET, Running};

impl Running {
    pub async fn create_upload(&self, key: &str, commit: bool) -> UploadRow {
        let mut txn = self.index.begin(Locks::none()).await.unwrap();
        let order = txn.take_order();
        let mut manifest = self.manifest(key, order, 0, Body::Empty);
        manifest.kind = ManifestKind::Upload;
        manifest.version = Order::ZERO;
        let record = Record::Commit {
            manifest: manifest.clone(),
            body: Bytes::new(),
        };
        let sealed = self
            .store
            .seal_small(&record, group_of(BUCKET, key))
            .await
            .unwrap();
        let row = UploadRow {
            manifest,
            placement: sealed.placement,
            completed: None,
        };
        if commit {
            let mut batch = Batch::new();
            batch.put_upload(&row);
            batch.usage(BUCKET, UsageDelta::Uploads(1));
            txn.commit(batch).await.unwrap();
        }
        row
    }

    pub async fn put_part(
        &self,
        upload: &UploadRow,
        number: u16,
        bytes: &[u8],
        commit: bool,
    ) -> PartRow {
        let (key, write) = (upload.manifest.key.clone(), (self.next_write)());
        let group = group_of(BUCKET, &key);
        let plan = BodyPlan {
            write,
            group,
            len: Some(bytes.len() as u64),
            checksum: None,
            geometry: None,
        };
        let source = [Ok::<_, std::io::Error>(Bytes::copy_from_slice(bytes))];
        let staged = self
            .store
            .receive(plan, futures::stream::iter(source))
            .await
            .unwrap();
        let mut txn = self.index.begin(Locks::none()).await.unwrap();
        let mut manifest = self.manifest(&key, txn.take_order(), bytes.len() as u64, Body::Empty);
        manifest.write = write;
        manifest.etag.md5 = staged.digests.md5;
        manifest.version = Order::ZERO;
        manifest.kind = ManifestKind::Part {
            upload: upload.manifest.write,
            number,
        };
        let StagedBody::Coded(coded) = staged.body else {
            panic!("parts of tests are coded")
        };
        manifest.body = Body::Coded {
            drives: coded.drives.clone(),
            digests: coded.digests.clone(),
        };
        let sealed = self.store.seal_coded(&manifest, coded).await.unwrap();
        let row = PartRow {
            manifest,
            placement: sealed.placement,
            changed: None,
        };
        if commit {
            let mut batch = Batch::new();
            batch.put_part(&row);
            txn.commit(batch).await.unwrap();
        }
        row
    }

    pub async fn complete(
        &self,
        upload: &UploadRow,
        parts: &[PartRow],
        commit: bool,
    ) -> VersionRow {
        let key = upload.manifest.key.clone();
        let mut txn = self
            .index
            .begin(Locks::none().key(BUCKET, key.as_str()))
            .await
            .unwrap();
        let order = txn.take_order();
        let named: Vec<PartRef> = parts
            .iter()
            .map(|part| PartRef {
                number: number(part),
                write: part.manifest.write,
                len: part.manifest.len,
            })
            .collect();
        let len = named.iter().map(|part| part.len).sum();
        let body = Body::Parts {
            upload: upload.manifest.write,
            parts: named,
        };
        let manifest = self.manifest(&key, order, len, body);
        let record = Record::Commit {
            manifest: manifest.clone(),
            body: Bytes::new(),
        };
        let sealed = self
            .store
            .seal_small(&record, group_of(BUCKET, &key))
            .await
            .unwrap();
        let row = VersionRow {
            manifest,
            placement: sealed.placement,
            changed: None,
        };
        if commit {
            self.commit_complete(txn, upload, parts, &row).await;
        }
        row
    }

    async fn commit_complete(
        &self,
        txn: Box<dyn Transaction>,
        upload: &UploadRow,
        parts: &[PartRow],
        row: &VersionRow,
    ) {
        let (manifest, order) = (&row.manifest, row.manifest.order);
        let request: Vec<String> = parts
            .iter()
            .map(|part| format!("{}:{}", number(part), part.manifest.etag))
            .collect();
        let done = UploadRow {
            completed: Some(Completed {
                write: manifest.write,
                order,
                etag: manifest.etag,
                checksum: manifest.checksum.clone(),
                request_digest: crc64(request.join(",").as_bytes()),
                at_ms: manifest.created_ms,
            }),
            ..upload.clone()
        };
        let mut batch = Batch::new();
        batch.put_current(row);
        batch
            .count(manifest, 1)
            .usage(BUCKET, UsageDelta::Uploads(-1));
        let at = keys::upload(BUCKET, &manifest.key, upload.manifest.write);
        let present = upload.manifest.order;
        batch.replace(Table::Upload, at, Row::new(order, done.encode()), present);
        txn.commit(batch).await.unwrap();
    }

    /// Deletes a completed version, its upload and its parts.
    pub async fn delete_completed(&self, version: &VersionRow, upload: WriteId, parts: &[PartRow]) {
        let key = version.manifest.key.clone();
        let mut txn = self
            .index
            .begin(Locks::none().key(BUCKET, key.as_str()))
            .await
            .unwrap();
        let order = txn.take_order();
        let record = Record::Tombstone {
            write: (self.next_write)(),
            order,
            bucket: BUCKET,
            key: key.clone(),
            target: holdfast_protocol::TombstoneTarget::Null,
        };
        let sealed = self
            .store
            .seal_small(&record, group_of(BUCKET, &key))
            .await
            .unwrap();
        let mut batch = Batch::new();
        batch.delete_current(BUCKET, &key, version.manifest.order);
        let mut writes = vec![version.manifest.write];
        for part in parts {
            let ManifestKind::Part { number, .. } = part.manifest.kind else {
                continue;
            };
            batch.delete(Table::Part, keys::part(upload, number));
            writes.push(part.manifest.write);
        }
        writes.push(upload);
        batch.delete(Table::Upload, keys::upload(BUCKET, &key, upload));
        batch.delete(Table::Upload, keys::upload_by_id(upload));
        batch.count(&version.manifest, -1);
        let waiting: Vec<DriveId> = self.store.drives().ids();
        let purge = PurgeRow {
            kind: PurgeKind::Gone,
            writes,
            guard: Some(record.write()),
            waiting,
            guard_holders: sealed.placement.drives().collect(),
        };
        batch.put_purge(order, version.manifest.write, &purge);
        txn.commit(batch).await.unwrap();
        self.workers.wake_purge();
    }
}

fn number(part: &PartRow) -> u16 {
    match part.manifest.kind {
        ManifestKind::Part { number, .. } => number,
        _ => unreachable!("a part"),
    }
}
