//! Encoding and rebuilding the cells of a stripe.
//!
//! Owns: [`Code`] and the checks of its arguments.
//! Leaves to others: matrices, kernels and the cache of plans.
//! Always: arguments are checked before the first output byte is written; cells are neither copied
//! nor reordered in memory, and nothing is allocated but decode plans.

use std::sync::Arc;

use crate::kernel::Transform;
use crate::matrix::Matrix;
use crate::plan::{PlanCache, PlanKey};
use crate::{CellKind, EcError, Geometry, Kernel, SHARDS_MAX};

/// An encoder and decoder for one geometry. A clone shares the tables and decode plans.
///
/// The plans of the last sets of cells rebuilt are kept, so a row of stripes that miss the same
/// shards pays for one matrix inversion.
#[derive(Clone, Debug)]
pub struct Code {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    geometry: Geometry,
    matrix: Matrix,
    encode: Transform,
    plans: PlanCache,
}

impl Code {
    /// A code on the fastest kernel of this machine.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self::with_kernel(geometry, Kernel::fastest())
            .expect("`fastest` returns only kernels that are available")
    }

    /// A code on a certain kernel, for comparing them.
    ///
    /// # Errors
    /// [`EcError::KernelUnavailable`] if this machine cannot run it.
    pub fn with_kernel(geometry: Geometry, kernel: Kernel) -> Result<Self, EcError> {
        let matrix = Matrix::encode(geometry);
        let parity_rows = matrix.select(geometry.data()..geometry.total());
        let encode = Transform::new(parity_rows, kernel)?;
        let plans = PlanCache::default();
        Ok(Self {
            shared: Arc::new(Shared {
                geometry,
                matrix,
                encode,
                plans,
            }),
        })
    }

    /// The geometry it was made for.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.shared.geometry
    }

    /// The kernel in use.
    #[must_use]
    pub fn kernel(&self) -> Kernel {
        self.shared.encode.kernel()
    }

    /// Computes the parity cells of a stripe.
    ///
    /// `data` has the data cells in shard order, `parity` one output per parity shard, overwritten;
    /// all are equally long (any number of bytes, 0 included).
    ///
    /// # Errors
    /// [`EcError::CellCount`] if either list has the wrong number of cells;
    /// [`EcError::UnequalCells`] if lengths differ. `parity` is unchanged.
    pub fn encode(&self, data: &[&[u8]], parity: &mut [&mut [u8]]) -> Result<(), EcError> {
        let geometry = self.geometry();
        check_count(CellKind::Data, geometry.data(), data.len())?;
        check_count(CellKind::Parity, geometry.parity(), parity.len())?;
        let data_lens = data.iter().map(|cell| cell.len());
        let parity_lens = parity.iter().map(|cell| cell.len());
        check_lengths(data_lens.chain(parity_lens).enumerate())?;
        self.shared.encode.apply(data, parity);
        Ok(())
    }

    /// Rebuilds the cells of the `wanted` shards from the present cells of the same stripe.
    ///
    /// `present` has pairs of shard index and cell in any order, at least `data` of them; the first
    /// `data` are used. `out` has one output per wanted shard, in the same order, overwritten.
    /// All cells are equally long. Data and parity shards may be mixed in both lists, and a wanted
    /// shard may be present too (it is then computed all the same).
    ///
    /// # Errors
    /// [`EcError::TooFewCells`] if fewer than `data` cells are present; [`EcError::CellCount`] if
    /// `out` has another count than `wanted`; [`EcError::UnknownShard`] or
    /// [`EcError::DuplicateShard`] if an index is outside the geometry or twice in a list;
    /// [`EcError::UnequalCells`] if lengths differ. `out` is unchanged.
    ///
    /// # Examples
    /// ```
    /// use holdfast_ec::{Code, EcError, Geometry};
    ///
    /// let code = Code::new(Geometry::new(2, 2)?);
    /// let mut parity = [[0; 4]; 2];
    /// let [p, q] = &mut parity;
    /// code.encode(&[b"hold", b"fast"], &mut [p, q])?;
    ///
    /// // Both data cells are lost: cell 0 is rebuilt from the parity cells alone.
    /// let mut cell = [0; 4];
    /// code.rebuild(&[(2, &parity[0]), (3, &parity[1])], &[0], &mut [&mut cell])?;
    /// assert_eq!(&cell, b"hold");
    ///
    /// let too_few = code.rebuild(&[(3, &parity[1])], &[0], &mut [&mut cell]);
    /// assert_eq!(too_few, Err(EcError::TooFewCells { needed: 2, present: 1 }));
    /// # Ok::<(), EcError>(())
    /// ```
    pub fn rebuild(
        &self,
        present: &[(usize, &[u8])],
        wanted: &[usize],
        out: &mut [&mut [u8]],
    ) -> Result<(), EcError> {
        let (data, total) = (self.geometry().data(), self.geometry().total());
        shard_set(present.iter().map(|&(shard, _)| shard), total)?;
        let wanted_set = shard_set(wanted.iter().copied(), total)?;
        check_count(CellKind::Wanted, wanted.len(), out.len())?;
        let Some((used, _)) = present.split_at_checked(data) else {
            return Err(EcError::TooFewCells {
                needed: data,
                present: present.len(),
            });
        };
        let present_lens = present.iter().map(|&(shard, cell)| (shard, cell.len()));
        let out_lens = wanted
            .iter()
            .copied()
            .zip(out.iter().map(|cell| cell.len()));
        check_lengths(present_lens.chain(out_lens))?;
        let used_set = shard_set(used.iter().map(|&(shard, _)| shard), total)?;

        // A plan has its cells in shard order: two orders of the same cells share one.
        let mut sources = [[].as_slice(); SHARDS_MAX];
        for &(shard, cell) in used {
            sources[rank(used_set, shard)] = cell;
        }
        let mut outputs: [&mut [u8]; SHARDS_MAX] = std::array::from_fn(|_| Default::default());
        for (&shard, cell) in wanted.iter().zip(out) {
            outputs[rank(wanted_set, shard)] = cell;
        }
        let key = PlanKey {
            used: used_set,
            wanted: wanted_set,
        };
        let plan = self.shared.plans.get_or_make(key, || self.plan(key));
        plan.apply(&sources[..data], &mut outputs[..wanted.len()]);
        Ok(())
    }

    fn plan(&self, key: PlanKey) -> Transform {
        let shards = |set: u64| (0..SHARDS_MAX).filter(move |shard| set >> shard & 1 != 0);
        let (used, wanted): (Vec<_>, Vec<_>) =
            (shards(key.used).collect(), shards(key.wanted).collect());
        Transform::new(self.shared.matrix.decode(&used, &wanted), self.kernel())
            .expect("the encode tables were made for the same kernel")
    }
}

