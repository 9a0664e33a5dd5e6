//! The watcher: reads fresh objects back as a client would, and now and then from parity.
//!
//! Owns: reading a sample of what was written, and holding it against the digests of the client.
//! Leaves to others: which writes are sampled (store), healing what a read found bad.
//! Always: what differs is an error that a person must see: every block passed its checksum, and
//! the object is not what was written.

use std::sync::Arc;

use futures::stream::StreamExt;
use holdfast_protocol::row::RowName;
use holdfast_protocol::{Body, ByteRange, ChecksumType, Manifest};
use holdfast_store::digest::{BodyDigests, Digests};
use holdfast_store::{Store, StoreError};
use tokio::sync::mpsc;

use crate::context::Context;
use crate::error::{Result, chain};
use crate::pace::{Limits, Pacer};
use crate::placed;

/// Sampled objects are read back at this rate at most, in bytes per second.
const RATE: u64 = 64 << 20;
/// Sampled objects that wait together.
const TOGETHER: usize = 64;
const LIMITS: Limits = Limits {
    quiet: RATE,
    busy: RATE / 4,
    floor: 1 << 20,
};

/// The worker.
pub(crate) struct ReadBack {
    ctx: Arc<Context>,
    fresh: mpsc::Receiver<RowName>,
    pacer: Pacer,
    sampled: u64,
}

impl ReadBack {
    pub(crate) fn new(ctx: Arc<Context>, fresh: mpsc::Receiver<RowName>) -> Self {
        Self {
            ctx,
            fresh,
            pacer: Pacer::default(),
            sampled: 0,
        }
    }

    pub(crate) async fn run(mut self) {
        let stop = self.ctx.stop.clone();
        // Ends when the store does, or when the workers are stopped.
        stop.unless(self.read_all()).await;
    }

    async fn read_all(&mut self) {
        let mut names = Vec::with_capacity(TOGETHER);
        while self.fresh.recv_many(&mut names, TOGETHER).await > 0 {
            // A write is sampled when it is durable; its row follows within moments, or never.
            let delay = self.ctx.config.watch_delay;
            self.ctx.clock().sleep(delay).await;
            for name in names.drain(..) {
                if let Err(error) = self.read(&name).await {
                    let (write, error) = (name.write(), chain(&error));
                    tracing::warn!(%write, error, "fresh object not read back");
                }
            }
        }
    }

    async fn read(&mut self, name: &RowName) -> Result<()> {
        let mut reading = self.ctx.readers.enter();
        // Replaced, deleted or never committed: nothing to be read.
        let Some(placed) = placed::find(&*self.ctx.index, name).await? else {
            return Ok(());
        };
        reading.narrow([name.write()]);
        let row = Arc::new(placed.row);
        let manifest = &row.manifest;
        if !matches!(manifest.body, Body::Inline | Body::Coded { .. }) {
            return Ok(());
        }
        self.pacer.take(&self.ctx, manifest.len, LIMITS).await;
        self.sampled += 1;
        let one_in = self.ctx.config.watch_parity_one_in.max(1);
        let is_whole = placed::is_coded(manifest) && row.placement.missing == 0;
        let from_parity = is_whole && self.sampled.is_multiple_of(one_in);
        let mut found = digests(&self.ctx.store, Arc::clone(&row)).await;
        if from_parity && found.is_ok() {
            self.pacer.take(&self.ctx, manifest.len, LIMITS).await;
            let decoded = self.ctx.store.decode_from_parity(&row).await;
            found = decoded.and(found);
        }
        drop(reading);
        let is_good = match &found {
            Ok(found) => differs(manifest, found).is_none_or(|what| {
                let write = manifest.write;
                tracing::error!(%write, what, "an object reads back other than it was written");
                self.ctx.metrics.scrub.watch_failed("differs");
                false
            }),
            Err(error) => {
                let (write, error) = (manifest.write, chain(error));
                tracing::warn!(%write, error, "a fresh object does not read back");
                self.ctx.metrics.scrub.watch_failed("unreadable");
                false
            }
        };
        self.ctx.metrics.scrub.watch(from_parity);
        let watched = &mut self.ctx.scrub_book().watched;
        watched.objects += 1;
        watched.from_parity += u64::from(from_parity);
        watched.failures += u64::from(!is_good);
        Ok(())
    }
}

async fn digests(
    store: &Store,
    row: Arc<holdfast_protocol::VersionRow>,
) -> std::result::Result<BodyDigests, StoreError> {
    let kind = row.manifest.checksum.as_ref().map(|checksum| checksum.kind);
    let mut digests = Digests::new(kind);
    let mut body = store.read_back(Arc::clone(&row), ByteRange::new(0, row.manifest.len));
    while let Some(piece) = body.next().await {
        digests.update(&piece?);
    }
    Ok(digests.finish())
}

/// What does not fit, if anything.
fn differs(manifest: &Manifest, found: &BodyDigests) -> Option<&'static str> {
    if found.len != manifest.len {
        return Some("length");
    }
    let is_md5 = manifest.etag.parts == 0 && manifest.etag.md5 != [0; 16];
    if is_md5 && manifest.etag.md5 != found.md5 {
        return Some("MD5");
    }
    let checksum = manifest
        .checksum
        .as_ref()
        .filter(|checksum| checksum.covers == ChecksumType::FullObject);
    match (checksum, &found.checksum) {
        (Some(kept), Some((kind, digest))) => {
            let is_same = kept.digest.is_empty() || (kept.kind == *kind && kept.digest == *digest);
            (!is_same).then_some("checksum")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
