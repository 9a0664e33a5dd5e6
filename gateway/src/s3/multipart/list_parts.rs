//! ListParts.

use s3s::dto::{ListPartsInput, ListPartsOutput, Part, StorageClass};
use s3s::{S3Request, S3Response, S3Result};

use crate::object::types::{ListParts, PartInfo};
use crate::s3::Gateway;
use crate::s3::acl::Owners;
use crate::s3::listing::{invalid, page_len, shown};
use crate::s3::object::names;
use crate::s3::values::{
    aborts, checksum_algorithm, checksum_text, checksum_type, etag, initiator, owner, set_checksum,
    timestamp,
};

pub(crate) async fn list_parts(
    gateway: &Gateway,
    request: S3Request<ListPartsInput>,
) -> S3Result<S3Response<ListPartsOutput>> {
    let input = request.input;
    let (bucket, key) = names(&input.bucket, &input.key)?;
    let max = page_len("max-parts", input.max_parts)?;
    let marker: u32 = match input.part_number_marker.map(|marker| marker.to_string()) {
        None => 0,
        Some(text) => text
            .parse()
            .map_err(|_| invalid("part-number-marker", "it must be a number"))?,
    };
    let row = gateway.objects.bucket(&bucket).await?;
    let list = ListParts {
        bucket,
        key,
        upload: input.upload_id.clone(),
        after: marker,
        // With none asked for, the upload still has to exist.
        max: max.max(1),
    };
    let mut page = gateway.objects.list_parts(list).await?;
    if max == 0 {
        page.parts.clear();
        page.next = None;
    }
    let part = |part: PartInfo| {
        let mut shown = Part {
            e_tag: Some(etag(&part.etag)),
            last_modified: Some(timestamp(part.modified_ms)),
            part_number: Some(i32::from(part.number)),
            size: i64::try_from(part.len).ok(),
            ..Part::default()
        };
        if let Some(sum) = &part.checksum {
            set_checksum!(shown, sum.kind, checksum_text(sum, None));
        }
        shown
    };
    let owners = Owners::of(&gateway.rights, &row);
    let (abort_date, abort_rule_id) = aborts(page.aborts);
    Ok(S3Response::new(ListPartsOutput {
        abort_date,
        abort_rule_id,
        bucket: Some(input.bucket),
        checksum_algorithm: page.checksum.map(|(kind, _)| checksum_algorithm(kind)),
        checksum_type: page.checksum.map(|(_, covers)| checksum_type(covers)),
        initiator: Some(initiator(&owners.initiator(page.initiator.as_deref()))),
        is_truncated: Some(page.next.is_some()),
        key: Some(input.key),
        max_parts: shown(max),
        next_part_number_marker: page.next.and_then(|next| i32::try_from(next).ok()),
        owner: Some(owner(&owners.shown(page.owner.as_deref()))),
        part_number_marker: i32::try_from(marker).ok(),
        parts: Some(page.parts.into_iter().map(part).collect()),
        storage_class: Some(StorageClass::from(page.storage_class)),
        upload_id: Some(input.upload_id),
        ..ListPartsOutput::default()
    }))
}
