//! The byte form of an answer.
//!
//! Owns: `HFNA`: a reply (tags 1…) or a refusal (tags 129…).
//! Leaves to others: what the caller makes of it.
//! Always: what decodes encodes to the same bytes.

use bytes::Bytes;

use super::{
    BAD_BLOCKS_MAX, DriveAnswer, ENTRIES_MAX, Input, Message, Parts, SPANS_MAX, bounded, cut,
};
use crate::codec::{FormatError, Reader, Writer};
use crate::ids::{ClaimantId, ClusterId, DriveId, Generation, IndexId, LogId, Order, WriteId};
use crate::record::RecordKind;
use crate::rpc::{
    DriveError, DriveReply, DriveStatus, HOLDER_LEN_MAX, InventoryEntry, LeaseView, LogPosition,
    Piece,
};

/// First bytes of an answer.
pub const ANSWER_MAGIC: [u8; 4] = *b"HFNA";
/// Tags from here on are refusals.
const REFUSALS: u8 = 128;

/// The byte form of `answer`.
///
/// # Errors
/// `TooLong` if a list or the payload exceeds its bound.
pub fn encode_answer(answer: &DriveAnswer) -> Result<Message, FormatError> {
    let mut parts = Parts::new(ANSWER_MAGIC, 64);
    match answer {
        Ok(reply) => encode_reply(reply, &mut parts)?,
        Err(error) => encode_error(error, &mut parts.out),
    }
    parts.finish()
}

fn encode_reply(reply: &DriveReply, parts: &mut Parts) -> Result<(), FormatError> {
    match reply {
        DriveReply::Done => parts.out.u8(1),
        DriveReply::Sealed { position } => {
            parts.out.u8(2);
            encode_position(*position, &mut parts.out);
        }
        DriveReply::Blocks { pieces } => {
            parts.out.u8(3);
            parts.count("pieces", pieces.len(), SPANS_MAX)?;
            for piece in pieces {
                parts.checksums(&piece.checksums)?;
                parts.beside(&piece.bytes)?;
            }
        }
        DriveReply::Record { record, shard } => {
            parts.out.u8(4);
            parts.record(record)?;
            parts.option(*shard, encode_shard);
        }
        DriveReply::Purged { position } => {
            parts.out.u8(5);
            encode_position(*position, &mut parts.out);
        }
        DriveReply::Inventory { entries, more } => {
            parts.out.u8(6);
            parts.out.u8(u8::from(*more));
            parts.count("entries", entries.len(), ENTRIES_MAX)?;
            entries.iter().for_each(|entry| encode_entry(entry, parts));
        }
        DriveReply::Claimed => parts.out.u8(7),
        DriveReply::Status(status) => {
            parts.out.u8(8);
            encode_status(status, parts);
        }
        DriveReply::Verified { bad, blocks } => {
            parts.out.u8(9);
            parts.out.u64(*blocks);
            parts.count("bad blocks", bad.len(), BAD_BLOCKS_MAX)?;
            for (stripe, block) in bad {
                parts.out.u32(*stripe);
                parts.out.u16(*block);
            }
        }
        DriveReply::Leased(lease) => {
            parts.out.u8(10);
            encode_lease(lease, parts)?;
        }
    }
    Ok(())
}

fn encode_lease(lease: &LeaseView, parts: &mut Parts) -> Result<(), FormatError> {
    bounded("holder", lease.holder.len(), HOLDER_LEN_MAX)?;
    parts.option(lease.granted, |out, claimant| claimant.encode(out));
    parts.option(lease.claimant, |out, claimant| claimant.encode(out));
    parts.out.str(&lease.holder);
    parts.out.u32(lease.left_ms);
    parts.out.u64(lease.renewals);
    Ok(())
}

fn encode_position(position: LogPosition, out: &mut Writer) {
    position.log.encode(out);
    out.u64(position.batch);
}

fn encode_shard(out: &mut Writer, (shard, digest): (u8, u64)) {
    out.u8(shard);
    out.u64(digest);
}

