//! Who asks.
//!
//! Owns: what is known of a caller, and how keys are looked up.
//! Leaves to others: verifying signatures (`s3`, `admin`), what a caller may do (the crate
//! `policy`).
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
    /// The id of 32 bytes: 64 hexadecimal digits.
    pub fn of_bytes(bytes: [u8; 32]) -> Self {
        Self(hex::encode(bytes))
    }
    /// Its 32 bytes; `None` unless it has the form of [`AccountId::of_bytes`].
    pub fn bytes(&self) -> Option<[u8; 32]> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(&self.0, &mut bytes).ok()?;
        let is_lower = !self.0.bytes().any(|c| c.is_ascii_uppercase());
        is_lower.then_some(bytes)
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
    /// The account's number, in twelve digits.
    pub number: String,
    /// The name that is shown for the account.
    pub name: String,
    /// The account's e-mail address, if it has one.
    pub email: Option<String>,
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

/// An account as the owner of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its canonical id.
    pub id: AccountId,
    /// Its number, in twelve digits; empty if it is not known.
    pub number: String,
    /// The name that is shown.
    pub name: String,
}

impl Owner {
    /// Whether this is the account that `text` names: its number, or its canonical id.
    pub fn is(&self, text: &[u8]) -> bool {
        let is = |own: &str| !own.is_empty() && own.as_bytes() == text;
        is(&self.number) || is(self.id.as_str())
    }
}

/// Finds the holder of an access key.
pub trait Credentials: Send + Sync + 'static {
    /// The secret and whose it is, or `None` if there is no such key.
    fn find(&self, access_key: &str) -> Option<(Secret, Arc<Identity>)>;
    /// The account that a bucket's row names as its owner.
    fn owner(&self, stored: &str) -> Owner;
    /// Whether there is an account of this canonical id.
    fn exists(&self, id: &str) -> bool;
    /// The canonical id of the account with this e-mail address.
    fn by_email(&self, email: &str) -> Option<AccountId>;
}
