//! Connections that come and go.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use holdfast_protocol::rpc::{DriveError, DriveReply};
use holdfast_seam::net::{Connection, Listener, Net};
use holdfast_seam::rpc::{RemoteNode, RpcClient};
use holdfast_seam::{NodeClient, World};

use crate::harness::{
    Seen, Setup, call, call_within, client_config, discard, eventually, memory_world, node_server,
    node_server_with, remote, stage,
};

fn small(counter: u64) -> holdfast_protocol::rpc::DriveCall {
    call(stage(counter, Bytes::from_static(b"x")))
}

#[tokio::test]
async fn a_client_comes_back_after_its_node_restarts() {
    let (server, _node, _events) = node_server().await;
    let addr = server.addr.clone();
    let client = remote(client_config(&addr));
    assert_eq!(client.call(small(1)).await, Ok(DriveReply::Done));
    server.stop().await;
    let gone = client.call(small(2)).await;
    assert!(
        matches!(gone, Err(DriveError::Unreachable { .. })),
        "{gone:?}"
    );
    let setup = Setup {
        listen: addr,
        ..Setup::real()
    };
    let (server, _node, _events) = node_server_with(setup).await;
    let back = async {
        while client.call(small(3)).await != Ok(DriveReply::Done) {
            tokio::task::yield_now().await;
        }
    };
    let back = tokio::time::timeout(Duration::from_secs(30), back).await;
    assert!(back.is_ok(), "never reached again");
    client.close().await;
    server.stop().await;
}

#[tokio::test]
async fn calls_fail_at_once_while_a_node_is_not_to_be_tried_again() {
    let mut config = client_config("127.0.0.1:1");
    config.limits.backoff_min = Duration::from_secs(3600);
    config.limits.backoff_max = Duration::from_secs(3600);
    let metrics = config.metrics.clone();
    let client = remote(config);
    for _ in 0..100 {
        let gone = client.call(small(1)).await;
        assert!(
            matches!(gone, Err(DriveError::Unreachable { .. })),
            "{gone:?}"
        );
    }
    assert_eq!(metrics.client().handshake_failures("connect"), 1);
}

#[tokio::test]
async fn what_is_under_way_is_answered_before_the_server_ends() {
    let (server, node, mut events) = node_server().await;
    let client = Arc::new(remote(client_config(&server.addr)));
    let caller = Arc::clone(&client);
    let held = tokio::spawn(async move { caller.call(call(discard(1))).await });
    assert_eq!(events.recv().await, Some(Seen::Began(1)));
    let ended = server.stopping();
    assert!(!held.is_finished());
    node.release(1);
    assert_eq!(held.await.unwrap(), Ok(DriveReply::Done));
    ended.await.unwrap();
}

#[tokio::test]
async fn what_is_not_done_in_time_is_dropped_when_the_server_ends() {
    let mut setup = Setup::real();
    setup.limits.drain_timeout = Duration::from_millis(10);
    let (server, _node, mut events) = node_server_with(setup).await;
    let client = Arc::new(remote(client_config(&server.addr)));
    let held = tokio::spawn(async move { client.call(call(discard(1))).await });
    assert_eq!(events.recv().await, Some(Seen::Began(1)));
    server.stop().await;
    assert_eq!(events.recv().await, Some(Seen::Dropped(1)));
    let gone = held.await.unwrap();
    assert!(
        matches!(gone, Err(DriveError::Unreachable { .. })),
        "{gone:?}"
    );
}

#[tokio::test]
async fn requests_of_a_client_that_is_gone_are_dropped() {
    let (server, _node, mut events) = node_server().await;
    let client = Arc::new(remote(client_config(&server.addr)));
    let caller = Arc::clone(&client);
    let held = tokio::spawn(async move { caller.call(call(discard(1))).await });
    assert_eq!(events.recv().await, Some(Seen::Began(1)));
    client.close().await;
    assert_eq!(events.recv().await, Some(Seen::Dropped(1)));
    assert!(held.await.unwrap().is_err());
    eventually("no connection left", || {
        server.metrics.server().connections() == 0
    })
    .await;
}

