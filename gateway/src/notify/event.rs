//! Events, and their form.
//!
//! Owns: S3's names of events; an event as S3 writes it; its lasting form
//! (`docs/formats/event.md`).
//! Leaves to others: when something happens ([`crate::object`]), where it waits ([`super::queue`]).
//! Always: the sequencers of a key's events, compared as texts, are in the order of its changes.

use form_urlencoded::byte_serialize;
use holdfast_protocol::{Body, Manifest, Order};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::origin::Origin;
use crate::error::GatewayError;
use crate::logging::key::Time;

/// The version of the lasting form.
const VERSION: u64 = 1;
/// The end of the year 9999.
const MS_MAX: u64 = 253_402_300_799_999;
/// Who is told to have asked when no request did.
const SERVICE: &str = "s3.amazonaws.com";

macro_rules! kinds {
    ($($name:ident = $text:literal,)*) => {
        /// What happens to objects.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "each is S3's own name")]
        pub enum EventKind {
            $($name,)*
        }
        impl EventKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            /// S3's name in an event; in a configuration `s3:` stands before it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

kinds! {
    CreatedPut = "ObjectCreated:Put",
    CreatedPost = "ObjectCreated:Post",
    CreatedCopy = "ObjectCreated:Copy",
    CreatedComplete = "ObjectCreated:CompleteMultipartUpload",
    Removed = "ObjectRemoved:Delete",
    Marked = "ObjectRemoved:DeleteMarkerCreated",
    Expired = "LifecycleExpiration:Delete",
    ExpiredMarked = "LifecycleExpiration:DeleteMarkerCreated",
    TaggingPut = "ObjectTagging:Put",
    TaggingDelete = "ObjectTagging:Delete",
    AclPut = "ObjectAcl:Put",
}

/// Events that S3 has and nothing here makes.
const OTHERS: [&str; 18] = [
    "ReducedRedundancyLostObject",
    "ObjectRestore:*",
    "ObjectRestore:Post",
    "ObjectRestore:Completed",
    "ObjectRestore:Delete",
    "Replication:*",
    "Replication:OperationFailedReplication",
    "Replication:OperationNotTracked",
    "Replication:OperationMissedThreshold",
    "Replication:OperationReplicatedAfterThreshold",
    "LifecycleTransition",
    "IntelligentTiering",
    "ObjectAnnotation:*",
    "ObjectAnnotation:Put",
    "ObjectAnnotation:Delete",
    "ObjectEncryption:*",
    "ObjectEncryption:Put",
    "TestEvent",
];

/// What a name in a configuration stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// These.
    Kinds(Vec<EventKind>),
    /// What S3 has and nothing here makes.
    Other,
    /// Nothing.
    Unknown,
}

impl EventKind {
    /// What `s3:ObjectCreated:*` and the like stand for.
    pub fn named(text: &str) -> Named {
        let Some(name) = text.strip_prefix("s3:") else {
            return Named::Unknown;
        };
        if OTHERS.contains(&name) {
            return Named::Other;
        }
        let is = |kind: &&Self| match name.strip_suffix('*') {
            Some(family) => family.ends_with(':') && kind.name().starts_with(family),
            None => kind.name() == name,
        };
        let kinds: Vec<Self> = Self::ALL.iter().filter(is).copied().collect();
        match kinds.is_empty() {
            true => Named::Unknown,
            false => Named::Kinds(kinds),
        }
    }

    const fn format(self) -> &'static str {
        match self {
            Self::TaggingPut | Self::TaggingDelete | Self::AclPut => "2.3",
            _ => "2.1",
        }
    }

    /// Whether there is an object afterwards, to be described.
    const fn leaves_object(self) -> bool {
        !matches!(self, Self::Removed | Self::Expired)
    }
}

/// Something happened to an object.
#[derive(Clone, Copy, Debug)]
pub struct Happened<'a> {
    /// What.
    pub kind: EventKind,
    /// The version that was made, changed or removed.
    pub manifest: &'a Manifest,
    /// The version's id, where versions are kept.
    pub version: Option<&'a str>,
    /// The order of the change.
    pub order: Order,
    /// When (milliseconds since 1970), as a date.
    pub time: &'a str,
}

/// Where it happened, and why it is told.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The region.
    pub region: &'a str,
    /// The bucket.
    pub bucket: &'a str,
    /// Its owner.
    pub owner: &'a str,
    /// The id of the bucket's configuration that has it told.
    pub configuration: &'a str,
}

/// An event that waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    v: u64,
    /// Events of the same key must not overtake each other: bucket and key.
    pub key: String,
    /// The event as S3 writes it.
    pub record: Value,
}

