//! Access control lists of buckets and objects.
//!
//! Owns: owner and grants, what each permission allows, whether a list is public.
//! Leaves to others: canned lists ([`canned`]), headers ([`header`]), XML (`gateway`), whether
//! ACLs count at all ([`crate::ownership`]).
//! Always: a list has at most 100 grants; e-mail addresses are resolved before they get in.

pub mod canned;
pub mod header;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::action::{Action, On};
use crate::caller::{Caller, LOGGING_SERVICE};
use crate::error::PolicyError;
use crate::stored::lasting;

/// Most grants of a list.
pub const GRANTS_MAX: usize = 100;

/// What may be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "each is S3's own name")]
pub enum Permission {
    Read,
    Write,
    ReadAcp,
    WriteAcp,
    FullControl,
}

impl Permission {
    /// All of them, in the order in which S3 lists them.
    pub const ALL: [Self; 5] = [
        Self::Read,
        Self::Write,
        Self::ReadAcp,
        Self::WriteAcp,
        Self::FullControl,
    ];
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::ReadAcp => "READ_ACP",
            Self::WriteAcp => "WRITE_ACP",
            Self::FullControl => "FULL_CONTROL",
        }
    }
    /// The permission of this name.
    ///
    /// # Errors
    /// `UnknownPermission` if there is none.
    pub fn parse(name: &str) -> Result<Self, PolicyError> {
        let found = Self::ALL.into_iter().find(|known| known.name() == name);
        found.ok_or_else(|| PolicyError::UnknownPermission {
            given: name.to_owned(),
        })
    }
    /// What a list of a bucket (or of an object) must grant for `action`; `None` if no list can.
    pub const fn for_action(action: Action, list: On) -> Option<Self> {
        match (list, action) {
            (
                On::Bucket,
                Action::ListBucket
                | Action::ListBucketVersions
                | Action::ListBucketMultipartUploads,
            )
            | (
                On::Object,
                Action::GetObject
                | Action::GetObjectVersion
                | Action::GetObjectTorrent
                | Action::GetObjectVersionTorrent,
            ) => Some(Self::Read),
            (On::Bucket, Action::PutObject | Action::DeleteObject) => Some(Self::Write),
            (On::Bucket, Action::GetBucketAcl)
            | (On::Object, Action::GetObjectAcl | Action::GetObjectVersionAcl) => {
                Some(Self::ReadAcp)
            }
            (On::Bucket, Action::PutBucketAcl)
            | (On::Object, Action::PutObjectAcl | Action::PutObjectVersionAcl) => {
                Some(Self::WriteAcp)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Groups that S3 knows by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Everyone, also without a key.
    AllUsers,
    /// Everyone with a key, of whatever account.
    AuthenticatedUsers,
    /// What delivers logs.
    LogDelivery,
}

impl Group {
    const ALL: [Self; 3] = [Self::AllUsers, Self::AuthenticatedUsers, Self::LogDelivery];

    /// Its name in grants.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::AllUsers => "http://acs.amazonaws.com/groups/global/AllUsers",
            Self::AuthenticatedUsers => "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
            Self::LogDelivery => "http://acs.amazonaws.com/groups/s3/LogDelivery",
        }
    }
    /// The group of this name.
    ///
    /// # Errors
    /// `UnknownGroup` if there is none.
    pub fn parse(uri: &str) -> Result<Self, PolicyError> {
        let found = Self::ALL.into_iter().find(|known| known.uri() == uri);
        found.ok_or_else(|| PolicyError::UnknownGroup {
            uri: uri.to_owned(),
        })
    }
    /// Whether strangers are in it.
    pub const fn is_public(self) -> bool {
        matches!(self, Self::AllUsers | Self::AuthenticatedUsers)
    }
}

/// To whom something is granted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grantee {
    /// An account, by canonical id.
    Account(String),
    /// A group.
    Group(Group),
}

impl Grantee {
    /// Whether `caller` is meant.
    pub fn means(&self, caller: Caller<'_>) -> bool {
        match self {
            Self::Account(id) => caller.is(id),
            Self::Group(Group::AllUsers) => !matches!(caller, Caller::Service(_)),
            Self::Group(Group::AuthenticatedUsers) => caller.account().is_some(),
            Self::Group(Group::LogDelivery) => caller == Caller::Service(LOGGING_SERVICE),
        }
    }
}

