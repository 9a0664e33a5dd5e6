//! Lists in Parquet.
//!
//! Owns: S3's schema, and files of one row group, compressed by Snappy.
//! Leaves to others: which values; the format itself (the crate `parquet`).
//! Always: names and types are those of S3's lists; a key is in them as it is.

use std::io;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;

use super::column::Kind;
use super::{Column, Value};

/// What a value takes beside its text.
const VALUE_LEN: usize = size_of::<Value>();

/// A file that is being made.
#[derive(Debug)]
pub struct Parquet {
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
    len: usize,
}

impl Parquet {
    /// An empty one.
    pub fn new(columns: &[Column]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
            len: 0,
        }
    }

    /// Adds a row.
    pub fn add(&mut self, row: Vec<Value>) {
        self.len += row.iter().map(len_of).sum::<usize>();
        self.rows.push(row);
    }

    /// Bytes of memory that its rows take.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no rows.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The file.
    ///
    /// # Errors
    /// Of the encoder.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        self.encode().map_err(io::Error::other)
    }

    fn encode(&self) -> Result<Vec<u8>, ParquetError> {
        let schema = Arc::new(parse_message_type(&schema(&self.columns))?);
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
        let properties = Arc::new(properties.build());
        let mut file = SerializedFileWriter::new(Vec::new(), schema, properties)?;
        let mut group = file.next_row_group()?;
        for (at, column) in self.columns.iter().enumerate() {
            if let Some(mut writer) = group.next_column()? {
                self.write(at, *column, &mut writer)?;
                writer.close()?;
            }
        }
        group.close()?;
        file.into_inner()
    }

    fn write(
        &self,
        at: usize,
        column: Column,
        writer: &mut SerializedColumnWriter<'_>,
    ) -> Result<(), ParquetError> {
        let values = self.rows.iter().map(|row| row.get(at));
        let is_there =
            |value: Option<&Value>| i16::from(!matches!(value, None | Some(Value::Nothing)));
        let levels: Vec<i16> = values.clone().map(is_there).collect();
        let levels = (!column.is_required()).then_some(levels.as_slice());
        let values = values.flatten();
        match column.kind() {
            Kind::Text => {
                let texts: Vec<ByteArray> = values.filter_map(text).collect();
                writer
                    .typed::<ByteArrayType>()
                    .write_batch(&texts, levels, None)?;
            }
            Kind::Flag => {
                let flags: Vec<bool> = values.filter_map(flag).collect();
                writer
                    .typed::<BoolType>()
                    .write_batch(&flags, levels, None)?;
            }
            Kind::Number | Kind::Time => {
                let numbers: Vec<i64> = values.filter_map(number).collect();
                writer
                    .typed::<Int64Type>()
                    .write_batch(&numbers, levels, None)?;
            }
        }
        Ok(())
    }
}

fn len_of(value: &Value) -> usize {
    VALUE_LEN
        + match value {
            Value::Text(text) | Value::Key(text) => text.len(),
            _ => 0,
        }
}

fn text(value: &Value) -> Option<ByteArray> {
    match value {
        Value::Text(text) | Value::Key(text) => Some(text.as_str().into()),
        _ => None,
    }
}

const fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Flag(flag) => Some(*flag),
        _ => None,
    }
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) | Value::Time(number) => i64::try_from(*number).ok(),
        _ => None,
    }
}

/// The schema of these columns, as S3 writes it.
pub fn schema(columns: &[Column]) -> String {
    let mut text = "message s3.inventory {".to_owned();
    for column in columns {
        let need = match column.is_required() {
            true => "required",
            false => "optional",
        };
        let (physical, logical) = match column.kind() {
            Kind::Text => ("binary", " (UTF8)"),
            Kind::Flag => ("boolean", ""),
            Kind::Number => ("int64", ""),
            Kind::Time => ("int64", " (TIMESTAMP_MILLIS)"),
        };
        let name = column.snake_name();
        text.push_str(&format!(" {need} {physical} {name}{logical};"));
    }
    text.push_str(" }");
    text
}
