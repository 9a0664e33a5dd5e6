//! A request from the transport to the answer.
//!
//! Owns: the order of the layers: health, state of the process, guards, signature, operation,
//! answer; panics; spans and metrics.
//! Leaves to others: each layer.
//! Always: exactly one answer per request, with its ids; a panic is an answer 500 and no more.

use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, CONNECTION, EXPECT, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use s3s::Body;
use s3s::service::S3Service;
use tokio::sync::Semaphore;
use tracing::{Instrument, debug, debug_span, error, field};

use super::access_log;
use super::answer::{self, Measured};
use super::asking::{Came, Signed, V2, V4};
use super::claims::NO_TRAILER;
use super::documents::{DOCUMENT_LEN_MAX, has_document};
use super::error;
use super::gate::Rights;
use super::headers::now_ms;
use super::prepare::Asked;
use super::website::WEBSITE;
use crate::auth::scheme::Claim;
use crate::auth::{Caller, Operation, guard, scheme, sigv2};
use crate::http::{
    BodyHandle, ChunkWatch, Chunks, Domains, Handler, Health, Pace, Query, Readiness, Refusal,
    RequestBody, ResponseBody, Target, Timers, health, route,
};
use crate::logging::AccessLog;
use crate::metrics::S3Metrics;
use crate::notify::Origin;
use crate::object::Objects;

/// What is read and dropped of a refused body, so that the client sees the answer.
const LEFTOVER_LEN_MAX: u64 = 1 << 20;
const LEFTOVER_TIME: Duration = Duration::from_secs(2);
/// The label `op` of a preflight request, which is no operation.
const PREFLIGHT: &str = "Preflight";

/// The S3 front: an HTTP service over [`crate::object::Objects`].
#[derive(Clone)]
pub struct Service(pub(super) Arc<Layers>);

pub(super) struct Layers {
    pub first: S3Service,
    pub objects: Arc<dyn Objects>,
    pub rights: Rights,
    pub region: String,
    pub domains: Domains,
    /// Where buckets are websites.
    pub websites: Domains,
    /// Whether requests may be signed by signature version 2.
    pub sigv2: bool,
    pub pace: Pace,
    pub timers: Timers,
    pub metrics: S3Metrics,
    pub health: Arc<dyn Health>,
    pub access_log: Option<AccessLog>,
    pub ids: answer::IdSource,
    /// Documents without a length are held before their signature can be verified: only so many at
    /// a time.
    pub unsized_documents: Semaphore,
}

/// The outcome of the guards.
struct Admitted {
    came: Came,
    query: Query,
    watch: Option<ChunkWatch>,
    /// Who signed, by version 2.
    by: Caller,
}

impl Handler for Service {
    fn handle(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> BoxFuture<'static, Response<ResponseBody>> {
        let layers = Arc::clone(&self.0);
        Box::pin(async move { layers.handle(request, peer.ip()).await })
    }

    fn connection_refused(&self) {
        self.0.metrics.rejected("connections");
    }
}

