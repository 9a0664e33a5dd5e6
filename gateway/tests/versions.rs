//! Goal: a bucket that keeps versions shows, after any sequence of writes, deletes and changes of
//! its setting, the versions that S3 says, and a rebuild shows the same.
//!
//! Method: the gateway's operations over drives in memory, beside a model that is a list of
//! versions for each key; the index is made anew from the drives at the end.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod operations;
#[path = "../../workers/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use holdfast_gateway::GatewayError;
use holdfast_gateway::auth::Caller;
use holdfast_gateway::object::types::{
    ChangeObject, Deleted, GetObject, ListObjects, ListVersions, ReadConditions, VersionId,
    VersionPage,
};
use holdfast_gateway::object::{Objects, Service};
use holdfast_gateway::settings::{Settings, Versioning};
use holdfast_index::{Index, MemoryIndex, ScanLimit, Table, rows};
use holdfast_protocol::{IndexId, Metadata, VersionRow};
use holdfast_workers::ClaimOptions;
use operations::requests::{delete_of, put_of};
use operations::{bucket, object_key, service};
use support::{BUCKET, Cluster};

async fn configure(service: &Service, versioning: Versioning) {
    let edit = move |settings: &mut Settings| {
        settings.versioning = Some(versioning);
        Ok(())
    };
    service.configure(&bucket(), Box::new(edit)).await.unwrap();
}

async fn put(service: &Service, key: &str, body: &[u8]) -> Option<VersionId> {
    service.put(put_of(key, body)).await.unwrap().version
}

async fn delete(service: &Service, key: &str, version: Option<VersionId>) -> Deleted {
    service.delete(delete_of(key, version)).await.unwrap()
}

async fn get(
    service: &Service,
    key: &str,
    version: Option<VersionId>,
) -> Result<Vec<u8>, GatewayError> {
    let get = GetObject {
        bucket: bucket(),
        key: object_key(key),
        version,
        range: None,
        part: None,
        conditions: ReadConditions::default(),
    };
    let read = service.get(get).await?;
    let pieces: Vec<Bytes> = read.stream.try_collect().await?;
    Ok(pieces.concat())
}

async fn tag(service: &Service, key: &str, version: VersionId, step: u32) {
    let change = ChangeObject {
        bucket: bucket(),
        key: object_key(key),
        version: Some(version),
        edit: Box::new(move |metadata, _, _| {
            metadata.set("x-amz-tagging", step.to_string());
            Ok(())
        }),
        by: Caller::Anonymous,
    };
    service.change(change).await.unwrap();
}

async fn head(service: &Service, key: &str, version: VersionId) -> Metadata {
    let any = ReadConditions::default();
    let (bucket, key) = (bucket(), object_key(key));
    let info = service.head(&bucket, &key, Some(version), None, &any);
    info.await.unwrap().metadata
}

async fn list(service: &Service, max: usize) -> Vec<(String, VersionId, bool, bool)> {
    let (mut all, mut after, mut after_version) = (Vec::new(), None, None);
    loop {
        let keys = ListObjects {
            bucket: bucket(),
            prefix: String::new(),
            delimiter: None,
            after,
            max,
        };
        let list = ListVersions {
            keys,
            after_version,
        };
        let VersionPage { versions, next, .. } = service.list_versions(list).await.unwrap();
        all.extend(versions.into_iter().map(|entry| {
            let key = entry.object.key;
            (key, entry.version, entry.is_latest, entry.is_marker)
        }));
        let Some((key, version)) = next else {
            return all;
        };
        (after, after_version) = (Some(key), version);
    }
}

/// A version; a delete marker has no bytes.
type Known = (VersionId, Option<Vec<u8>>);

