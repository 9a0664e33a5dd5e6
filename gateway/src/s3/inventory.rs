//! Inventories: writing what is configured.
//!
//! Owns: which lists are due, one at a time; what became of the last one.
//! Leaves to others: a list ([`list`]), the forms of lists ([`crate::inventory`]), what is
//! configured ([`crate::settings`]).
//! Always: what is known here is only what need not be looked up: a start, or another gateway,
//! finds out from the destination what was written.

mod list;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use self::list::List;
use super::gate::Rights;
use super::headers::now_ms;
use crate::auth::Credentials;
use crate::inventory::{InventoryMetrics, Names, schedule};
use crate::names::BucketName;
use crate::object::{Bucket, Objects};
use crate::settings::{INVENTORY, Inventory};

/// How often it is looked for lists that are due.
const LOOK: Duration = Duration::from_secs(10);
/// How long it takes at most until a list that failed is tried again.
const AGAIN_MAX: Duration = Duration::from_secs(60 * 60);

/// Writes lists that are due.
pub struct Reporter {
    rights: Rights,
    metrics: InventoryMetrics,
    tried: Known,
}

/// What was tried, by bucket and inventory.
type Known = HashMap<(String, String), Attempt>;

/// What was tried of an inventory; another configuration is tried anew.
#[derive(Clone, Debug)]
struct Attempt {
    of: Inventory,
    how: Tried,
}

/// What became of the last list of an inventory.
#[derive(Clone, Copy, Debug)]
enum Tried {
    /// It was there: of the day or week that began then.
    Written { since_ms: u64 },
    /// It failed, so often in a row, last at this time.
    Failed { times: u32, at_ms: u64 },
}

impl Tried {
    fn is_due(self, since_ms: u64, now_ms: u64) -> bool {
        match self {
            Self::Written { since_ms: written } => written < since_ms,
            Self::Failed { times, at_ms } => {
                let wait = LOOK.saturating_mul(1 << times.min(10)).min(AGAIN_MAX);
                now_ms.saturating_sub(at_ms) >= wait.as_millis() as u64
            }
        }
    }
}

impl Reporter {
    /// Nothing is written yet.
    pub fn new(
        objects: Arc<dyn Objects>,
        credentials: Arc<dyn Credentials>,
        metrics: InventoryMetrics,
    ) -> Self {
        Self {
            rights: Rights {
                objects,
                credentials,
            },
            metrics,
            tried: HashMap::new(),
        }
    }

    /// Writes what is due, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let work = async {
            loop {
                look.tick().await;
                self.turn(now_ms()).await;
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = work => {}
        }
    }

    /// Writes what is due at `now_ms` (milliseconds since 1970).
    pub async fn turn(&mut self, now_ms: u64) {
        let rows = match self.rights.objects.list_buckets().await {
            Ok(rows) => rows,
            Err(failure) => {
                tracing::debug!(error = %failure, "buckets cannot be listed for inventories");
                return;
            }
        };
        // Most buckets have none, and are not looked up.
        let names: Vec<BucketName> = rows
            .into_iter()
            .filter(|row| row.config.iter().any(|(name, _)| name == INVENTORY))
            .filter_map(|row| BucketName::parse(&row.name).ok())
            .collect();
        let mut known = HashMap::new();
        for name in names {
            self.turn_of(&name, now_ms, &mut known).await;
        }
        self.tried = known;
    }

    /// Writes what is due of a bucket, one list after the other.
    async fn turn_of(&self, name: &BucketName, now_ms: u64, known: &mut Known) {
        let begun = Instant::now();
        let mut after: Option<String> = None;
        loop {
            // Anew for each list: one may take hours, and meanwhile another be taken away.
            let bucket = match self.rights.objects.bucket(name).await {
                Ok(bucket) => bucket,
                Err(failure) => {
                    tracing::debug!(bucket = %name, error = %failure, "no inventories are written");
                    return;
                }
            };
            let all = bucket.settings().inventory.as_ref();
            let rest = all.map_or(&[][..], |all| all.after(after.as_deref()));
            let Some(inventory) = rest.first() else {
                return;
            };
            if inventory.enabled {
                let at = (name.to_string(), inventory.id.clone());
                let now_ms = now_ms + begun.elapsed().as_millis() as u64;
                let tried = self.tried.get(&at).filter(|tried| tried.of == *inventory);
                let tried = tried.map(|tried| tried.how);
                let how = self
                    .look_at((name, &bucket), inventory, tried, now_ms)
                    .await;
                let of = inventory.clone();
                known.insert(at, Attempt { of, how });
            }
            after = Some(inventory.id.clone());
        }
    }

    /// Writes a list if it is due. Returns what there is to be known of it next time.
    async fn look_at(
        &self,
        (name, bucket): (&BucketName, &Bucket),
        inventory: &Inventory,
        tried: Option<Tried>,
        now_ms: u64,
    ) -> Tried {
        let since_ms = schedule::since(inventory.frequency, now_ms);
        if let Some(tried) = tried.filter(|tried| !tried.is_due(since_ms, now_ms)) {
            return tried;
        }
        let times = match tried {
            Some(Tried::Failed { times, .. }) => times + 1,
            _ => 0,
        };
        let id = &inventory.id;
        let list = List {
            rights: &self.rights,
            names: Names::new(name.as_str(), inventory),
            bucket,
            name,
            inventory,
            since_ms,
            now_ms,
        };
        match list.write().await {
            Ok(None) => Tried::Written { since_ms },
            Ok(Some(rows)) => {
                self.metrics.written(rows);
                tracing::info!(bucket = %name, id, rows, "an inventory list was written");
                Tried::Written { since_ms }
            }
            Err(failure) => {
                self.metrics.failed();
                let to = &inventory.bucket;
                tracing::warn!(
                    bucket = %name, id, %to, error = %failure,
                    "an inventory list could not be written; it is tried again"
                );
                let at_ms = now_ms;
                Tried::Failed { times, at_ms }
            }
        }
    }
}
