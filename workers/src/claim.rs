//! The claim: how a start of an index becomes the one that all drives obey.
//!
//! Owns: asking every drive, taking the next generation, and saying what the merge must look at.
//! Leaves to others: the merge ([`crate::merge`]), leases (gateway), making a first map (cli).
//! Always: nothing is read of the drives before the generation is granted by a system quorum of
//! them. The index starts a generation before the drives are asked for it, so drives never know a
//! higher one than the index they obey; if they do, the index is an old copy. Nor are they told of
//! a change (a purge, a move) before its order is settled: an old copy within one generation, too,
//! is known for what it is.

mod number;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use holdfast_index::{Index, rows};
use holdfast_protocol::rpc::{DriveError, DriveStatus};
use holdfast_protocol::{
    ClaimantId, ClusterId, ClusterMap, DriveId, Generation, IndexId, MapVersion, Order, Record,
    RecordKind, WriteId,
};
use holdfast_seam::{Clock, World, planted};
use holdfast_store::survey::{self, InventoryQuery};
use holdfast_store::{Drives, Serving};

use crate::error::{Result, WorkersError};
use crate::lease::takeover::{Claims, Takeover, Views};

/// Kind of the system record that is the cluster map.
pub const MAP_KIND: &str = "map";
/// Name of the system record that is the cluster map.
pub const MAP_NAME: &str = "cluster";
const ATTEMPTS_MAX: usize = 5;

/// How to claim.
#[derive(Clone, Debug)]
pub struct ClaimOptions {
    /// The cluster that all drives must belong to, where it is known.
    pub cluster: Option<ClusterId>,
    /// Take drives over from the index they obey: for a rebuild, on an operator's word.
    pub takeover: bool,
    /// How long a drive may take to answer.
    pub deadline: Duration,
    /// What to do about the lease of another gateway; `None` where the lock on the data directory
    /// is the lease.
    pub lease: Option<Takeover>,
    /// Who claims; `None` takes a new number.
    pub claimant: Option<ClaimantId>,
}

impl Default for ClaimOptions {
    fn default() -> Self {
        Self {
            cluster: None,
            takeover: false,
            deadline: Duration::from_secs(10),
            lease: None,
            claimant: None,
        }
    }
}

/// A claim that succeeded.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The generation that is served from now on.
    pub generation: Generation,
    /// The newest map known; `None` only when there never was one.
    pub map: Option<ClusterMap>,
    /// Drives that granted the generation.
    pub granted: BTreeSet<DriveId>,
    /// Living drives of the map that did not.
    pub absent: BTreeSet<DriveId>,
    /// Drives that lost entries of their log, by what they say or by what the index saw: they count
    /// as absent until fully compared.
    pub lost_logs: BTreeSet<DriveId>,
    /// Drives that obeyed no index before: new, or laid out anew.
    pub blank: BTreeSet<DriveId>,
    /// Records at or above this order must be merged.
    pub merge_from: Order,
    /// Who claimed.
    pub claimant: ClaimantId,
    /// The index is an old copy, or new beside drives that are not, or drives are back that can
    /// tell what a rebuild left in doubt: it is to be rebuilt from the drives.
    pub is_old_copy: bool,
}

