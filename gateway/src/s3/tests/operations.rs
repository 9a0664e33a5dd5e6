//! Every operation, one by one: who may ask, and what is said of those that are not done.

use super::Server;
use super::wire::Req;
use crate::auth::{Operation, Served};
use crate::s3::documents::has_document;
use crate::s3::table::VERBS;

/// A request for each operation.
pub(super) const REQUESTS: &[(Operation, &str, &str)] = &[
    (Operation::ListBuckets, "GET", "/"),
    (Operation::CreateBucket, "PUT", "/fresh"),
    (Operation::HeadBucket, "HEAD", "/bkt"),
    (Operation::DeleteBucket, "DELETE", "/none"),
    (Operation::GetBucketLocation, "GET", "/bkt?location"),
    (Operation::ListObjects, "GET", "/bkt"),
    (Operation::ListObjectsV2, "GET", "/bkt?list-type=2"),
    (Operation::ListObjectVersions, "GET", "/bkt?versions"),
    (Operation::ListMultipartUploads, "GET", "/bkt?uploads"),
    (Operation::DeleteObjects, "POST", "/bkt?delete"),
    (Operation::GetBucketVersioning, "GET", "/bkt?versioning"),
    (Operation::PutBucketVersioning, "PUT", "/bkt?versioning"),
    (Operation::GetBucketAcl, "GET", "/bkt?acl"),
    (Operation::PutBucketAcl, "PUT", "/bkt?acl"),
    (Operation::GetBucketPolicy, "GET", "/bkt?policy"),
    (Operation::PutBucketPolicy, "PUT", "/bkt?policy"),
    (Operation::DeleteBucketPolicy, "DELETE", "/bkt?policy"),
    (Operation::GetBucketPolicyStatus, "GET", "/bkt?policyStatus"),
    (
        Operation::GetBucketOwnershipControls,
        "GET",
        "/bkt?ownershipControls",
    ),
    (
        Operation::PutBucketOwnershipControls,
        "PUT",
        "/bkt?ownershipControls",
    ),
    (
        Operation::DeleteBucketOwnershipControls,
        "DELETE",
        "/bkt?ownershipControls",
    ),
    (
        Operation::GetPublicAccessBlock,
        "GET",
        "/bkt?publicAccessBlock",
    ),
    (
        Operation::PutPublicAccessBlock,
        "PUT",
        "/bkt?publicAccessBlock",
    ),
    (
        Operation::DeletePublicAccessBlock,
        "DELETE",
        "/bkt?publicAccessBlock",
    ),
    (
        Operation::GetBucketRequestPayment,
        "GET",
        "/bkt?requestPayment",
    ),
    (
        Operation::PutBucketRequestPayment,
        "PUT",
        "/bkt?requestPayment",
    ),
    (Operation::GetBucketTagging, "GET", "/bkt?tagging"),
    (Operation::PutBucketTagging, "PUT", "/bkt?tagging"),
    (Operation::DeleteBucketTagging, "DELETE", "/bkt?tagging"),
    (Operation::GetBucketCors, "GET", "/bkt?cors"),
    (Operation::PutBucketCors, "PUT", "/bkt?cors"),
    (Operation::DeleteBucketCors, "DELETE", "/bkt?cors"),
    (
        Operation::GetBucketLifecycleConfiguration,
        "GET",
        "/bkt?lifecycle",
    ),
    (
        Operation::PutBucketLifecycleConfiguration,
        "PUT",
        "/bkt?lifecycle",
    ),
    (Operation::DeleteBucketLifecycle, "DELETE", "/bkt?lifecycle"),
    (
        Operation::GetObjectLockConfiguration,
        "GET",
        "/bkt?object-lock",
    ),
    (
        Operation::PutObjectLockConfiguration,
        "PUT",
        "/bkt?object-lock",
    ),
    (Operation::GetBucketEncryption, "GET", "/bkt?encryption"),
    (Operation::PutBucketEncryption, "PUT", "/bkt?encryption"),
    (
        Operation::DeleteBucketEncryption,
        "DELETE",
        "/bkt?encryption",
    ),
    (Operation::GetBucketLogging, "GET", "/bkt?logging"),
    (Operation::PutBucketLogging, "PUT", "/bkt?logging"),
    (
        Operation::GetBucketNotificationConfiguration,
        "GET",
        "/bkt?notification",
    ),
    (
        Operation::PutBucketNotificationConfiguration,
        "PUT",
        "/bkt?notification",
    ),
    (Operation::GetBucketWebsite, "GET", "/bkt?website"),
    (Operation::PutBucketWebsite, "PUT", "/bkt?website"),
    (Operation::DeleteBucketWebsite, "DELETE", "/bkt?website"),
    (Operation::GetBucketReplication, "GET", "/bkt?replication"),
    (Operation::PutBucketReplication, "PUT", "/bkt?replication"),
    (
        Operation::DeleteBucketReplication,
        "DELETE",
        "/bkt?replication",
    ),
    (
        Operation::GetBucketAccelerateConfiguration,
        "GET",
        "/bkt?accelerate",
    ),
    (
        Operation::PutBucketAccelerateConfiguration,
        "PUT",
        "/bkt?accelerate",
    ),
    (
        Operation::GetBucketAnalyticsConfiguration,
        "GET",
        "/bkt?analytics&id=i",
    ),
    (
        Operation::PutBucketAnalyticsConfiguration,
        "PUT",
        "/bkt?analytics&id=i",
    ),
    (
        Operation::DeleteBucketAnalyticsConfiguration,
        "DELETE",
        "/bkt?analytics&id=i",
    ),
    (
        Operation::ListBucketAnalyticsConfigurations,
        "GET",
        "/bkt?analytics",
    ),
    (
        Operation::GetBucketIntelligentTieringConfiguration,
        "GET",
        "/bkt?intelligent-tiering&id=i",
    ),
    (
        Operation::PutBucketIntelligentTieringConfiguration,
        "PUT",
        "/bkt?intelligent-tiering&id=i",
    ),
    (
        Operation::DeleteBucketIntelligentTieringConfiguration,
        "DELETE",
        "/bkt?intelligent-tiering&id=i",
    ),
    (
        Operation::ListBucketIntelligentTieringConfigurations,
        "GET",
        "/bkt?intelligent-tiering",
    ),
    (
        Operation::GetBucketInventoryConfiguration,
        "GET",
        "/bkt?inventory&id=i",
    ),
    (
        Operation::PutBucketInventoryConfiguration,
        "PUT",
        "/bkt?inventory&id=i",
    ),
    (
        Operation::DeleteBucketInventoryConfiguration,
        "DELETE",
        "/bkt?inventory&id=i",
    ),
    (
        Operation::ListBucketInventoryConfigurations,
        "GET",
        "/bkt?inventory",
    ),
    (
        Operation::GetBucketMetricsConfiguration,
        "GET",
        "/bkt?metrics&id=i",
    ),
    (
        Operation::PutBucketMetricsConfiguration,
        "PUT",
        "/bkt?metrics&id=i",
    ),
    (
        Operation::DeleteBucketMetricsConfiguration,
        "DELETE",
        "/bkt?metrics&id=i",
    ),
    (
        Operation::ListBucketMetricsConfigurations,
        "GET",
        "/bkt?metrics",
    ),
    (
        Operation::CreateBucketMetadataTableConfiguration,
        "POST",
        "/bkt?metadataTable",
    ),
    (
        Operation::GetBucketMetadataTableConfiguration,
        "GET",
        "/bkt?metadataTable",
    ),
    (
        Operation::DeleteBucketMetadataTableConfiguration,
        "DELETE",
        "/bkt?metadataTable",
    ),
    (Operation::PutObject, "PUT", "/bkt/k"),
    (Operation::PostObject, "POST", "/bkt"),
    (Operation::GetObject, "GET", "/bkt/k"),
    (Operation::HeadObject, "HEAD", "/bkt/k"),
    (Operation::DeleteObject, "DELETE", "/bkt/k"),
    (Operation::CopyObject, "PUT", "/bkt/k"),
    (Operation::RenameObject, "PUT", "/bkt/k?renameObject"),
    (Operation::GetObjectAttributes, "GET", "/bkt/k?attributes"),
    (Operation::GetObjectAcl, "GET", "/bkt/k?acl"),
    (Operation::PutObjectAcl, "PUT", "/bkt/k?acl"),
    (Operation::GetObjectTagging, "GET", "/bkt/k?tagging"),
    (Operation::PutObjectTagging, "PUT", "/bkt/k?tagging"),
    (Operation::DeleteObjectTagging, "DELETE", "/bkt/k?tagging"),
    (Operation::GetObjectRetention, "GET", "/bkt/k?retention"),
    (Operation::PutObjectRetention, "PUT", "/bkt/k?retention"),
    (Operation::GetObjectLegalHold, "GET", "/bkt/k?legal-hold"),
    (Operation::PutObjectLegalHold, "PUT", "/bkt/k?legal-hold"),
    (Operation::GetObjectTorrent, "GET", "/bkt/k?torrent"),
    (Operation::RestoreObject, "POST", "/bkt/k?restore"),
    (
        Operation::SelectObjectContent,
        "POST",
        "/bkt/k?select&select-type=2",
    ),
    (Operation::CreateMultipartUpload, "POST", "/bkt/k?uploads"),
    (
        Operation::UploadPart,
        "PUT",
        "/bkt/k?partNumber=1&uploadId=u",
    ),
    (
        Operation::UploadPartCopy,
        "PUT",
        "/bkt/k?partNumber=1&uploadId=u",
    ),
    (
        Operation::CompleteMultipartUpload,
        "POST",
        "/bkt/k?uploadId=u",
    ),
    (
        Operation::AbortMultipartUpload,
        "DELETE",
        "/bkt/k?uploadId=u",
    ),
    (Operation::ListParts, "GET", "/bkt/k?uploadId=u"),
];

