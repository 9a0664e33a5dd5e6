//! Matrices over GF(2^8): the encode matrix and what rebuilds lost cells.
//!
//! Owns: which coefficients make a cell out of other cells.
//! Leaves to others: applying them to bytes ([`crate::kernel`]), caching them ([`crate::plan`]).
//! Always: the encode matrix is systematic (its top is the identity) and any `data` rows of it are
//! linearly independent. Source: Plank 1997, as corrected by Plank and Ding 2003.

use crate::Geometry;
use crate::field::{inverse, power, product};

/// Rows by columns, row after row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Matrix {
    columns: usize,
    cells: Vec<u8>,
}

impl Matrix {
    /// The matrix that `reed-solomon-erasure` uses: row `r` of a Vandermonde matrix is
    /// `r^0, r^1, …`, and the whole is multiplied with the inverse of its top square.
    pub(crate) fn encode(geometry: Geometry) -> Self {
        let columns = geometry.data();
        let cells = (0..geometry.total())
            .flat_map(|row| (0..columns).map(move |column| power(row as u8, column)))
            .collect();
        let vandermonde = Self { columns, cells };
        let top = vandermonde.select(0..columns).inverted();
        vandermonde.multiplied(&top.expect("a Vandermonde matrix of distinct points is regular"))
    }

    /// The coefficients that make the cells in `wanted` out of the cells in `used`.
    ///
    /// `self` is the encode matrix; `used` names as many distinct rows as it has columns.
    pub(crate) fn decode(&self, used: &[usize], wanted: &[usize]) -> Self {
        assert_eq!(
            used.len(),
            self.columns,
            "a decode uses exactly `data` cells"
        );
        let back = self.select(used.iter().copied()).inverted();
        let back = back.expect("any `data` distinct rows of the encode matrix are independent");
        self.select(wanted.iter().copied()).multiplied(&back)
    }

    /// The matrix made of these rows, in this order.
    pub(crate) fn select(&self, rows: impl IntoIterator<Item = usize>) -> Self {
        let cells = rows
            .into_iter()
            .flat_map(|row| self.row(row))
            .copied()
            .collect();
        Self {
            columns: self.columns,
            cells,
        }
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn row_count(&self) -> usize {
        self.cells.len() / self.columns
    }

    pub(crate) fn row(&self, row: usize) -> &[u8] {
        &self.cells[row * self.columns..(row + 1) * self.columns]
    }

    fn multiplied(&self, right: &Self) -> Self {
        assert_eq!(self.columns, right.row_count());
        let mut cells = vec![0; self.row_count() * right.columns];
        for (row, out) in cells.chunks_exact_mut(right.columns).enumerate() {
            for (inner, &factor) in self.row(row).iter().enumerate() {
                add_scaled(out, right.row(inner), factor);
            }
        }
        Self {
            columns: right.columns,
            cells,
        }
    }

    /// The inverse by Gauss-Jordan elimination; `None` if there is none.
    fn inverted(&self) -> Option<Self> {
        let size = self.columns;
        assert_eq!(
            self.row_count(),
            size,
            "only a square matrix has an inverse"
        );
        // Each row carries its part of the identity matrix to its right.
        let mut rows: Vec<Vec<u8>> = (0..size)
            .map(|row| {
                let identity = (0..size).map(|column| u8::from(column == row));
                self.row(row).iter().copied().chain(identity).collect()
            })
            .collect();
        for pivot in 0..size {
            let found = (pivot..size).find(|&row| rows[row][pivot] != 0)?;
            rows.swap(pivot, found);
            let scale = inverse(rows[pivot][pivot])?;
            rows[pivot]
                .iter_mut()
                .for_each(|cell| *cell = product(*cell, scale));
            let pivot_row = std::mem::take(&mut rows[pivot]);
            for row in rows.iter_mut().filter(|row| !row.is_empty()) {
                let factor = row[pivot];
                add_scaled(row, &pivot_row, factor);
            }
            rows[pivot] = pivot_row;
        }
        let cells = rows.iter().flat_map(|row| &row[size..]).copied().collect();
        Some(Self {
            columns: size,
            cells,
        })
    }
}

fn add_scaled(target: &mut [u8], source: &[u8], factor: u8) {
    if factor == 0 {
        return;
    }
    for (target, &source) in target.iter_mut().zip(source) {
        *target ^= product(source, factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(size: usize) -> Matrix {
        let cells = (0..size * size)
            .map(|i| u8::from(i / size == i % size))
            .collect();
        Matrix {
            columns: size,
            cells,
        }
    }

    #[test]
    fn the_top_of_every_encode_matrix_is_the_identity() {
        for data in 1..=64 {
            let matrix = Matrix::encode(Geometry::new(data, 64 - data).unwrap());
            let size = usize::from(data);
            assert_eq!(matrix.row_count(), 64);
            assert_eq!(matrix.select(0..size), identity(size));
        }
    }

    #[test]
    fn every_choice_of_rows_is_invertible_in_small_geometries() {
        for (data, parity) in [
            (1, 7),
            (2, 6),
            (3, 5),
            (4, 4),
            (5, 3),
            (6, 2),
            (7, 1),
            (8, 4),
        ] {
            let matrix = Matrix::encode(Geometry::new(data, parity).unwrap());
            for set in 0_u32..1 << (data + parity) {
                if set.count_ones() != u32::from(data) {
                    continue;
                }
                let rows = (0..32).filter(|row| set >> row & 1 != 0);
                let square = matrix.select(rows);
                let inverse = square.inverted().unwrap();
                assert_eq!(square.multiplied(&inverse), identity(usize::from(data)));
            }
        }
    }

    #[test]
    fn a_singular_matrix_has_no_inverse() {
        let matrix = Matrix::encode(Geometry::new(3, 1).unwrap());
        assert_eq!(matrix.select([0, 1, 1]).inverted(), None);
    }
}
