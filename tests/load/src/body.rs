//! Bodies of objects: incompressible, all different, and known again when they come back.
//!
//! Owns: a pool of random bytes made once. An object's body is a 16-byte stamp made of its number,
//! followed by the pool, read as a ring from a place that depends on the number.
//! Always: seed, number and size determine every byte, so nothing is remembered per object.

/// Length of the stamp in bytes; shorter objects have the front of it.
const STAMP_LEN: usize = 16;
/// Length of the pool in bytes: larger than caches and than the windows of usual compressors.
const POOL_LEN: usize = 16 << 20;

/// Which object: determines its key and its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectNumber(u64);

impl ObjectNumber {
    /// The object with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// The source of all bodies of a run; shared by all clients.
#[derive(Debug)]
pub struct Bodies {
    pool: Vec<u8>,
    seed: u64,
}

/// One object's body, as pieces of memory that already exist.
#[derive(Debug, Clone, Copy)]
pub struct Body<'a> {
    stamp: [u8; STAMP_LEN],
    pool: &'a [u8],
    start: usize,
    len: u64,
}

impl Bodies {
    /// Makes the pool. The same seed gives the same bodies in every run.
    pub fn new(seed: u64) -> Self {
        Self::with_pool(seed, POOL_LEN)
    }

    fn with_pool(seed: u64, pool_len: usize) -> Self {
        let mut pool = vec![0; pool_len];
        fastrand::Rng::with_seed(seed).fill(&mut pool);
        Self { pool, seed }
    }

    /// The body of object `number`, `len` bytes long.
    pub fn body(&self, number: ObjectNumber, len: u64) -> Body<'_> {
        let first = mix(number.get() ^ self.seed);
        let second = mix(first.wrapping_add(len));
        let mut stamp = [0; STAMP_LEN];
        stamp[..8].copy_from_slice(&first.to_le_bytes());
        stamp[8..].copy_from_slice(&second.to_le_bytes());
        let start = (second % self.pool.len() as u64) as usize;
        Body {
            stamp,
            pool: &self.pool,
            start,
            len,
        }
    }
}

impl<'a> Body<'a> {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes `from..to` (clamped to the length) as pieces, in order; none is empty.
    pub fn pieces(&self, from: u64, to: u64) -> Pieces<'_, 'a> {
        let to = to.min(self.len);
        Pieces {
            body: self,
            at: from.min(to),
            to,
        }
    }

    /// Whether `bytes` are the bytes at `offset`.
    pub fn matches(&self, offset: u64, bytes: &[u8]) -> bool {
        let end = offset + bytes.len() as u64;
        let mut rest = bytes;
        for piece in self.pieces(offset, end) {
            let (head, tail) = rest.split_at(piece.len());
            if head != piece {
                return false;
            }
            rest = tail;
        }
        rest.is_empty()
    }
}

/// See [`Body::pieces`].
#[derive(Debug)]
pub struct Pieces<'b, 'a> {
    body: &'b Body<'a>,
    at: u64,
    to: u64,
}

impl<'b> Iterator for Pieces<'b, '_> {
    type Item = &'b [u8];

    fn next(&mut self) -> Option<&'b [u8]> {
        let want = self.to - self.at;
        if want == 0 {
            return None;
        }
        let source = if self.at < STAMP_LEN as u64 {
            &self.body.stamp[self.at as usize..]
        } else {
            let ring_len = self.body.pool.len() as u64;
            let offset = (self.body.start as u64 + self.at - STAMP_LEN as u64) % ring_len;
            &self.body.pool[offset as usize..]
        };
        let len = want.min(source.len() as u64);
        self.at += len;
        Some(&source[..len as usize])
    }
}

/// A bijection of `u64` that looks random. Source: Steele, Lea, Flood 2014 (SplitMix64).
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Bodies, ObjectNumber};

    fn whole(bodies: &Bodies, number: u64, len: u64) -> Vec<u8> {
        bodies
            .body(ObjectNumber::new(number), len)
            .pieces(0, len)
            .flatten()
            .copied()
            .collect()
    }

    #[test]
    fn bodies_have_their_length_and_no_two_are_equal() {
        let bodies = Bodies::with_pool(1, 4096);
        for len in [8, 15, 16, 17, 100, 4096, 4113, 20_000] {
            let mut seen = HashSet::new();
            for number in 0..500 {
                let body = whole(&bodies, number, len);
                assert_eq!(body.len() as u64, len);
                assert!(
                    seen.insert(body),
                    "object {number} of {len} bytes is not new"
                );
            }
        }
        assert!(whole(&bodies, 1, 0).is_empty());
    }

    #[test]
    fn the_seed_determines_the_bodies() {
        let (one, again) = (Bodies::with_pool(1, 4096), Bodies::with_pool(1, 4096));
        assert_eq!(whole(&one, 3, 9000), whole(&again, 3, 9000));
        assert_ne!(
            whole(&one, 3, 9000),
            whole(&Bodies::with_pool(2, 4096), 3, 9000)
        );
    }

    #[test]
    fn any_range_of_a_body_is_that_range_of_the_whole() {
        let bodies = Bodies::with_pool(9, 1000);
        let (number, len) = (ObjectNumber::new(5), 5000);
        let all = whole(&bodies, 5, len);
        let body = bodies.body(number, len);
        let mut rng = fastrand::Rng::with_seed(3);
        for _ in 0..300 {
            let from = rng.u64(..len);
            let to = rng.u64(from..=len);
            let expected = &all[from as usize..to as usize];
            let found: Vec<u8> = body.pieces(from, to).flatten().copied().collect();
            assert_eq!(found, expected);
            assert!(body.matches(from, expected));
        }
    }

    #[test]
    fn a_changed_a_missing_or_an_additional_byte_is_noticed() {
        let bodies = Bodies::with_pool(9, 1000);
        let body = bodies.body(ObjectNumber::new(5), 3000);
        let good = whole(&bodies, 5, 3000);
        for at in [0, 15, 16, 1015, 1016, 2999] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(!body.matches(0, &bad), "byte {at}");
        }
        assert!(body.matches(0, &good[..2999]));
        assert!(!body.matches(1, &good[..2999]));
        assert!(!body.matches(0, &[&good[..], &[0]].concat()));
    }
}
