//! Commands about accounts and keys.
//!
//! Owns: which columns their tables have; reading a secret that is given.
//! Leaves to others: asking ([`super::Admin`]).
//! Always: JSON output is the API's answer as it is; a secret is shown once, when its key is made,
//! and never taken from the command line.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use ::http::Method;
use holdfast_protocol::admin::accounts::{
    AccountRequest, AccountView, AccountsView, DeletedView, KeyRequest, KeyView, KeysView,
    NewKeyView,
};

use super::Admin;
use crate::error::CliError;
use crate::output::{Format, Table, write};

const ACCOUNTS: &str = "/admin/v1/accounts";
const PATIENCE: Duration = Duration::from_secs(60);
/// A file with a secret has a line of at most 128 characters.
const SECRET_LEN_MAX: u64 = 1024;

/// A segment of a path, if it can be one as it is.
fn segment(text: &str) -> Result<&str, CliError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => Ok(text),
        false => Err(CliError::Usage(format!(
            "{text:?} is neither an account nor a key: names have letters, digits, dots, hyphens \
             and underscores"
        ))),
    }
}

fn time(ms: u64) -> String {
    if ms == 0 {
        return String::new();
    }
    let time = std::time::UNIX_EPOCH + Duration::from_millis(ms);
    humantime::format_rfc3339_seconds(time).to_string()
}

fn account_table(accounts: &[AccountView]) -> Table {
    let headings = ["NAME", "NUMBER", "ADMIN", "KEYS", "E-MAIL", "MADE", "ID"];
    let mut table = Table::new(&headings);
    for account in accounts {
        table = table.row([
            account.name.clone(),
            account.number.clone(),
            yes(account.is_admin),
            account.keys.len().to_string(),
            account.email.clone().unwrap_or_default(),
            time(account.created_ms),
            account.id.clone(),
        ]);
    }
    table
}

fn yes(flag: bool) -> String {
    if flag { "yes" } else { "no" }.to_owned()
}

fn state(key: &KeyView) -> &'static str {
    match (key.is_configured, key.is_usable, key.is_active) {
        (true, _, _) => "configured",
        (_, false, _) => "unusable",
        (_, true, true) => "active",
        (_, true, false) => "inactive",
    }
}

fn key_table<'a>(keys: impl Iterator<Item = &'a KeyView>) -> Table {
    let mut table = Table::new(&["ACCESS KEY", "STATE", "MADE", "ACCOUNT"]);
    for key in keys {
        table = table.row([
            key.access_key.as_str(),
            state(key),
            &time(key.created_ms),
            &key.account,
        ]);
    }
    table
}

/// `holdfast account list`.
///
/// # Errors
/// As [`Admin::ask`].
pub async fn list(admin: &Admin, format: Format) -> Result<(), CliError> {
    let all: AccountsView = admin.ask(Method::GET, ACCOUNTS).await?;
    write(format, &all, |all| account_table(&all.accounts))
}

/// `holdfast account show ACCOUNT`.
///
/// # Errors
/// `Usage`; as [`Admin::ask`].
pub async fn show(admin: &Admin, account: &str, format: Format) -> Result<(), CliError> {
    let path = format!("{ACCOUNTS}/{}", segment(account)?);
    let found: AccountView = admin.ask(Method::GET, &path).await?;
    write(format, &found, |found| {
        let mut table = Table::new(&["FIELD", "VALUE"])
            .row(["name", &found.name])
            .row(["number", &found.number])
            .row(["id", &found.id])
            .row(["e-mail", found.email.as_deref().unwrap_or_default()])
            .row(["admin", &yes(found.is_admin)])
            .row(["made", &time(found.created_ms)]);
        for key in &found.keys {
            table = table.row(["key", &format!("{} ({})", key.access_key, state(key))]);
        }
        table
    })
}

