//! Who asks, and what they may do. Pure: no I/O, no clock.
//!
//! Owns: secrets, callers and how they are looked up ([`caller`]), how a request says who signed it
//! ([`scheme`]), what a signature has to cover ([`guard`]) and what each operation needs
//! ([`operation`]).
//! Leaves to others: computing signatures (`s3`), HTTP, the decision (the crate `policy`).
//! Always: a secret is never printed.

pub mod caller;
pub mod guard;
pub mod operation;
pub mod scheme;
pub mod sigv2;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq;

use crate::error::GatewayError;

pub use caller::{AccountId, Caller, Credentials, Identity, Owner};
pub use holdfast_policy::Action;
pub use operation::{Operation, Resource, Served};

/// A secret; printed as `[redacted]`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }
    /// The secret itself, for computing a signature and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Checks that a text can be an access key.
///
/// # Errors
/// `InvalidArgument` unless it has 3 to 128 characters of `A-Z a-z 0-9 . _ -`.
pub fn check_access_key(access_key: &str) -> Result<(), GatewayError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if (3..=128).contains(&access_key.len()) && access_key.chars().all(plain) {
        return Ok(());
    }
    Err(GatewayError::InvalidArgument {
        name: "access key",
        why: "it must have 3 to 128 letters, digits, dots, hyphens or underscores".to_owned(),
    })
}

/// Checks that a text can be a secret.
///
/// # Errors
/// `InvalidArgument` unless it has 8 to 128 printable ASCII characters.
pub fn check_secret(secret: &Secret) -> Result<(), GatewayError> {
    let text = secret.expose();
    if (8..=128).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic()) {
        return Ok(());
    }
    Err(GatewayError::InvalidArgument {
        name: "secret key",
        why: "it must have 8 to 128 printable ASCII characters".to_owned(),
    })
}

/// The administrator by configuration.
#[derive(Clone, Debug)]
pub struct Administrator {
    identity: Arc<Identity>,
    secret: Secret,
}

impl Administrator {
    /// Checks the lengths.
    ///
    /// # Errors
    /// `InvalidArgument` unless the access key has 3 to 128 characters of `A-Z a-z 0-9 . _ -` and
    /// the secret 8 to 128 printable ASCII characters.
    pub fn new(access_key: &str, secret: Secret) -> Result<Self, GatewayError> {
        check_access_key(access_key)?;
        check_secret(&secret)?;
        let identity = Identity {
            // With accounts, it is the one that follows from the cluster's id.
            account: AccountId::new(access_key),
            number: String::new(),
            name: access_key.to_owned(),
            email: None,
            access_key: access_key.to_owned(),
            is_admin: true,
        };
        Ok(Self {
            identity: Arc::new(identity),
            secret,
        })
    }
    /// The access key.
    pub fn access_key(&self) -> &str {
        &self.identity.access_key
    }
    /// The secret.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }
}

impl Credentials for Administrator {
    fn find(&self, access_key: &str) -> Option<(Secret, Arc<Identity>)> {
        let known = self.access_key().as_bytes();
        let same: bool = known.ct_eq(access_key.as_bytes()).into();
        same.then(|| (self.secret.clone(), Arc::clone(&self.identity)))
    }

    fn owner(&self, stored: &str) -> Owner {
        Owner {
            id: AccountId::new(stored),
            number: String::new(),
            name: stored.to_owned(),
        }
    }

    fn exists(&self, id: &str) -> bool {
        self.identity.account.as_str() == id
    }

    fn by_email(&self, _: &str) -> Option<AccountId> {
        None
    }
}
