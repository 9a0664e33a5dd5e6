//! Commands about redundancy: heal, scrub, check, inspect, durability.
//!
//! Owns: which columns their tables have, and which findings make which exit code.
//! Leaves to others: asking ([`super::Admin`]).
//! Always: JSON output is the API's answer as it is.

use std::time::Duration;

use ::http::Method;
use holdfast_protocol::admin::check::{CheckReport, CheckRequest};
use holdfast_protocol::admin::durability::DurabilitySummary;
use holdfast_protocol::admin::heal::{HealPlan, HealRequest, HealStatus};
use holdfast_protocol::admin::inspect::{InspectReport, InspectRequest};
use holdfast_protocol::admin::scrub::ScrubStatus;
use serde_json::{Value, json};

use super::Admin;
use super::commands::{fields, size};
use crate::error::CliError;
use crate::output::{Format, Table, write};

/// A check reads all that is stored, if it is deep.
const CHECK_PATIENCE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Others read one object at most.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// `holdfast heal run`.
///
/// # Errors
/// As [`Admin::ask`].
pub async fn heal_run(admin: &Admin, request: HealRequest, format: Format) -> Result<(), CliError> {
    let path = "/admin/v1/heal/run";
    if !request.dry_run {
        let status: HealStatus = admin
            .ask_with(Method::POST, path, &request, PATIENCE)
            .await?;
        return write(format, &status, |status| fields(&json!(status)));
    }
    let plan: HealPlan = admin
        .ask_with(Method::POST, path, &request, PATIENCE)
        .await?;
    write(format, &plan, |plan| {
        let headings = [
            "MARGIN",
            "KIND",
            "KEY",
            "SHARDS",
            "TARGETS",
            "BYTES",
            "WAITS FOR",
        ];
        let mut table = Table::new(&headings);
        for item in &plan.items {
            let shards: Vec<String> = item.shards.iter().map(ToString::to_string).collect();
            table = table.row([
                item.margin.to_string(),
                item.kind.clone(),
                item.key.clone(),
                shards.join(","),
                item.targets.join(","),
                size(item.bytes),
                item.waits_for.clone().unwrap_or_default(),
            ]);
        }
        table
    })
}

/// `holdfast heal pause` and the like: a path below `/admin/v1/`.
///
/// # Errors
/// As [`Admin::ask`].
pub async fn steer(admin: &Admin, path: &str, format: Format) -> Result<(), CliError> {
    let status: Value = admin
        .ask(Method::POST, &format!("/admin/v1/{path}"))
        .await?;
    write(format, &status, fields)
}

/// `holdfast scrub status`.
///
/// # Errors
/// As [`Admin::ask`].
pub async fn scrub_status(admin: &Admin, format: Format) -> Result<(), CliError> {
    let status: ScrubStatus = admin.ask(Method::GET, "/admin/v1/scrub").await?;
    write(format, &status, |status| {
        let headings = [
            "DRIVE",
            "STATE",
            "DONE",
            "BYTES",
            "ERRORS",
            "LAST PASS",
            "OLDEST",
        ];
        let mut table = Table::new(&headings);
        for drive in &status.drives {
            let percent = drive
                .progress_ratio
                .map(|ratio| format!("{:.0} %", ratio * 100.0));
            let last = drive.last_complete_ms.map(|_| size(drive.last_bytes));
            table = table.row([
                drive.drive.clone(),
                drive.state.clone(),
                percent.unwrap_or_default(),
                size(drive.bytes),
                drive.errors.to_string(),
                last.unwrap_or_else(|| "never".to_owned()),
                age(drive.oldest_unscrubbed_seconds),
            ]);
        }
        table
    })
}

