//! The memory backend passes the suite.
//!
//! Owns: making and reopening it. Leaves to others: the facts ([`crate::conformance`]).
//! Always: a reopened index is a new handle on the same rows.

use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::conformance::Backend;

#[derive(Default)]
struct Memory {
    made: Mutex<Vec<(IndexId, Arc<Mutex<State>>)>>,
}

#[async_trait]
impl Backend for Memory {
    async fn create(&self) -> Arc<dyn Index> {
        let mut made = self.made.lock().unwrap();
        let index = MemoryIndex::new(IndexId::new(made.len() as u128 + 1));
        made.push((index.id, Arc::clone(&index.inner.state)));
        Arc::new(index)
    }
    async fn reopen(&self, index: Arc<dyn Index>) -> Arc<dyn Index> {
        let made = self.made.lock().unwrap();
        let (id, state) = made.iter().find(|(id, _)| *id == index.id()).unwrap();
        Arc::new(MemoryIndex::open(*id, Arc::clone(state)))
    }
}

crate::conformance_tests!(Memory::default());

#[test]
fn reopening_takes_over_from_a_handle_that_was_not_closed() {
    let old = MemoryIndex::new(IndexId::new(1));
    let new = old.reopen();
    assert!(matches!(
        old.inner.get(Table::Current, b"k"),
        Err(IndexError::Closed)
    ));
    assert_eq!(new.inner.get(Table::Current, b"k").unwrap(), None);
}
