//! The loop that all SIMD kernels share.
//!
//! Owns: the order of work, generated once per instruction set by [`kernel_of_lanes`]. Up to
//! [`GROUP_ROWS`] outputs are summed in registers while each source is read once.
//! Leaves to others: registers and instructions ([`super::x86`], [`super::neon`]).
//! Always: cells are reached through checked slices and fixed-size arrays, never by pointer
//! arithmetic.

use crate::matrix::Matrix;

/// Most outputs summed in one pass over the sources.
pub(super) const GROUP_ROWS: usize = 4;

/// Bytes of every cell handled before the next group of outputs, so that the sources come from the
/// cache again. A multiple of what any kernel takes at a time.
pub(super) const TILE_BYTES: usize = 8192;

/// The coefficients as a kernel's tables, in the order in which the loop reads them: by group of
/// outputs, then by source, then by output.
pub(super) fn tables<T>(matrix: &Matrix, table: impl Fn(u8) -> T) -> Vec<T> {
    let mut tables = Vec::with_capacity(matrix.row_count() * matrix.columns());
    for first in (0..matrix.row_count()).step_by(GROUP_ROWS) {
        let group = first..matrix.row_count().min(first + GROUP_ROWS);
        for column in 0..matrix.columns() {
            tables.extend(group.clone().map(|row| table(matrix.row(row)[column])));
        }
    }
    tables
}

/// Generates `apply` for one instruction set.
///
/// In scope where it is used, with at most the same target features: `Split` (a source register
/// made ready), `zero`, `load`, `store`, `split`, `factor` (makes a table ready) and `add_scaled`.
/// `$registers` is how many registers of each output are summed at once for 1, 2, 3 and 4 outputs.
macro_rules! kernel_of_lanes {
    ($features:literal, $width:literal, $table:ty, $registers:expr) => {
        /// Bytes in a register; cells must be at least this long.
        pub(in crate::kernel) const WIDTH: usize = $width;

        const REGISTERS: [usize; $crate::kernel::lanes::GROUP_ROWS] = $registers;

        /// Overwrites `out` with the sums. `tables` is as [`super::lanes::tables`] orders them, all
        /// cells are equally long and at least [`WIDTH`] bytes.
        #[target_feature(enable = $features)]
        pub(in crate::kernel) fn apply(
            tables: &[$table],
            sources: &[&[u8]],
            out: &mut [&mut [u8]],
        ) {
            use $crate::kernel::lanes::{GROUP_ROWS, TILE_BYTES};
            let len = sources[0].len();
            let tile_bytes = if out.len() > GROUP_ROWS {
                TILE_BYTES
            } else {
                len
            };
            let mut from = 0;
            while from < len {
                let to = len.min(from + tile_bytes);
                let mut tables = tables;
                for rows in out.chunks_mut(GROUP_ROWS) {
                    let (these, others) = tables.split_at(rows.len() * sources.len());
                    tables = others;
                    match rows.len() {
                        1 => group::<1, { REGISTERS[0] }>(these, sources, rows, from, to),
                        2 => group::<2, { REGISTERS[1] }>(these, sources, rows, from, to),
                        3 => group::<3, { REGISTERS[2] }>(these, sources, rows, from, to),
                        _ => group::<4, { REGISTERS[3] }>(these, sources, rows, from, to),
                    }
                }
                from = to;
            }
        }

        #[target_feature(enable = $features)]
        fn group<const ROWS: usize, const REGISTERS: usize>(
            tables: &[$table],
            sources: &[&[u8]],
            rows: &mut [&mut [u8]],
            from: usize,
            to: usize,
        ) {
            let rows = rows
                .first_chunk_mut::<ROWS>()
                .expect("`apply` has matched on the length");
            let (tables, _) = tables.as_chunks::<ROWS>();
            let mut at = from;
            while at + REGISTERS * WIDTH <= to {
                column::<ROWS, REGISTERS>(tables, sources, rows, at);
                at += REGISTERS * WIDTH;
            }
            while at + WIDTH <= to {
                column::<ROWS, 1>(tables, sources, rows, at);
                at += WIDTH;
            }
            if at < to {
                // The last register overlaps what is done already and gives the same bytes again.
                column::<ROWS, 1>(tables, sources, rows, to - WIDTH);
            }
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn column<const ROWS: usize, const REGISTERS: usize>(
            tables: &[[$table; ROWS]],
            sources: &[&[u8]],
            rows: &mut [&mut [u8]; ROWS],
            at: usize,
        ) {
            let mut sums = [[zero(); REGISTERS]; ROWS];
            for (source, tables) in sources.iter().zip(tables) {
                let (bytes, _) = source[at..at + REGISTERS * WIDTH].as_chunks::<WIDTH>();
                let mut splits: [Split; REGISTERS] = [split(zero()); REGISTERS];
                for (split_register, bytes) in splits.iter_mut().zip(bytes) {
                    *split_register = split(load(bytes));
                }
                for (sums, table) in sums.iter_mut().zip(tables) {
                    let factor = factor(table);
                    for (sum, &split) in sums.iter_mut().zip(&splits) {
                        *sum = add_scaled(*sum, split, factor);
                    }
                }
            }
            for (row, sums) in rows.iter_mut().zip(sums) {
                let (bytes, _) = row[at..at + REGISTERS * WIDTH].as_chunks_mut::<WIDTH>();
                for (bytes, sum) in bytes.iter_mut().zip(sums) {
                    store(bytes, sum);
                }
            }
        }
    };
}
pub(super) use kernel_of_lanes;
