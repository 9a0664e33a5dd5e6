//! Which keys and numbers the objects of a run have.
//!
//! Always: no two objects have the same number, so no two have the same key or body; numbers of
//! prepared objects are the same in every run, numbers of written ones in no two runs.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::body::ObjectNumber;
use crate::quantity::ByteSize;

/// What objects are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Space {
    /// Prepared, read, never changed.
    Read,
    /// Prepared, listed, never changed.
    Listed,
    /// Written by a load, or to be deleted by one.
    Written,
}

/// Numbers of written objects begin with this bit.
const WRITTEN_BIT: u64 = 1 << 63;
/// Numbers of listed objects begin with this bit.
const LISTED_BIT: u64 = 1 << 62;

impl Space {
    /// The prefix of the keys of objects of `size`.
    pub fn prefix(self, size: ByteSize) -> String {
        let name = match self {
            Self::Read => "read",
            Self::Listed => "listed",
            Self::Written => "written",
        };
        format!("{name}/{}/", size.get())
    }

    /// The key of an object.
    pub fn key(self, size: ByteSize, number: ObjectNumber) -> String {
        format!("{}{:016x}", self.prefix(size), number.get())
    }

    /// The number of the prepared object at `index`.
    pub fn prepared(self, index: u64) -> ObjectNumber {
        match self {
            Self::Listed => ObjectNumber::new(LISTED_BIT | index),
            Self::Read | Self::Written => ObjectNumber::new(index),
        }
    }
}

/// Gives out numbers of written objects.
#[derive(Debug)]
pub struct Numbers(AtomicU64);

impl Numbers {
    /// Begins at a random place.
    pub fn new() -> Self {
        Self(AtomicU64::new(fastrand::u64(..1 << 61)))
    }

    /// A number that was not given before.
    pub fn fresh(&self) -> ObjectNumber {
        ObjectNumber::new(WRITTEN_BIT | self.0.fetch_add(1, Ordering::Relaxed))
    }
}

impl Default for Numbers {
    fn default() -> Self {
        Self::new()
    }
}
