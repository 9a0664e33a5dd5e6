//! Uploads that nobody continues.
//!
//! Owns: finding open uploads to which nothing was added for longer than an age, and ending them.
//! Leaves to others: how an upload is aborted ([`super::upload`]), purging (workers).
//! Always: such an upload goes as by AbortMultipartUpload: a tombstone, one commit, the purge. Its
//! age is looked at again while it is held alone, so that no part goes that came meanwhile.

use std::sync::Arc;
use std::time::Duration;

use holdfast_index::listing::{self, ListQuery};
use holdfast_index::rows;
use holdfast_protocol::GatewayId;
use holdfast_protocol::row::{PartRow, UploadRow};
use prometheus::IntCounter;

use super::bucket::Bucket;
use super::reparts::is_hidden;
use super::service::Service;
use super::upload::Why;
use crate::error::GatewayError;

/// Rows that are read at once.
const PAGE: usize = 1000;
/// How often it is looked at the soonest and the latest.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60 * 60);

/// When an upload that is no client's counts as abandoned, at the latest.
const HIDDEN_AGE_MS: u64 = 24 * 60 * 60 * 1000;

/// When an upload counts as abandoned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Abandoned {
    now_ms: u64,
    age_ms: u64,
    /// Who serves, and since which start.
    own: (GatewayId, u32),
}

impl Abandoned {
    /// Whether the upload, and each of its parts, is older than the age. A clock that went back
    /// makes them younger. One that is no client's and of an earlier process is: whoever continued
    /// it has ended.
    pub(super) fn is(self, upload: &UploadRow, parts: &[PartRow]) -> bool {
        let write = upload.manifest.write;
        if is_hidden(upload) && (write.gateway, write.gateway_epoch) != self.own {
            return upload.completed.is_none();
        }
        let parts = parts.iter().map(|part| part.manifest.created_ms);
        let last = parts.fold(upload.manifest.created_ms, u64::max);
        let age_ms = match is_hidden(upload) {
            true => self.age_ms.min(HIDDEN_AGE_MS),
            false => self.age_ms,
        };
        upload.completed.is_none() && self.now_ms.saturating_sub(last) >= age_ms
    }
}

impl Service {
    /// Aborts abandoned uploads again and again, for as long as it is polled; `aborted` counts
    /// them. If `age` is zero clients' uploads are kept for ever.
    pub async fn watch_uploads(self, age: Duration, aborted: IntCounter) {
        let age = match age.is_zero() {
            true => Duration::MAX,
            false => age,
        };
        // What an earlier process left of a move need not wait.
        let mut pause = PAUSE_MIN;
        loop {
            self.store.world().clock.sleep(pause).await;
            pause = (age / 8).clamp(PAUSE_MIN, PAUSE_MAX);
            if let Err(error) = self.abort_abandoned(age, &aborted).await {
                tracing::warn!(%error, "abandoned uploads not looked at, trying again later");
            }
        }
    }

    /// Aborts the open uploads to which nothing was added for `age` or longer.
    ///
    /// # Errors
    /// `Index` if the buckets cannot be listed; why a bucket could not be gone through, after all
    /// others were. An upload that cannot be aborted now is left to the next call.
    pub async fn abort_abandoned(
        &self,
        age: Duration,
        aborted: &IntCounter,
    ) -> Result<(), GatewayError> {
        let mut after: Option<String> = None;
        let mut outcome = Ok(());
        loop {
            let page = rows::list_buckets(&*self.index, "", after.as_deref(), PAGE).await?;
            after = page.items.last().map(|bucket| bucket.name.clone());
            for bucket in page.items {
                let gone_through = match Bucket::new(bucket) {
                    Ok(bucket) => {
                        let bucket = Arc::new(bucket);
                        self.abort_abandoned_in(&bucket, age, aborted).await
                    }
                    Err(error) => Err(error),
                };
                outcome = outcome.and(gone_through);
            }
            if !page.more {
                return outcome;
            }
        }
    }

