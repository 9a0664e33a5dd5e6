//! GetObjectAcl.

use s3s::dto::{GetObjectAclInput, GetObjectAclOutput};
use s3s::{S3Request, S3Response, S3Result};

use super::{names, version};
use crate::object::types::ReadConditions;
use crate::s3::Gateway;
use crate::s3::bucket::owner_grant;
use crate::s3::values::owner;

pub(crate) async fn acl(
    gateway: &Gateway,
    request: S3Request<GetObjectAclInput>,
) -> S3Result<S3Response<GetObjectAclOutput>> {
    let input = request.input;
    let (bucket, key) = names(&input.bucket, &input.key)?;
    let version = version(input.version_id.as_deref())?;
    let row = gateway.objects.bucket(&bucket).await?;
    let any = ReadConditions::default();
    let head = gateway.objects.head(&bucket, &key, version, None, &any);
    head.await?;
    let shown = gateway.rights.owner(&row.owner);
    Ok(S3Response::new(GetObjectAclOutput {
        grants: Some(vec![owner_grant(&shown)]),
        owner: Some(owner(&shown)),
        request_charged: None,
    }))
}
