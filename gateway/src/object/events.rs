//! Events: queued with the change that they are about, told afterwards.
//!
//! Owns: which of a bucket's targets are told of a change; going through their queues.
//! Leaves to others: events and targets ([`crate::notify`]), what is to be told
//! ([`crate::settings`]).
//! Always: an event is in the batch of its change, so that both are durable or neither; it is
//! removed only after its target took it; of a target's events none is told before one of a lower
//! order that was there when it was read. A change that a start finds on drives, of which nobody
//! was told that it succeeded, has none.

use std::ops::Bound;
use std::time::Duration;

use bytes::Bytes;
use holdfast_index::{Batch, Locks, Row, Scan, ScanLimit, Table, keys};
use holdfast_protocol::{Manifest, Order};

use super::bucket::Bucket;
use super::service::Service;
use crate::error::GatewayError;
use crate::notify::event::{Place, date_time};
use crate::notify::{Event, EventKind, Happened, Keyed, Origin, Queue, queue};

/// Events that are told at once.
const BATCH: usize = 100;
/// How often a queue is looked at without being told that something waits.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How long after a failure it is tried again: twice as long after each further one.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// Most events of one change.
const PLACES_MAX: usize = u8::MAX as usize;

impl Service {
    /// Queues what a bucket's targets are told of a change. Every commit that makes, changes or
    /// removes a version goes through here.
    pub(super) fn announce(
        &self,
        batch: &mut Batch,
        bucket: &Bucket,
        (kind, manifest, order): (EventKind, &Manifest, Order),
        origin: Option<&Origin>,
    ) -> Result<(), GatewayError> {
        let Some(told) = &bucket.settings().notification else {
            return Ok(());
        };
        let Some(events) = &self.events else {
            return Ok(());
        };
        let key = manifest.key.as_str();
        let told = told.tell().iter().filter(|tell| tell.is_told(kind, key));
        for (place, tell) in told.take(PLACES_MAX).enumerate() {
            if !events.admit(&tell.target) {
                tracing::debug!(to = tell.target, "too many events wait: one is dropped");
                continue;
            }
            let version = bucket.id_of(manifest).map(|version| version.to_string());
            let time = date_time(self.store.world().clock.unix_ms()).unwrap_or_default();
            let happened = Happened {
                kind,
                manifest,
                version: version.as_deref(),
                order,
                time: &time,
            };
            let place_of = Place {
                region: events.targets().region(),
                bucket: &bucket.name,
                owner: &bucket.owner,
                configuration: &tell.id,
            };
            let event = Event::new(place_of, happened, origin);
            let at = queue::key(&tell.target, order, place as u8);
            let row = Row::new(order, Bytes::from(event.encode()?));
            batch.set(Table::Event, at, row);
        }
        Ok(())
    }

    /// Tells `target` what waits for it, for as long as it is polled.
    pub async fn watch_events(self, name: String) {
        let Some(events) = self.events.clone() else {
            return;
        };
        if let Err(error) = self.count_events(&events, &name).await {
            tracing::warn!(%error, to = name, "waiting events not counted");
        }
        let mut pause = PAUSE_MIN;
        loop {
            match self.tell(&name).await {
                Ok(true) => pause = PAUSE_MIN,
                Ok(false) => {
                    pause = PAUSE_MIN;
                    let clock = &self.store.world().clock;
                    tokio::select! {
                        () = events.rung(&name) => {}
                        () = clock.sleep(LOOK_AGAIN) => {}
                    }
                }
                Err(error) => {
                    events.metrics().failed(&name);
                    tracing::warn!(
                        to = name,
                        %error,
                        again_seconds = pause.as_secs(),
                        "events were not delivered, trying again"
                    );
                    self.store.world().clock.sleep(pause).await;
                    pause = PAUSE_MAX.min(pause * 2);
                }
            }
        }
    }

