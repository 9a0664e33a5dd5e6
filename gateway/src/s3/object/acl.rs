//! GetObjectAcl, PutObjectAcl.

use holdfast_policy::On;
use holdfast_protocol::manifest::OWNER;
use s3s::dto::{GetObjectAclInput, GetObjectAclOutput, PutObjectAclInput, PutObjectAclOutput};
use s3s::{S3Request, S3Response, S3Result};

use super::{names, version};
use crate::error::GatewayError;
use crate::object::types::{ChangeObject, ReadConditions};
use crate::s3::Gateway;
use crate::s3::acl::{ACL, Shown, asked, kept};
use crate::s3::prepare::Prepared;

pub(crate) async fn get_acl(
    gateway: &Gateway,
    request: S3Request<GetObjectAclInput>,
) -> S3Result<S3Response<GetObjectAclOutput>> {
    let input = request.input;
    let (bucket, key) = names(&input.bucket, &input.key)?;
    let version = version(input.version_id.as_deref())?;
    let row = gateway.objects.bucket(&bucket).await?;
    let any = ReadConditions::default();
    let head = gateway.objects.head(&bucket, &key, version, None, &any);
    let metadata = head.await?.metadata;
    let counts = row.settings().ownership().acls_count();
    let owner = metadata.get(OWNER).filter(|_| counts);
    let owner = gateway.rights.owner(owner.unwrap_or(&row.owner));
    let acl = kept(&metadata)?.filter(|_| counts);
    let shown = Shown::of(&gateway.rights, &owner, acl.as_ref());
    Ok(S3Response::new(GetObjectAclOutput {
        grants: Some(shown.grants),
        owner: Some(shown.owner),
        request_charged: None,
    }))
}

pub(crate) async fn put_acl(
    gateway: &Gateway,
    request: S3Request<PutObjectAclInput>,
) -> S3Result<S3Response<PutObjectAclOutput>> {
    let prepared = Prepared::of(&request)?;
    let input = request.input;
    let (bucket, key) = names(&input.bucket, &input.key)?;
    let version = version(input.version_id.as_deref())?;
    let document = input.access_control_policy;
    let asked = asked(&gateway.rights, &prepared.headers, document)?;
    let row = gateway.objects.bucket(&bucket).await?;
    let of_bucket = gateway.rights.owner(&row.owner).id;
    let change = ChangeObject {
        bucket,
        key,
        version,
        edit: Box::new(move |metadata, settings, _| {
            let of_bucket = of_bucket.as_str();
            let ownership = settings.ownership();
            ownership.check(&asked.wanted, of_bucket)?;
            if !ownership.acls_count() {
                return asked.check_owner(of_bucket);
            }
            let owner = metadata.get(OWNER).unwrap_or(of_bucket);
            asked.check_owner(owner)?;
            let acl = asked.wanted.acl(On::Object, owner, of_bucket)?;
            if settings.block().refuses_acl(&acl) {
                return Err(GatewayError::NotAllowed);
            }
            metadata.set(ACL, acl.to_json()?);
            Ok(())
        }),
        by: prepared.by.clone(),
    };
    gateway.objects.change(change).await?;
    Ok(S3Response::new(PutObjectAclOutput::default()))
}
