//! ListBuckets.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use holdfast_protocol::BucketRow;
use s3s::dto::{Bucket, ListBucketsInput, ListBucketsOutput};
use s3s::{S3Request, S3Response, S3Result};

use crate::error::GatewayError;
use crate::s3::Gateway;
use crate::s3::prepare::Prepared;
use crate::s3::values::{owner, timestamp};

const BUCKETS_MAX: usize = 10_000;

pub(crate) async fn list(
    gateway: &Gateway,
    request: S3Request<ListBucketsInput>,
) -> S3Result<S3Response<ListBucketsOutput>> {
    let prepared = Prepared::of(&request)?;
    let account = &prepared.identity()?.account;
    let input = request.input;
    let max = match input.max_buckets.map(usize::try_from) {
        None => BUCKETS_MAX,
        Some(Ok(max @ 1..=BUCKETS_MAX)) => max,
        Some(_) => return Err(invalid("max-buckets", "it must be 1 to 10000").into()),
    };
    let after = match input.continuation_token {
        None => None,
        Some(token) => Some(
            URL_SAFE_NO_PAD
                .decode(&token)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .ok_or_else(|| invalid("continuation-token", "it is not one of ours"))?,
        ),
    };
    let prefix = input.prefix.unwrap_or_default();
    let elsewhere = input
        .bucket_region
        .as_ref()
        .is_some_and(|region| *region != gateway.region);
    let wanted = |row: &BucketRow| {
        !elsewhere
            && gateway.rights.owner(&row.owner).id == *account
            && row.name.starts_with(&prefix)
            && after.as_ref().is_none_or(|after| row.name > *after)
    };
    let mut rows = gateway.objects.list_buckets().await?;
    rows.retain(wanted);
    let more = rows.len() > max;
    rows.truncate(max);
    let token = rows.last().filter(|_| more);
    let token = token.map(|row| URL_SAFE_NO_PAD.encode(&row.name));
    let bucket = |row: BucketRow| Bucket {
        bucket_region: Some(gateway.region.clone()),
        creation_date: Some(timestamp(row.created_ms)),
        name: Some(row.name),
    };
    Ok(S3Response::new(ListBucketsOutput {
        buckets: Some(rows.into_iter().map(bucket).collect()),
        continuation_token: token,
        owner: Some(owner(&gateway.rights.owner(account.as_str()))),
        prefix: (!prefix.is_empty()).then_some(prefix),
    }))
}

fn invalid(name: &'static str, why: &str) -> GatewayError {
    GatewayError::InvalidArgument {
        name,
        why: why.to_owned(),
    }
}
