//! From the library's body to the domain's.
//!
//! Owns: what went wrong with a body, told apart.
//! Leaves to others: reading it and comparing the claims (the domain).
//! Always: bytes are passed on as they come, without a copy.

use futures::StreamExt;
use s3s::StdError;
use s3s::dto::StreamingBlob;

use super::claims::claims;
use super::headers::get;
use super::prepare::Prepared;
use crate::error::{BodyError, GatewayError};
use crate::http::BodyHandle;
use crate::object::types::{BodyStream, Incoming};

/// The body of a write.
///
/// # Errors
/// What can be told from the headers: see [`claims`].
pub(super) fn incoming(
    prepared: &Prepared,
    blob: Option<StreamingBlob>,
) -> Result<Incoming, GatewayError> {
    let claimed = claims(&prepared.headers, prepared.trailers.clone())?;
    let streaming = get(&prepared.headers, "x-amz-content-sha256")
        .is_some_and(|kind| kind.starts_with("STREAMING-"));
    let len = match streaming {
        true => get(&prepared.headers, "x-amz-decoded-content-length"),
        false => get(&prepared.headers, "content-length"),
    };
    let len = len.and_then(|text| text.parse().ok());
    let handle = prepared.handle.clone();
    let stream: BodyStream = match blob {
        Some(blob) => {
            Box::pin(blob.map(move |item| item.map_err(|error| body_error(&handle, error))))
        }
        None => Box::pin(futures::stream::empty()),
    };
    Ok(Incoming {
        stream,
        len,
        checksum: claimed.kind,
        claims: claimed.claims,
    })
}

/// What went wrong with a body. The library's own types are private: they are known by their text.
pub(super) fn body_error(handle: &BodyHandle, error: StdError) -> BodyError {
    if let Some(fault) = handle.take_fault() {
        return fault;
    }
    let error = match error.downcast::<BodyError>() {
        Ok(own) => return *own,
        Err(error) => error,
    };
    let text = error.to_string();
    if text.ends_with("SignatureMismatch") {
        return BodyError::Signature("a chunk or the trailer".to_owned());
    }
    if text.ends_with("Sha256Mismatch") {
        return BodyError::ContentSha256;
    }
    BodyError::Malformed("the framing of the body is not well-formed".to_owned())
}
