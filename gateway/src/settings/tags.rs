//! The tags of a bucket or an object.

use serde::{Deserialize, Serialize};

use crate::error::GatewayError;

const TAGS_MAX: usize = 50;
const OBJECT_TAGS_MAX: usize = 10;
const KEY_CHARS_MAX: usize = 128;
const VALUE_CHARS_MAX: usize = 256;

/// Tags, in the order in which they were given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tags {
    tags: Vec<(String, String)>,
}

impl Tags {
    /// Checks S3's rules: at most 50 different keys of 1 to 128 characters, values of at most 256;
    /// letters, digits, spaces and `+ - = . _ : / @`; no key of AWS's own.
    ///
    /// # Errors
    /// `InvalidTag`.
    pub fn new(tags: Vec<(String, String)>) -> Result<Self, GatewayError> {
        if tags.len() > TAGS_MAX {
            return refuse("Bucket tag count cannot be greater than 50");
        }
        Self::checked(tags)
    }
    /// The same for an object, which has at most 10.
    ///
    /// # Errors
    /// `InvalidTag`.
    pub fn of_object(tags: Vec<(String, String)>) -> Result<Self, GatewayError> {
        if tags.len() > OBJECT_TAGS_MAX {
            return refuse("Object tags cannot be greater than 10");
        }
        Self::checked(tags)
    }

    fn checked(tags: Vec<(String, String)>) -> Result<Self, GatewayError> {
        for (at, (key, value)) in tags.iter().enumerate() {
            let len = key.chars().count();
            if !(1..=KEY_CHARS_MAX).contains(&len) || !key.chars().all(is_allowed) {
                return refuse("The TagKey you have provided is invalid");
            }
            if value.chars().count() > VALUE_CHARS_MAX || !value.chars().all(is_allowed) {
                return refuse("The TagValue you have provided is invalid");
            }
            if key.starts_with("aws:") {
                return refuse("System tags cannot be added/updated by requester");
            }
            if tags[..at].iter().any(|(known, _)| known == key) {
                return refuse("Cannot provide multiple Tags with the same key");
            }
        }
        Ok(Self { tags })
    }
    /// Keys and values.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.tags
    }
}

fn is_allowed(c: char) -> bool {
    c.is_alphanumeric() || c == ' ' || "+-=._:/@".contains(c)
}

fn refuse<T>(why: &'static str) -> Result<T, GatewayError> {
    Err(GatewayError::InvalidTag { why })
}

#[cfg(test)]
mod tests {
    //! Facts about the rules.
    use super::*;

    #[test]
    fn tags_are_checked() {
        let one = |key: &str, value: &str| Tags::new(vec![(key.to_owned(), value.to_owned())]);
        assert!(one("Äpfel +-=._:/@ 7", "").is_ok());
        assert!(one(&"k".repeat(128), &"v".repeat(256)).is_ok());
        for (key, value) in [
            ("", "v"),
            ("k\n", "v"),
            ("k", "a&b"),
            ("aws:k", "v"),
            (&"k".repeat(129), "v"),
            ("k", &"v".repeat(257)),
        ] {
            assert!(one(key, value).is_err(), "{key:?} {value:?}");
        }
        let many = |count: usize| (0..count).map(|i| (i.to_string(), String::new())).collect();
        assert!(Tags::new(many(50)).is_ok());
        assert!(Tags::new(many(51)).is_err());
        let pair = ("k".to_owned(), "v".to_owned());
        assert!(Tags::new(vec![pair.clone(), pair]).is_err());
    }
}
