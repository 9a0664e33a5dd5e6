//! Digests of a body: its MD5 and the checksum the client asked for.
//!
//! Owns: computing them in one pass, piece by piece. The MD5 of a large body is computed beside
//! those of other bodies ([`lanes`]).
//! Leaves to others: comparing them with what the client claims (gateway).
//! Always: the same bytes give the same digests however they are cut.

pub mod kernel;
pub mod lanes;
pub mod md5;

use crc_fast::{CrcAlgorithm, Digest as Crc};
use holdfast_protocol::ChecksumKind;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use md5::Md5;

/// Digests in progress.
pub struct Digests {
    md5: Option<Md5>,
    checksum: Option<Checksum>,
    len: u64,
}

impl std::fmt::Debug for Digests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Digests")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// Digests of a whole body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyDigests {
    /// Bytes.
    pub len: u64,
    /// MD5; zero if it was not wanted.
    pub md5: [u8; 16],
    /// The checksum asked for, big-endian as S3 shows it.
    pub checksum: Option<(ChecksumKind, Vec<u8>)>,
}

/// One checksum in progress.
pub enum Checksum {
    /// A cyclic redundancy check.
    Crc(ChecksumKind, Box<Crc>),
    /// SHA-1.
    Sha1(Sha1),
    /// SHA-256.
    Sha256(Box<Sha256>),
}

impl std::fmt::Debug for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Checksum").field(&self.kind()).finish()
    }
}

impl Checksum {
    /// Starts one.
    pub fn new(kind: ChecksumKind) -> Self {
        let crc = |algorithm| Self::Crc(kind, Box::new(Crc::new(algorithm)));
        match kind {
            ChecksumKind::Crc32 => crc(CrcAlgorithm::Crc32IsoHdlc),
            ChecksumKind::Crc32c => crc(CrcAlgorithm::Crc32Iscsi),
            ChecksumKind::Crc64Nvme => crc(CrcAlgorithm::Crc64Nvme),
            ChecksumKind::Sha1 => Self::Sha1(Sha1::new()),
            ChecksumKind::Sha256 => Self::Sha256(Box::new(Sha256::new())),
        }
    }
    /// The algorithm.
    pub fn kind(&self) -> ChecksumKind {
        match self {
            Self::Crc(kind, _) => *kind,
            Self::Sha1(_) => ChecksumKind::Sha1,
            Self::Sha256(_) => ChecksumKind::Sha256,
        }
    }
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(_, crc) => crc.update(bytes),
            Self::Sha1(sha) => sha.update(bytes),
            Self::Sha256(sha) => sha.update(bytes),
        }
    }
    /// The digest, big-endian.
    pub fn finish(self) -> Vec<u8> {
        match self {
            Self::Crc(ChecksumKind::Crc64Nvme, crc) => crc.finalize().to_be_bytes().to_vec(),
            Self::Crc(_, crc) => (crc.finalize() as u32).to_be_bytes().to_vec(),
            Self::Sha1(sha) => sha.finalize().to_vec(),
            Self::Sha256(sha) => sha.finalize().to_vec(),
        }
    }
}

impl Digests {
    /// MD5, and the checksum of `kind` if one is given.
    pub fn new(kind: Option<ChecksumKind>) -> Self {
        Self {
            md5: Some(Md5::new()),
            checksum: kind.map(Checksum::new),
            len: 0,
        }
    }
    /// The checksum of `kind` if one is given; the MD5 comes from elsewhere
    /// ([`Digests::finish_with`]).
    pub fn without_md5(kind: Option<ChecksumKind>) -> Self {
        Self {
            md5: None,
            ..Self::new(kind)
        }
    }
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        if let Some(checksum) = &mut self.checksum {
            checksum.update(bytes);
        }
    }
    /// The digests. The MD5 is zero if there was to be none.
    pub fn finish(mut self) -> BodyDigests {
        let md5 = self.md5.take().map(Md5::finish).unwrap_or_default();
        self.finish_with(md5)
    }
    /// The digests, with an MD5 computed elsewhere.
    pub fn finish_with(self, md5: [u8; 16]) -> BodyDigests {
        BodyDigests {
            len: self.len,
            md5,
            checksum: self
                .checksum
                .map(|checksum| (checksum.kind(), checksum.finish())),
        }
    }
}

/// MD5 of a short text.
pub fn md5(bytes: &[u8]) -> [u8; 16] {
    let mut md5 = Md5::new();
    md5.update(bytes);
    md5.finish()
}

#[cfg(test)]
mod tests;
