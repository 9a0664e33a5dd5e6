//! PutObject.

use s3s::dto::{PutObjectInput, PutObjectOutput};
use s3s::{S3Request, S3Response, S3Result};

use super::names;
use crate::object::types::{AppendObject, PutObject};
use crate::s3::prepare::Prepared;
use crate::s3::values::{checksum_text, checksum_type, etag, expiration, set_checksum};
use crate::s3::{Gateway, acl, body, headers};

pub(crate) async fn put(
    gateway: &Gateway,
    request: S3Request<PutObjectInput>,
) -> S3Result<S3Response<PutObjectOutput>> {
    let prepared = Prepared::of(&request)?;
    let input = request.input;
    let (bucket, key) = names(&input.bucket, &input.key)?;
    let map = &prepared.headers;
    let mut metadata = headers::metadata(map, gateway.objects.classes())?;
    acl::give(
        &gateway.rights,
        &prepared.asking,
        &bucket,
        map,
        &mut metadata,
    )
    .await?;
    let put = PutObject {
        bucket,
        key,
        metadata,
        body: body::incoming(&prepared, input.body)?,
        conditions: headers::write_conditions(&prepared.headers),
        by: prepared.by.clone(),
    };
    let offset = headers::write_offset(map)?;
    let written = match offset {
        None => gateway.objects.put(put).await?,
        Some(offset) => {
            let append = AppendObject { put, offset };
            gateway.objects.append(append).await?
        }
    };
    let mut output = PutObjectOutput {
        e_tag: Some(etag(&written.etag)),
        version_id: written.version.map(|version| version.to_string()),
        expiration: written.expires.as_ref().map(expiration),
        // Said of appends only.
        size: offset.and(i64::try_from(written.len).ok()),
        ..PutObjectOutput::default()
    };
    if let Some(sum) = &written.checksum {
        set_checksum!(output, sum.kind, checksum_text(sum, None));
        output.checksum_type = Some(checksum_type(sum.covers));
    }
    Ok(S3Response::new(output))
}
