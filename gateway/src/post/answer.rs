//! The answer to a form whose file is stored.
//!
//! Owns: where a browser is sent, and what a script is told.
//! Leaves to others: errors, and headers that every answer has (`s3`).
//! Always: a browser is sent to a whole `http` or `https` address or nowhere; the status is one of
//! 200, 201, 204 and 303.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, LOCATION};
use http::uri::Scheme;
use http::{HeaderValue, Response, StatusCode, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Fields;
use crate::s3::escape;

/// What stays as it is in a query: letters, digits and `-._~`.
pub(crate) const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What was stored.
#[derive(Clone, Copy, Debug)]
pub struct Posted<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The key.
    pub key: &'a str,
    /// The entity tag, without quotes.
    pub etag: &'a str,
    /// Where it is, if that can be told.
    pub location: Option<&'a str>,
}

/// The answer that the form asks for.
pub fn answer(fields: &Fields, posted: &Posted<'_>) -> Response<Bytes> {
    let redirect = fields
        .get("success_action_redirect")
        .or_else(|| fields.get("redirect"))
        .and_then(|to| redirect(to, posted));
    let status = match (&redirect, fields.get("success_action_status")) {
        (Some(_), _) => StatusCode::SEE_OTHER,
        (None, Some("200")) => StatusCode::OK,
        (None, Some("201")) => StatusCode::CREATED,
        (None, _) => StatusCode::NO_CONTENT,
    };
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    if let Ok(etag) = HeaderValue::try_from(format!("\"{}\"", posted.etag)) {
        headers.insert(ETAG, etag);
    }
    let own = || HeaderValue::from_str(posted.location?).ok();
    if let Some(location) = redirect.or_else(own) {
        headers.insert(LOCATION, location);
    }
    if status == StatusCode::CREATED {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        *answer.body_mut() = Bytes::from(document(posted));
    }
    answer
}

fn document(posted: &Posted<'_>) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse><Location>{}</Location>\
         <Bucket>{}</Bucket><Key>{}</Key><ETag>{}</ETag></PostResponse>",
        escape(posted.location.unwrap_or_default()),
        escape(posted.bucket),
        escape(posted.key),
        escape(&format!("\"{}\"", posted.etag)),
    )
}

/// The address to go to, with what was stored in its query; `None` if it is not a whole address.
fn redirect(to: &str, posted: &Posted<'_>) -> Option<HeaderValue> {
    let (base, fragment) = match to.split_once('#') {
        Some((base, fragment)) => (base, Some(fragment)),
        None => (to, None),
    };
    let uri: Uri = base.parse().ok()?;
    let known = [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)];
    if !known.contains(&uri.scheme()) || uri.host().is_none_or(str::is_empty) {
        return None;
    }
    let mark = if base.contains('?') { '&' } else { '?' };
    let encode = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
    let mut text = format!(
        "{base}{mark}bucket={}&key={}&etag=%22{}%22",
        encode(posted.bucket),
        encode(posted.key),
        encode(posted.etag),
    );
    if let Some(fragment) = fragment {
        text.push('#');
        text.push_str(fragment);
    }
    HeaderValue::try_from(text).ok()
}
