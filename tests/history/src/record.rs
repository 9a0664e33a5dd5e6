//! One operation as a line of a history.
//!
//! Owns: the line's form, as the module `history` of the checker's crate documents it.
//! Always: times are nanoseconds since the recorder began, of a monotonic clock.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value as Json, json};

/// An id that no body has: what was read is nothing that was written.
pub const NOBODYS: u64 = u64::MAX;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A write was acknowledged.
    Ok,
    /// A value was found (or copied).
    Found(u64),
    /// Keys and the values their ETags name.
    Listed(Vec<(String, u64)>),
    /// 404.
    NotFound,
    /// 412.
    PreconditionFailed,
    /// 409.
    Conflict,
    /// Another 4xx.
    Refused,
    /// 5xx, timeout, lost connection.
    Unknown,
    /// The request was never sent; there is nothing to record.
    NotSent,
}

impl Outcome {
    fn name(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Found(_) => "found",
            Self::Listed(_) => "listed",
            Self::NotFound => "not-found",
            Self::PreconditionFailed => "precondition-failed",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Unknown | Self::NotSent => "unknown",
        }
    }

    fn json(&self) -> Json {
        match self {
            Self::Ok => json!("ok"),
            Self::Found(value) => json!({ "found": value }),
            Self::Listed(entries) => {
                let entry = |(key, value): &(String, u64)| json!({ "key": key, "value": value });
                json!({ "listed": entries.iter().map(entry).collect::<Vec<_>>() })
            }
            Self::NotFound => json!("not_found"),
            Self::PreconditionFailed => json!("precondition_failed"),
            Self::Conflict => json!("conflict"),
            Self::Refused => json!("refused"),
            Self::Unknown | Self::NotSent => json!("unknown"),
        }
    }
}

/// The condition of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// None.
    Always,
    /// `If-None-Match: *`.
    Absent,
    /// `If-Match` with the ETag of a value.
    Matches {
        /// The ETag, with its quotes.
        etag: String,
        /// What it names.
        value: u64,
    },
}

impl Condition {
    /// `action` with this condition.
    pub fn added_to(&self, mut action: Json) -> Json {
        match self {
            Self::Always => {}
            Self::Absent => action["if"] = json!("absent"),
            Self::Matches { value, .. } => action["if"] = json!({ "matches": value }),
        }
        action
    }
}

/// The operations of one client.
#[derive(Debug)]
pub struct Recorder {
    client: u32,
    begun: Instant,
    /// Finished lines.
    pub lines: Vec<u8>,
    /// How many operations have a known outcome.
    pub known: u64,
    /// How many do not.
    pub unknown: u64,
    /// How often each action had each outcome.
    pub counts: BTreeMap<String, u64>,
}

impl Recorder {
    /// Times count from `begun`, which all clients share.
    pub fn new(client: u32, begun: Instant) -> Self {
        Self {
            client,
            begun,
            lines: Vec::new(),
            known: 0,
            unknown: 0,
            counts: BTreeMap::new(),
        }
    }

    /// The time now, in nanoseconds.
    pub fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).expect("a recording is shorter than 584 y")
    }

    /// Writes one operation that ends now.
    pub fn record(&mut self, call: u64, action: Json, outcome: &Outcome) {
        match outcome {
            Outcome::NotSent => return,
            Outcome::Unknown => self.unknown += 1,
            _ => self.known += 1,
        }
        let name = action["do"].as_str().unwrap_or_default();
        let count = format!("{name} {}", outcome.name());
        *self.counts.entry(count).or_default() += 1;
        let mut line = action;
        line["client"] = json!(self.client);
        line["call"] = json!(call);
        line["end"] = json!(self.now());
        line["got"] = outcome.json();
        self.lines.extend(line.to_string().into_bytes());
        self.lines.push(b'\n');
    }
}
