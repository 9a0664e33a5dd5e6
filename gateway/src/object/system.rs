//! System records that are no bucket's: accounts and their keys.
//!
//! Owns: making them durable, alone with all that names an owner.
//! Leaves to others: what is in them ([`crate::accounts`]).
//! Always: a bucket is never made for an account that was deleted.

use std::sync::Arc;

use bytes::Bytes;
use holdfast_index::{Batch, Index, Locks, rows};
use holdfast_seam::World;
use tokio::sync::OwnedRwLockWriteGuard;

use super::service::Service;
use crate::accounts::ACCOUNT_KIND;
use crate::error::GatewayError;

impl Service {
    /// What reads rows.
    pub(crate) fn rows(&self) -> &dyn Index {
        &*self.index
    }

    /// The world.
    pub(crate) fn world(&self) -> &World {
        self.store.world()
    }

    /// The right to change accounts and keys. No bucket is made meanwhile.
    pub(crate) async fn alone_with_owners(&self) -> OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.owners).write_owned().await
    }

    /// Makes a system record durable and commits its row; an empty `value` deletes. Who calls has
    /// [`Service::alone_with_owners`].
    pub(crate) async fn write_system(
        &self,
        kind: &str,
        name: &str,
        value: Bytes,
    ) -> Result<(), GatewayError> {
        let mut txn = self.index.begin(Locks::none()).await?;
        let (order, mut batch) = (txn.take_order(), Batch::new());
        self.put_system(&mut batch, order, kind, name, value)
            .await?;
        self.commit(txn, batch).await
    }

    /// The names of the buckets that an account owns.
    ///
    /// # Errors
    /// `Unavailable` while there may be buckets that nobody knows.
    pub(crate) async fn owned_by(&self, account: &str) -> Result<Vec<String>, GatewayError> {
        self.sure_of_bucket().await?;
        let all = self.all_buckets().await?.into_iter();
        let owned = all.filter(|bucket| bucket.owner == account);
        Ok(owned.map(|bucket| bucket.name).collect())
    }

    /// The account was not deleted since its request was let in.
    pub(super) async fn still_there(&self, account: &str) -> Result<(), GatewayError> {
        let row = rows::get_system(&*self.index, ACCOUNT_KIND, account).await?;
        match row.is_some_and(|row| row.value.is_empty()) {
            false => Ok(()),
            true => Err(GatewayError::AccessDenied {
                why: "the account was deleted".to_owned(),
            }),
        }
    }
}
