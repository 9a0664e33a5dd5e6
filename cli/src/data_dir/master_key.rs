//! The key that seals the secrets of accounts' keys.
//!
//! Owns: the file that keeps it (mode 0600, 32 bytes); making it.
//! Leaves to others: sealing (`gateway::accounts`).
//! Always: a configured key wins and is not written; a file that is there is never replaced.

use std::io;

use holdfast_gateway::accounts::MasterKey;
use holdfast_seam::Rng;

use super::{DataDir, write_durably};
use crate::error::CliError;
use crate::gateway::config::GatewayConfig;

/// The name of the file.
pub const MASTER_KEY: &str = "master.key";

impl DataDir {
    /// The master key: configured, kept, or new.
    ///
    /// # Errors
    /// `Usage` if the configured one cannot be read; `File`; `Layout` if the file has another
    /// length.
    pub fn master_key(&self, config: &GatewayConfig, rng: &dyn Rng) -> Result<MasterKey, CliError> {
        if let Some(found) = self.found_master_key(config)? {
            return Ok(found);
        }
        let mut key = [0; MasterKey::LEN];
        rng.fill(&mut key);
        write_durably(self.path(), MASTER_KEY, &key)?;
        tracing::warn!(
            file = %self.path().join(MASTER_KEY).display(),
            "a master key was made: back it up, apart from the drives; without it the keys of all \
             accounts are lost"
        );
        Ok(MasterKey::new(key))
    }

    /// The master key, if there is one.
    ///
    /// # Errors
    /// As [`DataDir::master_key`].
    pub fn found_master_key(&self, config: &GatewayConfig) -> Result<Option<MasterKey>, CliError> {
        if let Some(text) = &config.master_key {
            let key = MasterKey::parse(text.expose());
            return key.map(Some).ok_or_else(|| {
                CliError::Usage(format!(
                    "HOLDFAST_MASTER_KEY must have {} hexadecimal digits",
                    2 * MasterKey::LEN
                ))
            });
        }
        let path = self.path().join(MASTER_KEY);
        match std::fs::read(&path) {
            Ok(bytes) => match bytes.try_into() {
                Ok(key) => Ok(Some(MasterKey::new(key))),
                Err(_) => Err(CliError::Layout(format!(
                    "{} does not have {} bytes: put back the right one",
                    path.display(),
                    MasterKey::LEN
                ))),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CliError::file("read", &path)(error)),
        }
    }
}
