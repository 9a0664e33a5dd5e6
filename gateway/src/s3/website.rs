//! Buckets as websites: what browsers get at `bucket.<website domain>`.
//!
//! Owns: from a path to a page, a redirect or an error document; errors as HTML.
//! Leaves to others: where a rule leads ([`crate::http::website`]), whether a visitor may see a
//! page ([`super::gate`]).
//! Always: visitors are nobody, whatever they sign, and see what a policy or an ACL lets nobody
//! see; only GET and HEAD; nothing of the query means anything but to who is redirected to.

use std::net::IpAddr;
use std::sync::Arc;

use futures::TryStreamExt;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use s3s::{Body, S3Error, S3Result};
use tracing::field;

use super::answer::HtmlError;
use super::asking::{Asking, Came, Signed};
use super::error;
use super::headers;
use super::object::describe;
use super::service::Layers;
use crate::auth::{Caller, Operation};
use crate::error::GatewayError;
use crate::http::website::{Moved, Path};
use crate::http::{BodyHandle, RequestBody};
use crate::names::{BucketName, ObjectKey};
use crate::object::types::{GetObject, ObjectInfo, ReadConditions};
use crate::settings::{Pages, Setting, Website};

/// The label `op` of requests to websites.
pub(super) const WEBSITE: &str = "Website";
const REDIRECT: &str = "x-amz-website-redirect-location";
/// What only those are told who may ask for it, and visitors may not.
const HIDDEN: [&str; 5] = [
    REDIRECT,
    "x-amz-tagging-count",
    headers::LOCK_MODE,
    headers::LOCK_UNTIL,
    headers::LEGAL_HOLD,
];

/// A request to a website.
struct Visit<'a> {
    bucket: BucketName,
    method: &'a Method,
    /// Without those of S3.
    headers: HeaderMap,
    path: Path<'a>,
    peer: IpAddr,
}

impl Visit<'_> {
    fn wants_body(&self) -> bool {
        *self.method != Method::HEAD
    }
}

/// How a page is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// As it was asked for.
    Asked,
    /// Whole, beside an error.
    BesideError,
}

