//! The scrub: every stored byte is read and checked within a period.
//!
//! Owns: one loop per drive, its cursor, its pace; what is found bad goes to the healer.
//! Leaves to others: checking blocks (the drives), mending ([`crate::heal`]), comparing inventories
//! with the index ([`crate::compare`]), reading fresh objects back ([`watch`]).
//! Always: a pass goes through a drive's inventory in ascending write id, so that a cursor says
//! what was done; it is kept in the index, which the worker writes anyway and which outlives the
//! process; lost with it, the pass begins again.

mod book;
mod drive;
mod examine;
mod metrics;
pub(crate) mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::stream::{FuturesUnordered, StreamExt};
use holdfast_index::{Batch, Row, Table, keys};
use holdfast_protocol::DriveId;
use holdfast_protocol::row::ScrubRow;

pub(crate) use book::ScrubBook;
pub use metrics::ScrubMetrics;

use crate::context::Context;
use crate::error::{Result, chain};
use drive::DriveScrubber;

/// Kind of the local rows that keep the cursors, by drive. They stand for no record.
pub(crate) const SCRUB_KIND: &str = "local.scrub";

/// The worker.
pub(crate) struct Scrubber {
    ctx: Arc<Context>,
}

impl Scrubber {
    pub(crate) fn new(ctx: Arc<Context>) -> Self {
        Self { ctx }
    }

    pub(crate) async fn run(self) {
        let stop = self.ctx.stop.clone();
        let mut running = BTreeSet::new();
        let mut loops = FuturesUnordered::new();
        loop {
            let living = self.ctx.living();
            for drive in living {
                if running.insert(drive) {
                    let scrubber = DriveScrubber::new(Arc::clone(&self.ctx), drive);
                    loops.push(scrubber.run());
                }
            }
            self.ctx.publish_scrub();
            let rest = self.ctx.clock().sleep(self.ctx.config.rescan_interval);
            tokio::select! {
                biased;
                () = stop.stopped() => return,
                () = rest => {}
                // A loop ends when its drive left the map.
                Some(drive) = loops.next() => {
                    running.remove(&drive);
                    if let Err(error) = self.ctx.forget_scrub(drive).await {
                        tracing::debug!(%drive, error = %chain(&error), "scrub row kept");
                    }
                }
            }
        }
    }
}

fn key(drive: DriveId) -> bytes::Bytes {
    keys::system(SCRUB_KIND, &drive.to_string())
}

impl Context {
    /// How far the scrub of a drive is, as kept.
    async fn kept_scrub(&self, drive: DriveId) -> Result<Option<ScrubRow>> {
        let row = self.index.get(Table::System, &key(drive)).await?;
        // One that cannot be read only makes the scrub begin again.
        Ok(row.and_then(|row| ScrubRow::decode(&row.value).ok()))
    }

    async fn keep_scrub(&self, drive: DriveId, row: &ScrubRow) -> Result<()> {
        let mut batch = Batch::new();
        batch.set(Table::System, key(drive), Row::unordered(row.encode()));
        self.commit_alone(batch).await
    }

    async fn forget_scrub(&self, drive: DriveId) -> Result<()> {
        self.scrub_book().drives.remove(&drive);
        self.metrics.scrub.forget(drive);
        let mut batch = Batch::new();
        batch.delete(Table::System, key(drive));
        self.commit_alone(batch).await
    }
}
