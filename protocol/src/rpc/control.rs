//! What a node tells a gateway: registration and heartbeats.
//!
//! Owns: the messages, their byte forms (`HFCQ` asks, `HFCA` answers; `docs/formats/rpc.md`) and
//! bounds.
//! Leaves to others: transport (`seam`), deciding who may join and under which id (gateway),
//! formatting (`shard-node`).
//! Always: answers name drives by their place in the question, so that an unformatted one can be
//! named.

use bytes::Bytes;

use super::frame::HEADER_LEN_MAX;
use super::wire::{Message, TEXT_LEN_MAX, bounded, cut};
use crate::codec::{FormatError, Reader, Writer};
use crate::ids::{ClusterId, DriveId, NodeId};

/// First bytes of a question.
pub const CALL_MAGIC: [u8; 4] = *b"HFCQ";
/// First bytes of an answer.
pub const REPLY_MAGIC: [u8; 4] = *b"HFCA";
/// Newest version of both.
pub const VERSION: u8 = 1;
/// Most drives of one node.
pub const DRIVES_MAX: usize = 1024;
/// Longest listen address, in bytes.
pub const ADDRESS_LEN_MAX: usize = 300;

/// What a node says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlCall {
    /// Here I am. Answer: `Registered` or `Refused`.
    Register {
        /// The node.
        node: NodeId,
        /// Where it takes calls, `host:port`.
        listen: String,
        /// The cluster its drives belong to, if one of them says so.
        cluster: Option<ClusterId>,
        /// Its drives.
        drives: Vec<DriveReport>,
    },
    /// I am still here. Answer: `HeartbeatAck` or `Refused`.
    Heartbeat {
        /// The node.
        node: NodeId,
        /// Its formatted drives.
        drives: Vec<DriveHealth>,
    },
}

/// A data directory, as a node finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriveReport {
    /// The drive in it; `None` if it is not formatted.
    pub drive: Option<DriveId>,
    /// The data directory, for people.
    pub label: String,
    /// Bytes in use.
    pub used_bytes: u64,
    /// Bytes that new shards may take.
    pub free_bytes: u64,
    /// Why it cannot be served, if so.
    pub error: Option<String>,
}

/// How a drive does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriveHealth {
    /// The drive.
    pub drive: DriveId,
    /// Bytes in use.
    pub used_bytes: u64,
    /// Bytes that new shards may take.
    pub free_bytes: u64,
    /// Whether it takes new shards.
    pub writable: bool,
    /// Why it is out of service, if it is.
    pub trouble: Option<String>,
}

/// What a gateway answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlReply {
    /// The node belongs to the cluster.
    Registered {
        /// The cluster.
        cluster: ClusterId,
        /// One per reported drive, in their order.
        drives: Vec<Assignment>,
    },
    /// Noted.
    HeartbeatAck {
        /// The gateway does not know the node (any more): register again.
        register_again: bool,
    },
    /// Not taken.
    Refused {
        /// Why, for people.
        why: String,
    },
}

/// What becomes of a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// Serve the drive that is there.
    Keep,
    /// Format it as this drive.
    Format {
        /// The new id.
        drive: DriveId,
    },
    /// Do not serve it.
    Refuse {
        /// Why, for people.
        why: String,
    },
}

/// The byte form of `call`.
///
/// # Errors
/// `TooLong` if it exceeds a bound.
pub fn encode_control(call: &ControlCall) -> Result<Message, FormatError> {
    let mut out = Writer::format(CALL_MAGIC, VERSION, 256);
    match call {
        ControlCall::Register {
            node,
            listen,
            cluster,
            drives,
        } => {
            out.u8(1);
            node.encode(&mut out);
            bounded("listen address", listen.len(), ADDRESS_LEN_MAX)?;
            out.str(listen);
            option(*cluster, &mut out, |out, cluster| cluster.encode(out));
            count(drives.len(), &mut out)?;
            for drive in drives {
                option(drive.drive, &mut out, |out, drive| drive.encode(out));
                out.str(cut(&drive.label));
                out.u64(drive.used_bytes);
                out.u64(drive.free_bytes);
                text(drive.error.as_deref(), &mut out);
            }
        }
        ControlCall::Heartbeat { node, drives } => {
            out.u8(2);
            node.encode(&mut out);
            count(drives.len(), &mut out)?;
            for drive in drives {
                drive.drive.encode(&mut out);
                out.u64(drive.used_bytes);
                out.u64(drive.free_bytes);
                out.u8(u8::from(drive.writable));
                text(drive.trouble.as_deref(), &mut out);
            }
        }
    }
    Message::bare(out.finish())
}

