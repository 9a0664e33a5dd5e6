//! How commands write their results.
//!
//! Owns: tables for people, JSON for programs.
//! Leaves to others: what is written.
//! Always: results go to stdout, in one write; everything else goes to stderr.

use std::io::{self, Write};

use serde::Serialize;

use crate::error::CliError;

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// Rows under headings, columns as wide as they need.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new(headings: &[&str]) -> Self {
        let headings = headings.iter().map(|&heading| heading.to_owned()).collect();
        Self {
            rows: vec![headings],
        }
    }
    /// Adds a row.
    #[must_use]
    pub fn row(mut self, cells: impl IntoIterator<Item = impl ToString>) -> Self {
        self.rows
            .push(cells.into_iter().map(|cell| cell.to_string()).collect());
        self
    }
    fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells
                .map(|cell: &String| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells = row
                .iter()
                .zip(&widths)
                .map(|(cell, &width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Writes `value` as JSON, or the table that `table` makes of it.
///
/// # Errors
/// `Output` if stdout is gone.
pub fn write<T: Serialize>(
    format: Format,
    value: &T,
    table: impl FnOnce(&T) -> Table,
) -> Result<(), CliError> {
    let text = match format {
        Format::Table => table(value).text(),
        Format::Json => match serde_json::to_string_pretty(value) {
            Ok(text) => text + "\n",
            Err(error) => return Err(CliError::Output(io::Error::other(error))),
        },
    };
    line(text.as_bytes())
}

/// Writes bytes to stdout and flushes.
///
/// # Errors
/// `Output` if stdout is gone.
pub fn line(bytes: &[u8]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(CliError::Output)
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let table = Table::new(&["A", "LONG"]).row(["wide one", "x"]);
        assert_eq!(table.text(), "A         LONG\nwide one  x\n");
    }
}
