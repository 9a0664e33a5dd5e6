//! May this caller do that? The facts for the answer.
//!
//! Owns: looking up what the decision needs: the bucket, its policy, the object; which questions an
//! operation raises; that what is not there is told only to those who may list.
//! Leaves to others: the decision ([`evaluate`]), what a request says itself ([`super::asking`]).
//! Always: nothing is allowed but by [`evaluate`]; an object is looked up only if a statement or an
//! ACL looks at it; why a request is denied is in the log, never in the answer.

use std::sync::Arc;

use holdfast_policy::{Ask, Context, Key, On, Resource as Wanted, evaluate};
use holdfast_protocol::Metadata;
use http::HeaderMap;
use s3s::{S3Error, S3Result};
use tracing::debug;

use super::acl::kept;
use super::asking::Asking;
use super::error;
use super::facts::{facts, pays_or_need_not, whose};
use super::object::version;
use crate::auth::{Action, Credentials, Operation, Owner, Resource};
use crate::error::GatewayError;
use crate::names::{BucketName, ObjectKey};
use crate::object::types::{ReadConditions, VersionId};
use crate::object::{Objects, TAGGING};

/// Who may do what.
#[derive(Clone)]
pub(crate) struct Rights {
    /// Where buckets are.
    pub objects: Arc<dyn Objects>,
    /// Whose accounts there are.
    pub credentials: Arc<dyn Credentials>,
}