/// How many shards of the set come before this one.
fn rank(set: u64, shard: usize) -> usize {
    (set & ((1 << shard) - 1)).count_ones() as usize
}

/// The shards as a bit set, if each is in the geometry and none is named twice.
fn shard_set(shards: impl Iterator<Item = usize>, total: usize) -> Result<u64, EcError> {
    let mut set = 0;
    for shard in shards {
        if shard >= total {
            return Err(EcError::UnknownShard { shard, total });
        }
        if set >> shard & 1 != 0 {
            return Err(EcError::DuplicateShard { shard });
        }
        set |= 1 << shard;
    }
    Ok(set)
}

fn check_count(kind: CellKind, expected: usize, actual: usize) -> Result<(), EcError> {
    if actual != expected {
        return Err(EcError::CellCount {
            kind,
            expected,
            actual,
        });
    }
    Ok(())
}

/// Checks that all cells, given with their shard index, are as long as the first.
fn check_lengths(mut cells: impl Iterator<Item = (usize, usize)>) -> Result<(), EcError> {
    let Some((_, expected_bytes)) = cells.next() else {
        return Ok(());
    };
    match cells.find(|&(_, actual_bytes)| actual_bytes != expected_bytes) {
        Some((shard, actual_bytes)) => Err(EcError::UnequalCells {
            shard,
            expected_bytes,
            actual_bytes,
        }),
        None => Ok(()),
    }
}
