//! POST of an object: the form in a browser, from the transport to the answer.
//!
//! Owns: what a form's fields ask for, in the terms of PutObject's headers; streaming its file.
//! Leaves to others: reading the form, its policy and signature ([`crate::post`]); writing the
//! object (the domain).
//! Always: nothing is acted on before the signature was verified, the policy held and the caller
//! allowed; the file is passed on as it comes; it becomes visible only after the form has ended
//! well.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body_util::BodyExt;
use percent_encoding::utf8_percent_encode;
use s3s::dto::Tagging;
use s3s::{Body, S3Error};
use tracing::debug;

use super::asking::{Asking, Came, Signed, V2, V4};
use super::service::Layers;
use super::values::{VERSION_ID, checksum_header, checksum_text, checksum_type_name, expiration};
use super::{acl, claims, documents, error, headers};
use crate::auth::{Caller, Operation};
use crate::error::{BodyError, GatewayError};
use crate::http::{Query, Refusal, RequestBody};
use crate::names::{BucketName, ObjectKey};
use crate::notify::Origin;
use crate::object::PUT_LEN_MAX;
use crate::object::types::{BodyStream, Incoming, PutObject, WrittenObject};
use crate::post::answer::{ENCODED, Posted, answer};
use crate::post::{Claim, Fields, Form, Piece, Policy, PostError};

/// Fields that are headers of the same name.
const HEADERS: [&str; 9] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-md5",
    "content-type",
    "expires",
    "if-match",
    "if-none-match",
];
/// Fields that say who signed, and nothing about the object.
const SIGNING: [&str; 4] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-signature",
];

