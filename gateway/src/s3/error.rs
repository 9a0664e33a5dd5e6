//! S3's error codes: the only place that knows them.
//!
//! Owns: the code, status and text of every failure.
//! Leaves to others: request ids and the resource, which are added to every answer (`answer`).
//! Always: a new failure has to be decided here before anything compiles; nothing internal is
//! shown.

use std::error::Error as _;

use bytes::Bytes;
use holdfast_index::IndexError;
use holdfast_policy::PolicyError;
use holdfast_store::StoreError;
use http::header::{ALLOW, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use s3s::{Body, S3Error, S3ErrorCode as Code};
use tracing::{error, warn};

use super::values::{VERSION_ID, http_date};
use crate::auth::Operation;
use crate::error::{BodyError, GatewayError};
use crate::http::Refusal;
use crate::post::PostError;
use crate::settings::Setting;

const INTERNAL: &str = "We encountered an internal error. Please try again.";
const DELETE_MARKER: HeaderName = HeaderName::from_static("x-amz-delete-marker");
/// Seconds after which a client may try again.
const RETRY_SECONDS: &str = "2";

impl From<GatewayError> for S3Error {
    fn from(error: GatewayError) -> Self {
        let code = code(&error);
        let mut answer = S3Error::new(code.clone());
        match message(&error, &code) {
            Some(text) => answer.set_message(text),
            None => answer.set_message(INTERNAL),
        }
        if let Some(status) = custom_status(&code) {
            answer.set_status_code(status);
        }
        if let Some(headers) = headers(&error, &code) {
            answer.set_headers(headers);
        }
        report(&error, &code);
        answer
    }
}

fn code(error: &GatewayError) -> Code {
    use GatewayError as E;
    match error {
        E::InvalidBucketName { .. } => Code::InvalidBucketName,
        E::KeyTooLong { .. } => Code::KeyTooLongError,
        E::InvalidArgument { name, .. } => match *name {
            "x-amz-storage-class" => Code::InvalidStorageClass,
            "x-amz-tagging" => Code::InvalidTag,
            _ => Code::InvalidArgument,
        },
        E::MalformedDocument { .. } => Code::MalformedXML,
        E::InvalidTag { .. } => Code::InvalidTag,
        E::NotConfigured { setting } => absent(*setting),
        E::InvalidRequest { .. } => Code::InvalidRequest,
        E::NoSuchEntity { .. } => Code::Custom("NoSuchEntity".into()),
        E::NoSuchBucket { .. } => Code::NoSuchBucket,
        E::BucketExists { owned: true, .. } => Code::BucketAlreadyOwnedByYou,
        E::BucketExists { owned: false, .. } => Code::BucketAlreadyExists,
        E::BucketNotEmpty { .. } => Code::BucketNotEmpty,
        E::NoSuchKey { .. } => Code::NoSuchKey,
        E::NoSuchVersion { .. } => Code::NoSuchVersion,
        E::DeleteMarker {
            was_named: false, ..
        } => Code::NoSuchKey,
        E::DeleteMarker { .. } => Code::MethodNotAllowed,
        E::InvalidBucketState { .. } => Code::InvalidBucketState,
        E::InvalidRetentionPeriod => Code::Custom("InvalidRetentionPeriod".into()),
        E::MarkerHasNone => Code::MethodNotAllowed,
        E::NotLocked { .. } => Code::NoSuchObjectLockConfiguration,
        E::IllegalVersioning => Code::IllegalVersioningConfigurationException,
        E::NoSuchUpload { .. } => Code::NoSuchUpload,
        E::Precondition { .. } => Code::PreconditionFailed,
        E::NotModified { .. } => Code::NotModified,
        E::Conflict => Code::ConditionalRequestConflict,
        E::TokenMismatch => Code::Custom("IdempotencyParameterMismatch".into()),
        E::LogTarget { .. } => Code::InvalidTargetBucketForLogging,
        E::InvalidWriteOffset { .. } => Code::Custom("InvalidWriteOffset".into()),
        E::InvalidRange { .. } => Code::InvalidRange,
        E::NoSuchPart { .. } => Code::Custom("InvalidPartNumber".into()),
        E::InvalidPart { .. } => Code::InvalidPart,
        E::InvalidPartOrder { .. } => Code::InvalidPartOrder,
        E::PartTooSmall { .. } => Code::EntityTooSmall,
        E::TooLarge { .. } => Code::EntityTooLarge,
        E::MetadataTooLarge { .. } => Code::MetadataTooLarge,
        E::BadDigest { .. } => Code::BadDigest,
        E::InvalidDigest { what } => match *what {
            "Content-MD5" => Code::InvalidDigest,
            _ => Code::InvalidRequest,
        },
        E::IncompleteBody { .. } => Code::IncompleteBody,
        E::Body(body) => body_code(body),
        E::Post(post) => post_code(post),
        E::Policy(policy) => policy_code(policy),
        E::MalformedAcl { .. } => Code::MalformedACLError,
        E::NoAcl => Code::MissingSecurityHeader,
        E::UnexpectedContent => Code::UnexpectedContent,
        E::AclAgainstOwnership => Code::InvalidBucketAclWithObjectOwnership,
        E::NotAllowed | E::AccessDenied { .. } => Code::AccessDenied,
        E::NotImplemented { .. } => Code::NotImplemented,
        E::Busy { .. } => Code::SlowDown,
        E::Unavailable { .. } => Code::ServiceUnavailable,
        E::Store(store) => store_code(store),
        E::Index(index) => index_code(index),
        E::Internal { .. } => Code::InternalError,
    }
}

fn body_code(error: &BodyError) -> Code {
    match error {
        BodyError::Gone(_) | BodyError::Length { .. } => Code::IncompleteBody,
        BodyError::TooSlow => Code::RequestTimeout,
        BodyError::Signature(_) => Code::SignatureDoesNotMatch,
        BodyError::ContentSha256 => Code::Custom("XAmzContentSHA256Mismatch".into()),
        BodyError::Form(post) => post_code(post),
        BodyError::Malformed(_) => Code::InvalidRequest,
    }
}

fn post_code(error: &PostError) -> Code {
    match error {
        PostError::Malformed { .. } => Code::MalformedPOSTRequest,
        PostError::FieldsTooLong { .. } => Code::MaxPostPreDataLengthExceededError,
        PostError::NoFile => Code::IncorrectNumberOfFilesInPostRequest,
        PostError::NoKey => Code::UserKeyMustBeSpecified,
        PostError::FieldMissing { .. } | PostError::BadField { .. } => Code::InvalidArgument,
        PostError::InvalidPolicy { .. } => Code::InvalidPolicyDocument,
        PostError::Denied { .. } => Code::AccessDenied,
        PostError::Signature => Code::SignatureDoesNotMatch,
        PostError::FileTooLong { .. } => Code::EntityTooLarge,
        PostError::FileTooShort { .. } => Code::EntityTooSmall,
    }
}

fn policy_code(error: &PolicyError) -> Code {
    match error {
        PolicyError::Malformed { .. } => Code::MalformedPolicy,
        PolicyError::UnknownCanned { .. }
        | PolicyError::BadGrant { .. }
        | PolicyError::UnknownAccount { .. }
        | PolicyError::UnknownGroup { .. }
        | PolicyError::UnknownOwnership { .. } => Code::InvalidArgument,
        PolicyError::CannedAndGrants => Code::InvalidRequest,
        PolicyError::UnsupportedCanned { .. } => Code::NotImplemented,
        PolicyError::UnknownEmail { .. } => Code::UnresolvableGrantByEmailAddress,
        PolicyError::UnknownPermission { .. } | PolicyError::TooManyGrants { .. } => {
            Code::MalformedACLError
        }
        PolicyError::AclsOff => Code::AccessControlListNotSupported,
        PolicyError::Unreadable { .. } => Code::InternalError,
    }
}

fn store_code(error: &StoreError) -> Code {
    match error {
        // Also after a record was sent: then the write may still take effect, which 503 does not
        // deny.
        StoreError::WriteQuorum { .. }
        | StoreError::ReadQuorum { .. }
        | StoreError::NoCopy { .. }
        | StoreError::Fenced { .. }
        | StoreError::ShuttingDown => Code::ServiceUnavailable,
        StoreError::Body(source) => match body_cause(source.as_ref()) {
            Some(body) => body_code(body),
            None => Code::IncompleteBody,
        },
        StoreError::Format { .. } | StoreError::Code { .. } => Code::InternalError,
    }
}

fn index_code(error: &IndexError) -> Code {
    match error {
        IndexError::NotStarted | IndexError::Closed | IndexError::Broken { .. } => {
            Code::ServiceUnavailable
        }
        IndexError::InUse { .. }
        | IndexError::Open { .. }
        | IndexError::Foreign { .. }
        | IndexError::Read { .. }
        | IndexError::Damaged { .. }
        | IndexError::StaleOrder { .. }
        | IndexError::OldGeneration { .. }
        | IndexError::Unknown { .. }
        | IndexError::Reserved { .. }
        | IndexError::TooLong { .. } => Code::InternalError,
    }
}

/// The body's own error inside whatever carried it.
fn body_cause<'a>(mut error: &'a (dyn std::error::Error + 'static)) -> Option<&'a BodyError> {
    loop {
        if let Some(body) = error.downcast_ref::<BodyError>() {
            return Some(body);
        }
        error = error.source()?;
    }
}

/// What the client is told; `None` for what is our failure.
fn message(error: &GatewayError, code: &Code) -> Option<String> {
    let text = match error {
        GatewayError::Body(body) => body.to_string(),
        GatewayError::Store(StoreError::Body(source)) => match body_cause(source.as_ref()) {
            Some(body) => body.to_string(),
            None => "the body could not be read".to_owned(),
        },
        GatewayError::Store(StoreError::WriteQuorum { full: true, .. }) => {
            "the drives are full; deletes and reads still work".to_owned()
        }
        GatewayError::Store(_) | GatewayError::Index(_) | GatewayError::Internal { .. } => {
            return match *code {
                Code::ServiceUnavailable => {
                    Some("too few drives answer; nothing you have stored is lost".to_owned())
                }
                _ => None,
            };
        }
        other => other.to_string(),
    };
    Some(text)
}

/// Statuses of codes that the library does not know.
fn custom_status(code: &Code) -> Option<StatusCode> {
    match code.as_str() {
        "InvalidPartNumber" => Some(StatusCode::RANGE_NOT_SATISFIABLE),
        "IdempotencyParameterMismatch"
        | "InvalidRetentionPeriod"
        | "InvalidWriteOffset"
        | "XAmzContentSHA256Mismatch"
        | "InvalidBucketAclWithObjectOwnership" => Some(StatusCode::BAD_REQUEST),
        "NoSuchPublicAccessBlockConfiguration" | "NoSuchConfiguration" => {
            Some(StatusCode::NOT_FOUND)
        }
        _ => None,
    }
}

fn headers(error: &GatewayError, code: &Code) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    if matches!(code, Code::ServiceUnavailable | Code::SlowDown) {
        headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
    }
    match error {
        GatewayError::NotModified { etag, modified_ms } => {
            let etag = HeaderValue::try_from(format!("\"{etag}\"")).ok()?;
            headers.insert(ETAG, etag);
            headers.insert(
                LAST_MODIFIED,
                HeaderValue::try_from(http_date(*modified_ms)).ok()?,
            );
        }
        GatewayError::DeleteMarker {
            version,
            was_named,
            modified_ms,
            ..
        } => {
            headers.insert(DELETE_MARKER, HeaderValue::from_static("true"));
            let version = HeaderValue::try_from(version.to_string()).ok()?;
            headers.insert(VERSION_ID, version);
            if *was_named {
                headers.insert(ALLOW, HeaderValue::from_static("DELETE"));
                let modified = HeaderValue::try_from(http_date(*modified_ms)).ok()?;
                headers.insert(LAST_MODIFIED, modified);
            }
        }
        GatewayError::InvalidRange { len } => {
            let range = HeaderValue::try_from(format!("bytes */{len}")).ok()?;
            headers.insert(CONTENT_RANGE, range);
        }
        _ => {}
    }
    if headers.is_empty() {
        return None;
    }
    // The library replaces its own headers by these.
    let kind = HeaderValue::from_static("application/xml");
    headers.insert(CONTENT_TYPE, kind);
    Some(headers)
}

fn report(failure: &GatewayError, code: &Code) {
    let chain = chain(failure);
    match code {
        Code::InternalError => error!(error = %chain, "request failed"),
        Code::ServiceUnavailable => warn!(error = %chain, "request could not be served"),
        _ => {}
    }
}

fn chain(error: &GatewayError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// How S3 says that a setting is not configured.
fn absent(setting: Setting) -> Code {
    match setting {
        Setting::Policy => Code::NoSuchBucketPolicy,
        Setting::Lifecycle => Code::NoSuchLifecycleConfiguration,
        Setting::Cors => Code::NoSuchCORSConfiguration,
        Setting::Tagging => Code::NoSuchTagSet,
        Setting::Ownership => Code::OwnershipControlsNotFoundError,
        Setting::PublicAccessBlock => Code::Custom("NoSuchPublicAccessBlockConfiguration".into()),
        Setting::ObjectLock => Code::ObjectLockConfigurationNotFoundError,
        Setting::Website => Code::NoSuchWebsiteConfiguration,
        Setting::Inventory => Code::Custom("NoSuchConfiguration".into()),
    }
}

/// The code of a failure, for an entry of DeleteObjects' answer.
pub(super) fn code_and_message(error: GatewayError) -> (String, String) {
    let error = S3Error::from(error);
    let text = error.message().unwrap_or(INTERNAL).to_owned();
    (error.code().as_str().to_owned(), text)
}

/// S3 has the operation, and the caller may do it, but it is not done here.
pub(super) fn not_served(operation: Operation) -> S3Error {
    S3Error::from(GatewayError::NotImplemented {
        what: operation.name().to_owned(),
    })
}

/// Whether it says that there is no such object or version.
pub(super) fn is_absence(failure: &S3Error) -> bool {
    matches!(failure.code(), Code::NoSuchKey | Code::NoSuchVersion)
}

/// Access was denied, without saying why.
pub(super) fn access_denied() -> S3Error {
    S3Error::with_message(Code::AccessDenied, "Access Denied")
}

/// No such access key.
pub(super) fn unknown_access_key() -> S3Error {
    S3Error::with_message(
        Code::InvalidAccessKeyId,
        "The AWS Access Key Id you provided does not exist in our records.",
    )
}

/// Another method than what is asked for has.
pub(super) fn method_not_allowed() -> S3Error {
    S3Error::with_message(
        Code::MethodNotAllowed,
        "The specified method is not allowed against this resource.",
    )
}

/// A path that cannot be read.
pub(super) fn invalid_uri() -> S3Error {
    S3Error::with_message(Code::InvalidURI, Refusal::InvalidUri.to_string())
}

/// An XML document that is not what it should be.
pub(super) fn malformed_xml(why: &'static str) -> S3Error {
    S3Error::with_message(Code::MalformedXML, why)
}

/// The region of a new bucket is not ours.
pub(super) fn wrong_location(given: &str) -> S3Error {
    S3Error::with_message(
        Code::IllegalLocationConstraintException,
        format!("The {given} location constraint is incompatible for the region of this endpoint."),
    )
}

/// What to tell where the library tells only a code.
pub(super) fn default_message(document: &[u8]) -> &'static str {
    let has = |code: &str| {
        document
            .windows(code.len())
            .any(|window| window == code.as_bytes())
    };
    if has("SignatureDoesNotMatch") {
        return "The request signature we calculated does not match the signature you provided. \
                Check your key and signing method.";
    }
    if has("MissingRequestBodyError") {
        return "Request Body is empty";
    }
    if has("MalformedXML") {
        return "The XML you provided was not well-formed or did not validate against our \
                published schema.";
    }
    "The request could not be served."
}

/// The answer to a failure that does not pass through the library.
pub(super) fn answer(failure: S3Error) -> Response<Body> {
    let answer = failure.to_http_response();
    answer.unwrap_or_else(|failure| {
        error!(error = ?failure, "the answer could not be made");
        panicked().map(Body::from)
    })
}

/// A handler panicked.
pub(super) fn panicked() -> Response<Bytes> {
    document(
        Code::InternalError,
        StatusCode::INTERNAL_SERVER_ERROR,
        INTERNAL,
        "",
    )
}

/// The answer to a request that is refused before it is an operation.
pub(super) fn refused(refusal: &Refusal) -> Response<Bytes> {
    use Refusal as R;
    let code = match refusal {
        R::UnsignedHeader { .. } | R::NoDate | R::HostNotSigned | R::PartOfV2 | R::Expired => {
            Code::AccessDenied
        }
        R::SignedHeaderMissing { .. } | R::WrongSignature => Code::SignatureDoesNotMatch,
        R::UnknownKey => Code::InvalidAccessKeyId,
        R::Skewed => Code::RequestTimeTooSkewed,
        R::MalformedHeader { .. }
        | R::WrongRegion {
            presigned: false, ..
        } => Code::AuthorizationHeaderMalformed,
        R::MalformedQuery { .. }
        | R::WrongRegion {
            presigned: true, ..
        }
        | R::BadExpires => Code::AuthorizationQueryParametersError,
        R::SignatureV2 | R::NotCovered { .. } | R::AmbiguousFraming { .. } => Code::InvalidRequest,
        R::UnsupportedScheme
        | R::MalformedV2
        | R::TwoMechanisms
        | R::BadContentSha256
        | R::DuplicateQuery { .. }
        | R::BadQuery { .. } => Code::InvalidArgument,
        R::SecurityToken => Code::InvalidToken,
        R::InvalidUri => Code::InvalidURI,
        R::Unsupported { .. } => Code::NotImplemented,
        R::NotAForm => Code::PreconditionFailed,
        R::MethodNotAllowed => Code::MethodNotAllowed,
        R::NoCors | R::CorsDenied => Code::Custom("AccessForbidden".into()),
        R::BadPreflight { .. } => Code::Custom("BadRequest".into()),
        R::DocumentTooLarge { .. } => Code::MaxMessageLengthExceeded,
        R::NotServing { .. } => Code::ServiceUnavailable,
        R::Busy { .. } => Code::SlowDown,
    };
    let status = match (code.status_code(), refusal) {
        (Some(status), _) => status,
        (None, R::NoCors | R::CorsDenied) => StatusCode::FORBIDDEN,
        (None, _) => StatusCode::BAD_REQUEST,
    };
    let extra = match refusal {
        R::WrongRegion { expected, .. } => format!("<Region>{expected}</Region>"),
        _ => String::new(),
    };
    let busy = matches!(code, Code::ServiceUnavailable | Code::SlowDown);
    let mut response = document(code, status, &refusal.to_string(), &extra);
    if busy {
        let seconds = HeaderValue::from_static(RETRY_SECONDS);
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

fn document(code: Code, status: StatusCode, message: &str, extra: &str) -> Response<Bytes> {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Error><Code>{}</Code><Message>{}</Message>{extra}</Error>",
        code.as_str(),
        super::values::escape(message),
    );
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/xml");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
