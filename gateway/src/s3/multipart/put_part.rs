//! UploadPart.

use s3s::dto::{UploadPartInput, UploadPartOutput};
use s3s::{S3Request, S3Response, S3Result};

use super::part_number;
use crate::object::types::PutPart;
use crate::s3::object::names;
use crate::s3::prepare::Prepared;
use crate::s3::values::{checksum_text, etag, set_checksum};
use crate::s3::{Gateway, body};

pub(crate) async fn put_part(
    gateway: &Gateway,
    request: S3Request<UploadPartInput>,
) -> S3Result<S3Response<UploadPartOutput>> {
    let prepared = Prepared::of(&request)?;
    let input = request.input;
    let (bucket, key) = names(&input.bucket, &input.key)?;
    let put = PutPart {
        bucket,
        key,
        upload: input.upload_id,
        number: part_number(input.part_number)?,
        body: body::incoming(&prepared, input.body)?,
        by: prepared.by.clone(),
    };
    let part = gateway.objects.put_part(put).await?;
    let mut output = UploadPartOutput {
        e_tag: Some(etag(&part.etag)),
        ..UploadPartOutput::default()
    };
    if let Some(sum) = &part.checksum {
        set_checksum!(output, sum.kind, checksum_text(sum, None));
    }
    Ok(S3Response::new(output))
}
