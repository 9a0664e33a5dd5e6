//! Targets of the outer layer and of authentication.
//!
//! Owns: chunk framing, queries, targets and routes, claims of SigV4 and SigV2, names.
//! Leaves to others: S3's documents and headers ([`crate::s3::fuzz`]).
//! Always: as in [`super`].

use std::collections::{BTreeSet, VecDeque};

use ::http::{HeaderMap, Method, Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::percent_decode_str;
use sha1::Sha1;

use super::{cut, headers};
use crate::auth::{Secret, guard, scheme, sigv2};
use crate::http::{ChunkWatch, Chunks, Domains, Query, Target, route};
use crate::{BucketName, ObjectKey};

/// Bodies in chunks: however the bytes arrive, the outcome is the same, and what an accepted body
/// passes on decodes to as many bytes as were announced.
pub(super) fn chunks(data: &[u8]) {
    let [kind, size, rest @ ..] = data else {
        return;
    };
    let kind = match kind & 1 {
        0 => Chunks::Unsigned,
        _ => Chunks::Signed,
    };
    let expected = u64::from(*size);
    let whole = watch(kind, expected, &[rest]);
    let bytes: Vec<&[u8]> = rest.chunks(1).collect();
    assert_eq!(whole.is_some(), watch(kind, expected, &bytes).is_some());
    let odd: Vec<&[u8]> = rest.chunks(7).collect();
    assert_eq!(whole.is_some(), watch(kind, expected, &odd).is_some());
    if let Some(passed) = whole {
        assert_eq!(
            decoded(&passed),
            Some(expected),
            "{:?}",
            passed.escape_ascii()
        );
    }
}

/// What is passed on of an accepted body.
fn watch(kind: Chunks, expected: u64, pieces: &[&[u8]]) -> Option<Vec<u8>> {
    let (mut watch, mut out) = (ChunkWatch::new(kind, expected), VecDeque::new());
    for piece in pieces {
        watch.push(Bytes::copy_from_slice(piece), &mut out).ok()?;
    }
    watch.finish().ok()?;
    Some(out.into_iter().flatten().collect())
}

/// Bytes of data in an aws-chunked body, read as simply as can be; `None` if it is none.
fn decoded(mut body: &[u8]) -> Option<u64> {
    let mut sum = 0;
    loop {
        let end = body.windows(2).position(|two| two == b"\r\n")?;
        let line = std::str::from_utf8(&body[..end]).ok()?;
        let size = usize::from_str_radix(line.split(';').next()?, 16).ok()?;
        body = &body[end + 2..];
        if size == 0 {
            return Some(sum);
        }
        body = body.get(size..)?.strip_prefix(b"\r\n")?;
        sum += size as u64;
    }
}

/// Queries: names are unique and bounded; written out again they are read alike.
pub(super) fn query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(query) = Query::parse(Some(text)) else {
        return;
    };
    let names: BTreeSet<&str> = query.pairs().map(|(name, _)| name).collect();
    assert!(query.pairs().count() == names.len() && names.len() <= 100);
    let written: String = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(query.pairs())
        .finish();
    assert_eq!(Query::parse(Some(&written)).expect("what was read"), query);
}

/// Method, host and URI: a path never changes the bucket that a host names, and what is served is
/// in the closed list of operations.
pub(super) fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (method, rest) = cut(text);
    let (host, rest) = cut(rest);
    let (uri, lines) = cut(rest);
    let mut headers = headers(lines);
    let Ok(host_value) = host.parse() else {
        return;
    };
    headers.insert("host", host_value);
    let domains = Domains::new(["s3.example".to_owned()]);
    let (path, query) = match uri.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (uri, None),
    };
    let Ok(target) = Target::parse(&domains, &headers, path) else {
        return;
    };
    if let Some(named) = domains.bucket(host) {
        assert_eq!(target.bucket(), Some(named.as_str()), "{host:?} {path:?}");
    }
    if let Target::Object(bucket, key) = &target {
        assert!(!bucket.is_empty() && !key.is_empty());
    }
    let (Ok(method), Ok(query)) = (Method::from_bytes(method.as_bytes()), Query::parse(query))
    else {
        return;
    };
    if let Ok(operation) = route::operation(&method, &target, &query, &headers) {
        assert!(crate::auth::Operation::from_name(operation.name()).is_some());
        let is_root = target == Target::Root;
        assert_eq!(
            is_root,
            operation.name() == "ListBuckets",
            "{method} {uri:?}"
        );
        let is_read = matches!(method, Method::GET | Method::HEAD);
        let names = ["Get", "Head", "List"];
        let reads = names.iter().any(|name| operation.name().starts_with(name));
        assert_eq!(is_read, reads, "{method} is {}", operation.name());
    }
}

/// Claims of signatures: one mechanism, a whole scope, and host among what is signed before
/// anything is believed.
pub(super) fn claim(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (query, lines) = cut(text);
    let headers = headers(lines);
    let Ok(query) = Query::parse(Some(query)) else {
        return;
    };
    let Ok(claim) = scheme::claim(&headers, &query) else {
        return;
    };
    let by_header = headers.contains_key("authorization");
    let by_query = query.has("X-Amz-Signature");
    match &claim {
        None => assert!(!by_header && !by_query),
        Some(claim) => {
            assert!(by_header != by_query && claim.presigned == by_query);
            assert!(claim.date.len() == 8 && claim.date.bytes().all(|c| c.is_ascii_digit()));
            assert!(!claim.access_key.is_empty() && !claim.region.is_empty());
            let lower = |name: &String| !name.is_empty() && *name == name.to_ascii_lowercase();
            assert!(claim.signed_headers.iter().all(lower));
        }
    }
    let passes = guard::check(claim.as_ref(), &headers, &query, "us-east-1").is_ok();
    if let Some(claim) = claim.filter(|_| passes) {
        assert_eq!(claim.region, "us-east-1");
        assert!(claim.signed_headers.iter().any(|name| name == "host"));
        let is_there = |name: &String| headers.contains_key(name);
        assert!(claim.signed_headers.iter().all(is_there));
    }
}

