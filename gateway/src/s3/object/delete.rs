//! DeleteObject.

use s3s::dto::{DeleteObjectInput, DeleteObjectOutput};
use s3s::{S3Request, S3Response, S3Result};

use super::{bypasses, names, version};
use crate::error::GatewayError;
use crate::object::types::{DeleteConditions, DeleteObject};
use crate::s3::prepare::Prepared;
use crate::s3::{Gateway, headers};

pub(crate) async fn delete(
    gateway: &Gateway,
    request: S3Request<DeleteObjectInput>,
) -> S3Result<S3Response<DeleteObjectOutput>> {
    let prepared = Prepared::of(&request)?;
    let input = request.input;
    let (bucket, key) = names(&input.bucket, &input.key)?;
    let version = version(input.version_id.as_deref())?;
    let map = &prepared.headers;
    // A condition that cannot be read must not become no condition: this deletes.
    let unreadable = |name| GatewayError::InvalidArgument {
        name,
        why: "it cannot be read".to_owned(),
    };
    let size = match headers::get(map, "x-amz-if-match-size") {
        None => None,
        Some(text) => Some(
            text.parse()
                .map_err(|_| unreadable("x-amz-if-match-size"))?,
        ),
    };
    let name = "x-amz-if-match-last-modified-time";
    let modified_ms = match headers::get(map, name) {
        None => None,
        Some(_) => Some(headers::date(map, name).ok_or_else(|| unreadable(name))?),
    };
    let conditions = DeleteConditions {
        if_match: headers::etags(map, "if-match"),
        size,
        modified_ms,
    };
    let delete = DeleteObject {
        bucket,
        key,
        version,
        conditions,
        bypass: bypasses(gateway, &prepared).await?,
        by: prepared.by.clone(),
    };
    let deleted = gateway.objects.delete(delete).await?;
    Ok(S3Response::new(DeleteObjectOutput {
        delete_marker: deleted.is_marker.then_some(true),
        version_id: deleted.version.map(|version| version.to_string()),
        ..DeleteObjectOutput::default()
    }))
}
