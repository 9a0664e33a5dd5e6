//! What a call over loopback costs: round trips, and cells of 256 KiB both ways.
//!
//! Client and server run on a thread each, with a runtime of one thread, as in the measurements
//! that the transport was chosen by. Criterion shows time per call; afterwards a table shows the
//! CPU time of each thread, which other load on the machine disturbs less.
//!
//! `cargo bench -p holdfast-seam --bench rpc`

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use futures::future::join_all;
use holdfast_protocol::ids::{
    ClusterId, DriveId, GatewayId, Generation, IndexId, MapVersion, NodeId, Order, WriteId,
};
use holdfast_protocol::rpc::frame::{FrameKind, Sealer};
use holdfast_protocol::rpc::handshake::{ClusterSecret, Expected, Identity, Service};
use holdfast_protocol::rpc::wire::{decode_call, encode_call};
use holdfast_protocol::rpc::{
    BlockSpan, Cell, DriveCall, DriveError, DriveReply, DriveRequest, DriveStatus, LogPosition,
    Piece,
};
use holdfast_seam::rpc::{
    ClientConfig, ClientLimits, Handler, RemoteNode, RpcClient, ServerConfig, ServerLimits, serve,
};
use holdfast_seam::{NodeClient, RpcMetrics, World};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

const CLUSTER: ClusterId = ClusterId::new(1);
const NODE: NodeId = NodeId::new(2);
const CELL_LEN: usize = 256 << 10;

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Takes cells and gives one back; `Status` tells the CPU time of the server's thread.
#[derive(Debug)]
struct Node {
    cell: Bytes,
}

#[async_trait]
impl NodeClient for Node {
    async fn call(&self, call: DriveCall) -> Result<DriveReply, DriveError> {
        Ok(match call.request {
            DriveRequest::Read { .. } => DriveReply::Blocks {
                pieces: vec![Piece {
                    bytes: self.cell.clone(),
                    checksums: vec![1; 4],
                }],
            },
            DriveRequest::Status => DriveReply::Status(DriveStatus {
                cluster: CLUSTER,
                drive: call.drive,
                generation: call.generation,
                index: None,
                end: LogPosition::default(),
                writable: true,
                trouble: None,
                used_bytes: 0,
                free_bytes: 0,
                records: 0,
                syncs: thread_cpu().as_nanos() as u64,
                told: Order::ZERO,
                partial: false,
                found: 0,
            }),
            _ => DriveReply::Done,
        })
    }
}

fn call(request: DriveRequest) -> DriveCall {
    DriveCall {
        drive: DriveId::new(3),
        index: IndexId::new(4),
        generation: Generation::new(5),
        map_version: MapVersion::new(6),
        deadline_ms: 10_000,
        request,
    }
}

fn write() -> WriteId {
    WriteId {
        gateway: GatewayId::new(7),
        gateway_epoch: 1,
        counter: 9,
    }
}

fn small() -> DriveCall {
    call(DriveRequest::Discard { write: write() })
}

fn stage(cell: &Bytes) -> DriveCall {
    call(DriveRequest::Stage {
        write: write(),
        shard: 1,
        len_hint: None,
        admitted: Order::ZERO,
        cell: Cell {
            stripe: 0,
            checksums: vec![1; 4],
            bytes: cell.clone(),
        },
    })
}

fn read() -> DriveCall {
    let span = BlockSpan {
        stripe: 0,
        first_block: 0,
        block_count: 4,
    };
    call(DriveRequest::Read {
        write: write(),
        shard: 1,
        spans: vec![span],
    })
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn start_server(cell: Bytes, secret: ClusterSecret) -> String {
    let (tell, addr) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        one_thread().block_on(async move {
            let world = World::real(1);
            let listener = world.net.listen("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap().to_string())
                .unwrap();
            let config = ServerConfig {
                secret,
                me: watch::channel(Identity::node(Some(CLUSTER), NODE)).1,
                handler: Handler::Drives(Arc::new(Node { cell })),
                limits: ServerLimits::default(),
                metrics: RpcMetrics::new(),
            };
            serve(world, listener, config, Box::pin(std::future::pending())).await;
        });
    });
    addr.recv().unwrap()
}

struct Bench {
    runtime: Runtime,
    client: RemoteNode,
    cell: Bytes,
}

