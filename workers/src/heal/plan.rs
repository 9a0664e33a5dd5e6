//! What healing would do now, without doing it.
//!
//! Owns: the dry run.
//! Leaves to others: the choice itself, which is the healer's own ([`super::coded`],
//! [`super::small`]).
//! Always: nothing is changed.

use std::collections::BTreeSet;

use holdfast_index::rows;
use holdfast_protocol::ShardLayout;
use holdfast_protocol::admin::heal::{HealPlan, HealPlanItem};

use super::inspect::Health;
use super::{coded, small};
use crate::context::Context;
use crate::error::Result;
use crate::placed::{self, Placed};

/// The first `limit` rows of the queue and what would be done about each.
pub(crate) async fn plan(ctx: &Context, limit: usize) -> Result<HealPlan> {
    let page = rows::heal_queue(&*ctx.index, None, limit).await?;
    let mut items = Vec::with_capacity(page.items.len());
    // One that is queued under several margins has one turn.
    let mut seen = BTreeSet::new();
    for entry in page.items {
        if seen.insert(entry.name.write())
            && let Some(placed) = placed::find(&*ctx.index, &entry.name).await?
        {
            items.push(item(ctx, &placed, entry.margin).await);
        }
    }
    let held_back = ctx.heal_book().why_not();
    for item in &mut items {
        item.waits_for = held_back.clone().or(item.waits_for.take());
    }
    Ok(HealPlan {
        bytes: items.iter().map(|item| item.bytes).sum(),
        held_back,
        items,
        more: page.more,
    })
}

async fn item(ctx: &Context, placed: &Placed, margin: u8) -> HealPlanItem {
    let manifest = placed.manifest();
    let (health, shards, targets) = match placed.is_coded() {
        true => {
            let suspects = ctx.suspects().get(&manifest.write).cloned();
            let health = ctx
                .shard_health(placed, &suspects.unwrap_or_default())
                .await;
            let chosen = coded::choose(ctx, placed, &health, &Default::default());
            let shards = chosen.iter().map(|target| target.shard).collect();
            let drives: Vec<_> = chosen.iter().map(|target| target.drive).collect();
            (health, shards, drives)
        }
        false => {
            let health = ctx.copy_health(placed).await;
            let lacking = small::lacking(placed, &health);
            let drives = small::choose(ctx, placed, &health, &Default::default(), lacking);
            (health, Vec::new(), drives)
        }
    };
    let away = health
        .iter()
        .filter(|health| **health == Health::Away)
        .count();
    let waits_for = match targets.is_empty() {
        true if away > 0 => Some(format!("{away} drives that do not answer")),
        true if health.iter().any(|health| *health != Health::Good) => {
            Some("a drive that takes it".to_owned())
        }
        _ => None,
    };
    let each = match placed.is_coded() {
        true => ShardLayout::new(manifest.geometry, manifest.len).shard_len(),
        false => manifest.len,
    };
    HealPlanItem {
        bytes: each * targets.len() as u64,
        kind: placed::kind(&placed.name).to_owned(),
        bucket: manifest.bucket.to_string(),
        key: manifest.key.clone(),
        write: manifest.write.to_string(),
        margin,
        shards,
        targets: targets.iter().map(ToString::to_string).collect(),
        waits_for,
    }
}
