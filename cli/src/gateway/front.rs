//! What of a gateway is seen from outside: its two listeners, and the line that says it is ready.
//!
//! Owns: binding before anything is touched, admin and health while starting, S3 once there is
//! something to serve, ending in order.
//! Leaves to others: requests.
//! Always: exactly one line `ready …` on stdout, after which requests are served.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use holdfast_gateway::accounts::{Directory, MasterKey};
use holdfast_gateway::auth::Secret as Key;
use holdfast_gateway::http::{Health, Limits, Pace, Timers};
use holdfast_gateway::notify::Targets;
use holdfast_gateway::object::Objects;
use holdfast_gateway::s3::{self, BucketAcls, S3Config};

use super::config::GatewayConfig;
use super::core::Core;
use super::holders::Holders;
use super::listen::{Bound, Later, Serving, bind};
use super::logs::Logs;
use super::metrics::Metrics;
use super::notify;
use super::operations::{Operations, Slots};
use super::registry::Registry;
use super::state::State;
use crate::admin::{self, Access, Cluster};
use crate::config::{ProcessConfig, Switch};
use crate::data_dir::{DataDir, Keys, banner};
use crate::error::CliError;
use crate::output;
use crate::process::Ended;

/// Connections to the admin listener.
const ADMIN_CONNECTIONS_MAX: usize = 256;
/// How long admin requests may take once the process stops.
const ADMIN_DRAIN: Duration = Duration::from_secs(1);
/// Slowest body, in bytes per second.
const BODY_RATE_MIN: u64 = 1024;

/// Both ports, bound.
#[derive(Debug)]
pub struct Front {
    s3: Bound,
    admin: Bound,
    state: State,
    limits: Limits,
}

impl Front {
    /// Binds both ports.
    ///
    /// # Errors
    /// `Listen`.
    pub async fn bind(
        config: &GatewayConfig,
        process: &ProcessConfig,
        state: State,
    ) -> Result<Self, CliError> {
        let limits = Limits {
            connections_max: config.connections_max,
            head_timeout: config.header_timeout,
            body: Pace {
                idle: config.body_idle_timeout,
                rate_min: BODY_RATE_MIN,
            },
            drain: process.shutdown_timeout,
            ..Limits::default()
        };
        Ok(Self {
            s3: bind(&config.listen, "--listen").await?,
            admin: bind(&config.admin_listen, "--admin-listen").await?,
            state,
            limits,
        })
    }

    /// Answers health and admin requests, and 503 to S3, until [`Open::ready`].
    ///
    /// # Errors
    /// `Usage` if keys or token break a rule.
    pub fn open(
        self,
        config: &GatewayConfig,
        keys: &Keys,
        metrics: &Metrics,
        registry: Option<Arc<Registry>>,
    ) -> Result<Open, CliError> {
        let Self {
            s3,
            admin,
            state,
            limits,
        } = self;
        check_domains(config)?;
        let targets = notify::targets(config)?;
        let directory = Arc::new(Directory::new(&keys.administrator()?));
        let health: Arc<dyn Health> = Arc::new(state.clone());
        let operations = Operations::new(registry);
        let service = admin::Service::new(admin::Parts {
            cluster: Arc::clone(&operations) as Arc<dyn Cluster>,
            health: Arc::clone(&health),
            registry: metrics.registry.clone(),
            access: access(config, Arc::clone(&directory))?,
        });
        let admin_limits = Limits {
            connections_max: ADMIN_CONNECTIONS_MAX,
            drain: ADMIN_DRAIN,
            ..limits
        };
        let later = Later::new(Arc::clone(&health));
        let s3_url = format!("http://{}", s3.addr);
        let admin_url = format!("http://{}", admin.addr);
        Ok(Open {
            s3: Serving::start(s3, Arc::clone(&later) as Arc<_>, limits),
            admin: Serving::start(admin, Arc::new(service), admin_limits),
            later,
            operations,
            directory,
            health,
            state,
            s3_url,
            admin_url,
            metrics: metrics.clone(),
            s3_config: S3Config {
                region: config.region.clone(),
                domains: config.domain.clone(),
                websites: config.website_domain.clone(),
                sigv2: config.sigv2,
                bucket_acls: match config.bucket_acls {
                    Switch::Off => BucketAcls::Off,
                    Switch::On => BucketAcls::On,
                },
                body: limits.body,
                timers: Timers::default(),
            },
            targets,
            logs: Logs::new(config, metrics),
        })
    }
}

