//! Gives orders, and knows which are open.
//!
//! Owns: the sequence, the open orders, the settled mark to be stored next.
//! Leaves to others: storing generation and mark durably.
//! Always: an order is above all given before; the mark is at or below every open order and never
//! falls.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use holdfast_protocol::{Generation, Order};

#[derive(Debug)]
struct State {
    /// Of the orders given now; `None` before the first start since the index was opened.
    generation: Option<Generation>,
    next_sequence: u64,
    open: BTreeSet<Order>,
    /// The mark stays here until the merge of a claim has ended.
    held_at: Option<Order>,
}

/// Gives orders.
#[derive(Debug)]
pub(crate) struct Orders(Mutex<State>);

impl Orders {
    /// For an index that was opened with this mark.
    pub(crate) fn new(settled: Order) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            generation: None,
            next_sequence: 1,
            open: BTreeSet::new(),
            held_at: Some(settled),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives orders of `generation` from now on; the mark stays at `settled` until the merge has
    /// ended.
    pub(crate) fn start(&self, generation: Generation, settled: Order) {
        let mut state = self.state();
        state.generation = Some(generation);
        state.next_sequence = 1;
        state.held_at = Some(settled);
    }

    pub(crate) fn started(&self) -> bool {
        self.state().generation.is_some()
    }

    pub(crate) fn end_merge(&self) {
        self.state().held_at = None;
    }

    fn take(&self) -> Order {
        let mut state = self.state();
        let order = Order {
            generation: state
                .generation
                .expect("transactions begin only after a generation was started"),
            sequence: state.next_sequence,
        };
        state.next_sequence += 1;
        state.open.insert(order);
        order
    }

    /// The mark to store with a group: no order below it is open but those that end with the group.
    pub(crate) fn mark<'a>(&self, ending: impl Iterator<Item = &'a OpenOrders>) -> Order {
        let state = self.state();
        if let Some(held_at) = state.held_at {
            return held_at;
        }
        let ending: BTreeSet<Order> = ending.flat_map(|o| o.given.iter().copied()).collect();
        let lowest = state.open.difference(&ending).next().copied();
        lowest.unwrap_or(Order {
            generation: state
                .generation
                .expect("a merge ends only after a generation was started"),
            sequence: state.next_sequence,
        })
    }
}

/// The orders that one transaction has open; they end when it is dropped.
#[derive(Debug)]
pub(crate) struct OpenOrders {
    orders: Arc<Orders>,
    given: Vec<Order>,
}

impl OpenOrders {
    pub(crate) fn new(orders: &Arc<Orders>) -> Self {
        Self {
            orders: Arc::clone(orders),
            given: Vec::new(),
        }
    }
    pub(crate) fn take(&mut self) -> Order {
        let order = self.orders.take();
        self.given.push(order);
        order
    }
}

impl Drop for OpenOrders {
    fn drop(&mut self) {
        if self.given.is_empty() {
            return;
        }
        let mut state = self.orders.state();
        for order in &self.given {
            state.open.remove(order);
        }
    }
}

#[cfg(test)]
mod tests;
