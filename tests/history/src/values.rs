//! Bodies that are known again, by their bytes and by their ETags.
//!
//! Owns: numbering bodies; every write has a body of its own.
//! Always: a body is registered before it is sent, so whoever reads it knows it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use holdfast_load::body::{Bodies, Body, ObjectNumber};
use md5::{Digest, Md5};

/// Shortest body: its first bytes name it.
pub const LEN_MIN: u64 = 16;

/// One body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Its number, and its id in the history.
    pub number: u64,
    /// In bytes.
    pub len: u64,
    /// The ETag that it will have, without quotes.
    pub etag: String,
}

#[derive(Debug, Default)]
struct Known {
    last: u64,
    by_front: HashMap<Vec<u8>, (u64, u64)>,
    by_etag: HashMap<String, u64>,
}

/// All bodies of a recording.
#[derive(Debug)]
pub struct Values {
    bodies: Bodies,
    known: Mutex<Known>,
}

impl Values {
    /// No bodies yet. The same seed gives the same ones.
    pub fn new(seed: u64) -> Self {
        Self {
            bodies: Bodies::new(seed),
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new body of at least [`LEN_MIN`] bytes, to be sent whole or in parts of `part_len` bytes.
    pub fn make(&self, len: u64, part_len: Option<u64>) -> Value {
        let len = len.max(LEN_MIN);
        let number = {
            let mut known = self.known();
            known.last += 1;
            known.last
        };
        let body = self.bodies.body(ObjectNumber::new(number), len);
        let md5 = |from: u64, to: u64| {
            let mut md5 = Md5::new();
            body.pieces(from, to).for_each(|piece| md5.update(piece));
            md5.finalize()
        };
        let whole = hex::encode(md5(0, len));
        let etag = part_len.map_or_else(
            || whole.clone(),
            |part_len| {
                let parts = len.div_ceil(part_len);
                let mut all = Md5::new();
                for part in 0..parts {
                    all.update(md5(part * part_len, len.min((part + 1) * part_len)));
                }
                format!("{}-{parts}", hex::encode(all.finalize()))
            },
        );
        let front = body.pieces(0, LEN_MIN).flatten().copied().collect();
        let mut known = self.known();
        known.by_front.insert(front, (number, len));
        // A copy of what was uploaded in parts has the ETag of the whole.
        known.by_etag.insert(whole, number);
        known.by_etag.insert(etag.clone(), number);
        Value { number, len, etag }
    }

    /// The bytes of a value.
    pub fn body(&self, value: &Value) -> Body<'_> {
        self.bodies.body(ObjectNumber::new(value.number), value.len)
    }

    /// Which body these bytes are, all of them.
    pub fn of_bytes(&self, bytes: &[u8]) -> Option<u64> {
        let front = bytes.get(..LEN_MIN as usize)?;
        let (number, len) = *self.known().by_front.get(front)?;
        let body = self.bodies.body(ObjectNumber::new(number), len);
        (bytes.len() as u64 == len && body.matches(0, bytes)).then_some(number)
    }

    /// Which body has this ETag, with or without quotes.
    pub fn of_etag(&self, etag: &str) -> Option<u64> {
        let bare = etag.trim_matches('"');
        self.known().by_etag.get(bare).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::Values;

    #[test]
    fn a_body_is_known_by_its_bytes_and_its_etags_and_by_nothing_else() {
        let values = Values::new(1);
        let plain = values.make(100, None);
        let parts = values.make(1000, Some(400));
        assert!(parts.etag.ends_with("-3"));
        for value in [&plain, &parts] {
            let body = values.body(value);
            let mut bytes: Vec<u8> = body.pieces(0, value.len).flatten().copied().collect();
            assert_eq!(values.of_bytes(&bytes), Some(value.number));
            assert_eq!(
                values.of_etag(&format!("\"{}\"", value.etag)),
                Some(value.number)
            );
            assert_eq!(values.of_bytes(&bytes[..bytes.len() - 1]), None);
            bytes[50] ^= 1;
            assert_eq!(values.of_bytes(&bytes), None);
        }
        assert_eq!(values.of_etag("0"), None);
    }
}
