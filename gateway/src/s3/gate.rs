//! May this caller do that? The facts for the answer.
//!
//! Owns: looking up what the decision needs: whose a bucket is.
//! Leaves to others: the decision ([`evaluate`]).
//! Always: nothing is looked up for nobody, nor if the answer is known without; who may not use a
//! bucket learns no more than that it exists.

use std::sync::Arc;

use http::HeaderMap;
use s3s::S3Result;

use super::error;
use crate::auth::{Action, Ask, Caller, Credentials, Operation, Owner, Resource, evaluate};
use crate::error::GatewayError;
use crate::names::BucketName;
use crate::object::Objects;
use crate::object::types::VersionId;

/// Who may do what.
#[derive(Clone)]
pub(crate) struct Rights {
    /// Where buckets are.
    pub objects: Arc<dyn Objects>,
    /// Whose accounts there are.
    pub credentials: Arc<dyn Credentials>,
}

impl Rights {
    /// The account that a bucket's row names as its owner.
    pub fn owner(&self, stored: &str) -> Owner {
        self.credentials.owner(stored)
    }

    async fn owner_of(&self, bucket: &BucketName) -> Result<Owner, GatewayError> {
        let row = self.objects.bucket(bucket).await?;
        Ok(self.owner(&row.owner))
    }

    /// Whether `by` may do `operation` in the bucket that the request is for.
    ///
    /// # Errors
    /// `AccessDenied`; for someone with a key also that there is no such bucket.
    pub async fn check(
        &self,
        operation: Operation,
        by: &Caller,
        bucket: Option<&str>,
    ) -> S3Result<()> {
        let wanted = Wanted {
            action: operation.action(),
            resource: operation.resource(),
        };
        self.allowed(wanted, by, bucket).await
    }

    /// Whether `by` may read the source of a copy; and it is whose the request says.
    ///
    /// # Errors
    /// As [`Rights::check`].
    pub async fn check_source(
        &self,
        by: &Caller,
        bucket: &BucketName,
        version: Option<VersionId>,
        headers: &HeaderMap,
    ) -> S3Result<()> {
        let wanted = Wanted {
            action: match version {
                None => Action::GetObject,
                Some(_) => Action::GetObjectVersion,
            },
            resource: Resource::Object,
        };
        self.allowed(wanted, by, Some(bucket.as_str())).await?;
        let name = "x-amz-source-expected-bucket-owner";
        self.check_expected(headers, name, bucket.as_str()).await
    }

    /// Whether the bucket is whose the request says, if it says so.
    ///
    /// # Errors
    /// `AccessDenied` if it is another's.
    pub async fn check_owner(
        &self,
        operation: Operation,
        headers: &HeaderMap,
        bucket: Option<&str>,
    ) -> S3Result<()> {
        let name = "x-amz-expected-bucket-owner";
        match bucket {
            // It does not exist yet.
            Some(_) if operation == Operation::CreateBucket => Ok(()),
            Some(bucket) => self.check_expected(headers, name, bucket).await,
            None => Ok(()),
        }
    }

    async fn check_expected(
        &self,
        headers: &HeaderMap,
        name: &'static str,
        bucket: &str,
    ) -> S3Result<()> {
        if !headers.contains_key(name) {
            return Ok(());
        }
        let owner = self.owner_of(&BucketName::parse(bucket)?).await?;
        let mut expected = headers.get_all(name).iter();
        match expected.all(|expected| owner.is(expected.as_bytes())) {
            true => Ok(()),
            false => Err(error::access_denied()),
        }
    }

    async fn allowed(&self, wanted: Wanted, by: &Caller, bucket: Option<&str>) -> S3Result<()> {
        let mut ask = Ask {
            caller: by,
            action: wanted.action,
            resource: wanted.resource,
            owner: None,
        };
        if evaluate(&ask).allowed {
            return Ok(());
        }
        let (Caller::Known(_), Some(bucket)) = (by, bucket) else {
            return Err(error::access_denied());
        };
        let owner = self.owner_of(&BucketName::parse(bucket)?).await?;
        ask.owner = Some(&owner.id);
        match evaluate(&ask).allowed {
            true => Ok(()),
            false => Err(error::access_denied()),
        }
    }
}

/// What is to be done.
#[derive(Clone, Copy)]
struct Wanted {
    action: Action,
    resource: Resource,
}
