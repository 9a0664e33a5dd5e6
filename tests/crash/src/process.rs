//! One process under test: its output kept in a log, its end always certain.
//!
//! Always: dropped means killed and waited for; killed too when the supervisor is (by `setpriv`,
//! where that is installed).

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{CrashError, Result};

/// How long after SIGKILL a process is waited for; one within a disk access takes a while.
const DEATH_TIMEOUT: Duration = Duration::from_secs(30);

/// A started program.
#[derive(Debug)]
pub struct Process {
    child: Child,
    is_stopped: bool,
}

impl Process {
    /// Starts `binary` with `args`; nothing of our own `HOLDFAST_` environment is passed on.
    ///
    /// # Errors
    /// `Command`, `File` for the log.
    pub fn start(
        binary: &Path,
        args: &[String],
        environment: &[(&str, String)],
        log: &Path,
    ) -> Result<Self> {
        let failed = CrashError::file("write", log);
        let mut output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .map_err(failed)?;
        let _ = writeln!(output, "--- {} {}", binary.display(), args.join(" "));
        let copy = output.try_clone().map_err(CrashError::file("write", log))?;
        let mut command = if Path::new("/usr/bin/setpriv").exists() {
            let mut command = Command::new("/usr/bin/setpriv");
            command.args(["--pdeathsig", "KILL"]).arg(binary);
            command
        } else {
            Command::new(binary)
        };
        for (name, _) in std::env::vars() {
            if name.starts_with("HOLDFAST_") {
                command.env_remove(name);
            }
        }
        let child = command
            .args(args)
            .envs(environment.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(copy)
            .spawn()
            .map_err(|error| CrashError::Command {
                command: format!("{} {}", binary.display(), args.join(" ")),
                reason: error.to_string(),
            })?;
        Ok(Self {
            child,
            is_stopped: false,
        })
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(id) = id {
            // A process that is gone needs no signal.
            let _ = kill_process(id, signal);
        }
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends SIGKILL, without waiting.
    pub fn strike(&self) {
        self.signal(Signal::KILL);
    }

    /// Sends SIGSTOP.
    pub fn stop(&mut self) {
        self.signal(Signal::STOP);
        self.is_stopped = true;
    }

    /// Sends SIGCONT.
    pub fn go_on(&mut self) {
        self.signal(Signal::CONT);
        self.is_stopped = false;
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// `Deadline`.
    pub fn wait(&mut self, longest: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + longest;
        loop {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            if Instant::now() > end {
                return Err(CrashError::Deadline {
                    what: "the end of a process",
                    seconds: longest.as_secs(),
                    seen: format!("process {} runs", self.child.id()),
                });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends SIGKILL and waits for the end.
    ///
    /// # Errors
    /// `Deadline`.
    pub fn kill(&mut self) -> Result<()> {
        self.strike();
        self.wait(DEATH_TIMEOUT).map(|_| ())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("{error}");
        }
    }
}
