//! CompleteMultipartUpload.

use holdfast_protocol::ChecksumKind;
use http::HeaderMap;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart, ETag};
use s3s::{S3Request, S3Response, S3Result};

use crate::error::GatewayError;
use crate::object::types::{CompleteUpload, NamedPart};
use crate::s3::object::names;
use crate::s3::prepare::Prepared;
use crate::s3::values::{
    checksum_header, checksum_text, checksum_type, digest, etag, expiration, set_checksum,
};
use crate::s3::{Gateway, claims, error, headers};

const PARTS_MAX: usize = 10_000;

pub(crate) async fn complete(
    gateway: &Gateway,
    request: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let prepared = Prepared::of(&request)?;
    let input = request.input;
    let (bucket, key) = names(&input.bucket, &input.key)?;
    let map = &prepared.headers;
    let listed = input.multipart_upload.and_then(|upload| upload.parts);
    let listed = listed.unwrap_or_default();
    if !(1..=PARTS_MAX).contains(&listed.len()) {
        return Err(error::malformed_xml("a Complete names 1 to 10000 parts"));
    }
    let parts = listed.iter().map(named).collect::<S3Result<Vec<_>>>()?;
    let len = match headers::get(map, "x-amz-mp-object-size") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| GatewayError::InvalidArgument {
            name: "x-amz-mp-object-size",
            why: "it is not a number".to_owned(),
        })?),
    };
    let done = CompleteUpload {
        bucket,
        key,
        upload: input.upload_id,
        parts,
        checksum: claims::header_checksum(map)?,
        checksum_type: claims::asked_type(map)?,
        len,
        conditions: headers::write_conditions(map),
        by: prepared.by.clone(),
    };
    let count = u32::try_from(listed.len()).ok();
    let completed = gateway.objects.complete_upload(done).await?;
    let mut output = CompleteMultipartUploadOutput {
        location: location(map, &input.bucket, &input.key),
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: Some(etag(&completed.etag)),
        version_id: completed.version.map(|version| version.to_string()),
        expiration: completed.expires.as_ref().map(expiration),
        ..CompleteMultipartUploadOutput::default()
    };
    if let Some(sum) = &completed.checksum {
        set_checksum!(output, sum.kind, checksum_text(sum, count));
        output.checksum_type = Some(checksum_type(sum.covers));
    }
    Ok(S3Response::new(output))
}

pub(in crate::s3) fn named(part: &CompletedPart) -> S3Result<NamedPart> {
    let (Some(number), Some(tag)) = (part.part_number, &part.e_tag) else {
        return Err(error::malformed_xml("a part lacks its number or its ETag"));
    };
    let number = u32::try_from(number)
        .map_err(|_| error::malformed_xml("the number of a part is negative"))?;
    let sums = [
        (ChecksumKind::Crc32, &part.checksum_crc32),
        (ChecksumKind::Crc32c, &part.checksum_crc32c),
        (ChecksumKind::Crc64Nvme, &part.checksum_crc64nvme),
        (ChecksumKind::Sha1, &part.checksum_sha1),
        (ChecksumKind::Sha256, &part.checksum_sha256),
    ];
    let mut checksum = None;
    for (kind, text) in sums {
        let Some(text) = text else {
            continue;
        };
        let value = digest(kind, text).ok_or(GatewayError::InvalidDigest {
            what: checksum_header(kind),
        })?;
        checksum = Some((kind, value));
    }
    let (ETag::Strong(tag) | ETag::Weak(tag)) = tag;
    Ok(NamedPart {
        number,
        etag: tag.trim_matches('"').to_owned(),
        checksum,
    })
}

/// Where the object is, as this client reaches it. (Behind a proxy the scheme may be another.)
fn location(headers: &HeaderMap, bucket: &str, key: &str) -> Option<String> {
    let host = headers::get(headers, "host")?;
    let key: Vec<String> = key
        .split('/')
        .map(|piece| utf8_percent_encode(piece, NON_ALPHANUMERIC).to_string())
        .collect();
    Some(format!("http://{host}/{bucket}/{}", key.join("/")))
}
