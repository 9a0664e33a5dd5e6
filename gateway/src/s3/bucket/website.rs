//! GetBucketWebsite, PutBucketWebsite, DeleteBucketWebsite.

use s3s::dto::{
    self, Condition, DeleteBucketWebsiteInput, DeleteBucketWebsiteOutput, ErrorDocument,
    GetBucketWebsiteInput, GetBucketWebsiteOutput, IndexDocument, PutBucketWebsiteInput,
    PutBucketWebsiteOutput, RedirectAllRequestsTo,
};
use s3s::{S3Request, S3Response, S3Result};

use crate::error::GatewayError;
use crate::names::BucketName;
use crate::s3::Gateway;
use crate::settings::{
    Elsewhere, NewKey, Pages, Protocol, Redirect, RoutingRule, Setting, Settings, Website,
};

pub(crate) async fn get_website(
    gateway: &Gateway,
    request: S3Request<GetBucketWebsiteInput>,
) -> S3Result<S3Response<GetBucketWebsiteOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let bucket = gateway.objects.bucket(&name).await?;
    let website = bucket.settings().website.as_ref();
    let website = website.ok_or(GatewayError::NotConfigured {
        setting: Setting::Website,
    })?;
    Ok(S3Response::new(match website {
        Website::Elsewhere(to) => GetBucketWebsiteOutput {
            redirect_all_requests_to: Some(elsewhere(to)),
            ..GetBucketWebsiteOutput::default()
        },
        Website::Pages(pages) => of_pages(pages),
    }))
}

pub(crate) async fn put_website(
    gateway: &Gateway,
    request: S3Request<PutBucketWebsiteInput>,
) -> S3Result<S3Response<PutBucketWebsiteOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let website = website(request.input.website_configuration)?;
    let edit = move |settings: &mut Settings| {
        settings.website = Some(website);
        Ok(())
    };
    gateway.objects.configure(&name, Box::new(edit)).await?;
    Ok(S3Response::new(PutBucketWebsiteOutput {}))
}

pub(crate) async fn delete_website(
    gateway: &Gateway,
    request: S3Request<DeleteBucketWebsiteInput>,
) -> S3Result<S3Response<DeleteBucketWebsiteOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let edit = |settings: &mut Settings| {
        settings.website = None;
        Ok(())
    };
    gateway.objects.configure(&name, Box::new(edit)).await?;
    Ok(S3Response::new(DeleteBucketWebsiteOutput {}))
}

pub(super) fn website(document: dto::WebsiteConfiguration) -> Result<Website, GatewayError> {
    let (index, error) = (document.index_document, document.error_document);
    let rules = document.routing_rules.unwrap_or_default();
    if let Some(to) = document.redirect_all_requests_to {
        if index.is_some() || error.is_some() || !rules.is_empty() {
            return Err(GatewayError::InvalidArgument {
                name: "RedirectAllRequestsTo",
                why: "RedirectAllRequestsTo cannot be provided in conjunction with other Routing \
                      Rules."
                    .to_owned(),
            });
        }
        return Website::elsewhere(to.host_name, protocol(to.protocol)?);
    }
    let Some(index) = index else {
        return Err(GatewayError::InvalidArgument {
            name: "IndexDocument",
            why: "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is \
                  empty"
                .to_owned(),
        });
    };
    let rules: Result<Vec<RoutingRule>, GatewayError> = rules.into_iter().map(rule).collect();
    Website::pages(index.suffix, error.map(|error| error.key), rules?)
}

fn rule(document: dto::RoutingRule) -> Result<RoutingRule, GatewayError> {
    let (mut prefix, mut error) = (None, None);
    if let Some(condition) = document.condition {
        prefix = condition.key_prefix_equals;
        error = number(condition.http_error_code_returned_equals, "error")?;
        if prefix.is_none() && error.is_none() {
            return refuse(
                "Condition cannot be empty. To redirect all requests without a condition, the \
                 condition element shouldn't be present.",
            );
        }
    }
    let to = document.redirect;
    let key = match (to.replace_key_with, to.replace_key_prefix_with) {
        (Some(_), Some(_)) => {
            return refuse("You can only define ReplaceKeyPrefix or ReplaceKey but not both.");
        }
        (Some(key), None) => Some(NewKey::Whole(key)),
        (None, Some(start)) => Some(NewKey::Prefix(start)),
        (None, None) => None,
    };
    Ok(RoutingRule {
        prefix,
        error,
        to: Redirect {
            host: to.host_name,
            protocol: protocol(to.protocol)?,
            status: number(to.http_redirect_code, "redirect")?,
            key,
        },
    })
}

fn number(text: Option<String>, what: &str) -> Result<Option<u16>, GatewayError> {
    let Some(text) = text else { return Ok(None) };
    match text.parse() {
        Ok(code) => Ok(Some(code)),
        Err(_) => refuse(&format!(
            "The provided HTTP {what} code ({text}) is not valid."
        )),
    }
}

fn protocol(given: Option<dto::Protocol>) -> Result<Option<Protocol>, GatewayError> {
    given.map(|name| Protocol::parse(name.as_str())).transpose()
}

fn refuse<T>(why: &str) -> Result<T, GatewayError> {
    Err(GatewayError::InvalidRequest {
        why: why.to_owned(),
    })
}

pub(super) fn elsewhere(to: &Elsewhere) -> RedirectAllRequestsTo {
    RedirectAllRequestsTo {
        host_name: to.host.clone(),
        protocol: to.protocol.map(named),
    }
}

fn named(protocol: Protocol) -> dto::Protocol {
    dto::Protocol::from_static(protocol.name())
}

pub(super) fn of_pages(pages: &Pages) -> GetBucketWebsiteOutput {
    let rules: Vec<dto::RoutingRule> = pages.rules.iter().map(document).collect();
    GetBucketWebsiteOutput {
        index_document: Some(IndexDocument {
            suffix: pages.index.clone(),
        }),
        error_document: pages.error.clone().map(|key| ErrorDocument { key }),
        routing_rules: (!rules.is_empty()).then_some(rules),
        redirect_all_requests_to: None,
    }
}

fn document(rule: &RoutingRule) -> dto::RoutingRule {
    let has_condition = rule.prefix.is_some() || rule.error.is_some();
    let (whole, start) = match rule.to.key.clone() {
        None => (None, None),
        Some(NewKey::Whole(key)) => (Some(key), None),
        Some(NewKey::Prefix(start)) => (None, Some(start)),
    };
    dto::RoutingRule {
        condition: has_condition.then(|| Condition {
            http_error_code_returned_equals: rule.error.map(|code| code.to_string()),
            key_prefix_equals: rule.prefix.clone(),
        }),
        redirect: dto::Redirect {
            host_name: rule.to.host.clone(),
            http_redirect_code: rule.to.status.map(|code| code.to_string()),
            protocol: rule.to.protocol.map(named),
            replace_key_prefix_with: start,
            replace_key_with: whole,
        },
    }
}