/// Claims the drives attached to `drives` for `index`, and starts the generation.
///
/// A claim takes one more than the highest number that the drives and the index know. It succeeds
/// when a system quorum of the map's living drives granted it; before there is a map, all attached
/// drives must. When the drives granted a generation that this index never started, it is an old
/// copy (or new, and takes the drives over): then everything is merged, and its rows count for
/// nothing.
///
/// # Errors
/// `ForeignDrive`, `OtherIndex`, `TooFewDrives`, `ClaimRaced`, `Index`.
pub async fn claim(
    drives: &Drives,
    world: &World,
    index: &dyn Index,
    options: &ClaimOptions,
) -> Result<Claimed> {
    let settled = index.settled().await?;
    let known = known_map(index).await?;
    let mut claim = Claim {
        drives,
        index,
        options,
        cluster: options.cluster.or(known.as_ref().map(|map| map.cluster)),
        map: known,
        claimant: match options.claimant {
            Some(claimant) => claimant,
            None => ClaimantId::new(world.rng.u128()),
        },
        strays: Generation::default(),
    };
    let views = claim.ask_holders(&*world.clock).await?;
    let own = options.lease.as_ref().map_or(0, |lease| lease.own(&views));
    let (generation, granted) = claim.take().await?;
    let is_newer = number::epoch(generation) > number::epoch(settled.generation);
    let is_old_copy = is_newer && !planted("old-copy-served");
    if claim.map.is_none() || is_old_copy {
        claim.ask_for_map(&granted).await;
    }
    let absent = claim.check_quorum(&granted, own)?;
    claim.wait_out(&*world.clock, &views, &granted).await;
    let lost_logs = claim.lost_logs(&granted).await?;
    drives.serve(claim.serving(generation));
    tracing::info!(
        %generation,
        granted = granted.len(),
        absent = absent.len(),
        lost_logs = lost_logs.len(),
        full = is_old_copy,
        "generation claimed"
    );
    let is_blank = |(_, status): &(&DriveId, &DriveStatus)| status.index.is_none();
    let blank = granted
        .iter()
        .filter(is_blank)
        .map(|(drive, _)| *drive)
        .collect();
    let granted_ids = granted.into_keys().collect();
    Ok(Claimed {
        generation,
        map: claim.map,
        claimant: claim.claimant,
        granted: granted_ids,
        absent,
        lost_logs,
        blank,
        merge_from: if is_old_copy { Order::ZERO } else { settled },
        is_old_copy,
    })
}

async fn known_map(index: &dyn Index) -> Result<Option<ClusterMap>> {
    let row = rows::get_system(index, MAP_KIND, MAP_NAME).await?;
    row.map(|row| {
        ClusterMap::decode(&row.value).map_err(|error| WorkersError::Damaged {
            what: "the cluster map in the index".to_owned(),
            why: error.to_string(),
        })
    })
    .transpose()
}

type Granted = BTreeMap<DriveId, DriveStatus>;

struct Claim<'a> {
    drives: &'a Drives,
    index: &'a dyn Index,
    options: &'a ClaimOptions,
    cluster: Option<ClusterId>,
    map: Option<ClusterMap>,
    claimant: ClaimantId,
    /// The highest generation of drives that obey an index that was given up.
    strays: Generation,
}

