//! What clients did and what they were told.
//!
//! Owns: the types of a history; they are its JSON form too.
//! Leaves to others: what they mean for a key ([`super::keys`]).

use serde::{Deserialize, Serialize};

/// Names a body and its ETag; two different bodies never share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ValueId(u64);

impl ValueId {
    /// The value with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// One operation of one client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Who did it; for the reader of a report only.
    pub client: u32,
    /// When the request was about to be sent, in nanoseconds of a clock that all clients share.
    pub call: u64,
    /// When the whole answer was there, or the client gave up.
    pub end: u64,
    /// What was asked.
    #[serde(flatten)]
    pub action: Action,
    /// What came back.
    #[serde(rename = "got")]
    pub outcome: Outcome,
}

/// What a client asked for. Keys are `bucket/key`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// PutObject.
    Put {
        /// Where.
        key: String,
        /// What.
        value: ValueId,
        /// When only.
        #[serde(rename = "if", default, skip_serializing_if = "Condition::is_always")]
        condition: Condition,
    },
    /// CompleteMultipartUpload, its repetitions included.
    Complete {
        /// Where.
        key: String,
        /// What the parts are together.
        value: ValueId,
        /// When only.
        #[serde(rename = "if", default, skip_serializing_if = "Condition::is_always")]
        condition: Condition,
    },
    /// GetObject, read to its end.
    Get {
        /// Of what.
        key: String,
    },
    /// HeadObject.
    Head {
        /// Of what.
        key: String,
    },
    /// DeleteObject. Without a condition it succeeds on an absent key too.
    Delete {
        /// Of what.
        key: String,
        /// When only; with `matches` it also succeeds on an absent key.
        #[serde(rename = "if", default, skip_serializing_if = "Condition::is_always")]
        condition: Condition,
    },
    /// CopyObject.
    Copy {
        /// What is read.
        from: String,
        /// What is written.
        key: String,
    },
    /// One page of a LIST.
    List {
        /// Covers the keys that begin with this,
        prefix: String,
        /// are greater than this,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
        /// and not greater than this (the last key of a page that was not the last).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        through: Option<String>,
    },
}

/// The condition of a write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// None.
    #[default]
    Always,
    /// `If-None-Match: *`.
    Absent,
    /// `If-Match: *`.
    Present,
    /// `If-Match:` the ETag of this value.
    Matches(ValueId),
}

impl Condition {
    fn is_always(&self) -> bool {
        *self == Self::Always
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A write or delete was acknowledged.
    Ok,
    /// A read gave this value; a copy copied it.
    Found(ValueId),
    /// What a LIST gave.
    Listed(Vec<Entry>),
    /// 404: the key (of a copy: its source) is absent.
    NotFound,
    /// 412: the condition did not hold.
    PreconditionFailed,
    /// 409: a conflict with another request; without effect.
    Conflict,
    /// Any other 4xx; without effect.
    Refused,
    /// 5xx: as `Unknown`, but never after a write of the key that was asked for later and was
    /// acknowledged.
    Failed,
    /// Timeout, lost connection (or 5xx, where it is not told apart): may take effect at any time
    /// from the call on, or never.
    Unknown,
}

/// One key of a LIST.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// `bucket/key`.
    pub key: String,
    /// What its ETag names, if that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<ValueId>,
}
