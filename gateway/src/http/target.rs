//! What a request is about: the service, a bucket or an object.
//!
//! Owns: path style and virtual-host style.
//! Leaves to others: whether the names are valid and exist.
//! Always: a host that is not under one of the configured domains is never read as a bucket.

use http::HeaderMap;
use http::header::HOST;
use percent_encoding::percent_decode_str;

use super::Refusal;

/// The domains under which a host names a bucket (`bucket.domain`).
#[derive(Clone, Debug, Default)]
pub struct Domains(Vec<String>);

impl Domains {
    /// Takes the names without ports, in any case.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let clean = |name: String| name.trim_matches('.').to_ascii_lowercase();
        let mut list: Vec<String> = names.into_iter().map(clean).collect();
        list.retain(|name| !name.is_empty());
        // The longest first: with `s3.example.com` and `example.com`, the former decides.
        list.sort_by_key(|name| std::cmp::Reverse(name.len()));
        Self(list)
    }

    /// The bucket that a host names, in lower case; `None` for path style.
    pub fn bucket(&self, host: &str) -> Option<String> {
        self.find(host)?.bucket
    }

    /// Where a host is; `None` if it is under none of the domains.
    pub fn find(&self, host: &str) -> Option<Place> {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|c| c.is_ascii_digit()) => name,
            _ => host,
        };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.0.iter().find_map(|domain| {
            let rest = name.strip_suffix(domain.as_str())?;
            let bucket = match rest {
                "" => None,
                rest => Some(rest.strip_suffix('.')?.to_owned()),
            };
            let domain_len = domain.len();
            Some(Place { domain_len, bucket })
        })
    }
}

/// Where a host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes of the domain's name: of two that a host is under the longer decides.
    pub domain_len: usize,
    /// The bucket, unless the host is the domain itself.
    pub bucket: Option<String>,
}

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The service.
    Root,
    /// A bucket.
    Bucket(String),
    /// An object.
    Object(String, String),
}

impl Target {
    /// Reads host and path.
    ///
    /// # Errors
    /// `InvalidUri` if the path is not UTF-8 or the bucket is empty; `AmbiguousFraming` unless
    /// there is exactly one Host.
    pub fn parse(domains: &Domains, headers: &HeaderMap, path: &str) -> Result<Self, Refusal> {
        let mut hosts = headers.get_all(HOST).iter();
        let host = match (hosts.next().map(http::HeaderValue::to_str), hosts.next()) {
            (Some(Ok(host)), None) => host,
            _ => {
                return Err(Refusal::AmbiguousFraming {
                    why: "A request needs exactly one Host header",
                });
            }
        };
        let path = percent_decode_str(path)
            .decode_utf8()
            .map_err(|_| Refusal::InvalidUri)?;
        let path = path.strip_prefix('/').ok_or(Refusal::InvalidUri)?;
        let named = domains.bucket(host);
        let (bucket, key) = match &named {
            Some(bucket) => (bucket.as_str(), path),
            None => path.split_once('/').unwrap_or((path, "")),
        };
        Ok(match (bucket.is_empty(), key.is_empty()) {
            (true, true) if path.is_empty() && named.is_none() => Self::Root,
            (true, _) => return Err(Refusal::InvalidUri),
            (false, true) => Self::Bucket(bucket.to_owned()),
            (false, false) => Self::Object(bucket.to_owned(), key.to_owned()),
        })
    }
    /// The bucket, if there is one.
    pub fn bucket(&self) -> Option<&str> {
        match self {
            Self::Root => None,
            Self::Bucket(bucket) | Self::Object(bucket, _) => Some(bucket),
        }
    }
    /// The key, if there is one.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Root | Self::Bucket(_) => None,
            Self::Object(_, key) => Some(key),
        }
    }
}
