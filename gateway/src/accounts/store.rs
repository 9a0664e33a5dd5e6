//! Changing accounts and keys, durably.
//!
//! Owns: loading them at start; the rules of each change.
//! Leaves to others: records and rows ([`Service`]), what is in memory ([`super::directory`]).
//! Always: one change at a time, alone with all that names an owner; requests see it once its
//! record and row are durable, and from then on.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use holdfast_index::{Index, rows};
use holdfast_protocol::{AccountRecord, ClusterId};

use super::account::Account;
use super::directory::{Directory, Found, State};
use super::key::{Key, NewKey};
use super::seal::Sealer;
use super::{ACCOUNT_KIND, KEY_KIND};
use crate::auth::{Administrator, Secret};
use crate::error::GatewayError;
use crate::metrics::AccountMetrics;
use crate::object::Service;

const PAGE_ROWS: usize = 1000;

/// The accounts of a gateway that serves; cheap to clone.
#[derive(Clone, Debug)]
pub struct Accounts {
    service: Service,
    directory: Arc<Directory>,
    sealer: Sealer,
    metrics: AccountMetrics,
}

/// Adds all accounts and keys that an index has.
async fn read(index: &dyn Index, mut state: State, sealer: &Sealer) -> Result<State, GatewayError> {
    // A record that cannot be read is one that a later release wrote: it stays as it is, and whom
    // it describes cannot sign.
    for (name, value) in values(index, ACCOUNT_KIND).await? {
        match AccountRecord::decode(&value) {
            Ok(record) => state.put_account(Account::of_record(record)),
            Err(error) => tracing::error!(account = %name, %error, "account unreadable"),
        }
    }
    for (name, value) in values(index, KEY_KIND).await? {
        match Key::of_record(&value, sealer) {
            Ok(key) => state.put_key(key),
            Err(error) => tracing::error!(key = %name, %error, "access key unreadable"),
        }
    }
    Ok(state)
}

/// The system records of a kind that are not deleted.
async fn values(index: &dyn Index, kind: &str) -> Result<Vec<(String, Bytes)>, GatewayError> {
    let (mut found, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = rows::list_system(index, kind, after.as_deref(), PAGE_ROWS).await?;
        after = page.items.last().map(|(name, _)| name.clone());
        let live = page.items.into_iter().map(|(name, row)| (name, row.value));
        found.extend(live.filter(|(_, value)| !value.is_empty()));
        if !page.more {
            return Ok(found);
        }
    }
}

/// Accounts with keys that `sealer` does not open, and how many each has.
///
/// # Errors
/// What the index says.
pub async fn unusable(
    index: &dyn Index,
    cluster: ClusterId,
    sealer: &Sealer,
) -> Result<Vec<(String, usize)>, GatewayError> {
    let state = read(index, Directory::begin(None, cluster), sealer).await?;
    Ok(state.unusable().into_iter().collect())
}

/// Says whose keys cannot be used.
pub fn tell_unusable(unusable: &[(String, usize)]) {
    if unusable.is_empty() {
        return;
    }
    let keys: usize = unusable.iter().map(|(_, keys)| keys).sum();
    let names: Vec<&str> = unusable.iter().map(|(name, _)| name.as_str()).collect();
    tracing::error!(
        keys,
        accounts = %names.join(", "),
        "the master key does not open the secrets of these accounts' keys: requests signed with \
         them are refused until the right master key is back; no object is lost"
    );
}

impl Accounts {
    /// Loads them into `directory`, and says whose keys cannot be used.
    ///
    /// # Errors
    /// What the index says.
    pub async fn load(
        service: Service,
        directory: Arc<Directory>,
        root: &Administrator,
        cluster: ClusterId,
        sealer: Sealer,
        metrics: AccountMetrics,
    ) -> Result<Self, GatewayError> {
        let begin = Directory::begin(Some(root), cluster);
        let state = read(service.rows(), begin, &sealer).await?;
        let unusable: Vec<(String, usize)> = state.unusable().into_iter().collect();
        tell_unusable(&unusable);
        if state.key(root.access_key()).is_some() {
            tracing::warn!("an account's key has the name of the configured one, which counts");
        }
        let accounts = Self {
            service,
            directory,
            sealer,
            metrics,
        };
        accounts.show(state);
        Ok(accounts)
    }

