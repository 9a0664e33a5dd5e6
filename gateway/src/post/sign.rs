//! Who signed the policy of a form.
//!
//! Owns: reading the claim from the fields, and verifying it, by signature version 4 or 2.
//! Leaves to others: whose the key is, whether version 2 is taken at all (`s3`), what the policy
//! says ([`super::policy`]).
//! Always: one mechanism; signatures are compared in constant time; what is signed is the text of
//! the field `policy`, byte by byte.
//! Source: Amazon S3 API Reference, "Authenticating requests in browser-based uploads using POST".

use subtle::ConstantTimeEq;

use super::{Fields, PostError, bad_field};
use crate::admin::sigv4::{mac, unix_seconds};
use crate::auth::{Secret, scheme, sigv2};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// A clock may be wrong by so much.
const SKEW_MS: u64 = 15 * 60 * 1000;
/// A signing key counts for a week.
const AGE_MS_MAX: u64 = 7 * 24 * 3600 * 1000;

/// The claim of a signature, not yet verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Signature version 4.
    V4 {
        /// Who says to have signed.
        access_key: String,
        /// The day of the scope, `YYYYMMDD`.
        day: String,
        /// The region of the scope.
        region: String,
        /// When: milliseconds since 1970, on the day of the scope.
        signed_ms: u64,
        /// 64 hexadecimal digits.
        signature: String,
    },
    /// Signature version 2.
    V2 {
        /// Who says to have signed.
        access_key: String,
        /// Base64.
        signature: String,
    },
}

impl Claim {
    /// Reads the claim of a form; `None` if it has none, and no policy (an anonymous form).
    ///
    /// # Errors
    /// `FieldMissing`, `BadField`.
    pub fn of(fields: &Fields) -> Result<Option<Self>, PostError> {
        let has = |names: &[&str]| names.iter().any(|name| fields.get(name).is_some());
        let v4 = has(&[
            "x-amz-signature",
            "x-amz-credential",
            "x-amz-algorithm",
            "x-amz-date",
        ]);
        let v2 = has(&["signature", "awsaccesskeyid"]);
        let need = |name, shown| {
            let value = fields.get(name);
            value.ok_or(PostError::FieldMissing { name: shown })
        };
        if v4 && v2 {
            return Err(bad_field("signature", "Only one auth mechanism allowed"));
        }
        if !v4 && !v2 && !has(&["policy"]) {
            return Ok(None);
        }
        need("policy", "policy")?;
        if v2 {
            return Ok(Some(Self::V2 {
                access_key: need("awsaccesskeyid", "AWSAccessKeyId")?.to_owned(),
                signature: need("signature", "signature")?.to_owned(),
            }));
        }
        if need("x-amz-algorithm", "X-Amz-Algorithm")? != ALGORITHM {
            return Err(bad_field(
                "X-Amz-Algorithm",
                "only AWS4-HMAC-SHA256 is supported",
            ));
        }
        let credential = need("x-amz-credential", "X-Amz-Credential")?;
        let (access_key, day, region) =
            scheme::scope(credential).map_err(|why| bad_field("X-Amz-Credential", why))?;
        let date = need("x-amz-date", "X-Amz-Date")?;
        let seconds = unix_seconds(date).ok_or(bad_field(
            "X-Amz-Date",
            "it must be in the form yyyyMMddTHHmmssZ",
        ))?;
        if !date.starts_with(&day) {
            return Err(bad_field(
                "X-Amz-Date",
                "it is not on the day of the credential",
            ));
        }
        let signature = need("x-amz-signature", "X-Amz-Signature")?;
        Ok(Some(Self::V4 {
            access_key,
            day,
            region,
            signed_ms: seconds * 1000,
            signature: signature.to_owned(),
        }))
    }

    /// Who says to have signed.
    pub fn access_key(&self) -> &str {
        match self {
            Self::V4 { access_key, .. } | Self::V2 { access_key, .. } => access_key,
        }
    }

    /// Verifies that `policy`, the text of the field, was signed with `secret`.
    ///
    /// # Errors
    /// `Signature`.
    pub fn verify(&self, policy: &str, secret: &Secret) -> Result<(), PostError> {
        let (expected, given) = match self {
            Self::V4 { signature, .. } => (self.v4(policy, secret), signature),
            Self::V2 { signature, .. } => (sigv2::sign(secret, policy.as_bytes()), signature),
        };
        match bool::from(expected.as_bytes().ct_eq(given.as_bytes())) {
            true => Ok(()),
            false => Err(PostError::Signature),
        }
    }

    fn v4(&self, policy: &str, secret: &Secret) -> String {
        let Self::V4 { day, region, .. } = self else {
            return String::new();
        };
        let key = mac(
            format!("AWS4{}", secret.expose()).as_bytes(),
            day.as_bytes(),
        );
        let key = mac(&key, region.as_bytes());
        let key = mac(&mac(&key, b"s3"), b"aws4_request");
        hex::encode(mac(&key, policy.as_bytes()))
    }

    /// Whether the signature is neither of the future nor too old. Version 2 has no date: there the
    /// policy's end alone counts.
    ///
    /// # Errors
    /// `Denied`.
    pub fn check_age(&self, now_ms: u64) -> Result<(), PostError> {
        let Self::V4 { signed_ms, .. } = self else {
            return Ok(());
        };
        let why = if *signed_ms > now_ms + SKEW_MS {
            "Request is not valid yet"
        } else if now_ms > signed_ms + AGE_MS_MAX {
            "Policy expired: it was signed more than a week ago."
        } else {
            return Ok(());
        };
        Err(PostError::Denied {
            why: why.to_owned(),
        })
    }
}
