//! Who asks, as far as a decision needs it.
//!
//! Owns: the three kinds of caller.
//! Leaves to others: signatures and keys (`gateway`).
//! Always: an anonymous caller is nobody: it owns nothing.

/// The service that delivers logs.
pub const LOGGING_SERVICE: &str = "logging.s3.amazonaws.com";

/// Someone with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The canonical id: what owns buckets and objects, and is named in grants.
    pub canonical_id: String,
    /// The number of the account: 12 digits.
    pub number: String,
    /// The name that is shown.
    pub name: String,
    /// Who exactly asks: `arn:aws:iam::<number>:root`, or a user of the account.
    pub arn: String,
    /// Whether everything is allowed, in every account.
    pub is_admin: bool,
}

impl Account {
    /// Whether this is the account itself, not a user of it.
    pub fn is_root(&self) -> bool {
        self.arn.rsplit(':').next() == Some("root")
    }
    /// The user's name, without its path.
    pub fn user_name(&self) -> Option<&str> {
        let resource = self.arn.splitn(6, ':').nth(5)?;
        resource.strip_prefix("user/")?.rsplit('/').next()
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller<'a> {
    /// Nobody in particular: the request was not signed.
    Anonymous,
    /// The holder of a key.
    Account(&'a Account),
    /// A part of Holdfast that acts by itself, by the name that S3 has for it.
    Service(&'a str),
}

impl<'a> Caller<'a> {
    /// The account, if it is one.
    pub const fn account(self) -> Option<&'a Account> {
        match self {
            Self::Account(account) => Some(account),
            Self::Anonymous | Self::Service(_) => None,
        }
    }
    /// Whether this is the account of this canonical id.
    pub fn is(self, canonical_id: &str) -> bool {
        self.account()
            .is_some_and(|account| account.canonical_id == canonical_id)
    }
}
