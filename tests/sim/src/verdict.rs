//! What must hold when a run has come to rest.
//!
//! Owns: the last reads, the check, the rebuild, the history.
//! Leaves to others: bringing the cluster to rest ([`crate::director`]).
//! Always: what cannot be checked is a failure.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use holdfast_index::{Index, MemoryIndex, Row, ScanLimit, Table};
use holdfast_protocol::row::{PartRow, UploadRow, VersionRow};
use holdfast_protocol::{Body, DriveId, FormatError, Manifest, Placement, WriteId};

use crate::cluster::Cluster;
use crate::director::{Director, Failure, failure};
use crate::history::{Action, Operation, Outcome, Verdict, check};
use crate::load::{PREFIXES, full};
use crate::net::Host;

type Done<T> = std::result::Result<T, Failure>;

fn lock(cluster: &Mutex<Cluster>) -> MutexGuard<'_, Cluster> {
    cluster.lock().unwrap_or_else(PoisonError::into_inner)
}

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
    read_without(director).await?;
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

/// How long it may take until all drives are asked again, once they run.
const READ_MAX: Duration = Duration::from_secs(60);

/// Reads everything, with a drive in place whose bytes have changed.
///
/// # Errors
/// `read`, `list`.
pub async fn read_in_time(director: &mut Director) -> Done<()> {
    let deadline = director.exec.now() + READ_MAX.as_nanos() as u64;
    loop {
        match read_everything(director).await {
            Err(found) if found.what == "read" && director.exec.now() < deadline => {
                for _ in 0..200 {
                    director.tick().await?;
                }
            }
            outcome => return outcome,
        }
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
    let mut listed = BTreeSet::new();
    for bucket in PREFIXES {
        let Some(found) = auditor.list_all(bucket, 1000).await else {
            return Err(failure("read", "the last LIST was not answered"));
        };
        listed.extend(found);
    }
    let history = director.load.history();
    let read: BTreeMap<&str, &Outcome> = history[before..]
        .iter()
        .filter_map(|operation| match &operation.action {
            Action::Get { key } => Some((key.as_str(), &operation.outcome)),
            _ => None,
        })
        .collect();
    for key in &keys {
        match (read.get(full(key).as_str()), listed.contains(key)) {
            (Some(Outcome::Found(_)), true) | (Some(Outcome::NotFound), false) => {}
            (None, _) => return Err(failure("read", format!("{key} cannot be read"))),
            (Some(outcome), is_listed) => {
                let why = format!("{key}: {outcome:?}, listed: {is_listed}");
                return Err(failure("list", why));
            }
        }
    }
    auditor
        .read_kept()
        .await
        .map_err(|why| failure("read", why))
}

/// Reads everything from what is left when as many drives as the geometry allows do not answer;
/// every node is among them once.
async fn read_without(director: &mut Director) -> Done<()> {
    let parity = usize::from(director.plan.geometry.1);
    let at_once = (parity / director.plan.drives_per_node).max(1);
    let mut hosts: Vec<Host> = {
        let cluster = lock(&director.cluster);
        cluster.nodes.iter().map(|node| node.host).collect()
    };
    for at in (1..hosts.len()).rev() {
        hosts.swap(at, director.dice.below(at as u64 + 1) as usize);
    }
    for absent in hosts.chunks(at_once) {
        director.exec.note(|| format!("reading without {absent:?}"));
        cut(director, absent, true);
        let outcome = read_everything(director).await;
        cut(director, absent, false);
        outcome
            .map_err(|found| failure(found.what, format!("without {absent:?}: {}", found.why)))?;
    }
    director.whole().await
}

fn cut(director: &Director, hosts: &[Host], is_cut: bool) {
    let cluster = lock(&director.cluster);
    let gateway = cluster.gateway_host;
    for &host in hosts {
        cluster.network.set_cut(gateway, host, is_cut);
        cluster.network.set_cut(host, gateway, is_cut);
    }
}

/// A drive may lack what was written, but what it holds is never wrong: every shard has the digest
/// that was recorded when it was written, unless the drive's bytes have changed or it says so.
///
/// # Errors
/// `shard`.
pub async fn nothing_is_wrong(cluster: &Mutex<Cluster>, index: &MemoryIndex) -> Done<()> {
    let mut digests: BTreeMap<WriteId, Vec<u64>> = BTreeMap::new();
    for table in [Table::Current, Table::Noncurrent, Table::Part] {
        for row in rows(index, table).await?.into_iter().map(|(_, row)| row) {
            let manifest = match table {
                Table::Part => PartRow::decode(&row.value).map_err(damaged)?.manifest,
                _ => VersionRow::decode(&row.value).map_err(damaged)?.manifest,
            };
            if let Body::Coded { digests: of, .. } = manifest.body {
                digests.insert(manifest.write, of);
            }
        }
    }
    let cluster = lock(cluster);
    for (node, slot) in cluster.nodes.iter().enumerate() {
        let changed = slot.drives.iter().filter(|slot| slot.is_damaged());
        let changed: Vec<DriveId> = changed.map(|slot| slot.id).collect();
        let drives = cluster.report(node).drives.into_iter();
        for drive in drives.filter(|drive| !changed.contains(&drive.id())) {
            let held = drive.held().into_iter().filter(|entry| !entry.damaged);
            for (entry, recorded) in held.filter_map(|it| Some((it, digests.get(&it.write)?))) {
                let Some((shard, digest)) = entry.shard else {
                    continue;
                };
                if recorded.get(usize::from(shard)) != Some(&digest) {
                    let why = format!("shard {shard} of {} on drive {}", entry.write, drive.id());
                    return Err(failure("shard", why));
                }
            }
        }
    }
    Ok(())
}

fn audit_drives(director: &Director) -> Done<()> {
    let cluster = lock(&director.cluster);
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
        Table::Metadata,
        Table::Null,
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
    let mut shown = Vec::new();
    for (key, row) in rows(index, table).await? {
        let key = hex::encode(&key);
        shown.push(match table {
            Table::Current | Table::Noncurrent => {
                let row = VersionRow::decode(&row.value).map_err(damaged)?;
                let changed = row.changed;
                format!("{} {changed:?}", placed(&row.manifest, &row.placement))
            }
            Table::Part | Table::Metadata => {
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
            Table::Null => format!("{key} {}", row.order),
            _ => format!("{key} {:?}", row.value),
        });
    }
    Ok(shown)
}

pub(crate) fn damaged(error: FormatError) -> Failure {
    failure("row", error.to_string())
}

pub(crate) async fn rows(index: &MemoryIndex, table: Table) -> Done<Vec<(Bytes, Row)>> {
    let limit = ScanLimit {
        rows: usize::MAX,
        bytes: usize::MAX,
    };
    let scan = index.scan(table, Bound::Unbounded, Bound::Unbounded, limit);
    match scan.await {
        Ok(scan) => Ok(scan.rows),
        Err(error) => Err(failure("row", error.to_string())),
    }
}

fn placed(manifest: &Manifest, placement: &Placement) -> String {
    // Where copies and shards are may differ (one that was late, or healed elsewhere, is there
    // twice); the check has looked at them.
    format!("{manifest:?} without {:b}", placement.missing)
}
