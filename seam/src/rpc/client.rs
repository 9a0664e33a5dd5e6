//! The client: a small pool of connections to one peer.
//!
//! Owns: choosing, opening and reopening connections; deadlines; what may be queued.
//! Leaves to others: what happens on a connection ([`super::connection`]).
//! Always: a caller waits no longer than its deadline; a peer that cannot be reached is tried again
//! with growing pauses, in which calls fail at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use holdfast_protocol::rpc::control::{
    ControlCall, ControlReply, decode_control_reply, encode_control,
};
use holdfast_protocol::rpc::handshake::{ClusterSecret, Established, Expected, Identity, Service};
use holdfast_protocol::rpc::wire::{Message, decode_answer, encode_call};
use holdfast_protocol::rpc::{DriveCall, DriveError, DriveReply};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::connect::greet;
use super::connection::{Answer, Connection, Failed};
use super::framing::{FrameReader, FrameWriter};
use super::pulse::Pulse;
use super::{RpcError, within};
use crate::clock::Monotonic;
use crate::metrics::{Outcome, RpcMetrics, SideMetrics};
use crate::node::NodeClient;
use crate::{Task, World};

/// A second connection is opened once the first has so many requests under way.
const CROWDED: usize = 4;
const ROOM_UNIT: usize = 1 << 10;

/// Bounds and times of a client.
#[derive(Clone, Copy, Debug)]
pub struct ClientLimits {
    /// Connections to the peer.
    pub connections: usize,
    /// Requests under way on one connection, if the peer takes as many.
    pub in_flight_max: usize,
    /// Payload bytes that may wait to be written, all connections; more wait for room.
    pub queued_bytes_max: usize,
    /// Time to connect and shake hands.
    pub connect_timeout: Duration,
    /// Pause after the first failure to connect; doubles with each further one.
    pub backoff_min: Duration,
    /// Longest pause.
    pub backoff_max: Duration,
    /// A quiet connection is pinged so often.
    pub keepalive: Duration,
    /// A peer not heard for so long is dead.
    pub dead_after: Duration,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            connections: 2,
            in_flight_max: 256,
            queued_bytes_max: 64 << 20,
            connect_timeout: Duration::from_secs(5),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(2),
            keepalive: Duration::from_secs(5),
            dead_after: Duration::from_secs(15),
        }
    }
}

/// Whom to call, as whom.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `host:port`.
    pub addr: String,
    /// What for.
    pub service: Service,
    /// Proves both ends.
    pub secret: ClusterSecret,
    /// Who calls.
    pub me: Identity,
    /// Who must answer.
    pub expected: Expected,
    /// Bounds and times.
    pub limits: ClientLimits,
    /// Where to count.
    pub metrics: RpcMetrics,
}

/// A slot of the pool.
#[derive(Debug)]
enum Slot {
    /// Not connected; not to be tried before `until`.
    Idle {
        failures: u32,
        until: Monotonic,
        error: Option<RpcError>,
    },
    /// Being connected.
    Connecting(Opening),
    /// In use.
    Open(Arc<Connection>),
}

type Opened = Result<Arc<Connection>, RpcError>;
/// Tells all who wait, in the order in which they came: a `watch` channel draws that order.
type Opening = futures::future::Shared<oneshot::Receiver<Opened>>;

#[derive(Debug)]
struct Shared {
    world: World,
    config: ClientConfig,
    slots: Mutex<Vec<Slot>>,
    tasks: Mutex<BTreeMap<usize, Task>>,
    room: Arc<Semaphore>,
    closed: AtomicBool,
}

/// A client of one peer.
#[derive(Debug)]
pub struct RpcClient {
    shared: Arc<Shared>,
}

