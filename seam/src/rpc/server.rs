//! The server: takes connections, and answers the requests that come in on them.
//!
//! Owns: limits over all connections, shutting down, and what a handler is.
//! Leaves to others: one connection ([`session`]), what a request does (the handler).
//! Always: who has not proven to know the secret gets a nonce and no more; every connection ends
//! before [`serve`] returns.

mod session;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::{Either, select};
use holdfast_protocol::FormatError;
use holdfast_protocol::rpc::control::{
    ControlCall, ControlReply, decode_control, encode_control_reply,
};
use holdfast_protocol::rpc::handshake::{ClusterSecret, Identity, Service};
use holdfast_protocol::rpc::wire::{DriveAnswer, Message, decode_call, encode_answer};
use holdfast_protocol::rpc::{DriveCall, DriveError};
use tokio::sync::{Semaphore, watch};

use super::{RpcError, within};
use crate::clock::Clock;
use crate::metrics::{Outcome, RpcMetrics, SideMetrics};
use crate::net::{Connection, Listener};
use crate::node::NodeClient;
use crate::{BoxFuture, Task, World};

const ROOM_UNIT: usize = 1 << 10;

/// Answers nodes that register and show that they live.
#[async_trait]
pub trait ControlHandler: Send + Sync + Debug {
    /// Answers `call` of `peer`, whose identity is proven.
    async fn control(&self, peer: Identity, call: ControlCall) -> ControlReply;
}

/// Who answers.
#[derive(Clone, Debug)]
pub enum Handler {
    /// Drives of this node.
    Drives(Arc<dyn NodeClient>),
    /// The registry of nodes.
    Control(Arc<dyn ControlHandler>),
}

/// Bounds and times of a server.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Connections, those included that are still shaking hands.
    pub connections_max: usize,
    /// Requests under way on one connection; more are answered `Busy`.
    pub in_flight_max: usize,
    /// Requests under way on all connections; more are answered `Busy`.
    pub requests_max: usize,
    /// Payload bytes of requests under way; while it is used up, no more are read.
    pub payload_bytes_max: usize,
    /// Time for the handshake.
    pub handshake_timeout: Duration,
    /// A peer not heard for so long is dead.
    pub dead_after: Duration,
    /// Time for requests under way when the server shuts down.
    pub drain_timeout: Duration,
    /// Time for one request to a control handler.
    pub control_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            in_flight_max: 256,
            requests_max: 4096,
            payload_bytes_max: 128 << 20,
            handshake_timeout: Duration::from_secs(5),
            dead_after: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
            control_timeout: Duration::from_secs(10),
        }
    }
}

/// What a server is and does.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Proves both ends.
    pub secret: ClusterSecret,
    /// Who answers; may change when a node learns its cluster, for connections made from then on.
    pub me: watch::Receiver<Identity>,
    /// What is done.
    pub handler: Handler,
    /// Bounds and times.
    pub limits: ServerLimits,
    /// Where to count.
    pub metrics: RpcMetrics,
}

/// What all connections of a server share.
#[derive(Debug)]
struct Shared {
    world: World,
    config: ServerConfig,
    requests: Arc<Semaphore>,
    payload: Arc<Semaphore>,
    tasks: Mutex<BTreeMap<u64, Task>>,
}

/// Serves until `shutdown` completes; then finishes what is under way, within `drain_timeout`.
pub async fn serve(
    world: World,
    listener: Box<dyn Listener>,
    config: ServerConfig,
    shutdown: BoxFuture<'static, ()>,
) {
    let limits = config.limits;
    let payload = limits.payload_bytes_max.div_ceil(ROOM_UNIT);
    let shared = Arc::new(Shared {
        requests: Arc::new(Semaphore::new(limits.requests_max.max(1))),
        payload: Arc::new(Semaphore::new(payload.clamp(1, Semaphore::MAX_PERMITS))),
        tasks: Mutex::default(),
        world,
        config,
    });
    let (stop, stopping) = watch::channel(false);
    let accepting = Box::pin(accept(&shared, listener, stopping));
    match select(accepting, shutdown).await {
        Either::Left((never, _)) => match never {},
        Either::Right(((), accepting)) => drop(accepting),
    }
    let _ = stop.send(true);
    let tasks = std::mem::take(&mut *lock(&shared.tasks));
    for task in tasks.into_values() {
        task.await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(
    shared: &Arc<Shared>,
    listener: Box<dyn Listener>,
    stopping: watch::Receiver<bool>,
) -> std::convert::Infallible {
    for number in 0_u64.. {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "could not accept a node connection");
                shared.world.clock.sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let mut tasks = lock(&shared.tasks);
        if tasks.len() >= shared.config.limits.connections_max {
            shared.side().handshake_failed("too_many");
            continue;
        }
        let work = connection(Arc::clone(shared), number, stream, peer, stopping.clone());
        let task = shared.world.spawn.task("rpc-server", Box::pin(work));
        tasks.insert(number, task);
    }
    std::future::pending().await
}

/// Takes a connection out of the table when it ends, however it ends.
struct Listed {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        lock(&self.shared.tasks).remove(&self.number);
    }
}

