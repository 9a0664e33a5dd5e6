//! Names that clients give, parsed once.
//!
//! Owns: what a bucket may be called and what a key may be.
//! Leaves to others: whether they exist.
//! Always: a value of these types keeps S3's rules.

use std::fmt;
use std::net::Ipv4Addr;

use holdfast_protocol::manifest::KEY_LEN_MAX;

use crate::error::GatewayError;

/// The name of a bucket: 3 to 63 of `a-z 0-9 . -`, as S3 rules it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketName(String);

impl BucketName {
    /// Checks the rules.
    ///
    /// # Errors
    /// `InvalidBucketName` with the rule that is broken.
    pub fn parse(name: &str) -> Result<Self, GatewayError> {
        let refuse = |why| {
            Err(GatewayError::InvalidBucketName {
                name: name.to_owned(),
                why,
            })
        };
        if !(3..=63).contains(&name.len()) {
            return refuse("it must have 3 to 63 characters");
        }
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        let bytes = name.as_bytes();
        if !bytes.iter().all(|&c| plain(c) || c == b'.' || c == b'-') {
            return refuse("only lower-case letters, digits, dots and hyphens are allowed");
        }
        if !plain(bytes[0]) || !plain(bytes[bytes.len() - 1]) {
            return refuse("it must begin and end with a letter or a digit");
        }
        if name.contains("..") {
            return refuse("two dots may not stand together");
        }
        if name.parse::<Ipv4Addr>().is_ok() {
            return refuse("it may not look like an IP address");
        }
        if name == "health" || name.starts_with("xn--") || name.ends_with("-s3alias") {
            return refuse("the name is reserved");
        }
        Ok(Self(name.to_owned()))
    }
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key of an object: 1 to 1,024 bytes of UTF-8. Keys are never paths.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// Checks the length.
    ///
    /// # Errors
    /// `KeyTooLong`, or `InvalidArgument` for an empty key.
    pub fn parse(key: &str) -> Result<Self, GatewayError> {
        if key.is_empty() {
            return Err(GatewayError::InvalidArgument {
                name: "key",
                why: "it is empty".to_owned(),
            });
        }
        if key.len() > KEY_LEN_MAX {
            return Err(GatewayError::KeyTooLong {
                len: key.len(),
                max: KEY_LEN_MAX,
            });
        }
        Ok(Self(key.to_owned()))
    }
    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    //! Facts about names.
    use super::*;

    #[test]
    fn bucket_names_keep_the_rules_of_s3() {
        for good in ["abc", "a.b-c9", "1234", &"x".repeat(63)] {
            assert!(BucketName::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ab",
            "Abc",
            "a_b",
            "-abc",
            "abc-",
            "a..b",
            "192.168.1.1",
            "health",
            "a/b",
            "a b",
            &"x".repeat(64),
        ] {
            assert!(BucketName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_are_bounded_in_bytes_not_characters() {
        assert!(ObjectKey::parse(&"é".repeat(512)).is_ok());
        assert!(ObjectKey::parse(&"é".repeat(513)).is_err());
        assert!(ObjectKey::parse("").is_err());
    }
}
