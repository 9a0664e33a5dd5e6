//! What S3's own services write: log objects, inventory lists.
//!
//! Owns: asking whether a service may write an object, and writing it.
//! Leaves to others: the decision ([`super::gate`]), what is written and when
//! ([`super::access_log`], [`super::inventory`]).
//! Always: a service writes in its own name, for a bucket whose name and owner's account the
//! destination's policy may ask for.

use bytes::Bytes;
use futures::stream;
use holdfast_policy::{Context, Key};
use holdfast_protocol::Metadata;

use super::asking::{Asking, Said};
use super::gate::Rights;
use super::headers::now_ms;
use crate::auth::{Action, Caller, Operation};
use crate::error::GatewayError;
use crate::names::{BucketName, ObjectKey};
use crate::object::Bucket;
use crate::object::types::{BodyClaims, Incoming, PutObject, WriteConditions};

impl Rights {
    /// Whether `service` may write an object for the bucket `source`; `also` is the value of one
    /// more condition key.
    ///
    /// # Errors
    /// What the index says.
    pub async fn may_write_for(
        &self,
        service: &'static str,
        source: &Bucket,
        (target, key): (&BucketName, &str),
        also: Option<(Key, &str)>,
    ) -> Result<bool, GatewayError> {
        let mut context = Context::of(holdfast_policy::Caller::Service(service));
        context.set_time((now_ms() / 1000).cast_signed());
        context.set(Key::SourceArn, format!("arn:aws:s3:::{}", source.name));
        context.set(Key::SourceAccount, &self.owner(&source.owner).number);
        if let Some((key, value)) = also {
            context.set(key, value);
        }
        let asking = Asking {
            operation: Operation::PutObject,
            bucket: Some(target.to_string()),
            key: Some(key.to_owned()),
            version: None,
            upload: None,
            pays: false,
            by: Caller::Anonymous,
            account: None,
            service: Some(service),
            said: Said::known(context),
            more: Vec::new(),
        };
        self.may(&asking, Action::PutObject).await
    }

    /// Writes an object that no client asked for.
    ///
    /// # Errors
    /// Those of a PutObject.
    pub async fn write_own(
        &self,
        (target, key): (&BucketName, &str),
        metadata: Metadata,
        bytes: Bytes,
    ) -> Result<(), GatewayError> {
        let put = PutObject {
            bucket: target.clone(),
            key: ObjectKey::parse(key)?,
            metadata,
            body: Incoming {
                len: Some(bytes.len() as u64),
                stream: Box::pin(stream::iter([Ok(bytes)])),
                checksum: None,
                claims: Box::new(|| Ok(BodyClaims::default())),
            },
            conditions: WriteConditions::default(),
            by: Caller::Anonymous,
        };
        self.objects.put(put).await.map(|_| ())
    }
}
