//! Facts about the outer layer's pure parts.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};

use super::{ChunkWatch, Chunks, Domains, Query, Refusal, Target, route};
use crate::auth::Operation;
use crate::error::BodyError;

fn target(domains: &Domains, host: &'static str, path: &str) -> Result<Target, Refusal> {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static(host));
    Target::parse(domains, &headers, path)
}

#[test]
fn the_longest_domain_decides() {
    let domains = Domains::new(["example.com".to_owned(), "s3.example.com".to_owned()]);
    assert_eq!(domains.bucket("b.s3.example.com:80").as_deref(), Some("b"));
    assert_eq!(domains.bucket("b.example.com").as_deref(), Some("b"));
    assert_eq!(domains.bucket("s3.example.com"), None);
    assert_eq!(domains.bucket("notexample.com"), None);
    assert_eq!(Domains::default().bucket("b.example.com"), None);
}

#[test]
fn paths_are_decoded_before_they_are_cut() {
    let none = Domains::default();
    let object = |bucket: &str, key: &str| Ok(Target::Object(bucket.to_owned(), key.to_owned()));
    assert_eq!(target(&none, "x", "/b%2Fk"), object("b", "k"));
    assert_eq!(target(&none, "x", "/b/a%2F%2Fb/"), object("b", "a//b/"));
    assert_eq!(
        target(&none, "x", "/b/"),
        Ok(Target::Bucket("b".to_owned()))
    );
    assert_eq!(target(&none, "x", "/"), Ok(Target::Root));
    assert_eq!(target(&none, "x", "/b/%FF"), Err(Refusal::InvalidUri));
    assert_eq!(target(&none, "x", "//k"), Err(Refusal::InvalidUri));
}

/// Queries that name each operation.
const QUERIES: [&str; 41] = [
    "",
    "location",
    "versions",
    "uploads",
    "delete",
    "versioning",
    "acl",
    "policy",
    "policyStatus",
    "ownershipControls",
    "publicAccessBlock",
    "requestPayment",
    "tagging",
    "cors",
    "lifecycle",
    "object-lock",
    "encryption",
    "logging",
    "notification",
    "website",
    "replication",
    "accelerate",
    "analytics",
    "intelligent-tiering",
    "inventory",
    "metrics",
    "metadataTable",
    "attributes",
    "retention",
    "legal-hold",
    "torrent",
    "renameObject",
    "restore",
    "select",
    "list-type=2",
    "uploadId=u",
    "partNumber=1&uploadId=u",
    "analytics&id=i",
    "intelligent-tiering&id=i",
    "inventory&id=i",
    "metrics&id=i",
];

#[test]
fn every_operation_can_be_reached_and_no_parameter_but_its_own_is_taken() {
    let bucket = Target::Bucket("b".to_owned());
    let object = Target::Object("b".to_owned(), "k".to_owned());
    let mut found = Vec::new();
    for method in [
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::POST,
        Method::DELETE,
    ] {
        for target in [&Target::Root, &bucket, &object] {
            for query in QUERIES {
                for copy in [false, true] {
                    let mut headers = HeaderMap::new();
                    if copy {
                        let source = HeaderValue::from_static("/b/s");
                        headers.insert("x-amz-copy-source", source);
                        let form = HeaderValue::from_static("multipart/form-data; boundary=b");
                        headers.insert("content-type", form);
                    }
                    let parsed = Query::parse(Some(query)).unwrap();
                    let Ok(operation) = route::operation(&method, target, &parsed, &headers) else {
                        continue;
                    };
                    found.push(operation);
                    let more = Query::parse(Some(&format!("{query}&evil"))).unwrap();
                    let more = route::operation(&method, target, &more, &headers);
                    assert!(matches!(more, Err(Refusal::Unsupported { .. })));
                }
            }
        }
    }
    for operation in Operation::ALL {
        assert!(found.contains(operation), "{}", operation.name());
    }
}

fn feed(kind: Chunks, len: u64, pieces: &[&[u8]]) -> Result<Vec<u8>, BodyError> {
    let mut watch = ChunkWatch::new(kind, len);
    let mut out = VecDeque::new();
    for piece in pieces {
        watch.push(Bytes::copy_from_slice(piece), &mut out)?;
    }
    watch.finish()?;
    Ok(out.into_iter().flatten().collect())
}

#[test]
fn framing_is_the_same_however_it_is_cut() {
    let signed = b"5;chunk-signature=x\r\nhello\r\n0;chunk-signature=y\r\n\r\n";
    let unsigned = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    for at in 1..signed.len() {
        let (a, b) = signed.split_at(at);
        assert_eq!(feed(Chunks::Signed, 5, &[a, b]).unwrap(), signed, "{at}");
    }
    for at in 1..unsigned.len() {
        let (a, b) = unsigned.split_at(at);
        let passed = feed(Chunks::Unsigned, 5, &[a, b]).unwrap();
        assert!(
            passed.ends_with(b"0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"),
            "{at}"
        );
    }
    let bytes: Vec<&[u8]> = signed.chunks(1).collect();
    assert_eq!(feed(Chunks::Signed, 5, &bytes).unwrap(), signed);
}

#[test]
fn wrong_framing_is_refused() {
    for (kind, len, body) in [
        (Chunks::Signed, 5, &b"5\r\nhello\r\n0\r\n\r\n"[..]),
        (
            Chunks::Unsigned,
            5,
            b"5;chunk-signature=x\r\nhello\r\n0\r\n\r\n",
        ),
        (Chunks::Unsigned, 5, b"5\r\nhello0\r\n\r\n"),
        (Chunks::Unsigned, 5, b"5\nhello\r\n0\r\n\r\n"),
        (Chunks::Unsigned, 5, b"+5\r\nhello\r\n0\r\n\r\n"),
        (Chunks::Unsigned, 5, b"0x5\r\nhello\r\n0\r\n\r\n"),
        (Chunks::Unsigned, 5, b"000000005\r\nhello\r\n0\r\n\r\n"),
        (Chunks::Unsigned, 5, b"\r\nhello\r\n0\r\n\r\n"),
        (Chunks::Unsigned, 4, b"5\r\nhello\r\n0\r\n\r\n"),
        (Chunks::Unsigned, 6, b"5\r\nhello\r\n0\r\n\r\n"),
        (Chunks::Unsigned, 5, b"5\r\nhello\r\n"),
        (Chunks::Unsigned, 5, b"5\r\nhel"),
        (Chunks::Unsigned, 5, b""),
        (Chunks::Signed, u64::MAX, b"1000001;chunk-signature=x\r\n"),
        (Chunks::Unsigned, 5, &[b'1'; 300]),
    ] {
        let outcome = feed(kind, len, &[body]);
        assert!(
            outcome.is_err(),
            "{kind:?} {}",
            String::from_utf8_lossy(body)
        );
    }
    let endless = [b"0\r\n", &[b'x'; 17 << 10][..]].concat();
    assert!(feed(Chunks::Unsigned, 0, &[&endless]).is_err());
}