impl Claim<'_> {
    fn serving(&self, generation: Generation) -> Serving {
        let version = self.map.as_ref().map(|map| map.version);
        Serving {
            index: self.index.id(),
            generation,
            map_version: version.unwrap_or(MapVersion::new(0)),
            claimant: self.claimant,
        }
    }

    /// The generation taken, and who granted it.
    async fn take(&mut self) -> Result<(Generation, Granted)> {
        for _ in 0..ATTEMPTS_MAX {
            let statuses = self.statuses().await?;
            let map = self.map.as_ref();
            let next = number::next(self.index, map, &statuses, self.strays).await?;
            self.index.start_generation(next).await?;
            self.drives.serve(self.serving(next));
            match self.ask(next, statuses).await? {
                Ok(granted) => return Ok((next, granted)),
                Err(current) => tracing::warn!(%next, %current, "generation taken, asking again"),
            }
        }
        let last = self.index.generation();
        Err(WorkersError::ClaimRaced { last })
    }

    /// The drives that answer, all of this cluster and this index.
    async fn statuses(&mut self) -> Result<Granted> {
        let mut found = Granted::new();
        for (drive, status) in survey::status_of_all(self.drives, self.options.deadline).await {
            let status = match status {
                Ok(status) => status,
                Err(error) => {
                    tracing::warn!(%drive, %error, "drive does not answer the claim");
                    continue;
                }
            };
            let expected = *self.cluster.get_or_insert(status.cluster);
            if status.cluster != expected {
                return Err(WorkersError::ForeignDrive {
                    drive,
                    found: status.cluster,
                    expected,
                });
            }
            found.insert(drive, status);
        }
        if !self.options.takeover {
            self.leave_strays(&mut found)?;
        }
        Ok(found)
    }

    /// Drives that obey another index were absent when this one was rebuilt, if a quorum obeys this
    /// one: they count as absent until the watcher takes them over and they were compared.
    /// Otherwise it is this index that is the wrong one.
    fn leave_strays(&mut self, found: &mut Granted) -> Result<()> {
        let ours = self.index.id();
        let obeying = found
            .values()
            .filter(|status| status.index == Some(ours))
            .count();
        let needed = match &self.map {
            Some(map) => map.system_quorum(),
            None => found.len() / 2 + 1,
        };
        let strays: Vec<(DriveId, IndexId)> = found
            .iter()
            .filter_map(|(drive, status)| Some((*drive, status.index?)))
            .filter(|(_, index)| *index != ours)
            .collect();
        for (drive, other) in strays {
            if obeying < needed {
                return Err(WorkersError::OtherIndex {
                    drive,
                    found: other,
                    ours,
                });
            }
            tracing::warn!(
                %drive, index = %other,
                "drive missed the rebuild, it is compared later"
            );
            let status = found.remove(&drive);
            let generation = status.map(|status| status.generation);
            self.strays = self.strays.max(generation.unwrap_or_default());
        }
        Ok(())
    }

    /// Who grants `generation`; or, as the inner error, a number that is taken already.
    async fn ask(
        &self,
        generation: Generation,
        statuses: Granted,
    ) -> Result<std::result::Result<Granted, Generation>> {
        let asked = statuses.into_iter().map(|(drive, status)| async move {
            let (deadline, takeover) = (self.options.deadline, self.options.takeover);
            let claimant = self.claimant;
            let outcome =
                survey::claim(self.drives, drive, deadline, generation, claimant, takeover).await;
            (drive, status, outcome)
        });
        let (mut granted, mut taken) = (Granted::new(), None);
        for (drive, status, outcome) in join_all(asked).await {
            match outcome {
                Ok(()) => drop(granted.insert(drive, status)),
                Err(DriveError::OldGeneration { current }) => taken = taken.max(Some(current)),
                Err(DriveError::OtherIndex { current: found }) => {
                    let ours = self.index.id();
                    return Err(WorkersError::OtherIndex { drive, found, ours });
                }
                Err(error) => tracing::warn!(%drive, %error, "drive did not grant the claim"),
            }
        }
        Ok(taken.map_or(Ok(granted), Err))
    }

    /// Takes the newest map that the drives keep, if it is newer than the one known.
    async fn ask_for_map(&mut self, granted: &Granted) {
        let Some(cluster) = self.cluster else { return };
        let mut found: BTreeMap<(Order, WriteId), Vec<DriveId>> = BTreeMap::new();
        for &drive in granted.keys() {
            if let Err(error) = self.list_system(drive, &mut found).await {
                tracing::warn!(%drive, %error, "system records of the drive are not listed");
            }
        }
        for ((_, write), holders) in found.into_iter().rev() {
            let Some(map) = self.read_map(cluster, write, &holders).await else {
                continue;
            };
            if self
                .map
                .as_ref()
                .is_none_or(|known| known.version < map.version)
            {
                self.map = Some(map);
            }
            return;
        }
    }

    async fn list_system(
        &self,
        drive: DriveId,
        found: &mut BTreeMap<(Order, WriteId), Vec<DriveId>>,
    ) -> std::result::Result<(), DriveError> {
        let mut query = InventoryQuery::from_order(Order::ZERO, 4096);
        query.kind = Some(RecordKind::System);
        loop {
            let page = survey::inventory(self.drives, drive, self.options.deadline, query).await?;
            for entry in &page.entries {
                let key = (entry.order, entry.write);
                found.entry(key).or_default().push(drive);
            }
            query.after = page.entries.last().map(|entry| entry.write);
            if !page.more {
                return Ok(());
            }
        }
    }

    async fn read_map(
        &self,
        cluster: ClusterId,
        write: WriteId,
        holders: &[DriveId],
    ) -> Option<ClusterMap> {
        for &drive in holders {
            let deadline = self.options.deadline;
            let kept =
                survey::read_record(self.drives, cluster, drive, deadline, write, false).await;
            match kept.map(|kept| kept.record) {
                Ok(Record::System {
                    kind, name, value, ..
                }) => {
                    if kind != MAP_KIND || name != MAP_NAME {
                        return None;
                    }
                    match ClusterMap::decode(&value) {
                        Ok(map) => return Some(map),
                        Err(error) => tracing::error!(%drive, %write, %error, "map unreadable"),
                    }
                }
                Ok(_) => return None,
                Err(error) => tracing::warn!(%drive, %write, %error, "system record unreadable"),
            }
        }
        None
    }

    /// Makes sure that no other gateway serves. Returns what the drives say of their leases.
    async fn ask_holders(&self, clock: &dyn Clock) -> Result<Views> {
        match &self.options.lease {
            Some(lease) => lease.ask(self.drives, clock, self.options.deadline).await,
            None => Ok(Views::new()),
        }
    }

    /// Waits until no earlier lease is left.
    async fn wait_out(&self, clock: &dyn Clock, before: &Views, granted: &Granted) {
        let Some(lease) = &self.options.lease else {
            return;
        };
        let claimed = Claims {
            drives: granted.keys().copied().collect(),
            enough: self.map.as_ref().is_none_or(|map| {
                let living = map.living().filter(|drive| granted.contains_key(&drive.id));
                living.count() >= map.system_quorum() || lease.own(before) >= map.ask_count()
            }),
        };
        let deadline = self.options.deadline;
        lease
            .wait_out(self.drives, clock, deadline, before, &claimed)
            .await;
    }

    /// The living drives that did not grant; an error when they are too many.
    ///
    /// A takeover needs so many that no other gateway can renew its lease without them. A restart
    /// that finds its own predecessor (`own` drives obey it) needs only as many as that one needed
    /// to serve, and so does the operator's word.
    fn check_quorum(&self, granted: &Granted, own: usize) -> Result<BTreeSet<DriveId>> {
        let what = "claim";
        let Some(map) = &self.map else {
            let living = self.drives.ids().len();
            let answered = granted.len();
            return match answered == living && living > 0 {
                true => Ok(BTreeSet::new()),
                false => Err(WorkersError::TooFewDrives {
                    what,
                    answered,
                    needed: living,
                    living,
                }),
            };
        };
        let living: BTreeSet<DriveId> = map.living().map(|drive| drive.id).collect();
        let absent: BTreeSet<DriveId> = living
            .iter()
            .copied()
            .filter(|drive| !granted.contains_key(drive))
            .collect();
        let word = self.options.lease.as_ref().is_some_and(|lease| lease.word);
        let needed = match word || own >= map.ask_count() {
            true => map.system_quorum().min(map.ask_count()),
            false => map.system_quorum(),
        };
        let answered = living.len() - absent.len();
        if answered < needed {
            let living = living.len();
            return Err(WorkersError::TooFewDrives {
                what,
                answered,
                needed,
                living,
            });
        }
        Ok(absent)
    }

    /// Drives that say that they lost entries of their log, and those that lost the end of it, or
    /// all of it, since the index saw it.
    async fn lost_logs(&self, granted: &Granted) -> Result<BTreeSet<DriveId>> {
        let mut lost = BTreeSet::new();
        for (&drive, status) in granted {
            let seen = rows::get_seen(self.index, drive).await?;
            let is_other = seen
                .is_some_and(|seen| status.end.log != seen.log || status.end.batch < seen.batch);
            if is_other || status.partial {
                tracing::warn!(%drive, ?seen, end = ?status.end, "drive lost entries of its log");
                lost.insert(drive);
            }
        }
        Ok(lost)
    }
}
