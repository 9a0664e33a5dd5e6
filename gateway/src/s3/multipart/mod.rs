//! Multipart uploads, one file per verb.
//!
//! Owns: their wire forms.
//! Leaves to others: what they do ([`crate::object::Objects`]).
//! Always: part numbers are 1 to 10,000; upload ids are opaque.

mod abort;
pub(super) mod complete;
mod copy_part;
mod create;
mod list_parts;
mod put_part;

pub(super) use abort::abort;
pub(super) use complete::complete;
pub(super) use copy_part::copy_part;
pub(super) use create::create;
pub(super) use list_parts::list_parts;
pub(super) use put_part::put_part;

use crate::error::GatewayError;

/// A part number of a write.
pub(super) fn part_number(given: i32) -> Result<u16, GatewayError> {
    match u16::try_from(given) {
        Ok(number @ 1..=10_000) => Ok(number),
        _ => Err(GatewayError::InvalidArgument {
            name: "partNumber",
            why: "Part number must be an integer between 1 and 10000, inclusive".to_owned(),
        }),
    }
}
