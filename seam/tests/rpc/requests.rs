//! What a caller sees: answers, order, deadlines, cancellation, back-pressure.

use std::sync::Arc;

use bytes::Bytes;
use holdfast_protocol::Order;
use holdfast_protocol::rpc::wire::WRITES_MAX;
use holdfast_protocol::rpc::{BlockSpan, DriveError, DriveReply, DriveRequest};
use holdfast_seam::metrics::Outcome;
use holdfast_seam::rpc::{RemoteNode, RpcClient};
use holdfast_seam::{NodeClient, World};

use crate::harness::{
    MemoryNet, Seen, Setup, TestNode, call, call_within, client_config, discard, eventually,
    node_server, node_server_with, remote, stage, write,
};

fn body(len: usize) -> Bytes {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

fn read(counter: u64, spans: usize) -> DriveRequest {
    let span = BlockSpan {
        stripe: 0,
        first_block: 0,
        block_count: 4,
    };
    DriveRequest::Read {
        write: write(counter),
        shard: 1,
        spans: vec![span; spans],
    }
}

async fn stages_and_reads_back(client: &RemoteNode, node: &TestNode) {
    for (counter, len) in [0, 1, 4096, 16 << 10, 262_144, 1 << 20]
        .into_iter()
        .enumerate()
    {
        let (counter, bytes) = (counter as u64, body(len));
        let staged = client.call(call(stage(counter, bytes.clone()))).await;
        assert_eq!(staged, Ok(DriveReply::Done));
        assert!(len < 16 << 10 || node.is_at_pages(write(counter)), "{len}");
        let Ok(DriveReply::Blocks { pieces }) = client.call(call(read(counter, 3))).await else {
            panic!("no blocks of {len} bytes");
        };
        assert_eq!(pieces.len(), 3);
        assert!(pieces.iter().all(|piece| piece.bytes == bytes));
        assert!(pieces.iter().all(|piece| piece.checksums == [1, 2, 3, 4]));
    }
}

#[tokio::test]
async fn cells_of_any_length_come_back_over_loopback() {
    let (server, node, _events) = node_server().await;
    let client = remote(client_config(&server.addr));
    stages_and_reads_back(&client, &node).await;
    client.close().await;
    server.stop().await;
}

#[tokio::test]
async fn cells_of_any_length_come_back_through_a_narrow_pipe() {
    for buffer in [1, 39, 1000, 1 << 16] {
        let world = World {
            net: MemoryNet::new(buffer),
            ..World::real(1)
        };
        let setup = Setup {
            world: world.clone(),
            ..Setup::real()
        };
        let (server, node, _events) = node_server_with(setup).await;
        let client = RemoteNode::new(RpcClient::new(world, client_config("memory")));
        if buffer == 1 {
            let staged = client.call(call(stage(1, body(1000)))).await;
            assert_eq!(staged, Ok(DriveReply::Done));
        } else {
            stages_and_reads_back(&client, &node).await;
        }
        client.close().await;
        server.stop().await;
    }
}

#[tokio::test]
async fn what_a_drive_refuses_arrives_as_its_error() {
    let (server, _node, _events) = node_server().await;
    let client = remote(client_config(&server.addr));
    let missing = client.call(call(read(99, 1))).await;
    assert_eq!(missing, Err(DriveError::NotFound));
    let full = client.call(call(DriveRequest::Status)).await;
    assert_eq!(full, Err(DriveError::Full));
    assert_eq!(server.metrics.server().requests(Outcome::Refused), 2);
}

#[tokio::test]
async fn a_hundred_requests_in_flight_are_answered_in_any_order() {
    let (server, node, mut events) = node_server().await;
    let client = Arc::new(remote(client_config(&server.addr)));
    let (done, mut answers) = tokio::sync::mpsc::unbounded_channel();
    for counter in 0..100 {
        let (client, done) = (Arc::clone(&client), done.clone());
        tokio::spawn(async move {
            let reply = client.call(call(discard(counter))).await;
            done.send((counter, reply)).unwrap();
        });
    }
    for _ in 0..100 {
        assert!(matches!(events.recv().await, Some(Seen::Began(_))));
    }
    for counter in (0..100).rev() {
        node.release(counter);
        let answer = answers.recv().await;
        assert_eq!(answer, Some((counter, Ok(DriveReply::Done))));
    }
    assert!(server.metrics.server().connections() <= 2);
}

#[tokio::test]
async fn a_dropped_call_drops_the_request_at_the_node() {
    let (server, node, mut events) = node_server().await;
    let client = Arc::new(remote(client_config(&server.addr)));
    let caller = Arc::clone(&client);
    let task = tokio::spawn(async move { caller.call(call(discard(5))).await });
    assert_eq!(events.recv().await, Some(Seen::Began(5)));
    task.abort();
    assert_eq!(events.recv().await, Some(Seen::Dropped(5)));
    let next = tokio::spawn(async move { client.call(call(discard(6))).await });
    assert_eq!(events.recv().await, Some(Seen::Began(6)));
    node.release(6);
    assert_eq!(next.await.unwrap(), Ok(DriveReply::Done));
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_and_so_does_the_request() {
    let (server, _node, mut events) = node_server().await;
    let config = client_config(&server.addr);
    let metrics = config.metrics.clone();
    let client = remote(config);
    let answer = client.call(call_within(discard(5), 30)).await;
    assert_eq!(answer, Err(DriveError::TimedOut));
    assert_eq!(events.recv().await, Some(Seen::Began(5)));
    assert_eq!(events.recv().await, Some(Seen::Dropped(5)));
    assert_eq!(metrics.client().requests(Outcome::TimedOut), 1);
}

#[tokio::test]
async fn more_requests_than_the_node_takes_are_answered_busy() {
    let mut setup = Setup::real();
    setup.limits.requests_max = 2;
    let (server, node, mut events) = node_server_with(setup).await;
    let client = Arc::new(remote(client_config(&server.addr)));
    let mut held = Vec::new();
    for counter in 0..2 {
        let client = Arc::clone(&client);
        held.push(tokio::spawn(async move {
            client.call(call(discard(counter))).await
        }));
        assert_eq!(events.recv().await, Some(Seen::Began(counter)));
    }
    let third = client.call(call(discard(2))).await;
    assert_eq!(third, Err(DriveError::Busy));
    for (counter, task) in held.into_iter().enumerate() {
        node.release(counter as u64);
        assert_eq!(task.await.unwrap(), Ok(DriveReply::Done));
    }
    let after = client.call(call(stage(3, body(10)))).await;
    assert_eq!(after, Ok(DriveReply::Done));
}

#[tokio::test]
async fn a_client_keeps_to_what_the_node_takes_on_one_connection() {
    let mut setup = Setup::real();
    setup.limits.in_flight_max = 3;
    let (server, node, mut events) = node_server_with(setup).await;
    let mut config = client_config(&server.addr);
    config.limits.connections = 1;
    let client = Arc::new(remote(config));
    let tasks: Vec<_> = (0..10)
        .map(|counter| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.call(call(discard(counter))).await })
        })
        .collect();
    for _ in 0..10 {
        let Some(Seen::Began(counter)) = events.recv().await else {
            panic!("a request was dropped");
        };
        node.release(counter);
    }
    for task in tasks {
        assert_eq!(task.await.unwrap(), Ok(DriveReply::Done));
    }
    assert_eq!(server.metrics.server().requests(Outcome::Busy), 0);
}

