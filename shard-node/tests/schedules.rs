//! Goal: nothing is answered before its sync, and a failed sync fails everything it covered,
//! whatever the order in which tasks run.
//!
//! Method: the real drive over the simulated disk, its tasks and jobs under random schedules
//! (`shuttle`). Clients seal at once while a sync fails or power is cut at a random change; then
//! the disk forgets what was not synced. A failing schedule prints itself and can be replayed.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use holdfast_protocol::rpc::DriveReply;
use holdfast_seam::spawn::{BoxFuture, Job};
use holdfast_seam::{Clock, Monotonic, RealNet, Rng, Spawn, Task, World};
use holdfast_shard_node::{Drive, FormatOptions};
use holdfast_sim::SimDisk;
use shuttle::rand::Rng as _;
use shuttle::scheduler::RandomScheduler;
use support::rig::{DIR, config};
use support::*;
use tokio::sync::oneshot;

const SCHEDULES: usize = 300;
const CLIENTS: u64 = 6;
const WRITES: u64 = 3;

#[derive(Debug)]
struct Scheduled;

impl Spawn for Scheduled {
    fn task(&self, _name: &'static str, future: BoxFuture<'static, ()>) -> Task {
        let (send, done) = oneshot::channel();
        shuttle::future::spawn(async move {
            future.await;
            let _ = send.send(());
        });
        Task::new(None, done)
    }
    fn blocking(&self, job: Job) {
        shuttle::future::spawn(async move { job() });
    }
    fn thread(&self, _name: &str, job: Job) -> Task {
        self.task("thread", Box::pin(async move { job() }))
    }
}

/// Time that passes by a step whenever somebody looks or sleeps.
#[derive(Debug, Default)]
struct Steps(Arc<AtomicU64>);

impl Clock for Steps {
    fn now(&self) -> Monotonic {
        let step = self.0.fetch_add(1, Ordering::Relaxed);
        Monotonic::default().plus(Duration::from_micros(step))
    }
    fn unix_ms(&self) -> u64 {
        1_700_000_000_000
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let micros = u64::try_from(duration.as_micros()).unwrap();
        self.0.fetch_add(micros, Ordering::Relaxed);
        Box::pin(shuttle::future::yield_now())
    }
}

#[derive(Debug)]
struct Drawn;

impl Rng for Drawn {
    fn fill(&self, bytes: &mut [u8]) {
        shuttle::rand::thread_rng().fill(bytes);
    }
}

/// What goes wrong while clients seal.
#[derive(Clone, Copy)]
enum Fault {
    None,
    Sync,
    Power,
}

async fn open(world: &World) -> Drive {
    let opened = Drive::open(world, config(), Path::new(DIR), CLUSTER, Some(DRIVE)).await;
    opened.unwrap()
}

async fn model(fault: Fault) {
    let disk = SimDisk::new(shuttle::rand::thread_rng().r#gen());
    let world = World {
        disk: Arc::new(disk.clone()),
        net: Arc::new(RealNet),
        clock: Arc::new(Steps::default()),
        rng: Arc::new(Drawn),
        spawn: Arc::new(Scheduled),
    };
    let options = FormatOptions {
        arena_len: 4 << 20,
        chunk_len: 64 << 10,
    };
    Drive::format(&world, Path::new(DIR), CLUSTER, DRIVE, options)
        .await
        .unwrap();
    let drive = Arc::new(open(&world).await);
    match fault {
        Fault::None => {}
        Fault::Sync => disk.fail_sync(shuttle::rand::thread_rng().gen_range(0..4)),
        Fault::Power => disk.cut_power(shuttle::rand::thread_rng().gen_range(0..20)),
    }
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let drive = Arc::clone(&drive);
        clients.push(shuttle::future::spawn(async move {
            let mut acknowledged = Vec::new();
            for nth in 0..WRITES {
                let write = write_id(1 + client * WRITES + nth);
                if let Ok(reply) = seal(&drive, inline_record(write, 100), None).await {
                    assert!(matches!(reply, DriveReply::Sealed { .. }), "{reply:?}");
                    acknowledged.push(write);
                }
            }
            acknowledged
        }));
    }
    let mut acknowledged = Vec::new();
    for client in clients {
        acknowledged.extend(client.await.unwrap());
    }
    let all = (CLIENTS * WRITES) as usize;
    assert!(matches!(fault, Fault::None) <= (acknowledged.len() == all));
    Arc::into_inner(drive).unwrap().abandon().await;
    disk.crash();
    let drive = open(&world).await;
    for write in acknowledged {
        let record = read_record(&drive, write).await;
        assert_eq!(
            record.unwrap(),
            inline_record(write, 100),
            "{write:?} was lost"
        );
    }
    drive.audit().unwrap();
    drive.abandon().await;
}

fn explore(fault: Fault) {
    let mut config = shuttle::Config::new();
    // A drive's futures are larger than shuttle's stacks are to begin with.
    config.stack_size = 1 << 20;
    let scheduler = RandomScheduler::new(SCHEDULES);
    shuttle::Runner::new(scheduler, config).run(move || shuttle::future::block_on(model(fault)));
}

#[test]
fn what_was_answered_is_there_after_a_crash() {
    explore(Fault::None);
}

#[test]
fn a_failed_sync_fails_everything_it_covered() {
    explore(Fault::Sync);
}

#[test]
fn nothing_is_answered_before_its_sync() {
    explore(Fault::Power);
}
