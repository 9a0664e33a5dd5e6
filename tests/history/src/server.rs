//! The servers under test: one process with everything in it, or a gateway and six shard nodes.
//!
//! Owns: starting, killing, stopping in their tracks (SIGSTOP) and starting again, on the same
//! addresses and directories.
//! Always: dropped means killed; where `setpriv` exists they die with the recorder too.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use holdfast_load::sign::Credentials;
use rustix::process::{Pid, Signal};

use crate::error::RecordError;

/// Drives of either form (4+2).
pub const NODES: usize = 6;
/// How long the gateway of a cluster may serve without hearing from its drives, in seconds: as
/// short as it may be.
pub const LEASE_S: u64 = 2;
/// Longest wait for a ready line, on a machine that does much else.
const READY: Duration = Duration::from_secs(180);

/// Which form is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// A gateway and its drives in one process.
    Embedded,
    /// A gateway and six shard nodes as processes.
    Cluster,
}

/// One process, running or not.
#[derive(Debug)]
struct Process {
    name: String,
    args: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

/// The server of one recording.
#[derive(Debug)]
pub struct Server {
    binary: PathBuf,
    credentials: Credentials,
    secret: String,
    /// The gateway (or the whole embedded server), then the nodes.
    processes: Vec<Process>,
    /// Where S3 is spoken.
    pub s3_url: String,
}

impl Server {
    /// Lays out and starts a server under `dir`, and waits until it is ready.
    ///
    /// # Errors
    /// `Process`, `File`.
    pub fn start(
        form: Form,
        binary: &Path,
        dir: &Path,
        credentials: &Credentials,
    ) -> Result<Self, RecordError> {
        std::fs::create_dir_all(dir).map_err(|source| RecordError::File {
            path: dir.to_owned(),
            source,
        })?;
        let ports = free_ports(3 + NODES).map_err(|source| RecordError::File {
            path: PathBuf::from("127.0.0.1:0"),
            source,
        })?;
        let processes = processes(form, dir, &ports);
        let mut server = Self {
            binary: binary.to_owned(),
            credentials: credentials.clone(),
            secret: format!("{:032x}", fastrand::u128(..)),
            processes,
            s3_url: format!("http://127.0.0.1:{}", ports[0]),
        };
        server.start_all()?;
        Ok(server)
    }

    /// Starts every process that does not run, and waits until S3 is served.
    ///
    /// # Errors
    /// `Process`, `File`.
    pub fn start_all(&mut self) -> Result<(), RecordError> {
        let ready = self.spawn(0)?;
        for node in 0..self.nodes() {
            self.start_node(node)?;
        }
        self.await_ready(&ready)
    }

    /// Starts the gateway again, and waits until S3 is served.
    ///
    /// # Errors
    /// `Process`, `File`.
    pub fn start_gateway(&mut self) -> Result<(), RecordError> {
        let ready = self.spawn(0)?;
        self.await_ready(&ready)
    }

    /// Starts a node unless it runs.
    ///
    /// # Errors
    /// `Process`, `File`.
    pub fn start_node(&mut self, node: usize) -> Result<(), RecordError> {
        match self.processes[1 + node].child {
            Some(_) => Ok(()),
            None => self.spawn(1 + node).map(drop),
        }
    }

    /// How many node processes there are; none in the embedded form.
    pub fn nodes(&self) -> usize {
        self.processes.len() - 1
    }

    /// SIGKILL for the gateway (or all of the embedded server).
    pub fn kill_gateway(&mut self) {
        self.processes[0].kill();
    }

    /// SIGKILL for a node.
    pub fn kill_node(&mut self, node: usize) {
        self.processes[1 + node].kill();
    }

    /// SIGKILL for every process.
    pub fn kill_all(&mut self) {
        self.processes.iter_mut().for_each(Process::kill);
    }

    /// Stops a node in its tracks, or lets it go on.
    pub fn stop_node(&self, node: usize, stopped: bool) {
        self.processes[1 + node].signal(match stopped {
            true => Signal::STOP,
            false => Signal::CONT,
        });
    }

    /// Stops the gateway (or all of the embedded server) in its tracks, or lets it go on.
    pub fn stop_gateway(&self, stopped: bool) {
        self.processes[0].signal(match stopped {
            true => Signal::STOP,
            false => Signal::CONT,
        });
    }

    /// The processes that ended although nobody killed them.
    pub fn ended(&mut self) -> Option<RecordError> {
        self.processes.iter_mut().find_map(|process| {
            let status = process.child.as_mut()?.try_wait().ok()??;
            Some(process.failed(format!("ended by itself: {status}")))
        })
    }

