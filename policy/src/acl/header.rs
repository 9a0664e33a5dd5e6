//! ACLs in headers: `x-amz-acl` and `x-amz-grant-*`.
//!
//! Owns: the syntax of grants; what a request asks for.
//! Leaves to others: finding the headers (`gateway`).
//! Always: a canned list and grants exclude each other; grants replace the owner's own, as S3 has
//! it.

use super::canned::Canned;
use super::{Accounts, Acl, GRANTS_MAX, Grant, Grantee, Named, Permission};
use crate::action::On;
use crate::error::PolicyError;

/// The header of each permission, in lower case.
pub const HEADERS: [(&str, Permission); 5] = [
    ("x-amz-grant-read", Permission::Read),
    ("x-amz-grant-write", Permission::Write),
    ("x-amz-grant-read-acp", Permission::ReadAcp),
    ("x-amz-grant-write-acp", Permission::WriteAcp),
    ("x-amz-grant-full-control", Permission::FullControl),
];

/// The ACL that a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// By name.
    Canned(Canned),
    /// Grant by grant.
    Grants(Vec<Grant>),
}

impl Wanted {
    /// Reads the headers; `None` if there are none. `grants` has the values of `x-amz-grant-*`.
    ///
    /// # Errors
    /// As [`Canned::parse`], [`parse_grants`] and [`Named::resolve`]; `CannedAndGrants`;
    /// `TooManyGrants`.
    pub fn from_headers(
        canned: Option<&str>,
        grants: &[(Permission, &str)],
        accounts: &dyn Accounts,
    ) -> Result<Option<Self>, PolicyError> {
        match (canned, grants) {
            (None, []) => Ok(None),
            (Some(name), []) => Ok(Some(Self::Canned(Canned::parse(name)?))),
            (Some(_), _) => Err(PolicyError::CannedAndGrants),
            (None, grants) => {
                let mut found: Vec<Grant> = Vec::new();
                for (permission, value) in grants {
                    for named in parse_grants(value)? {
                        found.push(Grant::new(named.resolve(accounts)?, *permission));
                    }
                }
                match found.len() {
                    ..=GRANTS_MAX => Ok(Some(Self::Grants(found))),
                    count => Err(PolicyError::TooManyGrants {
                        count,
                        max: GRANTS_MAX,
                    }),
                }
            }
        }
    }

    /// The list it stands for, on a bucket or an object of `owner`.
    ///
    /// # Errors
    /// `TooManyGrants`.
    pub fn acl(&self, on: On, owner: &str, bucket_owner: &str) -> Result<Acl, PolicyError> {
        match self {
            Self::Canned(canned) => Ok(canned.acl(on, owner, bucket_owner)),
            Self::Grants(grants) => Acl::new(owner, grants.clone()),
        }
    }

    /// Whether nothing but everything for the bucket's owner is asked for: all that there may be
    /// where ACLs are off.
    pub fn is_full_control_of(&self, bucket_owner: &str) -> bool {
        let own = |grant: &Grant| {
            grant.permission == Permission::FullControl
                && matches!(&grant.to, Grantee::Account(id) if id == bucket_owner)
        };
        match self {
            Self::Canned(canned) => *canned == Canned::BucketOwnerFullControl,
            Self::Grants(grants) => !grants.is_empty() && grants.iter().all(own),
        }
    }
}

/// Reads the value of a header: `id="…", emailAddress="…", uri="…"`, quotes optional.
///
/// # Errors
/// `BadGrant`.
pub fn parse_grants(value: &str) -> Result<Vec<Named>, PolicyError> {
    let bad = |given: &str, why| PolicyError::BadGrant {
        given: given.chars().take(100).collect(),
        why,
    };
    let mut grants = Vec::new();
    let mut rest = value.trim();
    loop {
        let (kind, after) = rest
            .split_once('=')
            .ok_or_else(|| bad(rest, "it is not type=value"))?;
        let after = after.trim_start();
        let (name, behind) = match after.strip_prefix('"') {
            Some(quoted) => quoted
                .split_once('"')
                .ok_or_else(|| bad(rest, "its quote does not end"))?,
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        let name = name.trim();
        if name.is_empty() {
            return Err(bad(rest, "it names nobody"));
        }
        let name = name.to_owned();
        grants.push(match kind.trim() {
            kind if kind.eq_ignore_ascii_case("id") => Named::Id(name),
            kind if kind.eq_ignore_ascii_case("emailAddress") => Named::Email(name),
            kind if kind.eq_ignore_ascii_case("uri") => Named::Uri(name),
            _ => return Err(bad(rest, "its type is none of id, emailAddress, uri")),
        });
        let behind = behind.trim_start();
        rest = match behind.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if behind.is_empty() => return Ok(grants),
            None => return Err(bad(rest, "a comma is missing behind it")),
        };
    }
}
