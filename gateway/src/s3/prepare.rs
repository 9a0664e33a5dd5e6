//! Between the two passes through the library: the first verifies the signature, the second parses,
//! dispatches and serialises.
//!
//! Owns: authorisation; what the second pass sees of a request.
//! Leaves to others: the signature (first pass), the operations (second pass).
//! Always: the second pass, and what it knows nothing of and is done before it, sees a request only
//! after it was authenticated, authorised and cleaned;
//! headers that the library reads more strictly than AWS, or acts on without our knowing, never
//! reach it.

use std::sync::Arc;

use form_urlencoded::Serializer;
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::route::S3Route;
use s3s::service::S3Service;
use s3s::{Body, S3Request, S3Response, S3Result, TrailingHeaders};

use super::asking::{Asking, Came};
use super::claims::{claims, md5_only, verify_document};
use super::gate::Rights;
use super::object::rename;
use super::{documents, error, headers};
use crate::auth::{Caller, Credentials, Identity, Operation, Served};
use crate::error::GatewayError;
use crate::http::{BodyHandle, Query};
use crate::notify::Origin;

/// What the outer layer knows of a request; travels with it through both passes.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The operation, from the closed list, what it is for and where it comes from.
    pub came: Came,
    /// The query.
    pub query: Arc<Query>,
    /// The raw body.
    pub handle: BodyHandle,
    /// Who signed, as far as the first pass does not find that out.
    pub by: Caller,
}

/// A verified and authorised request.
#[derive(Debug)]
pub(super) struct Prepared {
    /// What was asked for, and by whom.
    pub asking: Asking,
    /// Who asks.
    pub by: Caller,
    /// The headers, all verified, with those that a presigned URL carries in its query.
    pub headers: HeaderMap,
    /// The trailers, once the body has passed.
    pub trailers: Option<TrailingHeaders>,
    /// The raw body.
    pub handle: BodyHandle,
}

impl Prepared {
    /// What [`Verified`] attached to a request.
    ///
    /// # Errors
    /// `AccessDenied` if it is missing: then the request did not come this way.
    pub fn of<T>(request: &S3Request<T>) -> S3Result<Arc<Self>> {
        let attached = request.extensions.get::<Arc<Self>>();
        attached.cloned().ok_or_else(error::access_denied)
    }

    /// That somebody signed: only then an answer may have headers of the request's choice.
    ///
    /// # Errors
    /// `InvalidRequest`.
    pub fn signed(&self) -> Result<(), GatewayError> {
        match self.by {
            Caller::Known(_) => Ok(()),
            Caller::Anonymous => Err(GatewayError::InvalidRequest {
                why: "Request specific response headers cannot be used for anonymous GET requests."
                    .to_owned(),
            }),
        }
    }

    /// Who signed.
    ///
    /// # Errors
    /// `AccessDenied` if nobody did.
    pub fn identity(&self) -> S3Result<&Identity> {
        self.by.identity().ok_or_else(error::access_denied)
    }
}

/// Looks up secrets for the first pass.
pub(super) struct Lookup(pub Arc<dyn Credentials>);

#[async_trait::async_trait]
impl S3Auth for Lookup {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let found = self.0.find(access_key);
        let (secret, _) = found.ok_or_else(error::unknown_access_key)?;
        Ok(SecretKey::from(secret.expose()))
    }
}

/// There is nothing to verify in the second pass, and so nothing to look up.
pub(super) struct NoLookup;

#[async_trait::async_trait]
impl S3Auth for NoLookup {
    async fn get_secret_key(&self, _: &str) -> S3Result<SecretKey> {
        Err(error::access_denied())
    }
}

/// The end of the first pass: every request goes on to the second, through here only.
pub(super) struct Verified {
    /// The second pass.
    pub inner: S3Service,
    /// Who may do what.
    pub rights: Rights,
}

#[async_trait::async_trait]
impl S3Route for Verified {
    fn is_match(&self, _: &Method, _: &Uri, _: &HeaderMap, _: &mut http::Extensions) -> bool {
        true
    }

    async fn check_access(&self, request: &mut S3Request<Body>) -> S3Result<()> {
        let asked = asked(request)?;
        let by = match request.credentials.as_ref() {
            None => asked.by.clone(),
            Some(signed) => {
                // The key may have gone since the signature was verified.
                let found = self.rights.credentials.find(&signed.access_key);
                let (_, identity) = found.ok_or_else(error::unknown_access_key)?;
                Caller::Known(identity)
            }
        };
        Origin::note_signer(&by);
        hoist(&asked.query, &mut request.headers);
        let asking = Asking::new(&asked.came, &by, &request.headers, &asked.query);
        self.rights.admit(&asking).await?;
        request.extensions.insert(asking);
        Ok(())
    }

