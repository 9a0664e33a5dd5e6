//! Accounts: who there is, and their keys.
//!
//! Owns: what an account and a key are ([`account`], [`key`]), sealing secrets ([`seal`]), all of
//! them in memory ([`directory`]), changing them durably ([`store`]).
//! Leaves to others: what an account may do (`auth`), JSON (`admin`), records and rows (`object`).
//! Always: a key is known to requests only while its record is durable; a secret is in records only
//! sealed, and in answers only once.

pub mod account;
pub mod directory;
pub mod key;
pub mod seal;
pub mod store;

#[cfg(test)]
mod tests;

pub use account::Account;
pub use directory::{Directory, Found};
pub use key::{Key, NewKey};
pub use seal::{MasterKey, Sealer};
pub use store::Accounts;

/// The kind of an account's system record.
pub const ACCOUNT_KIND: &str = "account";
/// The kind of a key's system record.
pub const KEY_KIND: &str = "key";
