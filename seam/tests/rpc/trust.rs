//! Who may speak to whom.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use holdfast_protocol::ids::{ClusterId, DriveId, NodeId};
use holdfast_protocol::rpc::control::{
    Assignment, ControlCall, ControlReply, DriveHealth, DriveReport,
};
use holdfast_protocol::rpc::handshake::{ClusterSecret, Expected, Identity, Role, Service};
use holdfast_protocol::rpc::{DriveError, DriveReply};
use holdfast_seam::rpc::{ControlClient, ControlHandler, Handler, RpcClient};
use holdfast_seam::{NodeClient, World};

use crate::harness::{
    CLUSTER, NODE, Setup, call, client_config, eventually, gateway_identity, node_identity,
    node_server, remote, stage,
};

fn is_unreachable(answer: &Result<DriveReply, DriveError>) -> bool {
    matches!(answer, Err(DriveError::Unreachable { .. }))
}

#[tokio::test]
async fn a_client_with_another_secret_is_refused() {
    let (server, _node, _events) = node_server().await;
    let mut config = client_config(&server.addr);
    config.secret = ClusterSecret::new(b"a guess").unwrap();
    let answer = remote(config).call(call(stage(1, "x".into()))).await;
    assert!(is_unreachable(&answer), "{answer:?}");
    eventually("counted as a wrong secret", || {
        server.metrics.server().handshake_failures("secret") == 1
    })
    .await;
    assert_eq!(server.metrics.server().connections(), 0);
}

#[test]
fn an_empty_secret_is_refused_with_a_word_on_how_to_set_it() {
    for empty in ["", " ", "\n"] {
        let error = ClusterSecret::new(empty.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("HOLDFAST_CLUSTER_SECRET"));
    }
    let (plain, with_line_end) = (b"secret", b"secret\n");
    let shown = format!("{:?}", ClusterSecret::new(with_line_end).unwrap());
    assert_eq!(shown, "[redacted]");
    assert!(ClusterSecret::new(plain).is_ok());
}

#[tokio::test]
async fn a_client_that_dials_one_node_refuses_another() {
    let (server, _node, _events) = node_server().await;
    let wrong = [
        Expected::node(CLUSTER, NodeId::new(0xb0de)),
        Expected::node(ClusterId::new(0xc2), NODE),
        Expected::any_gateway(Some(CLUSTER)),
    ];
    for (count, expected) in wrong.into_iter().enumerate() {
        let mut config = client_config(&server.addr);
        config.expected = expected;
        let answer = remote(config).call(call(stage(1, "x".into()))).await;
        assert!(is_unreachable(&answer), "{expected}: {answer:?}");
        eventually("counted as a wrong identity", || {
            server.metrics.server().handshake_failures("identity") == count as u64 + 1
        })
        .await;
    }
}

#[tokio::test]
async fn a_client_of_another_cluster_is_refused_though_it_knows_the_secret() {
    let (server, _node, _events) = node_server().await;
    let mut config = client_config(&server.addr);
    config.me.cluster = Some(ClusterId::new(0xc2));
    config.expected.cluster = None;
    let answer = remote(config).call(call(stage(1, "x".into()))).await;
    assert!(is_unreachable(&answer), "{answer:?}");
    eventually("counted as a wrong identity", || {
        server.metrics.server().handshake_failures("identity") == 1
    })
    .await;
}

#[tokio::test]
async fn a_connection_for_one_service_is_not_taken_for_another() {
    let (server, _node, _events) = node_server().await;
    let mut config = client_config(&server.addr);
    config.service = Service::Control;
    let client = ControlClient::new(RpcClient::new(World::real(1), config));
    let heartbeat = ControlCall::Heartbeat {
        node: NODE,
        drives: Vec::new(),
    };
    let answer = client.call(&heartbeat, Duration::from_secs(30)).await;
    assert!(answer.is_err(), "{answer:?}");
    eventually("counted as a wrong service", || {
        server.metrics.server().handshake_failures("service") == 1
    })
    .await;
}

#[derive(Debug, Default)]
struct Registry {
    peers: Mutex<Vec<Identity>>,
}

#[async_trait]
impl ControlHandler for Registry {
    async fn control(&self, peer: Identity, call: ControlCall) -> ControlReply {
        self.peers.lock().unwrap().push(peer);
        match call {
            ControlCall::Register { drives, .. } => ControlReply::Registered {
                cluster: CLUSTER,
                drives: drives
                    .iter()
                    .map(|report| match (&report.drive, &report.error) {
                        (_, Some(why)) => Assignment::Refuse { why: why.clone() },
                        (Some(_), None) => Assignment::Keep,
                        (None, None) => Assignment::Format {
                            drive: DriveId::new(0xf0),
                        },
                    })
                    .collect(),
            },
            ControlCall::Heartbeat { drives, .. } => ControlReply::HeartbeatAck {
                register_again: drives.is_empty(),
            },
        }
    }
}

fn report(drive: Option<u64>, error: Option<&str>) -> DriveReport {
    DriveReport {
        drive: drive.map(DriveId::new),
        label: "/data/α".to_owned(),
        used_bytes: 1,
        free_bytes: 2,
        error: error.map(str::to_owned),
    }
}

#[tokio::test]
async fn a_node_without_a_cluster_registers_and_shows_that_it_lives() {
    let registry = Arc::new(Registry::default());
    let setup = Setup {
        me: gateway_identity(),
        ..Setup::real()
    };
    let handler = Handler::Control(Arc::clone(&registry) as Arc<dyn ControlHandler>);
    let server = setup.start(handler).await;
    let mut config = client_config(&server.addr);
    config.service = Service::Control;
    config.me = Identity::node(None, NODE);
    config.expected = Expected::any_gateway(None);
    let client = ControlClient::new(RpcClient::new(World::real(1), config));
    let register = ControlCall::Register {
        node: NODE,
        listen: "127.0.0.1:7000".to_owned(),
        cluster: None,
        drives: vec![
            report(Some(1), None),
            report(None, None),
            report(None, Some("full of cats")),
        ],
    };
    let registered = client.call(&register, Duration::from_secs(30)).await;
    let drives = vec![
        Assignment::Keep,
        Assignment::Format {
            drive: DriveId::new(0xf0),
        },
        Assignment::Refuse {
            why: "full of cats".to_owned(),
        },
    ];
    let cluster = CLUSTER;
    assert_eq!(
        registered.unwrap(),
        ControlReply::Registered { cluster, drives }
    );
    let heartbeat = ControlCall::Heartbeat {
        node: NODE,
        drives: vec![DriveHealth {
            drive: DriveId::new(1),
            used_bytes: 3,
            free_bytes: 4,
            writable: true,
            trouble: None,
        }],
    };
    let noted = client.call(&heartbeat, Duration::from_secs(30)).await;
    let register_again = false;
    assert_eq!(
        noted.unwrap(),
        ControlReply::HeartbeatAck { register_again }
    );
    let peers = registry.peers.lock().unwrap().clone();
    assert_eq!(peers, vec![Identity::node(None, NODE); 2]);
    client.close().await;
    server.stop().await;
}

#[test]
fn identities_are_told_apart_by_role_cluster_and_id() {
    let expected = Expected::node(CLUSTER, NODE);
    assert!(expected.check(&node_identity()).is_ok());
    assert!(expected.check(&Identity::node(None, NODE)).is_err());
    let mut same_id = node_identity();
    same_id.role = Role::Gateway;
    assert!(expected.check(&same_id).is_err());
}
