//! S3: the front.
//!
//! Owns: translating S3 requests into [`Objects`] and back; everything that knows the S3 library.
//! Leaves to others: what the operations do ([`crate::object`]), connections and raw requests
//! ([`crate::http`]), permission ([`crate::auth`]).
//! Always: an operation runs only after its request passed `service` (guards, signature,
//! authorisation).

mod access_log;
mod acl;
mod answer;
mod asking;
mod body;
mod bucket;
mod claims;
mod cross;
mod documents;
mod error;
mod facts;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod gate;
mod headers;
mod inventory;
mod listing;
mod multipart;
mod object;
mod own;
mod post;
mod prepare;
mod service;
mod table;
mod values;
mod website;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use s3s::host::{S3Host, VirtualHost};
use s3s::service::S3ServiceBuilder;
use s3s::validation::NameValidation;
use s3s::{S3, S3Result};
use tokio::sync::Semaphore;

use crate::auth::Credentials;
use crate::http::{Domains, Health, Pace, Timers};
use crate::logging::AccessLog;
use crate::metrics::S3Metrics;
use crate::notify::Targets;
use crate::object::Objects;

pub use access_log::Deliverer;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use bucket::fuzz as bucket_fuzz;
pub use inventory::Reporter;
pub use service::Service;
pub(crate) use values::escape;

/// Documents without a length that are held at a time, before their signature is verified.
const UNSIZED_DOCUMENTS_MAX: usize = 16;

/// Whether new buckets have ACLs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BucketAcls {
    /// Their owners own all objects, ACLs are off and public access is blocked: S3's default.
    #[default]
    Off,
    /// Writers own what they write, ACLs count, and nothing is blocked.
    On,
}

/// How the S3 front is set up.
#[derive(Clone, Debug)]
pub struct S3Config {
    /// The region that requests must be signed for.
    pub region: String,
    /// Domains under which a host names a bucket.
    pub domains: Vec<String>,
    /// Domains under which a host names a bucket that is shown as a website.
    pub websites: Vec<String>,
    /// Whether requests and forms may be signed by signature version 2.
    pub sigv2: bool,
    /// Whether new buckets have ACLs.
    pub bucket_acls: BucketAcls,
    /// How slow a body may be.
    pub body: Pace,
    /// What tells how long that takes.
    pub timers: Timers,
}

/// Makes the S3 front.
pub fn service(
    objects: Arc<dyn Objects>,
    credentials: Arc<dyn Credentials>,
    config: S3Config,
    metrics: S3Metrics,
    health: Arc<dyn Health>,
    targets: Targets,
    access_log: Option<AccessLog>,
) -> Service {
    let domains = Domains::new(config.domains);
    let rights = gate::Rights {
        objects: Arc::clone(&objects),
        credentials: Arc::clone(&credentials),
    };
    let gateway = Gateway {
        objects: Arc::clone(&objects),
        rights: rights.clone(),
        region: config.region.clone(),
        bucket_acls: config.bucket_acls,
        targets,
    };
    let mut second = S3ServiceBuilder::new(gateway);
    second.set_auth(prepare::NoLookup);
    second.set_access(prepare::Gate(rights.clone()));
    let mut first = S3ServiceBuilder::new(Nothing);
    first.set_auth(prepare::Lookup(credentials));
    for builder in [&mut first, &mut second] {
        builder.set_host(Hosts(domains.clone()));
        builder.set_validation(AnyName);
    }
    first.set_route(prepare::Verified {
        inner: second.build(),
        rights: rights.clone(),
    });
    Service(Arc::new(service::Layers {
        first: first.build(),
        objects,
        rights,
        region: config.region,
        domains,
        websites: Domains::new(config.websites),
        sigv2: config.sigv2,
        pace: config.body,
        timers: config.timers,
        metrics,
        health,
        access_log,
        ids: answer::IdSource::new(),
        unsized_documents: Semaphore::new(UNSIZED_DOCUMENTS_MAX),
    }))
}

/// Whether an event may be logged. The S3 library logs refusals as errors, and requests, signatures
/// and malformed bodies whole: all of it is left out, as this crate logs what matters.
///
/// Use it as a filter of the subscriber.
pub fn loggable(metadata: &tracing::Metadata<'_>) -> bool {
    let target = metadata.target();
    target != "s3s" && !target.starts_with("s3s::")
}

/// The operations.
pub(crate) struct Gateway {
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) rights: gate::Rights,
    pub(crate) region: String,
    pub(crate) bucket_acls: BucketAcls,
    pub(crate) targets: Targets,
}

/// The first pass has no operations: its route takes everything.
struct Nothing;
impl S3 for Nothing {}

/// Names are checked by the operations, with our own rules and errors.
struct AnyName;
impl NameValidation for AnyName {
    fn validate_bucket_name(&self, name: &str) -> bool {
        !name.is_empty()
    }
}

/// Reads hosts as [`crate::http::Target`] does.
struct Hosts(Domains);
impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        Ok(match self.0.bucket(host) {
            Some(bucket) => VirtualHost::new(host).with_bucket(bucket),
            None => VirtualHost::new(host),
        })
    }
}
