//! Tables of text, aligned, readable as Markdown.

use std::fmt::Write as _;

use crate::report::{Cell, Comparison, OpFigures};
use crate::stats::Spread;

/// Heads of the columns of [`row`].
const HEADS: [&str; 15] = [
    "load",
    "obj/s",
    "MiB/s",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "errors",
    "CPU s/GiB",
    "CPU s/1k req",
    "cores",
    "RSS MiB",
    "peak MiB",
    "drive syncs/req",
    "index syncs/req",
    "own cores",
];

/// A table of one row per measurement, and below a mixed load one per operation.
pub fn cells(cells: &[Cell]) -> String {
    let several = cells.iter().any(|cell| cell.target != cells[0].target);
    let mut rows = vec![HEADS.map(str::to_owned).to_vec()];
    for cell in cells {
        let name = if several {
            format!("{} {}", cell.target, cell.load)
        } else {
            cell.load.clone()
        };
        rows.push(row(name, cell));
        for (op, figures) in &cell.by_op {
            let mut row = vec![format!("- {op}")];
            row.extend(op_columns(figures));
            row.resize(HEADS.len(), String::new());
            rows.push(row);
        }
    }
    drop_empty_columns(&mut rows);
    lay_out(&rows)
}

/// A table of one row per load and figure.
pub fn comparisons(comparisons: &[Comparison], targets: &[String]) -> String {
    let mut heads = vec!["load".to_owned(), "figure".to_owned()];
    heads.extend(
        targets
            .iter()
            .map(|name| format!("{name} median (min-max)")),
    );
    heads.extend(
        targets
            .iter()
            .skip(1)
            .map(|name| format!("{name}/{} (min-max)", targets[0])),
    );
    let mut rows = vec![heads];
    let spread = |of: &Option<Spread>| of.map(spread_text).unwrap_or_default();
    for comparison in comparisons {
        let mut row = vec![comparison.load.clone(), comparison.figure.to_owned()];
        row.extend(comparison.spreads.iter().map(spread));
        row.extend(comparison.ratios.iter().map(spread));
        rows.push(row);
    }
    lay_out(&rows)
}

fn row(name: String, cell: &Cell) -> Vec<String> {
    let optional = |value: Option<f64>| value.map(number).unwrap_or_default();
    let server = cell.server.as_ref();
    let mut row = vec![name];
    row.extend(op_columns(&cell.all));
    row.extend([
        optional(server.and_then(|server| server.cpu_s_per_gib)),
        optional(server.and_then(|server| server.cpu_s_per_1000)),
        optional(server.map(|server| server.cores)),
        optional(server.map(|server| server.rss_max_mib)),
        optional(server.map(|server| server.peak_mib)),
        optional(cell.drive_syncs_per_request),
        optional(cell.index_syncs_per_request),
        number(cell.own_cores),
    ]);
    row
}

fn op_columns(figures: &OpFigures) -> [String; 6] {
    let rate = if figures.mib_per_s > 0.0 {
        number(figures.mib_per_s)
    } else {
        String::new()
    };
    let latency = &figures.latency;
    [
        number(figures.per_s),
        rate,
        number(latency.p50_ms),
        number(latency.p99_ms),
        number(latency.p999_ms),
        figures.errors.to_string(),
    ]
}

/// Three digits that matter, without exponent: 12345, 12.3, 0.0123.
fn number(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 100.0 || magnitude == 0.0 {
        format!("{value:.0}")
    } else if magnitude >= 10.0 {
        format!("{value:.1}")
    } else if magnitude >= 1.0 {
        format!("{value:.2}")
    } else if magnitude >= 0.1 {
        format!("{value:.3}")
    } else {
        format!("{value:.4}")
    }
}

fn spread_text(spread: Spread) -> String {
    let (median, min, max) = (
        number(spread.median),
        number(spread.min),
        number(spread.max),
    );
    if min == max {
        median
    } else {
        format!("{median} ({min}-{max})")
    }
}

/// Removes columns in which no row but the first has anything.
fn drop_empty_columns(rows: &mut [Vec<String>]) {
    let columns = rows.first().map_or(0, Vec::len);
    for column in (0..columns).rev() {
        if rows.iter().skip(1).all(|row| row[column].is_empty()) {
            for row in &mut *rows {
                row.remove(column);
            }
        }
    }
}

/// Lays rows of equally many columns out; the first is the head.
fn lay_out(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns)
        .map(|column| width(column).unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (column, (value, &width)) in row.iter().zip(&widths).enumerate() {
            let _ = match column {
                0 => write!(text, "| {value:<width$} |"),
                _ => write!(text, " {value:>width$} |"),
            };
        }
        text.push('\n');
        if index == 0 {
            text.push('|');
            for (column, &width) in widths.iter().enumerate() {
                let end = if column == 0 { "-|" } else { ":|" };
                let _ = write!(text, "{}{end}", "-".repeat(width + 1));
            }
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{drop_empty_columns, lay_out, number};

    #[test]
    fn numbers_keep_three_digits_that_matter() {
        let shown: Vec<String> = [12345.6, 123.4, 12.34, 1.234, 0.1234, 0.01234, 0.0]
            .map(number)
            .to_vec();
        assert_eq!(
            shown,
            ["12346", "123", "12.3", "1.23", "0.123", "0.0123", "0"]
        );
    }

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let mut rows: Vec<Vec<String>> = [["load", "x", "n"], ["put", "", "1000"], ["g", "", "2"]]
            .map(|row| row.map(str::to_owned).to_vec())
            .to_vec();
        drop_empty_columns(&mut rows);
        assert_eq!(
            lay_out(&rows),
            "| load |    n |\n|------|-----:|\n| put  | 1000 |\n| g    |    2 |\n"
        );
    }
}
