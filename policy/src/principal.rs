//! Whom a statement is about.
//!
//! Owns: reading `Principal` and `NotPrincipal`; whether a caller is meant.
//! Leaves to others: whether the accounts exist (`gateway`).
//! Always: `*` alone is everyone; a `*` within a name is refused. Services are never "everyone"
//! when something is allowed: they have to be named.

use std::fmt;

use crate::caller::Caller;
use crate::document::Effect;
use crate::error::PolicyError;
use crate::json::Json;

/// One who is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// `*`: everyone, also without a key.
    Everyone,
    /// All of an account, by its number.
    Account(String),
    /// One user or role, by ARN.
    Arn(String),
    /// An account, by its canonical id.
    Canonical(String),
    /// A service, by name.
    Service(String),
    /// Someone of an identity provider: there are none here, so nobody is meant.
    Federated(String),
}

/// Those a statement names, each as written, under the word it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principals {
    pub(crate) named: Vec<(&'static str, String, Principal)>,
}

const AWS: &str = "AWS";
const CANONICAL: &str = "CanonicalUser";
const SERVICE: &str = "Service";
const FEDERATED: &str = "Federated";

impl Principals {
    pub(crate) fn parse(value: &Json) -> Result<Self, PolicyError> {
        let kinds = match value {
            Json::Text(text) if text == "*" => {
                let named = vec![("", text.clone(), Principal::Everyone)];
                return Ok(Self { named });
            }
            Json::Object(kinds) if !kinds.is_empty() => kinds,
            Json::Text(text) => return Err(invalid(text)),
            _ => return Err(invalid("it must be \"*\" or an object")),
        };
        let mut named = Vec::new();
        for (kind, names) in kinds {
            let kind = [AWS, CANONICAL, SERVICE, FEDERATED]
                .into_iter()
                .find(|known| known == kind)
                .ok_or_else(|| invalid(kind))?;
            let names = names.texts().filter(|names| !names.is_empty());
            for name in names.ok_or_else(|| invalid(kind))? {
                let principal = Principal::parse(kind, name).ok_or_else(|| invalid(name))?;
                named.push((kind, name.to_owned(), principal));
            }
        }
        Ok(Self { named })
    }

    /// Whether `caller` is meant, in a statement of this effect.
    pub(crate) fn mean(&self, caller: Caller<'_>, effect: Effect) -> bool {
        let mut all = self.named.iter().map(|(_, _, principal)| principal);
        all.any(|principal| principal.means(caller, effect))
    }

    /// Whether `caller` is named itself: an account's users are not named with it. So
    /// `NotPrincipal` spares those alone that it lists, as IAM has it.
    pub(crate) fn name(&self, caller: Caller<'_>) -> bool {
        let user = caller.account().is_some_and(|account| !account.is_root());
        let mut all = self.named.iter().map(|(_, _, principal)| principal);
        all.any(|principal| match principal {
            Principal::Account(_) | Principal::Canonical(_) if user => false,
            principal => principal.means(caller, Effect::Deny),
        })
    }

    /// Whether everyone is meant.
    pub(crate) fn are_everyone(&self) -> bool {
        let mut all = self.named.iter();
        all.any(|(_, _, principal)| *principal == Principal::Everyone)
    }
}

fn invalid(what: &str) -> PolicyError {
    let shown: String = what.chars().take(100).collect();
    PolicyError::malformed(format!("Invalid principal in policy: {shown}"))
}

impl Principal {
    fn parse(kind: &str, name: &str) -> Option<Self> {
        let plain = !name.is_empty() && !name.contains(['*', '?']);
        match kind {
            AWS if name == "*" => Some(Self::Everyone),
            _ if !plain => None,
            AWS => Self::aws(name),
            CANONICAL => is_canonical(name).then(|| Self::Canonical(name.to_owned())),
            SERVICE => is_service(name).then(|| Self::Service(name.to_owned())),
            _ => Some(Self::Federated(name.to_owned())),
        }
    }

    fn aws(name: &str) -> Option<Self> {
        if is_number(name) {
            return Some(Self::Account(name.to_owned()));
        }
        if is_canonical(name) {
            return Some(Self::Canonical(name.to_owned()));
        }
        let parts: Vec<&str> = name.splitn(6, ':').collect();
        let &[
            "arn",
            "aws",
            service @ ("iam" | "sts"),
            "",
            account,
            resource,
        ] = parts.as_slice()
        else {
            return None;
        };
        // Clients of other stores put a name where AWS has a number; nobody here has it.
        let word = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if account.is_empty() || account.len() > 64 || !account.chars().all(word) {
            return None;
        }
        let kinds: &[&str] = match service {
            "iam" => &["user/", "role/"],
            _ => &["assumed-role/", "federated-user/"],
        };
        let of_kind = |kind: &&str| resource.len() > kind.len() && resource.starts_with(kind);
        match resource {
            "root" if service == "iam" => Some(Self::Account(account.to_owned())),
            _ if kinds.iter().any(of_kind) => Some(Self::Arn(name.to_owned())),
            _ => None,
        }
    }

    fn means(&self, caller: Caller<'_>, effect: Effect) -> bool {
        match (self, caller) {
            (Self::Everyone, Caller::Service(_)) => effect == Effect::Deny,
            (Self::Everyone, _) => true,
            (Self::Account(number), Caller::Account(account)) => account.number == *number,
            (Self::Arn(arn), Caller::Account(account)) => account.arn == *arn,
            (Self::Canonical(id), caller) => caller.is(id),
            (Self::Service(name), Caller::Service(service)) => name == service,
            _ => false,
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => f.write_str("*"),
            Self::Account(name)
            | Self::Arn(name)
            | Self::Canonical(name)
            | Self::Service(name)
            | Self::Federated(name) => f.write_str(name),
        }
    }
}

/// The number of an account.
fn is_number(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|c| c.is_ascii_digit())
}

/// A canonical id.
fn is_canonical(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|c| c.is_ascii_hexdigit())
}

/// A name with a dot, as services have.
fn is_service(text: &str) -> bool {
    let word = |c: u8| c.is_ascii_alphanumeric() || b"-.".contains(&c);
    text.contains('.') && text.bytes().all(word)
}
