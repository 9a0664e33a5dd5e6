//! One line of an access log, in S3's standard format.
//!
//! Owns: the order and form of the 26 fields; the names of operations in logs.
//! Leaves to others: where the values come from (`s3`).
//! Always: what a client sent cannot end a field or a line.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::key::Time;
use crate::auth::Operation;

/// What is written in another way in a quoted field.
const QUOTED: AsciiSet = CONTROLS.add(b'"');
/// What is written in another way in a field without quotes.
const BARE: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/')
    .remove(b':')
    .remove(b'=')
    .remove(b'+')
    .remove(b',');

/// What is recorded of a request; what is empty is written as `-`.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The canonical id of the bucket's owner.
    pub owner: String,
    /// The bucket.
    pub bucket: String,
    /// When it came (milliseconds since 1970).
    pub time_ms: u64,
    /// Where from.
    pub peer: String,
    /// The canonical id of who signed.
    pub requester: String,
    /// `x-amz-request-id`.
    pub request: String,
    /// The operation, by S3's name in logs.
    pub operation: String,
    /// The key.
    pub key: String,
    /// Method, path and query, and the protocol.
    pub line: String,
    /// The status.
    pub status: u16,
    /// S3's code, of an error.
    pub error: String,
    /// Bytes of the answer's body.
    pub sent: u64,
    /// Bytes of the object.
    pub size: Option<u64>,
    /// Milliseconds until the last byte of the answer.
    pub total_ms: u64,
    /// Milliseconds until its first byte.
    pub turnaround_ms: u64,
    /// `Referer`.
    pub referer: String,
    /// `User-Agent`.
    pub agent: String,
    /// The version.
    pub version: String,
    /// `x-amz-id-2`.
    pub host_id: String,
    /// `SigV4` or `SigV2`.
    pub signature: &'static str,
    /// `AuthHeader` or `QueryString`.
    pub auth: &'static str,
    /// `Host`.
    pub host: String,
}

impl Record {
    /// The line, with its end.
    pub fn line(&self) -> String {
        let bare = |text: &str| match text.is_empty() {
            true => "-".to_owned(),
            false => utf8_percent_encode(text, &BARE).to_string(),
        };
        let quoted = |text: &str| match text.is_empty() {
            true => "\"-\"".to_owned(),
            false => format!("\"{}\"", utf8_percent_encode(text, &QUOTED)),
        };
        let count = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
        let time = Time::of(self.time_ms);
        let fields = [
            bare(&self.owner),
            bare(&self.bucket),
            format!("[{}]", time.in_log()),
            bare(&self.peer),
            bare(&self.requester),
            bare(&self.request),
            self.operation.clone(),
            bare(&self.key),
            quoted(&self.line),
            self.status.to_string(),
            bare(&self.error),
            count(Some(self.sent).filter(|&sent| sent > 0)),
            count(self.size),
            self.total_ms.to_string(),
            self.turnaround_ms.to_string(),
            quoted(&self.referer),
            quoted(&self.agent),
            bare(&self.version),
            bare(&self.host_id),
            bare(self.signature),
            // There is no TLS here.
            "-".to_owned(),
            bare(self.auth),
            bare(&self.host),
            "-".to_owned(),
            "-".to_owned(),
            "-".to_owned(),
        ];
        fields.join(" ") + "\n"
    }
}