/// The byte form of `reply`.
///
/// # Errors
/// `TooLong` if it exceeds a bound.
pub fn encode_control_reply(reply: &ControlReply) -> Result<Message, FormatError> {
    let mut out = Writer::format(REPLY_MAGIC, VERSION, 64);
    match reply {
        ControlReply::Registered { cluster, drives } => {
            out.u8(1);
            cluster.encode(&mut out);
            count(drives.len(), &mut out)?;
            for drive in drives {
                match drive {
                    Assignment::Keep => out.u8(1),
                    Assignment::Format { drive } => {
                        out.u8(2);
                        drive.encode(&mut out);
                    }
                    Assignment::Refuse { why } => {
                        out.u8(3);
                        out.str(cut(why));
                    }
                }
            }
        }
        ControlReply::HeartbeatAck { register_again } => {
            out.u8(2);
            out.u8(u8::from(*register_again));
        }
        ControlReply::Refused { why } => {
            out.u8(3);
            out.str(cut(why));
        }
    }
    Message::bare(out.finish())
}

/// Reads a question.
///
/// # Errors
/// A [`FormatError`] that names the first field that is wrong.
pub fn decode_control(header: &Bytes, payload: &Bytes) -> Result<ControlCall, FormatError> {
    let mut input = open(CALL_MAGIC, "control call", header, payload)?;
    let input = &mut input;
    let call = match input.u8()? {
        1 => ControlCall::Register {
            node: NodeId::decode(input)?,
            listen: input.str("listen address", ADDRESS_LEN_MAX)?.to_owned(),
            cluster: match input.bool("cluster")? {
                true => Some(ClusterId::decode(input)?),
                false => None,
            },
            drives: list(input, decode_report)?,
        },
        2 => ControlCall::Heartbeat {
            node: NodeId::decode(input)?,
            drives: list(input, decode_health)?,
        },
        _ => {
            return Err(FormatError::Invalid {
                what: "control call",
            });
        }
    };
    input.end()?;
    Ok(call)
}

/// Reads an answer.
///
/// # Errors
/// A [`FormatError`] that names the first field that is wrong.
pub fn decode_control_reply(header: &Bytes, payload: &Bytes) -> Result<ControlReply, FormatError> {
    let mut input = open(REPLY_MAGIC, "control reply", header, payload)?;
    let input = &mut input;
    let reply = match input.u8()? {
        1 => ControlReply::Registered {
            cluster: ClusterId::decode(input)?,
            drives: list(input, decode_assignment)?,
        },
        2 => ControlReply::HeartbeatAck {
            register_again: input.bool("register again")?,
        },
        3 => ControlReply::Refused {
            why: input.str("text", TEXT_LEN_MAX)?.to_owned(),
        },
        _ => {
            return Err(FormatError::Invalid {
                what: "control reply",
            });
        }
    };
    input.end()?;
    Ok(reply)
}

fn decode_report(input: &mut Reader<'_>) -> Result<DriveReport, FormatError> {
    Ok(DriveReport {
        drive: match input.bool("drive")? {
            true => Some(DriveId::decode(input)?),
            false => None,
        },
        label: input.str("label", TEXT_LEN_MAX)?.to_owned(),
        used_bytes: input.u64()?,
        free_bytes: input.u64()?,
        error: decode_text(input)?,
    })
}

fn decode_health(input: &mut Reader<'_>) -> Result<DriveHealth, FormatError> {
    Ok(DriveHealth {
        drive: DriveId::decode(input)?,
        used_bytes: input.u64()?,
        free_bytes: input.u64()?,
        writable: input.bool("writable")?,
        trouble: decode_text(input)?,
    })
}

fn decode_assignment(input: &mut Reader<'_>) -> Result<Assignment, FormatError> {
    match input.u8()? {
        1 => Ok(Assignment::Keep),
        2 => Ok(Assignment::Format {
            drive: DriveId::decode(input)?,
        }),
        3 => Ok(Assignment::Refuse {
            why: input.str("text", TEXT_LEN_MAX)?.to_owned(),
        }),
        _ => Err(FormatError::Invalid { what: "assignment" }),
    }
}

fn open<'a>(
    magic: [u8; 4],
    what: &'static str,
    header: &'a Bytes,
    payload: &Bytes,
) -> Result<Reader<'a>, FormatError> {
    bounded("message header", header.len(), HEADER_LEN_MAX)?;
    bounded("control payload", payload.len(), 0)?;
    Reader::format(header, magic, VERSION, what).map(|(_, input)| input)
}

fn list<T>(
    input: &mut Reader<'_>,
    read: impl Fn(&mut Reader<'_>) -> Result<T, FormatError>,
) -> Result<Vec<T>, FormatError> {
    let count = input.count("drives", DRIVES_MAX)?;
    (0..count).map(|_| read(input)).collect()
}

fn decode_text(input: &mut Reader<'_>) -> Result<Option<String>, FormatError> {
    Ok(match input.bool("text")? {
        true => Some(input.str("text", TEXT_LEN_MAX)?.to_owned()),
        false => None,
    })
}

fn count(len: usize, out: &mut Writer) -> Result<(), FormatError> {
    bounded("drives", len, DRIVES_MAX)?;
    out.u32(len as u32);
    Ok(())
}

fn option<T>(value: Option<T>, out: &mut Writer, write: impl FnOnce(&mut Writer, T)) {
    out.u8(u8::from(value.is_some()));
    if let Some(value) = value {
        write(out, value);
    }
}

fn text(value: Option<&str>, out: &mut Writer) {
    option(value, out, |out, value| out.str(cut(value)));
}
