//! `holdfast index rebuild`: the index of a stopped cluster, made anew from its drives.
//!
//! Owns: building beside the old index and putting the new one into its place when it is whole.
//! Leaves to others: reaching drives ([`here`], [`nodes`]), what exists (`workers::merge`).
//! Always: the old index stays until the new one is durable; drives obey the new one from the claim
//! on, so that the old one is refused after a rebuild that was interrupted.

mod here;
mod nodes;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_gateway::accounts::{self, MasterKey, Sealer};
use holdfast_gateway::object::WriteIds;
use holdfast_index::Index;
use holdfast_seam::World;
use holdfast_store::{Drives, Store};
use holdfast_workers::{ClaimOptions, MergeReport, Merging, Takeover, WorkersError, claim};
use serde_json::json;
use tokio::sync::mpsc;

use crate::args::Rebuild;
use crate::config::{Group, Layers, ProcessConfig, Resolved, Role};
use crate::data_dir::{DataDir, Stamp, peek};
use crate::error::{CliError, chain};
use crate::gateway::config::GatewayConfig;
use crate::gateway::core::{TROUBLE_QUEUE_LEN, failed, next_write, open_index, store_config};
use crate::gateway::metrics::Metrics;
use crate::output::{Format, Table, write};
use crate::process;

const NEW: &str = "index.new";
const REPLACED: &str = "index.replaced";

/// The settings of the role that the data directory is laid out for.
///
/// # Errors
/// `Config`.
pub fn resolve(flags: &Rebuild, file: Option<PathBuf>) -> Result<Resolved, CliError> {
    let role = match peek(&flags.data_dir) {
        Some(stamp) if !stamp.embedded => Role::Gateway,
        _ => Role::Server,
    };
    let given = [
        ("admin_listen", &flags.admin_listen),
        ("node_listen", &flags.node_listen),
    ];
    let given = given
        .into_iter()
        .filter_map(|(key, text)| Some((key.to_owned(), vec![text.clone()?])));
    Ok(Layers::of_process(given.collect(), file).resolve(role)?)
}

/// What both forms of a cluster need.
struct Job<'a> {
    world: World,
    dir: Arc<DataDir>,
    stamp: Stamp,
    resolved: &'a Resolved,
    config: GatewayConfig,
    metrics: Metrics,
    drives: Arc<Drives>,
    flags: &'a Rebuild,
}

/// Rebuilds.
///
/// # Errors
/// `DataDirInUse` while the cluster runs; `TooFewDrives`; `Layout`, `Failed`; `Degraded` if keys
/// are in doubt.
pub async fn run(resolved: &Resolved, flags: &Rebuild, format: Format) -> Result<(), CliError> {
    let config = GatewayConfig::read(resolved)?;
    let process = ProcessConfig::read(resolved)?;
    if !flags.data_dir.is_dir() {
        return Err(CliError::Usage(format!(
            "{} is no directory",
            flags.data_dir.display()
        )));
    }
    let dir = DataDir::open(&flags.data_dir)?;
    let stamp = dir.stamp()?.ok_or_else(|| {
        CliError::Layout(format!("{} holds no cluster", flags.data_dir.display()))
    })?;
    let own_drives = if stamp.embedded { stamp.slots.len() } else { 0 };
    let world = World::real(process::io_threads(&process, own_drives));
    let new = dir.path().join(NEW);
    remove(&new)?;
    let job = Job {
        drives: Arc::new(Drives::new(Arc::clone(&world.clock))),
        metrics: Metrics::new().map_err(failed("make metrics"))?,
        dir: Arc::new(dir),
        world,
        stamp,
        resolved,
        config,
        flags,
    };
    let report = match job.stamp.embedded {
        true => {
            let node = here::open(&job).await?;
            let rebuilt = rebuild(&job, &new).await;
            node.close().await;
            rebuilt?
        }
        false => {
            let nodes = nodes::gather(&job).await?;
            let rebuilt = rebuild(&job, &new).await;
            nodes.close().await;
            rebuilt?
        }
    };
    put_in_place(&job.dir, &new)?;
    show(&report, format)
}

