//! Goal: an append adds to the end of an object, whole or not at all, also when it fails half way,
//! when the gateway is killed and when the index is lost; of two at the same place one is made.
//!
//! Method: the gateway's operations over drives in memory beside a text of the test's own; seals
//! that fail, gateways that are killed at random times, an index that is lost.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "lifecycle/gateway.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod gateway;
mod operations;
#[path = "../../workers/tests/support/mod.rs"]
mod support;

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use gateway::{DAY, Gateway};
use holdfast_gateway::auth::Caller;
use holdfast_gateway::error::GatewayError;
use holdfast_gateway::object::types::{
    AppendObject, BodyClaims, CompleteUpload, CreateUpload, GetObject, Incoming, NamedPart,
    ObjectInfo, PutObject, PutPart, ReadConditions, WriteConditions, WrittenObject,
};
use holdfast_gateway::object::{Objects, Service};
use holdfast_gateway::settings::Versioning;
use holdfast_protocol::manifest::STORAGE_CLASS;
use holdfast_protocol::{ChecksumKind, Metadata};
use holdfast_store::digest::{Checksum, md5};
use operations::{bucket, object_key};
use support::body;

fn incoming(bytes: &[u8]) -> Incoming {
    // In pieces, as from a network.
    let pieces: Vec<_> = bytes
        .chunks(7_000)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    Incoming {
        len: Some(bytes.len() as u64),
        stream: stream::iter(pieces).boxed(),
        checksum: None,
        claims: Box::new(|| Ok(BodyClaims::default())),
    }
}

fn put_of(key: &str, metadata: Metadata, bytes: &[u8]) -> PutObject {
    PutObject {
        bucket: bucket(),
        key: object_key(key),
        metadata,
        body: incoming(bytes),
        conditions: WriteConditions::default(),
        by: Caller::Anonymous,
    }
}

fn at(key: &str, offset: u64, bytes: &[u8]) -> AppendObject {
    AppendObject {
        put: put_of(key, Metadata::default(), bytes),
        offset,
    }
}

async fn append(
    service: &Service,
    key: &str,
    offset: u64,
    bytes: &[u8],
) -> Result<WrittenObject, GatewayError> {
    service.append(at(key, offset, bytes)).await
}

async fn read(gateway: &Gateway, key: &str) -> Option<(ObjectInfo, Vec<u8>)> {
    let get = GetObject {
        bucket: bucket(),
        key: object_key(key),
        version: None,
        range: None,
        part: None,
        conditions: ReadConditions::default(),
    };
    let read = match gateway.service.get(get).await {
        Err(GatewayError::NoSuchKey { .. }) => return None,
        read => read.unwrap(),
    };
    let pieces: Vec<Bytes> = read.stream.try_collect().await.unwrap();
    Some((read.info, pieces.concat()))
}

fn in_class(class: &str) -> Metadata {
    let mut metadata = Metadata::default();
    metadata.set("x-amz-meta-color", "blue");
    metadata.set(STORAGE_CLASS, class);
    metadata
}

fn checksum(kind: ChecksumKind, bytes: &[u8]) -> Vec<u8> {
    let mut sum = Checksum::new(kind);
    sum.update(bytes);
    sum.finish()
}

/// What all drives hold.
fn held(gateway: &Gateway) -> usize {
    let drives = gateway.cluster.drives.iter();
    drives.map(|drive| drive.writes().len()).sum()
}