    fn spawn(&mut self, nth: usize) -> Result<mpsc::Receiver<()>, RecordError> {
        let process = &mut self.processes[nth];
        let mut log = OpenOptions::new();
        let log = log.create(true).append(true).open(&process.log);
        let log: File = log.map_err(|source| RecordError::File {
            path: process.log.clone(),
            source,
        })?;
        let mut command = match Path::new("/usr/bin/setpriv").exists() {
            true => {
                let mut command = Command::new("/usr/bin/setpriv");
                command
                    .args(["--pdeathsig", "KILL", "--"])
                    .arg(&self.binary);
                command
            }
            false => Command::new(&self.binary),
        };
        let child = command
            .args(&process.args)
            .env("HOLDFAST_ACCESS_KEY", self.credentials.access_key())
            .env("HOLDFAST_SECRET_KEY", self.credentials.secret_key())
            .env("HOLDFAST_CLUSTER_SECRET", &self.secret)
            .env("HOLDFAST_PREWRITE_BYTES", "67108864")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn();
        let mut child = child.map_err(|error| process.failed(error.to_string()))?;
        let stdout = child.stdout.take();
        process.child = Some(child);
        let (sender, receiver) = mpsc::channel();
        // Reads to the end, so that the process never waits for us.
        std::thread::spawn(move || {
            for line in stdout
                .into_iter()
                .flat_map(|out| BufReader::new(out).lines())
            {
                if line.is_ok_and(|line| line.starts_with("ready ")) {
                    let _ = sender.send(());
                }
            }
        });
        Ok(receiver)
    }

    fn await_ready(&self, ready: &mpsc::Receiver<()>) -> Result<(), RecordError> {
        let begun = Instant::now();
        ready.recv_timeout(READY).map_err(|error| {
            self.processes[0].failed(format!(
                "no ready line after {} s: {error}",
                begun.elapsed().as_secs()
            ))
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill_all();
    }
}

impl Process {
    fn failed(&self, reason: String) -> RecordError {
        RecordError::Process {
            name: self.name.clone(),
            reason,
            log: self.log.clone(),
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.as_ref().map(Child::id);
        if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok())
            && let Some(pid) = Pid::from_raw(pid)
        {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// Gone when it returns.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The processes of `form`: S3, admin and node address of the gateway, then one port a node.
fn processes(form: Form, dir: &Path, ports: &[u16]) -> Vec<Process> {
    let at = |nth: usize| format!("127.0.0.1:{}", ports[nth]);
    let process = |name: &str, command: &str, flags: &[(&str, &str)]| {
        let data = dir.join(name).to_string_lossy().into_owned();
        let mut args = vec![command.to_owned(), "--data-dir".to_owned(), data];
        for (flag, value) in flags {
            args.extend([(*flag).to_owned(), (*value).to_owned()]);
        }
        Process {
            name: name.to_owned(),
            args,
            log: dir.join(format!("{name}.log")),
            child: None,
        }
    };
    let (s3, admin, node_listen, drives) = (at(0), at(1), at(2), NODES.to_string());
    let lease = format!("{LEASE_S}s");
    let listens = [("--listen", &*s3), ("--admin-listen", &*admin)];
    match form {
        Form::Embedded => vec![process("server", "server", &listens)],
        Form::Cluster => {
            let own = [
                ("--node-listen", &*node_listen),
                ("--geometry", "4+2"),
                ("--drives", &*drives),
                ("--lease", &*lease),
            ];
            let mut all = vec![process(
                "gateway",
                "gateway",
                &[&listens[..], &own].concat(),
            )];
            let join = format!("http://{admin}");
            for node in 0..NODES {
                let listen = at(3 + node);
                let flags = [("--listen", &*listen), ("--join", &*join)];
                all.push(process(&format!("node-{node}"), "shard-node", &flags));
            }
            all
        }
    }
}

/// Ports below Linux' ephemeral range, so that no outgoing connection takes one between a kill and
/// the start after it.
fn free_ports(count: usize) -> std::io::Result<Vec<u16>> {
    let mut held: Vec<TcpListener> = Vec::new();
    let mut tries = 0;
    while held.len() < count {
        tries += 1;
        match TcpListener::bind(("127.0.0.1", fastrand::u16(12_000..20_000))) {
            Ok(listener) => held.push(listener),
            Err(error) if tries > 1000 => return Err(error),
            Err(_) => {}
        }
    }
    held.iter()
        .map(|listener| listener.local_addr().map(|address| address.port()))
        .collect()
}
