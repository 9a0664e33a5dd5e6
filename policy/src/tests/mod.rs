//! What all tests of the crate share.
//!
//! Owns: callers, and short ways to say policies and questions.
//! Leaves to others: the tests, by subject.
//! Always: nothing here decides anything.

mod acls;
mod actions;
mod conditions;
mod corpus;
mod dates;
mod documents;
mod evaluation;
mod globs;
mod laws;
mod model;
mod owned;
mod patterns;
mod principals;
mod settings;
mod world;

use crate::{Account, Accounts, Policy, PolicyError};

/// The owner of the buckets.
pub(super) const OWNER: &str = "1111111111111111111111111111111111111111111111111111111111111111";
pub(super) const OTHER: &str = "2222222222222222222222222222222222222222222222222222222222222222";
pub(super) const ADMIN: &str = "9999999999999999999999999999999999999999999999999999999999999999";

pub(super) fn account(canonical_id: &str) -> Account {
    let number = canonical_id[..12].to_owned();
    Account {
        canonical_id: canonical_id.to_owned(),
        name: format!("account {number}"),
        arn: format!("arn:aws:iam::{number}:root"),
        number,
        is_admin: canonical_id == ADMIN,
    }
}

pub(super) fn user(canonical_id: &str, name: &str) -> Account {
    let account = account(canonical_id);
    Account {
        arn: format!("arn:aws:iam::{}:user/{name}", account.number),
        ..account
    }
}

/// A policy of bucket `b` with these statements, of the newer version.
pub(super) fn policy(statements: &str) -> Policy {
    read(statements).unwrap_or_else(|error| panic!("{error}: {statements}"))
}

pub(super) fn read(statements: &str) -> Result<Policy, PolicyError> {
    let text = format!(r#"{{"Version": "2012-10-17", "Statement": [{statements}]}}"#);
    Policy::parse(&text, "b")
}

/// A statement for everyone about all of bucket `b`, with a condition.
pub(super) fn conditional(effect: &str, condition: &str) -> String {
    format!(
        r#"{{"Effect": "{effect}", "Principal": "*", "Action": "s3:*",
            "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"], "Condition": {condition}}}"#
    )
}

/// Knows the accounts of the tests.
pub(super) struct Directory;

impl Accounts for Directory {
    fn by_email(&self, email: &str) -> Option<String> {
        (email == "other@example.com").then(|| OTHER.to_owned())
    }
    fn exists(&self, canonical_id: &str) -> bool {
        [OWNER, OTHER, ADMIN].contains(&canonical_id)
    }
}
