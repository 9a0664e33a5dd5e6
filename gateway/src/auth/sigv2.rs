//! Signature version 2, for old clients, where the configuration lets it in.
//!
//! Owns: reading the claim; what version 2 covers of a request; verifying it, and its age.
//! Leaves to others: whether it is let in at all, and whose the key is (`s3`).
//! Always: compared in constant time; every `x-amz-*` header, and every such parameter that counts
//! as one, is covered; a parameter that version 2 does not cover is refused, unless all it does is
//! to shape a listing.
//! Source: Amazon S3 Developer Guide (API version 2006-03-01), "Signing and Authenticating REST
//! Requests".

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::header::{AUTHORIZATION, CONTENT_TYPE, DATE};
use http::{HeaderMap, Request, Uri};
use percent_encoding::percent_decode_str;
use sha1::Sha1;
use subtle::ConstantTimeEq;

use super::Secret;
use crate::admin::sigv4::unix_seconds;
use crate::http::{Query, Refusal};

/// A clock may be wrong by so much.
const SKEW_MS: u64 = 15 * 60 * 1000;
/// Parameters that say who signed. They are not part of what is asked for.
pub(crate) const PARAMETERS: [&str; 3] = ["AWSAccessKeyId", "Signature", "Expires"];
/// Parameters that the signature covers.
const COVERED: [&str; 35] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "defaultObjectAcl",
    "delete",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "select",
    "select-type",
    "storageClass",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];
/// Parameters that need no signature: they choose the page of a listing.
const FREE: [&str; 15] = [
    "continuation-token",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "key-marker",
    "list-type",
    "marker",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "prefix",
    "start-after",
    "upload-id-marker",
    "version-id-marker",
];

/// The claim of a signature, not yet verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who says to have signed.
    pub access_key: String,
    /// Base64.
    signature: String,
    /// The end of what was signed in a query, as it is written there.
    expires: Option<String>,
}

impl Claim {
    /// Whether the claim is in the query.
    pub fn is_presigned(&self) -> bool {
        self.expires.is_some()
    }
}

/// Reads the claim of a request; `None` if it has none of this version.
///
/// # Errors
/// `TwoMechanisms`, `MalformedHeader`, `MalformedV2`, `NotCovered`.
pub fn claim(headers: &HeaderMap, query: &Query) -> Result<Option<Claim>, Refusal> {
    let in_query = query.has("Signature") || query.has("AWSAccessKeyId");
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next();
    let in_header = value.and_then(|value| value.as_bytes().strip_prefix(b"AWS "));
    let claim = match (in_header, in_query) {
        (None, false) => return Ok(None),
        (None, true) if value.is_none() => in_the_query(query)?,
        (Some(text), false) => in_the_header(text)?,
        _ => return Err(Refusal::TwoMechanisms),
    };
    if values.next().is_some() {
        return Err(Refusal::MalformedHeader {
            why: "it is given twice",
        });
    }
    let v4 = ["X-Amz-Signature", "X-Amz-Algorithm", "X-Amz-Credential"];
    if v4.iter().any(|name| query.has(name)) {
        return Err(Refusal::TwoMechanisms);
    }
    for (name, _) in query.pairs() {
        let is_header = is_amz(name);
        let is_claim = claim.is_presigned() && PARAMETERS.contains(&name);
        if !(is_header
            || is_claim
            || COVERED.contains(&name)
            || FREE.contains(&name)
            || name == "x-id")
        {
            return Err(Refusal::NotCovered {
                what: name.to_owned(),
            });
        }
    }
    let payload = headers.get("x-amz-content-sha256");
    if payload.is_some_and(|kind| kind.as_bytes().starts_with(b"STREAMING-")) {
        return Err(Refusal::NotCovered {
            what: "a body in chunks".to_owned(),
        });
    }
    Ok(Some(claim))
}

fn in_the_header(text: &[u8]) -> Result<Claim, Refusal> {
    let text = std::str::from_utf8(text).map_err(|_| Refusal::MalformedV2)?;
    let (access_key, signature) = text.trim().split_once(':').ok_or(Refusal::MalformedV2)?;
    Ok(Claim {
        access_key: access_key.to_owned(),
        signature: signature.to_owned(),
        expires: None,
    })
}

fn in_the_query(query: &Query) -> Result<Claim, Refusal> {
    let get = |name| query.get(name).map(str::to_owned).ok_or(Refusal::PartOfV2);
    Ok(Claim {
        access_key: get("AWSAccessKeyId")?,
        signature: get("Signature")?,
        expires: Some(get("Expires")?),
    })
}

fn is_amz(name: &str) -> bool {
    name.get(..6)
        .is_some_and(|head| head.eq_ignore_ascii_case("x-amz-"))
}

impl Claim {
    /// Checks that the request is neither too old nor of the future.
    ///
    /// # Errors
    /// `NoDate`, `Skewed`, `Expired`.
    pub fn check_age(&self, headers: &HeaderMap, now_ms: u64) -> Result<(), Refusal> {
        if let Some(expires) = &self.expires {
            let until: u64 = expires.parse().map_err(|_| Refusal::Expired)?;
            return match now_ms / 1000 <= until {
                true => Ok(()),
                false => Err(Refusal::Expired),
            };
        }
        let date = headers.get("x-amz-date").or(headers.get(DATE));
        let date = date.and_then(|date| parse_date(date.to_str().ok()?));
        match now_ms.abs_diff(date.ok_or(Refusal::NoDate)?) <= SKEW_MS {
            true => Ok(()),
            false => Err(Refusal::Skewed),
        }
    }

