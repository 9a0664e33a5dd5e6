//! ListMultipartUploads.

use s3s::dto::{
    ListMultipartUploadsInput, ListMultipartUploadsOutput, MultipartUpload, StorageClass,
};
use s3s::{S3Request, S3Response, S3Result};

use super::{Encoding, filled, page_len, shown};
use crate::names::BucketName;
use crate::object::types::{ListObjects, ListUploads, UploadInfo, UploadPage};
use crate::s3::Gateway;
use crate::s3::acl::Owners;
use crate::s3::values::{checksum_algorithm, checksum_type, initiator, owner, timestamp};

pub(crate) async fn uploads(
    gateway: &Gateway,
    request: S3Request<ListMultipartUploadsInput>,
) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
    let input = request.input;
    let encoding = Encoding::of(input.encoding_type.as_ref())?;
    let bucket = BucketName::parse(&input.bucket)?;
    let max = page_len("max-uploads", input.max_uploads)?;
    let prefix = input.prefix.unwrap_or_default();
    let delimiter = filled(input.delimiter);
    let key_marker = filled(input.key_marker);
    // Counts only together with a key.
    let upload_marker = filled(input.upload_id_marker).filter(|_| key_marker.is_some());
    let row = gateway.objects.bucket(&bucket).await?;
    let list = ListUploads {
        keys: ListObjects {
            bucket: bucket.clone(),
            prefix: prefix.clone(),
            delimiter: delimiter.clone(),
            after: key_marker.clone(),
            max,
        },
        after_upload: upload_marker.clone(),
    };
    let UploadPage {
        uploads,
        prefixes,
        next,
    } = match max {
        0 => UploadPage::default(),
        _ => gateway.objects.list_uploads(list).await?,
    };
    let owners = Owners::of(&gateway.rights, &row);
    let upload = |upload: UploadInfo| MultipartUpload {
        checksum_algorithm: upload.checksum.map(|(kind, _)| checksum_algorithm(kind)),
        checksum_type: upload.checksum.map(|(_, covers)| checksum_type(covers)),
        initiated: Some(timestamp(upload.initiated_ms)),
        initiator: Some(initiator(&owners.initiator(upload.initiator.as_deref()))),
        key: Some(encoding.apply(&upload.key)),
        owner: Some(owner(&owners.shown(upload.owner.as_deref()))),
        storage_class: Some(StorageClass::from(upload.storage_class)),
        upload_id: Some(upload.upload),
    };
    let (next_key, next_upload) = next.clone().unzip();
    Ok(S3Response::new(ListMultipartUploadsOutput {
        bucket: Some(bucket.to_string()),
        common_prefixes: Some(encoding.prefixes(&prefixes)),
        delimiter: delimiter.map(|delimiter| encoding.apply(&delimiter)),
        encoding_type: encoding.shown(),
        is_truncated: Some(next.is_some()),
        key_marker: Some(encoding.apply(&key_marker.unwrap_or_default())),
        max_uploads: shown(max),
        next_key_marker: next_key.map(|key| encoding.apply(&key)),
        next_upload_id_marker: next_upload,
        prefix: Some(encoding.apply(&prefix)),
        request_charged: None,
        upload_id_marker: Some(upload_marker.unwrap_or_default()),
        uploads: Some(uploads.into_iter().map(upload).collect()),
    }))
}
