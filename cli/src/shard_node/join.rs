//! Belonging to a cluster: finding the gateway, registering, heartbeats.
//!
//! Owns: the conversation, for ever, with growing pauses while nobody answers.
//! Leaves to others: drives ([`super::places`]), serving them (`seam::rpc`).
//! Always: a drive is served only after the gateway said to keep it, formatted only after it said
//! so.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_protocol::ClusterId;
use holdfast_protocol::NodeId;
use holdfast_protocol::admin::join::{JoinAnswer, JoinRequest, NONCE_LEN};
use holdfast_protocol::rpc::control::{Assignment, ControlCall, ControlReply};
use holdfast_protocol::rpc::handshake::{ClusterSecret, Expected, Identity, Service};
use holdfast_seam::rpc::{ClientConfig, ClientLimits, ControlClient, RpcClient};
use holdfast_seam::{RpcMetrics, World};
use holdfast_shard_node::{DriveConfig, Node};
use http::Method;
use tokio::sync::watch;

use super::places::{self, Place};
use crate::client::http::{Base, send};
use crate::config::Secret;
use crate::error::{CliError, chain};

/// Pause between heartbeats, and between attempts of a refused drive.
const HEARTBEAT: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_secs(10);
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// A node that belongs, or wants to.
pub struct Member {
    /// The world.
    pub world: World,
    /// The node.
    pub id: NodeId,
    /// Where gateways reach it.
    pub listen: String,
    /// The gateway's admin URL.
    pub join: Base,
    /// Proves it.
    pub secret: Secret<String>,
    /// The same, for RPC.
    pub proof: ClusterSecret,
    /// What is served.
    pub node: Arc<Node>,
    /// Its directories.
    pub places: Vec<Place>,
    /// How drives behave.
    pub config: DriveConfig,
    /// The cluster, once it is known.
    pub cluster: Option<ClusterId>,
    /// Who we are to those who call us.
    pub me: watch::Sender<Identity>,
    /// Where to count.
    pub metrics: RpcMetrics,
    /// How many drives are served.
    pub served: watch::Sender<usize>,
}

