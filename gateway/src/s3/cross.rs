//! Requests from pages of other origins.
//!
//! Owns: answering preflight requests, and what is added to answers of the requests that follow.
//! Leaves to others: the rules ([`crate::http::cors`]).
//! Always: a preflight needs no signature and tells nothing but what the bucket's rules allow; a
//! bucket that does not exist is answered as one without rules.

use std::sync::Arc;

use http::header::ORIGIN;
use http::{HeaderMap, Method, Request};

use super::service::Layers;
use crate::error::GatewayError;
use crate::http::{CrossOrigin, Query, Refusal, Target};
use crate::names::BucketName;
use crate::object::Bucket;

/// A request from a page, and the bucket that it is about.
pub(super) struct FromPage {
    ask: CrossOrigin,
    bucket: BucketName,
}

impl Layers {
    /// Whether the request comes from a page of another origin, and is about a bucket. A preflight
    /// request has its own answer.
    pub fn page_of<B>(&self, request: &Request<B>) -> Option<FromPage> {
        let is_preflight = *request.method() == Method::OPTIONS;
        if is_preflight || !request.headers().contains_key(ORIGIN) {
            return None;
        }
        Some(FromPage {
            ask: CrossOrigin::request(request.method(), request.headers())?,
            bucket: self.bucket_of(request)?,
        })
    }

    /// What the page may know of the answer, whatever that is.
    pub async fn for_page(&self, page: &FromPage) -> Option<HeaderMap> {
        let bucket = self.objects.bucket(&page.bucket).await.ok()?;
        page.ask.allowed(bucket.settings().cors.as_ref()?)
    }

    /// Answers a preflight request.
    ///
    /// # Errors
    /// Why the request that is to follow is not allowed.
    pub async fn preflight<B>(
        &self,
        request: &Request<B>,
        query: Result<Query, Refusal>,
    ) -> Result<HeaderMap, Refusal> {
        debug_assert_eq!(*request.method(), Method::OPTIONS);
        self.serving()?;
        // A presigned URL is asked about with its signature, which is not looked at.
        query?;
        let ask = CrossOrigin::preflight(request.headers())?;
        let name = self.bucket_of(request).ok_or(Refusal::NoCors)?;
        let bucket = self.bucket_or_none(&name).await?.ok_or(Refusal::NoCors)?;
        let cors = bucket.settings().cors.as_ref().ok_or(Refusal::NoCors)?;
        ask.allowed(cors).ok_or(Refusal::CorsDenied)
    }

    async fn bucket_or_none(&self, name: &BucketName) -> Result<Option<Arc<Bucket>>, Refusal> {
        match self.objects.bucket(name).await {
            Ok(bucket) => Ok(Some(bucket)),
            Err(GatewayError::NoSuchBucket { .. }) => Ok(None),
            Err(error) => {
                tracing::warn!(%error, "a preflight could not be answered");
                Err(Refusal::NotServing {
                    why: "Please try again.".to_owned(),
                })
            }
        }
    }

    /// The bucket that a request is about.
    pub fn bucket_of<B>(&self, request: &Request<B>) -> Option<BucketName> {
        if let Some(bucket) = self.site_of(request.headers()) {
            return BucketName::parse(&bucket).ok();
        }
        let target = Target::parse(&self.domains, request.headers(), request.uri().path()).ok()?;
        BucketName::parse(target.bucket()?).ok()
    }
}
