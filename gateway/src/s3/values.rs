//! Forms of values in headers and documents.
//!
//! Owns: dates, entity tags, checksums, escaping, owners.
//! Leaves to others: which header or element they go to.
//! Always: what a client sent and cannot be read is told apart from what is not there.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use holdfast_protocol::{ChecksumKind, ChecksumType, ETag, ObjectChecksum};
use http::HeaderName;
use percent_encoding::utf8_percent_encode;
use s3s::dto;

use crate::auth::Owner;
use crate::object::Expires;
use crate::post::answer::ENCODED;

/// The header that names a version.
pub(super) const VERSION_ID: HeaderName = HeaderName::from_static("x-amz-version-id");

/// The date form of HTTP headers.
pub(super) fn http_date(ms: u64) -> String {
    httpdate::fmt_http_date(time(ms))
}

/// When an upload is aborted, and by which rule, as headers say it.
pub(super) fn aborts(aborts: Option<Expires>) -> (Option<dto::Timestamp>, Option<String>) {
    let Some(aborts) = aborts else {
        return (None, None);
    };
    let rule = utf8_percent_encode(&aborts.rule, ENCODED).to_string();
    (Some(timestamp(aborts.at_ms)), Some(rule))
}

/// When an object expires, as a header says it.
pub(super) fn expiration(expires: &Expires) -> String {
    let rule = utf8_percent_encode(&expires.rule, ENCODED);
    let date = http_date(expires.at_ms);
    format!("expiry-date=\"{date}\", rule-id=\"{rule}\"")
}

/// Reads a date of an HTTP header, in any of its three forms; milliseconds since 1970.
pub(super) fn parse_http_date(text: &str) -> Option<u64> {
    let time = httpdate::parse_http_date(text.trim()).ok()?;
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

/// Milliseconds since 1970 of a date in a document.
pub(super) fn from_timestamp(timestamp: &dto::Timestamp) -> Option<u64> {
    let mut text = Vec::new();
    timestamp
        .format(dto::TimestampFormat::HttpDate, &mut text)
        .ok()?;
    parse_http_date(std::str::from_utf8(&text).ok()?)
}

fn time(ms: u64) -> SystemTime {
    // httpdate takes years up to 9999.
    UNIX_EPOCH + Duration::from_millis(ms.min(253_402_300_799_000))
}

/// Reads a date and time of ISO 8601; milliseconds since 1970.
pub(super) fn parse_date_time(text: &str) -> Option<u64> {
    let parsed = dto::Timestamp::parse(dto::TimestampFormat::DateTime, text.trim()).ok()?;
    exact_ms(&parsed)
}

/// Milliseconds since 1970 of a date, to the millisecond.
pub(super) fn exact_ms(timestamp: &dto::Timestamp) -> Option<u64> {
    let mut text = Vec::new();
    let format = dto::TimestampFormat::EpochSeconds;
    timestamp.format(format, &mut text).ok()?;
    let text = std::str::from_utf8(&text).ok()?;
    let (seconds, part) = text.split_once('.').unwrap_or((text, ""));
    let part = format!("{part:0<3}");
    let ms = seconds.parse::<u64>().ok()?.checked_mul(1000)?;
    ms.checked_add(part.get(..3)?.parse().ok()?)
}

/// A date of a document or header, to the millisecond.
pub(super) fn exact_timestamp(ms: u64) -> dto::Timestamp {
    dto::Timestamp::from(time(ms))
}

/// A date and time of ISO 8601.
pub(super) fn date_time(ms: u64) -> Option<String> {
    let mut text = Vec::new();
    let format = dto::TimestampFormat::DateTime;
    exact_timestamp(ms).format(format, &mut text).ok()?;
    String::from_utf8(text).ok()
}

/// A date of a document, to the second as S3 gives it.
pub(super) fn timestamp(ms: u64) -> dto::Timestamp {
    dto::Timestamp::from(time(ms / 1000 * 1000))
}

/// An entity tag as the library takes it.
pub(super) fn etag(etag: &ETag) -> dto::ETag {
    dto::ETag::Strong(etag.to_string())
}

/// Text of an element.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            // XML has no form for these.
            c if c < ' ' && !matches!(c, '\t' | '\n') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// The five headers, in the order of [`ChecksumKind::ALL`].
pub(super) const CHECKSUM_HEADERS: [&str; 5] = [
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
];

/// The header of a kind.
pub(super) const fn checksum_header(kind: ChecksumKind) -> &'static str {
    match kind {
        ChecksumKind::Crc32 => CHECKSUM_HEADERS[0],
        ChecksumKind::Crc32c => CHECKSUM_HEADERS[1],
        ChecksumKind::Crc64Nvme => CHECKSUM_HEADERS[2],
        ChecksumKind::Sha1 => CHECKSUM_HEADERS[3],
        ChecksumKind::Sha256 => CHECKSUM_HEADERS[4],
    }
}

