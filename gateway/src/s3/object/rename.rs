//! RenameObject, of which the S3 library knows nothing.
//!
//! Owns: its headers; the rights that it needs on the object that is renamed.
//! Leaves to others: signature, and the right to write the new key ([`crate::s3::prepare`]); what
//! it does ([`crate::object`]).
//! Always: a header of S3's that it does not apply is refused, as is a body; whether there is such
//! an object is told only to those who may list.

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;
use s3s::{S3Result, TrailingHeaders};

use super::names;
use crate::auth::Action;
use crate::error::GatewayError;
use crate::names::ObjectKey;
use crate::object::types::RenameObject;
use crate::s3::asking::Asking;
use crate::s3::claims::{claims, verify_document};
use crate::s3::gate::Rights;
use crate::s3::headers;

/// The header that names the object.
pub(crate) const SOURCE: &str = "x-amz-rename-source";
const TOKEN: &str = "x-amz-client-token";
const TOKEN_LEN_MAX: usize = 64;

/// Headers that it applies, and those of any request.
const KNOWN: [&str; 18] = [
    SOURCE,
    "x-amz-rename-source-if-match",
    "x-amz-rename-source-if-none-match",
    "x-amz-rename-source-if-modified-since",
    "x-amz-rename-source-if-unmodified-since",
    TOKEN,
    "x-amz-expected-bucket-owner",
    "x-amz-request-payer",
    "x-amz-user-agent",
    "x-amz-content-sha256",
    "x-amz-decoded-content-length",
    "x-amz-trailer",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signature",
    "x-amz-signedheaders",
];

/// Renames an object as a verified request that may write the new key says.
pub(crate) async fn rename(
    rights: &Rights,
    asking: &Asking,
    headers: &HeaderMap,
    (body, trailers): (&Bytes, Option<TrailingHeaders>),
) -> S3Result<()> {
    refuse_unknown(headers)?;
    verify_document(claims(headers, trailers)?, body)?;
    if !body.is_empty() {
        let why = "A rename has no body.".to_owned();
        return Err(GatewayError::InvalidRequest { why }.into());
    }
    let named = (asking.bucket.as_deref(), asking.key.as_deref());
    let (bucket, key) = (named.0.unwrap_or_default(), named.1.unwrap_or_default());
    let (bucket, key) = names(bucket, key)?;
    rights
        .check_owner(asking.operation, headers, Some(bucket.as_str()))
        .await?;
    let from = source(headers)?;
    for action in [Action::GetObject, Action::DeleteObject] {
        let named = (&bucket, &from);
        if !rights.may_read(asking, named, None, action).await? {
            return Err(GatewayError::NotAllowed.into());
        }
    }
    let rename = RenameObject {
        bucket: bucket.clone(),
        from: from.clone(),
        key,
        source_conditions: headers::renamed_conditions(headers),
        conditions: headers::read_conditions(headers),
        token: token(headers)?,
        by: asking.by.clone(),
    };
    match rights.objects.rename(rename).await {
        Ok(()) => Ok(()),
        Err(failure) => {
            let named = (bucket.as_str(), from.as_str());
            Err(rights.hide(asking, named, failure.into()).await)
        }
    }
}

fn refuse_unknown(headers: &HeaderMap) -> Result<(), GatewayError> {
    for name in headers.keys().map(HeaderName::as_str) {
        let is_claim =
            name.starts_with("x-amz-checksum-") || name == "x-amz-sdk-checksum-algorithm";
        if name.starts_with("x-amz-") && !is_claim && !KNOWN.contains(&name) {
            return Err(GatewayError::NotImplemented {
                what: format!("a rename with {name}"),
            });
        }
    }
    Ok(())
}

/// The object's key: a slash before it is no part of it.
fn source(headers: &HeaderMap) -> Result<ObjectKey, GatewayError> {
    let invalid = |why: &str| GatewayError::InvalidArgument {
        name: SOURCE,
        why: why.to_owned(),
    };
    let mut given = headers.get_all(SOURCE).iter();
    let text = match (given.next(), given.next()) {
        (Some(value), None) => headers::text(value),
        (None, _) => return Err(invalid("it is required")),
        (Some(_), Some(_)) => return Err(invalid("it is given twice")),
    };
    let text = text.strip_prefix('/').unwrap_or(&text);
    let key = percent_decode_str(text).decode_utf8();
    let key = key.map_err(|_| invalid("it is no key, percent-encoded"))?;
    match key.is_empty() {
        true => Err(invalid("it names no key")),
        false => ObjectKey::parse(&key),
    }
}

/// What names the request, if something does.
fn token(headers: &HeaderMap) -> Result<Option<String>, GatewayError> {
    let mut given = headers.get_all(TOKEN).iter();
    let Some(value) = given.next() else {
        return Ok(None);
    };
    let text = headers::text(value);
    let is_fit = text.bytes().all(|c| (33..=126).contains(&c));
    match is_fit && (1..=TOKEN_LEN_MAX).contains(&text.len()) && given.next().is_none() {
        true => Ok(Some(text)),
        false => Err(GatewayError::InvalidArgument {
            name: TOKEN,
            why: format!("it has 1 to {TOKEN_LEN_MAX} characters from ! to ~"),
        }),
    }
}

/// Whether a header is about the source of a rename, and of nothing else.
pub(crate) fn is_about_source(name: &str) -> bool {
    name.starts_with(SOURCE)
}
