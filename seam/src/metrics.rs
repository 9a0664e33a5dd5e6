//! What the network does, in numbers.
//!
//! Owns: the metrics of node RPC, client and server side; `docs/metrics.md` lists them.
//! Leaves to others: serving them (gateway).
//! Always: labels come from small fixed sets and are resolved once, so that counting costs an
//! addition.

use std::sync::Arc;

use holdfast_protocol::rpc::frame::{FIXED_LEN, FrameHead, TAG_LEN};
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// Answered.
    Ok,
    /// Answered with a refusal or an error of the drive.
    Refused,
    /// Not taken: too much in flight.
    Busy,
    /// Not answered in time.
    TimedOut,
    /// Given up by the caller.
    Cancelled,
    /// The peer could not be reached, or the connection ended.
    Unreachable,
}

impl Outcome {
    const ALL: [Self; 6] = [
        Self::Ok,
        Self::Refused,
        Self::Busy,
        Self::TimedOut,
        Self::Cancelled,
        Self::Unreachable,
    ];
    fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Busy => "busy",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Unreachable => "unreachable",
        }
    }
}

/// The metrics of node RPC in this process.
#[derive(Clone, Debug)]
pub struct RpcMetrics {
    client: Arc<SideMetrics>,
    server: Arc<SideMetrics>,
    families: Families,
}

#[derive(Clone, Debug)]
struct Families {
    requests: IntCounterVec,
    in_flight: IntGaugeVec,
    bytes: IntCounterVec,
    connections: IntGaugeVec,
    handshakes: IntCounterVec,
    failures: IntCounterVec,
}

impl Families {
    fn new() -> Self {
        Self {
            requests: counters(
                "holdfast_rpc_requests_total",
                "Node RPC requests by how they ended.",
                &["side", "outcome"],
            ),
            in_flight: gauges(
                "holdfast_rpc_in_flight_requests",
                "Node RPC requests under way.",
            ),
            bytes: counters(
                "holdfast_rpc_bytes_total",
                "Bytes of node RPC frames.",
                &["side", "direction"],
            ),
            connections: gauges("holdfast_rpc_connections", "Open node RPC connections."),
            handshakes: counters(
                "holdfast_rpc_handshake_failures_total",
                "Node RPC connections that were not opened, by reason.",
                &["side", "reason"],
            ),
            failures: counters(
                "holdfast_rpc_connection_failures_total",
                "Open node RPC connections that ended with an error, by reason.",
                &["side", "reason"],
            ),
        }
    }
}

fn counters(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    IntCounterVec::new(Opts::new(name, help), labels).expect("name and labels are well-formed")
}

fn gauges(name: &str, help: &str) -> IntGaugeVec {
    IntGaugeVec::new(Opts::new(name, help), &["side"]).expect("name and labels are well-formed")
}

impl RpcMetrics {
    /// Metrics that count from 0 and are not yet registered anywhere.
    pub fn new() -> Self {
        let families = Families::new();
        Self {
            client: Arc::new(SideMetrics::new(&families, "client")),
            server: Arc::new(SideMetrics::new(&families, "server")),
            families,
        }
    }
    /// Shows them in `registry`.
    ///
    /// # Errors
    /// If metrics of these names are registered there already.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        let families = self.families.clone();
        registry.register(Box::new(families.requests))?;
        registry.register(Box::new(families.in_flight))?;
        registry.register(Box::new(families.bytes))?;
        registry.register(Box::new(families.connections))?;
        registry.register(Box::new(families.handshakes))?;
        registry.register(Box::new(families.failures))
    }
    /// What this process does as a client.
    pub fn client(&self) -> &Arc<SideMetrics> {
        &self.client
    }
    /// What this process does as a server.
    pub fn server(&self) -> &Arc<SideMetrics> {
        &self.server
    }
}

impl Default for RpcMetrics {
    fn default() -> Self {
        Self::new()
    }
}

/// One side of node RPC.
#[derive(Debug)]
pub struct SideMetrics {
    side: &'static str,
    requests: [IntCounter; Outcome::ALL.len()],
    in_flight: IntGauge,
    received: IntCounter,
    sent: IntCounter,
    connections: IntGauge,
    handshakes: IntCounterVec,
    failures: IntCounterVec,
}

impl SideMetrics {
    fn new(families: &Families, side: &'static str) -> Self {
        let request = |outcome: Outcome| {
            let labels = [side, outcome.label()];
            families.requests.with_label_values(&labels)
        };
        Self {
            side,
            requests: Outcome::ALL.map(request),
            in_flight: families.in_flight.with_label_values(&[side]),
            received: families.bytes.with_label_values(&[side, "in"]),
            sent: families.bytes.with_label_values(&[side, "out"]),
            connections: families.connections.with_label_values(&[side]),
            handshakes: families.handshakes.clone(),
            failures: families.failures.clone(),
        }
    }
    /// How many requests ended so.
    pub fn requests(&self, outcome: Outcome) -> u64 {
        self.requests[outcome as usize].get()
    }
    /// How many connections were not opened for this reason.
    pub fn handshake_failures(&self, reason: &str) -> u64 {
        self.handshakes
            .with_label_values(&[self.side, reason])
            .get()
    }
    /// How many open connections ended with this error.
    pub fn connection_failures(&self, reason: &str) -> u64 {
        self.failures.with_label_values(&[self.side, reason]).get()
    }
    /// Open connections.
    pub fn connections(&self) -> i64 {
        self.connections.get()
    }
    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.inc_by(bytes as u64);
    }
    pub(crate) fn received(&self, head: &FrameHead) {
        let fixed = (FIXED_LEN + TAG_LEN) as u64;
        let sized = u64::from(head.header_len) + u64::from(head.payload_len);
        self.received.inc_by(fixed + sized);
    }
    pub(crate) fn handshake_failed(&self, reason: &'static str) {
        self.handshakes
            .with_label_values(&[self.side, reason])
            .inc();
    }
    pub(crate) fn connection_failed(&self, reason: &'static str) {
        self.failures.with_label_values(&[self.side, reason]).inc();
    }
    /// Counts a connection until dropped.
    pub(crate) fn connected(self: &Arc<Self>) -> Connected {
        self.connections.inc();
        Connected(Arc::clone(self))
    }
    /// Counts a request until dropped; `Cancelled` unless it is told how it ended.
    pub(crate) fn started(self: &Arc<Self>) -> Started {
        self.in_flight.inc();
        Started {
            side: Arc::clone(self),
            outcome: Outcome::Cancelled,
        }
    }
}

/// A connection that is open.
#[derive(Debug)]
pub(crate) struct Connected(Arc<SideMetrics>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct Started {
    side: Arc<SideMetrics>,
    outcome: Outcome,
}

impl Started {
    pub(crate) fn ended(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.side.in_flight.dec();
        self.side.requests[self.outcome as usize].inc();
    }
}
