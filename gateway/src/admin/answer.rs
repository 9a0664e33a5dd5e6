//! Answers: JSON, text, and errors as JSON.
//!
//! Owns: status codes and bodies.
//! Leaves to others: what went wrong.
//! Always: an error is `{"error": CODE, "message": TEXT}`; answers are not cached and not sniffed.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::GatewayError;
use crate::http::ResponseBody;

/// An answer with a body of `kind`.
pub fn with(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<Bytes>,
) -> Response<ResponseBody> {
    let body = Full::new(body.into()).map_err(|never| match never {});
    let mut answer = Response::new(body.boxed_unsync());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// A JSON answer.
pub fn json(status: StatusCode, value: &Value) -> Response<ResponseBody> {
    with(status, "application/json", value.to_string() + "\n")
}

/// An error.
pub fn error(status: StatusCode, code: &str, message: &str) -> Response<ResponseBody> {
    json(status, &json!({ "error": code, "message": message }))
}

/// What an operation gave.
pub fn of(outcome: Result<Value, GatewayError>) -> Response<ResponseBody> {
    match outcome {
        Ok(value) => json(StatusCode::OK, &value),
        Err(failed) => {
            let (status, code) = code(&failed);
            if status == StatusCode::INTERNAL_SERVER_ERROR {
                tracing::error!(error = %chain(&failed), "admin request failed");
                return error(status, code, "internal error; the log says more");
            }
            error(status, code, &chain(&failed))
        }
    }
}

fn code(error: &GatewayError) -> (StatusCode, &'static str) {
    match error {
        GatewayError::InvalidArgument { .. } => (StatusCode::BAD_REQUEST, "invalid_argument"),
        GatewayError::InvalidRequest { .. } => (StatusCode::CONFLICT, "conflict"),
        GatewayError::AccessDenied { .. } => (StatusCode::FORBIDDEN, "denied"),
        GatewayError::NoSuchBucket { .. }
        | GatewayError::NoSuchKey { .. }
        | GatewayError::NoSuchEntity { .. } => (StatusCode::NOT_FOUND, "not_found"),
        GatewayError::NotImplemented { .. } => (StatusCode::NOT_IMPLEMENTED, "not_implemented"),
        GatewayError::Busy { .. } | GatewayError::Unavailable { .. } | GatewayError::Store(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
        }
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
