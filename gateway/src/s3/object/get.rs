//! GetObject.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, EXPIRES,
};
use s3s::dto::{GetObjectInput, GetObjectOutput, StreamingBlob};
use s3s::{S3Request, S3Response, S3Result};

use super::{describe, keep_to_oneself, names, overrides, part, version, wants_checksum};
use crate::error::GatewayError;
use crate::object::types::{GetObject, ReadStream};
use crate::s3::prepare::Prepared;
use crate::s3::values::{from_timestamp, http_date};
use crate::s3::{Gateway, headers};

pub(crate) async fn get(
    gateway: &Gateway,
    request: S3Request<GetObjectInput>,
) -> S3Result<S3Response<GetObjectOutput>> {
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
    let get = GetObject {
        bucket,
        key,
        version,
        range,
        part,
        conditions: headers::read_conditions(&prepared.headers),
    };
    let read = gateway.objects.get(get).await?;
    let sent = read.partial.then_some(read.range);
    let mut headers = describe(&read.info, sent, wants_checksum(&prepared.headers));
    keep_to_oneself(gateway, &prepared, &mut headers).await?;
    headers.extend(overrides);
    let output = GetObjectOutput {
        body: Some(StreamingBlob::wrap(Sending(Mutex::new(read.stream)))),
        // Says 206; the header itself is among the others.
        content_range: sent.filter(|sent| !sent.is_empty()).map(|_| String::new()),
        ..GetObjectOutput::default()
    };
    Ok(S3Response::with_headers(output, headers))
}

pub(super) fn both() -> GatewayError {
    GatewayError::InvalidRequest {
        why: "Cannot specify both Range header and partNumber query parameter".to_owned(),
    }
}

/// The library wants a stream that may be shared, which it never does.
struct Sending(Mutex<ReadStream>);

impl Stream for Sending {
    type Item = Result<Bytes, GatewayError>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, GatewayError>>> {
        let stream = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        stream.as_mut().poll_next(cx)
    }
}
