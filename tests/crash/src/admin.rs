//! What an operator asks a cluster: health, the backlog, drives, `index check`.
//!
//! Leaves to others: what to make of it.
//! Always: through the same commands and pages that people use.

use std::io::IoSlice;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use holdfast_load::endpoint::Endpoint;
use holdfast_load::failure::Failure;
use holdfast_load::http::{Connection, Expect};
use serde::Deserialize;

use crate::error::{CrashError, Result};

const TIMEOUT: Duration = Duration::from_secs(20);
/// The metric that is 0 when everything is whole.
const BACKLOG: &str = "holdfast_heal_backlog_objects";

/// A drive, as `holdfast drive list -o json` shows it.
#[derive(Debug, Clone, Deserialize)]
pub struct DriveLine {
    /// Its id.
    pub drive: String,
    /// Its directory.
    pub directory: String,
    /// `up`, `suspect`, `down` or `out`.
    pub state: String,
    /// `active`, `draining` or `dead`.
    pub usage: String,
    /// Whether it takes new shards.
    pub writable: bool,
}

#[derive(Debug, Deserialize)]
struct DriveLines {
    drives: Vec<DriveLine>,
}

#[derive(Debug, Deserialize)]
struct Checked {
    clean: bool,
}

/// Asks one gateway.
#[derive(Debug, Clone)]
pub struct Admin {
    binary: PathBuf,
    endpoint: Endpoint,
    environment: Vec<(&'static str, String)>,
}

impl Admin {
    /// Asks the gateway at `endpoint` with the keys of `environment`, by the commands of `binary`.
    pub fn new(
        binary: PathBuf,
        endpoint: Endpoint,
        environment: Vec<(&'static str, String)>,
    ) -> Self {
        Self {
            binary,
            endpoint,
            environment,
        }
    }

    fn page(&self, path: &str) -> std::result::Result<(u16, String), Failure> {
        let authority = self.endpoint.authority();
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
        let mut connection = Connection::new(self.endpoint.address(), TIMEOUT);
        let head = connection.exchange(&mut [IoSlice::new(request.as_bytes())], Expect::Body)?;
        let mut text = Vec::new();
        connection.body(&head, &mut |piece| text.extend_from_slice(piece))?;
        Ok((head.status, String::from_utf8_lossy(&text).into_owned()))
    }

    /// Whether requests are served.
    ///
    /// # Errors
    /// What it says instead.
    pub fn ready(&self) -> std::result::Result<(), String> {
        match self.page("/health/ready") {
            Ok((200, _)) => Ok(()),
            Ok((status, text)) => Err(format!("{status} {}", text.trim())),
            Err(failure) => Err(failure.to_string()),
        }
    }

    /// What is left to heal.
    ///
    /// # Errors
    /// What it says instead of a number.
    pub fn backlog(&self) -> std::result::Result<u64, String> {
        let (status, text) = self.page("/metrics").map_err(|error| error.to_string())?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(BACKLOG))
            .and_then(|rest| rest.trim().parse::<f64>().ok());
        match value {
            Some(value) if status == 200 => Ok(value as u64),
            _ => Err(format!("{status}, no {BACKLOG}")),
        }
    }

    /// Runs a `holdfast` command; returns its exit code and both outputs.
    ///
    /// # Errors
    /// `Command` if it cannot be run.
    pub fn command(&self, args: &[&str]) -> Result<(i32, String, String)> {
        let mut command = Command::new(&self.binary);
        for (name, _) in std::env::vars() {
            if name.starts_with("HOLDFAST_") {
                command.env_remove(name);
            }
        }
        let url = format!("http://{}", self.endpoint.authority());
        let done = command
            .args(args)
            .envs(self.environment.iter().map(|(name, value)| (*name, value)))
            .env("HOLDFAST_ADMIN_URL", url)
            .output()
            .map_err(|error| CrashError::Command {
                command: format!("holdfast {}", args.join(" ")),
                reason: error.to_string(),
            })?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = done.status.code().unwrap_or(-1);
        Ok((code, text(&done.stdout), text(&done.stderr)))
    }

    /// All drives of the map.
    ///
    /// # Errors
    /// `Command`.
    pub fn drives(&self) -> Result<Vec<DriveLine>> {
        let (code, out, err) = self.command(&["drive", "list", "-o", "json"])?;
        let parsed: Option<DriveLines> = serde_json::from_str(&out).ok();
        parsed
            .map(|lines| lines.drives)
            .ok_or_else(|| CrashError::Command {
                command: "holdfast drive list".to_owned(),
                reason: format!("exit {code}: {out} {err}"),
            })
    }

    /// What `holdfast index check` finds.
    ///
    /// # Errors
    /// Its report, if it is not clean.
    pub fn index_check(&self) -> std::result::Result<(), String> {
        let checked = self.command(&["index", "check", "-o", "json"]);
        let (code, out, err) = checked.map_err(|error| error.to_string())?;
        match serde_json::from_str::<Checked>(&out) {
            Ok(Checked { clean: true }) if code == 0 => Ok(()),
            _ => Err(format!("exit {code}: {out} {err}")),
        }
    }
}
