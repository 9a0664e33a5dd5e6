//! How a bucket is shown as a website.

use serde::{Deserialize, Serialize};

use crate::error::GatewayError;

const RULES_MAX: usize = 50;
const TEXT_LEN_MAX: usize = 1024;

/// A website.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Website {
    /// Everything is elsewhere.
    Elsewhere(Elsewhere),
    /// The objects are its pages.
    Pages(Pages),
}

/// Where everything is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elsewhere {
    /// Its host.
    pub host: String,
    /// Its protocol; without one that of the request.
    pub protocol: Option<Protocol>,
}

/// Objects as pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pages {
    /// What is added to a path that ends in a slash.
    pub index: String,
    /// The page that is shown with an error of the client.
    pub error: Option<String>,
    /// What is elsewhere, in the order in which it is tried.
    pub rules: Vec<RoutingRule>,
}

/// A rule: what it is about, and where that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoutingRule {
    /// Keys that begin so; without it all of them.
    pub prefix: Option<String>,
    /// What ended in this status; without it whatever the outcome would be.
    pub error: Option<u16>,
    /// Where it is.
    pub to: Redirect,
}

/// Where a client is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// The host; without one that of the request.
    pub host: Option<String>,
    /// The protocol; without one that of the request.
    pub protocol: Option<Protocol>,
    /// The status; without one 301.
    pub status: Option<u16>,
    /// The key; without one that of the request.
    pub key: Option<NewKey>,
}

/// Another key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NewKey {
    /// This one.
    Whole(String),
    /// The same with this instead of the rule's prefix.
    Prefix(String),
}

/// How pages are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "each is its own name")]
pub enum Protocol {
    Http,
    Https,
}

impl Protocol {
    /// Reads its name.
    ///
    /// # Errors
    /// `InvalidRequest`.
    pub fn parse(name: &str) -> Result<Self, GatewayError> {
        match name {
            "http" => Ok(Self::Http),
            "https" => Ok(Self::Https),
            _ => Err(GatewayError::InvalidRequest {
                why: "Invalid protocol, protocol can be http or https. If not defined the \
                      protocol will be selected automatically."
                    .to_owned(),
            }),
        }
    }
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl Website {
    /// A website that is elsewhere.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn elsewhere(host: String, protocol: Option<Protocol>) -> Result<Self, GatewayError> {
        check_host("RedirectAllRequestsTo", &host)?;
        Ok(Self::Elsewhere(Elsewhere { host, protocol }))
    }

    /// A website of pages, by S3's rules: an index without slashes; at most 50 rules, with
    /// statuses 4xx and 5xx to look for and 3xx to answer.
    ///
    /// # Errors
    /// `InvalidArgument`, `InvalidRequest`.
    pub fn pages(
        index: String,
        error: Option<String>,
        rules: Vec<RoutingRule>,
    ) -> Result<Self, GatewayError> {
        if index.is_empty() || index.contains('/') || index.len() > TEXT_LEN_MAX {
            return invalid(
                "IndexDocument",
                "The IndexDocument Suffix is not well formed",
            );
        }
        let is_key = |key: &String| (1..=TEXT_LEN_MAX).contains(&key.len());
        if !error.as_ref().is_none_or(is_key) {
            return invalid("ErrorDocument", "The ErrorDocument Key is not well formed");
        }
        if rules.len() > RULES_MAX {
            return refuse(format!(
                "{} routing rules provided, the number of routing rules in a website \
                 configuration is limited to {RULES_MAX}.",
                rules.len()
            ));
        }
        rules.iter().try_for_each(check)?;
        Ok(Self::Pages(Pages {
            index,
            error,
            rules,
        }))
    }
}

fn check(rule: &RoutingRule) -> Result<(), GatewayError> {
    let to = &rule.to;
    if *to == Redirect::default() {
        return refuse("Redirect cannot be empty.");
    }
    if let Some(status) = rule.error.filter(|status| !(400..600).contains(status)) {
        return refuse(format!(
            "The provided HTTP error code ({status}) is not valid. Valid codes are 4XX or 5XX."
        ));
    }
    if let Some(status) = to.status.filter(|status| !(301..400).contains(status)) {
        return refuse(format!(
            "The provided HTTP redirect code ({status}) is not valid. Valid codes are 3XX except \
             300."
        ));
    }
    if let Some(host) = &to.host {
        check_host("HostName", host)?;
    }
    let replaced = match &to.key {
        Some(NewKey::Whole(text) | NewKey::Prefix(text)) => text.as_str(),
        None => "",
    };
    let prefix = rule.prefix.as_deref().unwrap_or_default();
    match replaced.len() <= TEXT_LEN_MAX && prefix.len() <= TEXT_LEN_MAX {
        true => Ok(()),
        false => refuse("A key of a routing rule has at most 1024 bytes."),
    }
}

/// It goes into a header of answers.
fn check_host(name: &'static str, host: &str) -> Result<(), GatewayError> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"-._:/[]".contains(&c);
    let begins = host.bytes().next().is_some_and(|c| c != b'/');
    match begins && host.len() <= TEXT_LEN_MAX && host.bytes().all(plain) {
        true => Ok(()),
        false => invalid(name, "The HostName is not well formed"),
    }
}

fn invalid<T>(name: &'static str, why: &str) -> Result<T, GatewayError> {
    Err(GatewayError::InvalidArgument {
        name,
        why: why.to_owned(),
    })
}

fn refuse<T>(why: impl Into<String>) -> Result<T, GatewayError> {
    Err(GatewayError::InvalidRequest { why: why.into() })
}

#[cfg(test)]
mod tests {
    //! Facts about the rules.
    use super::*;
    use crate::settings::tests::website;

    #[test]
    fn rules_of_websites_are_checked() {
        assert!(website(|_| {}).is_ok());
        assert!(website(|rule| rule.error = Some(200)).is_err());
        assert!(website(|rule| rule.to.status = Some(300)).is_err());
        assert!(website(|rule| rule.to.status = Some(200)).is_err());
        assert!(website(|rule| rule.to.host = Some(String::new())).is_err());
        assert!(website(|rule| rule.to.host = Some("a\r\nb".to_owned())).is_err());
        assert!(website(|rule| rule.to.host = Some("//a".to_owned())).is_err());
        assert!(website(|rule| rule.to = Redirect::default()).is_err());
        assert!(website(|rule| rule.prefix = Some("p".repeat(1025))).is_err());
        let pages = |index: &str, error: &str, rules: usize| {
            let rule = RoutingRule {
                prefix: None,
                error: None,
                to: Redirect {
                    host: Some("a".to_owned()),
                    ..Redirect::default()
                },
            };
            Website::pages(index.to_owned(), Some(error.to_owned()), vec![rule; rules])
        };
        assert!(pages("i", "e", 50).is_ok());
        assert!(pages("i", "e", 51).is_err());
        assert!(pages("", "e", 0).is_err());
        assert!(pages("a/i", "e", 0).is_err());
        assert!(pages("i", "", 0).is_err());
        assert!(Website::elsewhere("a.test:8080".to_owned(), None).is_ok());
        assert!(Website::elsewhere(String::new(), None).is_err());
    }
}
