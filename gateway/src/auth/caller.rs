//! Who asks.
//!
//! Owns: what is known of a caller, and how keys are looked up.
//! Leaves to others: verifying signatures (`s3`, `admin`), what a caller may do
//! ([`super::request`]).
//! Always: a caller is known only by a signature that was verified.

use std::fmt;
use std::sync::Arc;

use super::Secret;

/// The canonical id of an account, as S3 shows it in owners and grants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccountId(String);

impl AccountId {
    /// Takes the id.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }
    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Someone with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account: what owns buckets and objects.
    pub account: AccountId,
    /// The name that is shown for the account.
    pub name: String,
    /// The key that signed.
    pub access_key: String,
    /// Whether everything is allowed, in every account.
    pub is_admin: bool,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Nobody in particular: the request was not signed.
    Anonymous,
    /// The holder of a key.
    Known(Arc<Identity>),
}

impl Caller {
    /// The holder of the key, if there is one.
    pub fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Anonymous => None,
            Self::Known(identity) => Some(identity),
        }
    }
}

/// Finds the holder of an access key.
pub trait Credentials: Send + Sync + 'static {
    /// The secret and whose it is, or `None` if there is no such key.
    fn find(&self, access_key: &str) -> Option<(Secret, Arc<Identity>)>;
}
