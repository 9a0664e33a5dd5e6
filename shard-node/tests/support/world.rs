//! A world without threads: time is virtual, blocking work runs at once, randomness is seeded.
//!
//! Owns: the simulated forms that the drive tests need beside the simulated disk.
//! Leaves to others: the disk (`holdfast-sim`).
//! Always: the same seed gives the same run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use holdfast_seam::spawn::{BoxFuture, Job};
use holdfast_seam::{Clock, Disk, Monotonic, RealNet, Rng, Spawn, Task, World};
use tokio::sync::oneshot;
use tokio::time::Instant;

#[derive(Debug)]
struct Inline;

impl Spawn for Inline {
    fn task(&self, _name: &'static str, future: BoxFuture<'static, ()>) -> Task {
        let (send, done) = oneshot::channel();
        let handle = tokio::spawn(async move {
            future.await;
            let _ = send.send(());
        });
        {
            let handle = handle.abort_handle();
            Task::new(Some(Box::new(move || handle.abort())), done)
        }
    }
    fn blocking(&self, job: Job) {
        job();
    }
    fn thread(&self, _name: &str, job: Job) -> Task {
        let (send, done) = oneshot::channel();
        job();
        let _ = send.send(());
        Task::new(None, done)
    }
}

#[derive(Debug)]
struct Virtual(Instant);

impl Clock for Virtual {
    fn now(&self) -> Monotonic {
        Monotonic::default().plus(self.0.elapsed())
    }
    fn unix_ms(&self) -> u64 {
        1_700_000_000_000
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

#[derive(Debug)]
struct Seeded(AtomicU64);

impl Rng for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let n = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            let z = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).to_le_bytes();
            chunk.copy_from_slice(&z[..chunk.len()]);
        }
    }
}

/// A world over `disk`; call it inside a runtime.
pub fn world(disk: Arc<dyn Disk>, seed: u64) -> World {
    World {
        disk,
        net: Arc::new(RealNet),
        clock: Arc::new(Virtual(Instant::now())),
        rng: Arc::new(Seeded(AtomicU64::new(seed))),
        spawn: Arc::new(Inline),
    }
}

/// Runs `test` to its end, with virtual time.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test)
}
