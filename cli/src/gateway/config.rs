//! Settings of a gateway.
//!
//! Owns: their keys, defaults and documentation.
//! Leaves to others: sources and text forms ([`crate::config`]).
//! Always: defaults run.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use holdfast_gateway::object::Classes;
use holdfast_protocol::{Geometry, STRIPE_LEN};
use holdfast_workers::WorkersConfig;

use crate::config::{Address, Secret, Size, Switch, settings};
use crate::error::CliError;

/// Drives are asked every second, and may be late once.
const DOWN_AFTER_MIN: Duration = Duration::from_secs(3);
const LIFECYCLE_DAY_MIN: Duration = Duration::from_secs(1);

settings! {
    /// A gateway, also the one inside `holdfast server`.
    pub struct GatewayConfig {
        /// Where everything is kept: index, credentials, and in `holdfast server` the drives.
        data_dir: PathBuf = "./holdfast-data",
        /// Where S3 is served. Port 0 takes any free one.
        listen: Address = "127.0.0.1:9000",
        /// Where metrics, health, admin API and console are served. Port 0 takes any free one.
        admin_listen: Address = "127.0.0.1:9001",
        /// Data and parity shards of new objects. Fixed when the cluster is laid out.
        geometry: Geometry = "4+2",
        /// Storage classes beside STANDARD, which has the geometry above: `NAME=k+m`, for instance
        /// `ARCHIVE=2+1`, of no more shards in all. REDUCED_REDUNDANCY has one parity shard less
        /// than STANDARD, but at least one, unless it is given here.
        storage_class: Vec<String> = "",
        /// Drives of the cluster. `holdfast server` keeps as many under `drives/`; a gateway waits
        /// until so many have registered before it lays the cluster out.
        drives: usize = "6",
        /// The region that signatures must name.
        region: String = "us-east-1",
        /// Domains under which buckets are host names, for instance `s3.example.com`.
        domain: Vec<String> = "",
        /// Whether requests, URLs and forms may be signed by signature version 2, as old programs
        /// do. It signs no body, and less of the rest than version 4.
        sigv2: bool = "false",
        /// Whether new buckets have ACLs and no public access block. Off is as in S3: a bucket's
        /// owner owns all objects in it, and public access is blocked; both can be changed for
        /// each bucket.
        bucket_acls: Switch = "off",
        /// Domains under which buckets are websites: `http://bucket.<domain>` shows the pages of a
        /// bucket that has a website configuration, to everyone whom its policy lets see them. Not
        /// a domain of S3.
        website_domain: Vec<String> = "",
        /// The first administrator's access key: 3 to 128 characters. Without it a key is made at
        /// the first start, kept in `credentials` (mode 0600) and shown once.
        access_key: Option<String> = "",
        /// The first administrator's secret: 8 to 128 characters.
        secret_key: Option<Secret<String>> = "",
        /// The key that seals the secrets of accounts' keys: 64 hexadecimal digits. Without it one
        /// is made at the first start and kept in `master.key` (32 bytes, mode 0600). Back it up.
        master_key: Option<Secret<String>> = "",
        /// A token that is as good as the administrator's keys at the admin API, as
        /// `Authorization: Bearer TOKEN`: at least 16 characters. Without it only signed requests
        /// pass.
        admin_token: Option<Secret<String>> = "",
        /// Whether `/metrics` needs the administrator's keys or token too.
        metrics_auth: bool = "false",
        /// Bodies up to this size travel in their record instead of being cut into shards.
        inline_bytes_max: Size = "32KiB",
        /// Memory for stripes on their way to drives.
        write_buffer_bytes: Size = "96MiB",
        /// Memory for stripes on their way from drives.
        read_buffer_bytes: Size = "64MiB",
        /// Memory for blocks of the index.
        index_cache_bytes: Size = "32MiB",
        /// Memory for new rows of the index until they are sorted into files; fixed when it is
        /// made.
        index_memtable_bytes: Size = "8MiB",
        /// How long a drive may take to answer.
        drive_deadline: Duration = "10s",
        /// Every stored byte is read and its checksum verified within this time.
        scrub_period: Duration = "14d",
        /// Bytes that the scrub may read per second and drive; 0 means no limit. It keeps well
        /// below this unless it is late, and gives way to clients.
        scrub_bytes_per_second: Size = "128MiB",
        /// Bytes that healing may write per second; 0 means no limit. It gives way to clients all
        /// the same, but for objects that cannot lose another shard.
        heal_bytes_per_second: Size = "0",
        /// A drive that has not answered for so long is down: it counts as gone until it returns.
        down_after: Duration = "1m",
        /// A drive that has not answered for so long is out: what it holds is healed onto other
        /// drives, if there are spare ones.
        out_after: Duration = "30m",
        /// How often the inventory of every drive is compared with the index, both ways.
        compare_interval: Duration = "1d",
        /// A multipart upload to which nothing was added for so long is aborted, and its parts are
        /// freed; 0s keeps uploads for ever.
        abandoned_upload_age: Duration = "7d",
        /// How long a day of lifecycle rules is; another length than 24 hours is for tests: rules
        /// then do not wait for midnight.
        lifecycle_day: Duration = "1d",
        /// How long records of access logs wait until they are delivered.
        access_log_interval: Duration = "5m",
        /// Memory for records of access logs; what does not fit is dropped.
        access_log_buffer_bytes: Size = "16MiB",
        /// Who can be told of what happens in buckets: `NAME=https://host:port/path`, or `http://`;
        /// buckets name it `arn:holdfast:notify:REGION::NAME`.
        notify_webhook: Vec<String> = "",
        /// Files with the bearer tokens of webhooks: `NAME=PATH`. Read at the start.
        notify_token_file: Vec<String> = "",
        /// A PEM file with certificates that webhooks may have besides those that the system
        /// trusts.
        notify_ca_file: Option<PathBuf> = "",
        /// Addresses that webhooks may be at although they are private, loopback or link-local:
        /// networks such as `10.1.0.0/16`.
        notify_allow: Vec<String> = "",
        /// Events that may wait for each webhook. While so many do, new ones are dropped.
        notify_queue_max: usize = "100000",
        /// How long a client may pause between two pieces of a body.
        body_idle_timeout: Duration = "30s",
        /// How long a client may take to send the head of a request.
        header_timeout: Duration = "10s",
        /// Connections at once, of all clients.
        connections_max: usize = "1024",
    }
}