impl Event {
    /// An event as S3 writes it.
    pub fn new(place: Place<'_>, happened: Happened<'_>, origin: Option<&Origin>) -> Self {
        let Happened {
            kind,
            manifest,
            version,
            order,
            time,
        } = happened;
        let key: String = byte_serialize(manifest.key.as_bytes()).collect();
        let mut object = json!({
            "key": key.replace("%2F", "/"),
            "sequencer": hex::encode_upper(order.to_key()),
        });
        if kind.leaves_object() {
            if manifest.body != Body::DeleteMarker {
                object["size"] = json!(manifest.len);
            }
            object["eTag"] = json!(manifest.etag.to_string());
        }
        if let Some(version) = version {
            object["versionId"] = json!(version);
        }
        let identity = origin.and_then(|origin| origin.by.identity());
        let principal = match (origin, identity) {
            (None, _) => SERVICE.to_owned(),
            (Some(_), None) => "Anonymous".to_owned(),
            (Some(_), Some(who)) => format!("AWS:{}", who.account),
        };
        let address = origin.map_or(SERVICE.to_owned(), |origin| {
            origin.peer.to_canonical().to_string()
        });
        let (request, host) = origin.map_or(("", ""), |origin| {
            (origin.request.as_str(), origin.host.as_str())
        });
        let record = json!({
            "eventVersion": kind.format(),
            "eventSource": "aws:s3",
            "awsRegion": place.region,
            "eventTime": time,
            "eventName": kind.name(),
            "userIdentity": {"principalId": principal},
            "requestParameters": {"sourceIPAddress": address},
            "responseElements": {"x-amz-request-id": request, "x-amz-id-2": host},
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": place.configuration,
                "bucket": {
                    "name": place.bucket,
                    "ownerIdentity": {"principalId": place.owner},
                    "arn": format!("arn:aws:s3:::{}", place.bucket),
                },
                "object": object,
            },
        });
        Self {
            v: VERSION,
            key: format!("{}/{}", place.bucket, manifest.key),
            record,
        }
    }

    /// The lasting form.
    ///
    /// # Errors
    /// `Internal` if it has none, which is never so.
    pub fn encode(&self) -> Result<Vec<u8>, GatewayError> {
        serde_json::to_vec(self).map_err(|error| unreadable(&error.to_string()))
    }

    /// Reads the lasting form.
    ///
    /// # Errors
    /// `Internal`.
    pub fn decode(value: &[u8]) -> Result<Self, GatewayError> {
        let event: Self =
            serde_json::from_slice(value).map_err(|error| unreadable(&error.to_string()))?;
        match event.v == VERSION {
            true => Ok(event),
            false => Err(unreadable("its version is not known")),
        }
    }
}

fn unreadable(why: &str) -> GatewayError {
    GatewayError::Internal {
        what: format!("an event cannot be read: {why}"),
    }
}

/// What a target is told when a bucket begins to tell it.
pub fn test_event(bucket: &str, time: &str, origin: Option<&Origin>) -> Value {
    let (request, host) = origin.map_or(("", ""), |origin| {
        (origin.request.as_str(), origin.host.as_str())
    });
    json!({
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": time,
        "Bucket": bucket,
        "RequestId": request,
        "HostId": host,
    })
}

/// A time (milliseconds since 1970) as S3 writes it in events; `None` behind the year 9999.
pub fn date_time(ms: u64) -> Option<String> {
    (ms <= MS_MAX).then(|| Time::of(ms).in_event(ms % 1000))
}

#[cfg(test)]
mod tests {
    //! Facts about names and forms of events.
    use super::*;

    #[test]
    fn names_of_configurations_stand_for_kinds() {
        for kind in EventKind::ALL {
            let named = EventKind::named(&format!("s3:{}", kind.name()));
            assert_eq!(named, Named::Kinds(vec![*kind]));
        }
        let count = |text: &str| match EventKind::named(text) {
            Named::Kinds(kinds) => kinds.len(),
            _ => 0,
        };
        assert_eq!(count("s3:ObjectCreated:*"), 4);
        assert_eq!(count("s3:ObjectRemoved:*"), 2);
        assert_eq!(count("s3:LifecycleExpiration:*"), 2);
        assert_eq!(count("s3:ObjectTagging:*"), 2);
        for text in [
            "",
            "s3:",
            "s3:*",
            "s3:Object*",
            "ObjectCreated:Put",
            "s3:ObjectCreated:Get",
        ] {
            assert_eq!(EventKind::named(text), Named::Unknown, "{text}");
        }
        for text in OTHERS {
            assert_eq!(EventKind::named(&format!("s3:{text}")), Named::Other);
        }
    }

    #[test]
    fn times_are_written_as_s3_writes_them() {
        for (ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_331_700_001, "2026-11-22T07:15:00.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(date_time(ms).as_deref(), Some(expected));
        }
        assert_eq!(date_time(253_402_300_800_000), None);
    }

    #[test]
    fn events_v1_golden_text_round_trips() {
        const GOLDEN: &str =
            r#"{"v":1,"key":"photos/a b","record":{"eventName":"ObjectRemoved:Delete"}}"#;
        let event = Event::decode(GOLDEN.as_bytes()).unwrap();
        assert_eq!(event.key, "photos/a b");
        assert_eq!(event.encode().unwrap(), GOLDEN.as_bytes());
        for bad in [
            "",
            "{}",
            r#"{"v":2,"key":"k","record":{}}"#,
            r#"{"v":1,"key":"k"}"#,
        ] {
            assert!(Event::decode(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
