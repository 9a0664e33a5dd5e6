//! Objects in memory: enough of the domain to see what the S3 front asks of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use holdfast_protocol::manifest::OWNER;
use holdfast_protocol::{BucketId, BucketRow, ByteRange, ETag, Metadata, ObjectChecksum, Order};
use md5::{Digest, Md5};

pub(super) use super::kept::Memory;
use super::kept::{Stored, Upload, check_read, classes, info, now_ms, part_info, resolve};
use crate::error::GatewayError;
use crate::names::{BucketName, ObjectKey};
use crate::object::types::*;
use crate::object::{Bucket, Classes, Edit, INITIATOR, Objects};
use crate::s3::claims::compute;
use crate::settings::Settings;

fn deleted(existed: bool) -> Deleted {
    Deleted {
        existed,
        version: None,
        is_marker: false,
    }
}

#[async_trait]
impl Objects for Memory {
    fn classes(&self) -> &Classes {
        self.classes.get_or_init(classes)
    }
    async fn create_bucket(
        &self,
        name: &BucketName,
        owner: &str,
        settings: Settings,
    ) -> Result<BucketRow, GatewayError> {
        let mut buckets = self.buckets.lock().unwrap();
        if let Some(row) = buckets.get(name.as_str()) {
            return Err(GatewayError::BucketExists {
                bucket: name.to_string(),
                owned: row.owner == owner,
            });
        }
        let row = BucketRow {
            id: BucketId::new(self.counter.fetch_add(1, Ordering::SeqCst)),
            name: name.to_string(),
            order: Order::ZERO,
            created_ms: now_ms(),
            owner: owner.to_owned(),
            config: settings.encode()?,
        };
        buckets.insert(name.to_string(), row.clone());
        Ok(row)
    }
    async fn delete_bucket(&self, name: &BucketName) -> Result<(), GatewayError> {
        self.row(name)?;
        let objects = self.objects.lock().unwrap();
        if objects.keys().any(|(bucket, _)| bucket == name.as_str()) {
            return Err(GatewayError::BucketNotEmpty {
                bucket: name.to_string(),
            });
        }
        self.buckets.lock().unwrap().remove(name.as_str());
        Ok(())
    }
    async fn bucket(&self, name: &BucketName) -> Result<Arc<Bucket>, GatewayError> {
        Ok(Arc::new(Bucket::new(self.row(name)?)?))
    }
    async fn configure(&self, name: &BucketName, edit: Edit) -> Result<(), GatewayError> {
        let mut row = self.row(name)?;
        let mut settings = Settings::decode(&row.config)?;
        edit(&mut settings)?;
        row.config = settings.encode()?;
        self.buckets.lock().unwrap().insert(name.to_string(), row);
        Ok(())
    }
    async fn list_buckets(&self) -> Result<Vec<BucketRow>, GatewayError> {
        Ok(self.buckets.lock().unwrap().values().cloned().collect())
    }
    async fn put(&self, put: PutObject) -> Result<WrittenObject, GatewayError> {
        self.row(&put.bucket)?;
        let mut stored = self.receive(put.body).await?;
        stored.metadata = put.metadata;
        self.store(&put.bucket, &put.key, &put.conditions, &stored)
    }
    async fn append(&self, append: AppendObject) -> Result<WrittenObject, GatewayError> {
        let AppendObject { put, offset } = append;
        let old = self.find(&put.bucket, &put.key).ok();
        let (mut body, metadata) = match old {
            Some(old) => (old.body.to_vec(), old.metadata),
            None => (Vec::new(), put.metadata),
        };
        let len = body.len() as u64;
        if len != offset {
            return Err(GatewayError::InvalidWriteOffset { offset, len });
        }
        let mut stored = self.receive(put.body).await?;
        body.extend_from_slice(&stored.body);
        stored.body = body;
        stored.metadata = metadata;
        self.store(&put.bucket, &put.key, &put.conditions, &stored)
    }
    async fn head(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        _: Option<VersionId>,
        part: Option<u32>,
        conditions: &ReadConditions,
    ) -> Result<ObjectInfo, GatewayError> {
        assert!(!self.panic.swap(false, Ordering::SeqCst), "asked to panic");
        let stored = self.find(bucket, key)?;
        check_read(&stored, conditions)?;
        info(&stored, part)
    }
    async fn attributes(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        _: Option<VersionId>,
        _: Option<AskedParts>,
    ) -> Result<ObjectAttributes, GatewayError> {
        let info = info(&self.find(bucket, key)?, None)?;
        Ok(ObjectAttributes { info, parts: None })
    }
    async fn get(&self, get: GetObject) -> Result<ObjectRead, GatewayError> {
        let stored = self.find(&get.bucket, &get.key)?;
        check_read(&stored, &get.conditions)?;
        let info = info(&stored, get.part)?;
        let len = info.len;
        let (range, partial) = match (get.range, info.part_range) {
            (Some(range), _) => (resolve(range, len)?, true),
            (None, Some(range)) => (range, true),
            (None, None) => (ByteRange::new(0, len), false),
        };
        let bytes = Bytes::from(stored.body[range.start as usize..range.end as usize].to_vec());
        let half = bytes.slice(..bytes.len() / 2);
        let rest = bytes.slice(bytes.len() / 2..);
        let broken = self.break_reads.load(Ordering::SeqCst);
        let rest = async move {
            if broken {
                // So that what came before goes out first.
                tokio::task::yield_now().await;
            }
            match broken {
                false => Ok(rest),
                true => Err(GatewayError::Internal {
                    what: "a read broke".to_owned(),
                }),
            }
        };
        let first = futures::stream::iter([Ok(half)]);
        Ok(ObjectRead {
            info,
            range,
            partial,
            stream: Box::pin(first.chain(futures::stream::once(rest))),
        })
    }
    async fn delete(&self, delete: DeleteObject) -> Result<Deleted, GatewayError> {
        let DeleteObject {
            bucket,
            key,
            conditions,
            ..
        } = delete;
        self.row(&bucket)?;
        let mut objects = self.objects.lock().unwrap();
        let name = (bucket.to_string(), key.to_string());
        let Some(present) = objects.get(&name) else {
            return Ok(deleted(false));
        };
        let holds = conditions
            .if_match
            .as_ref()
            .is_none_or(|t| t.matches(&present.etag))
            && conditions
                .size
                .is_none_or(|size| size == present.body.len() as u64)
            && conditions
                .modified_ms
                .is_none_or(|ms| ms / 1000 == present.modified_ms / 1000);
        if !holds {
            return Err(GatewayError::Precondition {
                condition: "If-Match",
            });
        }
        objects.remove(&name);
        Ok(deleted(true))
    }
    async fn change(&self, change: ChangeObject) -> Result<Option<VersionId>, GatewayError> {
        let bucket = self.bucket(&change.bucket).await?;
        let mut objects = self.objects.lock().unwrap();
        let name = (change.bucket.to_string(), change.key.to_string());
        let Some(stored) = objects.get_mut(&name) else {
            return Err(GatewayError::NoSuchKey { key: name.1 });
        };
        (change.edit)(&mut stored.metadata, bucket.settings(), now_ms())?;
        Ok(None)
    }
    async fn copy(&self, copy: CopyObject) -> Result<CopiedObject, GatewayError> {
        let mut stored = self.find(&copy.source_bucket, &copy.source_key)?;
        let same = (&copy.source_bucket, &copy.source_key) == (&copy.bucket, &copy.key);
        if same && copy.metadata.is_none() && copy.tags.is_none() && copy.own.0.is_empty() {
            return Err(GatewayError::InvalidRequest {
                why: "onto itself".to_owned(),
            });
        }
        check_read(&stored, &copy.source_conditions).map_err(|_| GatewayError::Precondition {
            condition: "x-amz-copy-source-if-match",
        })?;
        self.row(&copy.bucket)?;
        if let Some(metadata) = copy.metadata {
            stored.metadata = metadata;
        }
        stored.metadata.0.retain(|(name, _)| !name.starts_with('@'));
        stored.metadata.0.extend(copy.own.0);
        stored.modified_ms = now_ms();
        let written = self.store(&copy.bucket, &copy.key, &copy.conditions, &stored)?;
        Ok(CopiedObject {
            written,
            source_version: None,
        })
    }
    async fn rename(&self, rename: RenameObject) -> Result<(), GatewayError> {
        let stored = self.find(&rename.bucket, &rename.from)?;
        check_read(&stored, &rename.source_conditions).map_err(|_| GatewayError::Precondition {
            condition: "x-amz-rename-source-if-match",
        })?;
        let conditions = WriteConditions {
            if_match: rename.conditions.if_match,
            if_none_match: rename.conditions.if_none_match,
        };
        self.store(&rename.bucket, &rename.key, &conditions, &stored)?;
        let name = (rename.bucket.to_string(), rename.from.as_str().to_owned());
        self.objects.lock().unwrap().remove(&name);
        Ok(())
    }
    async fn list(&self, list: ListObjects) -> Result<ObjectPage, GatewayError> {
        self.row(&list.bucket)?;
        let objects = self.objects.lock().unwrap();
        let after = list.after.unwrap_or_default();
        let mut page = ObjectPage::default();
        for ((bucket, key), stored) in objects.iter() {
            if bucket != list.bucket.as_str() || !key.starts_with(&list.prefix) {
                continue;
            }
            let rest = &key[list.prefix.len()..];
            let rolled = list.delimiter.as_ref().and_then(|delimiter| {
                let at = rest.find(delimiter.as_str())? + delimiter.len();
                Some(key[..list.prefix.len() + at].to_owned())
            });
            let entry = rolled.clone().unwrap_or_else(|| key.clone());
            if entry <= after || page.prefixes.last() == rolled.as_ref() && rolled.is_some() {
                continue;
            }
            if page.objects.len() + page.prefixes.len() == list.max {
                let last = page.objects.last().map(|object| object.key.clone());
                page.next = last.max(page.prefixes.last().cloned());
                break;
            }
            match rolled {
                Some(prefix) => page.prefixes.push(prefix),
                None => page.objects.push(ListedObject {
                    key: key.clone(),
                    len: stored.body.len() as u64,
                    etag: stored.etag,
                    modified_ms: stored.modified_ms,
                    storage_class: "STANDARD".to_owned(),
                    checksum: stored.checksum.as_ref().map(|sum| (sum.kind, sum.covers)),
                    owner: stored.metadata.get(OWNER).map(str::to_owned),
                }),
            }
        }
        Ok(page)
    }
    async fn list_versions(&self, list: ListVersions) -> Result<VersionPage, GatewayError> {
        let page = self.list(list.keys);
        let page = page.await?;
        let null = |object| ListedVersion {
            object,
            version: VersionId::Null,
            is_latest: true,
            is_marker: false,
        };
        Ok(VersionPage {
            versions: page.objects.into_iter().map(null).collect(),
            prefixes: page.prefixes,
            next: page.next.map(|next| (next, Some(VersionId::Null))),
        })
    }
    async fn create_upload(&self, create: CreateUpload) -> Result<OpenedUpload, GatewayError> {
        self.row(&create.bucket)?;
        let id = format!("upload-{:04}", self.counter.fetch_add(1, Ordering::SeqCst));
        let upload = Upload {
            bucket: create.bucket.to_string(),
            key: create.key.to_string(),
            create,
            parts: BTreeMap::new(),
        };
        self.uploads.lock().unwrap().insert(id.clone(), upload);
        Ok(OpenedUpload { id, aborts: None })
    }
    async fn put_part(&self, put: PutPart) -> Result<PartInfo, GatewayError> {
        let stored = self.receive(put.body).await?;
        let info = part_info(put.number, &stored);
        let mut uploads = self.uploads.lock().unwrap();
        let upload = uploads.get_mut(&put.upload);
        let upload = upload.ok_or(GatewayError::NoSuchUpload { upload: put.upload })?;
        upload.parts.insert(put.number, stored);
        Ok(info)
    }
    async fn copy_part(&self, copy: CopyPart) -> Result<CopiedPart, GatewayError> {
        let mut stored = self.find(&copy.source_bucket, &copy.source_key)?;
        if let Some(range) = copy.source_range {
            let range = resolve(range, stored.body.len() as u64)?;
            stored.body = stored.body[range.start as usize..range.end as usize].to_vec();
            stored.etag.md5 = Md5::digest(&stored.body).into();
        }
        let info = part_info(copy.number, &stored);
        let mut uploads = self.uploads.lock().unwrap();
        let upload = uploads.get_mut(&copy.upload);
        let upload = upload.ok_or(GatewayError::NoSuchUpload {
            upload: copy.upload,
        })?;
        upload.parts.insert(copy.number, stored);
        Ok(CopiedPart {
            part: info,
            source_version: None,
        })
    }
    async fn complete_upload(&self, done: CompleteUpload) -> Result<CompletedObject, GatewayError> {
        let mut uploads = self.uploads.lock().unwrap();
        let upload = uploads
            .get(&done.upload)
            .ok_or(GatewayError::NoSuchUpload {
                upload: done.upload.clone(),
            })?;
        let (mut body, mut md5s, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        for named in &done.parts {
            let part = u16::try_from(named.number)
                .ok()
                .and_then(|n| upload.parts.get(&n));
            let part = part.filter(|part| part.etag.to_string() == named.etag);
            let part = part.ok_or(GatewayError::InvalidPart {
                number: named.number,
                why: "no such part",
            })?;
            body.extend_from_slice(&part.body);
            md5s.extend_from_slice(&part.etag.md5);
            parts.push(part.body.len() as u64);
        }
        let checksum = upload.create.checksum.map(|(kind, covers)| ObjectChecksum {
            kind,
            covers,
            digest: compute(kind, &body),
        });
        let stored = Stored {
            etag: ETag {
                md5: Md5::digest(&md5s).into(),
                parts: parts.len() as u16,
            },
            metadata: upload.create.metadata.clone(),
            checksum: checksum.clone(),
            modified_ms: now_ms(),
            body,
            parts,
        };
        self.store(&done.bucket, &done.key, &done.conditions, &stored)?;
        uploads.remove(&done.upload);
        Ok(CompletedObject {
            etag: stored.etag,
            checksum,
            version: None,
            expires: None,
        })
    }
    async fn abort_upload(
        &self,
        _: &BucketName,
        _: &ObjectKey,
        upload: &str,
    ) -> Result<(), GatewayError> {
        let removed = self.uploads.lock().unwrap().remove(upload);
        removed
            .map(|_| ())
            .ok_or_else(|| GatewayError::NoSuchUpload {
                upload: upload.to_owned(),
            })
    }
    async fn upload_metadata(
        &self,
        _: &BucketName,
        _: &ObjectKey,
        upload: &str,
    ) -> Result<Metadata, GatewayError> {
        let uploads = self.uploads.lock().unwrap();
        let found = uploads.get(upload);
        let found = found.map(|upload| upload.create.metadata.clone());
        found.ok_or_else(|| GatewayError::NoSuchUpload {
            upload: upload.to_owned(),
        })
    }
    async fn list_parts(&self, list: ListParts) -> Result<PartPage, GatewayError> {
        let uploads = self.uploads.lock().unwrap();
        let upload = uploads
            .get(&list.upload)
            .ok_or(GatewayError::NoSuchUpload {
                upload: list.upload.clone(),
            })?;
        let mut parts: Vec<PartInfo> = upload
            .parts
            .iter()
            .filter(|(number, _)| u32::from(**number) > list.after)
            .map(|(number, stored)| part_info(*number, stored))
            .collect();
        let more = parts.len() > list.max;
        parts.truncate(list.max);
        Ok(PartPage {
            next: parts
                .last()
                .filter(|_| more)
                .map(|part| u32::from(part.number)),
            parts,
            checksum: upload.create.checksum,
            storage_class: "STANDARD".to_owned(),
            aborts: None,
            owner: upload.create.metadata.get(OWNER).map(str::to_owned),
            initiator: upload.create.metadata.get(INITIATOR).map(str::to_owned),
        })
    }
    async fn list_uploads(&self, list: ListUploads) -> Result<UploadPage, GatewayError> {
        let uploads = self.uploads.lock().unwrap();
        let mut all: Vec<UploadInfo> = uploads
            .iter()
            .filter(|(_, u)| {
                u.bucket == list.keys.bucket.as_str() && u.key.starts_with(&list.keys.prefix)
            })
            .map(|(id, upload)| UploadInfo {
                key: upload.key.clone(),
                upload: id.clone(),
                initiated_ms: 1_700_000_000_000,
                storage_class: "STANDARD".to_owned(),
                checksum: upload.create.checksum,
                owner: upload.create.metadata.get(OWNER).map(str::to_owned),
                initiator: upload.create.metadata.get(INITIATOR).map(str::to_owned),
            })
            .collect();
        all.sort_by(|a, b| (&a.key, &a.upload).cmp(&(&b.key, &b.upload)));
        if let Some(key) = &list.keys.after {
            all.retain(|u| match &list.after_upload {
                Some(id) => (&u.key, &u.upload) > (key, id),
                None => u.key > *key,
            });
        }
        let more = all.len() > list.keys.max;
        all.truncate(list.keys.max);
        let next = all
            .last()
            .filter(|_| more)
            .map(|u| (u.key.clone(), u.upload.clone()));
        Ok(UploadPage {
            uploads: all,
            prefixes: Vec::new(),
            next,
        })
    }
}