/// A host is either S3's or that of a website.
fn check_domains(config: &GatewayConfig) -> Result<(), CliError> {
    let name = |domain: &String| domain.trim_matches('.').to_ascii_lowercase();
    let s3: Vec<String> = config.domain.iter().map(name).collect();
    match config
        .website_domain
        .iter()
        .find(|site| s3.contains(&name(site)))
    {
        None => Ok(()),
        Some(both) => Err(CliError::Usage(format!(
            "--website-domain {both} is --domain too: websites need a domain of their own"
        ))),
    }
}

fn access(config: &GatewayConfig, credentials: Arc<Directory>) -> Result<Access, CliError> {
    let token = config
        .admin_token
        .as_ref()
        .map(|token| Key::new(token.expose().trim()));
    if token
        .as_ref()
        .is_some_and(|token| token.expose().len() < admin::access::TOKEN_LEN_MIN)
    {
        return Err(CliError::Usage(format!(
            "HOLDFAST_ADMIN_TOKEN needs at least {} characters",
            admin::access::TOKEN_LEN_MIN
        )));
    }
    Ok(Access {
        credentials,
        token,
        region: config.region.clone(),
        metrics_closed: config.metrics_auth,
    })
}

/// Both listeners, serving.
pub struct Open {
    s3: Serving,
    admin: Serving,
    later: Arc<Later>,
    operations: Arc<Operations>,
    directory: Arc<Directory>,
    health: Arc<dyn Health>,
    state: State,
    s3_url: String,
    admin_url: String,
    metrics: Metrics,
    s3_config: S3Config,
    targets: Targets,
    logs: Logs,
}

impl Open {
    /// Who may sign.
    ///
    /// # Errors
    /// `Usage` if the keys break a rule.
    pub fn holders(&self, keys: &Keys, master: MasterKey) -> Result<Holders, CliError> {
        Ok(Holders {
            root: keys.administrator()?,
            master,
            directory: Arc::clone(&self.directory),
        })
    }

    /// Serves S3 and says so. New keys are shown, on stderr, this once.
    ///
    /// # Errors
    /// `Output` if stdout is gone.
    pub fn ready(
        &self,
        core: &Arc<Core>,
        slots: Option<Slots>,
        keys: &Keys,
        dir: &DataDir,
    ) -> Result<(), CliError> {
        let objects = Arc::new(core.service.clone()) as Arc<dyn Objects>;
        let credentials = Arc::clone(&self.directory) as Arc<_>;
        let log = self.logs.start(Arc::clone(&objects), credentials);
        let service = s3::service(
            objects,
            Arc::clone(&self.directory) as Arc<_>,
            self.s3_config.clone(),
            self.metrics.s3.clone(),
            Arc::clone(&self.health),
            self.targets.clone(),
            Some(log),
        );
        self.operations.set(Arc::clone(core), slots);
        self.later.set(Arc::new(service));
        self.state.serving(core.store.clone());
        if keys.new {
            eprint!(
                "{}",
                banner(keys, dir.path(), &self.s3_url, &self.s3_config.region)
            );
        }
        output::line(format!("ready s3={} admin={}\n", self.s3_url, self.admin_url).as_bytes())
    }

    /// Drains S3, runs `then`, ends the admin listener.
    ///
    /// # Errors
    /// What `then` says; `Fatal` if the process had to end.
    pub async fn stop(
        self,
        ended: Ended,
        then: impl Future<Output = Result<(), CliError>>,
    ) -> Result<(), CliError> {
        if matches!(ended, Ended::Failed(_)) {
            // Nothing may be acknowledged any more, not even what is under way.
            return ended.result();
        }
        self.state.draining();
        let drained = self.s3.stop().await;
        if drained.cut > 0 {
            tracing::warn!(
                cut = drained.cut,
                "connections were cut: they did not end in time"
            );
        }
        self.logs.stop().await;
        let stopped = then.await;
        self.admin.stop().await;
        tracing::info!("stopped");
        stopped.and_then(|()| ended.result())
    }
}