/// Who there is, as far as grants need it.
pub trait Accounts {
    /// The canonical id of the account with this e-mail address.
    fn by_email(&self, email: &str) -> Option<String>;
    /// Whether there is an account of this canonical id.
    fn exists(&self, canonical_id: &str) -> bool;
}

/// A grantee as a client names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// By canonical id.
    Id(String),
    /// By e-mail address.
    Email(String),
    /// A group, by URI.
    Uri(String),
}

impl Named {
    /// Who that is.
    ///
    /// # Errors
    /// `UnknownAccount`, `UnknownEmail`, `UnknownGroup`.
    pub fn resolve(self, accounts: &dyn Accounts) -> Result<Grantee, PolicyError> {
        match self {
            Self::Id(id) if accounts.exists(&id) => Ok(Grantee::Account(id)),
            Self::Id(id) => Err(PolicyError::UnknownAccount { id }),
            Self::Email(email) => match accounts.by_email(&email) {
                Some(id) => Ok(Grantee::Account(id)),
                None => Err(PolicyError::UnknownEmail { email }),
            },
            Self::Uri(uri) => Ok(Grantee::Group(Group::parse(&uri)?)),
        }
    }
}

/// One grant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// To whom.
    pub to: Grantee,
    /// What.
    pub permission: Permission,
}

impl Grant {
    /// A grant.
    pub const fn new(to: Grantee, permission: Permission) -> Self {
        Self { to, permission }
    }
    /// A grant of everything to an account.
    pub fn full(canonical_id: impl Into<String>) -> Self {
        Self::new(
            Grantee::Account(canonical_id.into()),
            Permission::FullControl,
        )
    }
    /// Whether it gives `permission`.
    pub fn gives(&self, permission: Permission) -> bool {
        self.permission == permission || self.permission == Permission::FullControl
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            Grantee::Account(id) => write!(f, "{} to {id}", self.permission),
            Grantee::Group(group) => write!(f, "{} to {group:?}", self.permission),
        }
    }
}

/// A list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Acl {
    owner: String,
    grants: Vec<Grant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    owner: String,
    grants: Vec<Grant>,
}

impl TryFrom<Unchecked> for Acl {
    type Error = PolicyError;
    fn try_from(list: Unchecked) -> Result<Self, PolicyError> {
        Self::new(list.owner, list.grants)
    }
}

lasting!(Acl, "an ACL");

impl Acl {
    /// A list of these grants.
    ///
    /// # Errors
    /// `TooManyGrants`.
    pub fn new(owner: impl Into<String>, grants: Vec<Grant>) -> Result<Self, PolicyError> {
        match grants.len() {
            ..=GRANTS_MAX => Ok(Self {
                owner: owner.into(),
                grants,
            }),
            count => Err(PolicyError::TooManyGrants {
                count,
                max: GRANTS_MAX,
            }),
        }
    }
    /// What holds when no list was given: everything to the owner, by canonical id.
    pub fn private(owner: impl Into<String>) -> Self {
        let owner = owner.into();
        let grants = vec![Grant::full(owner.clone())];
        Self { owner, grants }
    }
    /// The owner's canonical id.
    pub fn owner(&self) -> &str {
        &self.owner
    }
    /// The grants, in their order.
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }
    /// The first grant that gives `permission` to `caller`.
    pub fn allows(&self, caller: Caller<'_>, permission: Permission) -> Option<&Grant> {
        let gives = |grant: &&Grant| grant.gives(permission) && grant.to.means(caller);
        self.grants.iter().find(gives)
    }
    /// Whether it grants anything to strangers.
    pub fn is_public(&self) -> bool {
        let public = |grant: &Grant| matches!(grant.to, Grantee::Group(g) if g.is_public());
        self.grants.iter().any(public)
    }
    /// Whether it grants nothing to anyone but this account.
    pub fn is_only_for(&self, canonical_id: &str) -> bool {
        let own = |grant: &Grant| matches!(&grant.to, Grantee::Account(id) if id == canonical_id);
        self.grants.iter().all(own)
    }
}
