//! An index in memory: the model of the others, and what tests and simulations use.
//!
//! Owns: a map of rows behind the same locks, orders and guards as the real ones.
//! Leaves to others: lasting beyond the process.
//! Always: [`MemoryIndex::reopen`] shows exactly what was committed, as a restart would.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use holdfast_protocol::{Generation, IndexId, Order};

use crate::apply::{Group, Stored, stored_key};
use crate::locks::{Held, LockTable};
use crate::orders::{OpenOrders, Orders};
use crate::{Batch, Index, IndexError, Locks, Result, Row, Scan, ScanLimit, Table, Transaction};

/// What a restart would find.
#[derive(Debug)]
struct State {
    rows: Rows,
    generation: Generation,
    settled: Order,
    /// Raised by each open; a handle with a lower number was closed.
    opened: u64,
}

#[derive(Debug, Default)]
struct Rows(BTreeMap<Bytes, Row>);

impl Stored for Rows {
    fn stored(&self, _: Table, key: &[u8]) -> Result<Option<Row>> {
        Ok(self.0.get(key).cloned())
    }
}

/// An index in memory.
#[derive(Debug)]
pub struct MemoryIndex {
    id: IndexId,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Arc<Mutex<State>>,
    /// The open that this handle stands for.
    opened: u64,
    locks: Arc<LockTable>,
    orders: Arc<Orders>,
}

impl MemoryIndex {
    /// A new, empty index.
    pub fn new(id: IndexId) -> Self {
        let state = State {
            rows: Rows::default(),
            generation: Generation::new(0),
            settled: Order::ZERO,
            opened: 0,
        };
        Self::open(id, Arc::new(Mutex::new(state)))
    }

    /// What a restart would find, whatever this handle and its transactions were doing; they are
    /// refused from now on.
    pub fn reopen(&self) -> Self {
        Self::open(self.id, Arc::clone(&self.inner.state))
    }

    /// What a backup of the storage, taken now, would hold; it goes its own way from here.
    pub fn snapshot(&self) -> Self {
        let copy = {
            let state = self.inner.state.lock();
            let state = state.unwrap_or_else(PoisonError::into_inner);
            State {
                rows: Rows(state.rows.0.clone()),
                ..*state
            }
        };
        Self::open(self.id, Arc::new(Mutex::new(copy)))
    }

    fn open(id: IndexId, state: Arc<Mutex<State>>) -> Self {
        let (opened, settled) = {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.opened += 1;
            (state.opened, state.settled)
        };
        Self {
            id,
            inner: Arc::new(Inner {
                state,
                opened,
                locks: LockTable::new(),
                orders: Orders::new(settled),
            }),
        }
    }
}

impl Inner {
    /// The state, unless the handle was closed.
    fn open_state(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.opened == self.opened {
            true => Ok(state),
            false => Err(IndexError::Closed),
        }
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Row>> {
        let state = self.open_state()?;
        state.rows.stored(table, &stored_key(table, key))
    }

    fn scan(
        &self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: ScanLimit,
    ) -> Result<Scan> {
        let state = self.open_state()?;
        let Some(range) = stored_range(table, from, to) else {
            return Ok(Scan::default());
        };
        let mut scan = Scan::default();
        let mut bytes = 0;
        for (key, row) in state.rows.0.range::<[u8], _>((
            range.0.as_ref().map(Bytes::as_ref),
            range.1.as_ref().map(Bytes::as_ref),
        )) {
            let full = scan.rows.len() >= limit.rows || bytes >= limit.bytes;
            if full && !scan.rows.is_empty() {
                scan.more = true;
                break;
            }
            bytes += key.len() - 1 + row.value.len();
            scan.rows.push((key.slice(1..), row.clone()));
        }
        Ok(scan)
    }

    fn commit(&self, batch: &Batch, open: &OpenOrders) -> Result<()> {
        let mut state = self.open_state()?;
        let mut group = Group::new(&state.rows);
        group.add(batch)?;
        let rows = group.into_rows();
        for (key, row) in rows {
            match row {
                Some(row) => state.rows.0.insert(key, row),
                None => state.rows.0.remove(&key),
            };
        }
        state.settled = self.orders.mark(std::iter::once(open));
        Ok(())
    }

    fn advance(&self) -> Result<()> {
        let mut state = self.open_state()?;
        state.settled = self.orders.mark(std::iter::empty());
        Ok(())
    }

    fn check_started(&self) -> Result<()> {
        drop(self.open_state()?);
        match self.orders.started() {
            true => Ok(()),
            false => Err(IndexError::NotStarted),
        }
    }
}

/// The range of stored keys; `None` if it is empty.
pub(crate) fn stored_range(
    table: Table,
    from: Bound<&[u8]>,
    to: Bound<&[u8]>,
) -> Option<(Bound<Bytes>, Bound<Bytes>)> {
    let empty = match (from, to) {
        (Bound::Included(f), Bound::Included(t)) => f > t,
        (Bound::Included(f) | Bound::Excluded(f), Bound::Included(t) | Bound::Excluded(t)) => {
            f >= t
        }
        _ => false,
    };
    if empty {
        return None;
    }
    let low = match from {
        Bound::Unbounded => Bound::Included(stored_key(table, &[])),
        bound => bound.map(|key| stored_key(table, key)),
    };
    let high = match to {
        Bound::Unbounded => Bound::Excluded(Bytes::copy_from_slice(&[table.tag() + 1])),
        bound => bound.map(|key| stored_key(table, key)),
    };
    Some((low, high))
}

#[async_trait]
impl Index for MemoryIndex {
    fn id(&self) -> IndexId {
        self.id
    }

