//! Listings of objects, versions and uploads.
//!
//! Owns: their parameters, continuation and encoding.
//! Leaves to others: what is in them ([`crate::object::Objects`]).
//! Always: a page has at most 1,000 entries; what continues a listing is the last entry of the page
//! before.

mod objects;
mod order;
mod uploads;
mod versions;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{CommonPrefix, EncodingType};

pub(super) use objects::{v1, v2};
pub(super) use order::put_in_order;
pub(super) use uploads::uploads;
pub(super) use versions::versions;

use crate::error::GatewayError;

const PAGE_MAX: usize = 1000;

/// As S3 encodes keys: everything but unreserved characters and the slash.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// How names go out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Encoding {
    Plain,
    Url,
}

impl Encoding {
    /// Reads `encoding-type`.
    pub fn of(given: Option<&EncodingType>) -> Result<Self, GatewayError> {
        match given.map(EncodingType::as_str) {
            None | Some("") => Ok(Self::Plain),
            Some(kind) if kind.eq_ignore_ascii_case("url") => Ok(Self::Url),
            Some(_) => Err(invalid("encoding-type", "it must be url")),
        }
    }
    /// A name as it goes out.
    pub fn apply(self, name: &str) -> String {
        match self {
            Self::Plain => name.to_owned(),
            Self::Url => utf8_percent_encode(name, KEPT).to_string(),
        }
    }
    /// What the answer says about it.
    pub fn shown(self) -> Option<EncodingType> {
        match self {
            Self::Plain => None,
            Self::Url => Some(EncodingType::from_static(EncodingType::URL)),
        }
    }
    /// Common prefixes as they go out.
    pub fn prefixes(self, prefixes: &[String]) -> Vec<CommonPrefix> {
        let prefix = |prefix: &String| CommonPrefix {
            prefix: Some(self.apply(prefix)),
        };
        prefixes.iter().map(prefix).collect()
    }
}

/// `max-keys` and its like: at most 1,000, whatever was asked for.
pub(super) fn page_len(name: &'static str, given: Option<i32>) -> Result<usize, GatewayError> {
    match given.map(usize::try_from) {
        None => Ok(PAGE_MAX),
        Some(Ok(len)) => Ok(len.min(PAGE_MAX)),
        Some(Err(_)) => Err(invalid(name, "it must not be negative")),
    }
}

/// The length of a page as the answer shows it.
pub(super) fn shown(len: usize) -> Option<i32> {
    i32::try_from(len).ok()
}

/// A parameter that is there and not empty.
pub(super) fn filled(given: Option<String>) -> Option<String> {
    given.filter(|text| !text.is_empty())
}

pub(super) fn invalid(name: &'static str, why: &str) -> GatewayError {
    GatewayError::InvalidArgument {
        name,
        why: why.to_owned(),
    }
}
