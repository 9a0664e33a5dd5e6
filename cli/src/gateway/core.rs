//! From drives and an index to a serving gateway.
//!
//! Owns: the order of a start: claim, merge, map, workers, operations; and of a stop.
//! Leaves to others: each step; drives and data directory ([`crate::server`], [`super::registry`]).
//! Always: nothing is served before the merge is done and a map is durable.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_gateway::accounts::Accounts;
use holdfast_gateway::notify::Queue;
use holdfast_gateway::object::{Notices, Service, WriteIds};
use holdfast_index::{FjallConfig, FjallIndex, Index};
use holdfast_protocol::{ClusterMap, DriveId, MapDrive, WriteId};
use holdfast_seam::{Task, World};
use holdfast_store::{Drives, Serving, Store, StoreConfig, Trouble, survey};
use holdfast_workers::{
    ClaimOptions, Claimed, KeeperParts, LeaseGuard, LeaseKeeper, MergeReport, Merging, NextWrite,
    Readers, Takeover, Workers, WorkersConfig, WorkersError, WorkersParts, change_map, claim,
};
use tokio::sync::{Mutex, mpsc};

use super::config::GatewayConfig;
use super::holders::Holders;
use super::map;
use super::metrics::Metrics;
use super::notify;
use super::state::State;
use crate::data_dir::{DataDir, Stamp};
use crate::error::{Cause, CliError};

/// Troubles that wait for the healer; more are found again by scrub and inventory.
pub const TROUBLE_QUEUE_LEN: usize = 4096;

/// How long a claim is tried again when drives that are there do not answer yet.
const CLAIM_PATIENCE: Duration = Duration::from_secs(5);
const CLAIM_PAUSE: Duration = Duration::from_millis(100);

/// How long a lease is waited for before it is seen whether more drives can be claimed; twice as
/// long after each further claim.
const LEASE_PATIENCE: Duration = Duration::from_secs(5);
const LEASE_PATIENCE_MAX: Duration = Duration::from_secs(60);

/// Opens the index of a gateway; `path` is its directory.
///
/// # Errors
/// `Index`; the directory is left as it is.
pub async fn open_index(
    path: PathBuf,
    config: &GatewayConfig,
    metrics: &Metrics,
) -> Result<Arc<FjallIndex>, CliError> {
    let dir = path.clone();
    let mut fjall = FjallConfig::new(path);
    fjall.cache_bytes = config.index_cache_bytes.get();
    fjall.memtable_bytes = config.index_memtable_bytes.get();
    let metrics = metrics.index.clone();
    let opened = tokio::task::spawn_blocking(move || FjallIndex::open(&fjall, metrics)).await;
    let broken = |source: Cause| CliError::Index { dir, source };
    match opened {
        Ok(Ok(index)) => Ok(Arc::new(index)),
        Ok(Err(error)) => Err(broken(error.into())),
        Err(error) => Err(broken(error.into())),
    }
}

/// What a start needs.
pub struct Parts {
    /// The world.
    pub world: World,
    /// The drives, attached.
    pub drives: Arc<Drives>,
    /// The index, opened.
    pub index: Arc<FjallIndex>,
    /// Who and what was laid out.
    pub stamp: Stamp,
    /// Lost drives and their successors, which are attached.
    pub replaced: Vec<(DriveId, MapDrive)>,
    /// Who may sign, and with what secrets are sealed.
    pub holders: Holders,
    /// Settings.
    pub config: GatewayConfig,
    /// Where to count.
    pub metrics: Metrics,
    /// Told when the process must end.
    pub state: State,
    /// The lease to serve under; `None` where the lock on the data directory is the lease.
    pub lease: Option<Leasing>,
}

/// How a gateway of its own comes by its lease.
#[derive(Clone, Debug)]
pub struct Leasing {
    /// Remembers who served from it.
    pub dir: Arc<DataDir>,
    /// The operator's word that no other gateway runs.
    pub word: bool,
    /// How long it lasts without renewal.
    pub len: Duration,
    /// The gateway's name, for people.
    pub holder: String,
}

