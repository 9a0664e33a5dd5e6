//! What must hold when a run has come to rest.
//!
//! Owns: the last reads, the check, the rebuild, the history.
//! Leaves to others: bringing the cluster to rest ([`crate::director`]).
//! Always: what cannot be checked is a failure.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use holdfast_index::{Index, MemoryIndex, ScanLimit, Table};
use holdfast_protocol::row::{PartRow, UploadRow, VersionRow};
use holdfast_protocol::{Manifest, Placement};

use crate::director::{Director, Failure, failure};
use crate::history::{Action, Operation, Outcome, Verdict, check};

type Done<T> = std::result::Result<T, Failure>;

/// Judges a run that has come to rest.
///
/// # Errors
/// What does not hold.
pub async fn judge(director: &mut Director) -> Done<()> {
    let wrong = director.load.wrong();
    if let Some(first) = wrong.first() {
        return Err(failure(
            "bytes",
            format!("{first} ({} in all)", wrong.len()),
        ));
    }
    // Before the last crash, so that a failure here is not one of recovery.
    judge_history(&director.load.history())?;
    director.restart_gateway().await?;
    director.whole().await?;
    read_everything(director).await?;
    audit_drives(director)?;
    judge_history(&director.load.history())?;
    rebuild(director).await?;
    read_everything(director).await?;
    judge_history(&director.load.history())?;
    let wrong = director.load.wrong();
    match wrong.first() {
        Some(first) => Err(failure("bytes", first.clone())),
        None => Ok(()),
    }
}

fn judge_history(history: &[Operation]) -> Done<()> {
    match check(history) {
        Ok(Verdict::Linearizable(_)) => Ok(()),
        Ok(Verdict::Violation(found)) => Err(failure("history", found.to_string())),
        Err(error) => Err(failure("history", crate::cluster::chain(&error))),
    }
}

/// Reads every key and lists; every answer must come.
async fn read_everything(director: &mut Director) -> Done<()> {
    let mut auditor = director.load.auditor(director.dice.fork());
    let before = director.load.history().len();
    let keys = director.load.keys();
    for key in &keys {
        // The network may still be slow for a moment.
        for _ in 0..3 {
            let known = director.load.history().len();
            auditor.get(key, false).await;
            if director.load.history().len() > known {
                break;
            }
        }
    }
    let Some(listed) = auditor.list_all("", 1000).await else {
        return Err(failure("read", "the last LIST was not answered"));
    };
    let history = director.load.history();
    let read: BTreeMap<&str, &Outcome> = history[before..]
        .iter()
        .filter_map(|operation| match &operation.action {
            Action::Get { key } => Some((key.as_str(), &operation.outcome)),
            _ => None,
        })
        .collect();
    let listed: BTreeSet<String> = listed.into_iter().collect();
    for key in &keys {
        let full = format!("{}/{key}", crate::load::BUCKET);
        match (read.get(full.as_str()), listed.contains(key)) {
            (Some(Outcome::Found(_)), true) | (Some(Outcome::NotFound), false) => {}
            (None, _) => return Err(failure("read", format!("{key} cannot be read"))),
            (Some(outcome), is_listed) => {
                let why = format!("{key}: {outcome:?}, listed: {is_listed}");
                return Err(failure("list", why));
            }
        }
    }
    Ok(())
}

fn audit_drives(director: &Director) -> Done<()> {
    let cluster = director
        .cluster
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    for node in 0..cluster.nodes.len() {
        for drive in cluster.report(node).drives {
            drive
                .audit()
                .map_err(|why| failure("audit", format!("drive {}: {why}", drive.id())))?;
        }
    }
    Ok(())
}

/// Rebuilds the index from the drives; it must show the same.
async fn rebuild(director: &mut Director) -> Done<()> {
    let (old, running) = director.rebuild_beside().await?;
    if !running.merged.doubts.is_empty() {
        return Err(failure("rebuild", format!("{:?}", running.merged.doubts)));
    }
    let new = running.index.snapshot();
    for table in [
        Table::Bucket,
        Table::Current,
        Table::Noncurrent,
        Table::Upload,
        Table::Part,
        Table::Usage,
    ] {
        let (old, new) = (dump(&old, table).await?, dump(&new, table).await?);
        if old == new {
            continue;
        }
        let only = |a: &[String], b: &[String]| -> Vec<String> {
            let missing = a.iter().filter(|row| !b.contains(row));
            missing.take(3).cloned().collect()
        };
        let why = format!(
            "{table:?}: {} rows before, {} after; only before: {:#?}; only after: {:#?}",
            old.len(),
            new.len(),
            only(&old, &new),
            only(&new, &old)
        );
        return Err(failure("rebuild", why));
    }
    director.whole().await
}

/// The rows of a table, in a form in which what may differ does not show.
async fn dump(index: &MemoryIndex, table: Table) -> Done<Vec<String>> {
    let limit = ScanLimit {
        rows: usize::MAX,
        bytes: usize::MAX,
    };
    let scan = index.scan(table, Bound::Unbounded, Bound::Unbounded, limit);
    let scan = scan
        .await
        .map_err(|error| failure("rebuild", error.to_string()))?;
    let damaged = |error: holdfast_protocol::FormatError| failure("rebuild", error.to_string());
    let mut rows = Vec::new();
    for (key, row) in scan.rows {
        let key = hex::encode(&key);
        rows.push(match table {
            Table::Current | Table::Noncurrent => {
                let row = VersionRow::decode(&row.value).map_err(damaged)?;
                placed(&row.manifest, &row.placement)
            }
            Table::Part => {
                let row = PartRow::decode(&row.value).map_err(damaged)?;
                placed(&row.manifest, &row.placement)
            }
            Table::Upload => match UploadRow::decode(&row.value) {
                Ok(row) => {
                    let completed = row.completed.as_ref().map(|done| done.write);
                    format!("{} {completed:?}", placed(&row.manifest, &row.placement))
                }
                Err(_) => format!("{key} {:?}", row.value),
            },
            _ => format!("{key} {:?}", row.value),
        });
    }
    Ok(rows)
}

fn placed(manifest: &Manifest, placement: &Placement) -> String {
    // Where copies and shards are may differ (one that was late, or healed elsewhere, is there
    // twice); the check has looked at them.
    format!("{manifest:?} without {:b}", placement.missing)
}
