//! Sealing secrets with the master key.
//!
//! Owns: the master key and what is derived from it; sealing and opening.
//! Leaves to others: where the master key is kept (the process), the form of a sealed secret
//! (`protocol::account`).
//! Always: a nonce is random and never used again; a sealed secret opens only for the cluster,
//! account and access key it was sealed for. `docs/formats/account.md`.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use holdfast_protocol::{ClusterId, Sealed};
use holdfast_seam::Rng;
use sha2::{Digest, Sha256};

use crate::auth::Secret;
use crate::error::GatewayError;

/// The key that seals all secrets; never printed.
#[derive(Clone)]
pub struct MasterKey([u8; Self::LEN]);

impl MasterKey {
    /// Its bytes.
    pub const LEN: usize = 32;

    /// Takes the key.
    pub fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Reads it from 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; Self::LEN];
        hex::decode_to_slice(text.trim(), &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// What names it, and tells nothing else of it.
    pub fn id(&self) -> [u8; 8] {
        let hash = self.hashed(b"holdfast master key id v1\0");
        let (id, _) = hash.split_first_chunk().expect("32 bytes are 8 and more");
        *id
    }

    fn hashed(&self, context: &[u8]) -> [u8; 32] {
        let hash = Sha256::new_with_prefix(context);
        hash.chain_update(self.0).finalize().into()
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Seals and opens the secrets of one cluster.
#[derive(Clone)]
pub struct Sealer {
    cluster: ClusterId,
    master: [u8; 8],
    cipher: XChaCha20Poly1305,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("master", &hex::encode(self.master))
            .finish_non_exhaustive()
    }
}

impl Sealer {
    /// With a master key.
    pub fn new(master: &MasterKey, cluster: ClusterId) -> Self {
        let key = master.hashed(b"holdfast seal of secrets v1\0");
        Self {
            cluster,
            master: master.id(),
            cipher: XChaCha20Poly1305::new(&key.into()),
        }
    }

    /// Seals the secret of an account's key.
    ///
    /// # Errors
    /// `Internal` if the cipher refuses, which it does not for texts of this length.
    pub fn seal(
        &self,
        rng: &dyn Rng,
        secret: &Secret,
        account: &[u8; 32],
        access_key: &str,
    ) -> Result<Sealed, GatewayError> {
        let mut nonce = [0; 24];
        rng.fill(&mut nonce);
        let payload = Payload {
            msg: secret.expose().as_bytes(),
            aad: &self.bound_to(account, access_key),
        };
        let text = self.cipher.encrypt(&XNonce::from(nonce), payload);
        Ok(Sealed {
            master: self.master,
            nonce,
            text: text.map_err(|_| GatewayError::Internal {
                what: "seal a secret".to_owned(),
            })?,
        })
    }

    /// Opens a secret; `None` if it was sealed with another master key, for another key, account or
    /// cluster, or was changed.
    pub fn open(&self, sealed: &Sealed, account: &[u8; 32], access_key: &str) -> Option<Secret> {
        if sealed.master != self.master {
            return None;
        }
        let payload = Payload {
            msg: &sealed.text,
            aad: &self.bound_to(account, access_key),
        };
        let text = self.cipher.decrypt(&XNonce::from(sealed.nonce), payload);
        String::from_utf8(text.ok()?).ok().map(Secret::new)
    }

    fn bound_to(&self, account: &[u8; 32], access_key: &str) -> Vec<u8> {
        let cluster = self.cluster.get().to_le_bytes();
        let parts: [&[u8]; 4] = [
            b"holdfast secret of a key v1\0",
            &cluster,
            account,
            access_key.as_bytes(),
        ];
        parts.concat()
    }
}