/// S3's name of a kind.
pub(super) const fn checksum_name(kind: ChecksumKind) -> &'static str {
    match kind {
        ChecksumKind::Crc32 => "CRC32",
        ChecksumKind::Crc32c => "CRC32C",
        ChecksumKind::Crc64Nvme => "CRC64NVME",
        ChecksumKind::Sha1 => "SHA1",
        ChecksumKind::Sha256 => "SHA256",
    }
}

/// The kind of S3's name, in any case.
pub(super) fn checksum_kind(name: &str) -> Option<ChecksumKind> {
    ChecksumKind::ALL
        .into_iter()
        .find(|kind| checksum_name(*kind).eq_ignore_ascii_case(name))
}

/// S3's name of a checksum type.
pub(super) const fn checksum_type_name(covers: ChecksumType) -> &'static str {
    match covers {
        ChecksumType::FullObject => "FULL_OBJECT",
        ChecksumType::Composite => "COMPOSITE",
    }
}

/// Reads a digest; `None` if it is not one of `kind`.
pub(super) fn digest(kind: ChecksumKind, text: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(text.trim()).ok()?;
    (bytes.len() == kind.len()).then_some(bytes)
}

/// The text of a stored checksum; a composite one has the number of parts behind it.
pub(super) fn checksum_text(checksum: &ObjectChecksum, parts: Option<u32>) -> String {
    let text = STANDARD.encode(&checksum.digest);
    match (checksum.covers, parts) {
        (ChecksumType::Composite, Some(parts)) => format!("{text}-{parts}"),
        _ => text,
    }
}

/// Sets the one of five fields of an output that belongs to a checksum.
macro_rules! set_checksum {
    ($out:expr, $kind:expr, $text:expr) => {
        match $kind {
            holdfast_protocol::ChecksumKind::Crc32 => $out.checksum_crc32 = Some($text),
            holdfast_protocol::ChecksumKind::Crc32c => $out.checksum_crc32c = Some($text),
            holdfast_protocol::ChecksumKind::Crc64Nvme => $out.checksum_crc64nvme = Some($text),
            holdfast_protocol::ChecksumKind::Sha1 => $out.checksum_sha1 = Some($text),
            holdfast_protocol::ChecksumKind::Sha256 => $out.checksum_sha256 = Some($text),
        }
    };
}
pub(super) use set_checksum;

/// The type of a checksum as the library takes it.
pub(super) fn checksum_type(covers: ChecksumType) -> dto::ChecksumType {
    dto::ChecksumType::from_static(checksum_type_name(covers))
}

/// The algorithm as the library takes it.
pub(super) fn checksum_algorithm(kind: ChecksumKind) -> dto::ChecksumAlgorithm {
    dto::ChecksumAlgorithm::from_static(checksum_name(kind))
}

/// An owner as the library takes it.
pub(super) fn owner(owner: &Owner) -> dto::Owner {
    dto::Owner {
        display_name: Some(owner.name.clone()),
        id: Some(owner.id.to_string()),
    }
}

/// An owner as one who initiated an upload.
pub(super) fn initiator(owner: &Owner) -> dto::Initiator {
    dto::Initiator {
        display_name: Some(owner.name.clone()),
        id: Some(owner.id.to_string()),
    }
}
