//! The byte form of a call.
//!
//! Owns: `HFNQ`.
//! Leaves to others: what a drive does with it.
//! Always: what decodes encodes to the same bytes.

use bytes::Bytes;

use super::{Input, Message, Parts, SPANS_MAX, WRITES_MAX, bounded};
use crate::codec::{FormatError, Reader};
use crate::ids::{
    ClaimantId, DriveId, Generation, IndexId, LogId, MapVersion, MovedWrite, Order, WriteId,
};
use crate::record::RecordKind;
use crate::rpc::{BlockSpan, Cell, DriveCall, DriveRequest, HOLDER_LEN_MAX, SealShard};

/// First bytes of a call.
pub const CALL_MAGIC: [u8; 4] = *b"HFNQ";

/// The byte form of `call`.
///
/// # Errors
/// `TooLong` if a list or the payload exceeds its bound.
pub fn encode_call(call: &DriveCall) -> Result<Message, FormatError> {
    let mut parts = Parts::new(CALL_MAGIC, 192);
    let out = &mut parts.out;
    call.drive.encode(out);
    call.index.encode(out);
    call.generation.encode(out);
    call.map_version.encode(out);
    out.u32(call.deadline_ms);
    encode_request(&call.request, &mut parts)?;
    parts.finish()
}

fn tag(request: &DriveRequest) -> u8 {
    match request {
        DriveRequest::Stage { .. } => 1,
        DriveRequest::Seal { .. } => 2,
        DriveRequest::Discard { .. } => 3,
        DriveRequest::Read { .. } => 4,
        DriveRequest::ReadRecord { .. } => 5,
        DriveRequest::Purge { .. } => 6,
        DriveRequest::Inventory { .. } => 7,
        DriveRequest::Claim { .. } => 8,
        DriveRequest::Status => 9,
        DriveRequest::Verify { .. } => 10,
        DriveRequest::Lease { .. } => 11,
        DriveRequest::LeaseState => 12,
        DriveRequest::Leave { .. } => 13,
        DriveRequest::Compared { .. } => 14,
    }
}

fn encode_request(request: &DriveRequest, parts: &mut Parts) -> Result<(), FormatError> {
    parts.out.u8(tag(request));
    match request {
        DriveRequest::Stage {
            write,
            shard,
            len_hint,
            admitted,
            cell,
        } => {
            encode_shard(*write, *shard, parts);
            parts.option(*len_hint, |out, len| out.u64(len));
            admitted.encode(&mut parts.out);
            encode_cell(cell, parts)?;
        }
        DriveRequest::Seal {
            admitted,
            record,
            shard,
        } => {
            admitted.encode(&mut parts.out);
            parts.record(record)?;
            parts.out.u8(u8::from(shard.is_some()));
            shard
                .iter()
                .try_for_each(|shard| encode_seal(shard, parts))?;
        }
        DriveRequest::Discard { write } => write.encode(&mut parts.out),
        DriveRequest::Read {
            write,
            shard,
            spans,
        } => {
            encode_shard(*write, *shard, parts);
            encode_spans(spans, parts)?;
        }
        DriveRequest::ReadRecord { write, with_body } => {
            write.encode(&mut parts.out);
            parts.out.u8(u8::from(*with_body));
        }
        DriveRequest::Purge { order, writes } => encode_purge(*order, writes, parts)?,
        DriveRequest::Leave { moved } => encode_moved(moved, parts)?,
        DriveRequest::Inventory {
            after,
            min_order,
            kind,
            limit,
        } => encode_inventory(*after, *min_order, *kind, *limit, parts),
        DriveRequest::Claim {
            generation,
            claimant,
            takeover,
        } => {
            generation.encode(&mut parts.out);
            claimant.encode(&mut parts.out);
            parts.out.u8(u8::from(*takeover));
        }
        DriveRequest::Lease {
            claimant,
            len_ms,
            holder,
        } => {
            encode_lease(*claimant, *len_ms, holder, parts)?;
        }
        DriveRequest::Compared { log } => log.encode(&mut parts.out),
        DriveRequest::Status | DriveRequest::LeaseState => {}
        DriveRequest::Verify { write, shard } => encode_shard(*write, *shard, parts),
    }
    Ok(())
}

fn encode_writes(writes: &[WriteId], parts: &mut Parts) -> Result<(), FormatError> {
    parts.count("writes", writes.len(), WRITES_MAX)?;
    writes.iter().for_each(|write| write.encode(&mut parts.out));
    Ok(())
}

fn encode_purge(order: Order, writes: &[WriteId], parts: &mut Parts) -> Result<(), FormatError> {
    order.encode(&mut parts.out);
    encode_writes(writes, parts)
}

fn encode_moved(moved: &[MovedWrite], parts: &mut Parts) -> Result<(), FormatError> {
    parts.count("writes", moved.len(), WRITES_MAX)?;
    moved.iter().for_each(|moved| moved.encode(&mut parts.out));
    Ok(())
}

fn encode_inventory(
    after: Option<WriteId>,
    min_order: Order,
    kind: Option<RecordKind>,
    limit: u32,
    parts: &mut Parts,
) {
    parts.option(after, |out, write| write.encode(out));
    min_order.encode(&mut parts.out);
    parts.out.u8(kind.map_or(0, |kind| kind as u8));
    parts.out.u32(limit);
}

fn encode_lease(
    claimant: ClaimantId,
    len_ms: u32,
    holder: &str,
    parts: &mut Parts,
) -> Result<(), FormatError> {
    bounded("holder", holder.len(), HOLDER_LEN_MAX)?;
    claimant.encode(&mut parts.out);
    parts.out.u32(len_ms);
    parts.out.str(holder);
    Ok(())
}