impl Leasing {
    fn takeover(&self) -> Takeover {
        Takeover {
            ended: self.dir.ended(),
            word: self.word,
        }
    }

    /// Takes the lease for who claimed; nothing is read of the drives or written before. `None`
    /// when the drives are to be claimed anew, because more of them answer than granted the claim.
    async fn take(
        &self,
        parts: &Parts,
        claimed: &Claimed,
        patience: Duration,
    ) -> Result<Option<LeaseKeeper>, CliError> {
        self.dir.note_claimant(claimed.claimant)?;
        let on_lost = parts.state.clone();
        let keeper = LeaseKeeper::start(KeeperParts {
            world: parts.world.clone(),
            drives: Arc::clone(&parts.drives),
            map: claimed.map.clone(),
            len: self.len,
            holder: self.holder.clone(),
            on_lost: Arc::new(move |why| on_lost.fail(why)),
        });
        let is_told = AtomicBool::new(false);
        let told = || {
            parts.state.waiting("too few drives grant the lease");
            if !is_told.swap(true, Ordering::Relaxed) {
                tracing::warn!("too few drives grant the lease, waiting for more");
            }
        };
        if keeper
            .held_unless_back(&claimed.absent, patience, told)
            .await
        {
            return Ok(Some(keeper));
        }
        tracing::info!("drives are back that did not grant the claim: claiming them anew");
        keeper.stop().await;
        Ok(None)
    }
}

/// A gateway that can serve.
#[derive(Debug)]
pub struct Core {
    /// The store.
    pub store: Store,
    /// The index.
    pub index: Arc<FjallIndex>,
    /// The background work.
    pub workers: Workers,
    /// The operations.
    pub service: Service,
    /// Accounts and keys.
    pub accounts: Accounts,
    /// What goes on without a request and is not the workers'.
    tasks: Vec<Task>,
    ids: Arc<WriteIds>,
    lease: Option<LeaseKeeper>,
    map_change: Mutex<()>,
}

/// Claims the drives. A node serves a drive only once it was told to keep it, so drives that have
/// just registered may need a moment before they answer.
async fn claim_patiently(
    parts: &Parts,
    options: &ClaimOptions,
) -> std::result::Result<Claimed, WorkersError> {
    let clock = &parts.world.clock;
    let begun = clock.now();
    loop {
        match claim(&parts.drives, &parts.world, &*parts.index, options).await {
            Err(WorkersError::TooFewDrives { .. }) if clock.now().since(begun) < CLAIM_PATIENCE => {
                clock.sleep(CLAIM_PAUSE).await;
            }
            done => return done,
        }
    }
}

/// Claims the drives, and takes their lease if there is one.
async fn claim_and_lease(parts: &Parts) -> Result<(Claimed, Option<LeaseKeeper>), CliError> {
    let mut patience = LEASE_PATIENCE;
    loop {
        let options = ClaimOptions {
            cluster: Some(parts.stamp.cluster),
            takeover: false,
            deadline: parts.config.drive_deadline,
            lease: parts.lease.as_ref().map(Leasing::takeover),
            claimant: None,
        };
        let claimed = claim_patiently(parts, &options)
            .await
            .map_err(failed("claim the drives"))?;
        let Some(leasing) = &parts.lease else {
            return Ok((claimed, None));
        };
        if let Some(lease) = leasing.take(parts, &claimed, patience).await? {
            return Ok((claimed, Some(lease)));
        }
        patience = LEASE_PATIENCE_MAX.min(patience * 2);
    }
}

/// A start that has come as far as the merge.
struct Begun {
    store: Store,
    ids: Arc<WriteIds>,
    claimed: Claimed,
    merged: MergeReport,
    next_write: NextWrite,
    troubles: mpsc::Receiver<Trouble>,
    lease: Option<LeaseKeeper>,
}

