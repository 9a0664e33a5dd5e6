//! The commands: ask, show, choose the exit code.
//!
//! Owns: which columns tables have.
//! Leaves to others: asking ([`super::Admin`]).
//! Always: JSON output is the API's answer as it is.

use ::http::Method;
use holdfast_protocol::DriveId;
use holdfast_protocol::admin::cluster::{ClusterView, DrivesView, ReplaceView};
use serde_json::{Value, json};

use super::Admin;
use crate::error::CliError;
use crate::output::{Format, Table, write};

/// `holdfast heal status`.
///
/// # Errors
/// `Degraded` while anything is left to heal; as [`Admin::ask`].
pub async fn heal_status(admin: &Admin, format: Format) -> Result<(), CliError> {
    let status: Value = admin.ask(Method::GET, "/admin/v1/heal").await?;
    write(format, &status, fields)?;
    match status["backlog_objects"].as_u64() {
        Some(0) => Ok(()),
        left => Err(CliError::Degraded(format!(
            "{} objects are left to heal",
            left.map_or_else(
                || "an unknown number of".to_owned(),
                |left| left.to_string()
            )
        ))),
    }
}

/// `holdfast index check`.
///
/// # Errors
/// `Layout` if something does not fit; as [`Admin::ask`].
pub async fn index_check(admin: &Admin, format: Format) -> Result<(), CliError> {
    let report: Value = admin.ask(Method::POST, "/admin/v1/index/check").await?;
    write(format, &report, fields)?;
    match report["clean"].as_bool() {
        Some(true) => Ok(()),
        _ => Err(CliError::Layout("index and drives do not agree".to_owned())),
    }
}

/// `holdfast drive list`.
///
/// # Errors
/// As [`Admin::ask`].
pub async fn drive_list(admin: &Admin, format: Format) -> Result<(), CliError> {
    let drives: DrivesView = admin.ask(Method::GET, "/admin/v1/drives").await?;
    write(format, &drives, |drives| {
        let headings = [
            "DRIVE",
            "STATE",
            "USAGE",
            "USED",
            "FREE",
            "SLOW",
            "DIRECTORY",
            "NODE",
            "TROUBLE",
        ];
        let mut table = Table::new(&headings);
        for drive in &drives.drives {
            table = table.row([
                drive.drive.clone(),
                match drive.comparing {
                    true => format!("{}, comparing", drive.state),
                    false => drive.state.clone(),
                },
                drive.usage.clone(),
                size(drive.used_bytes),
                size(drive.free_bytes),
                match (drive.slow, drive.latency_factor) {
                    (true, Some(factor)) => format!("{factor:.1}x"),
                    _ => String::new(),
                },
                drive.directory.clone(),
                drive.listen.clone(),
                drive.trouble.clone().unwrap_or_default(),
            ]);
        }
        table
    })
}

/// `holdfast drive replace ID`.
///
/// # Errors
/// `Usage` if it is no id; as [`Admin::ask`].
pub async fn drive_replace(admin: &Admin, drive: &str, format: Format) -> Result<(), CliError> {
    let id = DriveId::parse(drive)
        .map_err(|_| CliError::Usage(format!("{drive:?} is not the id of a drive")))?;
    let path = format!("/admin/v1/drives/{id}/replace");
    let done: ReplaceView = admin.ask(Method::POST, &path).await?;
    write(format, &done, |done| {
        Table::new(&["DRIVE", "NEXT"]).row([&done.drive, &done.next])
    })
}

/// `holdfast cluster status`.
///
/// # Errors
/// `Degraded` while a drive does not answer; as [`Admin::ask`].
pub async fn cluster_status(admin: &Admin, format: Format) -> Result<(), CliError> {
    let cluster: ClusterView = admin.ask(Method::GET, "/admin/v1/cluster").await?;
    write(format, &cluster, |cluster| {
        let shown = serde_json::to_value(cluster).unwrap_or_default();
        fields(&shown)
    })?;
    match cluster.drives_up == cluster.drives {
        true => Ok(()),
        false => Err(CliError::Degraded(format!(
            "{} of {} drives answer",
            cluster.drives_up, cluster.drives
        ))),
    }
}

/// `holdfast cluster ready`.
///
/// # Errors
/// `Degraded` while one of the listeners does not serve; as [`Admin::readiness`].
pub async fn cluster_ready(admin: &Admin, format: Format) -> Result<(), CliError> {
    let found = admin.readiness().await?;
    let listeners: Vec<Value> = found
        .iter()
        .map(|(name, url, ready, says)| {
            json!({ "listener": name, "url": url, "ready": ready, "says": says })
        })
        .collect();
    write(format, &listeners, |_| {
        let rows = found
            .iter()
            .map(|(name, url, _, says)| [*name, url.as_str(), says.as_str()]);
        rows.fold(Table::new(&["LISTENER", "URL", "STATE"]), Table::row)
    })?;
    match found.iter().all(|(_, _, ready, _)| *ready) {
        true => Ok(()),
        false => Err(CliError::Degraded("not ready".to_owned())),
    }
}

/// A row per field of an object; lists one item per row.
pub(super) fn fields(value: &Value) -> Table {
    let mut table = Table::new(&["FIELD", "VALUE"]);
    let Some(object) = value.as_object() else {
        return table.row(["value", &value.to_string()]);
    };
    for (name, value) in object {
        match value {
            Value::Array(items) if !items.is_empty() => {
                for item in items {
                    table = table.row([name, &plain(item)]);
                }
            }
            value => table = table.row([name, &plain(value)]),
        }
    }
    table
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(super) fn size(bytes: u64) -> String {
    bytesize::ByteSize::b(bytes).to_string()
}
