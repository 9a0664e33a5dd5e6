//! Storage classes: a class is a geometry.
//!
//! Owns: which classes there are, and what each cuts a body into.
//! Leaves to others: where they are configured (cli), which one an object is written in
//! ([`super::put`]), moving objects between them ([`super::lifecycle`]).
//! Always: no class needs more drives than a placement group has, and every acknowledged write of
//! any class has records on more drives of its group than may be absent from a rebuild.

use std::collections::BTreeMap;

use holdfast_protocol::manifest::STORAGE_CLASS;
use holdfast_protocol::{Geometry, Metadata};

use crate::error::GatewayError;

/// The class of objects of which nothing else was said: the cluster's own geometry.
pub const STANDARD: &str = "STANDARD";
/// The class that is there without being configured, with less parity.
pub const REDUCED: &str = "REDUCED_REDUNDANCY";
const NAME_LEN_MAX: usize = 64;

/// Why a class cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClassError {
    /// A name is of other characters than S3's.
    #[error("{name:?} is not a name of 1 to 64 of A-Z, 0-9 and _")]
    Name {
        /// As given.
        name: String,
    },
    /// Given twice.
    #[error("{name} is given twice, or is STANDARD, which has the cluster's geometry")]
    Twice {
        /// As given.
        name: String,
    },
    /// Its geometry needs more drives than a placement group has.
    #[error("{name}={geometry} needs {} drives, a placement group has {drives}", geometry.total())]
    TooWide {
        /// Its name.
        name: String,
        /// Its geometry.
        geometry: Geometry,
        /// How many drives there are.
        drives: usize,
    },
    /// A write of it could be on so few drives that a rebuild sees none of them.
    #[error(
        "{name}={geometry} is acknowledged by {} drives; a cluster of {cluster} needs {} at least",
        geometry.write_quorum(), cluster.copies()
    )]
    TooNarrow {
        /// Its name.
        name: String,
        /// Its geometry.
        geometry: Geometry,
        /// The cluster's geometry.
        cluster: Geometry,
    },
}

/// The classes beside [`STANDARD`], by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Classes(BTreeMap<String, Geometry>);

impl Classes {
    /// The classes of a cluster: those given, and [`REDUCED`].
    ///
    /// # Errors
    /// [`ClassError`], the first that is met.
    pub fn new(
        cluster: Geometry,
        given: impl IntoIterator<Item = (String, Geometry)>,
    ) -> Result<Self, ClassError> {
        let mut classes = BTreeMap::new();
        for (name, geometry) in given {
            check(cluster, &name, geometry)?;
            if name == STANDARD || classes.insert(name.clone(), geometry).is_some() {
                return Err(ClassError::Twice { name });
            }
        }
        classes
            .entry(REDUCED.to_owned())
            .or_insert_with(|| reduced(cluster));
        Ok(Self(classes))
    }

    /// What a class cuts a body into; `None` for the cluster's own geometry.
    ///
    /// # Errors
    /// `InvalidArgument` (of the header) for a class that there is not.
    pub fn geometry(&self, class: &str) -> Result<Option<Geometry>, GatewayError> {
        if class == STANDARD {
            return Ok(None);
        }
        let found = self.0.get(class).copied().map(Some);
        found.ok_or_else(|| GatewayError::InvalidArgument {
            name: STORAGE_CLASS,
            why: "The storage class you specified is not valid".to_owned(),
        })
    }

    /// The same, of what an object is written with.
    ///
    /// # Errors
    /// As [`Self::geometry`].
    pub fn of(&self, metadata: &Metadata) -> Result<Option<Geometry>, GatewayError> {
        self.geometry(metadata.get(STORAGE_CLASS).unwrap_or(STANDARD))
    }

    /// All of them but [`STANDARD`].
    pub fn all(&self) -> impl Iterator<Item = (&str, Geometry)> {
        self.0
            .iter()
            .map(|(name, &geometry)| (name.as_str(), geometry))
    }
}

fn check(cluster: Geometry, name: &str, geometry: Geometry) -> Result<(), ClassError> {
    let is_fit = |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_';
    let name = name.to_owned();
    if name.is_empty() || name.len() > NAME_LEN_MAX || !name.bytes().all(is_fit) {
        return Err(ClassError::Name { name });
    }
    if geometry.total() > cluster.total() {
        let drives = cluster.total();
        return Err(ClassError::TooWide {
            name,
            geometry,
            drives,
        });
    }
    match geometry.write_quorum() < cluster.copies() {
        true => Err(ClassError::TooNarrow {
            name,
            geometry,
            cluster,
        }),
        false => Ok(()),
    }
}

/// One parity shard less, where the cluster can spare it.
fn reduced(cluster: Geometry) -> Geometry {
    let (data, parity) = (cluster.data() as u8, cluster.parity() as u8);
    let less = Geometry::new(data, parity.saturating_sub(1).max(1));
    let less = less
        .ok()
        .filter(|&less| check(cluster, REDUCED, less).is_ok());
    less.unwrap_or(cluster)
}

#[cfg(test)]
mod tests {
    //! Facts about classes.
    use super::*;

    fn geometry(text: &str) -> Geometry {
        Geometry::parse(text).unwrap()
    }

    fn made(cluster: &str, given: &[(&str, &str)]) -> Result<Classes, ClassError> {
        let given = given
            .iter()
            .map(|(name, text)| ((*name).to_owned(), geometry(text)));
        Classes::new(geometry(cluster), given)
    }

    #[test]
    fn reduced_redundancy_is_there_and_can_be_another() {
        for (cluster, reduced) in [
            ("4+2", "4+1"),
            ("8+4", "8+3"),
            ("2+1", "2+1"),
            ("1+2", "1+2"),
        ] {
            let classes = made(cluster, &[]).unwrap();
            let found = classes.geometry(REDUCED).unwrap();
            assert_eq!(found, Some(geometry(reduced)), "{cluster}");
            assert_eq!(classes.geometry(STANDARD).unwrap(), None);
        }
        let classes = made("4+2", &[(REDUCED, "2+1"), ("COLD_1", "4+2")]).unwrap();
        let found = classes.geometry(REDUCED).unwrap();
        assert_eq!(found, Some(geometry("2+1")));
        let found = classes.geometry("COLD_1").unwrap();
        assert_eq!(found, Some(geometry("4+2")));
        for none in ["", "COLD", "standard", "STANDARD_IA", "GLACIER"] {
            assert!(classes.geometry(none).is_err(), "{none}");
        }
    }

    #[test]
    fn a_class_needs_a_name_enough_drives_and_no_more_than_there_are() {
        let is = |given: &[(&str, &str)]| made("4+2", given).unwrap_err();
        for name in ["", "cold", "A-B", "A B", &"A".repeat(65)] {
            assert!(
                matches!(is(&[(name, "4+2")]), ClassError::Name { .. }),
                "{name}"
            );
        }
        assert!(matches!(is(&[("A", "5+2")]), ClassError::TooWide { .. }));
        // Acknowledged by two drives, both of which may be absent.
        assert!(matches!(is(&[("A", "1+1")]), ClassError::TooNarrow { .. }));
        assert!(matches!(is(&[(STANDARD, "4+1")]), ClassError::Twice { .. }));
        let twice = [("A", "4+1"), ("A", "4+1")];
        assert!(matches!(is(&twice), ClassError::Twice { .. }));
        assert!(made("4+2", &[("A", "2+1"), ("B", "1+3")]).is_ok());
    }
}
