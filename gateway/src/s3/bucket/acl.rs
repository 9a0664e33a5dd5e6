//! GetBucketAcl, PutBucketAcl.

use holdfast_policy::On;
use s3s::dto::{GetBucketAclInput, GetBucketAclOutput, PutBucketAclInput, PutBucketAclOutput};
use s3s::{S3Request, S3Response, S3Result};

use crate::error::GatewayError;
use crate::names::BucketName;
use crate::s3::Gateway;
use crate::s3::acl::{Shown, asked};
use crate::s3::prepare::Prepared;
use crate::settings::Settings;

pub(crate) async fn get_acl(
    gateway: &Gateway,
    request: S3Request<GetBucketAclInput>,
) -> S3Result<S3Response<GetBucketAclOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let row = gateway.objects.bucket(&name).await?;
    let owner = gateway.rights.owner(&row.owner);
    let settings = row.settings();
    let acl = settings.acl.as_ref();
    let acl = acl.filter(|_| settings.ownership().acls_count());
    let shown = Shown::of(&gateway.rights, &owner, acl);
    Ok(S3Response::new(GetBucketAclOutput {
        grants: Some(shown.grants),
        owner: Some(shown.owner),
    }))
}

pub(crate) async fn put_acl(
    gateway: &Gateway,
    request: S3Request<PutBucketAclInput>,
) -> S3Result<S3Response<PutBucketAclOutput>> {
    let prepared = Prepared::of(&request)?;
    let name = BucketName::parse(&request.input.bucket)?;
    let document = request.input.access_control_policy;
    let asked = asked(&gateway.rights, &prepared.headers, document)?;
    let row = gateway.objects.bucket(&name).await?;
    let owner = gateway.rights.owner(&row.owner).id;
    let edit = move |settings: &mut Settings| {
        asked.check_owner(owner.as_str())?;
        let ownership = settings.ownership();
        ownership.check(&asked.wanted, owner.as_str())?;
        if !ownership.acls_count() {
            return Ok(());
        }
        let acl = asked
            .wanted
            .acl(On::Bucket, owner.as_str(), owner.as_str())?;
        if settings.block().refuses_acl(&acl) {
            return Err(GatewayError::NotAllowed);
        }
        settings.acl = Some(acl);
        Ok(())
    };
    gateway.objects.configure(&name, Box::new(edit)).await?;
    Ok(S3Response::new(PutBucketAclOutput {}))
}
