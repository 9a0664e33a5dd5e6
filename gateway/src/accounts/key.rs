//! What a key is.
//!
//! Owns: making access keys and secrets; their record.
//! Leaves to others: what keys may look like (`auth`), sealing ([`super::seal`]).
//! Always: a key has its secret only if the master key opens it.

use holdfast_protocol::{FormatError, KeyRecord, Sealed};
use holdfast_seam::Rng;

use super::seal::Sealer;
use crate::auth::{AccountId, Secret, check_access_key, check_secret};
use crate::error::GatewayError;

/// Letters of an access key that is made up; a power of two of them, so that none is favoured.
const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const SECRET_LETTERS: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const ACCESS_KEY_LEN: usize = 18;
const SECRET_LEN: usize = 40;

/// A key.
#[derive(Clone, Debug)]
pub struct Key {
    /// The access key.
    pub access_key: String,
    /// Whose it is.
    pub account: AccountId,
    /// Whether requests may be signed with it.
    pub is_active: bool,
    /// When it was made (milliseconds since 1970).
    pub created_ms: u64,
    /// Its secret as it is kept.
    pub sealed: Sealed,
    /// Its secret; `None` if the master key does not open it.
    pub secret: Option<Secret>,
}

/// An access key and its secret, given or made up.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The access key.
    pub access_key: String,
    /// Its secret.
    pub secret: Secret,
}

impl NewKey {
    /// Makes up what is not given.
    ///
    /// # Errors
    /// `InvalidArgument` if what is given breaks a rule.
    pub fn new(
        rng: &dyn Rng,
        access_key: Option<String>,
        secret: Option<Secret>,
    ) -> Result<Self, GatewayError> {
        let access_key = match access_key {
            Some(given) => given,
            None => format!("HF{}", random(rng, LETTERS, ACCESS_KEY_LEN)),
        };
        let secret = secret.unwrap_or_else(|| {
            let text = random(rng, SECRET_LETTERS, SECRET_LEN);
            Secret::new(text)
        });
        check_access_key(&access_key)?;
        check_secret(&secret)?;
        if access_key.chars().all(|c| c == '.') {
            return Err(GatewayError::InvalidArgument {
                name: "access key",
                why: "it must not consist of dots only".to_owned(),
            });
        }
        Ok(Self { access_key, secret })
    }
}

impl Key {
    /// Reads a record, and opens its secret if the master key can.
    ///
    /// # Errors
    /// As [`KeyRecord::decode`].
    pub fn of_record(bytes: &[u8], sealer: &Sealer) -> Result<Self, FormatError> {
        let record = KeyRecord::decode(bytes)?;
        let account = AccountId::of_bytes(record.account);
        let secret = sealer.open(&record.secret, &record.account, &record.access_key);
        Ok(Self {
            secret,
            access_key: record.access_key,
            account,
            is_active: record.is_active,
            created_ms: record.created_ms,
            sealed: record.secret,
        })
    }

    /// Its record.
    ///
    /// # Errors
    /// `Internal` for the key of an account that has no record.
    pub fn record(&self) -> Result<KeyRecord, GatewayError> {
        let account = self.account.bytes();
        Ok(KeyRecord {
            access_key: self.access_key.clone(),
            account: account.ok_or_else(|| GatewayError::Internal {
                what: format!("account {} is no canonical id", self.account),
            })?,
            is_active: self.is_active,
            created_ms: self.created_ms,
            secret: self.sealed.clone(),
        })
    }
}

fn random(rng: &dyn Rng, letters: &[u8], len: usize) -> String {
    debug_assert!(letters.len().is_power_of_two());
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    let letter = |byte: &u8| char::from(letters[usize::from(*byte) % letters.len()]);
    bytes.iter().map(letter).collect()
}
