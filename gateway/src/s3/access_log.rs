//! Access logs: what is recorded of a request, and delivering it.
//!
//! Owns: reading a record from a request and its answer; log objects, and who delivers them.
//! Leaves to others: the form of records and names, and what waits ([`crate::logging`]); whether a
//! bucket takes logs (the crate `policy`).
//! Always: a record is made of requests to buckets that have a log, and of no others; delivered as
//! S3's logging service, which the target's policy or ACL must let write, each time; a log object
//! that is delivered is no request, and has no record.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_policy::LOGGING_SERVICE;
use holdfast_protocol::Metadata;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HOST, REFERER, USER_AGENT};
use http::{HeaderMap, HeaderName, Method, Request, Response};
use s3s::Body;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::answer::Ids;
use super::asking::{Came, Signed, V4};
use super::gate::Rights;
use super::headers::{now_ms, text};
use super::service::Layers;
use super::values::VERSION_ID;
use crate::auth::{Credentials, Operation};
use crate::error::GatewayError;
use crate::logging::key::{self, Source};
use crate::logging::{AccessLog, Batch, Buffers, Entry, Record, record};
use crate::names::BucketName;
use crate::object::{Bucket, Objects};
use crate::settings::Logging;

/// How often it is looked at what is to be delivered.
const LOOK: Duration = Duration::from_secs(1);

impl Layers {
    /// A record of the request, if its bucket has a log.
    pub async fn logged<B>(&self, request: &Request<B>, peer: IpAddr, ids: &Ids) -> Option<Record> {
        self.access_log.as_ref()?;
        let name = self.bucket_of(request)?;
        let bucket = self.objects.bucket(&name).await.ok()?;
        bucket.settings().logging.as_ref()?;
        let headers = request.headers();
        let get = |name: &HeaderName| headers.get(name).map(text).unwrap_or_default();
        let target = request.uri().path_and_query();
        let target = target.map_or("/", |target| target.as_str());
        let (method, version) = (request.method(), request.version());
        Some(Record {
            owner: self.rights.owner(&bucket.owner).id.to_string(),
            bucket: name.to_string(),
            time_ms: now_ms(),
            peer: peer.to_canonical().to_string(),
            request: ids.request.clone(),
            host_id: ids.host.clone(),
            operation: format!("REST.{method}.REQUEST"),
            line: format!("{method} {target} {version:?}"),
            referer: get(&REFERER),
            agent: get(&USER_AGENT),
            host: get(&HOST),
            size: sent_size(method, headers),
            ..Record::default()
        })
    }
}

/// Bytes of the object that a request brings.
fn sent_size(method: &Method, headers: &HeaderMap) -> Option<u64> {
    if *method != Method::PUT {
        return None;
    }
    let decoded = headers.get("x-amz-decoded-content-length");
    let len = decoded.or_else(|| headers.get(CONTENT_LENGTH))?;
    text(len).parse().ok()
}

/// Notes what the request turned out to be.
pub(super) fn note(record: &mut Record, came: &Came, method: &Method) {
    record.operation = record::name(came.operation, method.as_str());
    record.key = came.key.clone().unwrap_or_default();
    let is_upload = matches!(
        came.operation,
        Operation::PutObject | Operation::UploadPart | Operation::PostObject
    );
    if !is_upload {
        record.size = None;
    }
    (record.signature, record.auth) = match came.signed {
        Signed::No | Signed::Form(_) => ("", ""),
        Signed::Header(version) => (short(version), "AuthHeader"),
        Signed::Query(version) => (short(version), "QueryString"),
    };
}

fn short(version: &str) -> &'static str {
    match version == V4 {
        true => "SigV4",
        false => "SigV2",
    }
}

/// Notes what was answered, before the answer is completed.
pub(super) fn answered(record: &mut Record, answer: &Response<Body>, requester: Option<&str>) {
    let headers = answer.headers();
    record.status = answer.status().as_u16();
    record.requester = requester.unwrap_or_default().to_owned();
    record.version = headers.get(VERSION_ID).map(text).unwrap_or_default();
    if answer.status().is_success() {
        let is_read = ["REST.GET.OBJECT", "REST.HEAD.OBJECT"].contains(&record.operation.as_str())
            || record.operation.starts_with("WEBSITE.");
        if is_read {
            record.size = read_size(headers);
        }
    } else if !answer.status().is_redirection() {
        record.error = error_code(answer);
    }
}

/// Bytes of the object that an answer is from.
fn read_size(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(CONTENT_RANGE).map(text);
    let whole = range.as_deref().and_then(|range| range.split_once('/'));
    match whole {
        Some((_, len)) => len.parse().ok(),
        None => text(headers.get(CONTENT_LENGTH)?).parse().ok(),
    }
}

