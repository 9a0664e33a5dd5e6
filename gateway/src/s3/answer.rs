//! What every answer has, whichever layer made it.
//!
//! Owns: ids, the missing parts of errors, answers that must not have a body, counting bytes out.
//! Leaves to others: codes and texts (`error`).
//! Always: HEAD, 204 and 304 carry no body; every S3 answer carries `x-amz-request-id`.

use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, SERVER};
use http::{HeaderValue, Method, Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use s3s::Body;

use super::error::default_message;
use super::listing::put_in_order;
use super::values::escape;
use crate::http::{BodyHandle, ResponseBody};
use crate::logging::{AccessLog, Entry, Record};
use crate::metrics::S3Metrics;

/// The ids of one request.
pub(super) struct Ids {
    /// `x-amz-request-id`.
    pub request: String,
    /// `x-amz-id-2`.
    pub host: String,
}

/// Makes ids: unique within the process, and across processes as far as 64 random bits go.
pub(super) struct IdSource {
    seed: u64,
    next: AtomicU64,
}

impl IdSource {
    pub fn new() -> Self {
        Self {
            seed: RandomState::new().hash_one("request"),
            next: AtomicU64::new(0),
        }
    }
    pub fn next(&self) -> Ids {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        // A bijection of the counter (SplitMix64), so that ids neither repeat nor look like a
        // sequence.
        let mut z = self
            .seed
            .wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        Ids {
            request: format!("{z:016X}"),
            host: STANDARD.encode(z.to_le_bytes()),
        }
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const ID_2: HeaderName = HeaderName::from_static("x-amz-id-2");

/// Marks a document in which the entity tag has no quotes; the library always writes them.
#[derive(Clone, Copy, Debug)]
pub(super) struct BareETag;

/// An error of a website, to be shown as a page.
#[derive(Clone, Debug)]
pub(super) struct HtmlError {
    /// S3's code.
    pub code: String,
    /// What is the matter.
    pub message: String,
    /// The page that was to be shown instead, and code and message of why it is not.
    pub second: Option<(String, String, String)>,
}

/// Completes an answer.
pub(super) fn finish(answer: &mut Response<Body>, method: &Method, path: &str, ids: &Ids) {
    let status = answer.status();
    if let Some(page) = answer.extensions_mut().remove::<HtmlError>() {
        answer.headers_mut().remove(CONTENT_LENGTH);
        *answer.body_mut() = Body::from(html(&page, status, ids));
    } else if status.is_client_error() || status.is_server_error() {
        complete_error(answer, path, ids);
    }
    if answer.extensions_mut().remove::<BareETag>().is_some() {
        bare_etag(answer);
    }
    put_in_order(answer);
    // The library knows no 206 for HEAD.
    let ranged = answer.headers().contains_key(CONTENT_RANGE);
    if *method == Method::HEAD && status == StatusCode::OK && ranged {
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let head_error = *method == Method::HEAD && !status.is_success();
    if bodiless || head_error {
        *answer.body_mut() = Body::empty();
        answer.headers_mut().remove(CONTENT_LENGTH);
        answer.headers_mut().remove(CONTENT_TYPE);
    }
    let headers = answer.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&ids.request) {
        headers.insert(REQUEST_ID, id);
    }
    if let Ok(id) = HeaderValue::from_str(&ids.host) {
        headers.insert(ID_2, id);
    }
    headers.insert(SERVER, HeaderValue::from_static("Holdfast"));
}

fn bare_etag(answer: &mut Response<Body>) {
    let document = answer.body().bytes();
    let Some(text) = document
        .as_deref()
        .and_then(|bytes| str::from_utf8(bytes).ok())
    else {
        return;
    };
    let bare = text
        .replacen("<ETag>\"", "<ETag>", 1)
        .replacen("\"</ETag>", "</ETag>", 1);
    answer.headers_mut().remove(CONTENT_LENGTH);
    *answer.body_mut() = Body::from(bare);
}

fn html(page: &HtmlError, status: StatusCode, ids: &Ids) -> String {
    let item = |name: &str, text: &str| format!("<li>{name}: {}</li>\n", escape(text));
    let title = escape(&status.to_string());
    let mut text = format!(
        "<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n<ul>\n{}{}{}{}",
        item("Code", &page.code),
        item("Message", &page.message),
        item("RequestId", &ids.request),
        item("HostId", &ids.host),
    );
    text.push_str("</ul>\n");
    if let Some((key, code, message)) = &page.second {
        text.push_str(
            "<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>\n\
             <ul>\n",
        );
        text.push_str(&item("Code", code));
        text.push_str(&item("Message", message));
        text.push_str(&item("Key", key));
        text.push_str("</ul>\n");
    }
    text.push_str("<hr/>\n</body>\n</html>\n");
    text
}

/// Adds what the library leaves out of an error document.
fn complete_error(answer: &mut Response<Body>, path: &str, ids: &Ids) {
    let xml = answer
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes() == b"application/xml");
    let Some(document) = answer.body().bytes().filter(|_| xml) else {
        return;
    };
    const END: &[u8] = b"</Error>";
    let Some(head) = document.strip_suffix(END) else {
        return;
    };
    let told = head.windows(9).any(|window| window == b"<Message>");
    let message = match told {
        true => String::new(),
        false => format!("<Message>{}</Message>", escape(default_message(head))),
    };
    let mut text = Vec::with_capacity(document.len() + path.len() + 256);
    text.extend_from_slice(head);
    let more = format!(
        "{message}<Resource>{}</Resource><RequestId>{}</RequestId><HostId>{}</HostId>",
        escape(path),
        ids.request,
        ids.host
    );
    text.extend_from_slice(more.as_bytes());
    text.extend_from_slice(END);
    answer.headers_mut().remove(CONTENT_LENGTH);
    *answer.body_mut() = Body::from(text);
}

/// An answer that is not S3.
pub(super) fn plain(status: StatusCode, text: String, method: &Method) -> Response<ResponseBody> {
    let len = text.len();
    let bytes = match *method == Method::HEAD {
        true => Bytes::new(),
        false => Bytes::from(text),
    };
    let body = Full::new(bytes).map_err(|never| match never {});
    let mut answer = Response::new(body.boxed_unsync());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(len));
    answer
}

/// Counts a request from its head to the last byte of its answer.
pub(super) struct Measured {
    /// The operation, once known.
    pub op: &'static str,
    metrics: S3Metrics,
    started: Instant,
    sent: u64,
    handle: Option<BodyHandle>,
    /// What goes into the bucket's access log, if it has one.
    record: Option<(Record, AccessLog)>,
}

impl Measured {
    pub fn new(metrics: S3Metrics, started: Instant) -> Self {
        Self {
            op: "unknown",
            metrics,
            started,
            sent: 0,
            handle: None,
            record: None,
        }
    }
    /// The request goes into a log.
    pub fn record(&mut self, record: Record, log: Option<&AccessLog>) {
        self.record = log.map(|log| (record, log.clone()));
    }
    /// What goes into the log.
    pub fn recorded(&mut self) -> Option<&mut Record> {
        self.record.as_mut().map(|(record, _)| record)
    }
    /// The answer's head is ready.
    pub fn head(&mut self, status: StatusCode) {
        let seconds = self.started.elapsed().as_secs_f64();
        if let Some((record, _)) = &mut self.record {
            record.turnaround_ms = (seconds * 1000.0) as u64;
            record.status = status.as_u16();
        }
        self.metrics.answered(self.op, status.as_u16(), seconds);
    }
    /// Goes along with the answer's body.
    pub fn wrap(mut self, answer: Response<Body>, handle: BodyHandle) -> Response<ResponseBody> {
        self.handle = Some(handle);
        answer.map(|body| {
            ResponseBody::new(Counted {
                body,
                measured: self,
            })
        })
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let received = self.handle.as_ref().map_or(0, BodyHandle::bytes);
        let seconds = self.started.elapsed().as_secs_f64();
        self.metrics.finished(self.op, seconds, received, self.sent);
        if let Some((mut record, log)) = self.record.take() {
            record.sent = self.sent;
            record.total_ms = (seconds * 1000.0) as u64;
            log.add(Entry {
                bucket: record.bucket.clone(),
                time_ms: record.time_ms,
                line: record.line(),
            });
        }
    }
}

struct Counted {
    body: Body,
    measured: Measured,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = s3s::StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, s3s::StdError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            let len = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.measured.sent += len;
        }
        frame
    }
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
