//! The S3 front in the simulation: hyper, the S3 library and the gateway's guards, under virtual
//! time.
//!
//! Owns: listening in a gateway's process, and the timer that hyper sees.
//! Leaves to others: the front itself (`holdfast_gateway::{http, s3}`), who asks it
//! ([`crate::load`]).
//! Always: a connection is a task of its gateway's process, and ends with it.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use holdfast_gateway::auth::{Administrator, Secret};
use holdfast_gateway::http::{Handler, Health, Limits, Readiness, Timers, connection};
use holdfast_gateway::metrics::S3Metrics;
use holdfast_gateway::notify::Targets;
use holdfast_gateway::object::Service;
use holdfast_gateway::s3::{self, BucketAcls, S3Config};
use holdfast_seam::World;
use hyper::rt;
use tokio_util::sync::CancellationToken;

use crate::exec::{Exec, ProcessId, Sleep};
use crate::net::Host;

/// The region that requests are signed for.
pub const REGION: &str = "us-east-1";
/// The key that clients sign with, and its secret.
pub const KEYS: (&str, &str) = ("AKSIM", "secret-of-the-simulation");

/// Where the gateway on a host answers.
pub fn addr(host: Host) -> String {
    format!("gateway:{host}")
}

/// Waits by the executor's clock.
struct Timer {
    exec: Exec,
    /// What hyper takes for the start; only differences count.
    start: Instant,
}

/// A wait, as hyper wants it.
struct Wait(Sleep);

impl Future for Wait {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl rt::Sleep for Wait {}

impl rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Wait(self.exec.sleep(duration)))
    }
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        let at = deadline.saturating_duration_since(self.start);
        Box::pin(Wait(self.exec.until(at.as_nanos() as u64)))
    }
    fn now(&self) -> Instant {
        self.start + Duration::from_nanos(self.exec.now())
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Timer")
    }
}

/// A process that serves; leases and drives say no by themselves.
struct Ready;

impl Health for Ready {
    fn live(&self) -> bool {
        true
    }
    fn readiness(&self) -> Readiness {
        Readiness::Ready
    }
}

fn front(exec: &Exec, service: Service) -> (s3::Service, Timers) {
    let timers = Timers::new(Timer {
        exec: exec.clone(),
        start: Instant::now(),
    });
    let (access, secret) = KEYS;
    let administrator = Administrator::new(access, Secret::new(secret)).expect("they are keys");
    let config = S3Config {
        region: REGION.to_owned(),
        domains: Vec::new(),
        websites: Vec::new(),
        sigv2: false,
        bucket_acls: BucketAcls::Off,
        body: Limits::default().body,
        timers: timers.clone(),
    };
    let made = s3::service(
        Arc::new(service),
        Arc::new(administrator),
        config,
        S3Metrics::new().expect("the names are right"),
        Arc::new(Ready),
        Targets::new(REGION, BTreeMap::new()),
        None,
    );
    (made, timers)
}

/// Serves S3 in a gateway's process until that ends.
pub fn start(exec: &Exec, process: ProcessId, world: World, host: Host, service: Service) {
    let (front, timers) = front(exec, service);
    let handler: Arc<dyn Handler> = Arc::new(front);
    let exec_of = exec.clone();
    let accept = async move {
        let Ok(listener) = world.net.listen(&addr(host)).await else {
            return;
        };
        while let Ok(accepted) = listener.accept().await {
            let (handler, timers) = (Arc::clone(&handler), timers.clone());
            let stop = CancellationToken::new();
            let serve = connection(accepted, handler, Limits::default(), timers, stop);
            exec_of.spawn(process, "s3 connection", Box::pin(serve));
        }
    };
    exec.spawn(process, "s3 front", Box::pin(accept));
}
