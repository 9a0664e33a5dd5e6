//! Reading the headers of a verified request.
//!
//! Owns: ranges, conditions, metadata; leniency where AWS is lenient, refusal of what would be a
//! lie to accept (encryption).
//! Leaves to others: checksums ([`super::claims`]), what the values do.
//! Always: called only for headers whose signature was verified.

use std::time::{SystemTime, UNIX_EPOCH};

use holdfast_protocol::Metadata;
use holdfast_protocol::manifest::STORAGE_CLASS;
use http::{HeaderMap, HeaderName, HeaderValue};
use s3s::{S3Error, S3Result};

use super::object::is_about_source;
use super::values::{parse_date_time, parse_http_date};
use crate::auth::Operation;
use crate::error::GatewayError;
use crate::object::types::{ETagMatch, RangeSpec, ReadConditions, WriteConditions};
use crate::object::{Classes, Protection, Retention, TAGGING};
use crate::settings::RetentionMode;

/// Most bytes of user metadata: names without their prefix, and values.
pub(super) const METADATA_LEN_MAX: usize = 2048;
const META: &str = "x-amz-meta-";
pub(super) const LOCK_MODE: &str = "x-amz-object-lock-mode";
pub(super) const LEGAL_HOLD: &str = "x-amz-object-lock-legal-hold";
pub(super) const LOCK_UNTIL: &str = "x-amz-object-lock-retain-until-date";
/// HTTP's own headers that are kept with an object.
const SYSTEM: [&str; 6] = [
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
];

/// The text of a header; bytes that are not UTF-8 are read as Latin-1.
pub(super) fn text(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value
            .as_bytes()
            .iter()
            .map(|&byte| char::from(byte))
            .collect(),
    }
}

/// The text of a header that may be given once; `None` also for an empty one.
pub(super) fn get(headers: &HeaderMap, name: &str) -> Option<String> {
    let text = text(headers.get(name)?);
    (!text.is_empty()).then_some(text)
}

/// The header that says where a PutObject adds to an object.
pub(super) const WRITE_OFFSET: &str = "x-amz-write-offset-bytes";
const OFFSET_REST: &str = "write-offset-bytes";

/// Refuses headers that ask for what is not done, where ignoring them would deceive.
pub(super) fn refuse_unsupported(headers: &HeaderMap, operation: Operation) -> S3Result<()> {
    for name in headers.keys().map(HeaderName::as_str) {
        let Some(rest) = name.strip_prefix("x-amz-") else {
            continue;
        };
        let encryption = rest.starts_with("server-side-encryption")
            || rest.starts_with("copy-source-server-side-encryption");
        let is_append = operation == Operation::PutObject;
        let is_rename = operation == Operation::RenameObject;
        if encryption || rest == OFFSET_REST && !is_append || is_about_source(name) && !is_rename {
            return Err(S3Error::from(GatewayError::NotImplemented {
                what: name.to_owned(),
            }));
        }
    }
    Ok(())
}

/// Where a PutObject adds to an object, if it does.
///
/// # Errors
/// `InvalidArgument` if that is not a number.
pub(super) fn write_offset(headers: &HeaderMap) -> Result<Option<u64>, GatewayError> {
    let mut given = headers.get_all(WRITE_OFFSET).iter();
    let (Some(value), None) = (given.next(), given.next()) else {
        return match headers.contains_key(WRITE_OFFSET) {
            true => refuse_offset(),
            false => Ok(None),
        };
    };
    let text = text(value);
    let is_number = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    match text.parse() {
        Ok(offset) if is_number => Ok(Some(offset)),
        _ => refuse_offset(),
    }
}

fn refuse_offset<T>() -> Result<T, GatewayError> {
    Err(GatewayError::InvalidArgument {
        name: WRITE_OFFSET,
        why: "it is the size of the object in bytes".to_owned(),
    })
}

/// Range, as AWS reads it: what is malformed, or names several ranges, is ignored.
pub(super) fn range(headers: &HeaderMap) -> Option<RangeSpec> {
    let text = text(headers.get(http::header::RANGE)?);
    parse_range(&text)
}

