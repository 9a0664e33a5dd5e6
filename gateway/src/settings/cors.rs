//! Which pages of other origins may use a bucket from a browser.

use serde::{Deserialize, Serialize};

use crate::error::GatewayError;

const RULES_MAX: usize = 100;
const ID_CHARS_MAX: usize = 255;

/// The rules, in the order in which they are tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    rules: Vec<CorsRule>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorsRule {
    /// Its name, if it has one.
    pub id: Option<String>,
    /// Origins, each with at most one `*`.
    pub origins: Vec<String>,
    /// Methods.
    pub methods: Vec<CorsMethod>,
    /// Headers that a request may have, each with at most one `*`.
    pub headers: Vec<String>,
    /// Headers of the answer that the page may see.
    pub expose: Vec<String>,
    /// How long a browser may remember the answer (seconds).
    pub max_age_s: Option<u32>,
}

/// A method that a rule may allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "each is HTTP's own name")]
pub enum CorsMethod {
    Get,
    Put,
    Post,
    Delete,
    Head,
}

impl CorsMethod {
    /// Reads HTTP's name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "GET" => Some(Self::Get),
            "PUT" => Some(Self::Put),
            "POST" => Some(Self::Post),
            "DELETE" => Some(Self::Delete),
            "HEAD" => Some(Self::Head),
            _ => None,
        }
    }
    /// HTTP's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
            Self::Head => "HEAD",
        }
    }
}

impl Cors {
    /// Checks S3's rules: 1 to 100 rules, each with an origin and a method; at most one `*` in an
    /// origin or a request header, none in a header of the answer.
    ///
    /// # Errors
    /// `InvalidRequest` with what is wrong; `MalformedDocument` where something is missing.
    pub fn new(rules: Vec<CorsRule>) -> Result<Self, GatewayError> {
        if rules.len() > RULES_MAX {
            return refuse(
                "The number of CORS rules should not exceed allowed limit of 100 rules.",
            );
        }
        let is_short = |rule: &CorsRule| rule.origins.is_empty() || rule.methods.is_empty();
        if rules.is_empty() || rules.iter().any(is_short) {
            return Err(GatewayError::MalformedDocument {
                why: "a CORS configuration has rules, and each an AllowedOrigin and an \
                      AllowedMethod",
            });
        }
        for rule in &rules {
            check(rule)?;
        }
        Ok(Self { rules })
    }
    /// The rules.
    pub fn rules(&self) -> &[CorsRule] {
        &self.rules
    }
}

fn check(rule: &CorsRule) -> Result<(), GatewayError> {
    let id = rule.id.as_ref().map_or(0, |id| id.chars().count());
    if id > ID_CHARS_MAX {
        return refuse("The ID of a CORS rule may have at most 255 characters.");
    }
    for (what, patterns) in [
        ("AllowedOrigin", &rule.origins),
        ("AllowedHeader", &rule.headers),
    ] {
        for pattern in patterns {
            if pattern.matches('*').count() > 1 {
                let why = format!("{what} \"{pattern}\" can not have more than one wildcard.");
                return refuse(why);
            }
        }
    }
    if let Some(name) = rule.expose.iter().find(|name| name.contains('*')) {
        let why = format!(
            "ExposeHeader \"{name}\" contains wildcard. We currently do not support wildcard for \
             ExposeHeader."
        );
        return refuse(why);
    }
    // They go into headers of answers.
    let mut texts = rule.origins.iter().chain(&rule.headers).chain(&rule.expose);
    match texts.all(|text| text.bytes().all(|c| (0x20..0x7f).contains(&c))) {
        true => Ok(()),
        false => refuse("Origins and headers of a CORS rule must be printable ASCII."),
    }
}

fn refuse<T>(why: impl Into<String>) -> Result<T, GatewayError> {
    Err(GatewayError::InvalidRequest { why: why.into() })
}

#[cfg(test)]
mod tests {
    //! Facts about the rules.
    use super::*;
    use crate::settings::tests::rule;

    #[test]
    fn rules_of_cors_are_checked() {
        let with = |change: fn(&mut CorsRule)| {
            let mut rule = rule();
            change(&mut rule);
            Cors::new(vec![rule])
        };
        assert!(with(|_| {}).is_ok());
        assert!(with(|rule| rule.origins = vec!["*".to_owned()]).is_ok());
        assert!(with(|rule| rule.origins = vec!["*a*".to_owned()]).is_err());
        assert!(with(|rule| rule.headers = vec!["x-*-*".to_owned()]).is_err());
        assert!(with(|rule| rule.expose = vec!["x-*".to_owned()]).is_err());
        assert!(with(|rule| rule.expose = vec!["x\r\ny".to_owned()]).is_err());
        assert!(with(|rule| rule.origins.clear()).is_err());
        assert!(with(|rule| rule.methods.clear()).is_err());
        assert!(with(|rule| rule.id = Some("i".repeat(255))).is_ok());
        assert!(with(|rule| rule.id = Some("i".repeat(256))).is_err());
        assert!(Cors::new(Vec::new()).is_err());
        assert!(Cors::new(vec![rule(); 100]).is_ok());
        assert!(Cors::new(vec![rule(); 101]).is_err());
    }
}
