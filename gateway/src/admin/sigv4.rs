//! Verifying signatures of admin requests (AWS Signature Version 4, by header).
//!
//! Owns: the canonical form of a request and its signature.
//! Leaves to others: reading the claim ([`crate::auth::scheme`]), deciding ([`super::access`]).
//! Always: host, and every `x-amz-*` header that is there, must be signed; the body is compared
//! with the digest that was signed; the time lies within [`super::access::SKEW_MAX`].
//! Source: AWS General Reference, "Create a signed AWS API request".

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::access::{Access, Denied, SKEW_MAX};
use crate::auth::Secret;
use crate::auth::scheme::{self, Claim};
use crate::http::Query;

const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// What stays as it is in a canonical query: letters, digits and `-._~`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The same and the slash, in a canonical path.
const ENCODED_PATH: &AsciiSet = &ENCODED.remove(b'/');

/// Checks that the request is signed with a key that `access` knows.
///
/// # Errors
/// The reason why not.
pub fn verify(access: &Access, head: &Parts, body: &[u8], now: SystemTime) -> Result<(), Denied> {
    let malformed = |error: crate::http::Refusal| Denied::Malformed(error.to_string());
    let query = Query::parse(head.uri.query()).map_err(malformed)?;
    let claim = scheme::claim(&head.headers, &query).map_err(malformed)?;
    let claim = claim.ok_or(Denied::Anonymous)?;
    if claim.presigned {
        return Err(Denied::Malformed("sign by header, not by query".to_owned()));
    }
    check_signed_headers(&claim, &head.headers)?;
    let stamp = text(&head.headers, "x-amz-date")?;
    check_time(stamp, &claim, now)?;
    // An unknown key is compared too, with a secret that nobody has: the time tells nothing.
    let found = access.credentials.find(&claim.access_key);
    let known = found.as_ref().is_some_and(|(_, who)| who.is_admin);
    let secret = found.map(|(secret, _)| secret);
    let expected = expected(secret.as_ref(), head, &query, body, &claim)?;
    let given = given_signature(&head.headers)?;
    let same = bool::from(expected.as_bytes().ct_eq(given.as_bytes()));
    if !(same && known) {
        return Err(Denied::Wrong);
    }
    if claim.region != access.region {
        return Err(Denied::Region {
            given: claim.region,
            expected: access.region.clone(),
        });
    }
    Ok(())
}

/// The signature that the request must have, by the secret of the key that it names.
pub(super) fn expected(
    secret: Option<&Secret>,
    head: &Parts,
    query: &Query,
    body: &[u8],
    claim: &Claim,
) -> Result<String, Denied> {
    let stamp = text(&head.headers, "x-amz-date")?;
    let payload = check_body(&head.headers, body)?;
    let canonical = canonical_request(head, query, claim, &payload)?;
    let secret = secret.map_or("unknown", Secret::expose);
    Ok(signature(secret, stamp, claim, &canonical))
}

fn check_signed_headers(claim: &Claim, headers: &HeaderMap) -> Result<(), Denied> {
    let signed = |name: &str| claim.signed_headers.iter().any(|signed| signed == name);
    if !signed("host") {
        return Err(Denied::Malformed("host must be signed".to_owned()));
    }
    let open = headers.keys().map(http::HeaderName::as_str).find(|name| {
        name.starts_with("x-amz-") && *name != "x-amz-content-sha256" && !signed(name)
    });
    if let Some(name) = open {
        return Err(Denied::Malformed(format!("{name} must be signed")));
    }
    match claim
        .signed_headers
        .iter()
        .find(|name| !headers.contains_key(name.as_str()))
    {
        Some(name) => Err(Denied::Malformed(format!("{name} is signed but not there"))),
        None => Ok(()),
    }
}

fn check_time(stamp: &str, claim: &Claim, now: SystemTime) -> Result<(), Denied> {
    let seconds = unix_seconds(stamp)
        .ok_or_else(|| Denied::Malformed("x-amz-date must be yyyyMMddTHHmmssZ".to_owned()))?;
    if !stamp.starts_with(&claim.date) {
        return Err(Denied::Malformed(
            "x-amz-date and the scope differ".to_owned(),
        ));
    }
    let signed = UNIX_EPOCH + Duration::from_secs(seconds);
    let skew = match now.duration_since(signed) {
        Ok(age) => age,
        Err(early) => early.duration(),
    };
    match skew <= SKEW_MAX {
        true => Ok(()),
        false => Err(Denied::Skewed),
    }
}