/// Claims of version 2: one mechanism, and nothing beside it that version 2 does not cover. What is
/// signed as the guide says verifies; with another key, method or path it does not.
pub(super) fn claim_v2(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (line, lines) = cut(text);
    let (method, uri) = line.split_once(' ').unwrap_or(("GET", line));
    let Ok(mut request) = Request::builder().method(method).uri(uri).body(()) else {
        return;
    };
    *request.headers_mut() = headers(lines);
    let Ok(query) = Query::parse(request.uri().query()) else {
        return;
    };
    let secret = Secret::new("of the target");
    match sigv2::claim(request.headers(), &query) {
        Ok(None) => assert!(!query.has("Signature") && !query.has("AWSAccessKeyId")),
        Ok(Some(claim)) => {
            assert_eq!(claim.is_presigned(), query.has("Signature"));
            assert!(!query.has("X-Amz-Signature") && !query.has("X-Amz-Algorithm"));
            assert!(claim.verify(&request, &query, None, &secret).is_err());
            let _ = claim.check_age(request.headers(), 1_700_000_000_000);
        }
        Err(_) => {}
    }
    request.headers_mut().remove("authorization");
    let Some(signed) = signed_by_the_guide(&request, &query) else {
        return;
    };
    let mac = Hmac::<Sha1>::new_from_slice(b"of the target").expect("a key of any length");
    let signature = STANDARD.encode(mac.chain_update(signed).finalize().into_bytes());
    let Ok(value) = format!("AWS key:{signature}").parse() else {
        return;
    };
    request.headers_mut().insert("authorization", value);
    let Ok(Some(claim)) = sigv2::claim(request.headers(), &query) else {
        return;
    };
    let verify =
        |request: &Request<()>, secret: &Secret| claim.verify(request, &query, None, secret);
    verify(&request, &secret).expect("what is signed as the guide says");
    assert!(verify(&request, &Secret::new("another")).is_err());
    let method = match *request.method() == Method::PUT {
        true => Method::DELETE,
        false => Method::PUT,
    };
    *request.method_mut() = method;
    assert!(verify(&request, &secret).is_err(), "another method");
}

/// What version 2 signs of a request that is signed in its header, by the guide; `None` if it has
/// parameters that are not among the few that are looked at here.
fn signed_by_the_guide(request: &Request<()>, query: &Query) -> Option<String> {
    let headers = request.headers();
    let one = |name: &str| -> Option<&str> {
        match headers.get(name) {
            None => Some(""),
            Some(value) => value.to_str().ok(),
        }
    };
    let date = match headers.contains_key("x-amz-date") {
        true => "",
        false => one("date")?,
    };
    let (md5, kind) = (one("content-md5")?, one("content-type")?);
    let mut text = format!("{}\n{md5}\n{kind}\n{date}\n", request.method());
    text += &amz_lines(headers)?;
    text += request.uri().path();
    let mut covered = Vec::new();
    for (name, _) in query.pairs() {
        match name {
            "acl" | "uploads" | "uploadId" | "partNumber" | "versionId" => covered.push(name),
            "prefix" | "marker" | "max-keys" => {}
            _ => return None,
        }
    }
    covered.sort_unstable();
    for (at, name) in covered.into_iter().enumerate() {
        let pairs = request.uri().query()?.split('&');
        let mut written = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let (_, value) = written.find(|(written, _)| *written == name)?;
        let value = percent_decode_str(value).decode_utf8().ok()?;
        text += if at == 0 { "?" } else { "&" };
        text += name;
        if request.uri().query()?.split('&').all(|pair| pair != name) {
            text += &format!("={value}");
        }
    }
    Some(text)
}

fn amz_lines(headers: &HeaderMap) -> Option<String> {
    let mut lines = String::new();
    let amz = |name: &&::http::HeaderName| name.as_str().starts_with("x-amz-");
    let names: BTreeSet<&str> = headers
        .keys()
        .filter(amz)
        .map(|name| name.as_str())
        .collect();
    for name in names {
        let values = headers.get_all(name).iter().map(|value| value.to_str());
        let values: Vec<&str> = values.collect::<Result<_, _>>().ok()?;
        let values: Vec<&str> = values.into_iter().map(str::trim_ascii).collect();
        lines += &format!("{name}:{}\n", values.join(","));
    }
    Some(lines)
}

/// Names: what is accepted keeps the rules of S3, written down again.
pub(super) fn names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(name) = BucketName::parse(text) {
        assert_eq!(name.as_str(), text);
        let labels: Vec<&str> = text.split('.').collect();
        assert!(text.len() >= 3 && text.len() <= 63 && !labels.contains(&""));
        let fit = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '.');
        assert!(text.chars().all(fit) && !text.starts_with('-') && !text.ends_with('-'));
        let numbers = labels.iter().all(|label| label.parse::<u8>().is_ok());
        assert!(labels.len() != 4 || !numbers || labels.iter().any(|l| l.starts_with('0')));
    }
    if let Ok(key) = ObjectKey::parse(text) {
        assert!(key.as_str() == text && !text.is_empty() && text.len() <= 1024);
    }
}
