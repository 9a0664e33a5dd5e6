//! The query of a request, decoded once.
//!
//! Owns: decoding; refusing duplicates.
//! Leaves to others: which parameters are known ([`super::route`]).
//! Always: decoded as the signature's canonical form is, so that what is checked is what was
//! signed.

use super::Refusal;

const PAIRS_MAX: usize = 100;

/// The parameters, decoded, in the order of the request, each name at most once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes a query string.
    ///
    /// # Errors
    /// `DuplicateQuery`; `InvalidUri` for more than 100 parameters.
    pub fn parse(query: Option<&str>) -> Result<Self, Refusal> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(Refusal::DuplicateQuery {
                    name: name.into_owned(),
                });
            }
            if pairs.len() == PAIRS_MAX {
                return Err(Refusal::InvalidUri);
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(pairs))
    }
    /// The query without these parameters.
    pub fn without(mut self, names: &[&str]) -> Self {
        self.0.retain(|(name, _)| !names.contains(&name.as_str()));
        self
    }
    /// Whether the parameter is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
    /// Its value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs().find(|(n, _)| *n == name).map(|(_, v)| v)
    }
    /// All of them.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }
}
