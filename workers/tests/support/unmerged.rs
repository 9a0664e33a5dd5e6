//! A gateway whose workers run before its merge: none that the product would start.

use std::sync::Arc;
use std::time::Duration;

use holdfast_store::{Store, Trouble};
use holdfast_workers::{
    ClaimOptions, Claimed, MergeReport, Merging, NextWrite, Readers, Workers, WorkersConfig,
    WorkersMetrics, WorkersParts, claim,
};
use prometheus::Registry;
use tokio::sync::mpsc;

use super::{Cluster, Running};

/// What opening a cluster gives.
pub type Opened = (
    Store,
    Claimed,
    MergeReport,
    NextWrite,
    mpsc::Receiver<Trouble>,
);

impl Cluster {
    /// Claims the drives, and starts workers without merging what they hold.
    pub async fn start_unmerged(&mut self, config: WorkersConfig) -> (Running, Claimed) {
        let (drives, options) = (self.attached(), ClaimOptions::default());
        let claimed = claim(&drives, &self.world, &*self.index, &options).await;
        let claimed = claimed.unwrap();
        let map = claimed.map.clone().unwrap();
        let (store, trouble) = self.store(drives, map);
        let (index, next_write) = (Arc::clone(&self.index), self.next_write());
        let (readers, merged) = (Arc::new(Readers::default()), MergeReport::default());
        let metrics = WorkersMetrics::register(&Registry::new()).unwrap();
        let workers = Workers::start(WorkersParts {
            store: store.clone(),
            index: Arc::clone(&index) as _,
            claimed: claimed.clone(),
            merged: merged.clone(),
            readers: Arc::clone(&readers),
            next_write: Arc::clone(&next_write),
            lease: self.lease.clone(),
            trouble,
            on_fatal: Arc::new(|why| panic!("fatal: {why}")),
            on_reclaim: Arc::clone(&self.on_reclaim),
            metrics: metrics.clone(),
            config,
        });
        let running = Running {
            workers: workers.await.unwrap(),
            store,
            index,
            readers,
            merged,
            claimed: claimed.clone(),
            next_write,
            metrics,
        };
        (running, claimed)
    }
}

impl Running {
    /// Merges what was claimed.
    pub async fn merge(&self, claimed: &Claimed) -> MergeReport {
        let merging = Merging {
            store: &self.store,
            index: &*self.index,
            next_write: &self.next_write,
            deadline: Duration::from_secs(5),
        };
        merging.claimed(claimed).await.unwrap()
    }
}