/// Too few drives are not a failure of this process.
fn step(doing: &'static str) -> impl FnOnce(WorkersError) -> CliError {
    move |error| match error {
        WorkersError::TooFewDrives { .. } | WorkersError::TooManyAbsent { .. } => {
            CliError::TooFewDrives(format!("{doing}: {}", chain(&error)))
        }
        error => failed(doing)(error),
    }
}

async fn rebuild(job: &Job<'_>, path: &Path) -> Result<MergeReport, CliError> {
    let (config, drives) = (&job.config, &job.drives);
    let index = open_index(path.to_owned(), config, &job.metrics).await?;
    let options = ClaimOptions {
        cluster: Some(job.stamp.cluster),
        takeover: true,
        deadline: config.drive_deadline,
        lease: (!job.stamp.embedded).then(|| Takeover {
            ended: job.dir.ended(),
            word: false,
        }),
        claimant: None,
    };
    let claimed = claim(drives, &job.world, &*index, &options)
        .await
        .map_err(step("claim the drives"))?;
    if !job.stamp.embedded {
        job.dir.note_claimant(claimed.claimant)?;
    }
    let map = claimed.map.clone().ok_or_else(|| {
        CliError::Layout("no drive has the cluster map: put drives back".to_owned())
    })?;
    let (trouble, _troubles) = mpsc::channel(TROUBLE_QUEUE_LEN);
    let store = Store::new(
        store_config(config),
        job.world.clone(),
        Arc::clone(drives),
        map,
        job.metrics.store.clone(),
        trouble,
    );
    let ids = Arc::new(WriteIds::new(job.stamp.gateway, claimed.generation.get()));
    let merging = Merging {
        store: &store,
        index: &*index,
        next_write: &next_write(&ids),
        deadline: config.drive_deadline,
    };
    let report = merging
        .all(&claimed, job.flags.force)
        .await
        .map_err(step("rebuild the index"))?;
    tell_unusable_keys(job, &*index).await?;
    index.close().await.map_err(failed("close the index"))?;
    Ok(report)
}

/// Says which accounts' keys cannot be used with the master key that is here.
async fn tell_unusable_keys(job: &Job<'_>, index: &dyn Index) -> Result<(), CliError> {
    let found = job.dir.found_master_key(&job.config)?;
    // No master key opens nothing: any other stands for it.
    let master = found.unwrap_or_else(|| MasterKey::new([0; MasterKey::LEN]));
    let sealer = Sealer::new(&master, job.stamp.cluster);
    let unusable = accounts::store::unusable(index, job.stamp.cluster, &sealer);
    let unusable = unusable.await.map_err(failed("read the accounts"))?;
    accounts::store::tell_unusable(&unusable);
    Ok(())
}

fn put_in_place(dir: &DataDir, new: &Path) -> Result<(), CliError> {
    let (index, replaced) = (dir.index(), dir.path().join(REPLACED));
    remove(&replaced)?;
    match std::fs::rename(&index, &replaced) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        moved => moved.map_err(CliError::file("move", &index))?,
    }
    std::fs::rename(new, &index).map_err(CliError::file("move", new))?;
    let synced = std::fs::File::open(dir.path()).and_then(|dir| dir.sync_all());
    synced.map_err(CliError::file("sync", dir.path()))?;
    remove(&replaced)
}

fn remove(path: &Path) -> Result<(), CliError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(CliError::file("remove", path)),
    }
}

fn show(report: &MergeReport, format: Format) -> Result<(), CliError> {
    let doubts: Vec<String> = report
        .doubts
        .iter()
        .map(|doubt| format!("{doubt:?}"))
        .collect();
    let shown = json!({
        "records": report.records,
        "rows": report.shown,
        "voided": report.voided,
        "retired": report.retired,
        "in_doubt": doubts,
    });
    write(format, &shown, |_| {
        let table = Table::new(&["RECORDS", "ROWS", "VOIDED", "RETIRED", "IN DOUBT"]);
        let counts = [report.records, report.shown, report.voided, report.retired];
        let cells = counts.iter().map(ToString::to_string);
        table.row(cells.chain([doubts.len().to_string()]))
    })?;
    match doubts.len() {
        0 => Ok(()),
        count => Err(CliError::Degraded(format!("{count} keys are in doubt"))),
    }
}
