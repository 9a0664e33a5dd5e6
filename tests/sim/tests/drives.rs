//! Goal: an error that is injected while a drive opens is one of its process, not of the product.
//! Method: a director without faults over a quiet simulated cluster; one disk fails once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_sim::cluster::Cluster;
use holdfast_sim::dice::Dice;
use holdfast_sim::director::Director;
use holdfast_sim::exec::{Exec, OUTSIDE};
use holdfast_sim::load::Load;
use holdfast_sim::plan::Plan;

#[test]
fn a_drive_that_an_injected_error_kept_from_opening_is_started_again() {
    let plan = Plan {
        faults: Vec::new(),
        ..Plan::new(5)
    };
    let mut dice = Dice::new(5);
    let exec = Exec::new(dice.fork());
    let cluster = Cluster::new(exec.clone(), &plan, dice.fork());
    let cluster = Arc::new(Mutex::new(cluster));
    let load = Load::new(exec.clone(), &plan);
    let (all, clock) = (Arc::clone(&cluster), exec.clone());
    let mut director = Director::new(all, load, clock, plan.clone(), dice.fork());
    let is_done = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_done);
    let test = async move {
        (0..plan.nodes).for_each(|node| lock(&cluster).start(node));
        serve(&mut director, &cluster).await;
        let disk = lock(&cluster).nodes[0].drives[0].disk.clone();
        lock(&cluster).kill(0);
        lock(&cluster).start(0);
        disk.fail_write(0);
        director.tick().await.unwrap();
        let first = lock(&cluster).nodes[0].process;
        serve(&mut director, &cluster).await;
        assert_ne!(
            lock(&cluster).nodes[0].process,
            first,
            "it was started again"
        );
        told.store(true, Ordering::SeqCst);
    };
    exec.spawn(OUTSIDE, "test", Box::pin(test));
    while !is_done.load(Ordering::SeqCst) {
        exec.step().unwrap();
    }
    exec.shut_down();
}

fn lock(cluster: &Mutex<Cluster>) -> std::sync::MutexGuard<'_, Cluster> {
    cluster.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until all drives serve.
async fn serve(director: &mut Director, cluster: &Mutex<Cluster>) {
    for _ in 0..10_000 {
        if lock(cluster).all_serve() {
            return;
        }
        director.tick().await.unwrap();
    }
    panic!("not all drives serve");
}