impl RpcClient {
    /// A client that connects when it is first used.
    pub fn new(world: World, config: ClientConfig) -> Self {
        let idle = || Slot::Idle {
            failures: 0,
            until: Monotonic::default(),
            error: None,
        };
        let slots = (0..config.limits.connections.max(1)).map(|_| idle());
        let room = config.limits.queued_bytes_max.div_ceil(ROOM_UNIT);
        let shared = Shared {
            slots: Mutex::new(slots.collect()),
            tasks: Mutex::default(),
            room: Arc::new(Semaphore::new(room.clamp(1, Semaphore::MAX_PERMITS))),
            closed: AtomicBool::new(false),
            world,
            config,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Sends `message` and waits for the answer, at most `deadline`. Dropping the future cancels
    /// the request.
    ///
    /// # Errors
    /// `TimedOut`, `Connect`, `Handshake` or `Closed`; in the last case the request may have taken
    /// effect.
    pub async fn request(&self, message: Message, deadline: Duration) -> Result<Answer, RpcError> {
        let started = self.shared.side().started();
        let clock = &*self.shared.world.clock;
        let result = match within(clock, deadline, self.shared.request(message)).await {
            Some(result) => result,
            None => Err(RpcError::TimedOut),
        };
        started.ended(match &result {
            Ok(_) => Outcome::Ok,
            Err(RpcError::TimedOut) => Outcome::TimedOut,
            Err(_) => Outcome::Unreachable,
        });
        result
    }

    /// Ends all connections and waits for their tasks.
    pub async fn close(&self) {
        self.shared.close();
        let tasks = std::mem::take(&mut *lock(&self.shared.tasks));
        for task in tasks.into_values() {
            task.await;
        }
    }
}

impl Drop for RpcClient {
    fn drop(&mut self) {
        self.shared.close();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What to do for a request.
enum Choice {
    Use(Arc<Connection>),
    Wait(Opening),
    Fail(RpcError),
}

impl Shared {
    fn side(&self) -> &Arc<SideMetrics> {
        self.config.metrics.client()
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        for slot in lock(&self.slots).iter() {
            if let Slot::Open(connection) = slot {
                connection.close("the client was closed");
            }
        }
    }

    async fn request(self: &Arc<Self>, message: Message) -> Result<Answer, RpcError> {
        let mut room = self.room(message.payload_len()).await;
        let mut message = message;
        loop {
            let connection = match self.choose() {
                Choice::Use(connection) => connection,
                Choice::Wait(opened) => wait(opened).await?,
                Choice::Fail(error) => return Err(error),
            };
            match connection.request(message, room).await {
                Ok(answer) => return Ok(answer),
                Err(Failed::Lost(error)) => return Err(error),
                Err(Failed::NotSent(again, its_room)) => (message, room) = (again, its_room),
            }
        }
    }

    /// Waits until `len` more payload bytes may be queued.
    async fn room(&self, len: usize) -> Option<OwnedSemaphorePermit> {
        let all = self.config.limits.queued_bytes_max.div_ceil(ROOM_UNIT);
        let units = len.div_ceil(ROOM_UNIT).min(all.max(1));
        match units {
            0 => None,
            units => {
                let room = Arc::clone(&self.room);
                room.acquire_many_owned(units as u32).await.ok()
            }
        }
    }

    /// The open connection with the least to do; another one is opened when all are crowded.
    fn choose(self: &Arc<Self>) -> Choice {
        let mut slots = lock(&self.slots);
        let now = self.world.clock.now();
        let mut best: Option<(usize, Arc<Connection>)> = None;
        let (mut vacant, mut opening, mut failed) = (None, None, None);
        for (index, slot) in slots.iter().enumerate() {
            match slot {
                Slot::Open(connection) if connection.is_open() => {
                    let load = connection.load();
                    if best.as_ref().is_none_or(|(least, _)| load < *least) {
                        best = Some((load, Arc::clone(connection)));
                    }
                }
                Slot::Open(_) => vacant = vacant.or(Some((index, 0))),
                Slot::Connecting(opened) => opening = Some(opened.clone()),
                Slot::Idle {
                    until, failures, ..
                } if *until <= now => vacant = vacant.or(Some((index, *failures))),
                Slot::Idle { error, .. } => failed = error.clone(),
            }
        }
        let crowded = best.as_ref().is_none_or(|(load, _)| *load >= CROWDED);
        // One at a time; and none beside one that failed and is not to be tried yet.
        if let Some((index, failures)) = vacant
            && crowded
            && opening.is_none()
            && failed.is_none()
        {
            let (tell, opened) = oneshot::channel();
            let opened = opened.shared();
            slots[index] = Slot::Connecting(opened.clone());
            opening = Some(opened);
            drop(slots);
            self.open(index, failures, tell);
        }
        match (best, opening) {
            (Some((_, connection)), _) => Choice::Use(connection),
            (None, Some(opened)) => Choice::Wait(opened),
            (None, None) => {
                Choice::Fail(failed.unwrap_or_else(|| RpcError::closed("not connected")))
            }
        }
    }

    fn open(self: &Arc<Self>, slot: usize, failures: u32, tell: oneshot::Sender<Opened>) {
        let shared = Arc::clone(self);
        let work = async move { shared.run(slot, failures, tell).await };
        let task = self.world.spawn.task("rpc-client", Box::pin(work));
        // What a former task of the slot still does after it gave the slot back ends by itself.
        lock(&self.tasks).insert(slot, task);
    }

    /// Connects, and serves the connection until it ends.
    async fn run(self: Arc<Self>, slot: usize, failures: u32, tell: oneshot::Sender<Opened>) {
        let timeout = self.config.limits.connect_timeout;
        let connected = match within(&*self.world.clock, timeout, self.connect()).await {
            Some(connected) => connected,
            None => Err(self.failed_to_connect("no answer in time")),
        };
        let (stream, established) = match connected {
            Ok(connected) => connected,
            Err(error) => return self.put_off(slot, failures, error, tell),
        };
        let in_flight_max = (established.in_flight_max as usize)
            .min(self.config.limits.in_flight_max)
            .clamp(1, Semaphore::MAX_PERMITS);
        let connection = Arc::new(Connection::new(in_flight_max, Arc::clone(self.side())));
        lock(&self.slots)[slot] = Slot::Open(Arc::clone(&connection));
        if self.closed.load(Ordering::Acquire) {
            connection.close("the client was closed");
        }
        let _ = tell.send(Ok(Arc::clone(&connection)));
        self.serve(&connection, stream, established).await;
    }

    async fn serve(
        &self,
        connection: &Connection,
        stream: Box<dyn crate::net::Connection>,
        established: Established,
    ) {
        let _connected = self.side().connected();
        let pulse = Arc::new(Pulse::default());
        let (source, sink) = tokio::io::split(stream);
        let reader = FrameReader::new(source, established.opener, Arc::clone(&pulse));
        let writer = FrameWriter::new(sink, established.sealer, Arc::clone(&pulse));
        let limits = &self.config.limits;
        let clock = &*self.world.clock;
        let watch = pulse.watch(clock, limits.keepalive, limits.dead_after, || {
            connection.ping();
        });
        let ended = tokio::select! {
            biased;
            ended = connection.read(reader) => ended,
            ended = connection.write(writer) => ended,
            why = watch => Err(RpcError::closed(why)),
        };
        let why = match &ended {
            Ok(()) => "the peer closed".to_owned(),
            Err(error) => error.chain(),
        };
        if let Err(error) = ended {
            self.side().connection_failed(error.reason());
            tracing::warn!(peer = %self.config.addr, error = %why, "node connection lost");
        }
        connection.close(&why);
    }

    async fn connect(&self) -> Result<(Box<dyn crate::net::Connection>, Established), RpcError> {
        let config = &self.config;
        let connected = self.world.net.connect(&config.addr).await;
        let mut stream = connected.map_err(|error| self.failed_to_connect(error))?;
        let secret = config.secret.clone();
        let rng = &*self.world.rng;
        let (service, me) = (config.service, &config.me);
        let established = greet(&mut *stream, rng, secret, service, me, config.expected).await?;
        Ok((stream, established))
    }

    fn failed_to_connect(&self, why: impl ToString) -> RpcError {
        RpcError::Connect {
            addr: self.config.addr.clone(),
            why: why.to_string(),
        }
    }

    /// Tells those who wait, and when to try again.
    fn put_off(&self, slot: usize, failures: u32, error: RpcError, tell: oneshot::Sender<Opened>) {
        let limits = &self.config.limits;
        let pause = limits.backoff_min * 2_u32.saturating_pow(failures.min(16));
        let pause = pause.min(limits.backoff_max);
        // Half of it at random: clients of a node that returns should not come all at once.
        let share = (self.world.rng.u64() % 512) as u32 + 512;
        let until = self.world.clock.now().plus(pause * share / 1024);
        self.side().handshake_failed(error.reason());
        if failures == 0 {
            tracing::warn!(peer = %self.config.addr, error = %error.chain(), "node not reached");
        }
        lock(&self.slots)[slot] = Slot::Idle {
            failures: failures.saturating_add(1),
            until,
            error: Some(error.clone()),
        };
        let _ = tell.send(Err(error));
    }
}

async fn wait(opened: Opening) -> Opened {
    let gone = |_| Err(RpcError::closed("connecting was given up"));
    opened.await.unwrap_or_else(gone)
}

/// Calls the drives of one node over a network.
#[derive(Debug)]
pub struct RemoteNode {
    client: RpcClient,
}

impl RemoteNode {
    /// Calls over `client`, whose service is [`Service::Drives`].
    pub fn new(client: RpcClient) -> Self {
        Self { client }
    }
    /// Ends all connections and waits for their tasks.
    pub async fn close(&self) {
        self.client.close().await;
    }
}

#[async_trait]
impl NodeClient for RemoteNode {
    async fn call(&self, call: DriveCall) -> Result<DriveReply, DriveError> {
        let deadline = Duration::from_millis(call.deadline_ms.into());
        let message = encode_call(&call).map_err(|error| DriveError::BadRequest {
            what: error.to_string(),
        })?;
        drop(call);
        let unreachable = |why| DriveError::Unreachable { why };
        let (header, payload) = match self.client.request(message, deadline).await {
            Ok(answer) => answer,
            Err(RpcError::TimedOut) => return Err(DriveError::TimedOut),
            Err(error) => return Err(unreachable(error.chain())),
        };
        decode_answer(&header, &payload)
            .unwrap_or_else(|error| Err(unreachable(format!("malformed answer: {error}"))))
    }
}

/// Speaks to a gateway on behalf of a node.
#[derive(Debug)]
pub struct ControlClient {
    client: RpcClient,
}

impl ControlClient {
    /// Speaks over `client`, whose service is [`Service::Control`].
    pub fn new(client: RpcClient) -> Self {
        Self { client }
    }
    /// Ends all connections and waits for their tasks.
    pub async fn close(&self) {
        self.client.close().await;
    }
    /// Asks, and waits at most `deadline`.
    ///
    /// # Errors
    /// As [`RpcClient::request`], and `Format` if question or answer break a bound.
    pub async fn call(
        &self,
        call: &ControlCall,
        deadline: Duration,
    ) -> Result<ControlReply, RpcError> {
        let message = encode_control(call)?;
        let (header, payload) = self.client.request(message, deadline).await?;
        Ok(decode_control_reply(&header, &payload)?)
    }
}
