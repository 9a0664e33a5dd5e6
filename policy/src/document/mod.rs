//! Bucket policies.
//!
//! Owns: the document in force: its statements, whether one of them speaks of a request, which
//! facts it looks at.
//! Leaves to others: reading it (`parse`), writing it anew (`print`); what follows from a
//! statement that matches ([`crate::evaluate`]).
//! Always: a policy is of one bucket and speaks of no other; the text is kept as it came, as S3
//! gives it back.

mod parse;
mod print;

use serde::{Deserialize, Serialize};

use crate::action::{Action, Actions};
use crate::caller::Caller;
use crate::condition::Condition;
use crate::context::{Context, Key};
use crate::error::PolicyError;
use crate::pattern::{Language, Pattern};
use crate::principal::Principals;

/// Most bytes of a document.
pub const DOCUMENT_LEN_MAX: usize = 20 * 1024;

/// What follows when a statement matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is IAM's own name")]
pub enum Effect {
    Allow,
    Deny,
}

/// A policy of a bucket.
///
/// # Examples
/// ```
/// use holdfast_policy::Policy;
///
/// let text = r#"{"Version": "2012-10-17", "Statement": {
///     "Effect": "Allow", "Principal": "*",
///     "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/public/*"}}"#;
/// assert!(Policy::parse(text, "photos").is_ok());
/// let elsewhere = Policy::parse(text, "films").unwrap_err();
/// assert!(elsewhere.to_string().starts_with("Policy has invalid resource"));
/// ```
#[derive(Clone, Debug)]
pub struct Policy {
    bucket: String,
    text: String,
    language: Option<Language>,
    id: Option<String>,
    statements: Vec<Statement>,
}

/// A statement of a policy.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) sid: Option<String>,
    pub(crate) effect: Effect,
    pub(crate) principals: Listed<Principals>,
    /// As written, and the actions that are meant.
    pub(crate) actions: Listed<(Vec<String>, Actions)>,
    /// As written, and to match.
    pub(crate) resources: Listed<Vec<(String, Pattern)>>,
    pub(crate) conditions: Vec<Condition>,
}

/// What is listed, or all but that (`NotAction` and the like).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Listed<T> {
    These(T),
    AllBut(T),
}

impl<T> Listed<T> {
    pub(crate) const fn list(&self) -> &T {
        match self {
            Self::These(list) | Self::AllBut(list) => list,
        }
    }
    pub(crate) fn has(&self, listed: impl FnOnce(&T) -> bool) -> bool {
        match self {
            Self::These(list) => listed(list),
            Self::AllBut(list) => !listed(list),
        }
    }
}

/// Which statement of a policy decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decided<'a> {
    /// Its place in the policy, from 0.
    pub index: usize,
    /// Its `Sid`.
    pub sid: Option<&'a str>,
}

/// What has to be found out before a decision, beyond what every request says itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The tags the object has now.
    pub existing_tags: bool,
    /// Who owns the object, and its ACL.
    pub object: bool,
}

impl Policy {
    /// Reads the document `text` for `bucket`.
    ///
    /// # Errors
    /// `Malformed` for what S3 refuses: see `docs/policies.md`.
    pub fn parse(text: &str, bucket: &str) -> Result<Self, PolicyError> {
        parse::document(text, bucket)
    }

    /// The document as it came.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The bucket whose policy it is.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Whether a statement that could decide about `action` looks at the object's tags.
    pub fn looks_at_tags(&self, action: Action) -> bool {
        let looks = |key: &Key| matches!(key, Key::ExistingObjectTag(_));
        self.statements
            .iter()
            .filter(|statement| statement.is_about(action))
            .any(|statement| statement.keys().any(looks))
    }

    pub(crate) fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The first statement of this effect that speaks of the request. `resource` is an ARN.
    pub(crate) fn decide(
        &self,
        effect: Effect,
        caller: Caller<'_>,
        action: Action,
        resource: &str,
        context: &Context,
    ) -> Option<Decided<'_>> {
        let index = self.statements.iter().position(|statement| {
            statement.effect == effect && statement.matches(caller, action, resource, context)
        })?;
        let sid = self.statements.get(index)?.sid.as_deref();
        Some(Decided { index, sid })
    }
}

impl Statement {
    fn is_about(&self, action: Action) -> bool {
        self.actions.has(|(_, set)| set.contains(action))
    }

    fn matches(
        &self,
        caller: Caller<'_>,
        action: Action,
        resource: &str,
        context: &Context,
    ) -> bool {
        self.is_about(action)
            && self.is_for(caller)
            && self.covers(resource, context)
            && self
                .conditions
                .iter()
                .all(|c| c.holds(context, self.effect))
    }

    fn is_for(&self, caller: Caller<'_>) -> bool {
        match &self.principals {
            Listed::These(list) => list.mean(caller, self.effect),
            Listed::AllBut(list) => !list.name(caller),
        }
    }

    fn covers(&self, resource: &str, context: &Context) -> bool {
        let matches = |(_, pattern): &(String, Pattern)| pattern.matches(resource, context);
        let mut list = self.resources.list().iter();
        match self.resources {
            Listed::These(_) => list.any(|one| matches(one) == Some(true)),
            // What cannot be filled in must not widen what is allowed.
            Listed::AllBut(_) if self.effect == Effect::Allow => {
                list.all(|one| matches(one) == Some(false))
            }
            Listed::AllBut(_) => !list.any(|one| matches(one) == Some(true)),
        }
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        let resources = self.resources.list().iter();
        let in_resources = resources.flat_map(|(_, pattern)| pattern.keys());
        let in_conditions = self.conditions.iter().flat_map(Condition::keys);
        in_resources.chain(in_conditions)
    }
}

impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        (&self.bucket, &self.text) == (&other.bucket, &other.text)
    }
}

impl Eq for Policy {}

/// The lasting form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    bucket: String,
    document: String,
}

impl Serialize for Policy {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stored = Stored {
            bucket: self.bucket.clone(),
            document: self.text.clone(),
        };
        stored.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        Self::parse(&stored.document, &stored.bucket).map_err(serde::de::Error::custom)
    }
}
