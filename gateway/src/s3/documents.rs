//! The XML documents that requests carry.
//!
//! Owns: holding them whole, within bounds of bytes, elements and depth, before a parser sees them.
//! Leaves to others: their meaning.
//! Always: no document type, no entity definitions, no nesting beyond what S3 has; nothing that the
//! parser behind would skip although it has a meaning (CDATA).

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use s3s::{Body, S3Result};

use super::body::body_error;
use super::error;
use crate::auth::Operation;
use crate::error::GatewayError;
use crate::http::BodyHandle;

/// Most bytes of a document: 10,000 parts with checksums need about 1.6 MiB.
pub(super) const DOCUMENT_LEN_MAX: usize = 2 << 20;
const DEPTH_MAX: usize = 16;
const ELEMENTS_MAX: usize = 100_000;

/// Whether an operation reads a document.
pub(super) const fn has_document(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::CreateBucket
            | Operation::PutBucketAcl
            | Operation::PutBucketCors
            | Operation::PutBucketInventoryConfiguration
            | Operation::PutBucketLifecycleConfiguration
            | Operation::PutBucketLogging
            | Operation::PutBucketNotificationConfiguration
            | Operation::PutBucketOwnershipControls
            | Operation::PutBucketPolicy
            | Operation::PutBucketRequestPayment
            | Operation::PutBucketTagging
            | Operation::PutBucketVersioning
            | Operation::PutBucketWebsite
            | Operation::PutObjectLockConfiguration
            | Operation::PutObjectAcl
            | Operation::PutObjectTagging
            | Operation::PutPublicAccessBlock
            | Operation::PutObjectRetention
            | Operation::PutObjectLegalHold
            | Operation::DeleteObjects
            | Operation::CompleteMultipartUpload
    )
}

/// Reads a document.
///
/// # Errors
/// `TooLarge`, or what went wrong with the body.
pub(super) async fn collect(body: &mut Body, handle: &BodyHandle) -> Result<Bytes, GatewayError> {
    let mut document = BytesMut::new();
    while let Some(bytes) = body.next().await {
        let bytes = bytes.map_err(|error| GatewayError::Body(body_error(handle, error)))?;
        if document.len() + bytes.len() > DOCUMENT_LEN_MAX {
            return Err(GatewayError::TooLarge {
                len: (document.len() + bytes.len()) as u64,
                max: DOCUMENT_LEN_MAX as u64,
            });
        }
        document.extend_from_slice(&bytes);
    }
    Ok(document.freeze())
}

/// Bounds depth and elements of a document.
///
/// # Errors
/// `MalformedXML`.
pub(super) fn check(document: &[u8]) -> S3Result<()> {
    let (mut depth, mut elements) = (0_usize, 0_usize);
    let mut rest = document;
    while let Some(at) = rest.iter().position(|&c| c == b'<') {
        rest = &rest[at..];
        let end = if rest.starts_with(b"<!--") {
            find(rest, 4, b"-->")
        } else if rest.starts_with(b"<![CDATA[") {
            // The library drops it: a key would be read without it, and another object deleted.
            return Err(error::malformed_xml("a CDATA section is not allowed"));
        } else if rest.starts_with(b"<!") {
            return Err(error::malformed_xml("a document type is not allowed"));
        } else if rest.starts_with(b"<?") {
            find(rest, 2, b"?>")
        } else {
            tag_end(rest)
        };
        let Some(end) = end else {
            return Err(error::malformed_xml("an element does not end"));
        };
        match (rest.get(1), rest.get(end.saturating_sub(2))) {
            (Some(b'?' | b'!'), _) => {}
            (Some(b'/'), _) => depth = depth.saturating_sub(1),
            (_, Some(b'/')) => elements += 1,
            _ => {
                depth += 1;
                elements += 1;
            }
        }
        if depth > DEPTH_MAX || elements > ELEMENTS_MAX {
            return Err(error::malformed_xml("the document has too many elements"));
        }
        rest = &rest[end..];
    }
    Ok(())
}

/// The index behind the first `needle` that begins at `from` or later.
fn find(text: &[u8], from: usize, needle: &[u8]) -> Option<usize> {
    text.get(from..)?
        .windows(needle.len())
        .position(|window| window == needle)
        .map(|at| from + at + needle.len())
}

/// The index behind the `>` that ends a tag: none within quotes, as the parser behind reads it.
fn tag_end(text: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (at, &c) in text.iter().enumerate() {
        match (quote, c) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    //! Facts about what a parser may see.
    use super::check;

    #[test]
    fn nesting_is_counted_whatever_attributes_and_comments_hold() {
        for layer in [
            "<a>",
            "<a b=\"/>\">",
            "<a b='>'>",
            "<!--></a>--><a>",
            "<?p </a>?><a>",
        ] {
            assert!(check(layer.repeat(16).as_bytes()).is_ok(), "{layer}");
            assert!(check(layer.repeat(17).as_bytes()).is_err(), "{layer}");
        }
        assert!(check("<a/>".repeat(1000).as_bytes()).is_ok());
        assert!(check("<a/>".repeat(100_001).as_bytes()).is_err());
    }

    #[test]
    fn what_a_parser_would_skip_or_expand_is_refused() {
        for bad in [
            "<Key>a<![CDATA[b]]></Key>",
            "<!DOCTYPE x [<!ENTITY a 'b'>]><x/>",
            "<a",
            "<!-- ",
            "<a b='>",
            "<?p >",
        ] {
            assert!(check(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
