//! What a request says that decides whether it is allowed.
//!
//! Owns: the values of condition keys that are in the request; which actions it needs besides its
//! operation's own.
//! Leaves to others: what is stored ([`super::gate`]), the decision (the crate `policy`).
//! Always: read from headers and query after the signature was verified; the address is that of the
//! connection, whatever a header says. Values of condition keys are worked out once a policy is
//! there to ask for them, and no sooner.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use holdfast_policy::acl::header::HEADERS as GRANTS;
use holdfast_policy::{Account, Action, Caller as Asker, Context, Key};
use http::HeaderMap;
use percent_encoding::percent_decode_str;
use s3s::dto;
use s3s::xml::{Deserialize, Deserializer};

use super::headers::{
    LEGAL_HOLD, LOCK_MODE, LOCK_UNTIL, WRITE_OFFSET, get, now_ms, read_conditions, write_conditions,
};
use super::values::{date_time, exact_ms, parse_date_time};
use crate::auth::{Caller, Operation};
use crate::http::Query;
use crate::object::types::ReadConditions;

const TAGGING: &str = "x-amz-tagging";
const MS_PER_DAY: u64 = 24 * 60 * 60 * 1000;

/// Headers whose values are those of condition keys.
const HEADERS: [(&str, Key); 17] = [
    ("user-agent", Key::UserAgent),
    ("referer", Key::Referer),
    ("if-match", Key::IfMatch),
    ("if-none-match", Key::IfNoneMatch),
    ("x-amz-acl", Key::Acl),
    ("x-amz-grant-read", Key::GrantRead),
    ("x-amz-grant-write", Key::GrantWrite),
    ("x-amz-grant-read-acp", Key::GrantReadAcp),
    ("x-amz-grant-write-acp", Key::GrantWriteAcp),
    ("x-amz-grant-full-control", Key::GrantFullControl),
    ("x-amz-metadata-directive", Key::MetadataDirective),
    ("x-amz-object-ownership", Key::ObjectOwnership),
    ("x-amz-storage-class", Key::StorageClass),
    ("x-amz-website-redirect-location", Key::RedirectLocation),
    ("x-amz-server-side-encryption", Key::Encryption),
    (
        "x-amz-server-side-encryption-aws-kms-key-id",
        Key::EncryptionKeyId,
    ),
    (
        "x-amz-server-side-encryption-customer-algorithm",
        Key::CustomerAlgorithm,
    ),
];

/// Signature version 4, as condition keys name it.
pub(crate) const V4: &str = "AWS4-HMAC-SHA256";
/// Signature version 2.
pub(crate) const V2: &str = "AWS";

/// How a request says who signed it, by its names in condition keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signed {
    /// Nobody did.
    No,
    /// In the header `Authorization`, by this version of signatures.
    Header(&'static str),
    /// In the query.
    Query(&'static str),
    /// In the fields of a form.
    Form(&'static str),
}

/// Where a request comes from and what it is for.
#[derive(Clone, Debug)]
pub(crate) struct Came {
    /// The operation.
    pub operation: Operation,
    /// The bucket.
    pub bucket: Option<String>,
    /// The key.
    pub key: Option<String>,
    /// The peer of the connection.
    pub peer: IpAddr,
    /// How it is signed.
    pub signed: Signed,
    /// The region that serves it.
    pub region: String,
}

/// A request, as far as the decision needs it.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    /// The operation.
    pub operation: Operation,
    /// The bucket.
    pub bucket: Option<String>,
    /// The key.
    pub key: Option<String>,
    /// The version that it names, as it names it.
    pub version: Option<String>,
    /// The upload that it is about.
    pub upload: Option<String>,
    /// Whether who asks is ready to pay.
    pub pays: bool,
    /// Who asks.
    pub by: Caller,
    /// The same, as the decision needs it.
    pub account: Option<Account>,
    /// The part of S3 that asks by itself, if one does.
    pub service: Option<&'static str>,
    /// What it says itself.
    pub said: Said,
    /// What it has to be allowed to besides the operation's own action.
    pub more: Vec<Action>,
}

/// The values of condition keys that a request has.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    from: Source,
    known: OnceLock<Context>,
}

