//! A node whose answers a test controls, servers, clients, and connections in memory.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use holdfast_protocol::ids::{
    ClusterId, DriveId, GatewayId, Generation, IndexId, MapVersion, NodeId, Order, WriteId,
};
use holdfast_protocol::rpc::handshake::{ClusterSecret, Expected, Identity, Service};
use holdfast_protocol::rpc::{Cell, DriveCall, DriveError, DriveReply, DriveRequest, Piece};
use holdfast_seam::disk::PAGE_LEN;
use holdfast_seam::net::{Connection, Listener, Net};
use holdfast_seam::rpc::{
    ClientConfig, ClientLimits, Handler, RemoteNode, RpcClient, ServerConfig, ServerLimits, serve,
};
use holdfast_seam::{BoxFuture, Clock, Monotonic, NodeClient, RpcMetrics, World};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub const CLUSTER: ClusterId = ClusterId::new(0xc1);
pub const NODE: NodeId = NodeId::new(0xa0de);

pub fn secret() -> ClusterSecret {
    ClusterSecret::new(b"a secret of this cluster").unwrap()
}

pub fn node_identity() -> Identity {
    Identity::node(Some(CLUSTER), NODE)
}

pub fn gateway_identity() -> Identity {
    Identity::gateway(Some(CLUSTER), GatewayId::new(7), 3)
}

pub fn write(counter: u64) -> WriteId {
    WriteId {
        gateway: GatewayId::new(7),
        gateway_epoch: 3,
        counter,
    }
}

pub fn call(request: DriveRequest) -> DriveCall {
    call_within(request, 30_000)
}

pub fn call_within(request: DriveRequest, deadline_ms: u32) -> DriveCall {
    DriveCall {
        drive: DriveId::new(0xd1),
        index: IndexId::new(0x1),
        generation: Generation::new(2),
        map_version: MapVersion::new(3),
        deadline_ms,
        request,
    }
}

pub fn stage(counter: u64, bytes: Bytes) -> DriveRequest {
    DriveRequest::Stage {
        write: write(counter),
        shard: 1,
        len_hint: Some(bytes.len() as u64),
        admitted: Order::ZERO,
        cell: Cell {
            stripe: 0,
            checksums: vec![1, 2, 3, 4],
            bytes,
        },
    }
}

pub fn discard(counter: u64) -> DriveRequest {
    DriveRequest::Discard {
        write: write(counter),
    }
}

/// What happened to a request inside the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Began(u64),
    Dropped(u64),
}

/// Stages into memory, reads it back, and holds `Discard` until the test lets it go.
#[derive(Debug)]
pub struct TestNode {
    cells: Mutex<HashMap<WriteId, Cell>>,
    held: Mutex<HashMap<u64, oneshot::Sender<()>>>,
    seen: mpsc::UnboundedSender<Seen>,
}

struct Guard<'a>(&'a TestNode, u64, bool);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if !self.2 {
            let _ = self.0.seen.send(Seen::Dropped(self.1));
        }
    }
}

impl TestNode {
    pub fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<Seen>) {
        let (seen, events) = mpsc::unbounded_channel();
        let node = Self {
            cells: Mutex::default(),
            held: Mutex::default(),
            seen,
        };
        (Arc::new(node), events)
    }
    /// Whether the cell last staged lies at pages of memory.
    pub fn is_at_pages(&self, write: WriteId) -> bool {
        let cells = self.cells.lock().unwrap();
        cells[&write].bytes.as_ptr().addr().is_multiple_of(PAGE_LEN)
    }
    pub fn release(&self, counter: u64) {
        let held = self.held.lock().unwrap().remove(&counter);
        held.expect("the request is held").send(()).unwrap();
    }
    async fn hold(&self, counter: u64) {
        let (release, released) = oneshot::channel();
        self.held.lock().unwrap().insert(counter, release);
        let mut guard = Guard(self, counter, false);
        self.seen.send(Seen::Began(counter)).unwrap();
        released.await.unwrap();
        guard.2 = true;
    }
}

#[async_trait]
impl NodeClient for TestNode {
    async fn call(&self, call: DriveCall) -> Result<DriveReply, DriveError> {
        match call.request {
            DriveRequest::Stage { write, cell, .. } => {
                if write.gateway_epoch != 3 {
                    self.hold(write.counter).await;
                }
                self.cells.lock().unwrap().insert(write, cell);
                Ok(DriveReply::Done)
            }
            DriveRequest::Read { write, spans, .. } => {
                let cells = self.cells.lock().unwrap();
                let cell = cells.get(&write).ok_or(DriveError::NotFound)?;
                let piece = |_| Piece {
                    bytes: cell.bytes.clone(),
                    checksums: cell.checksums.clone(),
                };
                let pieces = spans.iter().map(piece).collect();
                Ok(DriveReply::Blocks { pieces })
            }
            DriveRequest::Discard { write } => {
                self.hold(write.counter).await;
                Ok(DriveReply::Done)
            }
            DriveRequest::Verify { .. } => panic!("a handler that panics"),
            _ => Err(DriveError::Full),
        }
    }
}

