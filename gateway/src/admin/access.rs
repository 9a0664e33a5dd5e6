//! Who asks: the administrator, by signature or by token.
//!
//! Owns: reading `Authorization`, and the decision.
//! Leaves to others: computing signatures ([`super::sigv4`]), what each route needs
//! ([`super::routes`]).
//! Always: comparisons take the same time whatever is wrong; the reason that is told helps who has
//! the keys and nobody else.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::sigv4;
use crate::auth::{Credentials, Secret};

/// Fewest characters of a token.
pub const TOKEN_LEN_MIN: usize = 16;
/// A signature may be so much older or younger than our clock.
pub const SKEW_MAX: Duration = Duration::from_secs(15 * 60);

/// Who may ask.
#[derive(Clone)]
pub struct Access {
    /// Finds the secret of an access key.
    pub credentials: Arc<dyn Credentials>,
    /// As good as the keys, if there is one.
    pub token: Option<Secret>,
    /// The region that signatures must name.
    pub region: String,
    /// Whether metrics need the administrator.
    pub metrics_closed: bool,
}

/// Why a request is not the administrator's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It is not signed.
    #[error("sign the request (SigV4, service s3) or send Authorization: Bearer TOKEN")]
    Anonymous,
    /// The header cannot be understood.
    #[error("the Authorization header is malformed: {0}")]
    Malformed(String),
    /// Unknown key or wrong signature.
    #[error("the access key or the signature is wrong")]
    Wrong,
    /// Too old, or from the future.
    #[error("the signature's time differs too much from the server's clock")]
    Skewed,
    /// Signed for another region.
    #[error("the signature is for region {given}; this is {expected}")]
    Region {
        /// The region of the scope.
        given: String,
        /// Ours.
        expected: String,
    },
    /// The body is not the one that was signed.
    #[error("the body does not match x-amz-content-sha256")]
    Body,
    /// Wrong token.
    #[error("the token is wrong")]
    Token,
}

impl Access {
    /// Checks that the administrator sent this request.
    ///
    /// # Errors
    /// The reason why not.
    pub fn administrator(&self, head: &Parts, body: &[u8], now: SystemTime) -> Result<(), Denied> {
        match bearer(&head.headers) {
            Some(token) => self.token(token),
            None => sigv4::verify(self, head, body, now),
        }
    }

    fn token(&self, given: &[u8]) -> Result<(), Denied> {
        let expected = self.token.as_ref().ok_or(Denied::Token)?;
        // Digests are equally long, so that not even the length shows in the time.
        let same = digest(given).ct_eq(&digest(expected.expose().as_bytes()));
        match bool::from(same) {
            true => Ok(()),
            false => Err(Denied::Token),
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