fn request(&(operation, method, target): &(Operation, &str, &str)) -> Req {
    let source = matches!(operation, Operation::CopyObject | Operation::UploadPartCopy);
    let mut request = Req::new(method, target);
    if operation == Operation::PostObject {
        request = request.header("content-type", "multipart/form-data; boundary=b");
    }
    match source {
        true => request.header("x-amz-copy-source", "/bkt/k"),
        false => request,
    }
}

pub(super) fn with_body(what: &(Operation, &str, &str)) -> Req {
    match what.1 {
        "PUT" | "POST" => request(what).body(b"<x/>"),
        _ => request(what),
    }
}

#[test]
fn there_is_a_request_for_each_operation_and_a_verb_for_each_that_is_done() {
    for operation in Operation::ALL {
        let count = REQUESTS.iter().filter(|(o, ..)| o == operation).count();
        assert_eq!(count, 1, "{operation:?}");
        let name = operation.name().to_lowercase();
        // The library would hold a whole form in memory, and knows nothing of renames: it has no
        // part in these.
        let is_apart = [Operation::PostObject, Operation::RenameObject].contains(operation);
        let is_done = is_apart || VERBS.iter().any(|verb| verb.replace('_', "") == name);
        assert_eq!(is_done, operation.served() == Served::Served, "{name}");
    }
    let done = |operation: &&Operation| operation.served() == Served::Served;
    let done = Operation::ALL.iter().filter(done).count();
    assert_eq!(VERBS.len() + 2, done);
    assert!(!VERBS.contains(&"post_object") && !VERBS.contains(&"rename_object"));
}

