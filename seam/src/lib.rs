//! The seam between the core and the world.
//!
//! Owns: the traits through which `shard-node`, `store` and `workers` reach disk, network, time,
//! randomness and tasks ([`Disk`], [`Net`], [`Clock`], [`Rng`], [`Spawn`]), the one trait by which
//! a drive is called ([`NodeClient`]), and their real forms ([`World::real`]).
//! Leaves to others: simulated forms (`tests/sim`).
//! Always: nothing here decides anything; replacing every form replaces the world.

pub mod clock;
pub mod disk;
pub mod metrics;
pub mod net;
pub mod node;
pub mod planted;
pub mod rng;
pub mod rpc;
pub mod spawn;

use std::sync::Arc;

pub use clock::{Clock, Monotonic, RealClock};
pub use disk::{Disk, DiskFile, OpenMode, RealDisk};
pub use metrics::RpcMetrics;
pub use net::{Connection, Listener, Net, RealNet};
pub use node::NodeClient;
pub use planted::planted;
pub use rng::{RealRng, Rng};
pub use spawn::{Abort, BoxFuture, Job, RealSpawn, Spawn, Task};

/// Everything the core may reach.
#[derive(Clone, Debug)]
pub struct World {
    /// Files.
    pub disk: Arc<dyn Disk>,
    /// Connections.
    pub net: Arc<dyn Net>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// Tasks and threads.
    pub spawn: Arc<dyn Spawn>,
}

impl World {
    /// The real world, with `io_threads` threads for blocking work; call it inside a tokio runtime.
    pub fn real(io_threads: usize) -> Self {
        Self {
            disk: Arc::new(RealDisk),
            net: Arc::new(RealNet),
            clock: Arc::new(RealClock::new()),
            rng: Arc::new(RealRng),
            spawn: Arc::new(RealSpawn::new(
                tokio::runtime::Handle::current(),
                io_threads,
            )),
        }
    }
}
