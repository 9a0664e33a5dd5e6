//! How many data and parity shards an object has.
//!
//! Owns: [`Geometry`], its limits and its written form `4+2`.
//! Leaves to others: which geometry a bucket or object gets, and how it is stored.
//! Always: 1 ≤ data and data + parity ≤ [`SHARDS_MAX`], so a set of shards fits a `u64`.

use std::fmt;
use std::str::FromStr;

use crate::EcError;

/// Most shards (data and parity together) a geometry may have.
pub const SHARDS_MAX: usize = 64;

/// Data and parity shards of an object, written `4+2`.
///
/// # Examples
/// ```
/// use holdfast_ec::Geometry;
///
/// let geometry: Geometry = "4+2".parse()?;
/// assert_eq!((geometry.data(), geometry.parity(), geometry.total()), (4, 2, 6));
/// assert_eq!(geometry.to_string(), "4+2");
/// assert!(Geometry::new(60, 5).is_err());
/// # Ok::<(), holdfast_ec::EcError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Geometry {
    data: u8,
    parity: u8,
}

impl Geometry {
    /// A geometry of `data` data shards and `parity` parity shards (which may be 0).
    ///
    /// # Errors
    /// [`EcError::Geometry`] if `data` is 0 or there are more than [`SHARDS_MAX`] shards.
    pub fn new(data: u8, parity: u8) -> Result<Self, EcError> {
        if data == 0 || usize::from(data) + usize::from(parity) > SHARDS_MAX {
            return Err(EcError::Geometry { data, parity });
        }
        Ok(Self { data, parity })
    }

    /// Data shards, at least 1.
    #[must_use]
    pub fn data(self) -> usize {
        usize::from(self.data)
    }

    /// Parity shards, possibly 0: how many shards can be lost.
    #[must_use]
    pub fn parity(self) -> usize {
        usize::from(self.parity)
    }

    /// Data plus parity shards, at most [`SHARDS_MAX`].
    #[must_use]
    pub fn total(self) -> usize {
        self.data() + self.parity()
    }
}

impl fmt::Display for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.data, self.parity)
    }
}

impl FromStr for Geometry {
    type Err = EcError;

    /// Reads the form that [`Display`](fmt::Display) writes, and no other (no sign, space or zero
    /// in front).
    fn from_str(text: &str) -> Result<Self, EcError> {
        let syntax = || EcError::GeometrySyntax {
            text: text.to_owned(),
        };
        let (data, parity) = text.split_once('+').ok_or_else(syntax)?;
        let number = |part: &str| {
            let value: u8 = part.parse().map_err(|_| syntax())?;
            if value.to_string() == part {
                Ok(value)
            } else {
                Err(syntax())
            }
        };
        Self::new(number(data)?, number(parity)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_geometry_up_to_the_limit_round_trips_as_text() {
        for data in 0..=u8::MAX {
            for parity in 0..=u8::MAX {
                let allowed = data >= 1 && u16::from(data) + u16::from(parity) <= 64;
                let geometry = Geometry::new(data, parity);
                assert_eq!(geometry.is_ok(), allowed, "{data}+{parity}");
                if let Ok(geometry) = geometry {
                    assert_eq!(geometry.to_string().parse(), Ok(geometry));
                }
            }
        }
    }

    #[test]
    fn text_in_any_other_form_is_rejected() {
        for text in [
            "", "4", "+", "4+", "+2", "4++2", "+4+2", "04+2", "4+02", " 4+2", "4 + 2",
        ] {
            let error = text.parse::<Geometry>().unwrap_err();
            assert_eq!(
                error,
                EcError::GeometrySyntax {
                    text: text.to_owned()
                }
            );
        }
        for text in ["4-2", "4+2+1", "256+1", "4+-2", "four+two"] {
            assert!(matches!(
                text.parse::<Geometry>(),
                Err(EcError::GeometrySyntax { .. })
            ));
        }
        assert_eq!(
            "0+2".parse::<Geometry>(),
            Err(EcError::Geometry { data: 0, parity: 2 })
        );
        assert_eq!(
            "63+2".parse::<Geometry>(),
            Err(EcError::Geometry {
                data: 63,
                parity: 2
            })
        );
    }
}
