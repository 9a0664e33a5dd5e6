//! Where one object is, and how much of it is good.
//!
//! Owns: looking at every shard and copy of an object, its parts included.
//! Leaves to others: mending it ([`crate::heal`]).
//! Always: nothing is changed; `good` means read from the medium and verified now.

use futures::future::join_all;
use holdfast_index::rows;
use holdfast_protocol::admin::inspect::{BodyView, InspectReport, InspectRequest, ShardView};
use holdfast_protocol::row::RowName;
use holdfast_protocol::{Body, Manifest, ShardLayout, VersionRow, WriteId};
use holdfast_store::placement::group_of;
use holdfast_store::row_name;

use crate::context::Context;
use crate::error::Result;
use crate::heal::Health;
use crate::placed::{self, Placed};

/// Looks at an object; `None` if there is none.
pub(crate) async fn inspect(
    ctx: &Context,
    request: &InspectRequest,
) -> Result<Option<InspectReport>> {
    let Some(bucket) = rows::get_bucket(&*ctx.index, &request.bucket).await? else {
        return Ok(None);
    };
    let current = rows::get_current(&*ctx.index, bucket.id, &request.key).await?;
    let row = match &request.write {
        None => current,
        Some(write) => older(ctx, bucket.id, &request.key, write, current).await?,
    };
    let Some(row) = row else { return Ok(None) };
    let manifest = &row.manifest;
    let Some(own) = placed::find(&*ctx.index, &row_name(manifest)).await? else {
        return Ok(None);
    };
    let mut bodies = vec![body(ctx, &own, None).await];
    // Parts are cut as the storage class of their upload says.
    let (mut geometry, mut parity) = (manifest.geometry, manifest.geometry.parity());
    if let Body::Parts { upload, parts } = &manifest.body {
        for part in parts {
            let name = RowName::Part {
                upload: *upload,
                number: part.number,
                write: part.write,
            };
            bodies.push(match placed::find(&*ctx.index, &name).await? {
                Some(placed) => {
                    if placed.is_coded() {
                        geometry = placed.manifest().geometry;
                        parity = parity.min(geometry.parity());
                    }
                    body(ctx, &placed, Some(part.number)).await
                }
                None => missing_part(part.number, part.write, part.len),
            });
        }
    }
    let spare = bodies.iter().map(|body| body.good.checked_sub(body.needed));
    let survives = spare
        .min_by_key(|spare| spare.map_or(-1, i32::from))
        .flatten();
    Ok(Some(InspectReport {
        bucket: bucket.name,
        key: manifest.key.clone(),
        write: manifest.write.to_string(),
        order: manifest.order.to_string(),
        created_ms: manifest.created_ms,
        len: manifest.len,
        etag: manifest.etag.to_string(),
        geometry: geometry.to_string(),
        group: group_of(manifest.bucket, &manifest.key).get(),
        map_version: manifest.map_version.get(),
        survives,
        survives_whole: parity as u8,
        bodies,
    }))
}

/// The version that a write made.
async fn older(
    ctx: &Context,
    bucket: holdfast_protocol::BucketId,
    key: &str,
    write: &str,
    current: Option<VersionRow>,
) -> Result<Option<VersionRow>> {
    let is_it = |row: &VersionRow| row.manifest.write.to_string() == write;
    if current.as_ref().is_some_and(is_it) {
        return Ok(current);
    }
    let mut before = None;
    loop {
        let page = rows::list_noncurrent(&*ctx.index, bucket, key, before, 256).await?;
        before = page.items.last().map(|row| row.manifest.version);
        let more = page.more;
        if let Some(found) = page.items.into_iter().find(is_it) {
            return Ok(Some(found));
        }
        if !more || before.is_none() {
            return Ok(None);
        }
    }
}

fn missing_part(number: u16, write: WriteId, len: u64) -> BodyView {
    BodyView {
        part: Some(number),
        write: write.to_string(),
        len,
        kind: "coded".to_owned(),
        needed: 1,
        ..BodyView::default()
    }
}

async fn body(ctx: &Context, placed: &Placed, part: Option<u16>) -> BodyView {
    let manifest = placed.manifest();
    let health = match placed.is_coded() {
        true => ctx.shards_verified(placed).await,
        false => ctx.copy_health(placed).await,
    };
    let holders = placed.row.placement.holders.iter().zip(&health).enumerate();
    let shards = holders.map(|(at, (drive, health))| ShardView {
        shard: at as u8,
        role: role(manifest, at).to_owned(),
        drive: drive.to_string(),
        state: state(*health).to_owned(),
        digest: match &manifest.body {
            Body::Coded { digests, .. } => digests
                .get(at)
                .map(|digest| format!("{digest:016x}"))
                .unwrap_or_default(),
            _ => String::new(),
        },
    });
    let layout = ShardLayout::new(manifest.geometry, manifest.len);
    let is_coded = placed.is_coded();
    BodyView {
        part,
        write: manifest.write.to_string(),
        len: manifest.len,
        kind: kind(&manifest.body).to_owned(),
        stripe_count: if is_coded { layout.stripe_count() } else { 0 },
        shard_len: if is_coded { layout.shard_len() } else { 0 },
        shards: shards.collect(),
        needed: match is_coded {
            true => manifest.geometry.data() as u8,
            false => 1,
        },
        good: count(&health, Health::Good),
    }
}

/// How many are so.
pub(crate) fn count(health: &[Health], wanted: Health) -> u8 {
    health.iter().filter(|health| **health == wanted).count() as u8
}

fn role(manifest: &Manifest, at: usize) -> &'static str {
    match (&manifest.body, at < manifest.geometry.data()) {
        (Body::Coded { .. }, true) => "data",
        (Body::Coded { .. }, false) => "parity",
        _ => "copy",
    }
}

fn state(health: Health) -> &'static str {
    match health {
        Health::Good => "good",
        Health::Bad => "bad",
        Health::Away => "away",
        Health::Lost => "lost",
    }
}

fn kind(body: &Body) -> &'static str {
    match body {
        Body::Coded { .. } => "coded",
        Body::Inline => "inline",
        Body::Parts { .. } => "parts",
        Body::Empty => "empty",
        Body::DeleteMarker => "delete_marker",
    }
}

impl Context {
    /// The health of every shard of a coded row, all of them read from their media.
    pub(crate) async fn shards_verified(&self, placed: &Placed) -> Vec<Health> {
        let mut health = self.shard_presence(placed).await;
        let write = placed.manifest().write;
        let layout = ShardLayout::new(placed.manifest().geometry, placed.manifest().len);
        let holders = placed.row.placement.holders.iter().enumerate();
        let present = holders.filter(|(at, _)| health.get(*at) == Some(&Health::Good));
        let verified = present.map(|(at, &drive)| async move {
            let found = self.verify_shard(drive, write, at as u8, layout.shard_len());
            (at, found.await)
        });
        for (at, found) in join_all(verified.collect::<Vec<_>>()).await {
            health[at] = found;
        }
        health
    }
}
