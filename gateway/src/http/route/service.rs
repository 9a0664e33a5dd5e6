//! Operations on the service.

use http::Method;

use super::Found;
use crate::auth::Operation;
use crate::http::Refusal;

const LIST_BUCKETS: [&str; 4] = [
    "bucket-region",
    "continuation-token",
    "max-buckets",
    "prefix",
];

pub(super) fn find(method: &Method) -> Result<Found, Refusal> {
    match *method {
        Method::GET => Ok((Operation::ListBuckets, &LIST_BUCKETS)),
        _ => Err(Refusal::MethodNotAllowed),
    }
}
