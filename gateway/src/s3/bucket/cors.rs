//! GetBucketCors, PutBucketCors, DeleteBucketCors.

use s3s::dto::{
    CORSRule as Document, DeleteBucketCorsInput, DeleteBucketCorsOutput, GetBucketCorsInput,
    GetBucketCorsOutput, PutBucketCorsInput, PutBucketCorsOutput,
};
use s3s::{S3Request, S3Response, S3Result};

use crate::error::GatewayError;
use crate::names::BucketName;
use crate::s3::Gateway;
use crate::settings::{Cors, CorsMethod, CorsRule, Setting, Settings};

pub(crate) async fn get_cors(
    gateway: &Gateway,
    request: S3Request<GetBucketCorsInput>,
) -> S3Result<S3Response<GetBucketCorsOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let bucket = gateway.objects.bucket(&name).await?;
    let cors = bucket.settings().cors.as_ref();
    let cors = cors.ok_or(GatewayError::NotConfigured {
        setting: Setting::Cors,
    })?;
    Ok(S3Response::new(GetBucketCorsOutput {
        cors_rules: Some(cors.rules().iter().map(document).collect()),
    }))
}

pub(crate) async fn put_cors(
    gateway: &Gateway,
    request: S3Request<PutBucketCorsInput>,
) -> S3Result<S3Response<PutBucketCorsOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let rules = request.input.cors_configuration.cors_rules;
    let rules: Result<Vec<CorsRule>, GatewayError> = rules.into_iter().map(rule).collect();
    let cors = Cors::new(rules?)?;
    let edit = move |settings: &mut Settings| {
        settings.cors = Some(cors);
        Ok(())
    };
    gateway.objects.configure(&name, Box::new(edit)).await?;
    Ok(S3Response::new(PutBucketCorsOutput {}))
}

pub(crate) async fn delete_cors(
    gateway: &Gateway,
    request: S3Request<DeleteBucketCorsInput>,
) -> S3Result<S3Response<DeleteBucketCorsOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let edit = |settings: &mut Settings| {
        settings.cors = None;
        Ok(())
    };
    gateway.objects.configure(&name, Box::new(edit)).await?;
    Ok(S3Response::new(DeleteBucketCorsOutput {}))
}

pub(super) fn rule(document: Document) -> Result<CorsRule, GatewayError> {
    let method = |name: &String| {
        CorsMethod::parse(name).ok_or_else(|| GatewayError::InvalidRequest {
            why: format!(
                "Found unsupported HTTP method in CORS config. Unsupported method is {name}"
            ),
        })
    };
    let methods: Result<Vec<CorsMethod>, GatewayError> =
        document.allowed_methods.iter().map(method).collect();
    let max_age_s = document.max_age_seconds.map(u32::try_from).transpose();
    Ok(CorsRule {
        id: document.id,
        origins: document.allowed_origins,
        methods: methods?,
        headers: document.allowed_headers.unwrap_or_default(),
        expose: document.expose_headers.unwrap_or_default(),
        max_age_s: max_age_s.map_err(|_| GatewayError::MalformedDocument {
            why: "MaxAgeSeconds must not be negative",
        })?,
    })
}

pub(super) fn document(rule: &CorsRule) -> Document {
    let list = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    let methods = rule.methods.iter().map(|method| method.name().to_owned());
    Document {
        allowed_headers: list(&rule.headers),
        allowed_methods: methods.collect(),
        allowed_origins: rule.origins.clone(),
        expose_headers: list(&rule.expose),
        id: rule.id.clone(),
        // What does not fit was refused.
        max_age_seconds: rule
            .max_age_s
            .and_then(|seconds| i32::try_from(seconds).ok()),
    }
}