    async fn abort_abandoned_in(
        &self,
        bucket: &Arc<Bucket>,
        age: Duration,
        aborted: &IntCounter,
    ) -> Result<(), GatewayError> {
        let abandoned = Abandoned {
            now_ms: self.store.world().clock.unix_ms(),
            age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
            own: self.ids.own(),
        };
        let mut after = None;
        loop {
            let (after_key, after_upload) = after.unzip();
            let query = ListQuery {
                bucket: bucket.id,
                prefix: "",
                delimiter: "",
                after: after_key.as_deref(),
                max_keys: PAGE,
            };
            let page = listing::list_uploads(&*self.index, query, after_upload, |_| true).await?;
            after = page
                .entries
                .last()
                .map(|last| (last.key.clone(), last.upload));
            for entry in page.entries {
                // Without its parts first: most uploads are young.
                if !abandoned.is(&entry.row, &[])
                    || !abandoned.is(&entry.row, &self.parts(entry.upload).await?)
                {
                    continue;
                }
                let (service, bucket) = (self.clone(), Arc::clone(bucket));
                let (key, upload) = (entry.key, entry.upload);
                let name = key.clone();
                let work = async move {
                    service
                        .commit_abort(&bucket, &key, upload, Why::Abandoned(abandoned))
                        .await
                };
                match self.to_the_end("abort abandoned upload", work).await {
                    Ok(true) => {
                        aborted.inc();
                        tracing::info!(%upload, key = name, "abandoned upload aborted");
                    }
                    Ok(false) | Err(GatewayError::NoSuchUpload { .. }) => {}
                    Err(error) => {
                        tracing::warn!(%upload, %error, "abandoned upload not aborted yet");
                    }
                }
            }
            if page.next.is_none() || after.is_none() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use holdfast_protocol::{
        Body, BucketId, ETag, Generation, Geometry, Manifest, ManifestKind, MapVersion, Metadata,
        Order, Placement, WriteId,
    };

    fn manifest(created_ms: u64) -> Manifest {
        let write = WriteId {
            gateway: GatewayId::new(1),
            gateway_epoch: 1,
            counter: 1,
        };
        Manifest {
            kind: ManifestKind::Upload,
            bucket: BucketId::new(1),
            key: "k".to_owned(),
            write,
            order: Order {
                generation: Generation::new(1),
                sequence: 1,
            },
            version: Order::ZERO,
            map_version: MapVersion::new(1),
            created_ms,
            len: 0,
            etag: ETag::default(),
            geometry: Geometry::new(2, 1).expect("2+1 is a geometry"),
            body: Body::Empty,
            checksum: None,
            metadata: Metadata::default(),
        }
    }

    fn is_abandoned(now_ms: u64, upload: u64, parts: &[u64]) -> bool {
        let row = UploadRow {
            manifest: manifest(upload),
            placement: Placement::default(),
            completed: None,
        };
        let part = |created_ms: &u64| PartRow {
            manifest: manifest(*created_ms),
            placement: Placement::default(),
            changed: None,
        };
        let parts: Vec<PartRow> = parts.iter().map(part).collect();
        Abandoned {
            now_ms,
            age_ms: 100,
            own: (GatewayId::new(1), 1),
        }
        .is(&row, &parts)
    }

    #[test]
    fn an_upload_is_as_old_as_the_newest_of_it() {
        assert!(is_abandoned(200, 100, &[]));
        assert!(!is_abandoned(199, 100, &[]));
        assert!(is_abandoned(300, 100, &[150, 200, 170]));
        assert!(!is_abandoned(299, 100, &[150, 200, 170]));
    }

    #[test]
    fn a_clock_that_went_back_makes_nothing_older() {
        assert!(!is_abandoned(50, 100, &[]));
        assert!(!is_abandoned(300, 100, &[1000]));
    }
}
