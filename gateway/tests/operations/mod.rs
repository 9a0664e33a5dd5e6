//! The gateway's operations over a cluster in memory.

pub mod requests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use holdfast_gateway::object::{Notices, Service, WriteIds};
use holdfast_gateway::{BucketName, ObjectKey};
use holdfast_protocol::{DriveId, GatewayId, WriteId};
use holdfast_workers::Workers;

use crate::support::Running;

struct Told(Workers);

impl Notices for Told {
    fn purge(&self) {
        self.0.wake_purge();
    }
    fn heal(&self) {
        self.0.wake_heal();
    }
    fn void(&self, write: WriteId, drives: Vec<DriveId>) {
        self.0.void(write, drives);
    }
    fn hides_writes(&self) -> bool {
        self.0.hides_writes()
    }
    fn fatal(&self, why: String) {
        panic!("fatal: {why}");
    }
}

/// The operations of a gateway that runs; each call gives one in an epoch of its own.
pub fn service(running: &Running) -> Service {
    static EPOCH: AtomicU32 = AtomicU32::new(0);
    let epoch = EPOCH.fetch_add(1, Ordering::Relaxed) + 1;
    Service::new(
        running.store.clone(),
        Arc::clone(&running.index) as _,
        Arc::clone(&running.readers),
        Arc::new(WriteIds::new(GatewayId::new(2), epoch)),
        Arc::new(Told(running.workers.clone())),
    )
}

/// The bucket that every cluster has.
pub fn bucket() -> BucketName {
    BucketName::parse("bucket").unwrap()
}

/// A key.
pub fn object_key(key: &str) -> ObjectKey {
    ObjectKey::parse(key).unwrap()
}
