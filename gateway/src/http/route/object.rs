//! Operations on objects and uploads.

use http::{HeaderMap, Method};

use super::{Found, named};
use crate::auth::Operation as O;
use crate::http::{Query, Refusal};

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

const GET: [Found; 7] = [
    (O::GetObjectAttributes, &["attributes", "versionId"]),
    (O::GetObjectAcl, &["acl", "versionId"]),
    (O::GetObjectTagging, &["tagging", "versionId"]),
    (O::GetObjectRetention, &["retention", "versionId"]),
    (O::GetObjectLegalHold, &["legal-hold", "versionId"]),
    (O::GetObjectTorrent, &["torrent", "versionId"]),
    (
        O::ListParts,
        &[
            "uploadId",
            "max-parts",
            "part-number-marker",
            "encoding-type",
        ],
    ),
];
const PUT: [Found; 5] = [
    (O::RenameObject, &["renameObject"]),
    (O::PutObjectAcl, &["acl", "versionId"]),
    (O::PutObjectTagging, &["tagging", "versionId"]),
    (O::PutObjectRetention, &["retention", "versionId"]),
    (O::PutObjectLegalHold, &["legal-hold", "versionId"]),
];
const POST: [Found; 4] = [
    (O::CreateMultipartUpload, &["uploads"]),
    (O::CompleteMultipartUpload, &["uploadId"]),
    (O::RestoreObject, &["restore", "versionId"]),
    (O::SelectObjectContent, &["select", "select-type"]),
];
const DELETE: [Found; 2] = [
    (O::AbortMultipartUpload, &["uploadId"]),
    (O::DeleteObjectTagging, &["tagging", "versionId"]),
];

pub(super) fn find(method: &Method, query: &Query, headers: &HeaderMap) -> Result<Found, Refusal> {
    Ok(match *method {
        Method::GET => named(&GET, query).unwrap_or((O::GetObject, &READ)),
        Method::HEAD => (O::HeadObject, &READ),
        Method::PUT => named(&PUT, query).unwrap_or_else(|| write(query, headers)),
        Method::POST => named(&POST, query).ok_or_else(|| Refusal::Unsupported {
            what: "POST of an object without uploads or uploadId".to_owned(),
        })?,
        Method::DELETE => named(&DELETE, query).unwrap_or((O::DeleteObject, &["versionId"])),
        _ => return Err(Refusal::MethodNotAllowed),
    })
}

fn write(query: &Query, headers: &HeaderMap) -> Found {
    // A presigned URL may carry the source in the query instead of a header.
    let source = "x-amz-copy-source";
    let copy = headers.contains_key(source)
        || query
            .pairs()
            .any(|(name, _)| name.eq_ignore_ascii_case(source));
    let part = query.has("partNumber") && query.has("uploadId");
    match (part, copy) {
        (true, true) => (O::UploadPartCopy, &PART),
        (true, false) => (O::UploadPart, &PART),
        (false, true) => (O::CopyObject, &[]),
        (false, false) => (O::PutObject, &[]),
    }
}
