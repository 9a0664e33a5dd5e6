//! Reed-Solomon over GF(2^8): geometry, encode, rebuild.
//!
//! Owns: the code itself (field, matrix, kernels) and the cache of decode plans. The bytes are
//! those of the `reed-solomon-erasure` crate: field 0x11D, Vandermonde matrix made systematic.
//! Leaves to others: I/O, buffers, threads, checksums (a wrong cell is not noticed here).
//! Always: any `data` cells of a stripe rebuild every other one; every kernel gives the same bytes;
//! nothing is allocated in proportion to the cells; after an error the outputs are unchanged.
//!
//! # Examples
//! ```
//! use holdfast_ec::{Code, Geometry};
//!
//! let code = Code::new(Geometry::new(2, 1)?);
//! let (a, b) = ([1_u8, 2, 3], [4_u8, 5, 6]);
//! let mut parity = [0_u8; 3];
//! code.encode(&[&a, &b], &mut [&mut parity])?;
//!
//! let mut rebuilt = [0_u8; 3];
//! code.rebuild(&[(2, &parity), (1, &b)], &[0], &mut [&mut rebuilt])?;
//! assert_eq!(rebuilt, a);
//! # Ok::<(), holdfast_ec::EcError>(())
//! ```

mod code;
mod error;
mod field;
mod geometry;
mod kernel;
mod matrix;
mod plan;

pub use code::Code;
pub use error::{CellKind, EcError};
pub use geometry::{Geometry, SHARDS_MAX};
pub use kernel::Kernel;
