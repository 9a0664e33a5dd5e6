//! Target of the admin API's signatures.
//!
//! Owns: a signed request, and changes of it.
//! Leaves to others: inputs ([`crate::fuzz`]).
//! Always: what means something else than what was signed is refused.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Request;
use http::request::Parts;

use super::access::Access;
use super::sigv4;
use crate::auth::{Administrator, Secret, scheme};
use crate::fuzz::{cut, headers};
use crate::http::Query;

const STAMP: &str = "20261121T120000Z";

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_262_400)
}

fn access() -> Access {
    let key = Secret::new("a-secret-of-the-administrator");
    Access {
        credentials: Arc::new(Administrator::new("ADMIN", key).expect("good keys")),
        token: None,
        region: "us-east-1".to_owned(),
        metrics_closed: false,
    }
}

/// A request from text: method, URI, headers, body, a line each but the headers.
fn request(text: &str) -> Option<(Parts, Vec<u8>)> {
    let (method, rest) = cut(text);
    let (uri, rest) = cut(rest);
    let (lines, body) = rest.split_once("\n\n").unwrap_or((rest, ""));
    let built = Request::builder().method(method).uri(uri).body(());
    let (mut head, ()) = built.ok()?.into_parts();
    head.headers = headers(lines);
    Some((head, body.as_bytes().to_vec()))
}

/// What of a request has a meaning: all that handlers are given.
fn meaning(head: &Parts, body: &[u8]) -> Option<(String, Vec<u8>, Query, Vec<u8>)> {
    let path = percent_encoding::percent_decode_str(head.uri.path()).collect();
    let query = Query::parse(head.uri.query()).ok()?;
    Some((head.method.to_string(), path, query, body.to_vec()))
}

/// The first line says how a signed request is changed (`where what`); the rest is the request.
/// Signed as it is, it is accepted; changed, it is accepted only if it still means the same.
pub(crate) fn signature(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (change, text) = cut(text);
    let Some((mut head, body)) = request(text) else {
        return;
    };
    let access = access();
    // As it came: without the secret nothing is accepted.
    assert!(
        sigv4::verify(&access, &head, &body, now()).is_err(),
        "{text:?}"
    );
    head.headers.remove("authorization");
    for (name, value) in [("host", "admin"), ("x-amz-date", STAMP)] {
        head.headers.insert(name, value.parse().expect("a header"));
    }
    let unsigned = head.headers.get("x-amz-content-sha256").is_some();
    let Some(signed) = sign(&access, &head, &body) else {
        return;
    };
    if sigv4::verify(&access, &signed, &body, now()).is_err() {
        // A body that does not match its digest, a query that repeats a name.
        return;
    }
    let Some(meant) = meaning(&signed, &body) else {
        return;
    };
    let (place, what) = change.split_once(' ').unwrap_or((change, ""));
    let (mut head, mut other) = (signed, body);
    let replaced = match place {
        "path" => uri(&mut head, what, None),
        "query" => {
            let path = head.uri.path().to_owned();
            uri(&mut head, &path, Some(what))
        }
        "body" => {
            other = what.as_bytes().to_vec();
            !unsigned
        }
        "method" => what.parse().map(|method| head.method = method).is_ok(),
        "date" => what
            .parse()
            .map(|value| head.headers.insert("x-amz-date", value))
            .is_ok_and(|old| old.is_some_and(|_| what != STAMP)),
        _ => false,
    };
    if replaced && sigv4::verify(&access, &head, &other, now()).is_ok() {
        assert_eq!(meaning(&head, &other), Some(meant), "{change:?}");
        assert_ne!(place, "date");
    }
}

fn uri(head: &mut Parts, path: &str, query: Option<&str>) -> bool {
    let query = query.or(head.uri.query()).map(|query| format!("?{query}"));
    let text = format!("{path}{}", query.unwrap_or_default());
    let is_path = path.starts_with('/') && !path.contains(['?', '#']);
    match (is_path, text.parse()) {
        (true, Ok(uri)) => {
            head.uri = uri;
            true
        }
        _ => false,
    }
}

/// The request with a right signature over all of its headers.
fn sign(access: &Access, head: &Parts, body: &[u8]) -> Option<Parts> {
    let mut head = head.clone();
    let names: Vec<&str> = head.headers.keys().map(http::HeaderName::as_str).collect();
    let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    names.sort_unstable();
    let with = |signature: &str| {
        format!(
            "AWS4-HMAC-SHA256 Credential=ADMIN/{}/us-east-1/s3/aws4_request, SignedHeaders={}, \
             Signature={signature}",
            &STAMP[..8],
            names.join(";")
        )
    };
    let draft = with(&"0".repeat(64)).parse().ok()?;
    head.headers.insert("authorization", draft);
    let query = Query::parse(head.uri.query()).ok()?;
    let claim = scheme::claim(&head.headers, &query).ok()??;
    let found = access.credentials.find(&claim.access_key);
    let secret = found.map(|(secret, _)| secret);
    let right = sigv4::expected(secret.as_ref(), &head, &query, body, &claim).ok()?;
    head.headers
        .insert("authorization", with(&right).parse().ok()?);
    Some(head)
}