/// `holdfast check`.
///
/// # Errors
/// `Layout` if something is lost, `Degraded` if something is not whole or could not be compared; as
/// [`Admin::ask`].
pub async fn check(admin: &Admin, request: CheckRequest, format: Format) -> Result<(), CliError> {
    let path = "/admin/v1/check";
    let report: CheckReport = admin
        .ask_with(Method::POST, path, &request, CHECK_PATIENCE)
        .await?;
    write(format, &report, |report| {
        let mut table = Table::new(&["FINDING", "OBJECT", "GOOD", "MARGIN", "DRIVES"]);
        for object in &report.objects {
            table = table.row([
                object.state.clone(),
                format!("s3://{}/{}", object.bucket, object.key),
                format!("{} of {}", object.good, object.total),
                object.margin.to_string(),
                object.drives.join(","),
            ]);
        }
        let others = report.problems.iter();
        for problem in others.filter(|problem| problem.key.is_none()) {
            let drive = problem.drive.clone().unwrap_or_default();
            table = table.row([
                problem.kind.clone(),
                problem.what.clone(),
                String::new(),
                String::new(),
                drive,
            ]);
        }
        for drive in &report.absent_drives {
            table = table.row(["not compared", "", "", "", drive.as_str()]);
        }
        let counts = &report.counts;
        let checked = format!(
            "{} versions, {} parts, {} uploads, {} copies compared, {} verified",
            counts.versions, counts.parts, counts.uploads, counts.copies, counts.verified
        );
        table.row(["checked", &checked, "", "", ""])
    })?;
    let lost = report.objects.iter().any(|object| object.state == "lost");
    let is_lost = lost || report.problems.iter().any(|problem| problem.kind == "lost");
    match (
        is_lost,
        report.clean && report.complete && report.objects.is_empty(),
    ) {
        (true, _) => Err(CliError::Layout("objects cannot be read".to_owned())),
        (false, true) if report.counts.healing == 0 => Ok(()),
        _ => Err(CliError::Degraded(format!(
            "{} problems, {} objects not whole, {} drives not compared",
            report.counts.problems,
            report.objects.len(),
            report.absent_drives.len()
        ))),
    }
}

/// `holdfast inspect s3://bucket/key`.
///
/// # Errors
/// `Usage` if it is no such URL; `Degraded` if the object survives fewer failures than when whole;
/// as [`Admin::ask`].
pub async fn inspect(
    admin: &Admin,
    object: &str,
    version: Option<String>,
    format: Format,
) -> Result<(), CliError> {
    let parts = object
        .strip_prefix("s3://")
        .and_then(|rest| rest.split_once('/'))
        .filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty());
    let Some((bucket, key)) = parts else {
        let why = format!("{object:?} is not of the form s3://bucket/key");
        return Err(CliError::Usage(why));
    };
    let request = InspectRequest {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        write: version,
    };
    let path = "/admin/v1/inspect";
    let report: InspectReport = admin
        .ask_with(Method::POST, path, &request, PATIENCE)
        .await?;
    write(format, &report, shards)?;
    match report.survives {
        Some(survives) if survives >= report.survives_whole => Ok(()),
        Some(survives) => Err(CliError::Degraded(format!(
            "it survives the loss of {survives} drives, of {} when whole",
            report.survives_whole
        ))),
        None => Err(CliError::Layout("it cannot be read now".to_owned())),
    }
}

fn shards(report: &InspectReport) -> Table {
    let headings = [
        "PART", "KIND", "STRIPES", "SHARD", "ROLE", "DRIVE", "STATE", "DIGEST",
    ];
    let mut table = Table::new(&headings);
    for body in &report.bodies {
        let part = body.part.map(|part| part.to_string()).unwrap_or_default();
        for shard in &body.shards {
            table = table.row([
                part.clone(),
                body.kind.clone(),
                body.stripe_count.to_string(),
                shard.shard.to_string(),
                shard.role.clone(),
                shard.drive.clone(),
                shard.state.clone(),
                shard.digest.clone(),
            ]);
        }
    }
    let survives = report
        .survives
        .map_or_else(|| "unreadable".to_owned(), |survives| survives.to_string());
    table.row([
        "survives".to_owned(),
        format!("{survives} of {}", report.survives_whole),
    ])
}

/// `holdfast durability`.
///
/// # Errors
/// `Degraded` while objects can lose fewer shards than when whole; as [`Admin::ask`].
pub async fn durability(admin: &Admin, format: Format) -> Result<(), CliError> {
    let summary: DurabilitySummary = admin.ask(Method::GET, "/admin/v1/durability").await?;
    write(format, &summary, |summary| {
        let counts = summary.by_margin.iter();
        let table = counts.fold(Table::new(&["CAN LOSE", "OBJECTS"]), |table, count| {
            table.row([count.margin.to_string(), count.objects.to_string()])
        });
        match summary.unknown_objects {
            0 => table,
            unknown => table.row(["unknown".to_owned(), unknown.to_string()]),
        }
    })?;
    match summary.degraded + summary.unknown_objects {
        0 => Ok(()),
        less => Err(CliError::Degraded(format!("{less} objects are not whole"))),
    }
}

fn age(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}
