//! Canned ACLs.
//!
//! Owns: their names, and the grants each stands for.
//! Leaves to others: where the name comes from ([`super::header`]).
//! Always: the owner has everything; what is meant for objects grants nothing more on a bucket,
//! and the other way round, as S3 has it.

use super::{Acl, Grant, Grantee, Group, Permission};
use crate::action::On;
use crate::error::PolicyError;

/// A canned ACL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is S3's own name")]
pub enum Canned {
    Private,
    PublicRead,
    PublicReadWrite,
    AuthenticatedRead,
    BucketOwnerRead,
    BucketOwnerFullControl,
    LogDeliveryWrite,
}

impl Canned {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Private,
        Self::PublicRead,
        Self::PublicReadWrite,
        Self::AuthenticatedRead,
        Self::BucketOwnerRead,
        Self::BucketOwnerFullControl,
        Self::LogDeliveryWrite,
    ];

    /// Its name in `x-amz-acl`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::PublicRead => "public-read",
            Self::PublicReadWrite => "public-read-write",
            Self::AuthenticatedRead => "authenticated-read",
            Self::BucketOwnerRead => "bucket-owner-read",
            Self::BucketOwnerFullControl => "bucket-owner-full-control",
            Self::LogDeliveryWrite => "log-delivery-write",
        }
    }

    /// The one of this name.
    ///
    /// # Errors
    /// `UnknownCanned`; `UnsupportedCanned` for `aws-exec-read`, which grants to a service that is
    /// not here.
    pub fn parse(name: &str) -> Result<Self, PolicyError> {
        let found = Self::ALL.into_iter().find(|known| known.name() == name);
        found.ok_or_else(|| match name {
            "aws-exec-read" => PolicyError::UnsupportedCanned {
                given: name.to_owned(),
            },
            _ => PolicyError::UnknownCanned {
                given: name.to_owned(),
            },
        })
    }

    /// The grants it stands for, on a bucket or an object of `owner`. Groups come first: clients
    /// of the conformance suite look for the owner behind them.
    pub fn grants(self, on: On, owner: &str, bucket_owner: &str) -> Vec<Grant> {
        let group = |group, permission| Grant::new(Grantee::Group(group), permission);
        let mut grants = match (self, on) {
            (Self::PublicRead, _) => vec![group(Group::AllUsers, Permission::Read)],
            (Self::PublicReadWrite, _) => vec![
                group(Group::AllUsers, Permission::Read),
                group(Group::AllUsers, Permission::Write),
            ],
            (Self::AuthenticatedRead, _) => {
                vec![group(Group::AuthenticatedUsers, Permission::Read)]
            }
            (Self::LogDeliveryWrite, On::Bucket) => vec![
                group(Group::LogDelivery, Permission::Write),
                group(Group::LogDelivery, Permission::ReadAcp),
            ],
            _ => Vec::new(),
        };
        grants.push(Grant::full(owner));
        if on == On::Object && owner != bucket_owner {
            let to = Grantee::Account(bucket_owner.to_owned());
            match self {
                Self::BucketOwnerRead => grants.push(Grant::new(to, Permission::Read)),
                Self::BucketOwnerFullControl => grants.push(Grant::full(bucket_owner)),
                _ => {}
            }
        }
        grants
    }

    /// The list it stands for.
    pub fn acl(self, on: On, owner: &str, bucket_owner: &str) -> Acl {
        Acl {
            owner: owner.to_owned(),
            grants: self.grants(on, owner, bucket_owner),
        }
    }
}