/// A running server.
pub struct Server {
    pub addr: String,
    pub metrics: RpcMetrics,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }
    /// Begins to stop; the handle ends when the server has.
    pub fn stopping(self) -> JoinHandle<()> {
        self.stop.send(()).unwrap();
        self.task
    }
}

pub struct Setup {
    pub world: World,
    pub me: Identity,
    pub listen: String,
    pub limits: ServerLimits,
}

impl Setup {
    pub fn real() -> Self {
        Self {
            world: World::real(1),
            me: node_identity(),
            listen: "127.0.0.1:0".to_owned(),
            limits: ServerLimits::default(),
        }
    }
    pub async fn start(&self, handler: Handler) -> Server {
        let listener = self.world.net.listen(&self.listen).await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let metrics = RpcMetrics::new();
        let config = ServerConfig {
            secret: secret(),
            me: watch::channel(self.me).1,
            handler,
            limits: self.limits,
            metrics: metrics.clone(),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = Box::pin(async {
            let _ = stopped.await;
        });
        let task = tokio::spawn(serve(self.world.clone(), listener, config, shutdown));
        Server {
            addr,
            metrics,
            stop,
            task,
        }
    }
}

pub async fn node_server() -> (Server, Arc<TestNode>, mpsc::UnboundedReceiver<Seen>) {
    node_server_with(Setup::real()).await
}

pub async fn node_server_with(
    setup: Setup,
) -> (Server, Arc<TestNode>, mpsc::UnboundedReceiver<Seen>) {
    let (node, events) = TestNode::new();
    let handler = Handler::Drives(Arc::clone(&node) as Arc<dyn NodeClient>);
    (setup.start(handler).await, node, events)
}

pub fn client_config(addr: &str) -> ClientConfig {
    ClientConfig {
        addr: addr.to_owned(),
        service: Service::Drives,
        secret: secret(),
        me: gateway_identity(),
        expected: Expected::node(CLUSTER, NODE),
        limits: ClientLimits {
            backoff_min: Duration::from_millis(1),
            backoff_max: Duration::from_millis(20),
            ..ClientLimits::default()
        },
        metrics: RpcMetrics::new(),
    }
}

pub fn remote(config: ClientConfig) -> RemoteNode {
    RemoteNode::new(RpcClient::new(World::real(1), config))
}

/// Waits until `condition` holds.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(30), wait).await;
    assert!(done.is_ok(), "never came true: {what}");
}

/// The time of the runtime, which tests may stop: it then passes only when nothing else can happen.
#[derive(Debug)]
pub struct RuntimeClock(tokio::time::Instant);

impl Clock for RuntimeClock {
    fn now(&self) -> Monotonic {
        Monotonic::default().plus(self.0.elapsed())
    }
    fn unix_ms(&self) -> u64 {
        0
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A world without sockets, on the runtime's time.
pub fn memory_world(buffer: usize) -> World {
    World {
        net: MemoryNet::new(buffer),
        clock: Arc::new(RuntimeClock(tokio::time::Instant::now())),
        ..World::real(1)
    }
}

type Pending = (Box<dyn Connection>, SocketAddr);

/// Connections in memory: one listener, reached under any address.
#[derive(Debug)]
pub struct MemoryNet {
    connect: mpsc::UnboundedSender<MemoryStream>,
    accept: Mutex<Option<mpsc::UnboundedReceiver<MemoryStream>>>,
    buffer: usize,
}

type MemoryStream = tokio::io::DuplexStream;

impl MemoryNet {
    /// `buffer` bytes fit into each direction of a connection.
    pub fn new(buffer: usize) -> Arc<Self> {
        let (connect, accept) = mpsc::unbounded_channel();
        Arc::new(Self {
            connect,
            accept: Mutex::new(Some(accept)),
            buffer,
        })
    }
}

#[derive(Debug)]
struct MemoryListener(tokio::sync::Mutex<mpsc::UnboundedReceiver<MemoryStream>>);

#[async_trait]
impl Listener for MemoryListener {
    async fn accept(&self) -> io::Result<Pending> {
        let stream = self.0.lock().await.recv().await;
        let stream = stream.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok((Box::new(stream), SocketAddr::from(([0, 0, 0, 0], 0))))
    }
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from(([0, 0, 0, 0], 0)))
    }
}

#[async_trait]
impl Net for MemoryNet {
    async fn listen(&self, _addr: &str) -> io::Result<Box<dyn Listener>> {
        let accept = self.accept.lock().unwrap().take();
        let accept = accept.ok_or(io::ErrorKind::AddrInUse)?;
        Ok(Box::new(MemoryListener(tokio::sync::Mutex::new(accept))))
    }
    async fn connect(&self, _addr: &str) -> io::Result<Box<dyn Connection>> {
        let (near, far) = tokio::io::duplex(self.buffer);
        let refused = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
        self.connect.send(far).map_err(refused)?;
        Ok(Box::new(near))
    }
}
