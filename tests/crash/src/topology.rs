//! The cluster under test: processes, and the file systems below them.
//!
//! Owns: which process uses which volume, starting, killing, waiting until it serves and is whole.
//! Leaves to others: what is done to it ([`crate::fault`]).
//! Always: a process that ends without anyone having given it a reason is noticed.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use holdfast_load::endpoint::Endpoint;
use holdfast_load::sign::Credentials;

use crate::admin::Admin;
use crate::audit::{Kind, Violation};
use crate::error::{CrashError, Result};
use crate::process::Process;
use crate::volume::Volume;

/// Drives of either form.
pub const DRIVES: usize = 6;
/// Drives that may be lost at once.
pub const LOSSES_MAX: usize = 2;
/// How long a drive may take to answer: short, so that a stopped process passes it.
const DRIVE_DEADLINE: &str = "2s";
/// How long the gateway of a cluster may serve without hearing from its drives: as short as it may
/// be, so that a stopped gateway passes it.
pub const LEASE: Duration = Duration::from_secs(2);
/// How long a start may take, rebuilding included.
const READY_TIMEOUT: Duration = Duration::from_secs(120);
/// How long healing may take.
const HEAL_TIMEOUT: Duration = Duration::from_secs(180);
/// How long an orderly end may take: 30 s are promised.
const END_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// What runs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// A gateway and a shard node per drive, all on file systems of their own.
    Cluster,
    /// `holdfast server`: one process, one file system.
    Embedded,
}

/// A kind of process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `holdfast gateway`.
    Gateway,
    /// `holdfast shard-node`.
    ShardNode,
    /// `holdfast server`.
    Server,
}

impl Role {
    /// As totals name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::ShardNode => "shard-node",
            Self::Server => "server",
        }
    }
}

/// A process and its volume (which has the same number).
#[derive(Debug)]
struct Member {
    role: Role,
    args: Vec<String>,
    log: PathBuf,
    process: Option<Process>,
    /// Its file system failed: it may end by itself.
    may_end: bool,
}

/// Ports that processes must know of each other.
#[derive(Debug)]
struct Ports {
    admin: u16,
    node: u16,
}

impl Member {
    /// The process with this number, not started yet.
    fn new(
        setting: &Setting<'_>,
        number: usize,
        data: &Path,
        listen: &str,
        ports: &Ports,
    ) -> Result<Self> {
        let data = data.display();
        let (role, args) = match (setting.form, number) {
            // Not the root of the file system, so that it may hold ballast.
            (Form::Embedded, _) => (
                Role::Server,
                format!("server --data-dir {data}/data {listen}"),
            ),
            (Form::Cluster, 0) => {
                let node = format!("--node-listen 127.0.0.1:{}", ports.node);
                let lease = LEASE.as_secs();
                let args = format!("gateway --data-dir {data} {listen} {node} --lease {lease}s");
                (Role::Gateway, args)
            }
            (Form::Cluster, _) => {
                let join = format!("--join http://127.0.0.1:{}", ports.admin);
                let listen = format!("--listen 127.0.0.1:{}", free_port()?);
                let args = format!("shard-node --data-dir {data}/drive {listen} {join}");
                (Role::ShardNode, args)
            }
        };
        Ok(Self {
            role,
            args: words(&args),
            log: setting.dir.join(format!("{}-{number}.log", role.name())),
            process: None,
            may_end: false,
        })
    }
}

/// The cluster.
#[derive(Debug)]
pub struct Topology {
    // Processes go before what they use.
    members: Vec<Member>,
    volumes: Vec<Volume>,
    /// Which form it has.
    pub form: Form,
    /// Asks it.
    pub admin: Admin,
    /// Where S3 is.
    pub s3: Endpoint,
    /// Keys of the administrator.
    pub credentials: Credentials,
    binary: PathBuf,
    environment: Vec<(&'static str, String)>,
    interrupted: Arc<AtomicBool>,
    notes: PathBuf,
    ports: Ports,
}

/// What a cluster is made with.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// The form.
    pub form: Form,
    /// `holdfast`.
    pub binary: &'a Path,
    /// An existing directory for it alone.
    pub dir: &'a Path,
    /// Whether volumes are file systems of their own.
    pub mounts: bool,
}

