//! Operations on objects, one file each.
//!
//! Owns: their wire forms, and how an object's description becomes headers.
//! Leaves to others: what they do ([`crate::object::Objects`]).
//! Always: headers that were stored go out as they came in.

mod acl;
mod attributes;
mod copy;
mod delete;
pub(super) mod delete_many;
mod get;
mod head;
mod legal_hold;
mod put;
mod rename;
mod retention;
mod tagging;

use holdfast_protocol::{ByteRange, ChecksumType};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};

pub(super) use acl::{get_acl, put_acl};
pub(super) use attributes::attributes;
pub(super) use copy::{copy, source};
pub(super) use delete::delete;
pub(super) use delete_many::delete_many;
pub(super) use get::get;
pub(super) use head::head;
pub(super) use legal_hold::{get_legal_hold, put_legal_hold};
pub(super) use put::put;
pub(super) use rename::{is_about_source, rename};
pub(super) use retention::{get_retention, put_retention};
pub(super) use tagging::{delete_tagging, get_tagging, put_tagging, tags};

use super::prepare::Prepared;
use super::values::{
    VERSION_ID, checksum_header, checksum_text, checksum_type_name, date_time, expiration,
    http_date,
};
use super::{Gateway, headers};
use crate::auth::Action;
use crate::error::GatewayError;
use crate::names::{BucketName, ObjectKey};
use crate::object::types::{ObjectInfo, ReadConditions, VersionId};
use crate::object::{Protection, lockable};

const TAGGING_COUNT: &str = "x-amz-tagging-count";

/// Bucket and key, parsed.
pub(super) fn names(bucket: &str, key: &str) -> Result<(BucketName, ObjectKey), GatewayError> {
    Ok((BucketName::parse(bucket)?, ObjectKey::parse(key)?))
}

/// The version that a request names, if it names one.
pub(super) fn version(given: Option<&str>) -> Result<Option<VersionId>, GatewayError> {
    let why = match given {
        None => return Ok(None),
        Some("") => "Version id cannot be the empty string",
        Some(text) => match VersionId::parse(text) {
            Some(id) => return Ok(Some(id)),
            None => "Invalid version id specified",
        },
    };
    Err(GatewayError::InvalidArgument {
        name: "versionId",
        why: why.to_owned(),
    })
}

/// What protects a version of a bucket that has object lock.
pub(super) async fn protection(
    gateway: &Gateway,
    bucket: &BucketName,
    key: &ObjectKey,
    version: Option<VersionId>,
) -> Result<Protection, GatewayError> {
    lockable(gateway.objects.bucket(bucket).await?.settings())?;
    let any = ReadConditions::default();
    let info = gateway.objects.head(bucket, key, version, None, &any);
    Protection::of(&info.await?.metadata)
}

/// Whether governance is to be bypassed, by who may.
pub(super) async fn bypasses(gateway: &Gateway, prepared: &Prepared) -> Result<bool, GatewayError> {
    let action = Action::BypassGovernanceRetention;
    let asked = headers::bypasses(&prepared.headers);
    Ok(asked && gateway.rights.may(&prepared.asking, action).await?)
}

/// `partNumber` of a read.
pub(super) fn part(number: Option<i32>) -> Result<Option<u32>, GatewayError> {
    match number {
        None => Ok(None),
        Some(number @ 1..=10_000) => Ok(Some(number.unsigned_abs())),
        Some(_) => Err(GatewayError::InvalidArgument {
            name: "partNumber",
            why: "it must be 1 to 10000".to_owned(),
        }),
    }
}

/// Whether the client wants to see the checksum.
pub(super) fn wants_checksum(headers: &HeaderMap) -> bool {
    headers::get(headers, "x-amz-checksum-mode")
        .is_some_and(|mode| mode.eq_ignore_ascii_case("enabled"))
}

/// The headers that describe an object, for GET and HEAD.
///
/// `range` is what goes out, if that is not all of it.
pub(super) fn describe(info: &ObjectInfo, range: Option<ByteRange>, checksum: bool) -> HeaderMap {
    let mut headers = described(info, range, checksum);
    let expires = info.expires.as_ref().map(expiration);
    if let Some(value) = expires.as_deref().and_then(header_value) {
        headers.insert("x-amz-expiration", value);
    }
    headers
}

