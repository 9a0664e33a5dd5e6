//! Which operation a request asks for.
//!
//! Owns: the closed list of query parameters of each operation, in a file per family.
//! Leaves to others: reading their values (`s3`), permission (`auth`).
//! Always: a parameter that is not in the list of its operation is refused, so that no unknown
//! subresource falls through to the operation it modifies (`PUT /b/k?encryption` must not be
//! PutObject).

mod bucket;
mod object;
mod service;

use http::{HeaderMap, Method};

use super::{Query, Refusal, Target};
use crate::auth::Operation;

/// Parameters of any request: the signature's own and a hint of the SDKs.
const COMMON: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "x-id",
];

/// An operation and its parameters; of a subresource the first names it.
type Found = (Operation, &'static [&'static str]);

/// Finds the operation.
///
/// # Errors
/// `Unsupported` for anything that is not in the closed lists, `MethodNotAllowed`, `BadQuery`,
/// `NoCors`.
pub fn operation(
    method: &Method,
    target: &Target,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Operation, Refusal> {
    if *method == Method::OPTIONS {
        return Err(Refusal::NoCors);
    }
    let (operation, allowed) = match target {
        Target::Root => service::find(method)?,
        Target::Bucket(_) => bucket::find(method, query, headers)?,
        Target::Object(..) => object::find(method, query, headers)?,
    };
    for (name, _) in query.pairs() {
        let header = name
            .get(..6)
            .is_some_and(|head| head.eq_ignore_ascii_case("x-amz-"));
        if !header && !COMMON.contains(&name) && !allowed.contains(&name) {
            return Err(Refusal::Unsupported {
                what: format!("{method} with the parameter {name:?}"),
            });
        }
    }
    Ok(operation)
}

/// The first of `subresources` that the query names.
fn named(subresources: &[Found], query: &Query) -> Option<Found> {
    let is_named = |(_, parameters): &&Found| query.has(parameters[0]);
    subresources.iter().find(is_named).copied()
}