fn free_port() -> Result<u16> {
    // Below the ephemeral range, so that no outgoing connection takes it in between.
    for _ in 0..1000 {
        let port = fastrand::u16(12_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(CrashError::Usage("no free port was found".to_owned()))
}

fn endpoint(port: u16) -> Result<Endpoint> {
    Endpoint::parse(&format!("http://127.0.0.1:{port}"))
        .map_err(|error| CrashError::Usage(error.to_string()))
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

impl Topology {
    /// Lays a cluster out and starts it.
    ///
    /// # Errors
    /// What failed.
    pub fn create(setting: Setting<'_>, interrupted: Arc<AtomicBool>) -> Result<Self> {
        let Setting { form, dir, .. } = setting;
        let credentials = Credentials::new("CRASHTESTKEY", "crash-test-secret-of-no-value");
        let environment = vec![
            ("HOLDFAST_ACCESS_KEY", credentials.access_key().to_owned()),
            ("HOLDFAST_SECRET_KEY", credentials.secret_key().to_owned()),
            (
                "HOLDFAST_CLUSTER_SECRET",
                "crash-test-cluster-secret".to_owned(),
            ),
            ("HOLDFAST_PREWRITE_BYTES", "8MiB".to_owned()),
            ("HOLDFAST_RESERVE_BYTES", "16MiB".to_owned()),
        ];
        let (s3, admin, node) = (free_port()?, free_port()?, free_port()?);
        let listen = format!(
            "--listen 127.0.0.1:{s3} --admin-listen 127.0.0.1:{admin} --geometry 4+2 \
             --drives {DRIVES} --drive-deadline {DRIVE_DEADLINE}"
        );
        let count = match form {
            Form::Cluster => 1 + DRIVES,
            Form::Embedded => 1,
        };
        let ports = Ports { admin, node };
        let (mut volumes, mut members) = (Vec::new(), Vec::new());
        for number in 0..count {
            let path = dir.join(format!("volume-{number}"));
            let volume = match setting.mounts {
                true => Volume::mounted(&path, form == Form::Embedded)?,
                false => Volume::plain(&path)?,
            };
            members.push(Member::new(
                &setting,
                number,
                volume.path(),
                &listen,
                &ports,
            )?);
            volumes.push(volume);
        }
        let binary = setting.binary.to_owned();
        let admin = Admin::new(binary.clone(), endpoint(ports.admin)?, environment.clone());
        let mut made = Self {
            members,
            volumes,
            form,
            admin,
            s3: endpoint(s3)?,
            credentials,
            binary,
            environment,
            interrupted,
            notes: dir.join("faults.log"),
            ports,
        };
        made.start_missing()?;
        made.wait_ready()?;
        Ok(made)
    }

    /// Numbers of the processes that keep drives.
    pub fn nodes(&self) -> std::ops::Range<usize> {
        match self.form {
            Form::Cluster => 1..1 + DRIVES,
            Form::Embedded => 0..1,
        }
    }

    /// Numbers of all processes.
    pub fn all(&self) -> std::ops::Range<usize> {
        0..self.members.len()
    }

    /// The kind of a process.
    pub fn role(&self, member: usize) -> Role {
        self.members[member].role
    }

    /// The directory of a drive, counted from 0.
    pub fn drive_dir(&self, drive: usize) -> PathBuf {
        match self.form {
            Form::Cluster => self.volumes[drive + 1].path().join("drive"),
            Form::Embedded => self.data_dir().join("drives").join(drive.to_string()),
        }
    }

    /// The data directory of the gateway.
    pub fn data_dir(&self) -> PathBuf {
        match self.form {
            Form::Cluster => self.volumes[0].path().to_owned(),
            Form::Embedded => self.volumes[0].path().join("data"),
        }
    }

    /// The volume of a process; what becomes of it may end the process.
    pub fn volume(&mut self, member: usize) -> &mut Volume {
        self.members[member].may_end = true;
        &mut self.volumes[member]
    }

    /// The process, while there is one.
    pub fn process(&mut self, member: usize) -> Option<&mut Process> {
        self.members[member].process.as_mut()
    }

    /// Kills processes with SIGKILL, as near to at once as signals go.
    ///
    /// # Errors
    /// `Deadline`.
    pub fn kill(&mut self, members: &[usize]) -> Result<()> {
        for &member in members {
            if let Some(process) = &self.members[member].process {
                process.strike();
            }
        }
        for &member in members {
            if let Some(mut process) = self.members[member].process.take() {
                process.kill()?;
            }
        }
        Ok(())
    }

    /// Ends all processes in order, the gateway first.
    ///
    /// # Errors
    /// `Deadline`.
    pub fn terminate(&mut self) -> Result<()> {
        for member in &mut self.members {
            if let Some(process) = &mut member.process {
                process.terminate();
                process.wait(END_TIMEOUT)?;
            }
            member.process = None;
        }
        Ok(())
    }

    /// Starts what does not run, on file systems that are whole.
    ///
    /// # Errors
    /// What failed.
    pub fn start_missing(&mut self) -> Result<()> {
        for number in self.all() {
            let member = &mut self.members[number];
            let has_ended = match &mut member.process {
                Some(process) => process.ended().is_some(),
                None => true,
            };
            if !has_ended {
                continue;
            }
            member.process = None;
            if self.volumes[number].is_cut() {
                self.volumes[number].remount()?;
            }
            let (args, log) = (&member.args, &member.log);
            let process = Process::start(&self.binary, args, &self.environment, log)?;
            member.process = Some(process);
            member.may_end = false;
        }
        Ok(())
    }

    /// The arguments of `holdfast` that make the index anew while the gateway is stopped.
    pub fn rebuild_args(&self) -> Vec<String> {
        let data = self.data_dir();
        let data = data.display();
        let Ports { admin, node } = self.ports;
        words(&match self.form {
            Form::Embedded => format!("index rebuild --data-dir {data}"),
            Form::Cluster => format!(
                "index rebuild --data-dir {data} --admin-listen 127.0.0.1:{admin} \
                 --node-listen 127.0.0.1:{node}"
            ),
        })
    }

    /// Ends one process in order.
    ///
    /// # Errors
    /// `Deadline`.
    pub fn terminate_one(&mut self, member: usize) -> Result<()> {
        if let Some(mut process) = self.members[member].process.take() {
            process.terminate();
            process.wait(END_TIMEOUT)?;
        }
        Ok(())
    }

    /// Processes that ended although nothing was done to them.
    pub fn unexpected_ends(&mut self) -> Vec<Violation> {
        let mut violations = Vec::new();
        for (number, member) in self.members.iter_mut().enumerate() {
            let Some(process) = &mut member.process else {
                continue;
            };
            if let Some(status) = process.ended()
                && !member.may_end
            {
                let name = member.role.name();
                let what = format!("{name} {number} ended by itself: {status}");
                violations.push(Violation::whole(Kind::Process, what));
                member.may_end = true;
            }
        }
        violations
    }

    /// Waits until requests are served.
    ///
    /// # Errors
    /// `Deadline`, also when a process ended meanwhile.
    pub fn wait_ready(&mut self) -> Result<()> {
        let admin = self.admin.clone();
        self.wait("a cluster that serves", READY_TIMEOUT, || admin.ready())
    }

    /// Waits until nothing is left to heal, twice in a row: losses are noticed after a moment.
    ///
    /// # Errors
    /// `Deadline`.
    pub fn wait_healed(&mut self) -> Result<()> {
        let admin = self.admin.clone();
        let mut empty = 0;
        self.wait("an empty heal backlog", HEAL_TIMEOUT, || {
            let backlog = admin.backlog()?;
            empty = if backlog == 0 { empty + 1 } else { 0 };
            if empty >= 4 {
                Ok(())
            } else {
                Err(format!("backlog {backlog}"))
            }
        })
    }

    /// Waits for a condition; processes must not end meanwhile.
    ///
    /// # Errors
    /// `Deadline`.
    pub fn wait(
        &mut self,
        what: &'static str,
        longest: Duration,
        mut condition: impl FnMut() -> std::result::Result<(), String>,
    ) -> Result<()> {
        let end = Instant::now() + longest;
        loop {
            let Err(mut seen) = condition() else {
                return Ok(());
            };
            if self.interrupted.load(Ordering::Relaxed) {
                return Err(CrashError::Interrupted);
            }
            let ended = self.unexpected_ends();
            if Instant::now() > end || !ended.is_empty() {
                for violation in &ended {
                    seen = format!("{seen}; {violation}");
                }
                let seconds = longest.as_secs();
                return Err(CrashError::Deadline {
                    what,
                    seconds,
                    seen,
                });
            }
            std::thread::sleep(POLL);
        }
    }

    /// Adds to the cluster's log of faults, beside those of its processes.
    ///
    /// # Errors
    /// `File`.
    pub fn note(&self, text: &str) -> Result<()> {
        let failed = || CrashError::file("write", &self.notes);
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.notes)
            .map_err(failed())?;
        file.write_all(text.as_bytes()).map_err(failed())
    }

    /// The last lines of every process's log.
    pub fn log_tails(&self, lines: usize) -> String {
        let mut tails = String::new();
        for member in &self.members {
            let text = std::fs::read_to_string(&member.log).unwrap_or_default();
            let all: Vec<&str> = text.lines().collect();
            let last = &all[all.len().saturating_sub(lines)..];
            tails.push_str(&format!(
                "== {}\n{}\n",
                member.log.display(),
                last.join("\n")
            ));
        }
        tails
    }
}