impl Bench {
    fn new() -> Self {
        let cell: Bytes = (0..CELL_LEN).map(|i| (i * 31) as u8).collect();
        let secret = ClusterSecret::new(b"secret of the bench").unwrap();
        let addr = start_server(cell.clone(), secret.clone());
        let config = ClientConfig {
            addr,
            service: Service::Drives,
            secret,
            me: Identity::gateway(Some(CLUSTER), GatewayId::new(7), 1),
            expected: Expected::node(CLUSTER, NODE),
            limits: ClientLimits::default(),
            metrics: RpcMetrics::new(),
        };
        let runtime = one_thread();
        let client = runtime.block_on(async { RpcClient::new(World::real(1), config) });
        Self {
            runtime,
            client: RemoteNode::new(client),
            cell,
        }
    }

    /// `count` calls, `in_flight` at a time.
    fn run(&self, make: &dyn Fn() -> DriveCall, in_flight: u64, count: u64) {
        self.runtime.block_on(async {
            let lane = |lane: u64| async move {
                for _ in (lane..count).step_by(in_flight as usize) {
                    self.client.call(make()).await.unwrap();
                }
            };
            join_all((0..in_flight).map(lane)).await;
        });
    }

    fn server_cpu(&self) -> Duration {
        let status = call(DriveRequest::Status);
        match self.runtime.block_on(self.client.call(status)) {
            Ok(DriveReply::Status(status)) => Duration::from_nanos(status.syncs),
            other => panic!("{other:?}"),
        }
    }
}

type Make<'a> = (&'a str, u64, Box<dyn Fn() -> DriveCall + 'a>);

fn loads(cell: &Bytes) -> Vec<Make<'_>> {
    vec![
        ("round trip", 0, Box::new(small)),
        ("stage 256 KiB", CELL_LEN as u64, Box::new(|| stage(cell))),
        ("read 256 KiB", CELL_LEN as u64, Box::new(read)),
    ]
}

fn wall(criterion: &mut Criterion, bench: &Bench) {
    for (name, bytes, make) in loads(&bench.cell) {
        let mut group = criterion.benchmark_group(name);
        if bytes > 0 {
            group.throughput(Throughput::Bytes(bytes));
        }
        for in_flight in [1, 16] {
            let id = BenchmarkId::from_parameter(format!("{in_flight} in flight"));
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|count| {
                    let start = Instant::now();
                    bench.run(&make, in_flight, count);
                    start.elapsed()
                });
            });
        }
        group.finish();
    }
}

/// Best of several batches: what other load on the machine adds is not ours.
fn cpu(bench: &Bench) {
    println!("\nCPU per call, client + server (per GiB), best of 15 batches:");
    for (name, bytes, make) in loads(&bench.cell) {
        for in_flight in [1, 16] {
            let count = if bytes > 0 { 2_000 } else { 20_000 };
            let mut best = (f64::MAX, 0.0, 0.0);
            for _ in 0..15 {
                let (client, server) = (thread_cpu(), bench.server_cpu());
                bench.run(&make, in_flight, count);
                let per = |spent: Duration| spent.as_secs_f64() * 1e6 / count as f64;
                let server = per(bench.server_cpu() - server);
                let client = per(thread_cpu() - client);
                if client + server < best.0 {
                    best = (client + server, client, server);
                }
            }
            let (_, client, server) = best;
            print!("{name:14} {in_flight:2} in flight: {client:6.2} + {server:6.2} us");
            let calls = (1_u64 << 30) as f64 / bytes as f64 / 1e6;
            match bytes {
                0 => println!(),
                _ => println!(" ({:.3} + {:.3} s/GiB)", client * calls, server * calls),
            }
        }
    }
}

/// What encoding and authenticating cost, without sockets.
fn pure(criterion: &mut Criterion, cell: &Bytes) {
    let mut group = criterion.benchmark_group("encode");
    group.bench_function("small call", |bencher| {
        let call = small();
        bencher.iter(|| encode_call(&call).unwrap());
    });
    group.bench_function("small call, and back", |bencher| {
        let call = small();
        bencher.iter(|| {
            let message = encode_call(&call).unwrap();
            decode_call(&message.header, &Bytes::new()).unwrap()
        });
    });
    for (name, call) in [("seal small", small()), ("seal 256 KiB", stage(cell))] {
        let message = encode_call(&call).unwrap();
        let mut sealer = Sealer::new(&[7; 32]);
        let mut out = Vec::with_capacity(4096);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                sealer
                    .seal(FrameKind::Request, 1, &message, &mut out)
                    .unwrap();
            });
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .sample_size(20)
        .configure_from_args();
    let bench = Bench::new();
    pure(&mut criterion, &bench.cell);
    wall(&mut criterion, &bench);
    criterion.final_summary();
    if std::env::args().any(|arg| arg == "--bench") {
        cpu(&bench);
    }
}
