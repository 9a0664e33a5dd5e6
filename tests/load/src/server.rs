//! A server that is started for the run and stopped after it.
//!
//! Always: dropped means stopped: SIGTERM to its process group, SIGKILL if that does not help
//! within [`STOP_TIMEOUT`]; a directory made for it is removed.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::error::LoadError;
use crate::procfs::{self, Memory};
use crate::sign::Credentials;

/// How long a server may take to stop: what it promises, and some.
const STOP_TIMEOUT: Duration = Duration::from_secs(40);

/// How a server is started.
#[derive(Debug, Clone, Copy)]
pub struct Launch<'a> {
    /// The command line; `{dir}` stands for a fresh directory.
    pub command: &'a str,
    /// Passed as `HOLDFAST_ACCESS_KEY` and `HOLDFAST_SECRET_KEY`.
    pub credentials: &'a Credentials,
    /// Where the fresh directory is made.
    pub work_dir: &'a Path,
    /// How long to wait for the ready line.
    pub ready_timeout: Duration,
    /// Ends the wait early.
    pub interrupted: &'a AtomicBool,
}

/// A running child process that has said that it is ready.
#[derive(Debug)]
pub struct Server {
    child: Child,
    dir: Option<PathBuf>,
    /// The `s3=` URL of the ready line.
    pub s3_url: String,
    /// The `admin=` URL of the ready line.
    pub admin_url: Option<String>,
    /// From start to the ready line.
    pub ready_after: Duration,
    /// Memory when ready, before any request.
    pub idle_memory: Memory,
}

impl Server {
    /// Starts the server and waits until it is ready.
    ///
    /// # Errors
    /// `Server` if it cannot be started, ends, or prints no ready line with an `s3=` URL in time;
    /// it is stopped then. `Interrupted` if that was asked for.
    pub fn start(launch: &Launch<'_>) -> Result<Self, LoadError> {
        let fail = |reason: String| LoadError::Server {
            command: launch.command.to_owned(),
            reason,
        };
        let dir = if launch.command.contains("{dir}") {
            Some(fresh(launch.work_dir)?)
        } else {
            None
        };
        let text = dir.as_ref().map_or_else(
            || launch.command.to_owned(),
            |dir| launch.command.replace("{dir}", &dir.to_string_lossy()),
        );
        let words = shlex::split(&text).filter(|words| !words.is_empty());
        let words = words.ok_or_else(|| fail("cannot be split into words".to_owned()))?;
        let begun = Instant::now();
        let child = Command::new(&words[0])
            .args(&words[1..])
            .env("HOLDFAST_ACCESS_KEY", launch.credentials.access_key())
            .env("HOLDFAST_SECRET_KEY", launch.credentials.secret_key())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn();
        let child = match child {
            Ok(child) => child,
            Err(error) => {
                remove(dir.as_deref());
                return Err(fail(error.to_string()));
            }
        };
        let mut server = Self {
            child,
            dir,
            s3_url: String::new(),
            admin_url: None,
            ready_after: Duration::ZERO,
            idle_memory: Memory::default(),
        };
        // From here on an error drops `server`, which stops the child.
        let stdout = server
            .child
            .stdout
            .take()
            .ok_or_else(|| fail("no output".to_owned()))?;
        let line = ready_line(stdout, launch, begun)?;
        server.ready_after = begun.elapsed();
        (server.s3_url, server.admin_url) =
            urls_of(&line).ok_or_else(|| fail(format!("no s3= URL in {line:?}")))?;
        server.idle_memory = procfs::memory(&procfs::tree(&[server.pid()]));
        Ok(server)
    }

    /// The child's process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("Linux process ids are at most 2^22")
    }

    /// Whether the data lies in a directory that goes with the server.
    pub fn is_ephemeral(&self) -> bool {
        self.dir.is_some()
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = Pid::from_raw(self.pid()) {
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }

    fn wait(&mut self, longest: Duration) -> bool {
        let deadline = Instant::now() + longest;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(20)),
                Ok(Some(_)) | Err(_) => return true,
            }
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::TERM);
            if !self.wait(STOP_TIMEOUT) {
                eprintln!("server {} did not stop, killing it", self.pid());
                self.signal(Signal::KILL);
                let _ = self.child.wait();
            }
        }
        remove(self.dir.as_deref());
    }
}

