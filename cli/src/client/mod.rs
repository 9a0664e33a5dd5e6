//! Commands that speak to a running cluster.
//!
//! Owns: asking the admin API, as the administrator.
//! Leaves to others: HTTP ([`http`]), signatures ([`sign`]), tables ([`crate::output`]).
//! Always: exit codes tell failed, degraded, not reachable and denied apart.

pub mod account;
pub mod commands;
pub mod config;
pub mod http;
pub mod redundancy;
pub mod sign;

use std::time::{Duration, SystemTime};

use ::http::Method;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::{Group, Resolved};
use crate::error::CliError;
use config::ClientConfig;
use http::Base;
use sign::Asked;

/// A client of one gateway's admin API.
#[derive(Clone, Debug)]
pub struct Admin {
    config: ClientConfig,
    base: Base,
}

impl Admin {
    /// By configuration.
    ///
    /// # Errors
    /// `Config`, `Usage`.
    pub fn new(resolved: &Resolved) -> Result<Self, CliError> {
        let config = ClientConfig::read(resolved)?;
        let base = Base::parse(&config.admin_url)?;
        Ok(Self { config, base })
    }

    /// Asks, and reads the answer.
    ///
    /// # Errors
    /// `Unreachable`, `Denied`, `Answer`, `Usage` without keys.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
    ) -> Result<T, CliError> {
        self.send(method, path, Bytes::new(), self.config.timeout)
            .await
    }

    /// As [`Admin::ask`], with a body, and waiting for an answer for at least `patience`.
    ///
    /// # Errors
    /// As [`Admin::ask`].
    pub async fn ask_with<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
        patience: Duration,
    ) -> Result<T, CliError> {
        let body = serde_json::to_vec(body)
            .map_err(|error| CliError::failed("write the request")(error.into()))?;
        let timeout = self.config.timeout.max(patience);
        self.send(method, path, body.into(), timeout).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        timeout: Duration,
    ) -> Result<T, CliError> {
        let url = format!("{}{path}", self.base.as_str());
        let headers = self.proof(&method, &url, &body)?;
        let base = &self.base;
        let (status, body) = http::send(base, method, path, &headers, body, timeout).await?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| CliError::Answer {
                url,
                status: status.as_u16(),
                why: format!("it is not understood: {error}"),
            });
        }
        let why = message(&body);
        Err(match status.as_u16() {
            401 | 403 => CliError::Denied { url, why },
            status => CliError::Answer { url, status, why },
        })
    }

    /// Whether each listener serves: its name, URL and what it says.
    ///
    /// # Errors
    /// `Unreachable`, `Usage` for a bad URL.
    pub async fn readiness(&self) -> Result<[(&'static str, String, bool, String); 2], CliError> {
        let s3 = Base::parse(&self.config.s3_url)?;
        let one = async |name, base: &Base| {
            let (path, timeout) = ("/health/ready", self.config.timeout);
            let (status, body) =
                http::send(base, Method::GET, path, &[], Bytes::new(), timeout).await?;
            let text = String::from_utf8_lossy(&body).trim().to_owned();
            Ok::<_, CliError>((name, base.as_str().to_owned(), status.is_success(), text))
        };
        Ok([one("admin", &self.base).await?, one("s3", &s3).await?])
    }

    fn proof(
        &self,
        method: &Method,
        url: &str,
        body: &[u8],
    ) -> Result<Vec<(String, String)>, CliError> {
        let config = &self.config;
        match (&config.access_key, &config.secret_key, &config.admin_token) {
            (Some(access_key), Some(secret_key), _) => {
                let asked = Asked {
                    method: method.as_str(),
                    url,
                    body,
                };
                let now = SystemTime::now();
                sign::headers(asked, access_key, secret_key.expose(), &config.region, now)
                    .map_err(CliError::failed("sign the request"))
            }
            (_, _, Some(token)) => {
                let value = format!("Bearer {}", token.expose().trim());
                Ok(vec![("authorization".to_owned(), value)])
            }
            _ => Err(CliError::Usage(
                "whose keys? Set HOLDFAST_ACCESS_KEY and HOLDFAST_SECRET_KEY, or \
                 HOLDFAST_ADMIN_TOKEN"
                    .to_owned(),
            )),
        }
    }
}

/// What an error answer says.
fn message(body: &[u8]) -> String {
    let value: Option<Value> = serde_json::from_slice(body).ok();
    let text = value.as_ref().and_then(|value| value["message"].as_str());
    text.map_or_else(
        || String::from_utf8_lossy(body).trim().to_owned(),
        str::to_owned,
    )
}
