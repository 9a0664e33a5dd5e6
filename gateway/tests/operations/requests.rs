//! What clients ask, as the operations take it.

#![allow(dead_code, reason = "not every program asks all of it")]

use bytes::Bytes;
use futures::{StreamExt, stream};
use holdfast_gateway::auth::Caller;
use holdfast_gateway::object::types::{
    BodyClaims, CompleteUpload, CreateUpload, DeleteConditions, DeleteObject, Incoming, NamedPart,
    PutObject, PutPart, VersionId, WriteConditions,
};
use holdfast_gateway::object::{Objects, Service};
use holdfast_protocol::{ChecksumKind, ChecksumType, Metadata};

use super::{bucket, object_key};

/// A body in one piece, of a length that is announced.
pub fn incoming(bytes: &[u8]) -> Incoming {
    let bytes = Bytes::copy_from_slice(bytes);
    Incoming {
        len: Some(bytes.len() as u64),
        stream: stream::iter([Ok(bytes)]).boxed(),
        checksum: None,
        claims: Box::new(|| Ok(BodyClaims::default())),
    }
}

/// An object without metadata, by nobody in particular.
pub fn put_of(key: &str, bytes: &[u8]) -> PutObject {
    PutObject {
        bucket: bucket(),
        key: object_key(key),
        metadata: Metadata::default(),
        body: incoming(bytes),
        conditions: WriteConditions::default(),
        by: Caller::Anonymous,
    }
}

/// The deletion of a key or a version, by nobody in particular.
pub fn delete_of(key: &str, version: Option<VersionId>) -> DeleteObject {
    DeleteObject {
        bucket: bucket(),
        key: object_key(key),
        version,
        conditions: DeleteConditions::default(),
        bypass: false,
        by: Caller::Anonymous,
    }
}

/// Uploads an object in parts, given by number and bytes.
pub async fn put_in_parts(
    service: &Service,
    (key, metadata): (&str, Metadata),
    checksum: Option<(ChecksumKind, ChecksumType)>,
    parts: &[(u16, Vec<u8>)],
) {
    let create = CreateUpload {
        bucket: bucket(),
        key: object_key(key),
        metadata,
        checksum,
        by: Caller::Anonymous,
    };
    let upload = service.create_upload(create).await.unwrap().id;
    let mut named = Vec::new();
    for (number, bytes) in parts {
        let put = PutPart {
            bucket: bucket(),
            key: object_key(key),
            upload: upload.clone(),
            number: *number,
            body: incoming(bytes),
            by: Caller::Anonymous,
        };
        named.push(NamedPart {
            number: (*number).into(),
            etag: service.put_part(put).await.unwrap().etag.to_string(),
            checksum: None,
        });
    }
    let done = CompleteUpload {
        bucket: bucket(),
        key: object_key(key),
        upload,
        parts: named,
        checksum: None,
        checksum_type: None,
        len: None,
        conditions: WriteConditions::default(),
        by: Caller::Anonymous,
    };
    service.complete_upload(done).await.unwrap();
}
