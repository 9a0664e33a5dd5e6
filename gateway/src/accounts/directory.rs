//! All accounts and keys, in memory.
//!
//! Owns: finding them; whose keys cannot be used.
//! Leaves to others: changing them ([`super::store`], which alone does).
//! Always: a reader sees all of a change or nothing of it; of two keys of one name the configured
//! one counts.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use holdfast_protocol::ClusterId;
use subtle::ConstantTimeEq;

use super::account::Account;
use super::key::Key;
use crate::auth::{AccountId, Administrator, Credentials, Identity, Owner, Secret};

/// All accounts and keys; changed as a whole.
#[derive(Debug)]
pub struct Directory(RwLock<Arc<State>>);

/// A key and who signs with it.
#[derive(Clone, Debug)]
struct Signer {
    key: Key,
    /// `None` if its account is not known.
    identity: Option<Arc<Identity>>,
}

/// What there is at one time.
#[derive(Clone, Debug)]
pub(super) struct State {
    root: Account,
    /// The configured key; `None` where there is no configuration.
    configured: Option<Configured>,
    accounts: BTreeMap<String, Arc<Account>>,
    names: HashMap<AccountId, String>,
    keys: BTreeMap<String, Signer>,
}

/// The key of the administrator by configuration.
#[derive(Clone, Debug)]
struct Configured {
    access_key: String,
    secret: Secret,
    identity: Arc<Identity>,
}

/// An account and its keys.
#[derive(Clone, Debug)]
pub struct Found {
    /// The account.
    pub account: Account,
    /// Its keys, by access key; without a configured one.
    pub keys: Vec<Key>,
    /// The configured key, if it is the account's.
    pub configured: Option<String>,
}

fn identity(account: &Account, access_key: &str) -> Arc<Identity> {
    Arc::new(Identity {
        account: account.id.clone(),
        number: account.number.clone(),
        name: account.name.clone(),
        email: account.email.clone(),
        access_key: access_key.to_owned(),
        is_admin: account.is_admin,
    })
}

impl State {
    fn new(root: Option<&Administrator>, cluster: ClusterId) -> Self {
        let account = Account::root(cluster);
        let configured = root.map(|root| Configured {
            access_key: root.access_key().to_owned(),
            secret: root.secret().clone(),
            identity: identity(&account, root.access_key()),
        });
        Self {
            configured,
            root: account,
            accounts: BTreeMap::new(),
            names: HashMap::new(),
            keys: BTreeMap::new(),
        }
    }

    /// Adds an account, or what is new of it.
    pub(super) fn put_account(&mut self, account: Account) {
        self.names.insert(account.id.clone(), account.name.clone());
        self.accounts
            .insert(account.name.clone(), Arc::new(account));
    }

    /// Takes an account away.
    pub(super) fn drop_account(&mut self, account: &Account) {
        self.names.remove(&account.id);
        self.accounts.remove(&account.name);
    }

    /// Adds a key, or what is new of it; its account is there before.
    pub(super) fn put_key(&mut self, key: Key) {
        let account = self.account(&key.account);
        let identity = account.map(|account| identity(account, &key.access_key));
        let signer = Signer { identity, key };
        self.keys.insert(signer.key.access_key.clone(), signer);
    }

    /// Takes a key away.
    pub(super) fn drop_key(&mut self, access_key: &str) {
        self.keys.remove(access_key);
    }

    fn account(&self, id: &AccountId) -> Option<&Account> {
        if self.root.id == *id {
            return Some(&self.root);
        }
        let name = self.names.get(id)?;
        self.accounts.get(name).map(Arc::as_ref)
    }

    /// The account of that name, number or canonical id.
    pub(super) fn named(&self, text: &str) -> Option<&Account> {
        let others = self.accounts.values().map(Arc::as_ref);
        self.everyone(others).find(|account| {
            account.name == text || account.number == text || account.id.as_str() == text
        })
    }