impl Begun {
    /// Claims the drives, merges, makes or changes the map.
    async fn merge(parts: &Parts) -> Result<Self, CliError> {
        let (mut claimed, lease) = claim_and_lease(parts).await?;
        // A generation is granted once, so it serves as the epoch: no write id is ever used again.
        let ids = Arc::new(WriteIds::new(parts.stamp.gateway, claimed.generation.get()));
        let first = match claimed.map {
            Some(_) => None,
            None => Some(map::first(&parts.stamp).map_err(failed("lay out the cluster"))?),
        };
        let map = claimed
            .map
            .clone()
            .or_else(|| first.clone())
            .ok_or_else(no_map)?;
        let (trouble, troubles) = mpsc::channel(TROUBLE_QUEUE_LEN);
        let store = Store::new(
            store_config(&parts.config),
            parts.world.clone(),
            Arc::clone(&parts.drives),
            map,
            parts.metrics.store.clone(),
            trouble,
        );
        let next_write = next_write(&ids);
        let merging = Merging {
            store: &store,
            index: &*parts.index,
            next_write: &next_write,
            deadline: parts.config.drive_deadline,
        };
        let merged = merging
            .claimed(&claimed)
            .await
            .map_err(failed("merge with the drives"))?;
        let next = |map: &ClusterMap| first.or_else(|| map::replaced(map, &parts.replaced));
        change_map(&store, &*parts.index, &next_write, next)
            .await
            .map_err(failed("change the map"))?;
        if let Some(lease) = &lease {
            lease.map_changed(&store.map());
        }
        for (_, successor) in &parts.replaced {
            claimed.granted.remove(&successor.id);
        }
        Ok(Self {
            store,
            ids,
            claimed,
            merged,
            next_write,
            troubles,
            lease,
        })
    }
}

impl Core {
    /// Claims the drives, merges, makes or changes the map, starts the workers.
    ///
    /// # Errors
    /// `Failed`, naming the step.
    pub async fn start(parts: Parts) -> Result<Self, CliError> {
        let watched = parts.config.workers()?;
        let begun = Begun::merge(&parts).await?;
        Self::serve(parts, begun, watched).await
    }

    async fn serve(parts: Parts, begun: Begun, watched: WorkersConfig) -> Result<Self, CliError> {
        let Begun {
            store,
            ids,
            claimed,
            merged,
            next_write,
            troubles,
            lease,
        } = begun;
        let (index, state) = (parts.index, parts.state);
        let readers = Arc::new(Readers::default());
        let (on_fatal, on_reclaim) = (state.clone(), state.clone());
        let guard = lease
            .as_ref()
            .map_or_else(LeaseGuard::unlimited, LeaseKeeper::guard);
        let workers = Workers::start(WorkersParts {
            store: store.clone(),
            index: Arc::clone(&index) as Arc<dyn Index>,
            claimed,
            merged,
            readers: Arc::clone(&readers),
            next_write,
            lease: guard.clone(),
            trouble: troubles,
            on_fatal: Arc::new(move |why| on_fatal.fail(why)),
            on_reclaim: Arc::new(move |why| on_reclaim.again(why)),
            metrics: parts.metrics.workers.clone(),
            config: watched,
        })
        .await
        .map_err(failed("start the workers"))?;
        let notices = Arc::new(Told {
            workers: workers.clone(),
            state: state.clone(),
        });
        let service = Service::new(
            store.clone(),
            Arc::clone(&index) as Arc<dyn Index>,
            readers,
            Arc::clone(&ids),
            notices,
        )
        .under(guard.clone())
        .with_lifecycle_day(parts.config.lifecycle_day)
        .with_classes(parts.config.classes()?);
        let events = notify::queue(&parts.config, &parts.metrics)?;
        let service = service.telling(events.clone());
        let counted = parts.metrics.accounts.clone();
        let accounts = parts.holders.load(&service, &parts.stamp, counted).await?;
        state.under(guard);
        watch_index(&index, state);
        let tasks = tasks(
            &parts.world,
            &parts.config,
            &parts.metrics,
            (&service, &events),
        );
        Ok(Self {
            store,
            index,
            workers,
            service,
            accounts,
            tasks,
            ids,
            lease,
            map_change: Mutex::new(()),
        })
    }

