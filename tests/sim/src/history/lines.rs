//! Histories as JSON lines.
//!
//! Owns: one operation a line; empty lines are skipped.
//! Leaves to others: what a line says ([`super::operation`]).

use std::io::{BufRead, Write};

use super::{HistoryError, Operation};

/// Reads a history.
///
/// # Errors
/// `Read`; `Line` for the first line that is no operation.
pub fn read_lines(input: impl BufRead) -> Result<Vec<Operation>, HistoryError> {
    let mut operations = Vec::new();
    for (number, line) in input.lines().enumerate() {
        let line = line.map_err(HistoryError::Read)?;
        if line.trim().is_empty() {
            continue;
        }
        let operation = serde_json::from_str(&line).map_err(|source| HistoryError::Line {
            line: number + 1,
            source,
        })?;
        operations.push(operation);
    }
    Ok(operations)
}

/// Writes one operation and a line feed.
///
/// # Errors
/// `Write`.
pub fn write_line(output: &mut impl Write, operation: &Operation) -> Result<(), HistoryError> {
    let mut line = serde_json::to_vec(operation).map_err(|e| HistoryError::Write(e.into()))?;
    line.push(b'\n');
    output.write_all(&line).map_err(HistoryError::Write)
}
