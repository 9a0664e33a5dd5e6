//! What an account is.
//!
//! Owns: names, numbers, canonical ids; the administrator by configuration.
//! Leaves to others: which accounts there are ([`super::directory`]).
//! Always: a name is never a number or a canonical id, so that each of them finds one account; the
//! administrator's ids follow from the cluster's.

use holdfast_protocol::{AccountRecord, ClusterId};
use holdfast_seam::Rng;
use sha2::{Digest, Sha256};

use crate::auth::AccountId;
use crate::error::GatewayError;

/// The name of the administrator by configuration.
pub const ROOT_NAME: &str = "root";
const NAME_LEN_MAX: usize = 64;
const EMAIL_LEN_MAX: usize = 254;
/// Numbers have twelve digits, and do not begin with a zero.
const NUMBER_MIN: u64 = 100_000_000_000;
const NUMBER_COUNT: u64 = 900_000_000_000;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its canonical id.
    pub id: AccountId,
    /// Its number, in digits.
    pub number: String,
    /// Its name.
    pub name: String,
    /// Its e-mail address, if it has one.
    pub email: Option<String>,
    /// Whether everything is allowed to it.
    pub is_admin: bool,
    /// Whether it is the administrator by configuration.
    pub is_root: bool,
    /// When it was made (milliseconds since 1970).
    pub created_ms: u64,
}

impl Account {
    /// The administrator by configuration.
    pub fn root(cluster: ClusterId) -> Self {
        Self {
            id: AccountId::of_bytes(derived(b"holdfast root account v1\0", cluster)),
            number: number(derived(b"holdfast root number v1\0", cluster)),
            name: ROOT_NAME.to_owned(),
            email: None,
            is_admin: true,
            is_root: true,
            created_ms: 0,
        }
    }

    /// A new account.
    ///
    /// # Errors
    /// `InvalidArgument` if name or address break a rule.
    pub fn new(
        rng: &dyn Rng,
        name: &str,
        email: Option<&str>,
        is_admin: bool,
        created_ms: u64,
    ) -> Result<Self, GatewayError> {
        check_name(name)?;
        if let Some(email) = email {
            check_email(email)?;
        }
        let (mut id, mut drawn) = ([0; 32], [0; 32]);
        rng.fill(&mut id);
        rng.fill(&mut drawn);
        Ok(Self {
            id: AccountId::of_bytes(id),
            number: number(drawn),
            name: name.to_owned(),
            email: email.map(str::to_owned),
            is_admin,
            is_root: false,
            created_ms,
        })
    }

    /// The account that a record describes.
    pub fn of_record(record: AccountRecord) -> Self {
        Self {
            id: AccountId::of_bytes(record.id),
            number: record.number.to_string(),
            name: record.name,
            email: record.email,
            is_admin: record.is_admin,
            is_root: false,
            created_ms: record.created_ms,
        }
    }

    /// Its record.
    ///
    /// # Errors
    /// `Internal` for what was neither made nor read here.
    pub fn record(&self) -> Result<AccountRecord, GatewayError> {
        let number = self.number.parse();
        Ok(AccountRecord {
            id: self.id.bytes().ok_or_else(|| self.not_ours())?,
            number: number.map_err(|_| self.not_ours())?,
            name: self.name.clone(),
            email: self.email.clone(),
            is_admin: self.is_admin,
            created_ms: self.created_ms,
        })
    }

    fn not_ours(&self) -> GatewayError {
        GatewayError::Internal {
            what: format!("account {} has no record's form", self.name),
        }
    }
}

fn derived(context: &[u8], cluster: ClusterId) -> [u8; 32] {
    let hash = Sha256::new_with_prefix(context);
    hash.chain_update(cluster.get().to_le_bytes())
        .finalize()
        .into()
}

fn number(drawn: [u8; 32]) -> String {
    let (first, _) = drawn.split_first_chunk().expect("32 bytes are 8 and more");
    (NUMBER_MIN + u64::from_le_bytes(*first) % NUMBER_COUNT).to_string()
}

/// Whether a text has the form of a number.
pub fn is_number(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|c| c.is_ascii_digit())
}

fn check_name(name: &str) -> Result<(), GatewayError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !(1..=NAME_LEN_MAX).contains(&name.len()) || !name.chars().all(plain) {
        return refuse(
            "name",
            "it must have 1 to 64 letters, digits, dots, hyphens or underscores",
        );
    }
    if is_number(name) || AccountId::new(name).bytes().is_some() {
        return refuse("name", "it must not look like an account's number or id");
    }
    // A path with one of them means another path.
    match name {
        "." | ".." => refuse("name", "it must not consist of dots only"),
        _ => Ok(()),
    }
}

fn check_email(email: &str) -> Result<(), GatewayError> {
    let plain = |c: char| c.is_ascii_graphic() && !"<>()[]\\,;:\"".contains(c);
    let parts = email.split_once('@');
    let is_whole = parts
        .is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'));
    match is_whole && email.len() <= EMAIL_LEN_MAX && email.chars().all(plain) {
        true => Ok(()),
        false => refuse("email", "it must have the form user@host, in ASCII"),
    }
}

fn refuse(name: &'static str, why: &str) -> Result<(), GatewayError> {
    Err(GatewayError::InvalidArgument {
        name,
        why: why.to_owned(),
    })
}