    /// Tells the target `name` one batch. Returns whether more may wait.
    ///
    /// # Errors
    /// Why the target did not take it.
    pub async fn tell(&self, name: &str) -> Result<bool, Untold> {
        let Some(events) = &self.events else {
            return Ok(false);
        };
        let Some(target) = events.targets().get(name) else {
            return Ok(false);
        };
        let waiting = self.waiting(name, None, BATCH).await?;
        if waiting.rows.is_empty() {
            events.counted(name, 0);
            return Ok(false);
        }
        let mut batch = Vec::with_capacity(waiting.rows.len());
        for (_, row) in &waiting.rows {
            match Event::decode(&row.value) {
                Ok(event) => batch.push(Keyed {
                    key: event.key,
                    record: event.record,
                }),
                // It would be in the way for ever.
                Err(error) => tracing::error!(%error, to = name, "an event is left out"),
            }
        }
        if !batch.is_empty() {
            target.send(&batch).await?;
        }
        let txn = self.index.begin(Locks::none()).await;
        let txn = txn.map_err(GatewayError::from)?;
        let mut told = Batch::new();
        for (key, _) in &waiting.rows {
            told.delete(Table::Event, key.clone());
        }
        self.commit(txn, told).await?;
        events.metrics().delivered(name, batch.len());
        events.taken(name, waiting.rows.len());
        Ok(true)
    }

    async fn waiting(
        &self,
        name: &str,
        after: Option<&Bytes>,
        rows: usize,
    ) -> Result<Scan, GatewayError> {
        let prefix = queue::prefix(name);
        let from = match after {
            Some(after) => Bound::Excluded(after.as_ref()),
            None => Bound::Included(prefix.as_ref()),
        };
        let end = keys::after_prefix(&prefix);
        let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let limit = ScanLimit::rows(rows);
        Ok(self.index.scan(Table::Event, from, to, limit).await?)
    }

    /// Counts what waits for targets that are not configured any more, so that their queues are
    /// bounded across starts, too; called once, before anything is told.
    ///
    /// # Errors
    /// `Index`.
    pub async fn count_orphans(&self) -> Result<(), GatewayError> {
        let Some(events) = &self.events else {
            return Ok(());
        };
        let mut from: Bound<Bytes> = Bound::Unbounded;
        loop {
            let bound = from.as_ref().map(Bytes::as_ref);
            let limit = ScanLimit::rows(1);
            let scan = self
                .index
                .scan(Table::Event, bound, Bound::Unbounded, limit);
            let Some((key, _)) = scan.await?.rows.into_iter().next() else {
                return Ok(());
            };
            let name = queue::target_of(&key).ok_or_else(|| GatewayError::Internal {
                what: format!("row {} of the queue of events", key.escape_ascii()),
            })?;
            if events.targets().get(&name).is_none() {
                let count = self.count_events(events, &name).await?;
                tracing::warn!(
                    to = name,
                    events = count,
                    "events wait for a target that is not configured (notify_webhook)"
                );
            }
            let next = keys::after_prefix(&queue::prefix(&name));
            let Some(next) = next else {
                return Ok(());
            };
            from = Bound::Included(next);
        }
    }

    /// Counts what waits from before a start. Returns how many.
    async fn count_events(&self, events: &Queue, name: &str) -> Result<usize, GatewayError> {
        let (mut count, mut after) = (0, None);
        loop {
            let scan = self.waiting(name, after.as_ref(), 1000).await?;
            count += scan.rows.len();
            after = scan.rows.last().map(|(key, _)| key.clone());
            if !scan.more {
                events.counted(name, count);
                return Ok(count);
            }
        }
    }
}

/// Why events were not told.
#[derive(Debug, thiserror::Error)]
pub enum Untold {
    /// The target did not take them.
    #[error(transparent)]
    Target(#[from] crate::notify::TargetError),
    /// They could not be read, or not be removed.
    #[error(transparent)]
    Queue(#[from] GatewayError),
}
