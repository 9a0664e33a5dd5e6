//! What can be wrong with a policy, an ACL or a setting.
//!
//! Owns: the crate's one error.
//! Leaves to others: S3's codes (`gateway`).
//! Always: a message says what is wrong and where, in words that fit into an answer to a client.

/// Why a document, a header or a setting was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A policy document that is not one of S3's.
    #[error("{what}")]
    Malformed {
        /// What is wrong, and where.
        what: String,
    },
    /// `x-amz-acl` names no canned ACL.
    #[error("{given:?} is not a canned ACL")]
    UnknownCanned {
        /// The value.
        given: String,
    },
    /// A canned ACL of S3 that grants to something that is not here.
    #[error("the canned ACL {given:?} is not supported")]
    UnsupportedCanned {
        /// The value.
        given: String,
    },
    /// A canned ACL and grants in one request.
    #[error("Specifying both Canned ACLs and Header Grants is not allowed")]
    CannedAndGrants,
    /// A header of grants that cannot be read.
    #[error("a grant cannot be read: {why}: {given:?}")]
    BadGrant {
        /// The text.
        given: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A grant to an e-mail address that no account has.
    #[error("the e-mail address you provided does not match any account on record: {email:?}")]
    UnknownEmail {
        /// The address.
        email: String,
    },
    /// A grant to an account that is not there.
    #[error("Invalid id: {id:?}")]
    UnknownAccount {
        /// The canonical id.
        id: String,
    },
    /// A grant to a group that is none of S3's.
    #[error("Invalid group uri: {uri:?}")]
    UnknownGroup {
        /// Its URI.
        uri: String,
    },
    /// A permission that is none of S3's.
    #[error("{given:?} is not a permission")]
    UnknownPermission {
        /// The value.
        given: String,
    },
    /// More grants than an ACL may have.
    #[error("{count} grants; an ACL has at most {max}")]
    TooManyGrants {
        /// How many.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// The bucket's owner has all objects, and ACLs do not count.
    #[error("The bucket does not allow ACLs")]
    AclsOff,
    /// A value of the ownership setting that is none of S3's.
    #[error("{given:?} is not an object ownership")]
    UnknownOwnership {
        /// The value.
        given: String,
    },
    /// What was stored cannot be read.
    #[error("{what} that was stored cannot be read: {why}")]
    Unreadable {
        /// What it should have been.
        what: &'static str,
        /// Why it is not.
        why: String,
    },
}

impl PolicyError {
    /// A document that is malformed: `what`.
    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed { what: what.into() }
    }
    /// The same, in the statement at `index`, counted from 1 for the reader.
    pub(crate) fn in_statement(self, index: usize) -> Self {
        match self {
            Self::Malformed { what } => Self::Malformed {
                what: format!("{what} (statement {})", index + 1),
            },
            other => other,
        }
    }
}
