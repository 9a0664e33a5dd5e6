//! The drives of shard nodes, for a rebuild: the command takes the stopped gateway's place.
//!
//! Owns: listening where nodes look for their gateway, waiting for them.
//! Leaves to others: registrations ([`crate::gateway::reception`]), what is made of the drives
//! ([`super`]).
//! Always: S3 is not served; the admin listener answers joins and health, and nobody has its keys.

use std::sync::Arc;
use std::time::Duration;

use holdfast_gateway::auth::{Administrator, Secret as Key};
use holdfast_gateway::http::Limits;

use super::Job;
use crate::admin::{self, Access, Cluster};
use crate::config::{ClusterSecretConfig, Group};
use crate::data_dir::{Phase, Slot, Stamp};
use crate::error::CliError;
use crate::gateway::config::NodesConfig;
use crate::gateway::listen::{Serving, bind};
use crate::gateway::operations::Operations;
use crate::gateway::reception::{self, Reception};
use crate::gateway::state::State;
use crate::gateway::{claim_quorum, cluster_secret, listen_for_nodes};

/// How long admin requests may take once the work is done.
const DRAIN: Duration = Duration::from_secs(1);

/// The nodes, registered.
pub struct Nodes {
    reception: Reception,
    admin: Serving,
}

impl Nodes {
    /// Lets go of them: they look for the gateway again.
    pub async fn close(self) {
        self.reception.close().await;
        self.admin.stop().await;
    }
}

/// Waits for the shard nodes, and attaches their drives.
///
/// # Errors
/// `Listen`, also while the gateway runs elsewhere on these ports; `Usage` without the cluster
/// secret; `TooFewDrives`.
pub async fn gather(job: &Job<'_>) -> Result<Nodes, CliError> {
    if job.stamp.phase == Phase::Forming {
        return Err(CliError::Layout(format!(
            "{}: the cluster was never laid out, there is nothing to rebuild",
            job.dir.path().display()
        )));
    }
    let secret = cluster_secret(&ClusterSecretConfig::read(job.resolved)?)?;
    let config = NodesConfig::read(job.resolved)?;
    let bound = bind(&job.config.admin_listen, "--admin-listen").await?;
    let addr = config.node_listen.as_str();
    let listener = listen_for_nodes(&job.world, addr, "--node-listen").await?;
    let reception = Reception::open(reception::Parts {
        world: &job.world,
        listener,
        dir: &job.dir,
        stamp: &job.stamp,
        drives: &job.drives,
        secret: &secret,
        metrics: &job.metrics,
    })?;
    let state = State::starting();
    state.waiting("the index is being rebuilt");
    let operations = Operations::new(Some(Arc::clone(&reception.registry)));
    let service = admin::Service::new(admin::Parts {
        cluster: operations as Arc<dyn Cluster>,
        health: Arc::new(state),
        registry: job.metrics.registry.clone(),
        access: nobody(job)?,
    });
    let limits = Limits {
        drain: DRAIN,
        ..Limits::default()
    };
    let nodes = Nodes {
        admin: Serving::start(bound, Arc::new(service), limits),
        reception,
    };
    match wait(job, &nodes.reception).await {
        Ok(()) => Ok(nodes),
        Err(error) => {
            nodes.close().await;
            Err(error)
        }
    }
}

/// Keys that are told to nobody: nothing but joins and health is to be asked here.
fn nobody(job: &Job<'_>) -> Result<Access, CliError> {
    let random = || format!("{:032x}", job.world.rng.u128());
    let credentials = Administrator::new(&random(), Key::new(random()));
    let credentials = credentials.map_err(|error| CliError::Usage(error.to_string()))?;
    Ok(Access {
        credentials: Arc::new(credentials),
        token: None,
        region: job.config.region.clone(),
        metrics_closed: true,
    })
}

async fn wait(job: &Job<'_>, reception: &Reception) -> Result<(), CliError> {
    let wanted = |stamp: &Stamp| stamp.slots.iter().filter(|slot| !slot.given_up).count();
    let all = wanted(&job.stamp);
    let needed = claim_quorum(&job.stamp);
    eprintln!(
        "holdfast: waiting for {all} drives, at most {}: shard nodes find this command where they \
         look for the gateway (admin {}, nodes {})",
        humantime::format_duration(job.flags.wait),
        job.config.admin_listen,
        reception.registry.node_listen(),
    );
    reception.registry.call_known().await;
    let mut count = reception.registry.count();
    let _ = tokio::time::timeout(job.flags.wait, count.wait_for(|have| *have >= all)).await;
    let stamp = reception.registry.stamp();
    // A successor that the map does not know holds nothing yet.
    for slot in stamp.slots.iter().filter(|slot| slot.replacing.is_some()) {
        job.drives.detach(slot.drive);
    }
    let attached = job.drives.ids();
    let absent: Vec<&Slot> = stamp
        .slots
        .iter()
        .filter(|slot| slot.replacing.is_none() && !attached.contains(&slot.drive))
        .collect();
    for slot in &absent {
        tracing::warn!(drive = %slot.drive, listen = %slot.listen, "drive is absent");
    }
    if attached.len() >= needed {
        return Ok(());
    }
    let names = absent
        .iter()
        .map(|slot| format!("{} ({} at {})", slot.drive, slot.label, slot.listen));
    Err(CliError::TooFewDrives(format!(
        "{} of {} drives have registered within {}, at least {needed} are needed; absent: {}. \
         Start their shard nodes, and give this command the gateway's --admin-listen, \
         --node-listen and cluster secret",
        attached.len(),
        stamp.slots.len(),
        humantime::format_duration(job.flags.wait),
        names.collect::<Vec<_>>().join(", "),
    )))
}
