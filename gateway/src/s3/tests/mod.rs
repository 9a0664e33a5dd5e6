//! Facts about the S3 front, over real connections.
//!
//! Method: the whole stack on a loopback port, over objects kept in memory; raw requests signed by
//! our own signer, so that each can be wrong in exactly one way.

mod acls;
mod appends;
mod compatibility;
mod errors;
mod fidelity;
mod gate;
mod guards;
mod isolation;
mod kept;
mod lifecycle;
mod limits;
mod listing;
mod logging;
mod matrix;
mod memory;
mod multipart;
mod notifications;
mod objects;
mod operations;
mod policies;
mod post;
mod renames;
mod reply;
mod settings;
mod sigv2;
mod website;
mod wire;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::auth::{Administrator, Credentials, Secret};
use crate::http::{Drained, Health, Limits, Readiness, Timers, serve};
use crate::logging::{AccessLog, AccessLogMetrics, Entry};
use crate::metrics::S3Metrics;
use crate::s3::{BucketAcls, S3Config, service};
use memory::Memory;
use reply::Reply;
use wire::Req;

const ACCESS: &str = "AKTEST";
const SECRET: &str = "secret-of-the-tests";

/// 0: ready, 1: starting, 2: draining.
struct State(AtomicU8);

impl Health for State {
    fn live(&self) -> bool {
        true
    }
    fn readiness(&self) -> Readiness {
        match self.0.load(Ordering::SeqCst) {
            0 => Readiness::Ready,
            1 => Readiness::NotReady("two drives are missing".to_owned()),
            _ => Readiness::Draining,
        }
    }
}

/// A running S3 front.
struct Server {
    addr: SocketAddr,
    memory: Arc<Memory>,
    registry: Registry,
    state: Arc<State>,
    shutdown: CancellationToken,
    task: JoinHandle<Drained>,
    /// Until it is delivered.
    log: Mutex<Option<(AccessLog, mpsc::Receiver<Entry>)>>,
}

impl Server {
    async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    async fn with(limits: Limits) -> Self {
        Self::made(limits, false).await
    }

    async fn made(limits: Limits, sigv2: bool) -> Self {
        let admin = Administrator::new(ACCESS, Secret::new(SECRET)).unwrap();
        Self::of(limits, sigv2, Arc::new(admin)).await
    }

    async fn of(limits: Limits, sigv2: bool, credentials: Arc<dyn Credentials>) -> Self {
        Self::set_up(limits, sigv2, BucketAcls::Off, credentials).await
    }

    async fn set_up(
        limits: Limits,
        sigv2: bool,
        bucket_acls: BucketAcls,
        credentials: Arc<dyn Credentials>,
    ) -> Self {
        let memory = Arc::new(Memory::default());
        let metrics = S3Metrics::new().unwrap();
        let registry = Registry::new();
        metrics.register(&registry).unwrap();
        let state = Arc::new(State(AtomicU8::new(0)));
        let config = S3Config {
            region: "eu-test-1".to_owned(),
            domains: vec!["s3.test".to_owned()],
            websites: vec!["web.test".to_owned()],
            sigv2,
            bucket_acls,
            body: limits.body,
            timers: Timers::default(),
        };
        let health = state.clone();
        let targets = notifications::targets();
        let log = AccessLog::new(AccessLogMetrics::new().unwrap());
        let service = service(
            memory.clone(),
            credentials,
            config,
            metrics,
            health,
            targets,
            Some(log.0.clone()),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(serve(listener, Arc::new(service), limits, shutdown.clone()));
        Self {
            addr,
            memory,
            registry,
            state,
            shutdown,
            task,
            log: Mutex::new(Some(log)),
        }
    }

    /// With a bucket `bkt`.
    async fn with_bucket() -> Self {
        let server = Self::start().await;
        server.send(Req::new("PUT", "/bkt")).await.expect(200);
        server
    }

    async fn send(&self, request: Req) -> Reply {
        self.raw(&request.bytes()).await
    }

    async fn raw(&self, bytes: &[u8]) -> Reply {
        let reply = reply::exchange(self.addr, bytes);
        let reply = tokio::time::timeout(Duration::from_secs(60), reply).await;
        reply.expect("an answer within a minute")
    }

    /// Stores an object.
    async fn put(&self, key: &str, body: &[u8]) -> Reply {
        let reply = self
            .send(Req::new("PUT", &format!("/bkt/{key}")).body(body))
            .await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply
    }

    fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let mut sum = 0.0;
        for family in self.registry.gather().iter().filter(|f| f.name() == name) {
            for metric in family.get_metric() {
                let has = |(n, v): &(&str, &str)| {
                    metric
                        .get_label()
                        .iter()
                        .any(|l| l.name() == *n && l.value() == *v)
                };
                if labels.iter().all(has) {
                    sum += metric.get_counter().get_value() + metric.get_gauge().get_value();
                    sum += metric.get_histogram().get_sample_count() as f64;
                }
            }
        }
        sum
    }
}