fn encode_entry(entry: &InventoryEntry, parts: &mut Parts) {
    entry.write.encode(&mut parts.out);
    entry.order.encode(&mut parts.out);
    parts.out.u8(entry.kind as u8);
    parts.option(entry.shard, encode_shard);
    parts.out.u8(u8::from(entry.damaged));
}

fn encode_status(status: &DriveStatus, parts: &mut Parts) {
    status.cluster.encode(&mut parts.out);
    status.drive.encode(&mut parts.out);
    status.generation.encode(&mut parts.out);
    parts.option(status.index, |out, index| index.encode(out));
    encode_position(status.end, &mut parts.out);
    parts.out.u8(u8::from(status.writable));
    parts.option(status.trouble.as_deref(), |out, why| out.str(cut(why)));
    let counts = [
        status.used_bytes,
        status.free_bytes,
        status.records,
        status.syncs,
    ];
    counts.iter().for_each(|count| parts.out.u64(*count));
    status.told.encode(&mut parts.out);
    parts.out.u8(u8::from(status.partial));
    parts.out.u64(status.found);
}

fn encode_error(error: &DriveError, out: &mut Writer) {
    let tag = match error {
        DriveError::NotFound => 1,
        DriveError::Damaged { .. } => 2,
        DriveError::Arrived { .. } => 3,
        DriveError::Full => 4,
        DriveError::OutOfService { .. } => 5,
        DriveError::OldGeneration { .. } => 6,
        DriveError::OtherIndex { .. } => 7,
        DriveError::Purged => 8,
        DriveError::NoSuchDrive => 9,
        DriveError::BadRequest { .. } => 10,
        DriveError::Busy => 11,
        DriveError::Io { .. } => 12,
        DriveError::TimedOut => 13,
        DriveError::Unreachable { .. } => 14,
    };
    out.u8(REFUSALS + tag);
    match error {
        DriveError::Damaged { what: text }
        | DriveError::Arrived { what: text }
        | DriveError::OutOfService { why: text }
        | DriveError::BadRequest { what: text }
        | DriveError::Io { what: text }
        | DriveError::Unreachable { why: text } => out.str(cut(text)),
        DriveError::OldGeneration { current } => current.encode(out),
        DriveError::OtherIndex { current } => current.encode(out),
        DriveError::NotFound
        | DriveError::Full
        | DriveError::Purged
        | DriveError::NoSuchDrive
        | DriveError::Busy
        | DriveError::TimedOut => {}
    }
}

/// Reads an answer; its pieces and body are slices of `payload`, its record head one of `header`.
///
/// # Errors
/// A [`FormatError`] that names the first field that is wrong.
pub fn decode_answer(header: &Bytes, payload: &Bytes) -> Result<DriveAnswer, FormatError> {
    let mut input = Input::open(ANSWER_MAGIC, "drive answer", header, payload)?;
    let tag = input.fields.u8()?;
    let answer = match tag.checked_sub(REFUSALS) {
        None => Ok(decode_reply(tag, &mut input)?),
        Some(tag) => Err(decode_error(tag, &mut input)?),
    };
    input.end()?;
    Ok(answer)
}

fn decode_reply(tag: u8, input: &mut Input<'_>) -> Result<DriveReply, FormatError> {
    Ok(match tag {
        1 => DriveReply::Done,
        2 => DriveReply::Sealed {
            position: decode_position(&mut input.fields)?,
        },
        3 => decode_blocks(input)?,
        4 => DriveReply::Record {
            record: input.record()?,
            shard: input.option("sealed shard", decode_shard)?,
        },
        5 => DriveReply::Purged {
            position: decode_position(&mut input.fields)?,
        },
        6 => DriveReply::Inventory {
            more: input.fields.bool("more")?,
            entries: input.list("entries", ENTRIES_MAX, decode_entry)?,
        },
        7 => DriveReply::Claimed,
        8 => DriveReply::Status(decode_status(input)?),
        9 => DriveReply::Verified {
            blocks: input.fields.u64()?,
            bad: input.list("bad blocks", BAD_BLOCKS_MAX, |fields| {
                Ok((fields.u32()?, fields.u16()?))
            })?,
        },
        10 => DriveReply::Leased(decode_lease(input)?),
        _ => {
            return Err(FormatError::Invalid {
                what: "drive reply",
            });
        }
    })
}

