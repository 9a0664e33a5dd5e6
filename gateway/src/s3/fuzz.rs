//! Targets of S3's documents and headers.
//!
//! Owns: XML, ranges, conditions, metadata, checksums, copy sources, dates; bodies of
//! CompleteMultipartUpload and DeleteObjects.
//! Leaves to others: inputs ([`crate::fuzz`]).
//! Always: as in [`crate::fuzz`].

use s3s::dto::{self, CopySource};

use super::bucket_fuzz::parse;
use super::object::delete_many as many;
use super::{claims, documents, headers, values};
use super::{multipart, object};
use crate::auth::Operation;
use crate::fuzz;
use crate::object::Classes;
use crate::object::types::{ETagMatch, RangeSpec};

/// Documents: what is let through has no entity, no document type, no CDATA, and no deeper nesting
/// than the tags outside quotes and comments say.
pub(crate) fn document(data: &[u8]) {
    if documents::check(data).is_err() {
        return;
    }
    for forbidden in [&b"<!DOCTYPE"[..], b"<!ENTITY", b"<![CDATA["] {
        let found = data.windows(forbidden.len()).position(|w| w == forbidden);
        // Within a comment or an instruction it is text.
        if let Some(at) = found {
            let before = &data[..at];
            let opened = before.windows(4).any(|w| w == b"<!--")
                || before.windows(2).any(|w| w == b"<?")
                || before.contains(&b'"')
                || before.contains(&b'\'');
            assert!(opened, "{:?}", data.escape_ascii());
        }
    }
    let plain = !data.iter().any(|c| b"\"'!?".contains(c));
    if plain {
        let opens = data.iter().filter(|c| **c == b'<').count();
        assert!(opens <= 2 * 100_000 + 2 * 16);
    }
}

/// Ranges: first to last, whatever is written.
pub(crate) fn range(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match headers::parse_range(text) {
        Some(RangeSpec::From {
            first,
            last: Some(last),
        }) => {
            assert!(first <= last);
            let again = headers::parse_range(&format!("bytes={first}-{last}"));
            let is_same = matches!(again, Some(RangeSpec::From { first: start, last: Some(end) })
                if (start, end) == (first, last));
            assert!(is_same, "{text:?}");
        }
        Some(_) => assert!(text.contains('-') && text.contains('=')),
        None => {}
    }
}

/// Conditions: an entity tag is never empty and never keeps the quotes around it.
pub(crate) fn conditions(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let map = fuzz::headers(text);
    for name in ["if-match", "if-none-match"] {
        match headers::etags(&map, name) {
            Some(ETagMatch::OneOf(tags)) => {
                assert!(!tags.is_empty());
                for tag in tags {
                    assert!(!tag.is_empty() && tag != "*" && !tag.contains(','));
                    assert!(!tag.starts_with('"') && !tag.ends_with('"'), "{tag:?}");
                }
            }
            Some(ETagMatch::Any) => assert!(text.contains('*')),
            None => {}
        }
    }
    let read = headers::read_conditions(&map);
    assert!(read.if_none_match.is_none() || read.if_modified_since.is_none());
    assert!(read.if_match.is_none() || read.if_unmodified_since.is_none());
    headers::source_conditions(&map);
    headers::write_conditions(&map);
}

/// Metadata and tags: bounded, and nothing that would end a header line.
pub(crate) fn metadata(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(tags) = object::tags(text) {
        let tags = tags.pairs();
        assert!(tags.len() <= 10);
        for (at, (key, value)) in tags.iter().enumerate() {
            assert!(!key.is_empty() && key.chars().count() <= 128 && value.chars().count() <= 256);
            assert!(tags[..at].iter().all(|(known, _)| known != key));
        }
    }
    let map = fuzz::headers(text);
    if let Ok(kept) = headers::metadata(&map, &Classes::default()) {
        for (name, value) in &kept.0 {
            assert!(!name.contains(['\r', '\n']) && !value.contains(['\r', '\n']));
        }
    }
    let _ = headers::refuse_unsupported(&map, Operation::PutObject);
}

/// Claims of checksums: a digest has the length of its algorithm.
pub(crate) fn checksums(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let map = fuzz::headers(text);
    let _ = claims::asked_kind(&map);
    let _ = claims::asked_type(&map);
    let _ = claims::md5_only(&map);
    for name in ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"] {
        let kind = values::checksum_kind(name).expect("a known algorithm");
        if let Some(digest) = values::digest(kind, text) {
            assert_eq!(digest.len(), claims::compute(kind, b"").len(), "{name}");
        }
    }
}

/// Sources of copies: bucket and key keep their rules, and come from where they are written.
pub(crate) fn copy_source(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(parsed) = CopySource::parse(text) else {
        return;
    };
    if let Ok(from) = object::source(&parsed) {
        assert!(text.contains(from.bucket.as_str()) || text.contains('%'));
        assert!(!from.key.as_str().is_empty());
    }
}

/// Bodies of CompleteMultipartUpload: a part that is taken has its own number and entity tag, and a
/// checksum as long as its algorithm makes it.
pub(crate) fn complete(data: &[u8]) {
    let Some(document) = parse::<dto::CompletedMultipartUpload>(data) else {
        return;
    };
    for part in document.parts.unwrap_or_default() {
        let Ok(named) = multipart::complete::named(&part) else {
            continue;
        };
        assert_eq!(
            i64::from(named.number),
            part.part_number.map_or(-1, i64::from)
        );
        assert!(part.e_tag.is_some() && !named.etag.starts_with('"') && !named.etag.ends_with('"'));
        if let Some((kind, digest)) = named.checksum {
            assert_eq!(digest.len(), claims::compute(kind, b"").len(), "{kind:?}");
        }
    }
}

/// Bodies of DeleteObjects: a condition that is named is never read as none.
pub(crate) fn delete_many(data: &[u8]) {
    let Some(document) = parse::<dto::Delete>(data) else {
        return;
    };
    for asked in document.objects {
        let conditions = many::conditions(&asked);
        assert_eq!(conditions.if_match.is_some(), asked.e_tag.is_some());
        let size = asked.size.filter(|size| *size >= 0);
        assert_eq!(conditions.size.is_some(), size.is_some());
        let at_or_after_1970 = asked.last_modified_time.is_some();
        assert!(at_or_after_1970 || conditions.modified_ms.is_none());
        if let Ok(Some(version)) = object::version(asked.version_id.as_deref()) {
            let again = object::version(Some(&version.to_string()));
            assert_eq!(again.expect("what is shown may be named"), Some(version));
        }
    }
}

/// Dates: what is read is written alike.
pub(crate) fn dates(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Some(ms) = values::parse_http_date(text) {
        // A year of four digits is all that can be written.
        if ms < 253_402_300_800_000 {
            assert_eq!(values::parse_http_date(&values::http_date(ms)), Some(ms));
        }
    }
    let escaped = values::escape(text);
    assert!(!escaped.contains(['<', '>', '"', '\r']));
}