pub(super) fn parse_range(text: &str) -> Option<RangeSpec> {
    let (unit, spec) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = spec.trim().split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    match (number(first), number(last)) {
        (None, Some(len)) if first.is_empty() => Some(RangeSpec::Suffix(len)),
        (Some(first), None) if last.is_empty() => Some(RangeSpec::From { first, last: None }),
        (Some(first), Some(last)) if first <= last => Some(RangeSpec::From {
            first,
            last: Some(last),
        }),
        _ => None,
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    // More than fits lies behind the end of any object.
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// The conditions of a read.
pub(super) fn read_conditions(headers: &HeaderMap) -> ReadConditions {
    conditions(
        headers,
        [
            "if-match",
            "if-none-match",
            "if-modified-since",
            "if-unmodified-since",
        ],
    )
}

/// The conditions on the source of a copy.
pub(super) fn source_conditions(headers: &HeaderMap) -> ReadConditions {
    conditions(
        headers,
        [
            "x-amz-copy-source-if-match",
            "x-amz-copy-source-if-none-match",
            "x-amz-copy-source-if-modified-since",
            "x-amz-copy-source-if-unmodified-since",
        ],
    )
}

/// The conditions on the source of a rename.
pub(super) fn renamed_conditions(headers: &HeaderMap) -> ReadConditions {
    conditions(
        headers,
        [
            "x-amz-rename-source-if-match",
            "x-amz-rename-source-if-none-match",
            "x-amz-rename-source-if-modified-since",
            "x-amz-rename-source-if-unmodified-since",
        ],
    )
}

fn conditions(headers: &HeaderMap, names: [&str; 4]) -> ReadConditions {
    let if_match = etags(headers, names[0]);
    let if_none_match = etags(headers, names[1]);
    // RFC 9110, 13.2.2: a date counts only where no entity tag decides; a date in the future never
    // does.
    let modified = date(headers, names[2]).filter(|ms| if_none_match.is_none() && *ms <= now_ms());
    let unmodified = date(headers, names[3]).filter(|_| if_match.is_none());
    ReadConditions {
        if_match,
        if_none_match,
        if_modified_since: modified,
        if_unmodified_since: unmodified,
    }
}

pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |time| {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    })
}

/// The conditions of a write.
pub(super) fn write_conditions(headers: &HeaderMap) -> WriteConditions {
    WriteConditions {
        if_match: etags(headers, "if-match"),
        if_none_match: etags(headers, "if-none-match"),
    }
}

/// A date; `None` also for one that cannot be read.
pub(super) fn date(headers: &HeaderMap, name: &str) -> Option<u64> {
    parse_http_date(&get(headers, name)?)
}

/// The entity tags of all headers of this name, which may be lists, without quotes and weak
/// prefixes.
pub(super) fn etags(headers: &HeaderMap, name: &str) -> Option<ETagMatch> {
    let mut list = Vec::new();
    for value in headers.get_all(name) {
        for entry in text(value).split(',') {
            let entry = entry.trim();
            let entry = entry.strip_prefix("W/").unwrap_or(entry);
            let entry = entry.trim_matches('"');
            match entry {
                "" => {}
                "*" => return Some(ETagMatch::Any),
                tag => list.push(tag.to_owned()),
            }
        }
    }
    (!list.is_empty()).then_some(ETagMatch::OneOf(list))
}