/// What values of condition keys are read from.
#[derive(Clone, Debug)]
enum Source {
    /// A request that came at this time (milliseconds since 1970).
    Request(Box<Came>, HeaderMap, Arc<Query>, u64),
    /// Nothing: they are known.
    Nowhere,
}

impl Said {
    fn by_request(came: &Came, headers: &HeaderMap, query: &Arc<Query>) -> Self {
        let came = Box::new(came.clone());
        Self {
            from: Source::Request(came, headers.clone(), Arc::clone(query), now_ms()),
            known: OnceLock::new(),
        }
    }

    /// What is known without a request.
    pub fn known(context: Context) -> Self {
        Self {
            from: Source::Nowhere,
            known: OnceLock::from(context),
        }
    }

    fn context(&self, asker: Asker<'_>) -> &Context {
        self.known.get_or_init(|| match &self.from {
            Source::Request(came, headers, query, now) => {
                of_request(asker, came, headers, query, *now)
            }
            Source::Nowhere => Context::default(),
        })
    }
}

fn of_request(
    asker: Asker<'_>,
    came: &Came,
    headers: &HeaderMap,
    query: &Query,
    now: u64,
) -> Context {
    let mut context = Context::of(asker);
    of_connection(&mut context, came, headers, query, now);
    for (name, key) in HEADERS {
        if let Some(value) = get(headers, name) {
            context.set(key, value);
        }
    }
    of_query(&mut context, came.operation, query);
    of_write(&mut context, came.operation, headers);
    if let Some(version) = query.get("versionId") {
        context.set(Key::VersionId, version);
    }
    context
}

impl Asking {
    /// What a request says.
    pub fn new(came: &Came, by: &Caller, headers: &HeaderMap, query: &Arc<Query>) -> Self {
        let account = by.identity().map(|who| Account {
            canonical_id: who.account.to_string(),
            number: who.number.clone(),
            name: who.name.clone(),
            arn: format!("arn:aws:iam::{}:root", who.number),
            is_admin: who.is_admin,
        });
        let version = query.get("versionId").map(str::to_owned);
        Self {
            said: Said::by_request(came, headers, query),
            operation: came.operation,
            bucket: came.bucket.clone(),
            key: came.key.clone(),
            more: more(came.operation, headers, version.is_some()),
            version,
            upload: query.get("uploadId").map(str::to_owned),
            pays: get(headers, "x-amz-request-payer").as_deref() == Some("requester"),
            by: by.clone(),
            account,
            service: None,
        }
    }

    /// The values of condition keys in what it says.
    pub fn context(&self) -> &Context {
        self.said.context(self.asker())
    }

    /// Adds to the values of condition keys.
    fn say(&mut self, add: impl FnOnce(&mut Context)) {
        let mut context = self.context().clone();
        add(&mut context);
        self.said = Said::known(context);
    }

    /// Who asks.
    pub fn asker(&self) -> Asker<'_> {
        match self.service {
            Some(service) => Asker::Service(service),
            None => asker(self.account.as_ref()),
        }
    }

    /// Adds what the request's document says. What is wrong with it is said by who does it.
    pub fn read(&mut self, document: &[u8]) {
        match self.operation {
            Operation::PutObjectTagging => {
                let tagging: Option<dto::Tagging> = parsed(document);
                let tags = tagging.map(|tagging| tagging.tag_set).unwrap_or_default();
                let pairs = tags
                    .iter()
                    .filter_map(|tag| tag.key.as_deref().zip(tag.value.as_deref()));
                self.say(|context| add_tags(context, pairs));
            }
            Operation::PutObjectRetention => {
                let asked: Option<dto::ObjectLockRetention> = parsed(document);
                let Some(asked) = asked else { return };
                self.say(|context| {
                    if let Some(mode) = asked.mode {
                        context.set(Key::LockMode, mode.as_str());
                    }
                    if let Some(until_ms) = asked.retain_until_date.as_ref().and_then(exact_ms) {
                        set_until(context, until_ms);
                    }
                });
            }
            Operation::PutObjectLegalHold => {
                let asked: Option<dto::ObjectLockLegalHold> = parsed(document);
                if let Some(status) = asked.and_then(|asked| asked.status) {
                    self.say(|context| context.set(Key::LockLegalHold, status.as_str()));
                }
            }
            _ => {}
        }
    }
}