#[tokio::test]
async fn payloads_beyond_the_budget_are_not_read_until_there_is_room() {
    let mut setup = Setup::real();
    setup.limits.payload_bytes_max = 1 << 20;
    let (server, node, mut events) = node_server_with(setup).await;
    let client = Arc::new(remote(client_config(&server.addr)));
    let tasks: Vec<_> = (0..6)
        .map(|counter| {
            let mut request = stage(counter, body(512 << 10));
            if let DriveRequest::Stage { write, .. } = &mut request {
                write.gateway_epoch = 4; // held
            }
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.call(call(request)).await })
        })
        .collect();
    let mut began = Vec::new();
    for _ in 0..2 {
        began.push(events.recv().await.unwrap());
    }
    // All of it runs on this thread: what could go on would do so here.
    for _ in 0..20_000 {
        tokio::task::yield_now().await;
    }
    assert!(
        events.try_recv().is_err(),
        "a third payload of half the budget was read"
    );
    for turn in 0..6 {
        if turn >= 2 {
            began.push(events.recv().await.unwrap());
        }
        let Seen::Began(counter) = began[turn] else {
            panic!("a request was dropped");
        };
        node.release(counter);
    }
    for task in tasks {
        assert_eq!(task.await.unwrap(), Ok(DriveReply::Done));
    }
}

#[tokio::test]
async fn a_handler_that_panics_costs_one_request() {
    let (server, _node, _events) = node_server().await;
    let client = remote(client_config(&server.addr));
    let verify = DriveRequest::Verify {
        write: write(1),
        shard: 0,
    };
    let broken = client.call(call(verify)).await;
    assert!(matches!(broken, Err(DriveError::Io { .. })), "{broken:?}");
    let next = client.call(call(stage(1, body(10)))).await;
    assert_eq!(next, Ok(DriveReply::Done));
    assert_eq!(server.metrics.server().connections(), 1);
}

#[tokio::test]
async fn a_request_above_its_bounds_is_refused_before_it_is_sent() {
    let (server, _node, _events) = node_server().await;
    let client = remote(client_config(&server.addr));
    let large = client.call(call(stage(1, body((16 << 20) + 1)))).await;
    assert!(
        matches!(large, Err(DriveError::BadRequest { .. })),
        "{large:?}"
    );
    let largest = client.call(call(stage(1, body(16 << 20)))).await;
    assert_eq!(largest, Ok(DriveReply::Done));
    eventually("one connection", || {
        server.metrics.server().connections() == 1
    })
    .await;
}

#[tokio::test]
async fn a_header_longer_than_what_is_read_ahead_arrives() {
    let (server, _node, _events) = node_server().await;
    let client = remote(client_config(&server.addr));
    let writes = (0..WRITES_MAX as u64).map(write).collect();
    let purged = client
        .call(call(DriveRequest::Purge {
            order: Order::ZERO,
            writes,
        }))
        .await;
    assert_eq!(
        purged,
        Err(DriveError::Full),
        "what the test's node says to any purge"
    );
}

#[tokio::test]
async fn calls_to_a_server_that_says_nothing_end_at_their_deadline() {
    // The server takes connections and nothing more.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = client_config(&listener.local_addr().unwrap().to_string());
    config.limits.connect_timeout = std::time::Duration::from_millis(20);
    let metrics = config.metrics.clone();
    let client = remote(config);
    for counter in 0..20 {
        let gone = client
            .call(call_within(stage(counter, body(1000)), 5))
            .await;
        assert!(gone.is_err(), "{gone:?}");
    }
    let ended = [Outcome::TimedOut, Outcome::Unreachable];
    let ended: u64 = ended
        .iter()
        .map(|how| metrics.client().requests(*how))
        .sum();
    assert_eq!(ended, 20);
}
