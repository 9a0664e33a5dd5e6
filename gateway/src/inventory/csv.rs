//! Lists in CSV.
//!
//! Owns: rows in S3's form: every value in quotes, no header, keys percent-encoded, compressed by
//! gzip.
//! Leaves to others: which values.
//! Always: a row is one line, whatever is in a key.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Value;
use crate::logging::key::Time;

/// What stands for itself in keys.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*')
    .remove(b'/');

/// A file that is being made.
#[derive(Debug)]
pub struct Csv(GzEncoder<Vec<u8>>, usize);

impl Default for Csv {
    fn default() -> Self {
        Self::new()
    }
}

impl Csv {
    /// An empty one.
    pub fn new() -> Self {
        Self(GzEncoder::new(Vec::new(), Compression::default()), 0)
    }

    /// Adds a row.
    ///
    /// # Errors
    /// Of the compressor.
    pub fn add(&mut self, row: &[Value]) -> io::Result<()> {
        let mut line = String::new();
        for (at, value) in row.iter().enumerate() {
            if at > 0 {
                line.push(',');
            }
            line.push('"');
            line.push_str(&text(value).replace('"', "\"\""));
            line.push('"');
        }
        line.push('\n');
        self.1 += line.len();
        self.0.write_all(line.as_bytes())
    }

    /// Bytes of its rows.
    pub const fn len(&self) -> usize {
        self.1
    }

    /// Whether it has no rows.
    pub const fn is_empty(&self) -> bool {
        self.1 == 0
    }

    /// The file.
    ///
    /// # Errors
    /// Of the compressor.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        self.0.finish()
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Nothing => String::new(),
        Value::Text(text) => text.clone(),
        Value::Key(key) => utf8_percent_encode(key, PLAIN)
            .to_string()
            .replace("%20", "+"),
        Value::Flag(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Time(ms) => Time::of(*ms).in_event(ms % 1000),
    }
}
