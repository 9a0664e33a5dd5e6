//! What a client claims about a body: Content-MD5 and `x-amz-checksum-*`.
//!
//! Owns: reading the claims from headers and trailers; comparing them for documents, which are held
//! whole.
//! Leaves to others: computing them over objects (the domain).
//! Always: a claim that was announced and does not arrive is an error, never no claim.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use holdfast_protocol::{ChecksumKind, ChecksumType};
use http::HeaderMap;
use md5::Md5;
use s3s::TrailingHeaders;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::headers::get;
use super::values::{CHECKSUM_HEADERS, checksum_header, checksum_kind, digest};
use crate::error::GatewayError;
use crate::object::types::{BodyClaims, Claims};

/// A trailer that announces nothing: set where a client leaves `x-amz-trailer` out.
pub(super) const NO_TRAILER: &str = "x-holdfast-none";

/// The claims of a request.
pub(super) struct Claimed {
    /// The checksum to compute.
    pub kind: Option<ChecksumKind>,
    /// The claims, to be asked after the last byte.
    pub claims: Claims,
}

/// Reads the claims of headers, and of trailers once the body has passed.
///
/// # Errors
/// `InvalidDigest`, `InvalidRequest`, `NotImplemented` for what can be told before the body.
pub(super) fn claims(
    headers: &HeaderMap,
    trailers: Option<TrailingHeaders>,
) -> Result<Claimed, GatewayError> {
    let md5 = content_md5(headers)?;
    let in_header = header_checksum(headers)?;
    let announced = announced(headers)?;
    if in_header.is_some() && announced.is_some() {
        return invalid("Expecting a single x-amz-checksum- header or trailer");
    }
    let given = in_header.as_ref().map(|(kind, _)| *kind).or(announced);
    let asked = asked_kind(headers)?;
    if let (Some(given), Some(asked)) = (given, asked)
        && given != asked
    {
        return invalid("Value for x-amz-sdk-checksum-algorithm header is invalid.");
    }
    let claims = move || {
        let trailer = trailer_checksum(trailers.as_ref(), announced)?;
        Ok(BodyClaims {
            md5,
            checksum: in_header.or(trailer),
        })
    };
    Ok(Claimed {
        kind: given.or(asked),
        claims: Box::new(claims),
    })
}

/// Content-MD5 alone.
///
/// # Errors
/// `InvalidDigest`.
pub(super) fn md5_only(headers: &HeaderMap) -> Result<Claimed, GatewayError> {
    let md5 = content_md5(headers)?;
    let claims = move || {
        Ok(BodyClaims {
            md5,
            checksum: None,
        })
    };
    Ok(Claimed {
        kind: None,
        claims: Box::new(claims),
    })
}

/// The checksum of the whole object that a Complete names, if any.
pub(super) fn header_checksum(
    headers: &HeaderMap,
) -> Result<Option<(ChecksumKind, Vec<u8>)>, GatewayError> {
    const NOT_VALUES: [&str; 3] = [
        "x-amz-checksum-algorithm",
        "x-amz-checksum-type",
        "x-amz-checksum-mode",
    ];
    let mut found = None;
    for (name, value) in headers {
        let name = name.as_str();
        if !name.starts_with("x-amz-checksum-") || NOT_VALUES.contains(&name) {
            continue;
        }
        let Some(at) = CHECKSUM_HEADERS.iter().position(|known| *known == name) else {
            return Err(GatewayError::NotImplemented {
                what: name.to_owned(),
            });
        };
        let kind = ChecksumKind::ALL[at];
        // A composite checksum carries the number of parts behind a hyphen.
        let text = value.to_str().unwrap_or_default();
        let text = text.split_once('-').map_or(text, |(text, _)| text);
        let value = digest(kind, text).ok_or(GatewayError::InvalidDigest {
            what: checksum_header(kind),
        })?;
        if found.replace((kind, value)).is_some() {
            return invalid(
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not \
                 allowed.",
            );
        }
    }
    Ok(found)
}

fn content_md5(headers: &HeaderMap) -> Result<Option<[u8; 16]>, GatewayError> {
    let Some(value) = headers.get("content-md5") else {
        return Ok(None);
    };
    let decoded = STANDARD.decode(value.as_bytes()).ok();
    let md5 = decoded.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    md5.map(Some).ok_or(GatewayError::InvalidDigest {
        what: "Content-MD5",
    })
}

