//! HeadObject.

use holdfast_protocol::ByteRange;
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, EXPIRES,
};
use s3s::dto::{HeadObjectInput, HeadObjectOutput};
use s3s::{S3Request, S3Response, S3Result};

use super::get::both;
use super::{describe, keep_to_oneself, names, overrides, part, version, wants_checksum};
use crate::error::GatewayError;
use crate::object::types::RangeSpec;
use crate::s3::prepare::Prepared;
use crate::s3::values::{from_timestamp, http_date};
use crate::s3::{Gateway, headers};

pub(crate) async fn head(
    gateway: &Gateway,
    request: S3Request<HeadObjectInput>,
) -> S3Result<S3Response<HeadObjectOutput>> {
    let prepared = Prepared::of(&request)?;
    let input = request.input;
    let (bucket, key) = names(&input.bucket, &input.key)?;
    let version = version(input.version_id.as_deref())?;
    let expires = input.response_expires.as_ref().and_then(from_timestamp);
    let expires = expires.map(http_date);
    let overrides = overrides(&[
        (CACHE_CONTROL, input.response_cache_control.as_deref()),
        (
            CONTENT_DISPOSITION,
            input.response_content_disposition.as_deref(),
        ),
        (CONTENT_ENCODING, input.response_content_encoding.as_deref()),
        (CONTENT_LANGUAGE, input.response_content_language.as_deref()),
        (CONTENT_TYPE, input.response_content_type.as_deref()),
        (EXPIRES, expires.as_deref()),
    ])?;
    if !overrides.is_empty() {
        prepared.signed()?;
    }
    let (range, part) = (headers::range(&prepared.headers), part(input.part_number)?);
    if range.is_some() && part.is_some() {
        return Err(both().into());
    }
    let conditions = headers::read_conditions(&prepared.headers);
    let info = gateway
        .objects
        .head(&bucket, &key, version, part, &conditions)
        .await?;
    let sent = match range {
        Some(range) => Some(resolve(range, info.len)?),
        None => info.part_range.filter(|_| part.is_some() && info.len > 0),
    };
    let mut headers = describe(&info, sent, wants_checksum(&prepared.headers));
    keep_to_oneself(gateway, &prepared, &mut headers).await?;
    headers.extend(overrides);
    Ok(S3Response::with_headers(
        HeadObjectOutput::default(),
        headers,
    ))
}

/// The bytes that a range covers.
fn resolve(range: RangeSpec, len: u64) -> Result<ByteRange, GatewayError> {
    let (start, end) = match range {
        RangeSpec::From { first, last } => (
            first,
            last.map_or(len, |last| last.saturating_add(1).min(len)),
        ),
        RangeSpec::Suffix(suffix) => (len.saturating_sub(suffix), len),
    };
    match start < end {
        true => Ok(ByteRange { start, end }),
        false => Err(GatewayError::InvalidRange { len }),
    }
}
