//! GetObjectAttributes.
//!
//! Owns: the parts of an object, a page at a time.
//! Leaves to others: the object's description ([`super::get`]), which attributes are shown (`s3`).
//! Always: all that is told is of one version; parts are numbered as GetObject takes them.

use holdfast_index::rows;
use holdfast_protocol::{Body, PartRef, WriteId};

use super::get::ATTEMPTS_MAX;
use super::part::part_info;
use super::service::Service;
use super::types::{AskedParts, ObjectAttributes, ObjectParts, PartInfo};
use super::version::VersionId;
use crate::error::GatewayError;
use crate::names::{BucketName, ObjectKey};

impl Service {
    pub(super) async fn object_attributes(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: Option<VersionId>,
        asked: Option<AskedParts>,
    ) -> Result<ObjectAttributes, GatewayError> {
        let bucket = self.live_bucket(bucket).await?;
        for _ in 0..=ATTEMPTS_MAX {
            let row = self.existing(&bucket, key, version).await?;
            let info = self.describe(&bucket, &row, None).await?;
            let (Some(asked), Body::Parts { upload, parts }) = (asked, &row.manifest.body) else {
                return Ok(ObjectAttributes { info, parts: None });
            };
            if let Some(page) = self.page_of_parts(*upload, parts, asked).await? {
                let parts = Some(page);
                return Ok(ObjectAttributes { info, parts });
            }
        }
        Err(GatewayError::Busy {
            why: "the object changes too fast",
        })
    }

    /// `None` if the object was replaced meanwhile.
    async fn page_of_parts(
        &self,
        upload: WriteId,
        parts: &[PartRef],
        asked: AskedParts,
    ) -> Result<Option<ObjectParts>, GatewayError> {
        let start = (asked.after as usize).min(parts.len());
        let end = start.saturating_add(asked.max).min(parts.len());
        let mut page = Vec::with_capacity(end - start);
        for (number, part) in (start + 1..).zip(&parts[start..end]) {
            let row = rows::get_part(&*self.index, upload, part.number).await?;
            let Some(row) = row.filter(|row| row.manifest.write == part.write) else {
                return Ok(None);
            };
            page.push(PartInfo {
                number: number as u16,
                ..part_info(&row)
            });
        }
        Ok(Some(ObjectParts {
            count: parts.len() as u32,
            parts: page,
            next: (end < parts.len()).then_some(end as u32),
        }))
    }
}
