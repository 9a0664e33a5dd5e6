//! Who asks, and what they may do. Pure: no I/O, no clock.
//!
//! Owns: secrets, callers and how they are looked up ([`caller`]), how a request says who signed it
//! ([`scheme`]), what a signature has to cover ([`guard`]), what each operation needs
//! ([`operation`]) and the decision ([`request`]).
//! Leaves to others: computing signatures (`s3`), HTTP.
//! Always: what is not allowed is denied; a secret is never printed.

pub mod action;
pub mod caller;
pub mod guard;
pub mod operation;
pub mod request;
pub mod scheme;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq;

use crate::error::GatewayError;

pub use action::Action;
pub use caller::{AccountId, Caller, Credentials, Identity};
pub use operation::{Operation, Resource, Served};
pub use request::{Ask, Verdict, Why, evaluate};

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

/// The one administrator of a cluster without users.
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
        let refuse = |name, why: &str| {
            Err(GatewayError::InvalidArgument {
                name,
                why: why.to_owned(),
            })
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !(3..=128).contains(&access_key.len()) || !access_key.chars().all(plain) {
            return refuse(
                "access key",
                "it must have 3 to 128 letters, digits, dots, hyphens or underscores",
            );
        }
        let text = secret.expose();
        if !(8..=128).contains(&text.len()) || !text.chars().all(|c| c.is_ascii_graphic()) {
            return refuse(
                "secret key",
                "it must have 8 to 128 printable ASCII characters",
            );
        }
        let identity = Identity {
            // Owners of buckets that exist are named so.
            account: AccountId::new(access_key),
            name: access_key.to_owned(),
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
}

impl Credentials for Administrator {
    fn find(&self, access_key: &str) -> Option<(Secret, Arc<Identity>)> {
        let known = self.access_key().as_bytes();
        let same: bool = known.ct_eq(access_key.as_bytes()).into();
        same.then(|| (self.secret.clone(), Arc::clone(&self.identity)))
    }
}