    fn generation(&self) -> Generation {
        let state = self.inner.state.lock();
        state.unwrap_or_else(PoisonError::into_inner).generation
    }

    async fn start_generation(&self, generation: Generation) -> Result<()> {
        let mut state = self.inner.open_state()?;
        if generation <= state.generation {
            return Err(IndexError::OldGeneration {
                last: state.generation,
                given: generation,
            });
        }
        state.generation = generation;
        self.inner.orders.start(generation, state.settled);
        Ok(())
    }

    async fn end_merge(&self) -> Result<()> {
        self.inner.check_started()?;
        self.inner.orders.end_merge();
        self.inner.advance()
    }

    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Row>> {
        self.inner.get(table, key)
    }

    async fn scan(
        &self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: ScanLimit,
    ) -> Result<Scan> {
        self.inner.scan(table, from, to, limit)
    }

    async fn begin(&self, locks: Locks) -> Result<Box<dyn Transaction>> {
        self.inner.check_started()?;
        let held = self.inner.locks.acquire(locks).await;
        self.inner.check_started()?;
        Ok(Box::new(MemoryTransaction {
            open: OpenOrders::new(&self.inner.orders),
            inner: Arc::clone(&self.inner),
            _held: held,
        }))
    }

    async fn settled(&self) -> Result<Order> {
        Ok(self.inner.open_state()?.settled)
    }

    async fn check(&self) -> Result<()> {
        self.inner.open_state().map(drop)
    }

    async fn flush(&self) -> Result<()> {
        self.inner.advance()
    }

    async fn close(&self) -> Result<()> {
        if self.inner.advance().is_ok() {
            self.inner.open_state()?.opened += 1;
        }
        Ok(())
    }
}

/// Fields are dropped in this order: orders end before the locks are released.
struct MemoryTransaction {
    open: OpenOrders,
    inner: Arc<Inner>,
    _held: Held,
}

#[async_trait]
impl Transaction for MemoryTransaction {
    async fn get(&mut self, table: Table, key: &[u8]) -> Result<Option<Row>> {
        self.inner.get(table, key)
    }

    async fn scan(
        &mut self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: ScanLimit,
    ) -> Result<Scan> {
        self.inner.scan(table, from, to, limit)
    }

    fn take_order(&mut self) -> Order {
        self.open.take()
    }

    async fn commit(self: Box<Self>, batch: Batch) -> Result<()> {
        self.inner.commit(&batch, &self.open)
    }

    async fn commit_part(mut self: Box<Self>, batch: Batch) -> Result<Box<dyn Transaction>> {
        self.inner.commit(&batch, &self.open)?;
        self.open = OpenOrders::new(&self.inner.orders);
        Ok(self)
    }
}

#[cfg(test)]
mod tests;
