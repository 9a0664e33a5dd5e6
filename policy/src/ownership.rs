//! Who owns the objects of a bucket, and whether its ACLs count.
//!
//! Owns: the setting and what follows from it.
//! Leaves to others: storing it (`gateway`); access ([`crate::evaluate`]).
//! Always: the default is that of S3 today: the bucket's owner owns everything, ACLs are off.

use serde::{Deserialize, Serialize};

use crate::acl::Acl;
use crate::acl::canned::Canned;
use crate::acl::header::Wanted;
use crate::caller::Caller;
use crate::error::PolicyError;
use crate::stored::lasting;

/// Who owns what others write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is S3's own name")]
pub enum Ownership {
    #[default]
    BucketOwnerEnforced,
    BucketOwnerPreferred,
    ObjectWriter,
}

/// The setting of a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnershipControls {
    /// The one rule there is.
    pub rule: Ownership,
}

lasting!(OwnershipControls, "ownership controls");

impl Ownership {
    /// All of them.
    pub const ALL: [Self; 3] = [
        Self::BucketOwnerEnforced,
        Self::BucketOwnerPreferred,
        Self::ObjectWriter,
    ];

    /// Its name in S3's documents and in `x-amz-object-ownership`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BucketOwnerEnforced => "BucketOwnerEnforced",
            Self::BucketOwnerPreferred => "BucketOwnerPreferred",
            Self::ObjectWriter => "ObjectWriter",
        }
    }

    /// The one of this name.
    ///
    /// # Errors
    /// `UnknownOwnership`.
    pub fn parse(name: &str) -> Result<Self, PolicyError> {
        let found = Self::ALL.into_iter().find(|known| known.name() == name);
        found.ok_or_else(|| PolicyError::UnknownOwnership {
            given: name.to_owned(),
        })
    }

    /// Whether ACLs of the bucket and its objects count.
    pub const fn acls_count(self) -> bool {
        !matches!(self, Self::BucketOwnerEnforced)
    }

    /// The canonical id of who owns an object that `writer` writes. What nobody in particular
    /// writes, or a service, is the bucket owner's: otherwise it would belong to all, or to none.
    pub fn owner_of_new<'a>(
        self,
        bucket_owner: &'a str,
        writer: Caller<'a>,
        wanted: Option<&Wanted>,
    ) -> &'a str {
        let given = wanted == Some(&Wanted::Canned(Canned::BucketOwnerFullControl));
        match (self, writer.account()) {
            (Self::BucketOwnerEnforced, _) | (_, None) => bucket_owner,
            (Self::BucketOwnerPreferred, Some(_)) if given => bucket_owner,
            (_, Some(account)) => &account.canonical_id,
        }
    }

    /// Whether a request may ask for this ACL.
    ///
    /// # Errors
    /// `AclsOff`.
    pub fn check(self, wanted: &Wanted, bucket_owner: &str) -> Result<(), PolicyError> {
        match self.acls_count() || wanted.is_full_control_of(bucket_owner) {
            true => Ok(()),
            false => Err(PolicyError::AclsOff),
        }
    }

    /// Whether a bucket with this ACL may get this setting: when ACLs go off, none may be lost that
    /// grants something to others.
    pub fn fits(self, bucket_acl: &Acl, bucket_owner: &str) -> bool {
        self.acls_count() || bucket_acl.is_only_for(bucket_owner)
    }
}
