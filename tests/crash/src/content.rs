//! What objects are made of: bytes that follow from a seed.
//!
//! Always: the same seed and length give the same bytes, and different seeds different ones, so any
//! read can be checked byte for byte without the bytes having been kept.

use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};

/// Bytes of every part of a multipart upload but the last.
pub const PART_LEN: u64 = 5 << 20;

/// An object's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Where its bytes come from.
    pub seed: u64,
    /// In bytes.
    pub len: u64,
    /// Whether it was uploaded in parts of [`PART_LEN`].
    pub in_parts: bool,
}

impl Content {
    /// The bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let len = usize::try_from(self.len).expect("test objects fit into memory");
        let mut bytes = Vec::with_capacity(len + 8);
        let mut state = self.seed ^ 0x9e37_79b9_7f4a_7c15;
        while bytes.len() < len {
            // SplitMix64. Source: Steele, Lea, Flood 2014.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = state;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bytes.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }

    /// The ETag that S3 gives to these bytes (as `bytes` returned them), without quotes.
    pub fn etag(&self, bytes: &[u8]) -> String {
        if !self.in_parts {
            return hex::encode(Md5::digest(bytes));
        }
        let part_len = usize::try_from(PART_LEN).expect("5 MiB fits");
        let parts: Vec<&[u8]> = bytes.chunks(part_len).collect();
        let digests: Vec<u8> = parts.iter().flat_map(Md5::digest).collect();
        format!("{}-{}", hex::encode(Md5::digest(&digests)), parts.len())
    }
}

#[cfg(test)]
mod tests {
    use super::Content;

    fn content(seed: u64, len: u64) -> Content {
        Content {
            seed,
            len,
            in_parts: false,
        }
    }

    #[test]
    fn bytes_follow_from_the_seed() {
        assert_eq!(content(7, 1000).bytes(), content(7, 1000).bytes());
        assert_ne!(content(7, 1000).bytes(), content(8, 1000).bytes());
        assert_eq!(content(7, 13).bytes().len(), 13);
        assert_eq!(content(7, 1000).bytes()[..13], content(7, 13).bytes());
    }

    #[test]
    fn etags_are_those_of_s3() {
        let empty = content(1, 0);
        assert_eq!(empty.etag(&[]), "d41d8cd98f00b204e9800998ecf8427e");
        let parts = Content {
            in_parts: true,
            ..content(1, super::PART_LEN + 1)
        };
        assert!(parts.etag(&parts.bytes()).ends_with("-2"));
    }
}
