//! What a signature has to cover before anything of the request is acted on.
//!
//! Owns: signed headers, region, session tokens, the payload's declared hash.
//! Leaves to others: the signature itself, skew and expiry (`s3`).
//! Always: no `x-amz-*` header that changes the operation is believed unless it is signed.

use http::HeaderMap;

use super::scheme::Claim;
use crate::http::{Query, Refusal};

/// Headers that may arrive unsigned: what they say is bound by the payload hash or verified against
/// the body itself.
const UNSIGNED: [&str; 5] = [
    "x-amz-content-sha256",
    "x-amz-decoded-content-length",
    "x-amz-trailer",
    "x-amz-checksum-algorithm",
    "x-amz-sdk-checksum-algorithm",
];

/// Forms of `x-amz-content-sha256` other than 64 hexadecimal digits.
const PAYLOADS: [&str; 4] = [
    "UNSIGNED-PAYLOAD",
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
];

/// Checks all that can be checked without the secret.
///
/// # Errors
/// The [`Refusal`] of the first rule that is broken.
pub fn check(
    claim: Option<&Claim>,
    headers: &HeaderMap,
    query: &Query,
    region: &str,
) -> Result<(), Refusal> {
    // Temporary keys do not exist yet, so no token can be bound to one.
    let token = "x-amz-security-token";
    if headers.contains_key(token) || query.pairs().any(|(k, _)| k.eq_ignore_ascii_case(token)) {
        return Err(Refusal::SecurityToken);
    }
    check_payload(headers)?;
    let Some(claim) = claim else {
        return Ok(());
    };
    if claim.region != region {
        return Err(Refusal::WrongRegion {
            given: claim.region.clone(),
            expected: region.to_owned(),
            presigned: claim.presigned,
        });
    }
    if !claim.signed_headers.iter().any(|name| name == "host") {
        return Err(Refusal::HostNotSigned);
    }
    for name in &claim.signed_headers {
        if !headers.contains_key(name) {
            return Err(Refusal::SignedHeaderMissing { name: name.clone() });
        }
    }
    for name in headers.keys().map(http::HeaderName::as_str) {
        let matters = name.starts_with("x-amz-") && !UNSIGNED.contains(&name);
        if matters && !claim.signed_headers.iter().any(|signed| signed == name) {
            return Err(Refusal::UnsignedHeader {
                name: name.to_owned(),
            });
        }
    }
    Ok(())
}

fn check_payload(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut values = headers.get_all("x-amz-content-sha256").iter();
    let Some(value) = values.next() else {
        return Ok(());
    };
    let known = value.to_str().is_ok_and(|text| {
        PAYLOADS.contains(&text)
            || (text.len() == 64 && text.bytes().all(|c| c.is_ascii_hexdigit()))
    });
    if text_is_ecdsa(value) {
        return Err(Refusal::Unsupported {
            what: "AWS4-ECDSA-P256-SHA256".to_owned(),
        });
    }
    match known && values.next().is_none() {
        true => Ok(()),
        false => Err(Refusal::BadContentSha256),
    }
}

fn text_is_ecdsa(value: &http::HeaderValue) -> bool {
    value.as_bytes().starts_with(b"STREAMING-AWS4-ECDSA-")
}