fn announced(headers: &HeaderMap) -> Result<Option<ChecksumKind>, GatewayError> {
    let mut found = None;
    for value in headers.get_all("x-amz-trailer") {
        let list = value.to_str().unwrap_or("?");
        for name in list.split(',').map(str::trim) {
            if name.is_empty() || name == NO_TRAILER {
                continue;
            }
            let at = CHECKSUM_HEADERS
                .iter()
                .position(|known| known.eq_ignore_ascii_case(name));
            let Some(at) = at else {
                return invalid("The value specified in the x-amz-trailer header is not supported");
            };
            if found.replace(ChecksumKind::ALL[at]).is_some() {
                return invalid("Expecting a single x-amz-checksum- trailer");
            }
        }
    }
    Ok(found)
}

/// `x-amz-sdk-checksum-algorithm`, or `x-amz-checksum-algorithm`.
pub(super) fn asked_kind(headers: &HeaderMap) -> Result<Option<ChecksumKind>, GatewayError> {
    for name in ["x-amz-sdk-checksum-algorithm", "x-amz-checksum-algorithm"] {
        if let Some(text) = get(headers, name) {
            return match checksum_kind(&text) {
                Some(kind) => Ok(Some(kind)),
                None => invalid(
                    "Checksum algorithm provided is unsupported. Please try again with any of \
                     the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
                ),
            };
        }
    }
    Ok(None)
}

/// `x-amz-checksum-type`.
pub(super) fn asked_type(headers: &HeaderMap) -> Result<Option<ChecksumType>, GatewayError> {
    match get(headers, "x-amz-checksum-type").as_deref() {
        None => Ok(None),
        Some("FULL_OBJECT") => Ok(Some(ChecksumType::FullObject)),
        Some("COMPOSITE") => Ok(Some(ChecksumType::Composite)),
        Some(_) => invalid("Value for x-amz-checksum-type header is invalid."),
    }
}

fn trailer_checksum(
    trailers: Option<&TrailingHeaders>,
    announced: Option<ChecksumKind>,
) -> Result<Option<(ChecksumKind, Vec<u8>)>, GatewayError> {
    let map = trailers.and_then(TrailingHeaders::take).unwrap_or_default();
    for (at, name) in CHECKSUM_HEADERS.iter().enumerate() {
        let kind = ChecksumKind::ALL[at];
        if map.contains_key(*name) && announced != Some(kind) {
            return invalid("The trailer has a checksum that x-amz-trailer does not announce");
        }
    }
    let Some(kind) = announced else {
        return Ok(None);
    };
    let name = checksum_header(kind);
    let mut values = map.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return invalid("The request contained trailing data that was not well-formed");
    };
    let text = value.to_str().unwrap_or_default();
    let value = digest(kind, text).ok_or(GatewayError::InvalidDigest { what: name })?;
    Ok(Some((kind, value)))
}

/// Compares a document, which is held whole, with what is claimed about it.
///
/// # Errors
/// `BadDigest`, and what the claims themselves give.
pub(super) fn verify_document(claimed: Claimed, document: &Bytes) -> Result<(), GatewayError> {
    let claims = (claimed.claims)()?;
    if let Some(md5) = claims.md5
        && md5[..] != Md5::digest(document)[..]
    {
        return Err(GatewayError::BadDigest {
            what: "Content-MD5",
        });
    }
    if let Some((kind, expected)) = claims.checksum
        && compute(kind, document) != expected
    {
        return Err(GatewayError::BadDigest {
            what: checksum_header(kind),
        });
    }
    Ok(())
}

pub(super) fn compute(kind: ChecksumKind, bytes: &[u8]) -> Vec<u8> {
    use crc_fast::CrcAlgorithm as Crc;
    let crc = |algorithm, len: usize| {
        let value = crc_fast::checksum(algorithm, bytes).to_be_bytes();
        value[value.len() - len..].to_vec()
    };
    match kind {
        ChecksumKind::Crc32 => crc(Crc::Crc32IsoHdlc, 4),
        ChecksumKind::Crc32c => crc(Crc::Crc32Iscsi, 4),
        ChecksumKind::Crc64Nvme => crc(Crc::Crc64Nvme, 8),
        ChecksumKind::Sha1 => Sha1::digest(bytes).to_vec(),
        ChecksumKind::Sha256 => Sha256::digest(bytes).to_vec(),
    }
}

fn invalid<T>(why: &str) -> Result<T, GatewayError> {
    Err(GatewayError::InvalidRequest {
        why: why.to_owned(),
    })
}