/// The versions of each key, newest first.
#[derive(Default)]
struct Model(BTreeMap<&'static str, Vec<Known>>);

impl Model {
    fn add(&mut self, key: &'static str, version: VersionId, bytes: Option<Vec<u8>>) {
        let versions = self.0.entry(key).or_default();
        if version == VersionId::Null {
            versions.retain(|(known, _)| *known != VersionId::Null);
        }
        versions.insert(0, (version, bytes));
    }
    fn remove(&mut self, key: &'static str, version: VersionId) {
        let versions = self.0.entry(key).or_default();
        versions.retain(|(known, _)| *known != version);
    }
    fn listed(&self) -> Vec<(String, VersionId, bool, bool)> {
        let mut all = Vec::new();
        for (key, versions) in &self.0 {
            for (at, (version, bytes)) in versions.iter().enumerate() {
                all.push(((*key).to_owned(), *version, at == 0, bytes.is_none()));
            }
        }
        all
    }
}

/// What every version answers to GET, by its id and without.
async fn check_reads(service: &Service, model: &Model) {
    for (key, versions) in &model.0 {
        for (version, bytes) in versions {
            let got = get(service, key, Some(*version)).await;
            match bytes {
                Some(bytes) => assert_eq!(&got.unwrap(), bytes),
                None => assert!(
                    matches!(
                        got,
                        Err(GatewayError::DeleteMarker {
                            was_named: true,
                            ..
                        })
                    ),
                    "{got:?}"
                ),
            }
        }
        let current = get(service, key, None).await;
        match versions.first() {
            Some((_, Some(bytes))) => assert_eq!(&current.unwrap(), bytes),
            Some((_, None)) => assert!(
                matches!(
                    current,
                    Err(GatewayError::DeleteMarker {
                        was_named: false,
                        ..
                    })
                ),
                "{current:?}"
            ),
            None => assert!(
                matches!(current, Err(GatewayError::NoSuchKey { .. })),
                "{current:?}"
            ),
        }
    }
}

/// All rows of a table, as far as a rebuild can know them.
async fn rows_of(index: &MemoryIndex, table: Table) -> Vec<(Bytes, String)> {
    let limit = ScanLimit::rows(100_000);
    let scan = index
        .scan(table, Bound::Unbounded, Bound::Unbounded, limit)
        .await
        .unwrap();
    let row = |(key, row): (Bytes, holdfast_index::Row)| {
        let value = match table {
            Table::Null => format!("{:?}", row.order),
            _ => format!("{:?}", VersionRow::decode(&row.value).unwrap().manifest),
        };
        (key, value)
    };
    scan.rows.into_iter().map(row).collect()
}

const TABLES: [Table; 4] = [
    Table::Current,
    Table::Noncurrent,
    Table::Null,
    Table::Metadata,
];
const KEYS: [&str; 3] = ["a", "a/b", "c"];

/// A run of random operations beside the model.
struct Run {
    service: Service,
    model: Model,
    setting: Option<Versioning>,
    dice: Box<dyn FnMut(usize) -> usize + Send>,
}

impl Run {
    async fn step(&mut self, step: u32) {
        let key = KEYS[(self.dice)(3)];
        match (self.dice)(21) {
            0..=8 => self.put(key, step).await,
            9..=12 => self.hide(key).await,
            13..=16 => self.remove(key).await,
            17 => {
                delete(&self.service, key, Some(VersionId::Null)).await;
                self.model.remove(key, VersionId::Null);
            }
            18 => self.tag(key, step).await,
            19 if step > 20 => {
                let next = [Versioning::Enabled, Versioning::Suspended][(self.dice)(2)];
                configure(&self.service, next).await;
                self.setting = Some(next);
            }
            _ => {}
        }
        let page = 1 + (self.dice)(7);
        let listed = list(&self.service, page).await;
        assert_eq!(listed, self.model.listed(), "step {step}");
    }

    async fn put(&mut self, key: &'static str, step: u32) {
        let len = [0, 10, 300, 90_000][(self.dice)(4)];
        let mut body = support::body(step as u8, len);
        body.extend(step.to_le_bytes());
        let version = put(&self.service, key, &body).await;
        let is_kept = self.setting == Some(Versioning::Enabled);
        assert_eq!(version.is_some(), is_kept);
        let version = version.unwrap_or(VersionId::Null);
        self.model.add(key, version, Some(body));
    }

    async fn hide(&mut self, key: &'static str) {
        let deleted = delete(&self.service, key, None).await;
        match self.setting {
            None => {
                assert_eq!((deleted.version, deleted.is_marker), (None, false));
                self.model.remove(key, VersionId::Null);
            }
            Some(_) => {
                assert!(deleted.is_marker);
                self.model.add(key, deleted.version.unwrap(), None);
            }
        }
    }

    /// One of the key's versions.
    fn any(&mut self, key: &str, objects_only: bool) -> Option<VersionId> {
        let known = self.model.0.get(key).into_iter().flatten();
        let known: Vec<VersionId> = known
            .filter(|(_, bytes)| bytes.is_some() || !objects_only)
            .map(|(version, _)| *version)
            .collect();
        known.get((self.dice)(known.len().max(1))).copied()
    }

    async fn remove(&mut self, key: &'static str) {
        let Some(version) = self.any(key, false) else {
            return;
        };
        let deleted = delete(&self.service, key, Some(version)).await;
        assert_eq!((deleted.existed, deleted.version), (true, Some(version)));
        self.model.remove(key, version);
    }

    async fn tag(&mut self, key: &'static str, step: u32) {
        let Some(version) = self.any(key, true) else {
            return;
        };
        tag(&self.service, key, version, step).await;
        let head = head(&self.service, key, version).await;
        assert_eq!(head.get("x-amz-tagging"), Some(step.to_string().as_str()));
    }
}

async fn random_run(seed: u64) {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let mut run = Run {
        service: service(&running),
        model: Model::default(),
        setting: None,
        dice: Box::new(dice_of(seed)),
    };
    for step in 0..150_u32 {
        run.step(step).await;
    }
    check_reads(&run.service, &run.model).await;
    drop(run);
    running.until_quiet().await;
    let mut before = Vec::new();
    for table in TABLES {
        before.push(rows_of(&cluster.index, table).await);
    }
    let usage = rows::get_usage(&*cluster.index, BUCKET).await;
    cluster.kill(running).await;
    cluster.index = Arc::new(MemoryIndex::new(IndexId::new(2)));
    let options = ClaimOptions {
        takeover: true,
        ..ClaimOptions::default()
    };
    let (_, _, report, _, _) = cluster.open(&options, Some(false)).await.unwrap();
    assert!(report.doubts.is_empty(), "{report:?}");
    for (table, before) in TABLES.into_iter().zip(before) {
        let after = rows_of(&cluster.index, table).await;
        assert_eq!(after, before, "seed {seed}, {table:?}");
    }
    let again = rows::get_usage(&*cluster.index, BUCKET).await;
    assert_eq!(again.unwrap(), usage.unwrap(), "seed {seed}");
}

/// Numbers below a bound, the same for the same seed.
fn dice_of(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |bound| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        ((state >> 33) as usize) % bound
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_those_of_the_model_and_a_rebuild_shows_the_same() {
    for seed in 0..12 {
        random_run(seed).await;
    }
}
