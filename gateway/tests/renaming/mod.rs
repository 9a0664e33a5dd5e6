//! Objects of all kinds, and what a client sees of them.

#![allow(dead_code, reason = "not every program asks all of it")]

use bytes::Bytes;
use futures::TryStreamExt;
use holdfast_gateway::auth::Caller;
use holdfast_gateway::error::GatewayError;
use holdfast_gateway::object::Objects;
use holdfast_gateway::object::types::{
    ChangeObject, GetObject, PutObject, ReadConditions, RenameObject,
};
use holdfast_protocol::manifest::STORAGE_CLASS;
use holdfast_protocol::{ChecksumKind, ChecksumType, Metadata};

use crate::gateway::Gateway;
use crate::operations::requests::{put_in_parts, put_of};
use crate::operations::{bucket, object_key};
use crate::support::{BUCKET, body};

const PART: usize = 5 << 20;

/// How an object is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Empty,
    Small,
    /// In shards, in a class.
    Cut,
    Parts,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Empty, Self::Small, Self::Cut, Self::Parts];
}

fn kept(class: Option<&str>) -> Metadata {
    let mut metadata = Metadata::default();
    metadata.set("content-type", "text/plain");
    metadata.set("x-amz-meta-color", "blue");
    metadata.set("x-amz-website-redirect-location", "/elsewhere");
    metadata.set("@owner", "somebody");
    if let Some(class) = class {
        metadata.set(STORAGE_CLASS, class);
    }
    metadata
}

/// Makes an object of that kind.
pub async fn fill(gateway: &Gateway, key: &str, kind: Kind, seed: u8) {
    let (len, class) = match kind {
        Kind::Empty => (0, None),
        Kind::Small => (300, Some("SAME")),
        Kind::Cut => (1_500_000, Some("NARROW")),
        Kind::Parts => return fill_parts(gateway, key, seed).await,
    };
    let mut put = PutObject {
        metadata: kept(class),
        ..put_of(key, &body(seed, len))
    };
    put.body.checksum = Some(ChecksumKind::Sha256);
    gateway.service.put(put).await.unwrap();
}

async fn fill_parts(gateway: &Gateway, key: &str, seed: u8) {
    let parts = [(2, PART), (7, 300)].map(|(number, len)| (number, body(seed, len)));
    let checksum = Some((ChecksumKind::Crc32c, ChecksumType::Composite));
    let object = (key, kept(Some("NARROW")));
    put_in_parts(&gateway.service, object, checksum, &parts).await;
}

/// What an object is to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub len: u64,
    pub etag: String,
    pub modified_ms: u64,
    pub parts: Option<u32>,
    pub checksum: Option<(ChecksumType, Vec<u8>)>,
    pub metadata: Vec<(String, String)>,
    /// The bytes of it, and of its second part.
    bytes: Vec<u8>,
    second: Option<(Vec<u8>, Option<Vec<u8>>)>,
}

/// The object, if there is one.
pub async fn look(gateway: &Gateway, key: &str) -> Option<Seen> {
    let get = |part| GetObject {
        bucket: bucket(),
        key: object_key(key),
        version: None,
        range: None,
        part,
        conditions: ReadConditions::default(),
    };
    let read = match gateway.service.get(get(None)).await {
        Err(GatewayError::NoSuchKey { .. }) => return None,
        read => read.unwrap(),
    };
    let pieces: Vec<Bytes> = read.stream.try_collect().await.unwrap();
    let info = read.info;
    let mut second = None;
    if info.part_count.is_some() {
        let read = gateway.service.get(get(Some(2))).await.unwrap();
        let pieces: Vec<Bytes> = read.stream.try_collect().await.unwrap();
        let sum = read.info.checksum.map(|sum| sum.digest);
        second = Some((pieces.concat(), sum));
    }
    let metadata = info.metadata.0.into_iter();
    Some(Seen {
        len: info.len,
        etag: info.etag.to_string(),
        modified_ms: info.modified_ms,
        parts: info.part_count,
        checksum: info.checksum.map(|sum| (sum.covers, sum.digest)),
        // Which rename it has its name from is no client's.
        metadata: metadata.filter(|(name, _)| name != "@renamed").collect(),
        bytes: pieces.concat(),
        second,
    })
}

/// Objects, bytes and open uploads.
pub async fn usage(gateway: &Gateway) -> (u64, u64, u64) {
    let usage = holdfast_index::rows::get_usage(&*gateway.cluster.index, BUCKET).await;
    let usage = usage.unwrap();
    (usage.objects(), usage.bytes(), usage.uploads)
}

/// How many writes the drives hold.
pub fn held(gateway: &Gateway) -> usize {
    let drives = gateway.cluster.drives.iter();
    drives.map(|drive| drive.writes().len()).sum()
}

/// A rename without conditions, by nobody in particular.
pub fn rename_of(from: &str, to: &str) -> RenameObject {
    RenameObject {
        bucket: bucket(),
        from: object_key(from),
        key: object_key(to),
        source_conditions: ReadConditions::default(),
        conditions: ReadConditions::default(),
        token: None,
        by: Caller::Anonymous,
    }
}

pub async fn rename(gateway: &Gateway, from: &str, to: &str) -> Result<(), GatewayError> {
    gateway.service.rename(rename_of(from, to)).await
}

/// Gives an object tags.
pub async fn tag(gateway: &Gateway, key: &str, tags: &'static str) {
    let change = ChangeObject {
        bucket: bucket(),
        key: object_key(key),
        version: None,
        edit: Box::new(move |metadata, _, _| {
            metadata.set("x-amz-tagging", tags);
            Ok(())
        }),
        by: Caller::Anonymous,
    };
    gateway.service.change(change).await.unwrap();
}