/// S3's name of an operation in logs.
pub fn name(operation: Operation, method: &str) -> String {
    use Operation as O;
    let (method, resource) = match operation {
        O::CopyObject => ("COPY", "OBJECT"),
        O::RenameObject => ("RENAME", "OBJECT"),
        O::UploadPartCopy => ("COPY", "PART"),
        O::UploadPart => ("PUT", "PART"),
        O::CreateMultipartUpload | O::ListMultipartUploads => (method, "UPLOADS"),
        O::CompleteMultipartUpload | O::AbortMultipartUpload | O::ListParts => (method, "UPLOAD"),
        O::DeleteObjects => (method, "MULTI_OBJECT_DELETE"),
        O::ListObjectVersions => (method, "BUCKETVERSIONS"),
        O::GetBucketLocation => (method, "LOCATION"),
        O::GetBucketVersioning | O::PutBucketVersioning => (method, "VERSIONING"),
        O::GetBucketPolicy | O::PutBucketPolicy | O::DeleteBucketPolicy => (method, "BUCKETPOLICY"),
        O::GetBucketPolicyStatus => (method, "POLICY_STATUS"),
        O::GetBucketAcl | O::PutBucketAcl | O::GetObjectAcl | O::PutObjectAcl => (method, "ACL"),
        O::GetBucketOwnershipControls
        | O::PutBucketOwnershipControls
        | O::DeleteBucketOwnershipControls => (method, "OWNERSHIP_CONTROLS"),
        O::GetPublicAccessBlock | O::PutPublicAccessBlock | O::DeletePublicAccessBlock => {
            (method, "PUBLIC_ACCESS_BLOCK")
        }
        O::GetBucketRequestPayment | O::PutBucketRequestPayment => (method, "REQUEST_PAYMENT"),
        O::GetBucketTagging | O::PutBucketTagging | O::DeleteBucketTagging => (method, "TAGGING"),
        O::GetBucketCors | O::PutBucketCors | O::DeleteBucketCors => (method, "CORS"),
        O::GetBucketLifecycleConfiguration
        | O::PutBucketLifecycleConfiguration
        | O::DeleteBucketLifecycle => (method, "LIFECYCLE"),
        O::GetObjectLockConfiguration | O::PutObjectLockConfiguration => {
            (method, "OBJECT_LOCK_CONFIGURATION")
        }
        O::GetBucketLogging | O::PutBucketLogging => (method, "LOGGING_STATUS"),
        O::GetBucketNotificationConfiguration | O::PutBucketNotificationConfiguration => {
            (method, "NOTIFICATION")
        }
        O::GetBucketWebsite | O::PutBucketWebsite | O::DeleteBucketWebsite => (method, "WEBSITE"),
        O::GetObjectTagging | O::PutObjectTagging | O::DeleteObjectTagging => {
            (method, "OBJECT_TAGGING")
        }
        O::GetObjectAttributes => (method, "OBJECT_ATTRIBUTES"),
        O::GetObjectRetention | O::PutObjectRetention => (method, "OBJECT_LOCK_RETENTION"),
        O::GetObjectLegalHold | O::PutObjectLegalHold => (method, "OBJECT_LOCK_LEGALHOLD"),
        operation if is_of_object(operation) => (method, "OBJECT"),
        _ => (method, "BUCKET"),
    };
    format!("REST.{method}.{resource}")
}

fn is_of_object(operation: Operation) -> bool {
    operation.resource() == crate::auth::Resource::Object
}

#[cfg(test)]
mod tests {
    //! Facts about lines.
    use super::*;

    #[test]
    fn a_line_has_all_fields_whatever_a_client_sends() {
        let record = Record {
            owner: "owner".to_owned(),
            bucket: "bucket".to_owned(),
            time_ms: 1_795_331_700_000,
            peer: "192.0.2.1".to_owned(),
            operation: name(Operation::GetObject, "GET"),
            key: "a b\n[c]\"".to_owned(),
            line: "GET /bucket/a%20b?x=\"1 HTTP/1.1".to_owned(),
            status: 404,
            error: "NoSuchKey".to_owned(),
            sent: 0,
            size: Some(7),
            total_ms: 12,
            turnaround_ms: 3,
            agent: "evil\"\r\nowner bucket".to_owned(),
            signature: "SigV4",
            ..Record::default()
        };
        let expected = "owner bucket [22/Nov/2026:07:15:00 +0000] 192.0.2.1 - - REST.GET.OBJECT \
            a%20b%0A%5Bc%5D%22 \"GET /bucket/a%20b?x=%221 HTTP/1.1\" 404 NoSuchKey - 7 12 3 \"-\" \
            \"evil%22%0D%0Aowner bucket\" - - SigV4 - - - - - -\n";
        assert_eq!(record.line(), expected);
    }

    #[test]
    fn operations_have_their_names() {
        for (operation, method, expected) in [
            (Operation::PutObject, "PUT", "REST.PUT.OBJECT"),
            (Operation::CopyObject, "PUT", "REST.COPY.OBJECT"),
            (Operation::RenameObject, "PUT", "REST.RENAME.OBJECT"),
            (Operation::UploadPart, "PUT", "REST.PUT.PART"),
            (
                Operation::CompleteMultipartUpload,
                "POST",
                "REST.POST.UPLOAD",
            ),
            (Operation::ListObjectsV2, "GET", "REST.GET.BUCKET"),
            (Operation::HeadBucket, "HEAD", "REST.HEAD.BUCKET"),
            (
                Operation::DeleteObjects,
                "POST",
                "REST.POST.MULTI_OBJECT_DELETE",
            ),
            (
                Operation::GetBucketLogging,
                "GET",
                "REST.GET.LOGGING_STATUS",
            ),
        ] {
            assert_eq!(name(operation, method), expected);
        }
    }
}
