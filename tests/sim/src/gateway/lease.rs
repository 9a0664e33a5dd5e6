//! The lease of a simulated gateway, as the product's start takes it.
//!
//! Owns: who served from an index before, taking the lease, keeping it.
//! Leaves to others: when ([`super`]); who takes over from whom ([`crate::director`]).
//! Always: nothing is read of the drives or written before the lease is held.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_protocol::ClaimantId;
use holdfast_seam::World;
use holdfast_store::Drives;
use holdfast_workers::{ClaimOptions, Claimed, KeeperParts, LeaseKeeper, Takeover, claim};

use super::{CLUSTER, Fatal, Parts, Start, said};

/// How long the lease is waited for before it is seen whether more drives can be claimed.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a gateway comes by its lease: its length, and who has ended on the same index.
#[derive(Clone, Debug)]
pub struct Leasing {
    len: Duration,
    ended: Arc<Mutex<Vec<ClaimantId>>>,
}

impl Leasing {
    /// Leases of that length, on an index from which nobody has served.
    pub fn new(len: Duration) -> Self {
        let ended = Arc::default();
        Self { len, ended }
    }

    /// The same, on a copy of the index: whoever served from the other may do so still.
    pub fn elsewhere(&self) -> Self {
        Self::new(self.len)
    }

    fn takeover(&self) -> Takeover {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        Takeover {
            ended: ended.clone(),
            word: false,
        }
    }

    /// Takes the lease for who claimed; `None` when the drives are to be claimed anew.
    async fn take(
        &self,
        world: &World,
        drives: &Arc<Drives>,
        claimed: &Claimed,
        fatal: &Fatal,
    ) -> Option<LeaseKeeper> {
        self.ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(claimed.claimant);
        let on_lost = Arc::clone(fatal);
        let keeper = LeaseKeeper::start(KeeperParts {
            world: world.clone(),
            drives: Arc::clone(drives),
            map: claimed.map.clone(),
            len: self.len,
            holder: format!("gateway {}", claimed.claimant),
            on_lost: Arc::new(move |why| on_lost(why)),
        });
        if keeper
            .held_unless_back(&claimed.absent, PATIENCE, || {})
            .await
        {
            return Some(keeper);
        }
        keeper.stop().await;
        None
    }
}

/// Claims the drives, and again until the lease can be taken, if there is to be one.
///
/// # Errors
/// What the claim failed with.
pub(super) async fn claimed(
    parts: &Parts,
    drives: &Arc<Drives>,
    deadline: Duration,
    fatal: &Fatal,
) -> Result<(Claimed, Option<LeaseKeeper>), String> {
    loop {
        let options = ClaimOptions {
            cluster: Some(CLUSTER),
            takeover: parts.start == Start::Rebuild,
            deadline,
            lease: parts.leasing.as_ref().map(Leasing::takeover),
            ..ClaimOptions::default()
        };
        let claimed = claim(drives, &parts.world, &parts.index, &options)
            .await
            .map_err(said("claim"))?;
        let Some(leasing) = &parts.leasing else {
            return Ok((claimed, None));
        };
        let taken = leasing.take(&parts.world, drives, &claimed, fatal);
        if let Some(lease) = taken.await {
            return Ok((claimed, Some(lease)));
        }
    }
}
