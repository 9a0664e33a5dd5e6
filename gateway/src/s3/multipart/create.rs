//! CreateMultipartUpload.

use holdfast_protocol::{ChecksumKind, ChecksumType};
use http::HeaderMap;
use s3s::dto::{CreateMultipartUploadInput, CreateMultipartUploadOutput};
use s3s::{S3Request, S3Response, S3Result};

use crate::error::GatewayError;
use crate::object::types::CreateUpload;
use crate::s3::object::names;
use crate::s3::prepare::Prepared;
use crate::s3::values::{aborts, checksum_algorithm, checksum_type};
use crate::s3::{Gateway, acl, claims, headers};

pub(crate) async fn create(
    gateway: &Gateway,
    request: S3Request<CreateMultipartUploadInput>,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    let prepared = Prepared::of(&request)?;
    let input = request.input;
    let (bucket, key) = names(&input.bucket, &input.key)?;
    let checksum = checksum(&prepared.headers)?;
    let (rights, asking, map) = (&gateway.rights, &prepared.asking, &prepared.headers);
    let mut metadata = headers::metadata(map, gateway.objects.classes())?;
    acl::give(rights, asking, &bucket, map, &mut metadata).await?;
    let row = gateway.objects.bucket(&bucket).await?;
    acl::sign(rights, asking, &row, &mut metadata);
    let create = CreateUpload {
        bucket,
        key,
        metadata,
        checksum,
        by: prepared.by.clone(),
    };
    let opened = gateway.objects.create_upload(create).await?;
    let (abort_date, abort_rule_id) = aborts(opened.aborts);
    Ok(S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(opened.id),
        abort_date,
        abort_rule_id,
        checksum_algorithm: checksum.map(|(kind, _)| checksum_algorithm(kind)),
        checksum_type: checksum.map(|(_, covers)| checksum_type(covers)),
        ..CreateMultipartUploadOutput::default()
    }))
}

/// What is to be computed, by S3's table of algorithms and types.
fn checksum(headers: &HeaderMap) -> Result<Option<(ChecksumKind, ChecksumType)>, GatewayError> {
    use ChecksumKind::{Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
    use ChecksumType::{Composite, FullObject};
    let invalid = |why: &str| {
        Err(GatewayError::InvalidRequest {
            why: why.to_owned(),
        })
    };
    let covers = claims::asked_type(headers)?;
    let Some(kind) = claims::asked_kind(headers)? else {
        return match covers {
            None => Ok(None),
            Some(_) => invalid(
                "The x-amz-checksum-type header can only be used with the \
                 x-amz-checksum-algorithm header.",
            ),
        };
    };
    match (kind, covers) {
        (Crc64Nvme, None | Some(FullObject)) => Ok(Some((kind, FullObject))),
        (Crc64Nvme, Some(Composite)) => {
            invalid("The COMPOSITE checksum type cannot be used with the crc64nvme algorithm.")
        }
        (Crc32 | Crc32c, covers) => Ok(Some((kind, covers.unwrap_or(Composite)))),
        (Sha1 | Sha256, None | Some(Composite)) => Ok(Some((kind, Composite))),
        (Sha1 | Sha256, Some(FullObject)) => {
            invalid("The FULL_OBJECT checksum type cannot be used with the sha algorithms.")
        }
    }
}
