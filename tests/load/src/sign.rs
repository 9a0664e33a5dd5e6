//! AWS Signature Version 4, by header.
//!
//! Owns: the canonical request, the signing key (computed once a day) and the signature.
//! Leaves to others: encoding paths and queries canonically ([`crate::request`]).
//! Always: gives what `aws-sigv4` gives (the test's oracle). That crate does not sign the requests
//! themselves because it costs several times more CPU for each (`tests/load/README.md`).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// `x-amz-content-sha256` of a body whose bytes are not signed.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// `x-amz-content-sha256` of an `aws-chunked` body with a checksum trailer and no signatures.
pub const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

type HmacSha256 = Hmac<Sha256>;

/// An access key and its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    access_key: String,
    secret_key: String,
}

impl Credentials {
    /// The pair, as the server knows it.
    pub fn new(access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        Self {
            access_key: access_key.into(),
            secret_key: secret_key.into(),
        }
    }

    /// The public half.
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// The secret half, for the environment of a server that is started.
    pub fn secret_key(&self) -> &str {
        &self.secret_key
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({}, [redacted])", self.access_key)
    }
}

/// What is signed of one request. Headers are (lower-case name, value), sorted by name.
#[derive(Debug, Clone, Copy)]
pub struct Signable<'a> {
    /// `GET`, `PUT` …
    pub method: &'a str,
    /// Absolute path, already URI-encoded.
    pub path: &'a str,
    /// Query without `?`: encoded, sorted, every name with `=`.
    pub query: &'a str,
    /// Every header to sign, host and `x-amz-*` among them.
    pub headers: &'a [(&'a str, &'a str)],
    /// The value of `x-amz-content-sha256`.
    pub payload_hash: &'a str,
}

/// Signs requests of one client; keeps the time and the key between requests.
#[derive(Debug)]
pub struct Signer {
    credentials: Credentials,
    region: String,
    unix_second: u64,
    timestamp: String,
    scope: String,
    key: Option<HmacSha256>,
    canonical: String,
}

impl Signer {
    /// A signer for service `s3` in `region`.
    pub fn new(credentials: Credentials, region: &str) -> Self {
        Self {
            credentials,
            region: region.to_owned(),
            unix_second: u64::MAX,
            timestamp: String::new(),
            scope: String::new(),
            key: None,
            canonical: String::new(),
        }
    }

    /// Sets the time of the next signatures to `now` and returns the value of `x-amz-date`.
    pub fn set_time(&mut self, now: SystemTime) -> &str {
        let second = now
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO)
            .as_secs();
        if second != self.unix_second {
            self.unix_second = second;
            let day_was = self.timestamp.get(..8).unwrap_or_default().to_owned();
            let rfc3339 =
                humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(second));
            self.timestamp = rfc3339
                .to_string()
                .chars()
                .filter(|c| !matches!(c, '-' | ':'))
                .collect();
            let day = &self.timestamp[..8];
            if day != day_was {
                self.scope = format!("{day}/{}/s3/aws4_request", self.region);
                self.key = Some(signing_key(
                    self.credentials.secret_key(),
                    day,
                    &self.region,
                ));
            }
        }
        &self.timestamp
    }

    /// The value of the Authorization header for the time last set.
    pub fn authorization(&mut self, request: &Signable<'_>) -> String {
        let canonical = &mut self.canonical;
        canonical.clear();
        for part in [
            request.method,
            "\n",
            request.path,
            "\n",
            request.query,
            "\n",
        ] {
            canonical.push_str(part);
        }
        for (name, value) in request.headers {
            for part in [name, ":", value, "\n"] {
                canonical.push_str(part);
            }
        }
        canonical.push('\n');
        let names_at = canonical.len();
        push_names(canonical, request.headers);
        let names_end = canonical.len();
        canonical.push('\n');
        canonical.push_str(request.payload_hash);

        let digest = hex_of(&Sha256::digest(canonical.as_bytes()));
        let key = self
            .key
            .as_ref()
            .expect("set_time was called: x-amz-date is a signed header");
        let mut mac = key.clone();
        for part in [
            "AWS4-HMAC-SHA256\n",
            &self.timestamp,
            "\n",
            &self.scope,
            "\n",
            &digest,
        ] {
            mac.update(part.as_bytes());
        }
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={}",
            self.credentials.access_key,
            self.scope,
            &self.canonical[names_at..names_end],
            hex_of(&mac.finalize().into_bytes()),
        )
    }
}

/// Appends the names joined by `;`.
fn push_names(out: &mut String, headers: &[(&str, &str)]) {
    for (index, (name, _)) in headers.iter().enumerate() {
        if index > 0 {
            out.push(';');
        }
        out.push_str(name);
    }
}

/// Lower-case hexadecimal SHA-256 of a body given in pieces.
pub fn payload_sha256<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    for piece in pieces {
        hasher.update(piece);
    }
    hex_of(&hasher.finalize())
}

fn hex_of(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

/// The key of one day and region. Source: AWS, "Signature Version 4", derivation of the key.
fn signing_key(secret: &str, day: &str, region: &str) -> HmacSha256 {
    let mut key = keyed(format!("AWS4{secret}").as_bytes());
    for part in [day, region, "s3", "aws4_request"] {
        key.update(part.as_bytes());
        key = keyed(&key.finalize().into_bytes());
    }
    key
}

fn keyed(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests;
