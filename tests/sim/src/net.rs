//! A network of byte streams that is late, cut, and broken.
//!
//! Owns: hosts, listeners, streams, the time bytes take, partitions and resets.
//! Leaves to others: when what fails.
//! Always: bytes of one direction of one stream arrive in order or not at all; different streams
//! overtake each other.

mod stream;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use holdfast_seam::net::{Connection, Listener, Net};

use crate::dice::Dice;
use crate::exec::Exec;
use stream::SimConnection;

/// Names a host.
pub type Host = u16;

/// How the network behaves.
#[derive(Clone, Copy, Debug)]
pub struct NetConfig {
    /// Time a byte takes at least.
    pub delay_min: Duration,
    /// Time a byte takes at most, but for the odd one.
    pub delay_max: Duration,
    /// One in so many thousand pieces takes twenty times as long.
    pub late_permille: u64,
    /// One in so many thousand reads gives one byte.
    pub one_byte_permille: u64,
    /// Bytes under way in one direction of a stream.
    pub window: usize,
}

#[derive(Debug)]
enum Piece {
    Bytes(Vec<u8>, usize),
    End,
}

#[derive(Debug)]
struct Pipe {
    from: Host,
    to: Host,
    pieces: VecDeque<(u64, Piece)>,
    under_way: usize,
    last: u64,
    reader: Option<Waker>,
    writer: Option<Waker>,
    is_reset: bool,
    reader_gone: bool,
    writer_gone: bool,
    /// The other machine has lost its power: nothing comes and nothing goes.
    silent: bool,
}

#[derive(Debug, Default)]
struct Port {
    waiting: VecDeque<(u64, SimConnection)>,
    accepting: Option<Waker>,
}

struct State {
    exec: Exec,
    config: NetConfig,
    dice: Dice,
    pipes: BTreeMap<u64, Pipe>,
    next: u64,
    ports: BTreeMap<String, (Host, Port)>,
    /// One direction between two hosts that is cut.
    cut: BTreeSet<(Host, Host)>,
    /// How often bytes met a cut, by direction.
    held: BTreeMap<(Host, Host), u64>,
    /// Hosts whose bytes take so many times as long.
    slow: BTreeMap<Host, u64>,
    /// How often bytes took longer for it.
    slowed: BTreeMap<Host, u64>,
    resets: u64,
}

/// The network. Clones are the same one.
#[derive(Clone)]
pub struct SimNetwork(Arc<Mutex<State>>);

impl fmt::Debug for SimNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimNetwork")
    }
}