    /// Checks that the request was signed with `secret`. `bucket` is the one that its host names.
    ///
    /// # Errors
    /// `WrongSignature`.
    pub fn verify<B>(
        &self,
        request: &Request<B>,
        query: &Query,
        bucket: Option<&str>,
        secret: &Secret,
    ) -> Result<(), Refusal> {
        let path = request.uri().path();
        let is_signed = |path: &str| {
            let expected = sign(secret, &self.text(request, query, bucket, path));
            bool::from(expected.as_bytes().ct_eq(self.signature.as_bytes()))
        };
        // Clients sign a bucket in the path with a slash behind it, whether they send one or not.
        let is_bucket = bucket.is_none() && path.rfind('/') == Some(0) && path.len() > 1;
        match is_signed(path) || is_bucket && is_signed(&format!("{path}/")) {
            true => Ok(()),
            false => Err(Refusal::WrongSignature),
        }
    }

    /// What is signed.
    fn text<B>(
        &self,
        request: &Request<B>,
        query: &Query,
        bucket: Option<&str>,
        path: &str,
    ) -> Vec<u8> {
        let headers = request.headers();
        let one = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
        let date = match &self.expires {
            Some(expires) => Some(expires.as_bytes()),
            None if headers.contains_key("x-amz-date") => None,
            None => one(DATE.as_str()),
        };
        let mut text = request.method().as_str().as_bytes().to_vec();
        for line in [one("content-md5"), one(CONTENT_TYPE.as_str()), date] {
            text.push(b'\n');
            text.extend_from_slice(line.unwrap_or_default());
        }
        text.push(b'\n');
        for (name, value) in amz_headers(headers, query) {
            text.extend_from_slice(name.as_bytes());
            text.push(b':');
            text.extend_from_slice(&value);
            text.push(b'\n');
        }
        if let Some(bucket) = bucket {
            text.push(b'/');
            text.extend_from_slice(bucket.as_bytes());
        }
        text.extend_from_slice(path.as_bytes());
        let mut mark = b'?';
        for parameter in covered(request.uri()) {
            text.push(mark);
            text.extend_from_slice(parameter.as_bytes());
            mark = b'&';
        }
        text
    }
}

/// The headers of Amazon, by name; what the query says in the place of a header is one.
fn amz_headers(headers: &HeaderMap, query: &Query) -> BTreeMap<String, Vec<u8>> {
    let mut found: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for name in headers.keys().filter(|name| is_amz(name.as_str())) {
        let values: Vec<&[u8]> = headers
            .get_all(name)
            .iter()
            .map(|value| value.as_bytes().trim_ascii())
            .collect();
        found.insert(name.as_str().to_owned(), values.join(&b','));
    }
    for (name, value) in query.pairs().filter(|(name, _)| is_amz(name)) {
        let name = name.to_ascii_lowercase();
        let value = value.trim().as_bytes().to_vec();
        found.entry(name).or_insert(value);
    }
    found
}

/// Parameters of the query that are signed, in their order, names and values decoded.
fn covered(uri: &Uri) -> Vec<String> {
    let pairs = uri.query().unwrap_or_default().split('&');
    let mut found: Vec<String> = pairs
        .filter_map(|pair| {
            let (name, value) = match pair.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (pair, None),
            };
            let name = decoded(name);
            let value = value.map(|value| format!("={}", decoded(value)));
            let is_covered = COVERED.contains(&name.as_ref());
            is_covered.then(|| format!("{name}{}", value.unwrap_or_default()))
        })
        .collect();
    found.sort_unstable();
    found
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

/// The URI without the parameters that say who signed; what is left stays as it is written.
pub(crate) fn without_claim(uri: &Uri) -> Uri {
    let Some(query) = uri.query() else {
        return uri.clone();
    };
    let is_claim = |pair: &&str| {
        let name = decoded(pair.split('=').next().unwrap_or_default());
        PARAMETERS.contains(&name.as_ref())
    };
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_claim(pair)).collect();
    let text = match kept.is_empty() {
        true => uri.path().to_owned(),
        false => format!("{}?{}", uri.path(), kept.join("&")),
    };
    Uri::try_from(text).unwrap_or_else(|_| uri.clone())
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Milliseconds since 1970.
fn parse_date(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Some(seconds) = unix_seconds(text) {
        return Some(seconds * 1000);
    }
    let text = match text.strip_suffix("+0000") {
        Some(rest) => format!("{rest}GMT"),
        None => text.to_owned(),
    };
    // Some clients are wrong about the day of the week, which says nothing.
    let time = httpdate::parse_http_date(&text).ok().or_else(|| {
        let (_, rest) = text.split_once(", ")?;
        let mut days = DAYS.iter().map(|day| format!("{day}, {rest}"));
        days.find_map(|text| httpdate::parse_http_date(&text).ok())
    })?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

/// HMAC-SHA1 in Base64.
pub(crate) fn sign(secret: &Secret, text: &[u8]) -> String {
    let mac = Hmac::<Sha1>::new_from_slice(secret.expose().as_bytes());
    let mut mac = mac.expect("HMAC takes keys of any length");
    mac.update(text);
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests;