/// Lets bytes through until told otherwise; from then on they vanish.
#[derive(Debug)]
struct Lossy {
    inner: Arc<dyn Net>,
    mute: tokio::sync::watch::Receiver<bool>,
}

#[async_trait]
impl Net for Lossy {
    async fn listen(&self, addr: &str) -> io::Result<Box<dyn Listener>> {
        self.inner.listen(addr).await
    }
    async fn connect(&self, addr: &str) -> io::Result<Box<dyn Connection>> {
        let far = self.inner.connect(addr).await?;
        let (near, middle) = tokio::io::duplex(1 << 16);
        let (mut from_far, mut to_far) = tokio::io::split(far);
        let (mut from_near, mut to_near) = tokio::io::split(middle);
        let mut mute = self.mute.clone();
        tokio::spawn(async move {
            let there = tokio::io::copy(&mut from_near, &mut to_far);
            let back = tokio::io::copy(&mut from_far, &mut to_near);
            let silent = async {
                let _ = mute.wait_for(|mute| *mute).await;
            };
            tokio::select! {
                _ = async { tokio::join!(there, back) } => {}
                () = silent => std::future::pending().await,
            }
        });
        Ok(Box::new(near))
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_falls_silent_is_taken_for_dead() {
    let (mute, muted) = tokio::sync::watch::channel(false);
    let world = memory_world(1 << 16);
    let setup = Setup {
        world: world.clone(),
        ..Setup::real()
    };
    let (server, _node, mut events) = node_server_with(setup).await;
    let lossy = World {
        net: Arc::new(Lossy {
            inner: Arc::clone(&world.net),
            mute: muted,
        }),
        ..world
    };
    let client = RemoteNode::new(RpcClient::new(lossy, client_config("memory")));
    assert_eq!(client.call(small(1)).await, Ok(DriveReply::Done));
    let held = tokio::spawn(async move { client.call(call_within(discard(1), u32::MAX)).await });
    assert_eq!(events.recv().await, Some(Seen::Began(1)));
    mute.send(true).unwrap();
    let gone = held.await.unwrap();
    let Err(DriveError::Unreachable { why }) = gone else {
        panic!("{gone:?}");
    };
    assert!(why.contains("nothing heard"), "{why}");
    assert_eq!(events.recv().await, Some(Seen::Dropped(1)));
    eventually("the server noticed", || {
        server.metrics.server().connection_failures("closed") == 1
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_quiet_connection_is_kept_alive() {
    let setup = Setup {
        world: memory_world(1 << 16),
        ..Setup::real()
    };
    let world = setup.world.clone();
    let (server, node, mut events) = node_server_with(setup).await;
    let client = RemoteNode::new(RpcClient::new(world, client_config("memory")));
    let held = tokio::spawn(async move { client.call(call_within(discard(1), u32::MAX)).await });
    assert_eq!(events.recv().await, Some(Seen::Began(1)));
    // A hundred times as long as silence is borne: the handler is slow, the peer is not dead.
    tokio::time::sleep(Duration::from_secs(3000)).await;
    node.release(1);
    assert_eq!(held.await.unwrap(), Ok(DriveReply::Done));
    assert_eq!(server.metrics.server().connection_failures("closed"), 0);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_turned_away() {
    let mut setup = Setup::real();
    setup.limits.connections_max = 1;
    let (server, _node, _events) = node_server_with(setup).await;
    let first = remote(client_config(&server.addr));
    assert_eq!(first.call(small(1)).await, Ok(DriveReply::Done));
    let second = remote(client_config(&server.addr));
    let refused = second.call(small(1)).await;
    assert!(
        matches!(refused, Err(DriveError::Unreachable { .. })),
        "{refused:?}"
    );
    assert!(server.metrics.server().handshake_failures("too_many") >= 1);
    first.close().await;
    eventually("room again", || server.metrics.server().connections() == 0).await;
    let third = remote(client_config(&server.addr));
    assert_eq!(third.call(small(1)).await, Ok(DriveReply::Done));
}