fn parsed<'d, T: Deserialize<'d>>(document: &'d [u8]) -> Option<T> {
    T::deserialize(&mut Deserializer::new(document)).ok()
}

fn set_until(context: &mut Context, until_ms: u64) {
    let days = until_ms.saturating_sub(now_ms()).div_ceil(MS_PER_DAY);
    context.set(Key::LockRemainingDays, days.to_string());
    if let Some(until) = date_time(until_ms) {
        context.set(Key::LockRetainUntil, until);
    }
}

fn asker(account: Option<&Account>) -> Asker<'_> {
    account.map_or(Asker::Anonymous, Asker::Account)
}

fn of_connection(context: &mut Context, came: &Came, headers: &HeaderMap, query: &Query, now: u64) {
    context.set_time((now / 1000).cast_signed());
    context.set(Key::SourceIp, came.peer.to_canonical().to_string());
    // There is no TLS here: what ends it in front is not known to be one's own.
    context.set(Key::SecureTransport, "false");
    context.set(Key::RequestedRegion, &came.region);
    let (kind, version) = match came.signed {
        Signed::No => return,
        Signed::Header(version) => ("REST-HEADER", version),
        Signed::Query(version) => ("REST-QUERY-STRING", version),
        Signed::Form(version) => ("POST", version),
    };
    context.set(Key::AuthType, kind);
    context.set(Key::SignatureVersion, version);
    let date = match came.signed {
        Signed::Query(_) => query.get("X-Amz-Date").map(str::to_owned),
        _ => get(headers, "x-amz-date"),
    };
    if let Some(signed_ms) = date.as_deref().and_then(compact_date) {
        let age = now.saturating_sub(signed_ms);
        context.set(Key::SignatureAge, age.to_string());
    }
    let content = match came.signed {
        Signed::Query(_) => Some("UNSIGNED-PAYLOAD".to_owned()),
        _ => None,
    };
    if let Some(content) = get(headers, "x-amz-content-sha256").or(content) {
        context.set(Key::ContentSha256, content);
    }
}

/// Reads `20261122T071500Z`; milliseconds since 1970.
fn compact_date(text: &str) -> Option<u64> {
    let (date, time) = text.split_once('T')?;
    let digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    let time = time.strip_suffix('Z')?;
    if date.len() != 8 || time.len() != 6 || !digits(date) || !digits(time) {
        return None;
    }
    let (year, month, day) = (date.get(..4)?, date.get(4..6)?, date.get(6..)?);
    let (hour, minute, second) = (time.get(..2)?, time.get(2..4)?, time.get(4..)?);
    parse_date_time(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))
}

fn of_query(context: &mut Context, operation: Operation, query: &Query) {
    if !matches!(
        operation,
        Operation::ListObjects
            | Operation::ListObjectsV2
            | Operation::ListObjectVersions
            | Operation::ListMultipartUploads
    ) {
        return;
    }
    for (name, key) in [
        ("prefix", Key::Prefix),
        ("delimiter", Key::Delimiter),
        ("max-keys", Key::MaxKeys),
    ] {
        if let Some(value) = query.get(name) {
            context.set(key, value);
        }
    }
}