/// The code of an error.
fn error_code(answer: &Response<Body>) -> String {
    if let Some(code) = answer.headers().get("x-amz-error-code") {
        return text(code);
    }
    let document = answer.body().bytes().unwrap_or_default();
    let document = String::from_utf8_lossy(&document);
    let code = document.split_once("<Code>");
    let code = code.and_then(|(_, rest)| rest.split_once("</Code>"));
    code.map(|(code, _)| code.to_owned()).unwrap_or_default()
}

impl Rights {
    /// Whether S3's logging service may write the log of `source` there.
    ///
    /// # Errors
    /// What the index says.
    pub async fn may_log(
        &self,
        source: &Bucket,
        target: &BucketName,
        key: &str,
    ) -> Result<bool, GatewayError> {
        let to = (target, key);
        self.may_write_for(LOGGING_SERVICE, source, to, None).await
    }
}

/// The name of the next log object of a bucket.
pub(super) fn log_key(
    rights: &Rights,
    (source, logging): (&Bucket, &Logging),
    region: &str,
    since_ms: u64,
    unique: u64,
) -> String {
    let of = Source {
        account: &rights.owner(&source.owner).number,
        region,
        bucket: &source.name,
    };
    key::name(logging, of, now_ms(), since_ms, unique)
}

/// Delivers what is recorded.
pub struct Deliverer {
    rights: Rights,
    region: String,
    log: AccessLog,
    entries: mpsc::Receiver<Entry>,
    buffers: Buffers,
    names: RandomState,
    count: u64,
}

impl Deliverer {
    /// Delivers what comes out of `log`, each record `interval` after it came at the latest; at
    /// most `len_max` bytes wait.
    pub fn new(
        objects: Arc<dyn Objects>,
        credentials: Arc<dyn Credentials>,
        region: &str,
        (log, entries): (AccessLog, mpsc::Receiver<Entry>),
        (interval, len_max): (Duration, usize),
    ) -> Self {
        let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        Self {
            rights: Rights {
                objects,
                credentials,
            },
            region: region.to_owned(),
            log,
            entries,
            buffers: Buffers::new(len_max, interval_ms),
            names: RandomState::new(),
            count: 0,
        }
    }

    /// Delivers until `stop`, and then what is left.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = look.tick() => {
                    let due = self.buffers.due(now_ms());
                    self.deliver_all(due, true).await;
                }
                entry = self.entries.recv() => match entry {
                    Some(entry) => self.add(entry),
                    None => break,
                },
            }
        }
        while let Ok(entry) = self.entries.try_recv() {
            self.add(entry);
        }
        let rest = self.buffers.all();
        self.deliver_all(rest, false).await;
    }

    fn add(&mut self, entry: Entry) {
        if !self.buffers.add(entry) {
            self.log.metrics().dropped(1);
        }
        self.log.metrics().buffered(self.buffers.len());
    }

    async fn deliver_all(&mut self, batches: Vec<Batch>, try_again: bool) {
        for batch in batches {
            let (records, bucket) = (batch.records, batch.bucket.clone());
            let Err(failure) = self.deliver(&batch).await else {
                self.log.metrics().delivered(records);
                continue;
            };
            self.log.metrics().failed();
            let is_kept = try_again && self.buffers.give_back(batch, now_ms());
            tracing::warn!(
                %bucket,
                error = %failure,
                records,
                again = is_kept,
                "an access log was not delivered"
            );
            if !is_kept {
                self.log.metrics().dropped(records);
            }
        }
        self.log.metrics().buffered(self.buffers.len());
    }

    /// Writes a log object. What is recorded of a bucket that is gone, or has no log any more, is
    /// nobody's.
    async fn deliver(&mut self, batch: &Batch) -> Result<(), GatewayError> {
        let objects = &self.rights.objects;
        let source = match objects.bucket(&BucketName::parse(&batch.bucket)?).await {
            Err(GatewayError::NoSuchBucket { .. }) => return Ok(()),
            found => found?,
        };
        let Some(logging) = &source.settings().logging else {
            return Ok(());
        };
        self.count += 1;
        let unique = self.names.hash_one(self.count);
        let at = (source.as_ref(), logging);
        let key = log_key(&self.rights, at, &self.region, batch.since_ms, unique);
        let target = BucketName::parse(&logging.bucket)?;
        if !self.rights.may_log(&source, &target, &key).await? {
            return Err(GatewayError::NotAllowed);
        }
        let bytes = Bytes::from(batch.text.clone());
        let mut metadata = Metadata::default();
        metadata.set("content-type", "text/plain");
        let to = (&target, key.as_str());
        self.rights.write_own(to, metadata, bytes).await
    }
}