fn encode_shard(write: WriteId, shard: u8, parts: &mut Parts) {
    write.encode(&mut parts.out);
    parts.out.u8(shard);
}

fn encode_spans(spans: &[BlockSpan], parts: &mut Parts) -> Result<(), FormatError> {
    parts.count("spans", spans.len(), SPANS_MAX)?;
    for span in spans {
        parts.out.u32(span.stripe);
        parts.out.u16(span.first_block);
        parts.out.u16(span.block_count);
    }
    Ok(())
}

fn encode_cell(cell: &Cell, parts: &mut Parts) -> Result<(), FormatError> {
    parts.out.u32(cell.stripe);
    parts.checksums(&cell.checksums)?;
    parts.beside(&cell.bytes)
}

fn encode_seal(shard: &SealShard, parts: &mut Parts) -> Result<(), FormatError> {
    parts.out.u8(shard.shard);
    parts.out.u64(shard.len);
    parts.out.u32(shard.stripe_count);
    parts.out.u64(shard.digest);
    parts.out.u8(u8::from(shard.last.is_some()));
    shard
        .last
        .iter()
        .try_for_each(|cell| encode_cell(cell, parts))
}

/// Reads a call; its cells and bodies are slices of `payload`, its record head one of `header`.
///
/// # Errors
/// A [`FormatError`] that names the first field that is wrong.
pub fn decode_call(header: &Bytes, payload: &Bytes) -> Result<DriveCall, FormatError> {
    let mut input = Input::open(CALL_MAGIC, "drive call", header, payload)?;
    let fields = &mut input.fields;
    let call = DriveCall {
        drive: DriveId::decode(fields)?,
        index: IndexId::decode(fields)?,
        generation: Generation::decode(fields)?,
        map_version: MapVersion::decode(fields)?,
        deadline_ms: fields.u32()?,
        request: decode_request(&mut input)?,
    };
    input.end()?;
    Ok(call)
}

fn decode_request(input: &mut Input<'_>) -> Result<DriveRequest, FormatError> {
    let fields = &mut input.fields;
    Ok(match fields.u8()? {
        1 => DriveRequest::Stage {
            write: WriteId::decode(fields)?,
            shard: fields.u8()?,
            len_hint: input.option("length hint", Reader::u64)?,
            admitted: Order::decode(&mut input.fields)?,
            cell: decode_cell(input)?,
        },
        2 => DriveRequest::Seal {
            admitted: Order::decode(fields)?,
            record: input.record()?,
            shard: match input.fields.bool("sealed shard")? {
                true => Some(decode_seal(input)?),
                false => None,
            },
        },
        3 => DriveRequest::Discard {
            write: WriteId::decode(fields)?,
        },
        4 => DriveRequest::Read {
            write: WriteId::decode(fields)?,
            shard: fields.u8()?,
            spans: input.list("spans", SPANS_MAX, decode_span)?,
        },
        5 => DriveRequest::ReadRecord {
            write: WriteId::decode(fields)?,
            with_body: fields.bool("with body")?,
        },
        6 => DriveRequest::Purge {
            order: Order::decode(fields)?,
            writes: input.list("writes", WRITES_MAX, WriteId::decode)?,
        },
        7 => DriveRequest::Inventory {
            after: input.option("after", WriteId::decode)?,
            min_order: Order::decode(&mut input.fields)?,
            kind: decode_kind(&mut input.fields)?,
            limit: input.fields.u32()?,
        },
        8 => DriveRequest::Claim {
            generation: Generation::decode(fields)?,
            claimant: ClaimantId::decode(fields)?,
            takeover: fields.bool("takeover")?,
        },
        9 => DriveRequest::Status,
        10 => DriveRequest::Verify {
            write: WriteId::decode(fields)?,
            shard: fields.u8()?,
        },
        11 => DriveRequest::Lease {
            claimant: ClaimantId::decode(fields)?,
            len_ms: fields.u32()?,
            holder: fields.str("holder", HOLDER_LEN_MAX)?.to_owned(),
        },
        12 => DriveRequest::LeaseState,
        13 => DriveRequest::Leave {
            moved: input.list("writes", WRITES_MAX, MovedWrite::decode)?,
        },
        14 => DriveRequest::Compared {
            log: LogId::decode(fields)?,
        },
        _ => {
            return Err(FormatError::Invalid {
                what: "drive request",
            });
        }
    })
}

fn decode_kind(fields: &mut Reader<'_>) -> Result<Option<RecordKind>, FormatError> {
    match fields.u8()? {
        0 => Ok(None),
        tag => RecordKind::from_u8(tag).map(Some),
    }
}

fn decode_span(fields: &mut Reader<'_>) -> Result<BlockSpan, FormatError> {
    Ok(BlockSpan {
        stripe: fields.u32()?,
        first_block: fields.u16()?,
        block_count: fields.u16()?,
    })
}

fn decode_cell(input: &mut Input<'_>) -> Result<Cell, FormatError> {
    Ok(Cell {
        stripe: input.fields.u32()?,
        checksums: input.checksums()?,
        bytes: input.beside()?,
    })
}

fn decode_seal(input: &mut Input<'_>) -> Result<SealShard, FormatError> {
    let fields = &mut input.fields;
    Ok(SealShard {
        shard: fields.u8()?,
        len: fields.u64()?,
        stripe_count: fields.u32()?,
        digest: fields.u64()?,
        last: match fields.bool("last cell")? {
            true => Some(decode_cell(input)?),
            false => None,
        },
    })
}
