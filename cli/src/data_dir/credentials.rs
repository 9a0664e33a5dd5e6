//! The keys of the first administrator.
//!
//! Owns: making them, the file that keeps them (mode 0600, in the form of an AWS credentials file),
//! and what is printed once.
//! Leaves to others: proving with them (`gateway::auth`).
//! Always: configured keys win and are not written; generated ones are shown only when they are
//! made.

use std::io;
use std::path::Path;

use holdfast_gateway::auth::{Administrator, Secret as Key};
use holdfast_seam::Rng;

use super::{CREDENTIALS, DataDir, write_durably};
use crate::config::Secret;
use crate::error::CliError;
use crate::gateway::config::GatewayConfig;

const ACCESS_KEY_LEN: usize = 18;
const SECRET_LEN: usize = 40;

/// An access key and its secret.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The access key.
    pub access_key: String,
    /// Its secret.
    pub secret_key: Secret<String>,
    /// Whether they were made just now.
    pub new: bool,
}

impl DataDir {
    /// The keys: configured, kept, or new.
    ///
    /// # Errors
    /// `Usage` if only one is configured or they break a rule; `Layout` if the file cannot be read.
    pub fn keys(&self, config: &GatewayConfig, rng: &dyn Rng) -> Result<Keys, CliError> {
        let keys = match (&config.access_key, &config.secret_key) {
            (Some(access_key), Some(secret_key)) => Keys {
                access_key: access_key.clone(),
                secret_key: secret_key.clone(),
                new: false,
            },
            (None, None) => self.kept_keys(rng)?,
            (Some(_), None) => {
                return Err(CliError::Usage(
                    "HOLDFAST_ACCESS_KEY is set, HOLDFAST_SECRET_KEY is not: set both or neither"
                        .to_owned(),
                ));
            }
            (None, Some(_)) => {
                return Err(CliError::Usage(
                    "HOLDFAST_SECRET_KEY is set, HOLDFAST_ACCESS_KEY is not: set both or neither"
                        .to_owned(),
                ));
            }
        };
        keys.administrator()?;
        Ok(keys)
    }

    fn kept_keys(&self, rng: &dyn Rng) -> Result<Keys, CliError> {
        let path = self.path().join(CREDENTIALS);
        match std::fs::read_to_string(&path) {
            Ok(text) => parse(&text, &path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let keys = Keys {
                    access_key: format!(
                        "HF{}",
                        random(rng, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", ACCESS_KEY_LEN)
                    ),
                    secret_key: Secret::new(random(
                        rng,
                        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
                        SECRET_LEN,
                    )),
                    new: true,
                };
                let text = format!(
                    "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
                    keys.access_key,
                    keys.secret_key.expose()
                );
                write_durably(self.path(), CREDENTIALS, text.as_bytes())?;
                Ok(keys)
            }
            Err(error) => Err(CliError::file("read", &path)(error)),
        }
    }
}

impl Keys {
    /// The administrator whose keys these are.
    ///
    /// # Errors
    /// `Usage` if they break a rule.
    pub fn administrator(&self) -> Result<Administrator, CliError> {
        let secret = Key::new(self.secret_key.expose().clone());
        Administrator::new(&self.access_key, secret)
            .map_err(|error| CliError::Usage(error.to_string()))
    }
}

/// `len` characters out of `alphabet`, whose length must be a power of two (so that none is
/// favoured).
fn random(rng: &dyn Rng, alphabet: &[u8], len: usize) -> String {
    debug_assert!(alphabet.len().is_power_of_two() && alphabet.len() <= 256);
    let mut bytes = vec![0_u8; len];
    rng.fill(&mut bytes);
    let pick = |byte: &u8| char::from(alphabet[usize::from(*byte) % alphabet.len()]);
    bytes.iter().map(pick).collect()
}

fn parse(text: &str, path: &Path) -> Result<Keys, CliError> {
    let find = |name: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once('='));
        let value = pairs.find(|(key, _)| key.trim() == name);
        value.map(|(_, value)| value.trim().to_owned())
    };
    match (find("aws_access_key_id"), find("aws_secret_access_key")) {
        (Some(access_key), Some(secret)) => Ok(Keys {
            access_key,
            secret_key: Secret::new(secret),
            new: false,
        }),
        _ => Err(CliError::Layout(format!(
            "{} lacks aws_access_key_id or aws_secret_access_key: put it back, or set \
             HOLDFAST_ACCESS_KEY and HOLDFAST_SECRET_KEY",
            path.display()
        ))),
    }
}

/// What to paste to use new keys with the aws cli and rclone.
pub fn banner(keys: &Keys, dir: &Path, s3_url: &str, region: &str) -> String {
    let (access, secret) = (&keys.access_key, keys.secret_key.expose());
    format!(
        "New administrator; its keys are shown once and kept in {}.

# aws cli
export AWS_ACCESS_KEY_ID={access}
export AWS_SECRET_ACCESS_KEY={secret}
export AWS_DEFAULT_REGION={region}
export AWS_ENDPOINT_URL={s3_url}
aws s3 mb s3://first

# rclone
export RCLONE_CONFIG_HOLDFAST_TYPE=s3
export RCLONE_CONFIG_HOLDFAST_PROVIDER=Other
export RCLONE_CONFIG_HOLDFAST_ENDPOINT={s3_url}
export RCLONE_CONFIG_HOLDFAST_ACCESS_KEY_ID={access}
export RCLONE_CONFIG_HOLDFAST_SECRET_ACCESS_KEY={secret}
rclone lsd holdfast:

# holdfast's own commands
export HOLDFAST_ACCESS_KEY={access}
export HOLDFAST_SECRET_KEY={secret}

",
        dir.join(CREDENTIALS).display()
    )
}