fn described(info: &ObjectInfo, range: Option<ByteRange>, checksum: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, value: String| {
        if let Some(value) = header_value(&value) {
            headers.insert(name, value);
        }
    };
    set(http::header::ACCEPT_RANGES, "bytes".to_owned());
    set(http::header::ETAG, format!("\"{}\"", info.etag));
    set(http::header::LAST_MODIFIED, http_date(info.modified_ms));
    let len = range.map_or(info.len, |range| range.len());
    set(http::header::CONTENT_LENGTH, len.to_string());
    if let Some(range) = range.filter(|range| !range.is_empty()) {
        let last = range.end - 1;
        let text = format!("bytes {}-{last}/{}", range.start, info.len);
        set(http::header::CONTENT_RANGE, text);
    }
    if let Some(version) = info.version {
        set(VERSION_ID, version.to_string());
    }
    if let Some(parts) = info.part_count.filter(|_| info.part_range.is_some()) {
        set(
            HeaderName::from_static("x-amz-mp-parts-count"),
            parts.to_string(),
        );
    }
    set(CONTENT_TYPE, "binary/octet-stream".to_owned());
    if let Ok(protection) = Protection::of(&info.metadata) {
        if let Some(retention) = protection.retention {
            let mode = HeaderName::from_static(headers::LOCK_MODE);
            set(mode, retention.mode.name().to_owned());
            if let Some(until) = date_time(retention.until_ms) {
                set(HeaderName::from_static(headers::LOCK_UNTIL), until);
            }
        }
        if let Some(hold) = protection.hold {
            let name = HeaderName::from_static(headers::LEGAL_HOLD);
            set(name, if hold { "ON" } else { "OFF" }.to_owned());
        }
    }
    for (name, value) in &info.metadata.0 {
        match (HeaderName::try_from(name), name.as_str()) {
            (_, "x-amz-tagging") => {
                let count = value.split('&').filter(|tag| !tag.is_empty()).count();
                let name = HeaderName::from_static(TAGGING_COUNT);
                set(name, count.to_string());
            }
            (_, "x-amz-storage-class") if value == "STANDARD" => {}
            (Ok(name), _) => set(name, value.clone()),
            (Err(_), _) => {}
        }
    }
    // The checksum covers the object (or the part asked for), not a range of it.
    let whole = range.is_none() || info.part_range == range;
    if let Some(sum) = info.checksum.as_ref().filter(|_| checksum && whole) {
        let parts = match sum.covers {
            ChecksumType::Composite => info.part_count.filter(|_| info.part_range.is_none()),
            ChecksumType::FullObject => None,
        };
        set(
            HeaderName::from_static(checksum_header(sum.kind)),
            checksum_text(sum, parts),
        );
        set(
            HeaderName::from_static("x-amz-checksum-type"),
            checksum_type_name(sum.covers).to_owned(),
        );
    }
    headers
}

/// Takes away what an answer says of tags and locks, if the caller may not ask for them.
pub(super) async fn keep_to_oneself(
    gateway: &Gateway,
    prepared: &Prepared,
    headers: &mut HeaderMap,
) -> Result<(), GatewayError> {
    let asking = &prepared.asking;
    let tags = match asking.version {
        None => Action::GetObjectTagging,
        Some(_) => Action::GetObjectVersionTagging,
    };
    for (name, action) in [
        (TAGGING_COUNT, tags),
        (headers::LOCK_MODE, Action::GetObjectRetention),
        (headers::LOCK_UNTIL, Action::GetObjectRetention),
        (headers::LEGAL_HOLD, Action::GetObjectLegalHold),
    ] {
        if headers.contains_key(name) && !gateway.rights.may(asking, action).await? {
            headers.remove(name);
        }
    }
    Ok(())
}

/// A header's value: what is not ASCII goes out as RFC 2047 encoded words, as AWS does.
fn header_value(text: &str) -> Option<HeaderValue> {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    if text.bytes().all(|c| matches!(c, b'\t' | 0x20..=0x7e)) {
        return HeaderValue::from_str(text).ok();
    }
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        // 45 bytes become 60 characters; a word may have 75 with its frame.
        if word.len() + c.len_utf8() > 45 {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let encode = |word: &String| format!("=?UTF-8?B?{}?=", STANDARD.encode(word));
    let words: Vec<String> = words.iter().map(encode).collect();
    HeaderValue::from_str(&words.join(" ")).ok()
}

/// Headers that `response-*` may set.
pub(super) fn overrides(input: &[(HeaderName, Option<&str>)]) -> Result<HeaderMap, GatewayError> {
    let mut headers = HeaderMap::new();
    for (name, value) in input {
        let Some(value) = value else {
            continue;
        };
        // Refuses CR, LF and all other control characters.
        let value = HeaderValue::from_str(value).map_err(|_| GatewayError::InvalidArgument {
            name: "response-*",
            why: format!("the value for {name} is not a header's value"),
        })?;
        headers.insert(name.clone(), value);
    }
    Ok(headers)
}
