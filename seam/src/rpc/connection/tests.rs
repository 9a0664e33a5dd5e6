//! Facts about one connection, without a network.
//!
//! Goal: requests given up, waiting or cut off leave nothing behind and nobody waiting. Method:
//! futures are polled by hand, so that each step is a known one.

use std::future::Future;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::metrics::RpcMetrics;

fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn connection(in_flight_max: usize) -> Connection {
    Connection::new(in_flight_max, Arc::clone(RpcMetrics::new().client()))
}

#[test]
fn a_request_given_up_before_it_was_sent_leaves_nothing_behind() {
    let connection = connection(8);
    let mut request = Box::pin(connection.request(Message::default(), None));
    assert!(poll(request.as_mut()).is_pending());
    assert_eq!(connection.state().queue.len(), 1);
    drop(request);
    let state = connection.state();
    assert!(state.queue.is_empty() && state.waiting.is_empty());
    assert_eq!(connection.load(), 0);
}

#[test]
fn a_request_given_up_after_it_was_sent_is_cancelled_at_the_peer() {
    let connection = connection(8);
    let mut request = Box::pin(connection.request(Message::default(), None));
    assert!(poll(request.as_mut()).is_pending());
    {
        let mut state = connection.state();
        state.queue.clear();
        state.waiting.get_mut(&0).unwrap().sent = true;
    }
    drop(request);
    let state = connection.state();
    let queued: Vec<_> = state
        .queue
        .iter()
        .map(|next| (next.kind, next.request))
        .collect();
    assert_eq!(queued, [(FrameKind::Cancel, 0)]);
}

#[test]
fn requests_beyond_what_may_be_in_flight_wait_outside_the_queue() {
    let connection = connection(2);
    let mut requests: Vec<_> = (0..5)
        .map(|_| Box::pin(connection.request(Message::default(), None)))
        .collect();
    assert!(
        requests
            .iter_mut()
            .all(|request| poll(request.as_mut()).is_pending())
    );
    assert_eq!(connection.state().queue.len(), 2);
    assert_eq!(connection.load(), 5);
}

#[test]
fn closing_tells_everyone_who_waits() {
    let connection = connection(1);
    let mut sent = Box::pin(connection.request(Message::default(), None));
    let mut outside = Box::pin(connection.request(Message::default(), None));
    assert!(poll(sent.as_mut()).is_pending() && poll(outside.as_mut()).is_pending());
    connection.close("the test ends");
    let Poll::Ready(Err(Failed::Lost(RpcError::Closed { why }))) = poll(sent.as_mut()) else {
        panic!("not told");
    };
    assert_eq!(why, "the test ends");
    let outside = poll(outside.as_mut());
    assert!(
        matches!(outside, Poll::Ready(Err(Failed::NotSent(..)))),
        "{outside:?}"
    );
}
