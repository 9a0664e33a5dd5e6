//! GetBucketRequestPayment and PutBucketRequestPayment.

use s3s::dto::{
    GetBucketRequestPaymentInput, GetBucketRequestPaymentOutput, Payer as Name,
    PutBucketRequestPaymentInput, PutBucketRequestPaymentOutput,
};
use s3s::{S3Request, S3Response, S3Result};

use crate::error::GatewayError;
use crate::names::BucketName;
use crate::s3::Gateway;
use crate::settings::{Payer, Settings};

pub(crate) async fn get_request_payment(
    gateway: &Gateway,
    request: S3Request<GetBucketRequestPaymentInput>,
) -> S3Result<S3Response<GetBucketRequestPaymentOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let bucket = gateway.objects.bucket(&name).await?;
    let payer = match bucket.settings().payer {
        None | Some(Payer::BucketOwner) => Name::BUCKET_OWNER,
        Some(Payer::Requester) => Name::REQUESTER,
    };
    Ok(S3Response::new(GetBucketRequestPaymentOutput {
        payer: Some(Name::from_static(payer)),
    }))
}

pub(crate) async fn put_request_payment(
    gateway: &Gateway,
    request: S3Request<PutBucketRequestPaymentInput>,
) -> S3Result<S3Response<PutBucketRequestPaymentOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let payer = match request.input.request_payment_configuration.payer.as_str() {
        Name::BUCKET_OWNER => Payer::BucketOwner,
        Name::REQUESTER => Payer::Requester,
        _ => {
            return Err(GatewayError::MalformedDocument {
                why: "Payer must be BucketOwner or Requester",
            }
            .into());
        }
    };
    let edit = move |settings: &mut Settings| {
        settings.payer = Some(payer);
        Ok(())
    };
    gateway.objects.configure(&name, Box::new(edit)).await?;
    Ok(S3Response::new(PutBucketRequestPaymentOutput {}))
}