#[test]
fn every_operation_that_reads_a_document_has_it_held_bounded_and_verified() {
    let streams_or_has_none = |operation| {
        matches!(
            operation,
            Operation::PutObject
                | Operation::PostObject
                | Operation::CopyObject
                | Operation::RenameObject
                | Operation::CreateMultipartUpload
                | Operation::UploadPart
                | Operation::UploadPartCopy
        )
    };
    for (operation, method, target) in REQUESTS {
        let takes_body = ["PUT", "POST"].contains(method) && !streams_or_has_none(*operation);
        if operation.served() == Served::Served {
            assert_eq!(has_document(*operation), takes_body, "{method} {target}");
        }
    }
}

#[tokio::test]
async fn no_operation_is_done_for_nobody_nor_for_a_wrong_secret() {
    let server = Server::with_bucket().await;
    server.put("k", b"as it was").await;
    // A form says itself who signed it: see `super::post`.
    let is_signed = |what: &&(Operation, &str, &str)| what.0 != Operation::PostObject;
    for what in REQUESTS.iter().filter(is_signed) {
        let what = &(what.0, what.1, what.2.replace("/none", "/bkt"));
        let what = &(what.0, what.1, what.2.as_str());
        let nobody = server.send(with_body(what).anonymous()).await;
        assert_eq!(nobody.status, 403, "{what:?}: {}", nobody.text());
        let mut forged = with_body(what);
        forged.secret = "another-secret".to_owned();
        let forged = server.send(forged).await;
        assert_eq!(forged.status, 403, "{what:?}: {}", forged.text());
        if what.1 != "HEAD" {
            nobody.refused(403, "AccessDenied");
            forged.refused(403, "SignatureDoesNotMatch");
        }
    }
    assert_eq!(server.memory.get_stored("k").unwrap().body, b"as it was");
    assert_eq!(server.memory.count(), 1);
    assert_eq!(server.memory.buckets.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_not_done_is_said_so_and_nothing_else_happens() {
    let server = Server::with_bucket().await;
    server.put("k", b"as it was").await;
    let before = format!("{:?}", server.memory.buckets.lock().unwrap());
    for what in REQUESTS {
        let presigned = request(what).presigned();
        if what.0.served() == Served::Later {
            for request in [with_body(what), presigned] {
                server.send(request).await.refused(501, "NotImplemented");
            }
            assert!(server.metric("holdfast_s3_requests_total", &[("op", what.0.name())]) > 0.0);
        }
    }
    let after = format!("{:?}", server.memory.buckets.lock().unwrap());
    assert_eq!(before, after);
    assert_eq!(server.memory.get_stored("k").unwrap().body, b"as it was");
    assert_eq!(server.memory.count(), 1);
}

#[tokio::test]
async fn what_is_done_is_never_called_not_implemented() {
    let server = Server::with_bucket().await;
    server.put("k", b"as it was").await;
    for what in REQUESTS {
        if what.0.served() == Served::Served {
            let reply = server.send(with_body(what)).await;
            assert_ne!(reply.status, 501, "{what:?}: {}", reply.text());
            assert!(reply.status < 500, "{what:?}: {}", reply.text());
        }
    }
}