/// Waits for the line that begins with `ready `; afterwards the output is read and dropped.
fn ready_line(
    stdout: ChildStdout,
    launch: &Launch<'_>,
    begun: Instant,
) -> Result<String, LoadError> {
    let fail = |reason: &str| LoadError::Server {
        command: launch.command.to_owned(),
        reason: reason.to_owned(),
    };
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if line.starts_with("ready ") {
                let _ = sender.send(line);
            }
        }
    });
    while begun.elapsed() < launch.ready_timeout {
        if launch.interrupted.load(Ordering::Relaxed) {
            return Err(LoadError::Interrupted);
        }
        match receiver.recv_timeout(Duration::from_millis(50)) {
            Ok(line) => return Ok(line),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(fail(
                    "ended, or closed its output, without a line `ready …`",
                ));
            }
        }
    }
    Err(fail("no line `ready …` in time (--ready-timeout)"))
}

/// The `s3=` and `admin=` URLs of a ready line.
fn urls_of(line: &str) -> Option<(String, Option<String>)> {
    let value = |name: &str| {
        line.split_whitespace()
            .find_map(|word| word.strip_prefix(name))
    };
    Some((value("s3=")?.to_owned(), value("admin=").map(str::to_owned)))
}

/// Makes a directory that did not exist.
fn fresh(work_dir: &Path) -> Result<PathBuf, LoadError> {
    let unique = format!(
        "holdfast-load-{}-{:08x}",
        std::process::id(),
        fastrand::u32(..)
    );
    let path = work_dir.join(unique);
    match fs::create_dir_all(work_dir).and_then(|()| fs::create_dir(&path)) {
        Ok(()) => Ok(path),
        Err(source) => Err(LoadError::File { path, source }),
    }
}

fn remove(dir: Option<&Path>) {
    if let Some(dir) = dir
        && let Err(error) = fs::remove_dir_all(dir)
    {
        eprintln!("could not remove {}: {error}", dir.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(command: &str) -> Result<Server, LoadError> {
        Server::start(&Launch {
            command,
            credentials: &Credentials::new("id", "a secret"),
            work_dir: &std::env::temp_dir(),
            ready_timeout: Duration::from_secs(20),
            interrupted: &AtomicBool::new(false),
        })
    }

    #[test]
    fn a_server_is_ready_with_its_line_and_stopped_with_its_children() {
        let script = "test \"$HOLDFAST_SECRET_KEY\" = \"a secret\" || exit 1; \
            echo noise; echo ready s3=http://127.0.0.1:5 admin=http://127.0.0.1:6; \
            mkfifo {dir}/never; cat {dir}/never & cat {dir}/never; wait";
        let server = start(&format!("sh -c '{script}'")).unwrap();
        assert_eq!(server.s3_url, "http://127.0.0.1:5");
        assert_eq!(server.admin_url.as_deref(), Some("http://127.0.0.1:6"));
        assert!(server.is_ephemeral());
        let (pid, dir) = (server.pid(), server.dir.clone().unwrap());
        assert!(dir.is_dir());
        drop(server);
        assert!(!dir.exists());
        assert!(
            procfs::cpu_seconds(&[pid]).is_err(),
            "process {pid} still runs"
        );
    }

    #[test]
    fn a_server_that_ends_or_is_not_there_is_an_error() {
        for command in [
            "sh -c 'echo starting; exit 3'",
            "/does/not/exist",
            "'unclosed",
            "",
        ] {
            assert!(
                matches!(start(command), Err(LoadError::Server { .. })),
                "{command}"
            );
        }
    }

    #[test]
    fn a_ready_line_without_s3_url_is_an_error() {
        let error = start("sh -c 'echo ready admin=http://127.0.0.1:6; cat'").unwrap_err();
        assert!(error.to_string().contains("s3="), "{error}");
    }
}
