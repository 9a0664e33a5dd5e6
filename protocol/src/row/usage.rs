//! What a bucket holds.
//!
//! Owns: the fields and byte form of kind 6.
//! Leaves to others: adding up (index), what it means for redundancy (workers).
//! Always: in order of geometry, each once, and none of which nothing is left: two that are equal
//! have the same bytes.

use bytes::Bytes;

use super::{open, start};
use crate::codec::FormatError;
use crate::layout::Geometry;

/// Geometries at most: k + m ≤ 64.
const GEOMETRIES_MAX: usize = 64 * 64;

/// What is kept in one geometry: that of the storage class in which it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeometryUsage {
    /// How it is coded, or copied.
    pub geometry: Geometry,
    /// Versions that are not delete markers.
    pub objects: u64,
    /// Their bytes, as clients see them.
    pub bytes: u64,
}

/// What a bucket holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Versions, by geometry.
    pub versions: Vec<GeometryUsage>,
    /// Open uploads.
    pub uploads: u64,
}

impl Usage {
    /// Versions that are not delete markers.
    pub fn objects(&self) -> u64 {
        let all = self.versions.iter().map(|part| part.objects);
        all.fold(0, u64::saturating_add)
    }
    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        let all = self.versions.iter().map(|part| part.bytes);
        all.fold(0, u64::saturating_add)
    }
    /// Changes what is kept in one geometry; `change` gets versions and bytes.
    pub fn change(&mut self, geometry: Geometry, change: impl FnOnce(&mut u64, &mut u64)) {
        let place = |part: &GeometryUsage| sort_key(part.geometry).cmp(&sort_key(geometry));
        let at = self.versions.binary_search_by(place).unwrap_or_else(|at| {
            let nothing = GeometryUsage {
                geometry,
                objects: 0,
                bytes: 0,
            };
            self.versions.insert(at, nothing);
            at
        });
        let part = &mut self.versions[at];
        change(&mut part.objects, &mut part.bytes);
        if (part.objects, part.bytes) == (0, 0) {
            self.versions.remove(at);
        }
    }
    /// The byte form.
    pub fn encode(&self) -> Bytes {
        let mut out = start(6);
        out.u64(self.uploads);
        out.u32(self.versions.len() as u32);
        for part in &self.versions {
            part.geometry.encode(&mut out);
            out.u64(part.objects);
            out.u64(part.bytes);
        }
        out.finish()
    }
    /// Reads the byte form.
    ///
    /// # Errors
    /// A [`FormatError`] that names the first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut input = open(bytes, 6)?;
        let mut usage = Self {
            uploads: input.u64()?,
            versions: Vec::new(),
        };
        for _ in 0..input.count("geometries", GEOMETRIES_MAX)? {
            let part = GeometryUsage {
                geometry: Geometry::decode(&mut input)?,
                objects: input.u64()?,
                bytes: input.u64()?,
            };
            let is_next = usage
                .versions
                .last()
                .is_none_or(|last| sort_key(last.geometry) < sort_key(part.geometry));
            if !is_next || (part.objects, part.bytes) == (0, 0) {
                return Err(FormatError::Invalid { what: "geometries" });
            }
            usage.versions.push(part);
        }
        input.end()?;
        Ok(usage)
    }
}

fn sort_key(geometry: Geometry) -> (usize, usize) {
    (geometry.data(), geometry.parity())
}
