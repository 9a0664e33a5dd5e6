//! Who is reading what, so that nothing is purged under a reader.
//!
//! Owns: the register of readers of this process.
//! Leaves to others: entering before a row is read (gateway), waiting before a purge
//! ([`crate::purge`]).
//! Always: a reader that entered before a retiring commit was seen holds back the purge of what it
//! may read, until it is dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use holdfast_protocol::WriteId;
use tokio::sync::Notify;

/// The register.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use holdfast_workers::Readers;
/// let readers = Arc::new(Readers::default());
/// let reading = readers.enter(); // before the row is read
/// let ticket = readers.ticket(); // after the commit that retired the row
/// assert!(readers.blocks(ticket, &[]));
/// drop(reading);
/// assert!(!readers.blocks(ticket, &[]));
/// ```
#[derive(Debug, Default)]
pub struct Readers {
    state: Mutex<State>,
    left: Notify,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Readers that may read anything.
    open: BTreeSet<u64>,
    /// Readers that said what they read, by write.
    narrowed: BTreeMap<WriteId, u32>,
}

/// A number that tells earlier readers from later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// A reader, until dropped.
#[derive(Debug)]
pub struct Reading {
    readers: Arc<Readers>,
    /// `None` once narrowed.
    ticket: Option<u64>,
    writes: Vec<WriteId>,
}

impl Readers {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a reader. To be called before it reads a row.
    pub fn enter(self: &Arc<Self>) -> Reading {
        let mut state = self.state();
        let ticket = state.next;
        state.next += 1;
        state.open.insert(ticket);
        Reading {
            readers: Arc::clone(self),
            ticket: Some(ticket),
            writes: Vec::new(),
        }
    }

    /// A number above all readers so far. To be drawn after a retiring commit: later readers cannot
    /// see what it retired.
    pub fn ticket(&self) -> Ticket {
        Ticket(self.state().next)
    }

    /// Whether a reader from before `ticket` may still read one of `writes`.
    pub fn blocks(&self, ticket: Ticket, writes: &[WriteId]) -> bool {
        let state = self.state();
        state.open.first().is_some_and(|&first| first < ticket.0)
            || (!state.narrowed.is_empty()
                && writes
                    .iter()
                    .any(|write| state.narrowed.contains_key(write)))
    }

    /// Completes when a reader left (or narrowed) after the future was made.
    pub(crate) fn left(&self) -> tokio::sync::futures::Notified<'_> {
        self.left.notified()
    }
}

impl Reading {
    /// Says what is read from now on, so that the purge of anything else need not wait. To be
    /// called when the rows are known, by readers that last.
    pub fn narrow(&mut self, writes: impl IntoIterator<Item = WriteId>) {
        let writes: Vec<WriteId> = writes.into_iter().collect();
        {
            let mut state = self.readers.state();
            for &write in &writes {
                *state.narrowed.entry(write).or_default() += 1;
            }
        }
        self.leave();
        self.writes = writes;
    }

    fn leave(&mut self) {
        let mut state = self.readers.state();
        if let Some(ticket) = self.ticket.take() {
            state.open.remove(&ticket);
        }
        for write in self.writes.drain(..) {
            if let Some(count) = state.narrowed.get_mut(&write) {
                *count -= 1;
                if *count == 0 {
                    state.narrowed.remove(&write);
                }
            }
        }
        drop(state);
        self.readers.left.notify_waiters();
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use holdfast_protocol::GatewayId;

    use super::*;

    fn write(counter: u64) -> WriteId {
        WriteId {
            gateway: GatewayId::new(1),
            gateway_epoch: 1,
            counter,
        }
    }

    #[test]
    fn a_reader_holds_back_what_was_retired_after_it_entered() {
        let readers = Arc::new(Readers::default());
        let before = readers.enter();
        let ticket = readers.ticket();
        let after = readers.enter();
        assert!(readers.blocks(ticket, &[write(1)]));
        drop(before);
        assert!(!readers.blocks(ticket, &[write(1)]));
        drop(after);
    }

    #[test]
    fn a_narrowed_reader_holds_back_only_what_it_reads() {
        let readers = Arc::new(Readers::default());
        let (mut one, mut two) = (readers.enter(), readers.enter());
        one.narrow([write(1), write(2)]);
        two.narrow([write(2)]);
        let ticket = readers.ticket();
        assert!(readers.blocks(ticket, &[write(7), write(1)]));
        assert!(!readers.blocks(ticket, &[write(7)]));
        drop(one);
        assert!(!readers.blocks(ticket, &[write(1)]));
        assert!(readers.blocks(ticket, &[write(2)]));
        drop(two);
        assert!(!readers.blocks(ticket, &[write(2)]));
    }
}