    fn show(&self, state: State) {
        let (accounts, keys, unusable) = state.counts();
        self.metrics.set(accounts, keys, unusable);
        self.directory.set(state);
    }

    /// All of them: the administrator by configuration, then the others by name.
    pub fn list(&self) -> Vec<Found> {
        self.directory.now().all()
    }

    /// The account of that name, number or canonical id.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub fn find(&self, account: &str) -> Result<Found, GatewayError> {
        let state = self.directory.now();
        Ok(state.whole(named(&state, account)?))
    }

    /// Whether requests can be signed with a key, once it is active.
    pub fn is_usable(&self, access_key: &str) -> bool {
        self.directory.now().is_usable(access_key)
    }

    /// Makes an account.
    ///
    /// # Errors
    /// `InvalidArgument`; `InvalidRequest` if name or address are taken; what a write says.
    pub async fn create(
        &self,
        name: String,
        email: Option<String>,
        is_admin: bool,
    ) -> Result<Found, GatewayError> {
        self.change("create account", move |accounts, state| {
            Box::pin(async move {
                let world = accounts.service.world();
                let (rng, now) = (&*world.rng, world.clock.unix_ms());
                let account = Account::new(rng, &name, email.as_deref(), is_admin, now)?;
                if let Some(what) = state.is_taken(&account) {
                    return Err(GatewayError::InvalidRequest {
                        why: format!("another account has this {what}"),
                    });
                }
                let record = account.record()?.encode();
                accounts
                    .write(ACCOUNT_KIND, account.id.as_str(), record)
                    .await?;
                tracing::info!(account = %account.name, id = %account.id, "account made");
                state.put_account(account.clone());
                Ok(state.whole(&account))
            })
        })
        .await
    }

    /// Deletes an account and its keys.
    ///
    /// # Errors
    /// `NoSuchEntity`; `InvalidRequest` while it owns buckets, and for the administrator by
    /// configuration; what a write says: then some of its keys may be gone.
    pub async fn delete(&self, account: String) -> Result<String, GatewayError> {
        self.change("delete account", move |accounts, state| {
            Box::pin(async move {
                let found = state.whole(named(state, &account)?);
                let account = found.account;
                if account.is_root {
                    return Err(GatewayError::InvalidRequest {
                        why: "the administrator by configuration cannot be deleted".to_owned(),
                    });
                }
                let owned = accounts.service.owned_by(account.id.as_str()).await?;
                if let Some(bucket) = owned.first() {
                    return Err(GatewayError::InvalidRequest {
                        why: format!(
                            "{} owns {} buckets, {bucket} among them: delete them first",
                            account.name,
                            owned.len()
                        ),
                    });
                }
                for key in found.keys {
                    accounts.forget_key(state, &key.access_key).await?;
                }
                let id = account.id.as_str();
                accounts.write(ACCOUNT_KIND, id, Bytes::new()).await?;
                tracing::info!(account = %account.name, %id, "account deleted");
                state.drop_account(&account);
                Ok(account.id.to_string())
            })
        })
        .await
    }

    /// Makes a key; the secret is told this once.
    ///
    /// # Errors
    /// `InvalidArgument`, `NoSuchEntity`; `InvalidRequest` if there is such a key; what a write
    /// says.
    pub async fn create_key(
        &self,
        account: String,
        access_key: Option<String>,
        secret: Option<Secret>,
    ) -> Result<(Account, NewKey), GatewayError> {
        self.change("create key", move |accounts, state| {
            Box::pin(async move {
                let account = named(state, &account)?.clone();
                let world = accounts.service.world();
                let new = NewKey::new(&*world.rng, access_key, secret)?;
                let name = new.access_key.as_str();
                if state.is_configured(name) || state.key(name).is_some() {
                    return Err(GatewayError::InvalidRequest {
                        why: format!("there is a key {name}"),
                    });
                }
                let owner = account.record()?.id;
                let sealed = accounts
                    .sealer
                    .seal(&*world.rng, &new.secret, &owner, name)?;
                let key = Key {
                    access_key: name.to_owned(),
                    account: account.id.clone(),
                    is_active: true,
                    created_ms: world.clock.unix_ms(),
                    sealed,
                    secret: Some(new.secret.clone()),
                };
                accounts.keep_key(state, key).await?;
                tracing::info!(account = %account.name, key = %name, "access key made");
                Ok((account, new))
            })
        })
        .await
    }

    /// Lets requests be signed with a key, or no longer.
    ///
    /// # Errors
    /// `NoSuchEntity`; `InvalidRequest` for the configured one; what a write says.
    pub async fn set_active(&self, access_key: String, active: bool) -> Result<Key, GatewayError> {
        self.change("change key", move |accounts, state| {
            Box::pin(async move {
                let mut key = key_of(state, &access_key)?;
                if key.is_active != active {
                    key.is_active = active;
                    accounts.keep_key(state, key.clone()).await?;
                    tracing::info!(key = %access_key, active, "access key changed");
                }
                Ok(key)
            })
        })
        .await
    }

    /// Deletes a key.
    ///
    /// # Errors
    /// As [`Accounts::set_active`].
    pub async fn delete_key(&self, access_key: String) -> Result<String, GatewayError> {
        self.change("delete key", move |accounts, state| {
            Box::pin(async move {
                let key = key_of(state, &access_key)?;
                accounts.forget_key(state, &key.access_key).await?;
                tracing::info!(key = %access_key, "access key deleted");
                Ok(key.access_key)
            })
        })
        .await
    }

    async fn keep_key(&self, state: &mut State, key: Key) -> Result<(), GatewayError> {
        let record = key.record()?.encode();
        self.write(KEY_KIND, &key.access_key, record).await?;
        state.put_key(key);
        Ok(())
    }

    async fn forget_key(&self, state: &mut State, access_key: &str) -> Result<(), GatewayError> {
        self.write(KEY_KIND, access_key, Bytes::new()).await?;
        state.drop_key(access_key);
        Ok(())
    }

    async fn write(&self, kind: &str, name: &str, value: Bytes) -> Result<(), GatewayError> {
        self.service.write_system(kind, name, value).await
    }

    /// Runs a change to its end, alone; what it did to the state counts also if it failed half
    /// way, because each step was durable before.
    async fn change<T, F>(&self, what: &'static str, work: F) -> Result<T, GatewayError>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a Self, &'a mut State) -> BoxFuture<'a, Result<T, GatewayError>>
            + Send
            + 'static,
    {
        let accounts = self.clone();
        let task = async move {
            let _alone = accounts.service.alone_with_owners().await;
            let mut state = State::clone(&accounts.directory.now());
            let done = work(&accounts, &mut state).await;
            accounts.show(state);
            done
        };
        let done = self.service.to_the_end(what, task).await;
        self.service.told(done)
    }
}

fn named<'a>(state: &'a State, text: &str) -> Result<&'a Account, GatewayError> {
    let found = state.named(text);
    found.ok_or_else(|| GatewayError::NoSuchEntity {
        what: format!("account {text}"),
    })
}

fn key_of(state: &State, access_key: &str) -> Result<Key, GatewayError> {
    if state.is_configured(access_key) {
        return Err(GatewayError::InvalidRequest {
            why: "this key is in the configuration: change it there".to_owned(),
        });
    }
    let found = state.key(access_key).cloned();
    found.ok_or_else(|| GatewayError::NoSuchEntity {
        what: format!("key {access_key}"),
    })
}
