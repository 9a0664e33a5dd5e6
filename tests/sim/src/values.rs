//! The bodies that clients write, and how they are recognised.
//!
//! Owns: bytes as a function of a value, and the way back from an ETag.
//! Leaves to others: who writes them when.
//! Always: no two values have the same bytes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use md5::{Digest, Md5};

use crate::history::ValueId;

#[derive(Debug, Default)]
struct State {
    values: Vec<(Bytes, String)>,
    by_etag: BTreeMap<String, ValueId>,
}

/// All values of a run. Clones are the same book.
#[derive(Clone, Debug, Default)]
pub struct Values(Arc<Mutex<State>>);

/// Bytes that differ from seed to seed.
pub fn body(seed: u64, len: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678;
    let mut bytes = Vec::with_capacity(len + 8);
    bytes.extend_from_slice(&seed.to_le_bytes());
    while bytes.len() < len {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        bytes.extend_from_slice(&(state ^ (state >> 29)).to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}

/// The entity tag of one piece, without quotes.
pub fn etag_of(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

impl Values {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the next value, for its bytes.
    pub fn next(&self) -> u64 {
        self.state().values.len() as u64 + 1
    }

    /// A value of one piece.
    pub fn add(&self, bytes: Bytes) -> ValueId {
        let etag = etag_of(&bytes);
        self.keep(bytes, etag)
    }

    /// A value of several parts.
    pub fn add_parts(&self, parts: &[Bytes]) -> ValueId {
        let digests: Vec<u8> = parts.iter().flat_map(Md5::digest).collect();
        let etag = format!("{}-{}", etag_of(&digests), parts.len());
        let whole: Bytes = parts.concat().into();
        // A copy of it is written in one piece, and so has another tag for the same bytes.
        let of_copies = etag_of(&whole);
        let id = self.keep(whole, etag);
        let mut state = self.state();
        state.by_etag.entry(of_copies).or_insert(id);
        id
    }

    fn keep(&self, bytes: Bytes, etag: String) -> ValueId {
        let mut state = self.state();
        if let Some(&id) = state.by_etag.get(&etag) {
            return id;
        }
        let id = ValueId::new(state.values.len() as u64 + 1);
        state.values.push((bytes, etag.clone()));
        state.by_etag.insert(etag, id);
        id
    }

    /// The value that an ETag names; one that nobody wrote if there is none.
    pub fn of(&self, etag: &str) -> ValueId {
        let found = self.state().by_etag.get(etag).copied();
        found.unwrap_or(ValueId::new(u64::MAX))
    }

    /// The entity tag of a value, without quotes; `None` for one of parts, whose copies have
    /// another.
    pub fn etag(&self, value: ValueId) -> Option<String> {
        let state = self.state();
        let at = (value.get() as usize).checked_sub(1)?;
        let etag = state.values.get(at).map(|(_, etag)| etag.clone());
        etag.filter(|etag| !etag.contains('-'))
    }

    /// The bytes of a value.
    pub fn bytes(&self, value: ValueId) -> Option<Bytes> {
        let state = self.state();
        let at = (value.get() as usize).checked_sub(1)?;
        state.values.get(at).map(|(bytes, _)| bytes.clone())
    }
}