impl Layers {
    /// The bucket whose website a request is to; `None` if it is to S3.
    pub fn site_of(&self, headers: &HeaderMap) -> Option<String> {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return None;
        };
        let host = host.to_str().ok()?;
        let site = self.websites.find(host)?;
        match self.domains.find(host) {
            Some(place) if place.domain_len > site.domain_len => None,
            _ => site.bucket,
        }
    }

    /// Answers a visitor.
    pub async fn visit(
        &self,
        request: Request<Incoming>,
        bucket: &str,
        peer: IpAddr,
    ) -> (Response<Body>, BodyHandle) {
        let (parts, body) = request.into_parts();
        let body = RequestBody::new(body, None, self.pace, &self.timers);
        let handle = body.handle();
        drop(body);
        tracing::Span::current().record("op", WEBSITE);
        tracing::Span::current().record("bucket", field::display(bucket));
        let expects = parts.headers.contains_key(http::header::EXPECT);
        let answer = self.answer_visit(&parts, bucket, peer);
        let answer = self.settled(answer, &handle, expects).await;
        (answer, handle)
    }

    async fn answer_visit(&self, parts: &Parts, bucket: &str, peer: IpAddr) -> Response<Body> {
        if ![Method::GET, Method::HEAD].contains(&parts.method) {
            let mut answer = failed(error::method_not_allowed(), None);
            let allow = HeaderValue::from_static("GET, HEAD");
            answer.headers_mut().insert(ALLOW, allow);
            return answer;
        }
        let Ok(key) = percent_decode_str(parts.uri.path()).decode_utf8() else {
            return failed(error::invalid_uri(), None);
        };
        let key = key.strip_prefix('/').unwrap_or(&key);
        let host = parts.headers.get(HOST);
        let mut kept = parts.headers.clone();
        for name in parts.headers.keys() {
            if name.as_str().starts_with("x-amz-") {
                kept.remove(name);
            }
        }
        let visit = BucketName::parse(bucket).map(|bucket| Visit {
            bucket,
            method: &parts.method,
            headers: kept,
            path: Path {
                host: host.and_then(|host| host.to_str().ok()).unwrap_or_default(),
                key,
                query: parts.uri.query(),
            },
            peer,
        });
        match visit {
            Ok(visit) => self.page(&visit).await,
            Err(failure) => failed(failure.into(), None),
        }
    }

    async fn page(&self, visit: &Visit<'_>) -> Response<Body> {
        let bucket = match self.objects.bucket(&visit.bucket).await {
            Ok(bucket) => bucket,
            Err(failure) => return failed(failure.into(), None),
        };
        match &bucket.settings().website {
            Some(Website::Elsewhere(to)) => moved(&Moved::elsewhere(to, visit.path)),
            Some(Website::Pages(pages)) => self.page_among(visit, pages).await,
            None => {
                let setting = Setting::Website;
                failed(GatewayError::NotConfigured { setting }.into(), None)
            }
        }
    }

    async fn page_among(&self, visit: &Visit<'_>, pages: &Pages) -> Response<Body> {
        if let Some(to) = Moved::by_rules(pages, visit.path, None) {
            return moved(&to);
        }
        let path = visit.path.key;
        let is_folder = path.is_empty() || path.ends_with('/');
        let key = match is_folder {
            true => format!("{path}{}", pages.index),
            false => path.to_owned(),
        };
        let failure = match self.read(visit, &key, How::Asked).await {
            Ok(answer) => return answer,
            Err(failure) => failure,
        };
        let status = failure.status_code().unwrap_or(StatusCode::BAD_REQUEST);
        let is_away = [StatusCode::NOT_FOUND, StatusCode::FORBIDDEN].contains(&status);
        if is_away && !is_folder {
            let index = format!("{path}/{}", pages.index);
            if self.may_see(visit, &index).await {
                return moved(&Moved::to_folder(visit.path));
            }
        }
        if let Some(to) = Moved::by_rules(pages, visit.path, Some(status)) {
            return moved(&to);
        }
        let Some(page) = pages.error.as_ref().filter(|_| status.is_client_error()) else {
            return failed(failure, None);
        };
        match self.read(visit, page, How::BesideError).await {
            Ok(mut answer) => {
                *answer.status_mut() = status;
                answer.headers_mut().extend(told(&failure));
                answer
            }
            Err(second) => failed(failure, Some((page, &second))),
        }
    }

    /// Whether the visitor may see that page, and there is one.
    async fn may_see(&self, visit: &Visit<'_>, key: &str) -> bool {
        let Ok(key) = ObjectKey::parse(key) else {
            return false;
        };
        let asking = self.asking(visit, key.as_str());
        if self.rights.check(&asking).await.is_err() {
            return false;
        }
        let any = ReadConditions::default();
        let found = self.objects.head(&visit.bucket, &key, None, None, &any);
        found.await.is_ok()
    }

    fn asking(&self, visit: &Visit<'_>, key: &str) -> Asking {
        let came = Came {
            operation: match visit.wants_body() {
                true => Operation::GetObject,
                false => Operation::HeadObject,
            },
            bucket: Some(visit.bucket.to_string()),
            key: Some(key.to_owned()),
            peer: visit.peer,
            signed: Signed::No,
            region: self.region.clone(),
        };
        let query = Arc::default();
        Asking::new(&came, &Caller::Anonymous, &visit.headers, &query)
    }

    async fn read(&self, visit: &Visit<'_>, key: &str, how: How) -> S3Result<Response<Body>> {
        let asking = self.asking(visit, key);
        self.rights.check(&asking).await?;
        let read = self.read_page(visit, key, how).await;
        self.rights.told(&asking, read.map_err(S3Error::from)).await
    }

    async fn read_page(
        &self,
        visit: &Visit<'_>,
        key: &str,
        how: How,
    ) -> Result<Response<Body>, GatewayError> {
        let (bucket, key) = (visit.bucket.clone(), ObjectKey::parse(key)?);
        let (range, conditions) = match how {
            How::Asked => (
                headers::range(&visit.headers),
                headers::read_conditions(&visit.headers),
            ),
            How::BesideError => (None, ReadConditions::default()),
        };
        if !visit.wants_body() {
            let info = self.objects.head(&bucket, &key, None, None, &conditions);
            let info = info.await?;
            let mut answer = Response::new(Body::empty());
            *answer.headers_mut() = shown(&info, None);
            return Ok(elsewhere(&info, how).unwrap_or(answer));
        }
        let get = GetObject {
            bucket,
            key,
            version: None,
            range,
            part: None,
            conditions,
        };
        let read = self.objects.get(get).await?;
        if let Some(away) = elsewhere(&read.info, how) {
            return Ok(away);
        }
        let sent = read.partial.then_some(read.range);
        let frames = StreamBody::new(read.stream.map_ok(Frame::data));
        let mut answer = Response::new(Body::http_body_unsync(frames));
        *answer.headers_mut() = shown(&read.info, sent);
        if sent.is_some_and(|sent| !sent.is_empty()) {
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        Ok(answer)
    }
}

fn shown(info: &ObjectInfo, sent: Option<holdfast_protocol::ByteRange>) -> HeaderMap {
    let mut headers = describe(info, sent, false);
    for name in HIDDEN {
        headers.remove(name);
    }
    headers
}

/// An object that says where it is.
fn elsewhere(info: &ObjectInfo, how: How) -> Option<Response<Body>> {
    let location = info.metadata.get(REDIRECT)?;
    (how == How::Asked).then(|| {
        moved(&Moved {
            status: StatusCode::MOVED_PERMANENTLY,
            location: location.to_owned(),
        })
    })
}

fn moved(to: &Moved) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = to.status;
    let headers = answer.headers_mut();
    if let Ok(location) = HeaderValue::from_str(&to.location) {
        headers.insert(LOCATION, location);
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    answer
}

/// What a program may read of an error beside its page.
fn told(failure: &S3Error) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, text) in [
        ("x-amz-error-code", failure.code().as_str()),
        ("x-amz-error-message", failure.message().unwrap_or_default()),
    ] {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers
}

/// An error as a page; `second` is why its own page could not be shown.
fn failed(failure: S3Error, second: Option<(&String, &S3Error)>) -> Response<Body> {
    let told = told(&failure);
    let text = |failure: &S3Error| {
        let code = failure.code().as_str().to_owned();
        (code, failure.message().unwrap_or_default().to_owned())
    };
    let (code, message) = text(&failure);
    let page = HtmlError {
        code,
        message,
        second: second.map(|(key, failure)| {
            let (code, message) = text(failure);
            (key.clone(), code, message)
        }),
    };
    let mut answer = error::answer(failure);
    if answer.status() != StatusCode::NOT_MODIFIED {
        let kind = HeaderValue::from_static("text/html; charset=utf-8");
        answer.headers_mut().insert(CONTENT_TYPE, kind);
        answer.headers_mut().extend(told);
        answer.extensions_mut().insert(page);
    }
    answer
}