    async fn call(&self, mut request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let asked = asked(&request)?;
        let asking = request.extensions.remove::<Asking>();
        let mut asking = asking.ok_or_else(error::access_denied)?;
        let operation = asking.operation;
        if operation.served() == Served::Later {
            return Err(error::not_served(operation));
        }
        headers::refuse_unsupported(&request.headers, operation)?;
        if operation == Operation::RenameObject {
            let body = documents::collect(&mut request.input, &asked.handle).await?;
            // Meanwhile the bucket may have become another's.
            self.rights.check(&asking).await?;
            let body = (&body, request.trailing_headers.take());
            rename(&self.rights, &asking, &request.headers, body).await?;
            return Ok(S3Response::with_status(Body::empty(), StatusCode::OK));
        }
        let body = match documents::has_document(operation) {
            false => request.input,
            true => {
                let document = documents::collect(&mut request.input, &asked.handle).await?;
                let trailers = request.trailing_headers.take();
                let claimed = match operation {
                    // There a checksum is that of the object to be.
                    Operation::CompleteMultipartUpload => md5_only(&request.headers)?,
                    _ => claims(&request.headers, trailers)?,
                };
                verify_document(claimed, &document)?;
                if operation != Operation::PutBucketPolicy {
                    documents::check(&document)?;
                }
                asking.read(&document);
                Body::from(document)
            }
        };
        let mut second = http::Request::new(body);
        *second.method_mut() = request.method;
        *second.uri_mut() = uri(&request.uri, &asked.query)?;
        *second.headers_mut() = needed(&request.headers);
        let prepared = Prepared {
            by: asking.by.clone(),
            asking,
            headers: request.headers,
            trailers: request.trailing_headers,
            handle: asked.handle,
        };
        second.extensions_mut().insert(Arc::new(prepared));
        let answer = self.inner.call(second).await;
        let answer = answer.map_err(|error| s3s::S3Error::internal_error(Failed(error)))?;
        let (parts, body) = answer.into_parts();
        Ok(S3Response {
            output: body,
            status: Some(parts.status),
            headers: parts.headers,
            extensions: parts.extensions,
        })
    }
}

/// The library could not serialise an answer.
#[derive(Debug, thiserror::Error)]
#[error("{0:?}")]
struct Failed(s3s::HttpError);

fn asked<T>(request: &S3Request<T>) -> S3Result<Asked> {
    let asked = request.extensions.get::<Asked>();
    asked.cloned().ok_or_else(error::access_denied)
}

/// The last gate: the library must have found the very operation that was authorised, on the very
/// bucket and key; and where a document had to arrive first, the operation must be allowed with all
/// that it says, and still: meanwhile a bucket may have become another's.
pub(super) struct Gate(pub Rights);

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let found = Operation::from_name(context.s3_op().name());
        let prepared = context.extensions_mut().get::<Arc<Prepared>>().cloned();
        let (Some(found), Some(prepared)) = (found, prepared) else {
            return Err(error::access_denied());
        };
        let asking = &prepared.asking;
        let (bucket, key) = (asking.bucket.as_deref(), asking.key.as_deref());
        let path = context.s3_path();
        let same = found == asking.operation
            && path.get_bucket_name() == bucket
            && path.get_object_key() == key;
        if !same {
            return Err(error::access_denied());
        }
        if documents::has_document(found) {
            self.0.check(asking).await?;
        }
        self.0.check_owner(found, &prepared.headers, bucket).await
    }
}

/// Presigned URLs may carry headers in the (signed) query. Checksums among them are those of the
/// signer's empty body, as SDKs put them there without being asked, and say nothing about this one.
fn hoist(query: &Query, headers: &mut HeaderMap) {
    for (name, value) in query.pairs() {
        let name = name.to_ascii_lowercase();
        let checksum = name.starts_with("x-amz-checksum-") && name != "x-amz-checksum-mode";
        let header = name.starts_with("x-amz-") && name != "x-amz-sdk-checksum-algorithm";
        if !header || checksum {
            continue;
        }
        let name = HeaderName::try_from(name);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            headers.entry(name).or_insert(value);
        }
    }
}

/// The headers that the second pass needs; all others are read by us.
fn needed(headers: &HeaderMap) -> HeaderMap {
    let source = HeaderName::from_static("x-amz-copy-source");
    // It only has to be there.
    let attributes = HeaderName::from_static("x-amz-object-attributes");
    let mut needed = HeaderMap::new();
    for name in [HOST, CONTENT_LENGTH, source, attributes] {
        if let Some(value) = headers.get(&name) {
            needed.insert(name, value.clone());
        }
    }
    needed
}

/// The URI without the signature and without headers.
fn uri(uri: &Uri, query: &Query) -> S3Result<Uri> {
    let Some(_) = uri.query() else {
        return Ok(uri.clone());
    };
    let mut kept = Serializer::new(String::new());
    for (name, value) in query.pairs() {
        let header = name
            .get(..6)
            .is_some_and(|head| head.eq_ignore_ascii_case("x-amz-"));
        if !header && name != "x-id" {
            kept.append_pair(name, value);
        }
    }
    let text = format!("{}?{}", uri.path(), kept.finish());
    Uri::try_from(text).map_err(s3s::S3Error::internal_error)
}
