//! The page about compatibility says what the gateway does.

use crate::auth::{Operation, Served};

/// The first three cells of each row about an operation.
fn rows() -> Vec<(String, String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/s3-compatibility.md");
    let page = std::fs::read_to_string(path).unwrap();
    let mut rows = Vec::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let ["", name, served @ ("yes" | "no"), action, _, ""] = cells[..] {
            rows.push((name.to_owned(), served.to_owned(), action.to_owned()));
        }
    }
    rows
}

#[test]
fn the_page_has_a_row_for_each_operation_in_the_order_of_the_table() {
    let expected: Vec<_> = Operation::ALL
        .iter()
        .map(|operation| {
            let served = match operation.served() {
                Served::Served => "yes",
                Served::Later => "no",
            };
            let (plain, version) = (operation.action(), operation.version_action());
            let action = match plain == version {
                true => format!("`{}`", plain.name()),
                false => format!("`{}`, `{}`", plain.name(), version.name()),
            };
            (operation.name().to_owned(), served.to_owned(), action)
        })
        .collect();
    let rows = rows();
    for (row, expected) in rows.iter().zip(&expected) {
        assert_eq!(row, expected, "docs/s3-compatibility.md");
    }
    assert_eq!(rows.len(), expected.len(), "docs/s3-compatibility.md");
}
