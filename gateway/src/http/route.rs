//! Which operation a request asks for.
//!
//! Owns: the closed list of query parameters of each operation.
//! Leaves to others: reading their values (`s3`), permission (`auth`).
//! Always: a parameter that is not in the list of its operation is refused, so that no unknown
//! subresource falls through to the operation it modifies (`PUT /b/k?renameObject` must not be
//! PutObject).

use http::{HeaderMap, Method};

use super::{Query, Refusal, Target};
use crate::auth::Operation;

/// Parameters of any request: the signature's own and a hint of the SDKs.
const COMMON: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "x-id",
];
const LIST: [&str; 5] = ["delimiter", "encoding-type", "marker", "max-keys", "prefix"];
const LIST_V2: [&str; 8] = [
    "list-type",
    "continuation-token",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "max-keys",
    "prefix",
    "start-after",
];
const LIST_VERSIONS: [&str; 7] = [
    "versions",
    "delimiter",
    "encoding-type",
    "key-marker",
    "max-keys",
    "prefix",
    "version-id-marker",
];
const LIST_UPLOADS: [&str; 7] = [
    "uploads",
    "delimiter",
    "encoding-type",
    "key-marker",
    "max-uploads",
    "prefix",
    "upload-id-marker",
];
const LIST_PARTS: [&str; 4] = [
    "uploadId",
    "max-parts",
    "part-number-marker",
    "encoding-type",
];
const LIST_BUCKETS: [&str; 4] = [
    "bucket-region",
    "continuation-token",
    "max-buckets",
    "prefix",
];
const READ: [&str; 8] = [
    "partNumber",
    "versionId",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
];
const PART: [&str; 2] = ["partNumber", "uploadId"];

type Found = (Operation, &'static [&'static str]);

/// Finds the operation.
///
/// # Errors
/// `Unsupported` for anything that is not in the closed lists, `MethodNotAllowed`, `BadQuery`,
/// `NoCors`.
pub fn operation(
    method: &Method,
    target: &Target,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Operation, Refusal> {
    let (operation, allowed) = match (method, target) {
        (&Method::GET, Target::Root) => (Operation::ListBuckets, &LIST_BUCKETS[..]),
        (&Method::GET, Target::Bucket(_)) => get_bucket(query)?,
        (&Method::GET, Target::Object(..)) => get_object(query),
        (&Method::HEAD, Target::Bucket(_)) => (Operation::HeadBucket, &[][..]),
        (&Method::HEAD, Target::Object(..)) => (Operation::HeadObject, &READ[..]),
        (&Method::PUT, Target::Bucket(_)) => (Operation::CreateBucket, &[][..]),
        (&Method::PUT, Target::Object(..)) => put_object(query, headers),
        (&Method::POST, Target::Bucket(_)) => post_bucket(query, headers)?,
        (&Method::POST, Target::Object(..)) => post_object(query)?,
        (&Method::DELETE, Target::Bucket(_)) => (Operation::DeleteBucket, &[][..]),
        (&Method::DELETE, Target::Object(..)) => match query.has("uploadId") {
            true => (Operation::AbortMultipartUpload, &["uploadId"][..]),
            false => (Operation::DeleteObject, &["versionId"][..]),
        },
        (&Method::OPTIONS, _) => return Err(Refusal::NoCors),
        _ => return Err(Refusal::MethodNotAllowed),
    };
    for (name, _) in query.pairs() {
        let header = name
            .get(..6)
            .is_some_and(|head| head.eq_ignore_ascii_case("x-amz-"));
        if !header && !COMMON.contains(&name) && !allowed.contains(&name) {
            return Err(Refusal::Unsupported {
                what: format!("{method} with the parameter {name:?}"),
            });
        }
    }
    Ok(operation)
}

fn get_bucket(query: &Query) -> Result<Found, Refusal> {
    let subresources: [(Operation, &'static [&'static str]); 13] = [
        (Operation::GetBucketLocation, &["location"]),
        (Operation::GetBucketVersioning, &["versioning"]),
        (Operation::GetBucketAcl, &["acl"]),
        (Operation::GetBucketPolicy, &["policy"]),
        (Operation::GetBucketLifecycleConfiguration, &["lifecycle"]),
        (Operation::GetBucketCors, &["cors"]),
        (Operation::GetBucketTagging, &["tagging"]),
        (Operation::GetBucketRequestPayment, &["requestPayment"]),
        (
            Operation::GetBucketOwnershipControls,
            &["ownershipControls"],
        ),
        (Operation::GetPublicAccessBlock, &["publicAccessBlock"]),
        (Operation::GetObjectLockConfiguration, &["object-lock"]),
        (Operation::ListMultipartUploads, &LIST_UPLOADS),
        (Operation::ListObjectVersions, &LIST_VERSIONS),
    ];
    if let Some(found) = subresources.into_iter().find(|(_, p)| query.has(p[0])) {
        return Ok(found);
    }
    match query.get("list-type") {
        None => Ok((Operation::ListObjects, &LIST)),
        Some("2") => Ok((Operation::ListObjectsV2, &LIST_V2)),
        Some(_) => Err(Refusal::BadQuery {
            name: "list-type",
            why: "it must be 2",
        }),
    }
}

fn get_object(query: &Query) -> Found {
    if query.has("acl") {
        return (Operation::GetObjectAcl, &["acl", "versionId"]);
    }
    if query.has("tagging") {
        return (Operation::GetObjectTagging, &["tagging", "versionId"]);
    }
    if query.has("uploadId") {
        return (Operation::ListParts, &LIST_PARTS);
    }
    (Operation::GetObject, &READ)
}

fn put_object(query: &Query, headers: &HeaderMap) -> Found {
    // A presigned URL may carry the source in the query instead of a header.
    let source = "x-amz-copy-source";
    let copy = headers.contains_key(source)
        || query
            .pairs()
            .any(|(name, _)| name.eq_ignore_ascii_case(source));
    let part = query.has("partNumber") && query.has("uploadId");
    match (part, copy) {
        (true, true) => (Operation::UploadPartCopy, &PART),
        (true, false) => (Operation::UploadPart, &PART),
        (false, true) => (Operation::CopyObject, &[]),
        (false, false) => (Operation::PutObject, &[]),
    }
}

fn post_bucket(query: &Query, headers: &HeaderMap) -> Result<Found, Refusal> {
    let form = headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|text| {
            text.trim_start()
                .to_ascii_lowercase()
                .starts_with("multipart/")
        });
    match query.has("delete") && !form {
        true => Ok((Operation::DeleteObjects, &["delete"])),
        false => Err(Refusal::Unsupported {
            what: "POST of an object as a form".to_owned(),
        }),
    }
}

fn post_object(query: &Query) -> Result<Found, Refusal> {
    if query.has("uploads") {
        return Ok((Operation::CreateMultipartUpload, &["uploads"]));
    }
    if query.has("uploadId") {
        return Ok((Operation::CompleteMultipartUpload, &["uploadId"]));
    }
    Err(Refusal::Unsupported {
        what: "POST of an object without uploads or uploadId".to_owned(),
    })
}
