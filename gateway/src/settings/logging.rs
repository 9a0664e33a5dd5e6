//! Where the access log of a bucket goes.

use serde::{Deserialize, Serialize};

use crate::error::GatewayError;

const PREFIX_LEN_MAX: usize = 512;

/// Where it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logging {
    /// The bucket.
    pub bucket: String,
    /// What the names of log objects begin with.
    pub prefix: String,
    /// How they go on; simple if nothing was said.
    pub format: Option<KeyFormat>,
}

/// How the names of log objects go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyFormat {
    /// Date, time and something unique.
    Simple,
    /// Account, region, bucket and day as folders before that.
    Partitioned(PartitionDate),
}

/// Which day a partition is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is S3's own name")]
pub enum PartitionDate {
    EventTime,
    DeliveryTime,
}

impl Logging {
    /// Checks that log objects can have such names.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn new(
        bucket: String,
        prefix: String,
        format: Option<KeyFormat>,
    ) -> Result<Self, GatewayError> {
        match prefix.len() <= PREFIX_LEN_MAX {
            true => Ok(Self {
                bucket,
                prefix,
                format,
            }),
            false => Err(GatewayError::InvalidArgument {
                name: "TargetPrefix",
                why: format!("it has at most {PREFIX_LEN_MAX} bytes"),
            }),
        }
    }
}
