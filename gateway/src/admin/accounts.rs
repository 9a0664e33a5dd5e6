//! Accounts and keys as JSON.
//!
//! Owns: what the answers about them show.
//! Leaves to others: the rules ([`Accounts`]), routes and rights ([`super::routes`]).
//! Always: a secret is in the answer to its key's making, and in no other.

use holdfast_protocol::admin::accounts::{
    AccountRequest, AccountView, AccountsView, DeletedView, KeyRequest, KeyView, KeysView,
    NewKeyView,
};
use serde::Serialize;
use serde_json::Value;

use crate::GatewayError;
use crate::accounts::{Accounts, Found, Key};
use crate::auth::Secret;

fn json<T: Serialize>(value: &T) -> Result<Value, GatewayError> {
    serde_json::to_value(value).map_err(|error| GatewayError::Internal {
        what: format!("encode an answer: {error}"),
    })
}

fn key_view(accounts: &Accounts, key: &Key) -> KeyView {
    KeyView {
        access_key: key.access_key.clone(),
        account: key.account.to_string(),
        is_active: key.is_active,
        is_usable: accounts.is_usable(&key.access_key),
        is_configured: false,
        created_ms: key.created_ms,
    }
}

fn key_views(accounts: &Accounts, found: &Found) -> Vec<KeyView> {
    let configured = found.configured.iter().map(|access_key| KeyView {
        access_key: access_key.clone(),
        account: found.account.id.to_string(),
        is_active: true,
        is_usable: true,
        is_configured: true,
        created_ms: 0,
    });
    let others = found.keys.iter().map(|key| key_view(accounts, key));
    configured.chain(others).collect()
}

fn view(accounts: &Accounts, found: &Found) -> AccountView {
    let account = &found.account;
    AccountView {
        id: account.id.to_string(),
        number: account.number.clone(),
        name: account.name.clone(),
        email: account.email.clone(),
        is_admin: account.is_admin,
        is_root: account.is_root,
        created_ms: account.created_ms,
        keys: key_views(accounts, found),
    }
}

/// All accounts.
pub fn list(accounts: &Accounts) -> Result<Value, GatewayError> {
    let all = accounts.list();
    json(&AccountsView {
        accounts: all.iter().map(|found| view(accounts, found)).collect(),
    })
}

/// One account.
pub fn show(accounts: &Accounts, id: &str) -> Result<Value, GatewayError> {
    json(&view(accounts, &accounts.find(id)?))
}

/// Makes an account.
pub async fn create(accounts: &Accounts, request: AccountRequest) -> Result<Value, GatewayError> {
    let AccountRequest {
        name,
        email,
        is_admin,
    } = request;
    let made = accounts.create(name, email, is_admin).await?;
    json(&view(accounts, &made))
}

/// Deletes an account.
pub async fn delete(accounts: &Accounts, id: &str) -> Result<Value, GatewayError> {
    let deleted = accounts.delete(id.to_owned()).await?;
    json(&DeletedView { deleted })
}

/// The keys of an account.
pub fn keys(accounts: &Accounts, id: &str) -> Result<Value, GatewayError> {
    let found = accounts.find(id)?;
    json(&KeysView {
        keys: key_views(accounts, &found),
    })
}

/// Makes a key.
pub async fn create_key(
    accounts: &Accounts,
    id: &str,
    request: KeyRequest,
) -> Result<Value, GatewayError> {
    let secret = request.secret_key.map(Secret::new);
    let made = accounts.create_key(id.to_owned(), request.access_key, secret);
    let (account, key) = made.await?;
    json(&NewKeyView {
        access_key: key.access_key,
        secret_key: key.secret.expose().to_owned(),
        account: account.id.to_string(),
        account_name: account.name,
    })
}

/// Lets requests be signed with a key, or no longer.
pub async fn set_active(
    accounts: &Accounts,
    access_key: &str,
    active: bool,
) -> Result<Value, GatewayError> {
    let key = accounts.set_active(access_key.to_owned(), active).await?;
    json(&key_view(accounts, &key))
}

/// Deletes a key.
pub async fn delete_key(accounts: &Accounts, access_key: &str) -> Result<Value, GatewayError> {
    let deleted = accounts.delete_key(access_key.to_owned()).await?;
    json(&DeletedView { deleted })
}