fn decode_blocks(input: &mut Input<'_>) -> Result<DriveReply, FormatError> {
    let count = input.fields.count("pieces", SPANS_MAX)?;
    let pieces = (0..count)
        .map(|_| {
            let checksums = input.checksums()?;
            let bytes = input.beside()?;
            Ok(Piece { bytes, checksums })
        })
        .collect::<Result<_, FormatError>>()?;
    Ok(DriveReply::Blocks { pieces })
}

fn decode_position(fields: &mut Reader<'_>) -> Result<LogPosition, FormatError> {
    Ok(LogPosition {
        log: LogId::decode(fields)?,
        batch: fields.u64()?,
    })
}

fn decode_shard(fields: &mut Reader<'_>) -> Result<(u8, u64), FormatError> {
    Ok((fields.u8()?, fields.u64()?))
}

fn decode_entry(fields: &mut Reader<'_>) -> Result<InventoryEntry, FormatError> {
    Ok(InventoryEntry {
        write: WriteId::decode(fields)?,
        order: Order::decode(fields)?,
        kind: RecordKind::from_u8(fields.u8()?)?,
        shard: match fields.bool("sealed shard")? {
            true => Some(decode_shard(fields)?),
            false => None,
        },
        damaged: fields.bool("damaged")?,
    })
}

fn decode_status(input: &mut Input<'_>) -> Result<DriveStatus, FormatError> {
    let fields = &mut input.fields;
    Ok(DriveStatus {
        cluster: ClusterId::decode(fields)?,
        drive: DriveId::decode(fields)?,
        generation: Generation::decode(fields)?,
        index: input.option("index", IndexId::decode)?,
        end: decode_position(&mut input.fields)?,
        writable: input.fields.bool("writable")?,
        trouble: match input.fields.bool("trouble")? {
            true => Some(input.text()?),
            false => None,
        },
        used_bytes: input.fields.u64()?,
        free_bytes: input.fields.u64()?,
        records: input.fields.u64()?,
        syncs: input.fields.u64()?,
        told: Order::decode(&mut input.fields)?,
        partial: input.fields.bool("partial")?,
        found: input.fields.u64()?,
    })
}

fn decode_lease(input: &mut Input<'_>) -> Result<LeaseView, FormatError> {
    Ok(LeaseView {
        granted: input.option("granted", ClaimantId::decode)?,
        claimant: input.option("claimant", ClaimantId::decode)?,
        holder: input.fields.str("holder", HOLDER_LEN_MAX)?.to_owned(),
        left_ms: input.fields.u32()?,
        renewals: input.fields.u64()?,
    })
}

fn decode_error(tag: u8, input: &mut Input<'_>) -> Result<DriveError, FormatError> {
    bounded("payload of a refusal", input.payload.len(), 0)?;
    Ok(match tag {
        1 => DriveError::NotFound,
        2 => DriveError::Damaged {
            what: input.text()?,
        },
        3 => DriveError::Arrived {
            what: input.text()?,
        },
        4 => DriveError::Full,
        5 => DriveError::OutOfService { why: input.text()? },
        6 => DriveError::OldGeneration {
            current: Generation::decode(&mut input.fields)?,
        },
        7 => DriveError::OtherIndex {
            current: IndexId::decode(&mut input.fields)?,
        },
        8 => DriveError::Purged,
        9 => DriveError::NoSuchDrive,
        10 => DriveError::BadRequest {
            what: input.text()?,
        },
        11 => DriveError::Busy,
        12 => DriveError::Io {
            what: input.text()?,
        },
        13 => DriveError::TimedOut,
        14 => DriveError::Unreachable { why: input.text()? },
        _ => {
            return Err(FormatError::Invalid {
                what: "drive error",
            });
        }
    })
}