fn is_wrong_offset(outcome: &Result<WrittenObject, GatewayError>, expected: u64) -> bool {
    matches!(outcome, Err(GatewayError::InvalidWriteOffset { len, .. }) if *len == expected)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_appended_is_at_the_end_and_all_else_is_as_it_was() {
    let gateway = Gateway::start(DAY).await;
    let mut whole = body(1, 300);
    let mut first = put_of("k", in_class("NARROW"), &whole);
    first.body.checksum = Some(ChecksumKind::Crc32c);
    gateway.service.put(first).await.unwrap();
    let before = held(&gateway);
    // Small, then cut, over more than a stripe, and nothing.
    for (seed, len) in [(2, 200), (3, 5_000), (4, 1_500_000), (5, 0), (6, 1)] {
        gateway.calendar.pass(1000);
        let more = body(seed, len);
        let written = append(&gateway.service, "k", whole.len() as u64, &more).await;
        whole.extend_from_slice(&more);
        let written = written.unwrap();
        assert_eq!(written.len, whole.len() as u64);
        let (info, bytes) = read(&gateway, "k").await.unwrap();
        assert!(bytes == whole, "after {len} bytes");
        assert_eq!((info.etag, info.etag.md5), (written.etag, md5(&whole)));
        let sum = info.checksum.unwrap();
        let expected = checksum(ChecksumKind::Crc32c, &whole);
        assert_eq!((sum.kind, sum.digest), (ChecksumKind::Crc32c, expected));
        assert_eq!(info.modified_ms, gateway.now_ms());
        assert_eq!(info.metadata.get("x-amz-meta-color"), Some("blue"));
        assert_eq!(info.metadata.get(STORAGE_CLASS), Some("NARROW"));
    }
    // It is cut as its class says, and its old shards go.
    let index = &*gateway.cluster.index;
    let row = holdfast_index::rows::get_current(index, support::BUCKET, "k").await;
    assert_eq!(row.unwrap().unwrap().manifest.geometry.to_string(), "1+1");
    let usage = holdfast_index::rows::get_usage(index, support::BUCKET).await;
    let usage = usage.unwrap();
    assert_eq!((usage.objects(), usage.bytes()), (1, whole.len() as u64));
    gateway.running.as_ref().unwrap().until_quiet().await;
    assert!(
        held(&gateway) <= before + 2,
        "{} writes, {before} before",
        held(&gateway)
    );
    gateway.running.unwrap().workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_must_not_be_leaves_the_object_alone() {
    let gateway = Gateway::start(DAY).await;
    let service = &gateway.service;
    let wrong = append(service, "k", 1, b"x").await;
    assert!(is_wrong_offset(&wrong, 0), "{wrong:?}");
    assert!(read(&gateway, "k").await.is_none());
    // To nothing: an object is made, with what the request says of it.
    let mut first = at("k", 0, b"one");
    first.put.metadata = in_class("SAME");
    service.append(first).await.unwrap();
    for offset in [0, 2, 4, u64::MAX] {
        let wrong = append(service, "k", offset, b"x").await;
        assert!(is_wrong_offset(&wrong, 3), "{offset}: {wrong:?}");
    }
    // What is said of the object must be so, but for that it may be left out.
    let mut same = at("k", 3, b"two");
    same.put.metadata = in_class("SAME");
    service.append(same).await.unwrap();
    for (name, value) in [
        ("x-amz-meta-color", "red"),
        ("x-amz-meta-size", "1"),
        ("content-type", "text/plain"),
        ("x-amz-tagging", "a=b"),
        (STORAGE_CLASS, "NARROW"),
        ("@acl", "{}"),
    ] {
        let mut other = at("k", 6, b"x");
        other.put.metadata.set(name, value);
        let refused = service.append(other).await;
        let is_so = matches!(refused, Err(GatewayError::InvalidRequest { .. }));
        assert!(is_so, "{name}: {refused:?}");
    }
    // Claims are about what is added.
    let claims = |md5| {
        let claims = BodyClaims {
            md5: Some(md5),
            checksum: Some((ChecksumKind::Sha256, checksum(ChecksumKind::Sha256, b"six"))),
        };
        let mut append = at("k", 6, b"six");
        append.put.body.checksum = Some(ChecksumKind::Sha256);
        append.put.body.claims = Box::new(move || Ok(claims));
        append
    };
    let wrong = service.append(claims(md5(b"onetwosix"))).await;
    assert!(
        matches!(wrong, Err(GatewayError::BadDigest { .. })),
        "{wrong:?}"
    );
    let mut short = at("k", 6, b"six");
    short.put.body.len = Some(4);
    assert!(service.append(short).await.is_err());
    let mut long = at("k", 6, b"six");
    long.put.body.len = Some(1 << 30);
    let long = service.append(long).await;
    assert!(
        matches!(long, Err(GatewayError::TooLarge { .. })),
        "{long:?}"
    );
    assert_eq!(read(&gateway, "k").await.unwrap().1, b"onetwo");
    service.append(claims(md5(b"six"))).await.unwrap();
    assert_eq!(read(&gateway, "k").await.unwrap().1, b"onetwosix");
    gateway.running.unwrap().workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_appended_where_each_time_would_be_a_version_of_all_of_it() {
    let gateway = Gateway::start(DAY).await;
    append(&gateway.service, "k", 0, b"one").await.unwrap();
    gateway
        .set(|settings| settings.versioning = Some(Versioning::Suspended))
        .await;
    for key in ["k", "new"] {
        let refused = append(&gateway.service, key, 0, b"x").await;
        let is_so = matches!(refused, Err(GatewayError::NotImplemented { .. }));
        assert!(is_so, "{refused:?}");
    }
    assert_eq!(read(&gateway, "k").await.unwrap().1, b"one");
    gateway.running.unwrap().workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_appends_at_the_same_place_one_is_made() {
    let gateway = Gateway::start(DAY).await;
    let mut whole = Vec::new();
    for round in 0..20_u8 {
        let offset = whole.len() as u64;
        let texts: Vec<Vec<u8>> = (0..6).map(|at| vec![round * 6 + at; 900]).collect();
        let tries = texts
            .iter()
            .map(|text| append(&gateway.service, "k", offset, text));
        let outcomes = futures::future::join_all(tries).await;
        let made: Vec<_> = outcomes
            .iter()
            .zip(&texts)
            .filter(|(one, _)| one.is_ok())
            .collect();
        assert_eq!(made.len(), 1, "round {round}: {outcomes:?}");
        for outcome in &outcomes {
            let is_so = outcome.is_ok() || is_wrong_offset(outcome, offset + 900);
            assert!(is_so, "round {round}: {outcome:?}");
        }
        whole.extend_from_slice(made[0].1);
        assert!(
            read(&gateway, "k").await.unwrap().1 == whole,
            "round {round}"
        );
    }
    gateway.running.unwrap().workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_overwritten_meanwhile_is_not_appended_to() {
    let gateway = Gateway::start(DAY).await;
    for len in [5_000, 6_000] {
        let old = put_of("k", Metadata::default(), &body(1, 5_000));
        gateway.service.put(old).await.unwrap();
        for drive in &gateway.cluster.drives {
            drive.hold_reads(true);
        }
        let service = gateway.service.clone();
        let adding = tokio::spawn(async move { append(&service, "k", 5_000, b"more").await });
        tokio::time::sleep(Duration::from_millis(50)).await;
        let new = body(2, len);
        let put = put_of("k", Metadata::default(), &new);
        gateway.service.put(put).await.unwrap();
        for drive in &gateway.cluster.drives {
            drive.hold_reads(false);
        }
        let outcome = adding.await.unwrap();
        match len {
            // As long, and another one.
            5_000 => assert!(
                matches!(outcome, Err(GatewayError::Conflict)),
                "{outcome:?}"
            ),
            _ => assert!(is_wrong_offset(&outcome, 6_000), "{outcome:?}"),
        }
        assert!(read(&gateway, "k").await.unwrap().1 == new);
    }
    gateway.running.unwrap().workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_parts_is_appended_to() {
    let gateway = Gateway::start(DAY).await;
    let service = &gateway.service;
    let create = CreateUpload {
        bucket: bucket(),
        key: object_key("k"),
        metadata: in_class("NARROW"),
        checksum: None,
        by: Caller::Anonymous,
    };
    let upload = service.create_upload(create).await.unwrap().id;
    let mut whole = body(1, 20_000);
    let put = PutPart {
        bucket: bucket(),
        key: object_key("k"),
        upload: upload.clone(),
        number: 4,
        body: incoming(&whole),
        by: Caller::Anonymous,
    };
    let part = NamedPart {
        number: 4,
        etag: service.put_part(put).await.unwrap().etag.to_string(),
        checksum: None,
    };
    let done = CompleteUpload {
        bucket: bucket(),
        key: object_key("k"),
        upload,
        parts: vec![part],
        checksum: None,
        checksum_type: None,
        len: None,
        conditions: WriteConditions::default(),
        by: Caller::Anonymous,
    };
    service.complete_upload(done).await.unwrap();
    let more = body(2, 3_000);
    append(service, "k", 20_000, &more).await.unwrap();
    whole.extend_from_slice(&more);
    let (info, bytes) = read(&gateway, "k").await.unwrap();
    assert!(bytes == whole);
    assert_eq!((info.etag.parts, info.etag.md5), (0, md5(&whole)));
    assert_eq!(info.metadata.get(STORAGE_CLASS), Some("NARROW"));
    gateway.running.unwrap().workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_fails_or_is_killed_is_whole_or_not_there() {
    let (mut made, mut not) = (0, 0);
    for seed in 0..24_u64 {
        let mut gateway = Gateway::start(DAY).await;
        let mut whole = body(9, [300, 30_000][seed as usize % 2]);
        let first = put_of("k", in_class("NARROW"), &whole);
        gateway.service.put(first).await.unwrap();
        for kill in 0..3_u64 {
            // Acknowledged: it stays, whatever becomes of the next one.
            let more = body(kill as u8 + 1, 700);
            append(&gateway.service, "k", whole.len() as u64, &more)
                .await
                .unwrap();
            whole.extend_from_slice(&more);
            let mut longer = whole.clone();
            let more = body(seed as u8 + 20, [900, 40_000][kill as usize % 2]);
            longer.extend_from_slice(&more);
            if seed % 4 == 3 {
                for drive in &gateway.cluster.drives {
                    drive.fail_seals(1 + (seed + kill) as u32 % 3);
                }
            }
            let (service, offset) = (gateway.service.clone(), whole.len() as u64);
            let adding = tokio::spawn(async move { append(&service, "k", offset, &more).await });
            let wait = seed.wrapping_mul(0x9e37_79b9).wrapping_add(kill * 7919) % 5_000;
            tokio::time::sleep(Duration::from_micros(wait)).await;
            for drive in &gateway.cluster.drives {
                drive.fail_seals(0);
            }
            gateway.restart().await;
            adding.abort();
            let told = adding.await.is_ok_and(|outcome| outcome.is_ok());
            let (_, now) = read(&gateway, "k").await.unwrap();
            assert!(now == whole || now == longer, "seed {seed}, kill {kill}");
            assert!(
                !told || now == longer,
                "seed {seed}, kill {kill}: it was told"
            );
            match now == longer {
                true => made += 1,
                false => not += 1,
            }
            whole = now;
            if seed % 3 == 0 {
                gateway.rebuild().await;
                let (_, now) = read(&gateway, "k").await.unwrap();
                assert!(now == whole, "seed {seed}, kill {kill}, rebuilt");
            }
        }
        gateway.rebuild().await;
        let (info, now) = read(&gateway, "k").await.unwrap();
        assert!(now == whole, "seed {seed}, at the end");
        assert_eq!(info.etag.md5, md5(&whole));
        gateway.running.unwrap().workers.stop().await;
    }
    assert!(made > 0 && not > 0, "{made} were made, {not} were not");
}