/// Why there is no object.
pub(super) enum Failure {
    Refused(Refusal),
    Failed(S3Error),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<S3Error> for Failure {
    fn from(error: S3Error) -> Self {
        Self::Failed(error)
    }
}

impl From<GatewayError> for Failure {
    fn from(error: GatewayError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<PostError> for Failure {
    fn from(error: PostError) -> Self {
        GatewayError::from(error).into()
    }
}

impl Layers {
    /// Does what a form asks for.
    pub async fn post_object(
        &self,
        head: &HeaderMap,
        came: Came,
        query: &Arc<Query>,
        body: RequestBody,
    ) -> Response<Body> {
        let refusal = match self.posted(head, came, query, body).await {
            Ok(answer) => return answer.map(Body::from),
            Err(Failure::Refused(refusal)) => refusal,
            Err(Failure::Failed(failure)) => return error::answer(failure),
        };
        self.metrics.rejected(refusal.reason());
        debug!(error = %refusal, "refused");
        error::refused(&refusal).map(Body::from)
    }

    async fn posted(
        &self,
        head: &HeaderMap,
        mut came: Came,
        query: &Arc<Query>,
        body: RequestBody,
    ) -> Result<Response<Bytes>, Failure> {
        let bucket = BucketName::parse(came.bucket.as_deref().unwrap_or_default())?;
        let kind = head.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let mut reader = Reader {
            form: Form::new(kind.unwrap_or_default())?,
            body,
        };
        let (mut fields, file) = reader.fields().await?;
        // Whatever the form says: this is the bucket that is posted to.
        fields.set("bucket", bucket.as_str());
        let named = fields.expand_key(&file);
        let (by, policy, signed) = self.signed(&fields)?;
        came.signed = signed;
        Origin::note_signer(&by);
        came.key = Some(fields.get("key").unwrap_or_default().to_owned());
        let asked = as_headers(&fields, head);
        let none = HeaderMap::new();
        let asking = Asking::new(&came, &by, asked.as_ref().unwrap_or(&none), query);
        self.rights.check(&asking).await?;
        named?;
        if let Some(policy) = &policy {
            policy.check(&fields, headers::now_ms())?;
        }
        let key = ObjectKey::parse(fields.get("key").unwrap_or_default())?;
        let asked = asked?;
        headers::refuse_unsupported(&asked, Operation::PostObject)?;
        let (operation, name) = (came.operation, Some(bucket.as_str()));
        self.rights.check_owner(operation, &asked, name).await?;
        let len = policy.map_or(0..=u64::MAX, |policy| policy.len);
        let mut metadata = headers::metadata(&asked, self.objects.classes())?;
        acl::give(&self.rights, &asking, &bucket, &asked, &mut metadata).await?;
        let put = PutObject {
            bucket: bucket.clone(),
            key: key.clone(),
            metadata,
            body: incoming(&asked, reader, *len.start(), *len.end())?,
            conditions: headers::write_conditions(&asked),
            by,
        };
        let putting = self.objects.put(put);
        let written = match Origin::current() {
            Some(origin) => origin.form().within(putting).await?,
            None => putting.await?,
        };
        let location = self.location(head, bucket.as_str(), key.as_str());
        let posted = Posted {
            bucket: bucket.as_str(),
            key: key.as_str(),
            etag: &written.etag.to_string(),
            location: location.as_deref(),
        };
        let mut answer = answer(&fields, &posted);
        tell_kept(&written, answer.headers_mut());
        Ok(answer)
    }

    /// Who signed the form, and what its policy says; nobody and nothing for an anonymous form.
    fn signed(&self, fields: &Fields) -> Result<(Caller, Option<Policy>, Signed), Failure> {
        if fields.get("x-amz-security-token").is_some() {
            return Err(Refusal::SecurityToken.into());
        }
        let Some(claim) = Claim::of(fields)? else {
            return Ok((Caller::Anonymous, None, Signed::No));
        };
        match &claim {
            Claim::V4 { region, .. } if *region != self.region => {
                return Err(Failure::Refused(Refusal::WrongRegion {
                    given: region.clone(),
                    expected: self.region.clone(),
                    presigned: true,
                }));
            }
            Claim::V2 { .. } if !self.sigv2 => return Err(Refusal::SignatureV2.into()),
            Claim::V4 { .. } | Claim::V2 { .. } => {}
        }
        let found = self.rights.credentials.find(claim.access_key());
        let (secret, identity) = found.ok_or_else(error::unknown_access_key)?;
        let text = fields.get("policy").unwrap_or_default();
        claim.verify(text, &secret)?;
        claim.check_age(headers::now_ms())?;
        let signed = Signed::Form(match claim {
            Claim::V4 { .. } => V4,
            Claim::V2 { .. } => V2,
        });
        Ok((Caller::Known(identity), Some(Policy::decode(text)?), signed))
    }

    /// Where the object is, as this client reaches it. (Behind a proxy the scheme may be another.)
    fn location(&self, head: &HeaderMap, bucket: &str, key: &str) -> Option<String> {
        let host = head.get(HOST)?.to_str().ok()?;
        let key: Vec<String> = key
            .split('/')
            .map(|piece| utf8_percent_encode(piece, ENCODED).to_string())
            .collect();
        let folder = match self.domains.bucket(host) {
            Some(_) => String::new(),
            None => format!("/{bucket}"),
        };
        Some(format!("http://{host}{folder}/{}", key.join("/")))
    }
}

/// What the fields ask for, as the headers of a PutObject would. Of the headers of the request
/// itself only conditions count: to overlook one would overwrite an object.
fn as_headers(fields: &Fields, head: &HeaderMap) -> Result<HeaderMap, Failure> {
    let mut asked = HeaderMap::new();
    for name in ["if-match", "if-none-match"] {
        let name = HeaderName::from_static(name);
        for value in head.get_all(&name) {
            asked.append(name.clone(), value.clone());
        }
    }
    for (name, value) in fields.iter() {
        let (name, value) = match name {
            "acl" => ("x-amz-acl", value.to_owned()),
            "tagging" => ("x-amz-tagging", tagging(value)?),
            name if SIGNING.contains(&name) => continue,
            name if HEADERS.contains(&name) || name.starts_with("x-amz-") => {
                (name, value.to_owned())
            }
            _ => continue,
        };
        let bad = |why| PostError::BadField {
            name: name.to_owned(),
            why,
        };
        let header = HeaderName::try_from(name).map_err(|_| bad("it cannot be a header's name"))?;
        let value = HeaderValue::try_from(value).map_err(|_| bad("it cannot be in a header"))?;
        if asked.insert(header, value).is_some() && name.starts_with("x-amz-") {
            return Err(bad("it is given twice, once by its short name").into());
        }
    }
    Ok(asked)
}

/// Tags in a form are a document.
fn tagging(document: &str) -> Result<String, Failure> {
    documents::check(document.as_bytes())?;
    let mut reader = s3s::xml::Deserializer::new(document.as_bytes());
    let read = s3s::xml::Deserialize::deserialize(&mut reader);
    let malformed = |_| error::malformed_xml("The XML you provided was not well-formed");
    let tagging: Tagging = read.map_err(malformed)?;
    reader.expect_eof().map_err(malformed)?;
    let mut text = form_urlencoded::Serializer::new(String::new());
    for tag in tagging.tag_set {
        let (Some(key), Some(value)) = (tag.key, tag.value) else {
            return Err(error::malformed_xml("a tag has a Key and a Value").into());
        };
        text.append_pair(&key, &value);
    }
    Ok(text.finish())
}

/// A form and the rest of the body that it is in.
struct Reader {
    form: Form,
    body: RequestBody,
}

impl Reader {
    /// The fields before the file, and the file's name.
    async fn fields(&mut self) -> Result<(Fields, String), GatewayError> {
        let mut fields = Fields::default();
        loop {
            match self.piece().await.map_err(GatewayError::Body)? {
                Some(Piece::Field { name, value }) => fields.add(&name, value)?,
                Some(Piece::File { name }) => return Ok((fields, name)),
                Some(Piece::Data(_)) | None => return Err(PostError::NoFile.into()),
            }
        }
    }

    /// The next piece; `None` after the end of the body.
    async fn piece(&mut self) -> Result<Option<Piece>, BodyError> {
        loop {
            if let Some(piece) = self.form.piece()? {
                return Ok(Some(piece));
            }
            match self.body.frame().await {
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        self.form.push(data);
                    }
                }
                None => {
                    self.form.finish()?;
                    return Ok(None);
                }
            }
        }
    }
}

/// A file that is passed on.
struct File {
    reader: Reader,
    /// Bytes so far.
    len: Arc<AtomicU64>,
    max: u64,
}

impl File {
    async fn chunk(mut self) -> Result<Option<(Bytes, Self)>, BodyError> {
        let Some(Piece::Data(bytes)) = self.reader.piece().await? else {
            return Ok(None);
        };
        let more = bytes.len() as u64;
        let len = self.len.fetch_add(more, Ordering::Relaxed) + more;
        match len <= self.max {
            true => Ok(Some((bytes, self))),
            false => Err(PostError::FileTooLong { max: self.max }.into()),
        }
    }
}

/// The file as the body of a write.
fn incoming(
    asked: &HeaderMap,
    reader: Reader,
    min: u64,
    max: u64,
) -> Result<Incoming, GatewayError> {
    let claimed = claims::claims(asked, None)?;
    let len = Arc::new(AtomicU64::new(0));
    let file = File {
        reader,
        len: Arc::clone(&len),
        max: max.min(PUT_LEN_MAX),
    };
    let stream: BodyStream = Box::pin(futures::stream::try_unfold(file, File::chunk));
    // Asked after the last byte.
    let claims = move || {
        let len = len.load(Ordering::Relaxed);
        match len >= min {
            true => (claimed.claims)(),
            false => Err(PostError::FileTooShort { len, min }.into()),
        }
    };
    Ok(Incoming {
        stream,
        len: None,
        checksum: claimed.kind,
        claims: Box::new(claims),
    })
}

/// Version and checksum that were kept, as PutObject tells them.
fn tell_kept(written: &WrittenObject, headers: &mut HeaderMap) {
    let version = written.version.map(|version| version.to_string());
    if let Some(Ok(value)) = version.map(HeaderValue::try_from) {
        headers.insert(VERSION_ID, value);
    }
    let expires = written.expires.as_ref().map(expiration);
    if let Some(Ok(value)) = expires.map(HeaderValue::try_from) {
        headers.insert("x-amz-expiration", value);
    }
    let Some(sum) = &written.checksum else {
        return;
    };
    if let Ok(value) = HeaderValue::try_from(checksum_text(sum, None)) {
        headers.insert(checksum_header(sum.kind), value);
    }
    let covers = HeaderValue::from_static(checksum_type_name(sum.covers));
    headers.insert("x-amz-checksum-type", covers);
}