    /// Takes in drives that were attached after the claim: they get its generation, and the
    /// successors among them the places of the lost ones.
    ///
    /// # Errors
    /// `Failed`.
    pub async fn take_in(
        &self,
        new: &[DriveId],
        changes: &[(DriveId, MapDrive)],
    ) -> Result<(), CliError> {
        let _one_at_a_time = self.map_change.lock().await;
        let drives = self.store.drives();
        let Serving {
            generation,
            claimant,
            ..
        } = drives.serving();
        let deadline = self.store.config().drive_deadline;
        for &drive in new {
            let granted = survey::claim(drives, drive, deadline, generation, claimant, false).await;
            if let Err(error) = granted {
                // It granted this very number before it went away; or it will refuse every call.
                tracing::debug!(%drive, %error, "late drive did not grant the generation");
            }
        }
        let (write, next) = (next_write(&self.ids), |map: &ClusterMap| {
            map::replaced(map, changes)
        });
        let changed = change_map(&self.store, &*self.index, &write, next).await;
        if changed.map_err(failed("change the map"))? {
            changes.iter().for_each(|(lost, _)| drives.detach(*lost));
            if let Some(lease) = &self.lease {
                lease.map_changed(&self.store.map());
            }
            self.workers.map_changed();
        }
        Ok(())
    }

    /// Ends background work and lets go of the index. Requests must have ended.
    ///
    /// # Errors
    /// `Failed` if the index could not write its last rows.
    pub async fn stop(&self) -> Result<(), CliError> {
        self.tasks.iter().for_each(Task::abort);
        self.workers.stop().await;
        if let Some(lease) = &self.lease {
            lease.stop().await;
        }
        self.index.close().await.map_err(failed("close the index"))
    }
}

/// Ends uploads that nobody continues, carries out lifecycle rules, and tells targets of events.
fn tasks(
    world: &World,
    config: &GatewayConfig,
    metrics: &Metrics,
    (service, events): (&Service, &Queue),
) -> Vec<Task> {
    let (age, aborted) = (config.abandoned_upload_age, &metrics.abandoned_uploads);
    let uploads = Box::pin(service.clone().watch_uploads(age, aborted.clone()));
    let lifecycle = metrics.lifecycle.clone();
    let lifecycle = Box::pin(service.clone().watch_lifecycle(lifecycle));
    let mut tasks = notify::tell(service, events, world);
    tasks.push(world.spawn.task("uploads", uploads));
    tasks.push(world.spawn.task("lifecycle", lifecycle));
    tasks
}

/// Wraps the cause of a step that failed.
pub fn failed<E: Into<Cause>>(doing: &'static str) -> impl FnOnce(E) -> CliError {
    move |error| CliError::failed(doing)(error.into())
}

fn no_map() -> CliError {
    CliError::Layout("there is no cluster map".to_owned())
}

/// Settings of the store.
pub fn store_config(config: &GatewayConfig) -> StoreConfig {
    StoreConfig {
        inline_len_max: config.inline_bytes_max.in_memory(),
        write_buffer_bytes: config.write_buffer_bytes.in_memory(),
        read_buffer_bytes: config.read_buffer_bytes.in_memory(),
        drive_deadline: config.drive_deadline,
        ..StoreConfig::default()
    }
}

/// Names for records that are no object's.
pub fn next_write(ids: &Arc<WriteIds>) -> NextWrite {
    let ids = Arc::clone(ids);
    Arc::new(move || -> WriteId { ids.next() })
}

/// Ends the process when the index breaks, also while no request notices.
fn watch_index(index: &Arc<FjallIndex>, state: State) {
    let index = Arc::clone(index);
    tokio::spawn(async move {
        let why = index.broken().await;
        state.fail(format!("the index is broken: {why}"));
    });
}

/// What the operations tell.
struct Told {
    workers: Workers,
    state: State,
}

impl Notices for Told {
    fn purge(&self) {
        self.workers.wake_purge();
    }
    fn heal(&self) {
        self.workers.wake_heal();
    }
    fn void(&self, write: WriteId, drives: Vec<DriveId>) {
        self.workers.void(write, drives);
    }
    fn hides_writes(&self) -> bool {
        self.workers.hides_writes()
    }
    fn fatal(&self, why: String) {
        self.state.fail(why);
    }
}