    /// Whether an e-mail address, or a number or id that was drawn, is taken.
    pub(super) fn is_taken(&self, new: &Account) -> Option<&'static str> {
        let others = self.accounts.values().map(Arc::as_ref);
        let mut all = self.everyone(others);
        let same_mail = |old: &Account| match (&old.email, &new.email) {
            (Some(old), Some(new)) => old.eq_ignore_ascii_case(new),
            _ => false,
        };
        all.find_map(|old| match old {
            old if old.name == new.name => Some("name"),
            old if same_mail(old) => Some("e-mail address"),
            old if old.number == new.number || old.id == new.id => Some("number"),
            _ => None,
        })
    }

    fn everyone<'a>(
        &'a self,
        others: impl Iterator<Item = &'a Account>,
    ) -> impl Iterator<Item = &'a Account> {
        std::iter::once(&self.root).chain(others)
    }

    /// The key of that name; not a configured one.
    pub(super) fn key(&self, access_key: &str) -> Option<&Key> {
        self.keys.get(access_key).map(|signer| &signer.key)
    }

    fn configured_key(&self) -> Option<&str> {
        let configured = self.configured.as_ref();
        configured.map(|configured| configured.access_key.as_str())
    }

    /// Whether that is the configured key.
    pub(super) fn is_configured(&self, access_key: &str) -> bool {
        self.configured_key() == Some(access_key)
    }

    /// Whether a key is as good as its secret.
    pub(super) fn is_usable(&self, access_key: &str) -> bool {
        let signer = self.keys.get(access_key);
        signer.is_some_and(|signer| signer.key.secret.is_some() && signer.identity.is_some())
    }

    /// An account with its keys.
    pub(super) fn whole(&self, account: &Account) -> Found {
        let keys = self.keys.values().map(|signer| &signer.key);
        Found {
            account: account.clone(),
            keys: keys
                .filter(|key| key.account == account.id)
                .cloned()
                .collect(),
            configured: self
                .configured_key()
                .filter(|_| account.is_root)
                .map(str::to_owned),
        }
    }

    /// All accounts with their keys.
    pub(super) fn all(&self) -> Vec<Found> {
        let others = self.accounts.values().map(Arc::as_ref);
        let all = self.everyone(others);
        all.map(|account| self.whole(account)).collect()
    }

    /// How many accounts, keys, and keys that cannot be used there are; the configured ones count.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let usable = self.keys.keys().filter(|key| self.is_usable(key)).count();
        (
            self.accounts.len() + 1,
            self.keys.len() + 1,
            self.keys.len() - usable,
        )
    }

    /// Accounts with keys that cannot be used, and how many of each.
    pub(super) fn unusable(&self) -> BTreeMap<String, usize> {
        let mut lost = BTreeMap::new();
        let keys = self.keys.iter().filter(|(name, _)| !self.is_usable(name));
        for (_, signer) in keys {
            let account = self.account(&signer.key.account);
            let name = account.map_or_else(
                || format!("(unknown account {})", signer.key.account),
                |account| account.name.clone(),
            );
            *lost.entry(name).or_default() += 1;
        }
        lost
    }
}

impl Directory {
    /// With nobody but the administrator by configuration. What his ids are is known with the
    /// cluster: see [`Directory::begin`].
    pub fn new(root: &Administrator) -> Self {
        let state = State::new(Some(root), ClusterId::new(0));
        Self(RwLock::new(Arc::new(state)))
    }

    /// With accounts of a key each: name, access key, secret.
    #[cfg(test)]
    pub(crate) fn of(
        root: &Administrator,
        cluster: ClusterId,
        accounts: &[(&str, &str, &str)],
    ) -> Self {
        let mut state = State::new(Some(root), cluster);
        for (number, (name, access_key, secret)) in (1_u8..).zip(accounts) {
            let account = Account {
                id: AccountId::of_bytes([number; 32]),
                number: format!("{:012}", 100_000_000_000 + u64::from(number)),
                name: (*name).to_owned(),
                email: None,
                is_admin: false,
                is_root: false,
                created_ms: 1,
            };
            let key = Key {
                access_key: (*access_key).to_owned(),
                account: account.id.clone(),
                is_active: true,
                created_ms: 1,
                sealed: holdfast_protocol::Sealed {
                    master: [0; 8],
                    nonce: [0; 24],
                    text: Vec::new(),
                },
                secret: Some(Secret::new(*secret)),
            };
            state.put_account(account);
            state.put_key(key);
        }
        Self(RwLock::new(Arc::new(state)))
    }

    /// What there is without any records.
    pub(super) fn begin(root: Option<&Administrator>, cluster: ClusterId) -> State {
        State::new(root, cluster)
    }

    /// What there is now.
    pub(super) fn now(&self) -> Arc<State> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on there is this.
    pub(super) fn set(&self, state: State) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
    }
}

impl Credentials for Directory {
    fn find(&self, access_key: &str) -> Option<(Secret, Arc<Identity>)> {
        let state = self.now();
        if let Some(configured) = &state.configured {
            let known = configured.access_key.as_bytes();
            let same: bool = known.ct_eq(access_key.as_bytes()).into();
            if same {
                let identity = Arc::clone(&configured.identity);
                return Some((configured.secret.clone(), identity));
            }
        }
        let signer = state.keys.get(access_key)?;
        let secret = signer.key.secret.as_ref().filter(|_| signer.key.is_active);
        Some((secret?.clone(), signer.identity.clone()?))
    }

    fn owner(&self, stored: &str) -> Owner {
        let state = self.now();
        let id = AccountId::new(stored);
        let account = match id.bytes() {
            Some(_) => state.account(&id),
            // Before there were accounts, the administrator's key stood for him.
            None => Some(&state.root),
        };
        match account {
            Some(account) => Owner {
                id: account.id.clone(),
                number: account.number.clone(),
                name: account.name.clone(),
            },
            None => Owner {
                number: String::new(),
                name: id.to_string(),
                id,
            },
        }
    }

    fn exists(&self, id: &str) -> bool {
        self.now().account(&AccountId::new(id)).is_some()
    }

    fn by_email(&self, email: &str) -> Option<AccountId> {
        let state = self.now();
        let others = state.accounts.values().map(Arc::as_ref);
        let same = |account: &&Account| {
            let own = account.email.as_deref();
            own.is_some_and(|own| own.eq_ignore_ascii_case(email))
        };
        let found = state.everyone(others).find(same);
        found.map(|account| account.id.clone())
    }
}
