//! Who pays for requests.

use serde::{Deserialize, Serialize};

/// Who pays for requests and transfers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "payer", deny_unknown_fields)]
pub enum Payer {
    /// The bucket's owner: what is so when nothing is configured.
    BucketOwner,
    /// Who asks.
    Requester,
}