async fn connection(
    shared: Arc<Shared>,
    number: u64,
    stream: Box<dyn Connection>,
    peer: SocketAddr,
    stopping: watch::Receiver<bool>,
) {
    let _listed = Listed {
        shared: Arc::clone(&shared),
        number,
    };
    let limits = &shared.config.limits;
    let clock = &*shared.world.clock;
    let opened = within(clock, limits.handshake_timeout, shared.welcome(stream)).await;
    match opened.unwrap_or(Err(RpcError::TimedOut)) {
        Ok((stream, established)) => {
            session::run(&shared, stream, established, peer, stopping).await;
        }
        Err(error) => {
            shared.side().handshake_failed(error.reason());
            tracing::warn!(%peer, error = %error.chain(), "node connection refused");
        }
    }
}

impl Shared {
    fn side(&self) -> &Arc<SideMetrics> {
        self.config.metrics.server()
    }

    async fn welcome(
        &self,
        mut stream: Box<dyn Connection>,
    ) -> Result<(Box<dyn Connection>, session::Established), RpcError> {
        let me = *self.config.me.borrow();
        let established = super::connect::welcome(
            &mut *stream,
            &*self.world.rng,
            self.config.secret.clone(),
            self.config.handler.service(),
            &me,
            u32::try_from(self.config.limits.in_flight_max).unwrap_or(u32::MAX),
        )
        .await?;
        Ok((stream, established))
    }
}

/// An answer and how it counts.
type Answered = (Message, Outcome);

impl Handler {
    fn service(&self) -> Service {
        match self {
            Self::Drives(_) => Service::Drives,
            Self::Control(_) => Service::Control,
        }
    }

    /// Reads a request and begins it.
    fn begin(
        &self,
        world: &World,
        limits: &ServerLimits,
        peer: Identity,
        header: &Bytes,
        payload: &Bytes,
    ) -> Result<BoxFuture<'static, Answered>, FormatError> {
        let clock = Arc::clone(&world.clock);
        Ok(match self {
            Self::Drives(node) => {
                let call = decode_call(header, payload)?;
                let node = Arc::clone(node);
                Box::pin(async move { drive_message(&call_drive(&*clock, &*node, call).await) })
            }
            Self::Control(handler) => {
                let call = decode_control(header, payload)?;
                let (handler, timeout) = (Arc::clone(handler), limits.control_timeout);
                Box::pin(async move {
                    let reply = within(&*clock, timeout, handler.control(peer, call)).await;
                    control_message(&reply.unwrap_or_else(|| refused("no answer in time")))
                })
            }
        })
    }

    /// The answer when too much is under way.
    fn busy(&self) -> Answered {
        let (message, _) = match self {
            Self::Drives(_) => drive_message(&Err(DriveError::Busy)),
            Self::Control(_) => control_message(&refused("too many requests waiting")),
        };
        (message, Outcome::Busy)
    }

    /// The answer when the handler ended without one.
    fn broken(&self) -> Answered {
        let what = "the request ended without an answer";
        match self {
            Self::Drives(_) => drive_message(&Err(DriveError::Io {
                what: what.to_owned(),
            })),
            Self::Control(_) => control_message(&refused(what)),
        }
    }
}

async fn call_drive(clock: &dyn Clock, node: &dyn NodeClient, call: DriveCall) -> DriveAnswer {
    let deadline = Duration::from_millis(call.deadline_ms.into());
    let answer = within(clock, deadline, node.call(call)).await;
    answer.unwrap_or(Err(DriveError::TimedOut))
}

fn drive_message(answer: &DriveAnswer) -> Answered {
    let outcome = match answer {
        Ok(_) => Outcome::Ok,
        Err(DriveError::Busy) => Outcome::Busy,
        Err(DriveError::TimedOut) => Outcome::TimedOut,
        Err(_) => Outcome::Refused,
    };
    match encode_answer(answer) {
        Ok(message) => (message, outcome),
        Err(error) => drive_message(&Err(DriveError::BadRequest {
            what: format!("the answer is too large: {error}"),
        })),
    }
}

fn refused(why: &str) -> ControlReply {
    ControlReply::Refused {
        why: why.to_owned(),
    }
}

fn control_message(reply: &ControlReply) -> Answered {
    let outcome = match reply {
        ControlReply::Refused { .. } => Outcome::Refused,
        ControlReply::Registered { .. } | ControlReply::HeartbeatAck { .. } => Outcome::Ok,
    };
    match encode_control_reply(reply) {
        Ok(message) => (message, outcome),
        Err(error) => control_message(&refused(&format!("the answer is too large: {error}"))),
    }
}