fn of_write(context: &mut Context, operation: Operation, headers: &HeaderMap) {
    let creates = match operation {
        Operation::PutObject
        | Operation::PostObject
        | Operation::CopyObject
        | Operation::RenameObject
        | Operation::CompleteMultipartUpload => "true",
        Operation::CreateMultipartUpload | Operation::UploadPart | Operation::UploadPartCopy => {
            "false"
        }
        _ => return,
    };
    context.set(Key::ObjectCreationOperation, creates);
    if let Some(source) = get(headers, "x-amz-copy-source") {
        context.set(Key::CopySource, plain_source(&source));
    }
    if let Some(tags) = get(headers, TAGGING) {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(tags.as_bytes())
            .into_owned()
            .collect();
        let tags = pairs
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        add_tags(context, tags);
    }
    if let Some(hold) = get(headers, LEGAL_HOLD) {
        context.set(Key::LockLegalHold, hold);
    }
    if let Some(mode) = get(headers, LOCK_MODE) {
        context.set(Key::LockMode, mode);
    }
    let until = get(headers, LOCK_UNTIL);
    if let Some(until_ms) = until.as_deref().and_then(parse_date_time) {
        set_until(context, until_ms);
    }
}

/// The source of a copy as `bucket/key`, however it is written.
fn plain_source(source: &str) -> String {
    let path = source.split_once('?').map_or(source, |(path, _)| path);
    let path = percent_decode_str(path).decode_utf8_lossy();
    path.strip_prefix('/').unwrap_or(&path).to_owned()
}

fn add_tags<'a>(context: &mut Context, tags: impl IntoIterator<Item = (&'a str, &'a str)>) {
    for (key, value) in tags {
        context.add(Key::RequestObjectTagKeys, key);
        context.set(Key::RequestObjectTag(key.to_owned()), value);
    }
}

fn more(operation: Operation, headers: &HeaderMap, names_version: bool) -> Vec<Action> {
    let mut more = Vec::new();
    let read = match names_version {
        false => Action::GetObject,
        true => Action::GetObjectVersion,
    };
    let has = |name| headers.contains_key(name);
    if matches!(
        operation,
        Operation::PutObject
            | Operation::PostObject
            | Operation::CopyObject
            | Operation::CreateMultipartUpload
    ) {
        if has(TAGGING) {
            more.push(Action::PutObjectTagging);
        }
        if has(LOCK_MODE) || has(LOCK_UNTIL) {
            more.push(Action::PutObjectRetention);
        }
        if has(LEGAL_HOLD) {
            more.push(Action::PutObjectLegalHold);
        }
        if has("x-amz-acl") || GRANTS.iter().any(|(name, _)| has(name)) {
            more.push(Action::PutObjectAcl);
        }
    }
    // What the object has becomes part of what is written.
    if operation == Operation::PutObject && has(WRITE_OFFSET) {
        more.push(Action::GetObject);
    }
    match operation {
        // Whether the object has this entity tag is told by the answer.
        Operation::PutObject
        | Operation::PostObject
        | Operation::CopyObject
        | Operation::CompleteMultipartUpload
            if write_conditions(headers).if_match.is_some() =>
        {
            more.push(Action::GetObject);
        }
        Operation::RenameObject if tells(&read_conditions(headers)) => {
            more.push(Action::GetObject);
        }
        Operation::DeleteObject if has("if-match") => more.push(read),
        Operation::GetObjectAttributes => more.push(read),
        _ => {}
    }
    more
}

/// Whether these conditions tell of an object more than that it is there.
fn tells(conditions: &ReadConditions) -> bool {
    let dates = [conditions.if_modified_since, conditions.if_unmodified_since];
    conditions.if_match.is_some() || dates.iter().any(Option::is_some)
}

#[cfg(test)]
mod tests {
    //! Facts about what is read from a request.
    use super::*;

    #[test]
    fn dates_of_signatures_are_read() {
        assert_eq!(compact_date("19700101T000001Z"), Some(1000));
        assert_eq!(compact_date("20261122T071500Z"), Some(1_795_331_700_000));
        for text in ["", "20261122", "20261122T071500", "2026112xT071500Z", "T"] {
            assert_eq!(compact_date(text), None, "{text}");
        }
    }

    #[test]
    fn a_source_is_the_same_however_it_is_written() {
        for source in [
            "bkt/a b",
            "/bkt/a b",
            "bkt/a%20b",
            "%2Fbkt%2Fa%20b?versionId=1",
        ] {
            assert_eq!(plain_source(source), "bkt/a b", "{source}");
        }
    }
}