impl GatewayConfig {
    /// The storage classes.
    ///
    /// # Errors
    /// `Usage` if one cannot be.
    pub fn classes(&self) -> Result<Classes, CliError> {
        let wrong = |what: &dyn fmt::Display| CliError::Usage(format!("--storage-class: {what}"));
        let mut given = Vec::new();
        for text in &self.storage_class {
            let parts = text.split_once('=');
            let parsed = parts.and_then(|(name, geometry)| {
                Some((name.to_owned(), Geometry::parse(geometry).ok()?))
            });
            let (name, geometry) =
                parsed.ok_or_else(|| wrong(&format!("{text:?} is not NAME=k+m")))?;
            let stripe = STRIPE_LEN as usize * geometry.total() / geometry.data();
            let held = [self.write_buffer_bytes, self.read_buffer_bytes];
            if held.iter().any(|held| (held.get() as usize) < 4 * stripe) {
                return Err(wrong(&format!(
                    "{text}: --write-buffer-bytes and --read-buffer-bytes are {} at the least",
                    4 * stripe
                )));
            }
            given.push((name, geometry));
        }
        Classes::new(self.geometry, given).map_err(|error| wrong(&error))
    }

    /// How drives are watched, healed and compared.
    ///
    /// # Errors
    /// `Usage` if times contradict each other.
    pub fn workers(&self) -> Result<WorkersConfig, CliError> {
        let defaults = WorkersConfig::default();
        let (down, out) = (self.down_after, self.out_after);
        if down < DOWN_AFTER_MIN || out < down {
            return Err(CliError::Usage(format!(
                "--down-after {down:?}, --out-after {out:?}: a drive is down after \
                 {DOWN_AFTER_MIN:?} at the earliest, and not out before it is down"
            )));
        }
        let day = self.lifecycle_day;
        if day < LIFECYCLE_DAY_MIN {
            return Err(CliError::Usage(format!(
                "--lifecycle-day {day:?}: it is {LIFECYCLE_DAY_MIN:?} at the least"
            )));
        }
        Ok(WorkersConfig {
            drive_deadline: self.drive_deadline,
            suspect_after: defaults.suspect_after.min(down),
            down_after: down,
            out_after: out,
            scrub_period: self.scrub_period,
            scrub_bytes_per_second: self.scrub_bytes_per_second.get(),
            heal_bytes_per_second: self.heal_bytes_per_second.get(),
            compare_interval: self.compare_interval,
            ..defaults
        })
    }
}

settings! {
    /// Shard nodes of a gateway.
    pub struct NodesConfig {
        /// Where shard nodes register. Port 0 takes any free one.
        node_listen: Address = "127.0.0.1:9002",
        /// How long this gateway may serve without hearing from enough drives: the length of its
        /// lease, 2 s to 15 s. Another gateway waits that long before it takes over.
        lease: Duration = "10s",
        /// The operator's word that no other gateway of this cluster runs: a takeover then needs
        /// no more drives than serving does, and does not wait to see whether the other one is
        /// alive. What is left of its lease is waited for all the same.
        takeover: bool = "false",
    }
}
