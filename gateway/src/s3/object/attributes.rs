//! GetObjectAttributes. The library takes a list of attributes for one name: headers are read here.

use std::collections::BTreeSet;

use http::HeaderMap;
use s3s::dto::{
    Checksum, GetObjectAttributesInput, GetObjectAttributesOutput, GetObjectAttributesParts,
    ObjectAttributes as Attribute, ObjectPart, StorageClass,
};
use s3s::{S3Request, S3Response, S3Result};

use super::{names, version};
use crate::error::GatewayError;
use crate::object::storage_class;
use crate::object::types::{AskedParts, ObjectInfo, ObjectParts, PartInfo};
use crate::s3::answer::BareETag;
use crate::s3::listing::{invalid, page_len, shown};
use crate::s3::prepare::Prepared;
use crate::s3::values::{checksum_text, checksum_type, etag, set_checksum, timestamp};
use crate::s3::{Gateway, headers};

const NAMES: &str = "x-amz-object-attributes";
const MAX_PARTS: &str = "x-amz-max-parts";
const MARKER: &str = "x-amz-part-number-marker";

/// What a request may ask for.
const ATTRIBUTES: [&str; 5] = [
    Attribute::ETAG,
    Attribute::CHECKSUM,
    Attribute::OBJECT_PARTS,
    Attribute::STORAGE_CLASS,
    Attribute::OBJECT_SIZE,
];

pub(crate) async fn attributes(
    gateway: &Gateway,
    request: S3Request<GetObjectAttributesInput>,
) -> S3Result<S3Response<GetObjectAttributesOutput>> {
    let prepared = Prepared::of(&request)?;
    let input = request.input;
    let (bucket, key) = names(&input.bucket, &input.key)?;
    let version = version(input.version_id.as_deref())?;
    let names = asked(&prepared.headers)?;
    let has = |name| names.contains(name);
    let max = page_len(MAX_PARTS, number(&prepared.headers, MAX_PARTS)?)?;
    let after = match number(&prepared.headers, MARKER)? {
        None => 0,
        Some(marker) => {
            u32::try_from(marker).map_err(|_| invalid(MARKER, "it must not be negative"))?
        }
    };
    let asked = has(Attribute::OBJECT_PARTS).then_some(AskedParts { after, max });
    let found = gateway.objects.attributes(&bucket, &key, version, asked);
    let found = found.await?;
    let info = &found.info;
    let output = GetObjectAttributesOutput {
        checksum: checksum(info).filter(|_| has(Attribute::CHECKSUM)),
        e_tag: has(Attribute::ETAG).then(|| etag(&info.etag)),
        last_modified: Some(timestamp(info.modified_ms)),
        object_parts: found.parts.map(|parts| page(parts, after, max)),
        object_size: has(Attribute::OBJECT_SIZE).then_some(info.len.cast_signed()),
        storage_class: has(Attribute::STORAGE_CLASS)
            .then(|| StorageClass::from(storage_class(&info.metadata))),
        version_id: info.version.map(|version| version.to_string()),
        ..GetObjectAttributesOutput::default()
    };
    let mut response = S3Response::new(output);
    response.extensions.insert(BareETag);
    Ok(response)
}

/// The attributes that a request names, in one header or several.
fn asked(headers: &HeaderMap) -> Result<BTreeSet<&'static str>, GatewayError> {
    let lists = headers.get_all(NAMES).iter();
    let mut asked = BTreeSet::new();
    for list in lists {
        let list = list.to_str().unwrap_or_default();
        for name in list
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            let known = ATTRIBUTES.into_iter().find(|known| *known == name);
            let known = known.ok_or_else(|| invalid(NAMES, "Invalid attribute name specified."));
            asked.insert(known?);
        }
    }
    match asked.is_empty() {
        true => Err(invalid(NAMES, "it must name at least one attribute")),
        false => Ok(asked),
    }
}

fn number(headers: &HeaderMap, name: &'static str) -> Result<Option<i32>, GatewayError> {
    let text = headers::get(headers, name);
    text.map(|text| text.trim().parse())
        .transpose()
        .map_err(|_| invalid(name, "it must be a number"))
}

fn checksum(info: &ObjectInfo) -> Option<Checksum> {
    let sum = info.checksum.as_ref()?;
    let mut shown = Checksum {
        checksum_type: Some(checksum_type(sum.covers)),
        ..Checksum::default()
    };
    set_checksum!(shown, sum.kind, checksum_text(sum, info.part_count));
    Some(shown)
}

fn page(parts: ObjectParts, after: u32, max: usize) -> GetObjectAttributesParts {
    let part = |part: PartInfo| {
        let mut shown = ObjectPart {
            part_number: Some(i32::from(part.number)),
            size: Some(part.len.cast_signed()),
            ..ObjectPart::default()
        };
        if let Some(sum) = &part.checksum {
            set_checksum!(shown, sum.kind, checksum_text(sum, None));
        }
        shown
    };
    GetObjectAttributesParts {
        is_truncated: Some(parts.next.is_some()),
        max_parts: shown(max),
        next_part_number_marker: parts.next.and_then(|next| next.try_into().ok()),
        part_number_marker: after.try_into().ok(),
        total_parts_count: parts.count.try_into().ok(),
        parts: Some(parts.parts.into_iter().map(part).collect()),
    }
}
