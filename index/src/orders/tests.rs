//! The settled mark under every schedule that was tried (`shuttle`).
//!
//! Method: transactions take orders and hand them over or give them up, a committer groups what
//! waits, as the real ones do; each step is one call, so a switch between calls is every switch
//! that threads can make. A mark that was stored is compared with all that commits later.

use std::sync::Arc;

use holdfast_protocol::{Generation, Order};
use shuttle::sync::mpsc::{Receiver, Sender, channel};
use shuttle::{rand::Rng as _, thread};

use super::{OpenOrders, Orders};

/// Schedules tried; a failing one prints itself and can be replayed (`shuttle::replay`).
const SCHEDULES: usize = 2_000;
const CLIENTS: usize = 4;
const TRANSACTIONS: usize = 3;

fn zero() -> Order {
    Order {
        generation: Generation::new(0),
        sequence: 0,
    }
}

fn started() -> Arc<Orders> {
    let orders = Orders::new(zero());
    orders.start(Generation::new(1), zero());
    orders
}

fn client(orders: &Arc<Orders>, commits: &Sender<OpenOrders>) {
    for _ in 0..TRANSACTIONS {
        let mut open = OpenOrders::new(orders);
        for _ in 0..shuttle::rand::thread_rng().gen_range(1..3) {
            open.take();
            thread::yield_now();
        }
        if shuttle::rand::thread_rng().gen_bool(0.8) {
            commits.send(open).unwrap();
        }
        thread::yield_now();
    }
}

/// Commits in groups until nobody is left; returns every stored mark. `wrong` computes the mark as
/// if nothing were open.
fn committer(orders: &Arc<Orders>, commits: &Receiver<OpenOrders>, wrong: bool) -> Vec<Order> {
    let mut marks = vec![zero()];
    while let Ok(first) = commits.recv() {
        let mut group = vec![first];
        while let Ok(next) = commits.try_recv() {
            group.push(next);
        }
        for order in group.iter().flat_map(|open| &open.given) {
            let last = marks.last().unwrap();
            assert!(
                order >= last,
                "{order:?} commits below the stored mark {last:?}"
            );
        }
        let mark = match wrong {
            false => orders.mark(group.iter()),
            true => Order {
                generation: Generation::new(1),
                sequence: orders.state().next_sequence,
            },
        };
        thread::yield_now();
        assert!(mark >= *marks.last().unwrap(), "the mark fell");
        marks.push(mark);
        drop(group);
    }
    marks
}

fn model(end_merge: bool, wrong: bool) {
    let orders = started();
    let (send, receive) = channel();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (orders, send) = (Arc::clone(&orders), send.clone());
            thread::spawn(move || client(&orders, &send))
        })
        .collect();
    drop(send);
    if end_merge {
        orders.end_merge();
    }
    let marks = committer(&orders, &receive, wrong);
    clients
        .into_iter()
        .for_each(|client| client.join().unwrap());
    if end_merge {
        let all = orders.mark(std::iter::empty());
        assert!(orders.state().open.is_empty());
        assert_eq!(all.sequence, orders.state().next_sequence);
    } else {
        assert!(
            marks.iter().all(|mark| *mark == zero()),
            "it moved during a merge"
        );
    }
}

#[test]
fn nothing_commits_below_a_stored_mark() {
    shuttle::check_random(|| model(true, false), SCHEDULES);
}

#[test]
fn the_mark_stays_during_a_merge() {
    shuttle::check_random(|| model(false, false), SCHEDULES);
}

#[test]
#[should_panic(expected = "below the stored mark")]
fn a_mark_that_ignores_open_orders_is_found_out() {
    shuttle::check_random(|| model(true, true), SCHEDULES);
}
