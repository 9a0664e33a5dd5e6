//! What clients ask, as the operations take it.

#![allow(dead_code, reason = "not every program asks all of it")]

use bytes::Bytes;
use futures::{StreamExt, stream};
use holdfast_gateway::auth::Caller;
use holdfast_gateway::object::types::{
    BodyClaims, DeleteConditions, DeleteObject, Incoming, PutObject, VersionId, WriteConditions,
};
use holdfast_protocol::Metadata;

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