/// One question about a bucket or a key in it.
#[derive(Clone, Copy, Debug)]
struct Question<'a> {
    action: Action,
    bucket: &'a str,
    key: Option<&'a str>,
    version: Option<&'a str>,
    /// Whether it is about an object that the request makes, which is the caller's.
    is_new: bool,
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

    /// Whether a request is let in, before its body is read. What its document decides is decided
    /// by [`Rights::check`].
    ///
    /// # Errors
    /// As [`Rights::check`].
    pub async fn admit(&self, asking: &Asking) -> S3Result<()> {
        if let (None, Some(bucket)) = (&asking.account, &asking.bucket)
            && BucketName::parse(bucket).is_err()
        {
            return Err(error::access_denied());
        }
        match depends_on_document(asking.operation) {
            false => self.check(asking).await,
            true => self.check_possible(asking).await,
        }
    }

    /// Whether a request may be done, all of it.
    ///
    /// # Errors
    /// `AccessDenied`; that there is no such bucket; that there is no such object, for those who
    /// may list.
    pub async fn check(&self, asking: &Asking) -> S3Result<()> {
        let operation = asking.operation;
        if operation.resource() == Resource::Named {
            return self.check_possible(asking).await;
        }
        let own = match &asking.version {
            None => operation.action(),
            Some(_) => operation.version_action(),
        };
        if !self.allows(asking, own, false).await? {
            return Err(self.denied(asking).await?);
        }
        for more in &asking.more {
            if !self.allows(asking, *more, is_about_new(*more)).await? {
                return Err(error::access_denied());
            }
        }
        Ok(())
    }

    /// Whether the request's caller may also do `action` to what the request is about.
    ///
    /// # Errors
    /// What the index says.
    pub async fn may(&self, asking: &Asking, action: Action) -> Result<bool, GatewayError> {
        self.allows(asking, action, false).await
    }

    /// Whether the request's caller may do `action` to the object that the request makes.
    ///
    /// # Errors
    /// What the index says.
    pub async fn may_make(&self, asking: &Asking, action: Action) -> Result<bool, GatewayError> {
        self.allows(asking, action, true).await
    }

    /// Whether the request's caller may do `action` to this key of the request's bucket.
    ///
    /// # Errors
    /// What the index says.
    pub async fn may_with_key(
        &self,
        asking: &Asking,
        action: Action,
        key: &str,
        version: Option<&str>,
    ) -> Result<bool, GatewayError> {
        let question = Question {
            action,
            bucket: asking.bucket.as_deref().unwrap_or_default(),
            key: Some(key),
            version,
            is_new: false,
        };
        let also = version.map(|version| (Key::VersionId, version));
        self.decide(asking, also, question).await
    }

    async fn allows(
        &self,
        asking: &Asking,
        action: Action,
        is_new: bool,
    ) -> Result<bool, GatewayError> {
        let Some(bucket) = asking.bucket.as_deref() else {
            return Ok(on_service(asking, action, Wanted::Service));
        };
        if action == Action::CreateBucket {
            BucketName::parse(bucket)?;
            return Ok(on_service(asking, action, Wanted::Bucket(bucket)));
        }
        let question = Question {
            action,
            bucket,
            key: asking.key.as_deref().filter(|_| action.on() == On::Object),
            version: asking.version.as_deref(),
            is_new,
        };
        self.decide(asking, None, question).await
    }

    /// Whether `by` may read the source of a copy; and it is whose the request says.
    ///
    /// # Errors
    /// As [`Rights::check`].
    pub async fn check_source(
        &self,
        asking: &Asking,
        (bucket, key): (&BucketName, &ObjectKey),
        version: Option<VersionId>,
        headers: &HeaderMap,
    ) -> S3Result<()> {
        let action = match version {
            None => Action::GetObject,
            Some(_) => Action::GetObjectVersion,
        };
        if !self
            .may_read(asking, (bucket, key), version, action)
            .await?
        {
            return Err(error::access_denied());
        }
        let name = "x-amz-source-expected-bucket-owner";
        self.check_expected(headers, name, bucket.as_str()).await
    }

    /// Whether the request's caller may do `action` to the source of a copy.
    ///
    /// # Errors
    /// What the index says.
    pub async fn may_read(
        &self,
        asking: &Asking,
        (bucket, key): (&BucketName, &ObjectKey),
        version: Option<VersionId>,
        action: Action,
    ) -> Result<bool, GatewayError> {
        let version = version.map(|version| version.to_string());
        let named = version.as_deref();
        let also = named.map(|version| (Key::VersionId, version));
        let question = Question {
            action,
            bucket: bucket.as_str(),
            key: Some(key.as_str()),
            version: named,
            is_new: false,
        };
        self.decide(asking, also, question).await
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

    /// What is told of an operation's outcome; see [`Rights::hide`]. Copies name another bucket,
    /// and see to it themselves.
    pub async fn told<T>(&self, asking: &Asking, done: S3Result<T>) -> S3Result<T> {
        let copies = matches!(
            asking.operation,
            Operation::CopyObject | Operation::UploadPartCopy
        );
        match (done, asking.bucket.as_deref()) {
            (Err(failure), Some(bucket)) if !copies => {
                let key = asking.key.as_deref().unwrap_or_default();
                Err(self.hide(asking, (bucket, key), failure).await)
            }
            (done, _) => done,
        }
    }

    /// What is said instead of `failure`: that there is no such key in a bucket is told only to
    /// those who may list it there.
    pub async fn hide(
        &self,
        asking: &Asking,
        (bucket, key): (&str, &str),
        failure: S3Error,
    ) -> S3Error {
        if !error::is_absence(&failure) {
            return failure;
        }
        match self.may_list(asking, bucket, key).await {
            Ok(true) => failure,
            Ok(false) => error::access_denied(),
            Err(other) => other.into(),
        }
    }

    /// Whether the request's caller may list the keys of `bucket` that begin with `key`.
    async fn may_list(
        &self,
        asking: &Asking,
        bucket: &str,
        key: &str,
    ) -> Result<bool, GatewayError> {
        let question = Question {
            action: Action::ListBucket,
            bucket,
            key: None,
            version: None,
            is_new: false,
        };
        let also = Some((Key::Prefix, key));
        self.decide(asking, also, question).await
    }

    /// The refusal of a request. Who may list learns that there is nothing to be read.
    async fn denied(&self, asking: &Asking) -> S3Result<S3Error> {
        let reads = matches!(
            asking.operation,
            Operation::GetObject | Operation::HeadObject
        );
        let (Some(bucket), Some(key), true) = (&asking.bucket, &asking.key, reads) else {
            return Ok(error::access_denied());
        };
        if !self.may_list(asking, bucket, key).await? {
            return Ok(error::access_denied());
        }
        let (bucket, key) = (BucketName::parse(bucket)?, ObjectKey::parse(key)?);
        let version = version(asking.version.as_deref())?;
        let any = ReadConditions::default();
        let found = self.objects.head(&bucket, &key, version, None, &any).await;
        Ok(match found {
            Err(
                failure @ (GatewayError::NoSuchKey { .. } | GatewayError::NoSuchVersion { .. }),
            ) => failure.into(),
            _ => error::access_denied(),
        })
    }

    /// Whether there is anything that could allow a request, whatever its document says.
    async fn check_possible(&self, asking: &Asking) -> S3Result<()> {
        let name = BucketName::parse(asking.bucket.as_deref().unwrap_or_default())?;
        let bucket = self.objects.bucket(&name).await?;
        let owner = self.owner(&bucket.owner);
        let facts = facts(&bucket, &owner);
        let is_admin = asking.account.as_ref().is_some_and(|who| who.is_admin);
        let possible = is_admin
            || asking.asker().is(facts.owner)
            || facts.policy.is_some()
            || facts.ownership.acls_count();
        match possible {
            true => Ok(()),
            false => Err(error::access_denied()),
        }
    }

    /// The decision; `also` is the value of one more condition key.
    async fn decide(
        &self,
        asking: &Asking,
        also: Option<(Key, &str)>,
        question: Question<'_>,
    ) -> Result<bool, GatewayError> {
        let name = BucketName::parse(question.bucket)?;
        let bucket = self.objects.bucket(&name).await?;
        let owner = self.owner(&bucket.owner);
        let facts = facts(&bucket, &owner);
        let action = question.action;
        let needs = facts.needs(action);
        // Only a policy has conditions.
        let mut context = Context::default();
        if facts.policy.is_some() {
            context.clone_from(asking.context());
            context.set(Key::ResourceAccount, &owner.number);
            context.set(Key::GlobalResourceAccount, &owner.number);
            if let Some((key, value)) = also {
                context.set(key, value);
            }
        }
        let mut stored = None;
        if (needs.existing_tags || needs.object) && !question.is_new {
            stored = self.stored(asking, &name, &question).await?;
        }
        if let Some(metadata) = stored.as_ref().filter(|_| needs.existing_tags) {
            let tags = metadata.get(TAGGING).unwrap_or_default();
            for (key, value) in form_urlencoded::parse(tags.as_bytes()) {
                let key = Key::ExistingObjectTag(key.into_owned());
                context.set(key, value);
            }
        }
        let of_object = stored.as_ref().filter(|_| needs.object);
        let acl = of_object.map(kept).transpose()?.flatten();
        let object = of_object.map(|metadata| whose(metadata, facts.owner, acl.as_ref()));
        let verdict = evaluate(&Ask {
            caller: asking.asker(),
            action,
            resource: match question.key {
                None => Wanted::Bucket(question.bucket),
                Some(key) => Wanted::Object {
                    bucket: question.bucket,
                    key,
                },
            },
            bucket: Some(facts),
            object,
            is_new: question.is_new,
            context: &context,
        });
        if !verdict.allowed {
            debug!(action = action.name(), why = %verdict.why, "not allowed");
        }
        Ok(verdict.allowed && pays_or_need_not(asking, &bucket, facts.owner))
    }

    /// What is kept with the object, or the upload, that a question is about; `None` if there is
    /// none.
    async fn stored(
        &self,
        asking: &Asking,
        bucket: &BucketName,
        question: &Question<'_>,
    ) -> Result<Option<Metadata>, GatewayError> {
        let Some(key) = question.key else {
            return Ok(None);
        };
        let key = ObjectKey::parse(key)?;
        let of_upload = matches!(
            question.action,
            Action::AbortMultipartUpload | Action::ListMultipartUploadParts
        );
        if let Some(upload) = asking.upload.as_deref().filter(|_| of_upload) {
            return match self.objects.upload_metadata(bucket, &key, upload).await {
                Ok(metadata) => Ok(Some(metadata)),
                Err(GatewayError::NoSuchUpload { .. }) => Ok(None),
                Err(failure) => Err(failure),
            };
        }
        let version = version(question.version)?;
        let any = ReadConditions::default();
        match self.objects.head(bucket, &key, version, None, &any).await {
            Ok(info) => Ok(Some(info.metadata)),
            Err(
                GatewayError::NoSuchKey { .. }
                | GatewayError::NoSuchVersion { .. }
                | GatewayError::DeleteMarker { .. },
            ) => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

/// Operations whose document decides whether they are allowed.
fn depends_on_document(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::DeleteObjects
            | Operation::PutObjectTagging
            | Operation::PutObjectRetention
            | Operation::PutObjectLegalHold
    )
}

/// Whether an action that a write needs besides its own is about what it makes, and not about what
/// there is already.
fn is_about_new(action: Action) -> bool {
    !matches!(action, Action::GetObject | Action::GetObjectVersion)
}

/// What is decided without a bucket.
fn on_service(asking: &Asking, action: Action, resource: Wanted<'_>) -> bool {
    let context = Context::default();
    let verdict = evaluate(&Ask {
        caller: asking.asker(),
        action,
        resource,
        bucket: None,
        object: None,
        is_new: false,
        context: &context,
    });
    verdict.allowed
}
