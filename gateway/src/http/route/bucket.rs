//! Operations on buckets.

use http::{HeaderMap, Method};

use super::{Found, named};
use crate::auth::Operation as O;
use crate::http::{Query, Refusal};
use crate::post::form;

/// The last three are what a redirect after a form adds; they say nothing here.
const LIST: [&str; 8] = [
    "delimiter",
    "encoding-type",
    "marker",
    "max-keys",
    "prefix",
    "bucket",
    "key",
    "etag",
];
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

const GET: [Found; 21] = [
    (O::GetBucketLocation, &["location"]),
    (O::GetBucketVersioning, &["versioning"]),
    (O::GetBucketAcl, &["acl"]),
    (O::GetBucketPolicy, &["policy"]),
    (O::GetBucketPolicyStatus, &["policyStatus"]),
    (O::GetBucketOwnershipControls, &["ownershipControls"]),
    (O::GetPublicAccessBlock, &["publicAccessBlock"]),
    (O::GetBucketRequestPayment, &["requestPayment"]),
    (O::GetBucketTagging, &["tagging"]),
    (O::GetBucketCors, &["cors"]),
    // What mc asks besides, it takes from a header that need not be there.
    (
        O::GetBucketLifecycleConfiguration,
        &["lifecycle", "withUpdatedAt"],
    ),
    (O::GetObjectLockConfiguration, &["object-lock"]),
    (O::GetBucketEncryption, &["encryption"]),
    (O::GetBucketLogging, &["logging"]),
    (O::GetBucketNotificationConfiguration, &["notification"]),
    (O::GetBucketWebsite, &["website"]),
    (O::GetBucketReplication, &["replication"]),
    (O::GetBucketAccelerateConfiguration, &["accelerate"]),
    (O::GetBucketMetadataTableConfiguration, &["metadataTable"]),
    (O::ListMultipartUploads, &LIST_UPLOADS),
    (O::ListObjectVersions, &LIST_VERSIONS),
];
/// Subresources of which there may be many: with an id one of them, without a list.
const GET_ONE: [Found; 4] = [
    (O::GetBucketAnalyticsConfiguration, &["analytics", "id"]),
    (
        O::GetBucketIntelligentTieringConfiguration,
        &["intelligent-tiering", "id"],
    ),
    (O::GetBucketInventoryConfiguration, &["inventory", "id"]),
    (O::GetBucketMetricsConfiguration, &["metrics", "id"]),
];
const GET_MANY: [Found; 4] = [
    (
        O::ListBucketAnalyticsConfigurations,
        &["analytics", "continuation-token"],
    ),
    (
        O::ListBucketIntelligentTieringConfigurations,
        &["intelligent-tiering", "continuation-token"],
    ),
    (
        O::ListBucketInventoryConfigurations,
        &["inventory", "continuation-token"],
    ),
    (
        O::ListBucketMetricsConfigurations,
        &["metrics", "continuation-token"],
    ),
];
const PUT: [Found; 20] = [
    (O::PutBucketVersioning, &["versioning"]),
    (O::PutBucketAcl, &["acl"]),
    (O::PutBucketPolicy, &["policy"]),
    (O::PutBucketOwnershipControls, &["ownershipControls"]),
    (O::PutPublicAccessBlock, &["publicAccessBlock"]),
    (O::PutBucketRequestPayment, &["requestPayment"]),
    (O::PutBucketTagging, &["tagging"]),
    (O::PutBucketCors, &["cors"]),
    (O::PutBucketLifecycleConfiguration, &["lifecycle"]),
    (O::PutObjectLockConfiguration, &["object-lock"]),
    (O::PutBucketEncryption, &["encryption"]),
    (O::PutBucketLogging, &["logging"]),
    (O::PutBucketNotificationConfiguration, &["notification"]),
    (O::PutBucketWebsite, &["website"]),
    (O::PutBucketReplication, &["replication"]),
    (O::PutBucketAccelerateConfiguration, &["accelerate"]),
    (O::PutBucketAnalyticsConfiguration, &["analytics", "id"]),
    (
        O::PutBucketIntelligentTieringConfiguration,
        &["intelligent-tiering", "id"],
    ),
    (O::PutBucketInventoryConfiguration, &["inventory", "id"]),
    (O::PutBucketMetricsConfiguration, &["metrics", "id"]),
];
const DELETE: [Found; 14] = [
    (O::DeleteBucketPolicy, &["policy"]),
    (O::DeleteBucketOwnershipControls, &["ownershipControls"]),
    (O::DeletePublicAccessBlock, &["publicAccessBlock"]),
    (O::DeleteBucketTagging, &["tagging"]),
    (O::DeleteBucketCors, &["cors"]),
    (O::DeleteBucketLifecycle, &["lifecycle"]),
    (O::DeleteBucketEncryption, &["encryption"]),
    (O::DeleteBucketWebsite, &["website"]),
    (O::DeleteBucketReplication, &["replication"]),
    (O::DeleteBucketAnalyticsConfiguration, &["analytics", "id"]),
    (
        O::DeleteBucketIntelligentTieringConfiguration,
        &["intelligent-tiering", "id"],
    ),
    (O::DeleteBucketInventoryConfiguration, &["inventory", "id"]),
    (O::DeleteBucketMetricsConfiguration, &["metrics", "id"]),
    (
        O::DeleteBucketMetadataTableConfiguration,
        &["metadataTable"],
    ),
];

pub(super) fn find(method: &Method, query: &Query, headers: &HeaderMap) -> Result<Found, Refusal> {
    Ok(match *method {
        Method::GET => get(query)?,
        Method::HEAD => (O::HeadBucket, &[]),
        Method::PUT => named(&PUT, query).unwrap_or((O::CreateBucket, &[])),
        Method::POST => post(query, headers)?,
        Method::DELETE => named(&DELETE, query).unwrap_or((O::DeleteBucket, &[])),
        _ => return Err(Refusal::MethodNotAllowed),
    })
}

fn get(query: &Query) -> Result<Found, Refusal> {
    let many = match query.has("id") {
        true => &GET_ONE,
        false => &GET_MANY,
    };
    if let Some(found) = named(&GET, query).or_else(|| named(many, query)) {
        return Ok(found);
    }
    match query.get("list-type") {
        None => Ok((O::ListObjects, &LIST)),
        Some("2") => Ok((O::ListObjectsV2, &LIST_V2)),
        Some(_) => Err(Refusal::BadQuery {
            name: "list-type",
            why: "it must be 2",
        }),
    }
}

fn post(query: &Query, headers: &HeaderMap) -> Result<Found, Refusal> {
    let kind = headers.get(http::header::CONTENT_TYPE);
    let kind = kind
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let multipart = kind
        .trim_start()
        .to_ascii_lowercase()
        .starts_with("multipart/");
    let metadata_table = (
        O::CreateBucketMetadataTableConfiguration,
        &["metadataTable"][..],
    );
    match (query.has("delete"), query.has("metadataTable")) {
        (true, _) if !multipart => Ok((O::DeleteObjects, &["delete"])),
        (false, true) if !multipart => Ok(metadata_table),
        (false, false) if form::is_form(kind) => Ok((O::PostObject, &[])),
        (false, false) if query.pairs().next().is_none() => Err(Refusal::NotAForm),
        _ => Err(Refusal::Unsupported {
            what: "POST of a bucket with another subresource than delete".to_owned(),
        }),
    }
}
