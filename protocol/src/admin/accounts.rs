//! Accounts and keys, as the admin API shows and takes them.
//!
//! Owns: the JSON of `/admin/v1/accounts` and `/admin/v1/keys`.
//! Leaves to others: who there is (gateway).
//! Always: a secret goes out in one answer only, that to its key's making, and is never printed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountView {
    /// Its canonical id, as S3 shows it: 64 hexadecimal digits.
    pub id: String,
    /// Its number: twelve digits.
    pub number: String,
    /// Its name.
    pub name: String,
    /// Its e-mail address, if it has one.
    pub email: Option<String>,
    /// Whether everything is allowed to it, in the admin API, too.
    pub is_admin: bool,
    /// Whether it is the administrator by configuration.
    pub is_root: bool,
    /// When it was made (milliseconds since 1970); 0 for the administrator by configuration.
    pub created_ms: u64,
    /// Its keys by name; that of the administrator by configuration is the first.
    pub keys: Vec<KeyView>,
}

/// All accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountsView {
    /// The administrator by configuration, then the others by name.
    pub accounts: Vec<AccountView>,
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// The access key.
    pub access_key: String,
    /// The canonical id of its account.
    pub account: String,
    /// Whether requests may be signed with it.
    pub is_active: bool,
    /// Whether this gateway's master key opens its secret; without, requests with it are refused.
    pub is_usable: bool,
    /// Whether it is in the configuration.
    pub is_configured: bool,
    /// When it was made (milliseconds since 1970); 0 for a configured one.
    pub created_ms: u64,
}

/// The keys of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysView {
    /// By access key.
    pub keys: Vec<KeyView>,
}

/// `POST /admin/v1/accounts`: an account to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountRequest {
    /// Its name.
    pub name: String,
    /// Its e-mail address.
    #[serde(default)]
    pub email: Option<String>,
    /// Whether everything is to be allowed to it.
    #[serde(default)]
    pub is_admin: bool,
}

/// `POST /admin/v1/accounts/{id}/keys`: a key to be made; what is not given is made up.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRequest {
    /// Its access key.
    #[serde(default)]
    pub access_key: Option<String>,
    /// Its secret.
    #[serde(default)]
    pub secret_key: Option<String>,
}

impl fmt::Debug for KeyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRequest")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

/// A key that was just made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKeyView {
    /// The access key.
    pub access_key: String,
    /// Its secret, which is never shown again.
    pub secret_key: String,
    /// The canonical id of its account.
    pub account: String,
    /// The name of its account.
    pub account_name: String,
}

impl fmt::Debug for NewKeyView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKeyView")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

/// What was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedView {
    /// The account's canonical id, or the access key.
    pub deleted: String,
}