impl Layers {
    async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> Response<ResponseBody> {
        let started = Instant::now();
        let ids = self.ids.next();
        let query = Query::parse(request.uri().query());
        if let Ok(query) = &query
            && let Some((status, text)) = health::answer(
                self.health.as_ref(),
                request.method(),
                request.uri().path(),
                query,
                request.headers(),
            )
        {
            return answer::plain(status, text, request.method());
        }
        self.metrics.started();
        let span = debug_span!(
            "s3_request",
            request_id = %ids.request,
            op = field::Empty,
            bucket = field::Empty,
            status = field::Empty,
        );
        let mut measured = Measured::new(self.metrics.clone(), started);
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let expects = request.headers().contains_key(EXPECT);
        let work = async {
            let page = self.page_of(&request);
            if let Some(record) = self.logged(&request, peer, &ids).await {
                measured.record(record, self.access_log.as_ref());
            }
            let outcome = self.outcome(request, query, peer, &mut measured);
            let origin = Origin::new(peer, &ids.request, &ids.host);
            let signer = origin.signer();
            let (mut answer, handle, ends) = origin.within(outcome).await;
            if let Some(record) = measured.recorded() {
                access_log::answered(record, &answer, signer.get());
            }
            answer::finish(&mut answer, &method, &path, &ids);
            if let Some(page) = page
                && let Some(headers) = self.for_page(&page).await
            {
                answer.headers_mut().extend(headers);
            }
            if ends || expects && handle.bytes() == 0 {
                // Another gateway may serve the next attempt. Or: no `100 Continue` was sent, also
                // because there was no body to wait for. Clients that waited for one (botocore)
                // misread what follows on the same connection.
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            measured.head(answer.status());
            span.record("status", answer.status().as_u16());
            debug!(status = answer.status().as_u16(), "answered");
            measured.wrap(answer, handle)
        };
        work.instrument(span.clone()).await
    }

    /// Does what is asked. Also returns whether the connection is to end.
    async fn outcome(
        &self,
        request: Request<Incoming>,
        query: Result<Query, Refusal>,
        peer: IpAddr,
        measured: &mut Measured,
    ) -> (Response<Body>, BodyHandle, bool) {
        if *request.method() == Method::OPTIONS {
            measured.op = PREFLIGHT;
            if let Some(record) = measured.recorded() {
                "REST.OPTIONS.PREFLIGHT".clone_into(&mut record.operation);
            }
            return match self.preflight(&request, query).await {
                Ok(headers) => {
                    let mut answer = Response::new(Body::empty());
                    *answer.headers_mut() = headers;
                    (answer, BodyHandle::default(), false)
                }
                Err(refusal) => self.refused(request, &refusal).await,
            };
        }
        if let Some(bucket) = self.site_of(request.headers()) {
            measured.op = WEBSITE;
            if let Some(record) = measured.recorded() {
                record.operation = format!("WEBSITE.{}.OBJECT", request.method());
                record.key = request.uri().path().trim_start_matches('/').to_owned();
            }
            if let Err(refusal) = self.serving() {
                return self.refused(request, &refusal).await;
            }
            let (answer, handle) = self.visit(request, &bucket, peer).await;
            return (answer, handle, false);
        }
        match query.and_then(|query| self.admit(&request, query, peer)) {
            Ok(admitted) => {
                let span = tracing::Span::current();
                measured.op = admitted.came.operation.name();
                span.record("op", measured.op);
                if let Some(record) = measured.recorded() {
                    access_log::note(record, &admitted.came, request.method());
                }
                if let Some(bucket) = &admitted.came.bucket {
                    span.record("bucket", bucket);
                }
                let (answer, handle) = self.call(request, admitted).await;
                (answer, handle, false)
            }
            Err(refusal) => self.refused(request, &refusal).await,
        }
    }

    async fn refused(
        &self,
        request: Request<Incoming>,
        refusal: &Refusal,
    ) -> (Response<Body>, BodyHandle, bool) {
        let ends = matches!(refusal, Refusal::NotServing { .. });
        let (answer, handle) = self.refuse(request, refusal).await;
        (answer, handle, ends)
    }

    /// Whether requests are taken at all.
    pub(super) fn serving(&self) -> Result<(), Refusal> {
        match self.health.serving() {
            Readiness::Ready => Ok(()),
            Readiness::NotReady(why) => Err(Refusal::NotServing { why }),
            Readiness::Draining => Err(Refusal::NotServing {
                why: "this gateway is stopping".to_owned(),
            }),
        }
    }

    /// All that can be refused before the signature is computed.
    fn admit(
        &self,
        request: &Request<Incoming>,
        query: Query,
        peer: IpAddr,
    ) -> Result<Admitted, Refusal> {
        let headers = request.headers();
        self.serving()?;
        let target = Target::parse(&self.domains, headers, request.uri().path())?;
        let old = match self.sigv2 {
            true => sigv2::claim(headers, &query)?,
            false => None,
        };
        let (claim, by, signed) = match &old {
            Some(old) => {
                let by = self.signed_by(old, request, &query)?;
                (None, by, how(old.is_presigned(), V2))
            }
            None => {
                let claim = scheme::claim(headers, &query)?;
                let signed = claim.as_ref().map(|claim| how(claim.presigned, V4));
                (claim, Caller::Anonymous, signed.unwrap_or(Signed::No))
            }
        };
        let query = match old.is_some_and(|old| old.is_presigned()) {
            true => query.without(&sigv2::PARAMETERS),
            false => query,
        };
        guard::check(claim.as_ref(), headers, &query, &self.region)?;
        let operation = route::operation(request.method(), &target, &query, headers)?;
        if operation == Operation::PostObject && signed != Signed::No {
            // A form says itself who signed it.
            return Err(Refusal::TwoMechanisms);
        }
        let watch = watch(headers, claim.as_ref())?;
        let came = Came {
            operation,
            bucket: target.bucket().map(str::to_owned),
            key: target.key().map(str::to_owned),
            peer,
            signed,
            region: self.region.clone(),
        };
        Ok(Admitted {
            came,
            query,
            watch,
            by,
        })
    }

    /// Who signed by version 2.
    fn signed_by(
        &self,
        claim: &sigv2::Claim,
        request: &Request<Incoming>,
        query: &Query,
    ) -> Result<Caller, Refusal> {
        claim.check_age(request.headers(), now_ms())?;
        let found = self.rights.credentials.find(&claim.access_key);
        let (secret, identity) = found.ok_or(Refusal::UnknownKey)?;
        let host = request.headers().get(HOST);
        let bucket = host.and_then(|host| self.domains.bucket(host.to_str().ok()?));
        claim.verify(request, query, bucket.as_deref(), &secret)?;
        Ok(Caller::Known(identity))
    }

    async fn refuse(
        &self,
        request: Request<Incoming>,
        refusal: &Refusal,
    ) -> (Response<Body>, BodyHandle) {
        self.metrics.rejected(refusal.reason());
        debug!(error = %refusal, "refused");
        let expects = request.headers().contains_key(EXPECT);
        let body = RequestBody::new(request.into_body(), None, self.pace, &self.timers);
        let handle = body.handle();
        drop(body);
        if !expects {
            self.drain(&handle).await;
        }
        (error::refused(refusal).map(Body::from), handle)
    }

    async fn call(
        &self,
        request: Request<Incoming>,
        admitted: Admitted,
    ) -> (Response<Body>, BodyHandle) {
        let (mut parts, body) = request.into_parts();
        let expects = parts.headers.contains_key(EXPECT);
        let body = RequestBody::new(body, admitted.watch, self.pace, &self.timers);
        let handle = body.handle();
        let operation = admitted.came.operation;
        if operation == Operation::PostObject {
            let query = Arc::new(admitted.query);
            let answer = self.post_object(&parts.headers, admitted.came, &query, body);
            let answer = self.settled(answer, &handle, expects).await;
            return (answer, handle);
        }
        let body = match self.document(operation, &parts.headers, body).await {
            Ok(body) => body,
            Err(refusal) => {
                self.metrics.rejected(refusal.reason());
                return (error::refused(&refusal).map(Body::from), handle);
            }
        };
        if announces_nothing(&parts.headers) {
            // Not signed, so it may be added; the library insists on the header.
            let value = HeaderValue::from_static(NO_TRAILER);
            parts.headers.insert("x-amz-trailer", value);
        }
        if admitted.by.identity().is_some() {
            // Verified already; the library would do it again, and not in constant time.
            parts.headers.remove(AUTHORIZATION);
            parts.uri = sigv2::without_claim(&parts.uri);
        }
        Origin::note_signer(&admitted.by);
        parts.extensions.insert(Asked {
            came: admitted.came,
            query: Arc::new(admitted.query),
            handle: handle.clone(),
            by: admitted.by,
        });
        let request = Request::from_parts(parts, body);
        let answer = self.first.call(request).map(|answer| {
            answer.unwrap_or_else(|failure| {
                error!(error = ?failure, "the answer could not be made");
                error::panicked().map(Body::from)
            })
        });
        (self.settled(answer, &handle, expects).await, handle)
    }

    /// Holds a document that comes without a length: its signature is over its hash and length.
    async fn document(
        &self,
        operation: Operation,
        headers: &HeaderMap,
        mut body: RequestBody,
    ) -> Result<Body, Refusal> {
        if !has_document(operation) || !headers.contains_key(TRANSFER_ENCODING) {
            return Ok(Body::http_body(body));
        }
        let Ok(_permit) = self.unsized_documents.try_acquire() else {
            return Err(Refusal::Busy {
                why: "too many documents without a length",
            });
        };
        let mut document = Vec::new();
        while let Some(frame) = body.frame().await {
            let Some(data) = frame.ok().and_then(|frame| frame.into_data().ok()) else {
                return Err(Refusal::AmbiguousFraming {
                    why: "The document could not be read",
                });
            };
            if document.len() + data.len() > DOCUMENT_LEN_MAX {
                return Err(Refusal::DocumentTooLarge {
                    max: DOCUMENT_LEN_MAX,
                });
            }
            document.extend_from_slice(&data);
        }
        Ok(Body::http_body(Full::new(Bytes::from(document))))
    }

    /// The answer, also where making it panics; and the client is ready to see it.
    pub(super) async fn settled(
        &self,
        answer: impl Future<Output = Response<Body>>,
        handle: &BodyHandle,
        expects: bool,
    ) -> Response<Body> {
        let answer = AssertUnwindSafe(answer).catch_unwind().await;
        let answer = answer.unwrap_or_else(|_| {
            error!("a request panicked");
            error::panicked().map(Body::from)
        });
        let failed = answer.status().is_client_error() || answer.status().is_server_error();
        if failed && !expects {
            self.drain(handle).await;
        }
        answer
    }

    async fn drain(&self, handle: &BodyHandle) {
        let drained = handle.drain(LEFTOVER_LEN_MAX, LEFTOVER_TIME, &self.timers);
        drained.await;
    }
}

/// What watches the body pass, if it is `aws-chunked`.
fn watch(headers: &HeaderMap, claim: Option<&Claim>) -> Result<Option<ChunkWatch>, Refusal> {
    let kind = headers
        .get("x-amz-content-sha256")
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    let kind = match kind {
        b"STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Chunks::Unsigned,
        kind if kind.starts_with(b"STREAMING-") => Chunks::Signed,
        _ => return Ok(None),
    };
    if claim.is_none_or(|claim| claim.presigned) {
        // The library refuses this for presigned requests, and an anonymous one has nothing to sign
        // with.
        return Ok(None);
    }
    let len = headers.get("x-amz-decoded-content-length");
    let len = len.and_then(|value| value.to_str().ok()?.parse().ok());
    match len {
        Some(len) => Ok(Some(ChunkWatch::new(kind, len))),
        None => Err(Refusal::AmbiguousFraming {
            why: "x-amz-decoded-content-length is required and must be a number",
        }),
    }
}

/// How a request is signed.
fn how(presigned: bool, version: &'static str) -> Signed {
    match presigned {
        true => Signed::Query(version),
        false => Signed::Header(version),
    }
}

fn announces_nothing(headers: &HeaderMap) -> bool {
    let trailer = headers
        .get("x-amz-content-sha256")
        .is_some_and(|kind| kind.as_bytes().ends_with(b"-TRAILER"));
    trailer && !headers.contains_key("x-amz-trailer")
}