/// Headers and user metadata to keep with an object.
///
/// # Errors
/// `MetadataTooLarge`; `InvalidArgument` for a storage class, tag or redirect that is none.
pub(super) fn metadata(headers: &HeaderMap, classes: &Classes) -> Result<Metadata, GatewayError> {
    let mut metadata = Metadata::default();
    for name in SYSTEM {
        let Some(value) = joined(headers, name) else {
            continue;
        };
        let value = match name {
            "content-encoding" => without_aws_chunked(&value),
            _ => value,
        };
        if !value.is_empty() {
            metadata.set(name, value);
        }
    }
    if let Some(class) = get(headers, STORAGE_CLASS) {
        classes.geometry(&class)?;
        metadata.set(STORAGE_CLASS, class);
    }
    if let Some(location) = get(headers, "x-amz-website-redirect-location") {
        let fit = ["/", "http://", "https://"]
            .iter()
            .any(|head| location.starts_with(head));
        if !fit || location.len() > METADATA_LEN_MAX {
            return invalid(
                "x-amz-website-redirect-location",
                "it must begin with / or http",
            );
        }
        metadata.set("x-amz-website-redirect-location", location);
    }
    if let Some(tags) = get(headers, "x-amz-tagging") {
        super::object::tags(&tags)?;
        metadata.set(TAGGING, tags);
    }
    protection(headers, now_ms())?.keep_in(&mut metadata);
    user_metadata(headers, &mut metadata)?;
    Ok(metadata)
}

/// What a version is to be protected by: `x-amz-object-lock-*`.
fn protection(headers: &HeaderMap, now_ms: u64) -> Result<Protection, GatewayError> {
    let hold = match get(headers, LEGAL_HOLD).as_deref() {
        None => None,
        Some("ON") => Some(true),
        Some("OFF") => Some(false),
        Some(_) => {
            return invalid(LEGAL_HOLD, "Legal Hold must be either of \'ON\' or \'OFF\'");
        }
    };
    let (mode, until) = (get(headers, LOCK_MODE), get(headers, LOCK_UNTIL));
    let retention = match (mode, until) {
        (None, None) => None,
        (Some(mode), Some(until)) => {
            let Some(mode) = RetentionMode::parse(&mode) else {
                return invalid(LOCK_MODE, "Unknown wormMode directive.");
            };
            let Some(until_ms) = parse_date_time(&until) else {
                return invalid(LOCK_UNTIL, "it is not a date of ISO 8601");
            };
            Some(future(Retention { mode, until_ms }, now_ms)?)
        }
        _ => {
            return invalid(
                LOCK_UNTIL,
                "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be \
                 supplied",
            );
        }
    };
    Ok(Protection { retention, hold })
}

/// Whether governance is to be bypassed.
pub(super) fn bypasses(headers: &HeaderMap) -> bool {
    get(headers, "x-amz-bypass-governance-retention")
        .is_some_and(|given| given.eq_ignore_ascii_case("true"))
}

/// A retention that is not over already.
pub(super) fn future(retention: Retention, now_ms: u64) -> Result<Retention, GatewayError> {
    match retention.until_ms > now_ms {
        true => Ok(retention),
        false => invalid(LOCK_UNTIL, "The retain until date must be in the future!"),
    }
}

fn user_metadata(headers: &HeaderMap, metadata: &mut Metadata) -> Result<(), GatewayError> {
    let mut len = 0;
    for name in headers.keys().map(HeaderName::as_str) {
        let Some(short) = name.strip_prefix(META) else {
            continue;
        };
        let value = joined(headers, name).unwrap_or_default();
        len += short.len() + value.len();
        metadata.set(name, value);
    }
    match len <= METADATA_LEN_MAX {
        true => Ok(()),
        false => Err(GatewayError::MetadataTooLarge {
            len,
            max: METADATA_LEN_MAX,
        }),
    }
}

/// All values of a header, joined by a comma as AWS does.
fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<String> = headers.get_all(name).iter().map(text).collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// `aws-chunked` describes the transfer, not the object. What else there is stays as it is written.
fn without_aws_chunked(value: &str) -> String {
    let is_kept = |coding: &&str| {
        let coding = coding.trim();
        !coding.is_empty() && !coding.eq_ignore_ascii_case("aws-chunked")
    };
    let kept: Vec<&str> = value.split(',').filter(is_kept).collect();
    kept.join(",").trim().to_owned()
}

fn invalid<T>(name: &'static str, why: &str) -> Result<T, GatewayError> {
    Err(GatewayError::InvalidArgument {
        name,
        why: why.to_owned(),
    })
}
