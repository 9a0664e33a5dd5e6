//! The fjall backend passes the suite.
//!
//! Owns: making and reopening it. Leaves to others: the facts ([`crate::conformance`]), failures of
//! the engine (`faults`), kills of a process (`tests/kill.rs` of the crate).
//! Always: memtables are small, so that flushes and compactions take part.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use tempfile::TempDir;

use super::*;
use crate::conformance::Backend;

#[derive(Default)]
struct Fjall {
    directories: Mutex<HashMap<IndexId, TempDir>>,
}

/// Small, so that flushes and compactions take part.
fn config(path: &Path) -> FjallConfig {
    FjallConfig {
        memtable_bytes: 64 << 10,
        cache_bytes: 1 << 20,
        ..FjallConfig::new(path)
    }
}

fn open(path: &Path) -> FjallIndex {
    FjallIndex::open(&config(path), IndexMetrics::default()).unwrap()
}

#[async_trait]
impl Backend for Fjall {
    async fn create(&self) -> Arc<dyn Index> {
        let directory = tempfile::tempdir().unwrap();
        let index = open(directory.path());
        self.directories
            .lock()
            .unwrap()
            .insert(index.id(), directory);
        Arc::new(index)
    }
    async fn reopen(&self, index: Arc<dyn Index>) -> Arc<dyn Index> {
        index.close().await.unwrap();
        let directories = self.directories.lock().unwrap();
        Arc::new(open(directories[&index.id()].path()))
    }
}

crate::conformance_tests!(Fjall::default());

mod faults;
