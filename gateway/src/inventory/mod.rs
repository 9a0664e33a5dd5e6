//! Inventories: what is in a bucket, as lists in another.
//!
//! Owns: when a list is due ([`schedule`]), its columns ([`column`]), its two forms ([`csv`],
//! [`parquet`]), names and manifest ([`manifest`]).
//! Leaves to others: what is configured ([`crate::settings`]), reading the bucket and writing the
//! objects (`s3`).
//! Always: pure: no I/O, no clock; a list is complete when its `manifest.checksum` is there, which
//! is written last.

pub mod column;
pub mod csv;
pub mod manifest;
pub mod metrics;
pub mod parquet;
pub mod schedule;
#[cfg(test)]
mod tests;

pub use column::{Column, Value, columns};
pub use manifest::{File, Names, manifest};
pub use metrics::InventoryMetrics;

use crate::settings::InventoryFormat;

/// A file of a list that is being made, in memory.
#[derive(Debug)]
pub enum Builder {
    /// CSV, compressed.
    Csv(csv::Csv),
    /// Parquet.
    Parquet(parquet::Parquet),
}

impl Builder {
    /// An empty file of these columns.
    pub fn new(format: InventoryFormat, columns: &[Column]) -> Self {
        match format {
            InventoryFormat::Csv => Self::Csv(csv::Csv::new()),
            InventoryFormat::Parquet => Self::Parquet(parquet::Parquet::new(columns)),
        }
    }

    /// Adds a row: a value for each column.
    ///
    /// # Errors
    /// Of the encoder.
    pub fn add(&mut self, row: Vec<Value>) -> std::io::Result<()> {
        match self {
            Self::Csv(csv) => csv.add(&row),
            Self::Parquet(parquet) => {
                parquet.add(row);
                Ok(())
            }
        }
    }

    /// Bytes of memory that it takes, about.
    pub fn len(&self) -> usize {
        match self {
            Self::Csv(csv) => csv.len(),
            Self::Parquet(parquet) => parquet.len(),
        }
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The file.
    ///
    /// # Errors
    /// Of the encoder.
    pub fn finish(self) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Csv(csv) => csv.finish(),
            Self::Parquet(parquet) => parquet.finish(),
        }
    }
}
