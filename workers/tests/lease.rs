//! Goal: a gateway that claims disturbs nobody who serves, and serves only when no earlier lease is
//! left.
//!
//! Method: claims and lease keepers over drives in memory, real time, short leases.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use holdfast_protocol::ClaimantId;
use holdfast_store::Drives;
use holdfast_workers::{
    ClaimOptions, Claimed, KeeperParts, LeaseKeeper, Takeover, WorkersError, claim,
};
use support::Cluster;

const PATIENCE: Duration = Duration::from_secs(20);

fn options(ended: Vec<ClaimantId>, word: bool) -> ClaimOptions {
    ClaimOptions {
        lease: Some(Takeover { ended, word }),
        ..ClaimOptions::default()
    }
}

struct Gateway {
    keeper: LeaseKeeper,
    claimant: ClaimantId,
    lost: Arc<Mutex<Vec<String>>>,
}

/// Claims `drives` for the cluster's index and starts to keep the lease.
async fn serve(
    cluster: &Cluster,
    drives: &Arc<Drives>,
    options: &ClaimOptions,
    len: Duration,
) -> Result<Gateway, WorkersError> {
    let claimed = claim(drives, &cluster.world, &*cluster.index, options).await?;
    let lost = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&lost);
    let keeper = LeaseKeeper::start(KeeperParts {
        world: cluster.world.clone(),
        drives: Arc::clone(drives),
        map: Some(cluster.map(1)),
        len,
        holder: format!("gateway {}", claimed.claimant),
        on_lost: Arc::new(move |why| told.lock().unwrap().push(why)),
    });
    Ok(Gateway {
        keeper,
        claimant: claimed.claimant,
        lost,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_gateway_is_refused_while_the_first_renews() {
    let cluster = Cluster::new("2+1", 4);
    let len = Duration::from_secs(2);
    let first = serve(&cluster, &cluster.attached(), &options(vec![], false), len)
        .await
        .unwrap();
    assert!(first.keeper.held(PATIENCE).await);
    let before = cluster.drives[0].generation();
    let refused = serve(&cluster, &cluster.attached(), &options(vec![], false), len).await;
    match refused.err() {
        Some(WorkersError::Held { holder }) => {
            assert_eq!(holder, format!("gateway {}", first.claimant));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        cluster.drives[0].generation(),
        before,
        "nothing was claimed"
    );
    assert!(first.keeper.held(PATIENCE).await);
    first.keeper.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_waits_for_what_is_left_and_ends_the_other() {
    let cluster = Cluster::new("2+1", 4);
    let len = Duration::from_secs(3);
    let first = serve(&cluster, &cluster.attached(), &options(vec![], false), len)
        .await
        .unwrap();
    assert!(first.keeper.held(PATIENCE).await);
    // On the operator's word, though the first still runs: it is fenced, and its lease waited for.
    let second = serve(&cluster, &cluster.attached(), &options(vec![], true), len)
        .await
        .unwrap();
    assert!(
        first.keeper.guard().check().is_err(),
        "the first may not answer once the second may claim to serve"
    );
    assert!(second.keeper.held(PATIENCE).await);
    let start = Instant::now();
    while first.lost.lock().unwrap().is_empty() {
        assert!(start.elapsed() < PATIENCE, "the first is not told");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(first.lost.lock().unwrap()[0].contains("taken over"));
    assert!(second.lost.lock().unwrap().is_empty());
    second.keeper.stop().await;
    // Given back, nobody waits for it or is refused.
    let third = serve(&cluster, &cluster.attached(), &options(vec![], false), len)
        .await
        .unwrap();
    assert!(third.keeper.held(PATIENCE).await);
    third.keeper.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_knows_its_predecessor_is_not_refused() {
    let cluster = Cluster::new("2+1", 4);
    let len = Duration::from_secs(15);
    let first = serve(&cluster, &cluster.attached(), &options(vec![], false), len)
        .await
        .unwrap();
    assert!(first.keeper.held(PATIENCE).await);
    // Killed: it neither renews nor gives back. Its keeper goes on here, and is fenced.
    let own = options(vec![first.claimant], false);
    let second = serve(&cluster, &cluster.attached(), &own, len)
        .await
        .unwrap();
    assert!(second.keeper.held(PATIENCE).await);
    second.keeper.stop().await;
    first.keeper.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_needs_a_drives_and_ends_without_them() {
    // N = 4, m = 1: a = 3.
    let cluster = Cluster::new("2+1", 4);
    let len = Duration::from_secs(2);
    let first = serve(&cluster, &cluster.attached(), &options(vec![], false), len)
        .await
        .unwrap();
    assert!(first.keeper.held(PATIENCE).await);
    cluster.drives[0].set_down(true);
    cluster.drives[1].set_down(true);
    let start = Instant::now();
    while first.keeper.guard().check().is_ok() {
        assert!(start.elapsed() < PATIENCE, "two drives are not enough");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    cluster.drives[0].set_down(false);
    assert!(first.keeper.held(PATIENCE).await, "three are");
    assert!(first.lost.lock().unwrap().is_empty());
    first.keeper.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drives_that_did_not_grant_the_claim_are_claimed_anew_when_the_lease_needs_them() {
    // N = 8, m = 2: a lease needs 5, a claim 4.
    let mut cluster = Cluster::new("4+2", 8);
    let running = cluster.start().await;
    cluster.kill(running).await;
    let set_down = |is_down| (4..8).for_each(|at| cluster.drives[at].set_down(is_down));
    set_down(true);
    let options = options(vec![], true);
    let drives = cluster.attached();
    let claimed = claim(&drives, &cluster.world, &*cluster.index, &options)
        .await
        .unwrap();
    assert_eq!((claimed.granted.len(), claimed.absent.len()), (4, 4));
    let keeper = |claimed: &Claimed| {
        LeaseKeeper::start(KeeperParts {
            world: cluster.world.clone(),
            drives: Arc::clone(&drives),
            map: claimed.map.clone(),
            len: Duration::from_secs(2),
            holder: "gateway".to_owned(),
            on_lost: Arc::new(|why| panic!("{why}")),
        })
    };
    let first = keeper(&claimed);
    let patience = Duration::from_millis(200);
    assert!(!first.held(patience).await, "four are too few");
    let told = AtomicUsize::new(0);
    let asked = async {
        let told = || {
            told.fetch_add(1, Ordering::SeqCst);
        };
        first
            .held_unless_back(&claimed.absent, patience, told)
            .await
    };
    let back = async {
        while told.load(Ordering::SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        set_down(false);
    };
    let (is_held, ()) = tokio::join!(asked, back);
    assert!(!is_held, "the others obey an older claim, and are back");
    first.stop().await;
    let claimed = claim(&drives, &cluster.world, &*cluster.index, &options)
        .await
        .unwrap();
    assert_eq!(claimed.granted.len(), 8);
    let second = keeper(&claimed);
    assert!(second.held(PATIENCE).await);
    second.stop().await;
}
