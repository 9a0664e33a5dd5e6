//! Accounts and their keys: the values of the system records (`account`, id) and (`key`, access
//! key).
//!
//! Owns: their byte form (`HFAC`, `docs/formats/account.md`).
//! Leaves to others: sealing secrets, what a name may be, who may do what (gateway).
//! Always: a secret is in it only sealed.

use std::fmt;

use bytes::Bytes;

use crate::codec::{FormatError, Reader, Writer};

/// First bytes of both records.
pub const MAGIC: [u8; 4] = *b"HFAC";
/// Newest version this release writes.
pub const VERSION: u8 = 1;
const WHAT: &str = "account";
const ACCOUNT: u8 = 1;
const KEY: u8 = 2;
/// XChaCha20-Poly1305.
const SEAL: u8 = 1;
const NAME_LEN_MAX: usize = 64;
const EMAIL_LEN_MAX: usize = 254;
const ACCESS_KEY_LEN_MAX: usize = 128;
const SEALED_LEN_MAX: usize = 1024;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRecord {
    /// Its canonical id.
    pub id: [u8; 32],
    /// Its number of twelve digits.
    pub number: u64,
    /// Its name; no other account has it.
    pub name: String,
    /// Its e-mail address, if it has one; no other account has it.
    pub email: Option<String>,
    /// Whether everything is allowed to it.
    pub is_admin: bool,
    /// When it was made (milliseconds since 1970).
    pub created_ms: u64,
}

/// An access key of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// The access key.
    pub access_key: String,
    /// Canonical id of the account.
    pub account: [u8; 32],
    /// Whether requests may be signed with it.
    pub is_active: bool,
    /// When it was made (milliseconds since 1970).
    pub created_ms: u64,
    /// Its secret.
    pub secret: Sealed,
}

/// A sealed secret (XChaCha20-Poly1305).
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which master key opens it.
    pub master: [u8; 8],
    /// The nonce; random.
    pub nonce: [u8; 24],
    /// The sealed bytes and their tag.
    pub text: Vec<u8>,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[sealed]")
    }
}

fn start(kind: u8) -> Writer {
    let mut out = Writer::format(MAGIC, VERSION, 256);
    out.u8(kind);
    out
}

fn open(bytes: &[u8], kind: u8) -> Result<Reader<'_>, FormatError> {
    let mut input = Reader::only(bytes, MAGIC, VERSION, WHAT)?;
    match input.u8()? {
        found if found == kind => Ok(input),
        _ => Err(FormatError::Invalid {
            what: "kind of account record",
        }),
    }
}

impl AccountRecord {
    /// The byte form.
    pub fn encode(&self) -> Bytes {
        let mut out = start(ACCOUNT);
        out.raw(&self.id);
        out.u64(self.number);
        out.str(&self.name);
        out.u8(self.email.is_some().into());
        if let Some(email) = &self.email {
            out.str(email);
        }
        out.u8(self.is_admin.into());
        out.u64(self.created_ms);
        out.finish()
    }
    /// Reads the byte form.
    ///
    /// # Errors
    /// A [`FormatError`] that names the first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut input = open(bytes, ACCOUNT)?;
        let id = input.array()?;
        let number = input.u64()?;
        let name = input.str("account name", NAME_LEN_MAX)?.to_owned();
        let email = match input.bool("option of an e-mail address")? {
            true => Some(input.str("e-mail address", EMAIL_LEN_MAX)?.to_owned()),
            false => None,
        };
        let is_admin = input.bool("whether an account is an administrator")?;
        let created_ms = input.u64()?;
        input.end()?;
        Ok(Self {
            id,
            number,
            name,
            email,
            is_admin,
            created_ms,
        })
    }
}

impl KeyRecord {
    /// The byte form.
    pub fn encode(&self) -> Bytes {
        let mut out = start(KEY);
        out.str(&self.access_key);
        out.raw(&self.account);
        out.u8(self.is_active.into());
        out.u64(self.created_ms);
        out.u8(SEAL);
        out.raw(&self.secret.master);
        out.raw(&self.secret.nonce);
        out.bytes(&self.secret.text);
        out.finish()
    }
    /// Reads the byte form.
    ///
    /// # Errors
    /// A [`FormatError`] that names the first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut input = open(bytes, KEY)?;
        let access_key = input.str("access key", ACCESS_KEY_LEN_MAX)?.to_owned();
        let account = input.array()?;
        let is_active = input.bool("whether a key is active")?;
        let created_ms = input.u64()?;
        match input.u8()? {
            SEAL => {}
            version => {
                return Err(FormatError::Version {
                    what: "seal",
                    version,
                });
            }
        }
        let secret = Sealed {
            master: input.array()?,
            nonce: input.array()?,
            text: input.bytes("sealed secret", SEALED_LEN_MAX)?.to_vec(),
        };
        input.end()?;
        Ok(Self {
            access_key,
            account,
            is_active,
            created_ms,
            secret,
        })
    }
}