/// Why a conversation ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("find the gateway")]
    Find(#[from] CliError),
    #[error("ask the gateway")]
    Rpc(#[from] holdfast_seam::rpc::RpcError),
    #[error("refused by the gateway: {0}")]
    Refused(String),
    #[error("the gateway's answer makes no sense")]
    Senseless,
}

impl Member {
    /// Belongs to the cluster, for ever.
    pub async fn run(mut self) {
        let mut pause = BACKOFF_MIN;
        let mut last = String::new();
        loop {
            let talked = self.converse(&mut pause, &mut last).await;
            if let Err(error) = talked {
                let why = chain(&error);
                if why != last {
                    tracing::warn!(gateway = self.join.as_str(), error = %why, "no gateway");
                    last = why;
                }
            }
            self.world.clock.sleep(pause).await;
            pause = (pause * 2).min(BACKOFF_MAX);
        }
    }

    async fn converse(&mut self, pause: &mut Duration, last: &mut String) -> Result<(), Lost> {
        let addr = self.find().await?;
        let client = ControlClient::new(RpcClient::new(
            self.world.clone(),
            ClientConfig {
                addr,
                service: Service::Control,
                secret: self.proof.clone(),
                me: *self.me.borrow(),
                expected: Expected::any_gateway(self.cluster),
                limits: ClientLimits {
                    connections: 1,
                    ..ClientLimits::default()
                },
                metrics: self.metrics.clone(),
            },
        ));
        let ended = self.talk(&client, pause, last).await;
        client.close().await;
        ended
    }

    async fn talk(
        &mut self,
        client: &ControlClient,
        pause: &mut Duration,
        last: &mut String,
    ) -> Result<(), Lost> {
        loop {
            let refused = self.register(client).await?;
            *pause = BACKOFF_MIN;
            if refused != *last {
                if refused.is_empty() {
                    tracing::info!(gateway = self.join.as_str(), "registered");
                } else {
                    tracing::warn!(gateway = self.join.as_str(), why = %refused, "drives refused");
                }
                *last = refused.clone();
            }
            loop {
                self.world.clock.sleep(HEARTBEAT).await;
                if self.heartbeat(client).await? || !refused.is_empty() {
                    break;
                }
            }
        }
    }

    /// Where to register.
    async fn find(&self) -> Result<String, Lost> {
        let mut nonce = [0_u8; NONCE_LEN];
        self.world.rng.fill(&mut nonce);
        let secret = self.secret.expose().as_bytes();
        let now = self.world.clock.unix_ms();
        let request = JoinRequest::new(secret, nonce, now, self.id.to_string());
        let body = serde_json::to_vec(&request).map_err(|_| Lost::Senseless)?;
        let path = "/admin/v1/join";
        let (status, body) = send(
            &self.join,
            Method::POST,
            path,
            &[],
            Bytes::from(body),
            DEADLINE,
        )
        .await?;
        if !status.is_success() {
            let text = String::from_utf8_lossy(&body);
            return Err(Lost::Refused(format!("{status} {}", text.trim())));
        }
        let answer: JoinAnswer = serde_json::from_slice(&body).map_err(|_| Lost::Senseless)?;
        request
            .check_answer(secret, &answer)
            .map_err(|error| Lost::Refused(error.to_string()))?;
        Ok(reachable(&answer.node_listen, &self.join.host))
    }

    /// Registers until nothing is left to format. Gives the reasons of refused drives.
    async fn register(&mut self, client: &ControlClient) -> Result<String, Lost> {
        loop {
            let call = ControlCall::Register {
                node: self.id,
                listen: self.listen.clone(),
                cluster: self.cluster,
                drives: self.places.iter().map(Place::report).collect(),
            };
            let (cluster, assigned) = match client.call(&call, DEADLINE).await? {
                ControlReply::Registered { cluster, drives } => (cluster, drives),
                ControlReply::Refused { why } => return Err(Lost::Refused(why)),
                ControlReply::HeartbeatAck { .. } => return Err(Lost::Senseless),
            };
            if assigned.len() != self.places.len() {
                return Err(Lost::Senseless);
            }
            self.belong(cluster);
            let (formatted, refused) = self.obey(cluster, assigned).await?;
            if !formatted {
                return Ok(refused);
            }
        }
    }

    fn belong(&mut self, cluster: ClusterId) {
        self.cluster = Some(cluster);
        let me = Identity::node(self.cluster, self.id);
        self.me
            .send_if_modified(|now| std::mem::replace(now, me) != me);
    }

    async fn obey(
        &mut self,
        cluster: ClusterId,
        assigned: Vec<Assignment>,
    ) -> Result<(bool, String), Lost> {
        let mut formatted = false;
        let mut reasons = Vec::new();
        for (place, assignment) in self.places.iter_mut().zip(assigned) {
            match (assignment, &place.drive) {
                (Assignment::Keep, Some(drive)) => drop(self.node.insert(Arc::clone(drive))),
                (Assignment::Format { drive }, None) => {
                    places::format(&self.world, place, &self.config, cluster, drive).await?;
                    // Served at once: the gateway calls as soon as it is told that the drive is
                    // there.
                    if let Some(drive) = &place.drive {
                        self.node.insert(Arc::clone(drive));
                    }
                    formatted = true;
                }
                (Assignment::Refuse { why }, drive) => {
                    if let Some(drive) = drive {
                        self.node.remove(drive.id());
                    }
                    reasons.push(why);
                }
                _ => return Err(Lost::Senseless),
            }
        }
        self.served.send_replace(self.node.drives().len());
        Ok((formatted, reasons.join("; ")))
    }

    /// Shows that we live. Whether to register again.
    async fn heartbeat(&self, client: &ControlClient) -> Result<bool, Lost> {
        let call = ControlCall::Heartbeat {
            node: self.id,
            drives: self.places.iter().filter_map(Place::health).collect(),
        };
        match client.call(&call, DEADLINE).await? {
            ControlReply::HeartbeatAck { register_again } => Ok(register_again),
            ControlReply::Refused { why } => Err(Lost::Refused(why)),
            ControlReply::Registered { .. } => Err(Lost::Senseless),
        }
    }
}

/// `listen`, its host replaced by `host` if it is a wildcard.
fn reachable(listen: &str, host: &str) -> String {
    let Some((named, port)) = listen.rsplit_once(':') else {
        return listen.to_owned();
    };
    match named {
        "0.0.0.0" | "[::]" if host.contains(':') => format!("[{host}]:{port}"),
        "0.0.0.0" | "[::]" => format!("{host}:{port}"),
        _ => listen.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::reachable;

    #[test]
    fn a_wildcard_stands_for_the_host_that_was_asked() {
        assert_eq!(reachable("0.0.0.0:9002", "gw"), "gw:9002");
        assert_eq!(reachable("[::]:9002", "::1"), "[::1]:9002");
        assert_eq!(reachable("10.0.0.1:9002", "gw"), "10.0.0.1:9002");
    }
}