/// Seconds since 1970 of `yyyyMMddTHHmmssZ`; `None` for anything else.
pub(crate) fn unix_seconds(stamp: &str) -> Option<u64> {
    let bytes = stamp.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<u64> {
        let digits = stamp.get(from..to)?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    let valid = (1970..10_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    if !valid {
        return None;
    }
    // Days since 1970 by the civil calendar (Hinnant, "chrono-compatible low-level date
    // algorithms").
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (shifted / 400, shifted % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.saturating_sub(1);
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    let days = days.checked_sub(719_468)?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// The digest that goes into the canonical request.
fn check_body(headers: &HeaderMap, body: &[u8]) -> Result<String, Denied> {
    let digest = hex::encode(Sha256::digest(body));
    match headers
        .get("x-amz-content-sha256")
        .map(|value| value.as_bytes())
    {
        None => Ok(digest),
        Some(value) if value == UNSIGNED.as_bytes() => Ok(UNSIGNED.to_owned()),
        Some(value) if value == digest.as_bytes() => Ok(digest),
        Some(_) => Err(Denied::Body),
    }
}

fn canonical_request(
    head: &Parts,
    query: &Query,
    claim: &Claim,
    payload: &str,
) -> Result<String, Denied> {
    let path: Vec<u8> = percent_decode_str(head.uri.path()).collect();
    let path = std::str::from_utf8(&path)
        .map_err(|_| Denied::Malformed("the path is not UTF-8".to_owned()))?;
    let mut canonical = format!(
        "{}\n{}\n{}\n",
        head.method,
        utf8_percent_encode(path, ENCODED_PATH),
        canonical_query(query),
    );
    for name in &claim.signed_headers {
        canonical.push_str(name);
        canonical.push(':');
        canonical.push_str(&joined(&head.headers, name)?);
        canonical.push('\n');
    }
    canonical.push('\n');
    canonical.push_str(&claim.signed_headers.join(";"));
    canonical.push('\n');
    canonical.push_str(payload);
    Ok(canonical)
}

/// From the parameters as handlers are given them, so that nothing else than what was signed can be
/// read into a query (`+` is a space there).
fn canonical_query(query: &Query) -> String {
    let encode = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
    let pairs = query.pairs();
    let mut pairs: Vec<_> = pairs.map(|(n, v)| (encode(n), encode(v))).collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs.iter().map(|(n, v)| format!("{n}={v}")).collect();
    pairs.join("&")
}

/// All values of a header, spaces folded.
fn joined(headers: &HeaderMap, name: &str) -> Result<String, Denied> {
    let mut values = Vec::new();
    for value in headers.get_all(name) {
        let value = value
            .to_str()
            .map_err(|_| Denied::Malformed(format!("{name} is not printable ASCII")))?;
        values.push(value.split_ascii_whitespace().collect::<Vec<_>>().join(" "));
    }
    Ok(values.join(","))
}

fn signature(secret: &str, stamp: &str, claim: &Claim, canonical: &str) -> String {
    let scope = format!("{}/{}/s3/aws4_request", claim.date, claim.region);
    let digest = hex::encode(Sha256::digest(canonical.as_bytes()));
    let text = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}");
    let key = mac(format!("AWS4{secret}").as_bytes(), claim.date.as_bytes());
    let key = mac(&key, claim.region.as_bytes());
    let key = mac(&mac(&key, b"s3"), b"aws4_request");
    hex::encode(mac(&key, text.as_bytes()))
}

pub(crate) fn mac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

fn given_signature(headers: &HeaderMap) -> Result<&str, Denied> {
    let header = text(headers, AUTHORIZATION.as_str())?;
    let found = header
        .split(',')
        .find_map(|field| field.trim().strip_prefix("Signature="));
    found.ok_or_else(|| Denied::Malformed("it lacks Signature".to_owned()))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Denied> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.ok_or_else(|| Denied::Malformed(format!("{name} is missing")))
}

#[cfg(test)]
mod tests {
    use super::unix_seconds;

    #[test]
    fn stamps_become_seconds() {
        assert_eq!(unix_seconds("19700101T000000Z"), Some(0));
        assert_eq!(unix_seconds("20240229T235959Z"), Some(1_709_251_199));
        assert_eq!(unix_seconds("20261120T172200Z"), Some(1_795_195_320));
        for bad in [
            "",
            "20261120T172200",
            "20261320T172200Z",
            "00000111T000000Z",
            "20260011T000000Z",
            "2026-11-20T17:22Z",
            "+0261120T172200Z",
        ] {
            assert_eq!(unix_seconds(bad), None, "{bad}");
        }
    }
}
