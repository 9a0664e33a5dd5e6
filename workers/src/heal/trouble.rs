//! What reads found bad.
//!
//! Owns: turning the store's reports into entries of the heal queue.
//! Leaves to others: finding out what is really wrong ([`super::inspect`]).
//! Always: a row is queued once for the same drive until it was looked at.

use std::sync::Arc;

use holdfast_index::Batch;
use holdfast_store::Trouble;
use tokio::sync::mpsc;

use crate::context::Context;
use crate::error::{Result, chain};
use crate::placed;

/// Reports that are queued in one commit.
const TOGETHER: usize = 256;
/// Suspicions remembered at most; of others, everything is verified.
const SUSPECTS_MAX: usize = 100_000;

/// The worker.
pub(crate) struct Troubles {
    ctx: Arc<Context>,
    reports: mpsc::Receiver<Trouble>,
}

impl Troubles {
    pub(crate) fn new(ctx: Arc<Context>, reports: mpsc::Receiver<Trouble>) -> Self {
        Self { ctx, reports }
    }

    pub(crate) async fn run(mut self) {
        let stop = self.ctx.stop.clone();
        let mut reports = Vec::with_capacity(TOGETHER);
        loop {
            let received = stop
                .unless(self.reports.recv_many(&mut reports, TOGETHER))
                .await;
            if matches!(received, None | Some(0)) {
                return;
            }
            if let Err(error) = self.ctx.queue_troubles(std::mem::take(&mut reports)).await {
                let error = chain(&error);
                tracing::warn!(error, "bad shards not queued; reads find them again");
            }
        }
    }
}

impl Context {
    /// Queues what was found bad, once for each drive.
    pub(crate) async fn queue_troubles(&self, reports: Vec<Trouble>) -> Result<()> {
        let named: Vec<_> = reports
            .iter()
            .map(|it| (it.row.write(), it.drive))
            .collect();
        let queued = self.queue_suspects(reports).await;
        if queued.is_err() {
            // Found again, they are to be queued.
            let mut suspects = self.suspects();
            for (write, drive) in named {
                if let Some(drives) = suspects.get_mut(&write) {
                    drives.remove(&drive);
                }
            }
            suspects.retain(|_, drives| !drives.is_empty());
        }
        queued
    }

    async fn queue_suspects(&self, reports: Vec<Trouble>) -> Result<()> {
        let mut batch = Batch::new();
        for Trouble { row, drive } in reports {
            self.found_wrong(row.write());
            {
                let mut suspects = self.suspects();
                if suspects.len() < SUSPECTS_MAX
                    && !suspects.entry(row.write()).or_default().insert(drive)
                {
                    continue;
                }
            }
            let Some(placed) = placed::find(&*self.index, &row).await? else {
                self.suspects().remove(&row.write());
                continue;
            };
            let write = row.write();
            tracing::info!(%drive, %write, "bad shard or copy found, queued for healing");
            let margin = placed.margin().saturating_sub(1);
            batch.put_heal(margin, &row, placed.manifest());
            self.heal_rows(1);
        }
        self.commit_alone(batch).await?;
        self.heal.ring();
        Ok(())
    }
}