impl SimNetwork {
    /// An empty network.
    pub fn new(exec: Exec, config: NetConfig, dice: Dice) -> Self {
        Self(Arc::new(Mutex::new(State {
            exec,
            config,
            dice,
            pipes: BTreeMap::new(),
            next: 1,
            ports: BTreeMap::new(),
            cut: BTreeSet::new(),
            held: BTreeMap::new(),
            slow: BTreeMap::new(),
            slowed: BTreeMap::new(),
            resets: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The network as `host` sees it.
    pub fn of(&self, host: Host) -> SimNet {
        SimNet {
            network: self.clone(),
            host,
        }
    }

    /// Cuts one direction between two hosts, or mends it.
    pub fn set_cut(&self, from: Host, to: Host, is_cut: bool) {
        let mut state = self.state();
        match is_cut {
            true => drop(state.cut.insert((from, to))),
            false => drop(state.cut.remove(&(from, to))),
        }
        let readers = state.readers(|pipe| pipe.from == from && pipe.to == to);
        drop(state);
        readers.into_iter().for_each(Waker::wake);
    }

    /// How often bytes, or somebody who wanted to connect, met a cut in one of these directions.
    pub fn held(&self, directions: &[(Host, Host)]) -> u64 {
        let state = self.state();
        let held = directions.iter().filter_map(|way| state.held.get(way));
        held.sum()
    }

    /// How often bytes of a host took longer because it is slow.
    pub fn slowed(&self, host: Host) -> u64 {
        self.state().slowed.get(&host).copied().unwrap_or_default()
    }

    /// Lets the bytes of a host take `factor` times as long.
    pub fn set_slow(&self, host: Host, factor: u64) {
        self.state().slow.insert(host, factor.max(1));
    }

    /// Breaks the streams between two hosts. Returns how many.
    pub fn reset(&self, one: Host, other: Host) -> usize {
        let is_between = |pipe: &Pipe| {
            (pipe.from, pipe.to) == (one, other) || (pipe.to, pipe.from) == (one, other)
        };
        self.break_pipes(is_between)
    }

    /// A host has lost its power: its streams say nothing more, and its ports are closed.
    pub fn silence(&self, host: Host) {
        let mut state = self.state();
        let is_there = |(_, (at, _)): &(&String, &(Host, Port))| *at == host;
        let closed: Vec<String> = state
            .ports
            .iter()
            .filter(is_there)
            .map(|(addr, _)| addr.clone())
            .collect();
        let ports: Vec<_> = closed
            .iter()
            .filter_map(|addr| state.ports.remove(addr))
            .collect();
        for pipe in state.pipes.values_mut() {
            pipe.silent |= pipe.from == host || pipe.to == host;
        }
        drop(state);
        drop(ports);
    }

    /// A host is back: streams of its former life are broken.
    pub fn revive(&self, host: Host) {
        self.break_pipes(|pipe| pipe.silent && (pipe.from == host || pipe.to == host));
    }

    fn break_pipes(&self, which: impl Fn(&Pipe) -> bool) -> usize {
        let mut state = self.state();
        let mut wakers = Vec::new();
        let mut count = 0;
        for pipe in state.pipes.values_mut().filter(|pipe| which(pipe)) {
            count += usize::from(!pipe.is_reset);
            pipe.is_reset = true;
            pipe.silent = false;
            wakers.extend(pipe.reader.take());
            wakers.extend(pipe.writer.take());
        }
        state.resets += count as u64;
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        count
    }
}

impl State {
    fn readers(&mut self, which: impl Fn(&Pipe) -> bool) -> Vec<Waker> {
        let pipes = self.pipes.values_mut().filter(|pipe| which(pipe));
        pipes.filter_map(|pipe| pipe.reader.take()).collect()
    }

    fn delay(&mut self, from: Host, to: Host) -> u64 {
        let config = self.config;
        let (min, max) = (
            config.delay_min.as_nanos() as u64,
            config.delay_max.as_nanos() as u64,
        );
        let mut delay = self.dice.within(min..max.max(min + 1));
        if self.dice.permille(config.late_permille) {
            delay *= 20;
        }
        let mut factor = 1;
        for host in [from, to] {
            let slow = self.slow.get(&host).copied().unwrap_or(1);
            factor = factor.max(slow);
            if slow > 1 {
                *self.slowed.entry(host).or_default() += 1;
            }
        }
        delay * factor
    }

    /// Counts that something met a cut.
    fn hold(&mut self, way: (Host, Host)) {
        if self.cut.contains(&way) {
            *self.held.entry(way).or_default() += 1;
        }
    }

    fn pipe(&mut self, from: Host, to: Host) -> u64 {
        let id = self.next;
        self.next += 1;
        let pipe = Pipe {
            from,
            to,
            pieces: VecDeque::new(),
            under_way: 0,
            last: 0,
            reader: None,
            writer: None,
            is_reset: false,
            reader_gone: false,
            writer_gone: false,
            silent: false,
        };
        self.pipes.insert(id, pipe);
        id
    }

    fn push(&mut self, id: u64, piece: Piece) {
        let Some((from, to)) = self.pipes.get(&id).map(|pipe| (pipe.from, pipe.to)) else {
            return;
        };
        let arrival = self.exec.now() + self.delay(from, to);
        self.hold((from, to));
        if let Some(pipe) = self.pipes.get_mut(&id) {
            pipe.last = pipe.last.max(arrival);
            if let Piece::Bytes(bytes, _) = &piece {
                pipe.under_way += bytes.len();
            }
            pipe.pieces.push_back((pipe.last, piece));
        }
    }
}

/// The network of one host.
#[derive(Clone, Debug)]
pub struct SimNet {
    network: SimNetwork,
    host: Host,
}

#[derive(Debug)]
struct SimListener {
    network: SimNetwork,
    addr: String,
    host: Host,
}

fn address(host: Host) -> SocketAddr {
    SocketAddr::from(([10, 0, (host >> 8) as u8, host as u8], 9))
}

#[async_trait]
impl Net for SimNet {
    async fn listen(&self, addr: &str) -> io::Result<Box<dyn Listener>> {
        let mut state = self.network.state();
        if state.ports.contains_key(addr) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let port = (self.host, Port::default());
        state.ports.insert(addr.to_owned(), port);
        Ok(Box::new(SimListener {
            network: self.network.clone(),
            addr: addr.to_owned(),
            host: self.host,
        }))
    }

    async fn connect(&self, addr: &str) -> io::Result<Box<dyn Connection>> {
        let target: Host = addr
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok())
            .ok_or(io::ErrorKind::InvalidInput)?;
        let (exec, arrival) = {
            let mut state = self.network.state();
            let delay = state.delay(self.host, target);
            (state.exec.clone(), state.exec.now() + delay)
        };
        exec.until(arrival).await;
        let is_cut = {
            let mut state = self.network.state();
            let (there, back) = ((self.host, target), (target, self.host));
            state.hold(there);
            state.hold(back);
            state.cut.contains(&there) || state.cut.contains(&back)
        };
        if is_cut {
            // No answer; the caller's patience ends it.
            std::future::pending::<()>().await;
        }
        let mut state = self.network.state();
        if !state.ports.contains_key(addr) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let there = state.pipe(self.host, target);
        let back = state.pipe(target, self.host);
        let ours = SimConnection::new(self.network.clone(), exec.clone(), back, there);
        let theirs = SimConnection::new(self.network.clone(), exec, there, back);
        let from = u64::from(self.host);
        let mut accepting = None;
        if let Some((_, port)) = state.ports.get_mut(addr) {
            port.waiting.push_back((from, theirs));
            accepting = port.accepting.take();
        }
        drop(state);
        accepting.into_iter().for_each(Waker::wake);
        Ok(Box::new(ours))
    }
}

#[async_trait]
impl Listener for SimListener {
    async fn accept(&self) -> io::Result<(Box<dyn Connection>, SocketAddr)> {
        std::future::poll_fn(|cx| {
            let mut state = self.network.state();
            let port = state.ports.get_mut(&self.addr);
            let Some((_, port)) = port.filter(|(host, _)| *host == self.host) else {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            };
            match port.waiting.pop_front() {
                Some((from, stream)) => {
                    let stream: Box<dyn Connection> = Box::new(stream);
                    Poll::Ready(Ok((stream, address(from as Host))))
                }
                None => {
                    port.accepting = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(address(self.host))
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let mut state = self.network.state();
        let gone = state.ports.remove(&self.addr);
        drop(state);
        drop(gone);
    }
}
