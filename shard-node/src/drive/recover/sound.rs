//! Whether what the log says can be read back.
//!
//! Owns: holding entries against their checksums, records and blocks.
//! Leaves to others: what follows from that ([`super`]).

use holdfast_protocol::EncodedRecord;
use holdfast_protocol::checksum::crc64;
use holdfast_protocol::drive::{Entry, EntryHead, SealEntry};

use super::super::blocks::bad_blocks;
use super::super::stage::places;
use super::Replay;

impl Replay<'_> {
    /// Whether what follows an entry's fields is what it should be; `bytes` has the entry at `at`.
    pub(super) fn entry_is_sound(&self, bytes: &[u8], at: usize, head: &EntryHead) -> bool {
        let Entry::Seal(seal) = &head.entry else {
            return true;
        };
        self.payload(bytes, at, head, seal)
            .is_some_and(|payload| self.payload_is_sound(seal, &payload))
    }

    /// Block checksums, record head and body.
    fn payload(
        &self,
        bytes: &[u8],
        at: usize,
        head: &EntryHead,
        seal: &SealEntry,
    ) -> Option<Vec<u8>> {
        let start = at + head.fields_len as usize;
        if seal.spill.is_empty() {
            return Some(bytes.get(start..start + head.tail_len as usize)?.to_vec());
        }
        let mut payload = Vec::with_capacity(seal.payload_len());
        for (address, len) in places(&seal.spill, 0, seal.payload_len() as u64) {
            let mut part = vec![0; len as usize];
            self.files.read(address, &mut part).ok()?;
            payload.append(&mut part);
        }
        Some(payload)
    }

    fn payload_is_sound(&self, seal: &SealEntry, payload: &[u8]) -> bool {
        if payload.len() != seal.payload_len() {
            return false;
        }
        if seal.head_len == 0 {
            return seal.damaged;
        }
        let (sums, rest) = payload.split_at(seal.checksums_len());
        let (head, body) = rest.split_at(seal.head_len as usize);
        let record = EncodedRecord {
            head: head.to_vec().into(),
            body: body.to_vec().into(),
        };
        let verified = record.verify(self.superblock.cluster);
        let digest = seal.shard.as_ref().map(|shard| shard.digest);
        verified.is_ok_and(|head| head.write == seal.write)
            && digest.is_none_or(|digest| digest == crc64(sums))
    }

    /// Whether an entry and every block that it seals can be read back.
    pub(super) fn is_readable(&self, bytes: &[u8], at: usize, head: &EntryHead) -> bool {
        let Entry::Seal(seal) = &head.entry else {
            return true;
        };
        let Some(payload) = self.payload(bytes, at, head, seal) else {
            return false;
        };
        // A damaged entry was moved so; its data was synced with an earlier batch.
        if seal.damaged || !self.payload_is_sound(seal, &payload) {
            return seal.damaged;
        }
        self.blocks_are_sound(seal, &payload)
    }

    fn blocks_are_sound(&self, seal: &SealEntry, payload: &[u8]) -> bool {
        let cluster = self.superblock.cluster;
        let sums = payload.get(..seal.checksums_len()).unwrap_or_default();
        seal.shard
            .as_ref()
            .is_none_or(|shard| bad_blocks(self.files, cluster, seal.write, shard, sums).is_empty())
    }
}
