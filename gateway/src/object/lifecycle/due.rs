//! What each commit tells the queue of lifecycle rules.
//!
//! Owns: which entries go with a change of a key or an upload.
//! Leaves to others: the queue (index), the times ([`super::rules`]), looking when they are there
//! ([`super::run`]).
//! Always: in the same batch as the change, by the rules as of the bucket's lock. An entry may be
//! too many or too early (it is looked at again under the lock), never too few or too late: who
//! changes the rules has the bucket gone through anew ([`super::backfill`]).

use holdfast_index::Batch;
use holdfast_index::due::Due;
use holdfast_protocol::Manifest;

use super::rules;
use crate::object::bucket::Bucket;
use crate::object::service::Service;
use crate::settings::{Lifecycle, Versioning};

/// A change that lifecycle rules may have to do with.
#[derive(Clone, Copy, Debug)]
pub(in crate::object) enum Changed<'a> {
    /// A version became current, or what is kept with it changed.
    Current(&'a Manifest),
    /// The current version of a bucket that keeps no versions went.
    Replaced(&'a Manifest),
    /// A version ceased to be current, at this time (milliseconds since 1970).
    Pushed(&'a Manifest, u64),
    /// A noncurrent version went, or what is kept with it changed.
    Noncurrent(&'a Manifest),
    /// An upload was opened.
    Opened(&'a Manifest),
    /// An upload was completed or aborted.
    Closed(&'a Manifest),
}

impl Bucket {
    /// Whether what expires in it is marked as deleted, so that nothing is removed.
    pub(super) fn marks(&self) -> bool {
        self.settings().versioning == Some(Versioning::Enabled)
    }
}

impl Service {
    /// Queues what a change makes due; every commit in a bucket goes through here.
    pub(in crate::object) fn note(&self, batch: &mut Batch, bucket: &Bucket, change: Changed<'_>) {
        let Some(lifecycle) = bucket.settings().lifecycle.as_ref() else {
            return;
        };
        match change {
            Changed::Current(manifest) => {
                if let Some(due_ms) = self.first_due(lifecycle, bucket, manifest) {
                    batch.put_due(due_ms, &versions(manifest));
                }
            }
            Changed::Replaced(manifest) => {
                if let Some(due_ms) = self.first_due(lifecycle, bucket, manifest) {
                    batch.delete_due(due_ms, &versions(manifest));
                }
            }
            Changed::Pushed(manifest, since_ms) => {
                self.note_pushed(batch, lifecycle, manifest, since_ms);
            }
            Changed::Noncurrent(manifest) => {
                let key = manifest.key.as_str();
                if rules::has_noncurrent(lifecycle, key) || rules::has_markers(lifecycle, key) {
                    // It may have kept what is due for long: a hold, a tag, a version behind.
                    let now_ms = self.store.world().clock.unix_ms();
                    batch.put_due(now_ms, &versions(manifest));
                }
            }
            Changed::Opened(manifest) => {
                if let Some(due_ms) = rules::upload_due(lifecycle, manifest, self.day) {
                    batch.put_due(due_ms, &upload(manifest));
                }
            }
            Changed::Closed(manifest) => {
                if let Some(due_ms) = rules::upload_due(lifecycle, manifest, self.day) {
                    batch.delete_due(due_ms, &upload(manifest));
                }
            }
        }
    }

    fn note_pushed(
        &self,
        batch: &mut Batch,
        lifecycle: &Lifecycle,
        manifest: &Manifest,
        since_ms: u64,
    ) {
        let day = self.day;
        let newer = rules::Newer::enough(since_ms);
        let goes = rules::noncurrent_due(lifecycle, manifest, &newer, day);
        let moves = rules::noncurrent_moves(lifecycle, manifest, &newer, day);
        let moves = moves.map(|(at_ms, _)| at_ms);
        if let Some(due_ms) = goes.into_iter().chain(moves).min() {
            batch.put_due(due_ms, &versions(manifest));
        }
        // One of those behind it may now be one too many.
        if rules::counts(lifecycle, &manifest.key) {
            batch.put_due(self.soon(), &versions(manifest));
        }
    }

    /// When a current version is to be looked at; a delete marker as if nothing were behind it.
    pub(super) fn current_due(
        &self,
        lifecycle: &Lifecycle,
        bucket: &Bucket,
        manifest: &Manifest,
    ) -> Option<u64> {
        match rules::is_marker(manifest) {
            true => rules::marker_due(lifecycle, manifest, self.day),
            false => rules::object_due(lifecycle, manifest, bucket.marks(), self.day),
        }
    }

    /// The same, or when it moves for the first time.
    pub(super) fn first_due(
        &self,
        lifecycle: &Lifecycle,
        bucket: &Bucket,
        manifest: &Manifest,
    ) -> Option<u64> {
        let goes = self.current_due(lifecycle, bucket, manifest);
        let moves = rules::moves(lifecycle, manifest, self.day).map(|(at_ms, _)| at_ms);
        goes.into_iter().chain(moves).min()
    }

    /// When something that changes now is acted upon.
    fn soon(&self) -> u64 {
        self.day.settled(self.store.world().clock.unix_ms())
    }
}

pub(super) fn versions(manifest: &Manifest) -> Due {
    Due::versions(manifest.bucket, &manifest.key)
}

pub(super) fn upload(manifest: &Manifest) -> Due {
    Due::upload(manifest.bucket, &manifest.key, manifest.write)
}