/// `holdfast account create NAME`.
///
/// # Errors
/// As [`Admin::ask`].
pub async fn create(
    admin: &Admin,
    request: AccountRequest,
    format: Format,
) -> Result<(), CliError> {
    let made: AccountView = admin
        .ask_with(Method::POST, ACCOUNTS, &request, PATIENCE)
        .await?;
    write(format, &made, |made| {
        account_table(std::slice::from_ref(made))
    })
}

/// `holdfast account delete ACCOUNT`.
///
/// # Errors
/// As [`show`].
pub async fn delete(admin: &Admin, account: &str, format: Format) -> Result<(), CliError> {
    let path = format!("{ACCOUNTS}/{}", segment(account)?);
    deleted(admin, &path, format).await
}

async fn deleted(admin: &Admin, path: &str, format: Format) -> Result<(), CliError> {
    let gone: DeletedView = admin.ask(Method::DELETE, path).await?;
    write(format, &gone, |gone| {
        Table::new(&["DELETED"]).row([&gone.deleted])
    })
}

/// `holdfast key list [ACCOUNT]`.
///
/// # Errors
/// As [`show`].
pub async fn key_list(
    admin: &Admin,
    account: Option<&str>,
    format: Format,
) -> Result<(), CliError> {
    let keys = match account {
        Some(account) => {
            let path = format!("{ACCOUNTS}/{}/keys", segment(account)?);
            admin.ask(Method::GET, &path).await?
        }
        None => {
            let all: AccountsView = admin.ask(Method::GET, ACCOUNTS).await?;
            let keys = all.accounts.into_iter().flat_map(|account| account.keys);
            KeysView {
                keys: keys.collect(),
            }
        }
    };
    write(format, &keys, |keys| key_table(keys.keys.iter()))
}

/// `holdfast key create ACCOUNT [ACCESS_KEY]`; a secret is read from `secret_file`.
///
/// # Errors
/// `File`; as [`show`].
pub async fn key_create(
    admin: &Admin,
    account: &str,
    access_key: Option<String>,
    secret_file: Option<&Path>,
    format: Format,
) -> Result<(), CliError> {
    let path = format!("{ACCOUNTS}/{}/keys", segment(account)?);
    let request = KeyRequest {
        access_key,
        secret_key: secret_file.map(secret).transpose()?,
    };
    let made: NewKeyView = admin
        .ask_with(Method::POST, &path, &request, PATIENCE)
        .await?;
    write(format, &made, |made| {
        let headings = ["ACCESS KEY", "SECRET KEY (SHOWN ONCE)", "ACCOUNT"];
        Table::new(&headings).row([&made.access_key, &made.secret_key, &made.account_name])
    })
}

/// The first line of a file; `-` is the standard input.
fn secret(file: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    let read = match file.as_os_str() == "-" {
        true => std::io::stdin()
            .take(SECRET_LEN_MAX)
            .read_to_string(&mut text),
        false => std::fs::File::open(file)
            .and_then(|file| file.take(SECRET_LEN_MAX).read_to_string(&mut text)),
    };
    read.map_err(CliError::file("read", file))?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// `holdfast key enable|disable ACCESS_KEY`.
///
/// # Errors
/// As [`show`].
pub async fn key_set(
    admin: &Admin,
    access_key: &str,
    active: bool,
    format: Format,
) -> Result<(), CliError> {
    let verb = if active { "enable" } else { "disable" };
    let path = format!("/admin/v1/keys/{}/{verb}", segment(access_key)?);
    let key: KeyView = admin.ask(Method::POST, &path).await?;
    write(format, &key, |key| key_table(std::iter::once(key)))
}

/// `holdfast key delete ACCESS_KEY`.
///
/// # Errors
/// As [`show`].
pub async fn key_delete(admin: &Admin, access_key: &str, format: Format) -> Result<(), CliError> {
    let path = format!("/admin/v1/keys/{}", segment(access_key)?);
    deleted(admin, &path, format).await
}
