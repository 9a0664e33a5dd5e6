//! Keys of which nobody knows whether they exist.
//!
//! Owns: refusing to say that something is not there while a rebuild left that in doubt.
//! Leaves to others: what is in doubt (`index::doubt`), deciding it (workers).
//! Always: what a row shows is not in doubt; nothing is read besides while there are no doubts.

use holdfast_index::{Batch, doubt};
use holdfast_protocol::{BucketId, VersionRow};

use super::conditions::check_write;
use super::put::visible;
use super::service::Service;
use super::types::WriteConditions;
use crate::error::GatewayError;

fn in_doubt(what: &str) -> GatewayError {
    GatewayError::Unavailable {
        why: format!(
            "the index was rebuilt while drives were away: whether {what} exists is known when \
             they are back"
        ),
    }
}

impl Service {
    /// Whether a rebuild left anything in doubt.
    pub(super) async fn has_doubts(&self) -> Result<bool, GatewayError> {
        let doubts = self.doubts.get_or_try_init(|| doubt::exists(&*self.index));
        Ok(*doubts.await?)
    }

    /// That no row shows a key means that it does not exist.
    ///
    /// # Errors
    /// `Unavailable` if it does not.
    pub(super) async fn sure(&self, bucket: BucketId, key: &str) -> Result<(), GatewayError> {
        if self.has_doubts().await? && doubt::of_key(&*self.index, bucket, key).await? {
            return Err(in_doubt("this object"));
        }
        Ok(())
    }

    /// Conditions of a write can be decided; `old` is what the key has.
    ///
    /// # Errors
    /// `Unavailable` if they cannot.
    pub(super) async fn decidable(
        &self,
        conditions: &WriteConditions,
        old: Option<&VersionRow>,
        bucket: BucketId,
        key: &str,
    ) -> Result<(), GatewayError> {
        match old.is_none() && conditions.are_any() {
            true => self.sure(bucket, key).await,
            false => Ok(()),
        }
    }

    /// Decides the conditions of a write, if they can be.
    ///
    /// # Errors
    /// `Unavailable` if they cannot; what [`check_write`] says.
    pub(super) async fn decide(
        &self,
        conditions: &WriteConditions,
        old: Option<&VersionRow>,
        bucket: BucketId,
        key: &str,
    ) -> Result<(), GatewayError> {
        self.decidable(conditions, old, bucket, key).await?;
        check_write(conditions, key, old.and_then(visible))
    }

    /// A listing of these keys is exact.
    ///
    /// # Errors
    /// `Unavailable` if a key in doubt would be listed, or may be any that is not known.
    pub(super) async fn sure_of_all(
        &self,
        bucket: BucketId,
        prefix: &str,
    ) -> Result<(), GatewayError> {
        if self.has_doubts().await? {
            if doubt::is_unlisted(&*self.index).await? {
                return Err(in_doubt("an object of which no record can be read"));
            }
            let first = doubt::first(&*self.index, bucket, prefix).await?;
            return first.map_or(Ok(()), |key| Err(in_doubt(&format!("{key:?}"))));
        }
        Ok(())
    }

    /// That there is no such bucket is certain.
    ///
    /// # Errors
    /// `Unavailable` if it is not.
    pub(super) async fn sure_of_bucket(&self) -> Result<(), GatewayError> {
        if self.has_doubts().await? && doubt::any(&*self.index).await? {
            return Err(in_doubt("this bucket"));
        }
        Ok(())
    }

    /// The key is deleted, whatever there was of it.
    pub(super) async fn end_doubt(
        &self,
        bucket: BucketId,
        key: &str,
        batch: &mut Batch,
    ) -> Result<(), GatewayError> {
        if self.has_doubts().await? {
            doubt::remove_key(batch, bucket, key);
        }
        Ok(())
    }
}
